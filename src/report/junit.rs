//! A comparison as JUnit XML, for continuous integration servers.

use askama::Template;

use super::ComparisonReport;
use super::findings::{broken_sentence, case_sentence};
use super::headline::comparison_headline;
use super::html::ReportError;
use crate::compare::{Comparison, Verdict};
use crate::model::Metric;

/// A comparison as JUnit XML: a suite for each metric, a test for each case. A regression fails its test,
/// as does every verdict that fails the job; an inconclusive case is skipped otherwise.
///
/// # Errors
/// When the template cannot be filled.
pub fn comparison_junit(report: &ComparisonReport) -> Result<String, ReportError> {
    let comparison = &report.comparison;
    let suites: Vec<Suite> = Metric::ALL
        .into_iter()
        .map(|metric| suite(report, metric))
        .chain([trials(comparison)])
        .filter(|suite| !suite.tests.is_empty())
        .collect();
    let page = Page {
        headline: visible(&comparison_headline(report)),
        before: comparison.before.short(),
        after: comparison.after.short(),
        tests: suites.iter().map(|suite| suite.tests.len()).sum(),
        failures: suites.iter().map(|suite| suite.failures).sum(),
        skipped: suites.iter().map(|suite| suite.skipped).sum(),
        suites,
    };
    Ok(page.render()?)
}

#[derive(Template)]
#[template(path = "comparison.xml")]
struct Page {
    headline: String,
    before: String,
    after: String,
    tests: usize,
    failures: usize,
    skipped: usize,
    suites: Vec<Suite>,
}

struct Suite {
    name: &'static str,
    tests: Vec<Test>,
    failures: usize,
    skipped: usize,
}

struct Test {
    name: String,
    outcome: Outcome,
    message: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Passed,
    Failed,
    Skipped,
}

fn suite(report: &ComparisonReport, metric: Metric) -> Suite {
    let comparison = &report.comparison;
    let judged =
        comparison.cases.iter().filter(|one| one.finding.metric == metric).map(|one| Test {
            name: one.case.to_string(),
            outcome: match one.finding.verdict {
                Verdict::Regressed => Outcome::Failed,
                verdict if report.fail_on.contains(&verdict) => Outcome::Failed,
                Verdict::Inconclusive => Outcome::Skipped,
                Verdict::Improved | Verdict::Equivalent => Outcome::Passed,
            },
            message: visible(&case_sentence(one)),
        });
    let unjudged = comparison.unjudged.iter().filter(|one| one.metric == metric).map(|one| Test {
        name: one.case.to_string(),
        outcome: Outcome::Skipped,
        message: visible(&one.reason),
    });
    Suite::of(metric.as_str(), judged.chain(unjudged).collect())
}

/// Whether trials end with a result.
fn trials(comparison: &Comparison) -> Suite {
    let tests = comparison.broken.iter().map(|one| Test {
        name: one.case.to_string(),
        outcome: if one.is_regression() { Outcome::Failed } else { Outcome::Passed },
        message: broken_sentence(one),
    });
    Suite::of("trials", tests.collect())
}

impl Suite {
    fn of(name: &'static str, tests: Vec<Test>) -> Self {
        let count = |outcome| tests.iter().filter(|test| test.outcome == outcome).count();
        let (failures, skipped) = (count(Outcome::Failed), count(Outcome::Skipped));
        Self { name, tests, failures, skipped }
    }
}

/// XML allows no control characters.
fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
