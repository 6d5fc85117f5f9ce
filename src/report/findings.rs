//! Verdicts as text, the same on the terminal, on the page and in a pull request.

use super::ComparisonReport;
use crate::compare::{
    Basis, Broken, CaseFinding, Comparison, Doubt, Finding, GroupFinding, Known, MIN_SESSIONS,
    MIN_UNCALIBRATED, Verdict,
};
use crate::model::{MAX_LINE_CHARS, Metric, one_line};
use crate::units::Nanos;

/// `+12.3 %`, or for the error rate `+0.400 points`; after `≥` or `≤` where only one end is known.
#[must_use]
pub fn change_text(finding: &Finding) -> String {
    let sign = match finding.known {
        Known::Exactly => "",
        Known::Nothing => "? ",
        Known::AtLeast => "≥ ",
        Known::AtMost => "≤ ",
    };
    format!("{sign}{}", amount(finding.metric, finding.change, true))
}

/// `[+8.1 %, +17.0 %]`; a dash where there is no interval.
#[must_use]
pub fn interval_text(finding: &Finding) -> String {
    if !finding.low.is_finite() || !finding.high.is_finite() {
        return "–".to_owned();
    }
    let end = |change| amount(finding.metric, change, true);
    format!("[{}, {}]", end(finding.low), end(finding.high))
}

/// `4.1 %`: the smallest change that would have been detected; a dash where there is none.
#[must_use]
pub fn smallest_text(finding: &Finding) -> String {
    size_text(finding.metric, finding.smallest_seen)
}

/// `5.0 %`: the smallest change that gets a verdict; a dash where there is none.
#[must_use]
pub fn margin_text(finding: &Finding) -> String {
    size_text(finding.metric, finding.margin)
}

/// `5.0 %`: the size of a change without its direction; a dash where it is not finite.
pub(super) fn size_text(metric: Metric, change: f64) -> String {
    if change.is_finite() { amount(metric, change, false) } else { "–".to_owned() }
}

/// A value of a metric in its unit.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "times and sizes are above zero and below 2^53"
)]
pub fn value_text(metric: Metric, value: f64) -> String {
    match metric {
        Metric::Rate => format!("{value:.1}/s"),
        Metric::Errors => format!("{:.3} %", value * 100.0),
        Metric::AppCpu | Metric::StoreCpu => format!("{value:.3} s"),
        Metric::AppMemory | Metric::StoreMemory => {
            format!("{:.1} MiB", value / f64::from(1_u32 << 20))
        }
        Metric::P50 | Metric::P95 | Metric::P99 | Metric::P99_9 => {
            Nanos(value.round() as u64).to_string()
        }
    }
}

/// The finding of a case as a sentence.
#[must_use]
pub fn case_sentence(one: &CaseFinding) -> String {
    let metric = one.finding.metric;
    let from_to =
        format!(" ({} → {})", value_text(metric, one.before), value_text(metric, one.after));
    sentence(&one.finding, &one.case.to_string(), &from_to)
}

/// The finding of a group as a sentence.
#[must_use]
pub fn group_sentence(one: &GroupFinding) -> String {
    let plural = if one.cases == 1 { "" } else { "s" };
    let whole = format!("{} ({} case{plural})", one.level, one.cases);
    sentence(&one.finding, &whole, "")
}

/// What is known of a finding, and of an inconclusive one the rule that withheld the verdict: a sentence
/// never shows an interval that contradicts it.
fn sentence(finding: &Finding, of: &str, from_to: &str) -> String {
    let subject = format!("{} of {of}", finding.metric.title());
    let interval = interval_text(finding);
    let direction = if finding.change >= 0.0 { "rose" } else { "fell" };
    let size = size_text(finding.metric, finding.change);
    let change = format!("{subject} {direction} by {size} {interval}");
    let margin = margin_text(finding);
    let detectable = format!("the smallest detectable change is {}", smallest_text(finding));
    let p = p_text(finding.adjusted_p);
    match finding.doubt {
        None if finding.verdict == Verdict::Equivalent => format!(
            "{subject} is equivalent: it changed by {} {interval}, which is within the margin",
            change_text(finding)
        ),
        None => format!(
            "{subject} {}: it {direction} {} {size} {interval}{from_to}; {detectable}",
            finding.verdict.as_str(),
            by_text(finding)
        ),
        Some(Doubt::Chance) => {
            format!("No change of {subject} is shown: {interval} includes zero; {detectable}")
        }
        Some(Doubt::Family) => format!(
            "{change}, but this is not significant once every test of the comparison is accounted for (adjusted p {p})"
        ),
        Some(Doubt::Ranks) => format!(
            "{change}, but the ranks of its repetitions do not confirm it: outliers may explain it"
        ),
        Some(Doubt::AroundTheMargin) => {
            format!("{change}, but this is not shown to be more than the margin of {margin}")
        }
        Some(Doubt::Bound) => format!(
            "{subject} is known only as a bound, because requests were unfinished: a verdict in this direction is not possible"
        ),
        Some(Doubt::Uncalibrated) => format!(
            "{change}, but without a calibration of this host the difference between two runs may explain it"
        ),
        Some(Doubt::TooFewRepetitions) => format!(
            "{subject} {direction} by {size}, but one side has a single repetition: chance may explain it"
        ),
    }
}

/// `by`, or `by at least` where one end of the change is known.
pub(super) fn by_text(finding: &Finding) -> &'static str {
    match finding.known {
        Known::Exactly => "by",
        Known::AtLeast | Known::AtMost | Known::Nothing => "by at least",
    }
}

/// `0.031`, or `< 0.001`.
pub(super) fn p_text(p: f64) -> String {
    if p < 0.001 { "< 0.001".to_owned() } else { format!("{p:.3}") }
}

/// How many trials of a case failed, and why.
#[must_use]
pub fn broken_sentence(one: &Broken) -> String {
    let Broken { case, trials_before, failed_before, trials_after, failed_after, reason } = one;
    let verb = if one.is_regression() { "broke" } else { "has failed trials" };
    format!(
        "{case} {verb}: {failed_before} of {trials_before} trials failed before, {failed_after} of {trials_after} after; the most frequent reason: {}",
        one_line(reason, MAX_LINE_CHARS)
    )
}

/// How many cases have each verdict, how many broke, and how many groups changed, in a line.
#[must_use]
pub fn summary(comparison: &Comparison) -> String {
    let counts: Vec<String> = Verdict::ALL
        .iter()
        .map(|verdict| format!("{} {}", comparison.count(*verdict), verdict.as_str()))
        .collect();
    let unjudged = comparison.unjudged.len();
    let mut line =
        format!("{} figures of cases: {}", comparison.cases.len() + unjudged, counts.join(", "));
    if unjudged > 0 {
        line.push_str(&format!(", {unjudged} not judged"));
    }
    let groups: Vec<String> = Verdict::ALL
        .into_iter()
        .filter(|verdict| verdict.is_change() && comparison.count_groups(*verdict) > 0)
        .map(|verdict| format!("{} {}", comparison.count_groups(verdict), verdict.as_str()))
        .collect();
    if !groups.is_empty() {
        line.push_str(&format!("; of groups: {}", groups.join(", ")));
    }
    if let Some(broke) = broke_text(comparison) {
        line.push_str(&format!("; {broke}"));
    }
    line
}

/// `2 cases broke`; `None` when none did.
fn broke_text(comparison: &Comparison) -> Option<String> {
    match comparison.broke() {
        0 => None,
        1 => Some("1 case broke".to_owned()),
        broke => Some(format!("{broke} cases broke")),
    }
}

/// What `--fail-on` found, such as `1 case broke; regressed: 2 figures of cases and 1 of groups`; `None`
/// when it found nothing.
#[must_use]
pub fn failure_text(report: &ComparisonReport) -> Option<String> {
    let comparison = &report.comparison;
    let figures = |count| format!("{count} figure{}", if count == 1 { "" } else { "s" });
    let mut found = Vec::new();
    let fails = |verdict: &Verdict| report.fail_on.contains(verdict) && comparison.has(*verdict);
    for verdict in Verdict::ALL.into_iter().filter(fails) {
        if verdict == Verdict::Regressed {
            found.extend(broke_text(comparison));
        }
        let (cases, groups) = (comparison.count(verdict), comparison.count_groups(verdict));
        let verdict = verdict.as_str();
        match (cases, groups) {
            (0, 0) => {}
            (cases, 0) => found.push(format!("{verdict}: {} of cases", figures(cases))),
            (0, groups) => found.push(format!("{verdict}: {} of groups", figures(groups))),
            _ => {
                found
                    .push(format!("{verdict}: {} of cases and {groups} of groups", figures(cases)));
            }
        }
    }
    (!found.is_empty()).then(|| found.join("; "))
}

/// What the verdicts are based on, in a sentence or more.
#[must_use]
pub fn basis_text(comparison: &Comparison) -> String {
    match comparison.basis {
        Basis::Interleaved => {
            "Both sides were measured interleaved in one run, so changes of the host affect both alike.".to_owned()
        }
        Basis::Calibrated { sessions } => format!(
            "These are two separate runs. The intervals include how much such runs differ on this host when nothing changed, which {sessions} calibrations measured."
        ),
        Basis::Uncalibrated => format!(
            "These are two separate runs, and the host has fewer than {MIN_SESSIONS} calibrations, so how much two runs differ when nothing changed is not known. For rates, latencies and resources only a change beyond {:.0} % gets a verdict, and nothing is called equivalent. Run `perf-api calibrate` on {MIN_SESSIONS} days, or use `perf-api ab`, which needs no calibration.",
            (MIN_UNCALIBRATED - 1.0) * 100.0
        ),
    }
}

/// A change as a share in percent, or of failed requests in percentage points.
fn amount(metric: Metric, change: f64, is_signed: bool) -> String {
    let (value, unit, digits) = match metric {
        Metric::Errors => (change * 100.0, "points", 3),
        _ if change.abs() < 0.995 => (change * 100.0, "%", 1),
        _ => (change * 100.0, "%", 0),
    };
    let scale = 10_f64.powi(i32::try_from(digits).unwrap_or(0));
    // Not `-0.0`.
    let value = if (value * scale).abs() < 0.5 { 0.0 } else { value };
    match is_signed {
        true => format!("{value:+.digits$} {unit}"),
        false => format!("{:.digits$} {unit}", value.abs()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::compare::tests::{rules, side};
    use crate::compare::{Rules, compare};

    /// What a sentence says if it withholds a verdict although its interval excludes zero.
    const RULES: [&str; 6] = [
        "not significant once every test",
        "ranks of its repetitions",
        "more than the margin of",
        "known only as a bound",
        "without a calibration",
        "a single repetition",
    ];

    /// Whether a finding and its sentence agree.
    fn agrees(finding: &Finding, text: &str) -> Result<(), TestCaseError> {
        let excludes_zero = finding.low > 0.0 || finding.high < 0.0;
        let names_a_rule = RULES.iter().any(|rule| text.contains(rule));
        match finding.verdict {
            Verdict::Inconclusive if excludes_zero && finding.low.is_finite() => {
                prop_assert!(names_a_rule, "{text}: {finding:?}");
            }
            Verdict::Inconclusive => {
                prop_assert!(text.contains("includes zero") || names_a_rule, "{text}: {finding:?}");
            }
            verdict => {
                prop_assert!(text.contains(verdict.as_str()) && !names_a_rule, "{text}");
                prop_assert!(excludes_zero || verdict == Verdict::Equivalent, "{text}");
            }
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn a_sentence_never_contradicts_its_interval(
            before in prop::collection::vec(prop::collection::vec(0.9..1.1_f64, 1..7), 1..5),
            factor in prop::collection::vec(0.8..1.6_f64, 4),
            noise in prop::collection::vec(0.8..1.25_f64, 7),
            is_interleaved: bool,
        ) {
            let names = ["a", "b", "c", "d"];
            let slower = |place: usize| -> Vec<f64> {
                let own = before[place].iter().zip(&noise);
                own.map(|(value, noise)| value * noise * factor[place]).collect()
            };
            let after: Vec<Vec<f64>> = (0..before.len()).map(slower).collect();
            let all = |values: &[Vec<f64>]| {
                let cases = names.into_iter().zip(values).map(|(name, own)| (name, &own[..]));
                side(&cases.collect::<Vec<_>>())
            };
            let rules = Rules { is_interleaved, ..rules(Metric::P95) };
            let comparison = compare(&all(&before), &all(&after), &rules);
            for one in &comparison.cases {
                agrees(&one.finding, &case_sentence(one))?;
            }
            for one in &comparison.groups {
                agrees(&one.finding, &group_sentence(one))?;
            }
        }
    }

    #[test]
    fn a_withheld_verdict_names_its_rule() {
        let steady = [1.00, 1.01, 0.99, 1.00, 1.02, 0.98];
        let before = side(&[("app", &steady)]);
        let sentences = |after: &[f64], rules: &Rules| {
            let comparison = compare(&before, &side(&[("app", after)]), rules);
            case_sentence(&comparison.cases[0])
        };
        let rules = rules(Metric::P95);
        let around = sentences(&[1.06, 1.03, 1.05, 1.03, 1.08, 1.02], &rules);
        assert!(around.contains("not shown to be more than the margin of 5.0 %"), "{around}");
        let apart = Rules { is_interleaved: false, ..rules.clone() };
        let uncalibrated = sentences(&steady.map(|value| value * 1.1), &apart);
        assert!(uncalibrated.contains("without a calibration"), "{uncalibrated}");
        let chance = sentences(&[1.2, 0.8, 1.1, 0.9, 1.3, 0.85], &rules);
        assert!(chance.starts_with("No change of p95 of app"), "{chance}");
        let slower = sentences(&steady.map(|value| value * 1.3), &rules);
        assert!(slower.contains("regressed: it rose by 30.0 %"), "{slower}");
    }
}
