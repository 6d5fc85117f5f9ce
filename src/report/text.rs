//! Figures in words, the same on the page and on the terminal. Those in brackets are not ranked.

use crate::query::CaseSummary;

/// `998.5 ± 1.2/s`, or a dash.
#[must_use]
pub fn rate_text(summary: &CaseSummary) -> String {
    let text = match (summary.achieved_rps, summary.achieved_rps_stddev) {
        (Some(rate), Some(spread)) => format!("{rate:.1} ± {spread:.1}/s"),
        (Some(rate), None) => format!("{rate:.1}/s"),
        (None, _) => return "–".to_owned(),
    };
    in_brackets(summary, text)
}

/// `1.20 ms`, `> 3.39 s`, or a dash.
#[must_use]
pub fn p95_text(summary: &CaseSummary) -> String {
    let sign = if summary.p95_is_bound { "> " } else { "" };
    let Some(p95) = summary.p95 else { return "–".to_owned() };
    in_brackets(summary, format!("{sign}{p95}"))
}

fn in_brackets(summary: &CaseSummary, text: String) -> String {
    if summary.is_ranked() { text } else { format!("({text})") }
}
