//! What verdicts have to keep to, on samples that are made by hand.

use super::*;
use crate::model::{Figure, Flag, Stack};
use crate::units::Rps;

/// A side whose trials have these latencies of p95, in milliseconds, by case and repetition.
pub(crate) fn side(cases: &[(&str, &[f64])]) -> Side {
    let manifest = include_bytes!(
        "../../tests/fixtures/version-1/32eee67ad1bba445f1618e608548e34f7b23134fb9cc54b19555e9f0c2c17cc6/manifest.json"
    );
    let mut samples = Vec::new();
    for (app, values) in cases {
        let stack =
            Stack { app: app.parse().unwrap(), store: "redis".parse().unwrap(), workers: 1 };
        let case = Case { stack, concurrency: 100, target_rps: Rps::whole(1000) };
        for (block, value) in (0..).zip(*values) {
            let mut figures = [None; Metric::ALL.len()];
            figures[Metric::P95 as usize] = Some(Figure { value: value * 1e6, is_bound: false });
            figures[Metric::Errors as usize] = Some(Figure { value: 0.0, is_bound: false });
            samples.push(Sample {
                case: case.clone(),
                block,
                is_valid: true,
                flags: vec![],
                failure: None,
                planned: 20_000,
                figures,
            });
        }
    }
    let manifest = serde_json::from_slice(manifest).unwrap();
    Side { dataset: Manifest::id_of(manifest_bytes()), manifest, samples }
}

fn manifest_bytes() -> &'static [u8] {
    b"some dataset"
}

/// Both sides of one run.
pub(crate) fn rules(metric: Metric) -> Rules {
    Rules {
        metrics: vec![metric],
        margin: 0.05,
        alpha: 0.05,
        is_interleaved: true,
        calibration: None,
    }
}

const STEADY: [f64; 6] = [1.00, 1.01, 0.99, 1.00, 1.02, 0.98];
const SLOWER: [f64; 6] = [1.31, 1.30, 1.28, 1.32, 1.30, 1.29];

fn verdicts(before: &Side, after: &Side, rules: &Rules) -> Vec<(Verdict, Option<Doubt>)> {
    let result = compare(before, after, rules);
    result.cases.iter().map(|one| (one.finding.verdict, one.finding.doubt)).collect()
}

#[test]
fn what_is_slower_regressed_and_the_other_way_round_improved() {
    let (steady, slower) = (side(&[("app", &STEADY)]), side(&[("app", &SLOWER)]));
    let rules = rules(Metric::P95);
    assert_eq!(verdicts(&steady, &slower, &rules), [(Verdict::Regressed, None)]);
    assert_eq!(verdicts(&slower, &steady, &rules), [(Verdict::Improved, None)]);
    assert_eq!(verdicts(&steady, &steady, &rules), [(Verdict::Equivalent, None)]);
    let result = compare(&steady, &slower, &rules);
    let finding = &result.groups[0].finding;
    assert!((finding.change - 0.3).abs() < 0.01, "{finding:?}");
    assert!(finding.low < finding.change && finding.change < finding.high);
}

#[test]
fn two_runs_without_a_calibration_call_only_what_is_large() {
    let apart = Rules { is_interleaved: false, ..rules(Metric::P95) };
    let steady = side(&[("app", &STEADY)]);
    let a_little = SLOWER.map(|value| value * 0.9);
    let doubted = [(Verdict::Inconclusive, Some(Doubt::Uncalibrated))];
    assert_eq!(verdicts(&steady, &side(&[("app", &a_little)]), &apart), doubted);
    assert_eq!(verdicts(&steady, &steady, &apart), doubted);
    let twice = SLOWER.map(|value| value * 2.0);
    let result = verdicts(&steady, &side(&[("app", &twice)]), &apart);
    assert_eq!(result, [(Verdict::Regressed, None)]);
}

#[test]
fn what_two_runs_differ_by_anyway_is_part_of_the_interval() {
    let apart = Rules { is_interleaved: false, ..rules(Metric::P95) };
    let sessions = |swing: f64| -> Vec<Side> {
        let level = |session: i32| STEADY.map(|value| value * (1.0 + swing * f64::from(session)));
        (-2..=2).map(|session| side(&[("app", &level(session))])).collect()
    };
    let width = |swing: f64| {
        let calibration = Calibration::of(&sessions(swing));
        let rules = Rules { calibration, ..apart.clone() };
        let result = compare(&side(&[("app", &STEADY)]), &side(&[("app", &SLOWER)]), &rules);
        assert_eq!(result.basis, Basis::Calibrated { sessions: 5 });
        let finding = result.cases[0].finding.clone();
        (finding.high - finding.low, finding.verdict)
    };
    let (calm, verdict) = width(0.002);
    assert_eq!(verdict, Verdict::Regressed);
    let (wild, verdict) = width(0.2);
    assert_eq!(verdict, Verdict::Inconclusive, "runs here differ by more than that");
    assert!(wild > 5.0 * calm, "{wild} {calm}");
}

#[test]
fn a_bound_allows_a_verdict_in_its_own_direction_only() {
    let bounded = |mut side: Side| {
        for sample in &mut side.samples {
            if let Some(figure) = &mut sample.figures[Metric::P95 as usize] {
                figure.is_bound = true;
            }
        }
        side
    };
    let (steady, slower) = (side(&[("app", &STEADY)]), side(&[("app", &SLOWER)]));
    let rules = rules(Metric::P95);
    let unknown = [(Verdict::Inconclusive, Some(Doubt::Bound))];
    // At least this slow, so slower; at least this fast says nothing.
    let result = compare(&steady, &bounded(slower.clone()), &rules);
    assert_eq!(result.cases[0].finding.verdict, Verdict::Regressed);
    assert_eq!(result.cases[0].finding.known, Known::AtLeast);
    assert_eq!(verdicts(&slower, &bounded(steady.clone()), &rules), unknown);
    assert_eq!(verdicts(&bounded(steady.clone()), &slower, &rules), unknown);
    assert_eq!(verdicts(&steady, &bounded(steady.clone()), &rules), unknown);
    assert_eq!(verdicts(&bounded(steady), &bounded(slower), &rules), unknown);
}

#[test]
fn invalid_trials_are_not_judged_and_the_reason_is_given() {
    let steady = side(&[("app", &STEADY)]);
    let mut late = steady.clone();
    for sample in &mut late.samples {
        sample.is_valid = false;
        sample.flags = vec![Flag::CpusShared, Flag::PacerLate];
    }
    let result = compare(&steady, &late, &rules(Metric::P95));
    assert_eq!(result.cases, []);
    assert_eq!(result.unjudged[0].reason, "after: no valid trial (pacer_late)");
    let mut failed = steady.clone();
    for sample in &mut failed.samples {
        sample.is_valid = false;
        sample.failure = Some("it broke".to_owned());
        sample.figures = [None; Metric::ALL.len()];
    }
    let result = compare(&steady, &failed, &rules(Metric::P95));
    assert_eq!(result.unjudged[0].reason, "after: 6 trials failed");
}

#[test]
fn failing_requests_regress_although_they_make_trials_invalid() {
    let steady = side(&[("app", &STEADY)]);
    let mut failing = steady.clone();
    for (sample, share) in failing.samples.iter_mut().zip([0.02, 0.021, 0.019, 0.02, 0.022, 0.018])
    {
        sample.is_valid = false;
        sample.flags = vec![Flag::RequestsFailed];
        sample.figures[Metric::Errors as usize] = Some(Figure { value: share, is_bound: false });
    }
    let result = compare(&steady, &failing, &rules(Metric::Errors));
    let finding = &result.cases[0].finding;
    assert_eq!(finding.verdict, Verdict::Regressed, "{finding:?}");
    assert!((finding.change - 0.02).abs() < 1e-3, "{finding:?}");
    let same = compare(&steady, &steady, &rules(Metric::Errors));
    assert_eq!(same.cases[0].finding.verdict, Verdict::Equivalent);
}

#[test]
fn an_outlier_alone_is_no_change() {
    let steady = side(&[("app", &STEADY)]);
    let mut values = STEADY;
    values[2] = 60.0;
    let result = verdicts(&steady, &side(&[("app", &values)]), &rules(Metric::P95));
    assert_eq!(result[0].0, Verdict::Inconclusive);
}

#[test]
fn an_alarm_is_raised_if_unchanged_cases_move_together() {
    let names = ["a", "b", "c", "d", "e"];
    let steady = side(&names.map(|name| (name, &STEADY[..])));
    let slower = side(&names.map(|name| (name, &SLOWER[..])));
    let result = compare(&steady, &slower, &rules(Metric::P95));
    assert_eq!(result.alarms.len(), 1);
    assert!(result.alarms[0].starts_with("5 of 5 cases whose components are the same"));
    assert_eq!(compare(&steady, &steady, &rules(Metric::P95)).alarms, Vec::<String>::new());
}

#[test]
fn looks_are_few_and_end_with_the_last_block() {
    assert_eq!(looks(40), [3, 5, 8, 12, 18, 27, 40]);
    assert_eq!(looks(3), [3]);
    assert_eq!(looks(1), [1]);
}
