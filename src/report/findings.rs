//! Verdicts in words, the same on the terminal, on the page and in a pull request.

use super::ComparisonReport;
use crate::compare::{
    Basis, Broken, CaseFinding, Comparison, Doubt, Finding, GroupFinding, Known, MIN_SESSIONS,
    MIN_UNCALIBRATED, Verdict,
};
use crate::model::{MAX_LINE_CHARS, Metric, one_line};
use crate::units::Nanos;

/// `+12.3 %`, or of failed requests `+0.40 points`; behind `≥` or `≤` where one end alone is known.
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

/// `[+8.1 %, +17.0 %]`; a dash where nothing bounds it.
#[must_use]
pub fn interval_text(finding: &Finding) -> String {
    if !finding.low.is_finite() || !finding.high.is_finite() {
        return "–".to_owned();
    }
    let end = |change| amount(finding.metric, change, true);
    format!("[{}, {}]", end(finding.low), end(finding.high))
}

/// `4.1 %`: the smallest change that could have been seen; a dash where none could.
#[must_use]
pub fn smallest_text(finding: &Finding) -> String {
    size_text(finding.metric, finding.smallest_seen)
}

/// `5.0 %`: the smallest change that would be called; a dash where none would.
#[must_use]
pub fn margin_text(finding: &Finding) -> String {
    size_text(finding.metric, finding.margin)
}

fn size_text(metric: Metric, change: f64) -> String {
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

/// One sentence that is true of a case.
#[must_use]
pub fn case_sentence(one: &CaseFinding) -> String {
    let metric = one.finding.metric;
    let from_to =
        format!(" ({} → {})", value_text(metric, one.before), value_text(metric, one.after));
    sentence(&one.finding, &one.case.to_string(), &from_to)
}

/// One sentence that is true of a group.
#[must_use]
pub fn group_sentence(one: &GroupFinding) -> String {
    let plural = if one.cases == 1 { "" } else { "s" };
    let whole = format!("{} ({} case{plural})", one.level, one.cases);
    sentence(&one.finding, &whole, "")
}

fn sentence(finding: &Finding, of: &str, from_to: &str) -> String {
    let metric = finding.metric;
    let interval = interval_text(finding);
    let title = metric.title();
    let seen = format!("this setup could have seen {}", smallest_text(finding));
    let moved = if finding.change >= 0.0 { "rose" } else { "fell" };
    let by = match finding.known {
        Known::Exactly => "by",
        Known::AtLeast | Known::AtMost | Known::Nothing => "by at least",
    };
    let size = size_text(metric, finding.change);
    let margin = margin_text(finding);
    match finding.doubt {
        None if finding.verdict == Verdict::Equivalent => format!(
            "{title} of {of} is the same: it changed by {} {interval}",
            change_text(finding)
        ),
        None => format!("{title} of {of} {moved} {by} {size} {interval}{from_to}; {seen}"),
        Some(Doubt::Chance) => format!(
            "{title} of {of} may have changed by anything in {interval}, which chance explains; {seen}"
        ),
        Some(Doubt::AroundTheMargin) => format!(
            "{title} of {of} {moved} by {size} {interval}, and whether that is more than {margin} cannot be told"
        ),
        Some(Doubt::Bound) => format!(
            "{title} of {of} is known as a bound only, since requests were unfinished: no verdict is possible in this direction"
        ),
        Some(Doubt::Uncalibrated) => format!(
            "{title} of {of} {moved} by {size} {interval}, and nobody knows by how much two runs differ on this host"
        ),
        Some(Doubt::TooFewRepetitions) => format!(
            "{title} of {of} was measured once on a side: that it {moved} by {size} may be chance"
        ),
    }
}

/// How many trials of a case failed, and why.
#[must_use]
pub fn broken_sentence(one: &Broken) -> String {
    let Broken { case, trials_before, failed_before, trials_after, failed_after, reason } = one;
    let word = if one.is_regression() { "broke: " } else { "" };
    format!(
        "{word}trials of {case} failed: {failed_before} of {trials_before} before, {failed_after} of {trials_after} after; the most frequent reason: {}",
        one_line(reason, MAX_LINE_CHARS)
    )
}

/// How many cases have which verdict, how many broke, and how many groups changed, in a line.
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

/// What the verdicts stand on, in a sentence.
#[must_use]
pub fn basis_text(comparison: &Comparison) -> String {
    match comparison.basis {
        Basis::Interleaved => {
            "Both sides were measured block by block in one run, so what the host did meanwhile is in neither's favour.".to_owned()
        }
        Basis::Calibrated { sessions } => format!(
            "Two separate runs: by how much such runs differ although nothing changed is known from {sessions} calibrations of this host, and is part of the intervals."
        ),
        Basis::Uncalibrated => format!(
            "Two separate runs on a host that was calibrated fewer than {MIN_SESSIONS} times: by how much such runs differ although nothing changed is not known. Of rates, latencies and resources only changes beyond {:.0} % are called, and none is called equivalent. `perf-api calibrate` on {MIN_SESSIONS} days mends that; `perf-api ab` needs none of it.",
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
