//! Two datasets in, verdicts out.

use std::str::FromStr;

use super::AppError;
use crate::compare::{
    Calibration, CaseFinding, Class, Comparison, GroupFinding, Noted, Rules, Side, Verdict,
    is_comparable, same_host_class,
};
use crate::id::DatasetId;
use crate::model::rules::{ALPHA, DEFAULT_MARGIN};
use crate::model::{Case, Histogram, Interleaved, Metric, Order};
use crate::query::{Dataset, Trust};
use crate::store::{Manifest, Store};
use crate::units::percent;

/// The spec whose datasets are calibrations, before [`CALIBRATION_SINCE`].
const CALIBRATION: &str = "calibrate";
/// The first schema version that records whether a dataset is a calibration.
const CALIBRATION_SINCE: u32 = 5;
/// Distributions that a page shows.
const MAX_DISTRIBUTIONS: usize = 6;

/// How two datasets are compared.
#[derive(Clone, Debug, Default)]
pub struct ComparisonSettings {
    /// The metrics to compare; `None` for all of them.
    pub metrics: Option<Vec<Metric>>,
    /// Compare only cases for which this SQL condition holds.
    pub condition: Option<String>,
    /// The smallest change that matters.
    pub margin: Margin,
    /// The verdicts that fail the job.
    pub fail_on: Vec<Verdict>,
    /// Whether suspicious differences are accepted.
    pub force: bool,
}

impl ComparisonSettings {
    /// The metrics to compare.
    #[must_use]
    pub fn metrics(&self) -> Vec<Metric> {
        self.metrics.clone().unwrap_or_else(|| Metric::ALL.to_vec())
    }
}

/// The smallest change that matters: a share, such as `5%`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Margin(pub f64);

impl Default for Margin {
    fn default() -> Self {
        Self(DEFAULT_MARGIN)
    }
}

impl std::fmt::Display for Margin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}%", percent(self.0))
    }
}

impl FromStr for Margin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let percent = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
        percent
            .filter(|percent| (0.1..=100.0).contains(percent))
            .map(|percent| Self(percent / 100.0))
            .ok_or_else(|| "a share is written `5%`, from 0.1% to 100%".to_owned())
    }
}

/// What a comparison shows.
#[derive(Clone, Debug)]
pub struct ComparisonReport {
    /// The verdicts.
    pub comparison: Comparison,
    /// What the dataset before is.
    pub before: Manifest,
    /// What the dataset after is.
    pub after: Manifest,
    /// Whether suspicious differences were accepted.
    pub is_forced: bool,
    /// Distributions of the cases whose latency changed most.
    pub distributions: Vec<DistributionPair>,
    /// The verdicts that fail the job.
    pub fail_on: Vec<Verdict>,
}

impl ComparisonReport {
    /// The cases that every format lists: those that changed, the largest change first, and those
    /// whose verdict fails the job.
    #[must_use]
    pub fn listed(&self) -> Vec<&CaseFinding> {
        let mut listed = self.comparison.changed();
        let cases = self.comparison.cases.iter();
        listed.extend(cases.filter(|one| {
            let verdict = one.finding.verdict;
            !verdict.is_change() && self.fail_on.contains(&verdict)
        }));
        listed
    }

    /// The groups that every format lists.
    #[must_use]
    pub fn lists(&self, group: &GroupFinding) -> bool {
        let verdict = group.finding.verdict;
        verdict.is_change() || self.fail_on.contains(&verdict)
    }
}

/// The latencies of a case on both sides, of all repetitions.
#[derive(Clone, Debug, PartialEq)]
pub struct DistributionPair {
    /// The case.
    pub case: Case,
    /// Before.
    pub before: Histogram,
    /// After.
    pub after: Histogram,
}

/// Compares two datasets: the baseline, and the one that is judged.
///
/// # Errors
/// When a dataset cannot be read, when the two have nothing in common, or when they cannot be compared and
/// `force` was not given.
pub async fn compare(
    store: &Store,
    [before, after]: [DatasetId; 2],
    settings: &ComparisonSettings,
) -> Result<ComparisonReport, AppError> {
    if before == after {
        return Err(AppError::new(format!("{} is compared with itself", before.short()))
            .hint("choose two datasets: `perf-api results list`"));
    }
    let condition = settings.condition.as_deref();
    let before = side(store, before, condition).await?;
    let after = side(store, after, condition).await?;
    gather(store, before, after, settings).await
}

/// The samples of a dataset.
pub(super) async fn side(
    store: &Store,
    id: DatasetId,
    condition: Option<&str>,
) -> Result<Side, AppError> {
    let dataset = Dataset::open(store, id, Trust::Verify).await?;
    let samples = dataset.samples(condition).await?;
    Ok(Side { dataset: id, manifest: store.manifest(id).await?, samples })
}

async fn gather(
    store: &Store,
    before: Side,
    after: Side,
    settings: &ComparisonSettings,
) -> Result<ComparisonReport, AppError> {
    for side in [&before, &after] {
        if side.manifest.order == Order::Search {
            return Err(AppError::new(format!(
                "cannot compare {}, a search for capacity: its trials do not repeat the same cases",
                side.dataset.short()
            ))
            .hint(format!(
                "`perf-api results show {}` shows what it found",
                side.dataset.short()
            )));
        }
    }
    let is_interleaved = before.manifest.interleaved.is_some()
        && before.manifest.interleaved == after.manifest.interleaved;
    let calibration = match is_interleaved {
        true => None,
        false => calibration(store, &after.manifest, &[before.dataset, after.dataset]).await?,
    };
    let rules = Rules {
        metrics: settings.metrics(),
        margin: settings.margin.0,
        alpha: match &after.manifest.interleaved {
            Some(interleaved) if is_interleaved => Interleaved::alpha(ALPHA, interleaved.looks),
            _ => ALPHA,
        },
        is_interleaved,
        calibration,
    };
    let comparison = crate::compare::compare(&before, &after, &rules);
    if comparison.cases.is_empty() && comparison.unjudged.is_empty() {
        return Err(AppError::new("the two datasets have no case in common").hint(
            "`perf-api results show DATASET` shows the cases of each; `--where` may exclude all of them",
        ));
    }
    let is_forced = !is_comparable(&comparison.noted);
    if is_forced && !settings.force {
        return Err(refusal(&comparison.noted));
    }
    let distributions = distributions(store, &comparison).await?;
    Ok(ComparisonReport {
        comparison,
        before: before.manifest,
        after: after.manifest,
        is_forced,
        distributions,
        fail_on: settings.fail_on.clone(),
    })
}

/// Why two datasets are not compared without `force`.
#[must_use]
pub fn refusal(noted: &[Noted]) -> AppError {
    let suspicious = noted.iter().filter(|one| one.class == Class::Suspicious);
    let differences: Vec<String> = suspicious
        .map(|one| format!("{}: {} before, {} after", one.what, one.before, one.after))
        .collect();
    AppError::new(format!(
        "cannot compare these datasets: more differs than the components under test:\n  {}",
        differences.join("\n  ")
    ))
    .hint(
        "measure both on one host, with one program and one spec: `perf-api ab` does so in one run",
    )
    .hint("`--force` compares anyway, and the comparison lists the differences")
}

/// What the calibrations show that were made on such a host in such a way, without the datasets that are
/// compared. The two sides of an interleaved run are not two runs.
pub(super) async fn calibration(
    store: &Store,
    baseline: &Manifest,
    compared: &[DatasetId],
) -> Result<Option<Calibration>, AppError> {
    let mut sessions = Vec::new();
    for listed in store.list().await? {
        let Ok(manifest) = listed.manifest else { continue };
        let is_alike = is_calibration(&manifest)
            && manifest.interleaved.is_none()
            && !compared.contains(&listed.id)
            && manifest.launcher == baseline.launcher
            && manifest.load_driver == baseline.load_driver
            && same_host_class(&manifest.host, &baseline.host);
        if is_alike {
            sessions.push(side(store, listed.id, None).await?);
        }
    }
    Ok(Calibration::of(&sessions))
}

/// Whether `perf-api calibrate` made a dataset. Older ones have only the name of their spec.
fn is_calibration(manifest: &Manifest) -> bool {
    let experiment = &manifest.experiment;
    experiment.is_calibration
        || manifest.schema_version < CALIBRATION_SINCE && experiment.name == CALIBRATION
}

/// The distributions of the cases whose latency changed most.
async fn distributions(
    store: &Store,
    comparison: &Comparison,
) -> Result<Vec<DistributionPair>, AppError> {
    let mut cases: Vec<&Case> = Vec::new();
    for one in comparison.changed() {
        if one.finding.metric.is_latency() && !cases.contains(&&one.case) {
            cases.push(&one.case);
        }
    }
    cases.truncate(MAX_DISTRIBUTIONS);
    if cases.is_empty() {
        return Ok(vec![]);
    }
    let before = Dataset::open(store, comparison.before, Trust::Verify).await?;
    let after = Dataset::open(store, comparison.after, Trust::Verify).await?;
    let mut pairs = Vec::new();
    for case in cases {
        let (before, after) = (before.distribution(case).await?, after.distribution(case).await?);
        pairs.push(DistributionPair { case: case.clone(), before, after });
    }
    Ok(pairs)
}
