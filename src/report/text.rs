//! Figures in words, the same on the page and on the terminal.

use crate::query::CaseSummary;

/// `998.5 ± 1.2/s`, or a dash.
#[must_use]
pub fn rate_text(summary: &CaseSummary) -> String {
    match (summary.achieved_rps, summary.achieved_rps_stddev) {
        (Some(rate), Some(spread)) => format!("{rate:.1} ± {spread:.1}/s"),
        (Some(rate), None) => format!("{rate:.1}/s"),
        (None, _) => "–".to_owned(),
    }
}

/// `1.20 ms`, `> 3.39 s`, or a dash.
#[must_use]
pub fn p95_text(summary: &CaseSummary) -> String {
    let sign = if summary.p95_is_bound { "> " } else { "" };
    summary.p95.map_or_else(|| "–".to_owned(), |p95| format!("{sign}{p95}"))
}
