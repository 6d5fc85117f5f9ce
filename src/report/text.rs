//! Figures in words, the same on the page and on the terminal. Those in brackets are not ranked.

use crate::model::Capacity;
use crate::study::CaseStudy;

/// The place of p95 among the percentiles.
pub(super) const P95: usize = 2;

/// `998.5 ± 1.2/s`, or a dash.
#[must_use]
pub fn rate_text(case: &CaseStudy) -> String {
    let Some(rate) = case.rate else { return "–".to_owned() };
    let text = match rate.stddev {
        Some(spread) => format!("{:.1} ± {spread:.1}/s", rate.value),
        None => format!("{:.1}/s", rate.value),
    };
    in_brackets(case, text)
}

/// `1.20 ms`, `> 3.39 s`, or a dash.
#[must_use]
pub fn p95_text(case: &CaseStudy) -> String {
    percentile_text(case, P95)
}

/// The percentile at a place in [`QUANTILES`](crate::model::QUANTILES): `1.20 ms`, `> 3.39 s`, or a
/// dash.
#[must_use]
pub fn percentile_text(case: &CaseStudy, place: usize) -> String {
    let Some(estimate) = case.latency[place] else { return "–".to_owned() };
    let sign = if estimate.is_bound { "> " } else { "" };
    in_brackets(case, format!("{sign}{}", estimate.value_ns))
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

fn in_brackets(case: &CaseStudy, text: String) -> String {
    if case.is_ranked() { text } else { format!("({text})") }
}
