//! Figures in words, the same on the page and on the terminal. Those in brackets are not ranked.

use crate::model::Capacity;
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

/// `2925/s to 3072/s`, or what else a search can say.
#[must_use]
pub fn capacity_text(one: &Capacity) -> String {
    let rate = match (one.low_rps, one.high_rps) {
        (Some(low), Some(_)) if one.is_loader_limited => {
            format!("at least {low}/s: there the loader ends")
        }
        (Some(low), Some(high)) => format!("{low}/s to {high}/s"),
        (Some(low), None) => format!("at least {low}/s"),
        (None, Some(high)) if one.is_loader_limited => {
            format!("unknown: the loader does not drive {high}/s")
        }
        (None, Some(high)) => format!("less than {high}/s"),
        (None, None) => "unknown: see what failed".to_owned(),
    };
    if one.is_final { rate } else { format!("{rate} (not finished)") }
}

fn in_brackets(summary: &CaseSummary, text: String) -> String {
    if summary.is_ranked() { text } else { format!("({text})") }
}
