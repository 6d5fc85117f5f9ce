//! Everything that the report of one dataset shows.

use std::collections::{BTreeMap, BTreeSet};

use super::AppError;
use crate::analysis::{Analysis, analyse};
use crate::id::DatasetId;
use crate::model::{Flag, Histogram, ResourceSample, TimelineSecond, TrialRow};
use crate::query::{Dataset, Residual, Trust, Verified, verify};
use crate::store::{Manifest, Store, TRIALS_FILE};
use crate::units::Rps;

/// What a report shows of a dataset.
#[derive(Clone, Debug)]
pub struct Report {
    /// The dataset's id.
    pub dataset: DatasetId,
    /// What the dataset is.
    pub manifest: Manifest,
    /// Whether the dataset was compared with its hashes.
    pub is_verified: bool,
    /// What it shows.
    pub analysis: Analysis,
    /// Every trial, in the order of cases.
    pub trials: Vec<TrialRow>,
    /// How far each trial is from the others of its case.
    pub residuals: Vec<Residual>,
    /// The seconds of each trial, by trial.
    pub timeline: Vec<(u64, TimelineSecond)>,
    /// What the parts of each trial had used, by trial and part.
    pub resources: Vec<(u64, ResourceSample)>,
    /// The table of trials, byte for byte.
    pub trials_parquet: Vec<u8>,
}

impl Report {
    /// The target rates that were offered, in ascending order: a search finds its own.
    #[must_use]
    pub fn targets(&self) -> Vec<Rps> {
        let all: BTreeSet<Rps> = self.trials.iter().map(|trial| trial.case.target_rps).collect();
        all.into_iter().collect()
    }

    /// How many trials have a flag.
    #[must_use]
    pub fn carried(&self, flag: Flag) -> usize {
        self.trials.iter().filter(|trial| trial.flags.contains(&flag)).count()
    }
}

/// Reads a dataset and analyses it. With [`Trust::Verify`] the dataset is compared with its hashes first.
///
/// # Errors
/// When the dataset cannot be read, or differs from its hashes.
pub async fn report(store: &Store, id: DatasetId, trust: Trust) -> Result<Report, AppError> {
    match trust {
        Trust::Verify => verified(store, id).await,
        Trust::Blind => unverified(store, id).await,
    }
}

async fn verified(store: &Store, id: DatasetId) -> Result<Report, AppError> {
    let Verified { manifest, histograms } = verify(store, id).await?;
    let trials_parquet = store.table(id, &manifest, TRIALS_FILE).await?;
    let dataset = Dataset::open(store, id, Trust::Verify).await?;
    gather(id, manifest, &dataset, &histograms, trials_parquet).await
}

async fn unverified(store: &Store, id: DatasetId) -> Result<Report, AppError> {
    let manifest = store.manifest(id).await?;
    // A damaged table is not offered for download.
    let trials_parquet = store.table(id, &manifest, TRIALS_FILE).await.unwrap_or_default();
    let dataset = Dataset::open(store, id, Trust::Blind).await?;
    let histograms = dataset.histograms().await?;
    let report = gather(id, manifest, &dataset, &histograms, trials_parquet).await?;
    Ok(Report { is_verified: false, ..report })
}

async fn gather(
    id: DatasetId,
    manifest: Manifest,
    dataset: &Dataset,
    histograms: &BTreeMap<u64, Histogram>,
    trials_parquet: Vec<u8>,
) -> Result<Report, AppError> {
    let (trials, timeline) = (dataset.trials().await?, dataset.timeline().await?);
    Ok(Report {
        dataset: id,
        manifest,
        is_verified: true,
        analysis: analyse(&trials, histograms, &timeline),
        trials,
        residuals: dataset.residuals().await?,
        timeline,
        resources: dataset.resources().await?,
        trials_parquet,
    })
}
