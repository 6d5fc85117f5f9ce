//! Figures as text, the same on the page and on the terminal. Those in brackets are not ranked.

use crate::analysis::CaseAnalysis;
use crate::model::{
    Capacity, LatencyFigure, Outcome, QUANTILES, Quantile, TrialRecord, is_supported,
};

/// The place of p95 among the percentiles.
pub const P95: usize = 2;
/// The place of the median.
pub const P50: usize = 0;

/// The mark of a percentile with too few requests.
pub const UNSUPPORTED: &str = "†";

/// What [`UNSUPPORTED`] means.
pub const UNSUPPORTED_MEANING: &str = "† fewer than 10 requests are beyond this percentile: p95 needs 200 requests, p99 1,000, p99.9 10,000";

/// `998.5 ± 1.2/s`, or a dash.
#[must_use]
pub fn rate_text(case: &CaseAnalysis) -> String {
    let Some(rate) = case.rate else { return "–".to_owned() };
    let text = match rate.stddev {
        Some(spread) => format!("{:.1} ± {spread:.1}/s", rate.value),
        None => format!("{:.1}/s", rate.value),
    };
    in_brackets(case, text)
}

/// `1.20 ms`, `8.20–9.60 ms`, `> 3.39 s`, or a dash; marked if there are too few requests.
#[must_use]
pub fn p95_text(case: &CaseAnalysis) -> String {
    percentile_text(case, P95)
}

/// The percentile at a place in [`QUANTILES`](crate::model::QUANTILES), as [`p95_text`].
#[must_use]
pub fn percentile_text(case: &CaseAnalysis, place: usize) -> String {
    let Some(estimate) = case.latency[place] else { return "–".to_owned() };
    in_brackets(case, marked(estimate.figure(), estimate.is_supported))
}

/// A percentile of one trial, by its place in [`QUANTILES`], as [`p95_text`].
#[must_use]
pub fn trial_percentile_text(record: &TrialRecord, place: usize) -> String {
    let Quantile { share: q, name, .. } = QUANTILES[place];
    match (&record.outcome, record.figures.get(name)) {
        (Outcome::Measured(measured), Some(&figure)) => {
            let requests = measured.latency.completed() + measured.latency.censored();
            marked(figure, is_supported(q, requests))
        }
        _ => "–".to_owned(),
    }
}

fn marked(figure: LatencyFigure, is_supported: bool) -> String {
    format!("{figure}{}", if is_supported { "" } else { UNSUPPORTED })
}

/// `2925/s to 3072/s`, or another result of a search.
#[must_use]
pub fn capacity_text(one: &Capacity) -> String {
    let unknown = match one {
        Capacity { is_loader_limited: true, .. } => Some("the loader was late or at its limit"),
        Capacity { is_high_unknown: true, .. } => {
            Some("trials were disturbed or left requests unfinished")
        }
        _ => None,
    };
    let rate = match (one.low_rps, one.high_rps, unknown) {
        (Some(low), Some(high), Some(cause)) => format!("at least {low}/s: at {high}/s {cause}"),
        (Some(low), Some(high), None) => format!("{low}/s to {high}/s"),
        (Some(low), None, _) => format!("at least {low}/s"),
        (None, Some(high), Some(cause)) => format!("unknown: at {high}/s {cause}"),
        (None, Some(high), None) => format!("less than {high}/s"),
        (None, None, _) => "unknown: see what failed".to_owned(),
    };
    if one.is_final { rate } else { format!("{rate} (not finished)") }
}

fn in_brackets(case: &CaseAnalysis, text: String) -> String {
    if case.is_ranked() { text } else { format!("({text})") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Case;
    use crate::units::{Nanos, Rps};

    #[test]
    fn an_upper_end_that_is_not_known_is_no_limit_of_the_stack() {
        let known = Capacity {
            stack: Case::at(1000).stack,
            concurrency: 100,
            slo: "p99<50ms".parse().unwrap(),
            low_rps: Some(Rps::whole(2925)),
            high_rps: Some(Rps::whole(3072)),
            is_high_unknown: false,
            is_final: true,
            is_loader_limited: false,
            trials: 9,
        };
        assert_eq!(capacity_text(&known), "2925/s to 3072/s");
        let disturbed = Capacity { is_high_unknown: true, ..known };
        let cause = "trials were disturbed or left requests unfinished";
        assert_eq!(capacity_text(&disturbed), format!("at least 2925/s: at 3072/s {cause}"));
        let late = Capacity { is_loader_limited: true, low_rps: None, ..disturbed };
        let cause = "the loader was late or at its limit";
        assert_eq!(capacity_text(&late), format!("unknown: at 3072/s {cause}"));
    }

    #[test]
    fn a_percentile_of_too_few_requests_is_marked() {
        let figure = LatencyFigure::exact(Nanos(9_600_000));
        assert_eq!(marked(figure, is_supported(0.99, 1000)), "9.60 ms");
        assert_eq!(marked(figure, is_supported(0.99, 999)), "9.60 ms†");
        let open = LatencyFigure { is_bound: true, ..figure };
        assert_eq!(marked(open, is_supported(0.5, 19)), "> 9.60 ms†");
        let interval = LatencyFigure { high: Some(Nanos(10_200_000)), ..open };
        assert_eq!(marked(interval, is_supported(0.5, 20)), "9.6–10.2 ms");
        for (place, Quantile { share: q, name, .. }) in QUANTILES.into_iter().enumerate() {
            // 10/(1−q): 20, 100, 200, 1,000, 10,000, 100,000.
            let needed = [20, 100, 200, 1_000, 10_000, 100_000];
            assert!(
                is_supported(q, needed[place]) && !is_supported(q, needed[place] - 1),
                "{name}"
            );
        }
    }
}
