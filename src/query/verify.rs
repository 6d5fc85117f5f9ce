//! Whether a dataset is what it says, down to its figures: they must follow from its distributions.

use std::collections::BTreeMap;

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::{UInt32Type, UInt64Type};
use futures::{StreamExt, TryStreamExt};

use super::{Answers, Archive, QueryError, Row, Trust};
use crate::id::DatasetId;
use crate::model::{Bucket, Histogram, QUANTILES, with_causes};
use crate::stats::latency_figures;
use crate::store::{Manifest, Store, StoreError};
use crate::units::Nanos;

/// Checks everything about a dataset: hashes, sizes, schema, rows; that each trial's counts add up;
/// and that its counts and latency figures are those of the table `latency`.
///
/// # Errors
/// When a file cannot be read, is missing, or is not what it should be.
pub async fn verify(store: &Store, id: DatasetId) -> Result<Manifest, StoreError> {
    let manifest = store.check(id).await?;
    let object = format!("{}/{id}", store.location());
    let corrupt = |message| StoreError::Corrupt { object: object.clone(), message };
    let archive = Archive::open_one(store, id, Trust::Verify).await?;
    let checked = check(&archive, &manifest).await;
    match checked {
        Ok(None) => Ok(manifest),
        Ok(Some(wrong)) => Err(corrupt(wrong)),
        // Its hashes were right a moment ago, so what cannot be read was written wrongly.
        Err(error) => Err(corrupt(with_causes(&error))),
    }
}

/// What is wrong with the figures of a dataset, if anything is.
async fn check(archive: &Archive, manifest: &Manifest) -> Result<Option<String>, QueryError> {
    let mut histograms = match histograms(archive).await? {
        Ok(histograms) => histograms,
        Err(wrong) => return Ok(Some(wrong)),
    };
    let question = "verify.sql";
    let batches = archive.ask(question, include_str!("verify.sql")).await?;
    let answers = Answers { question, batches };
    let checked = answers.rows(|row| {
        let trial = row.count("trial")?;
        Ok((trial, row.has("planned")?, Trial::read(row)?))
    })?;
    let (mut measured, total) = (0, checked.len());
    for (trial, is_measured, told) in checked {
        measured += usize::from(is_measured);
        let own = histograms.remove(&trial).unwrap_or_default();
        if let Some(wrong) = told.differs_from(&own, is_measured) {
            return Ok(Some(format!("trial {trial}: {wrong}")));
        }
    }
    if let Some(trial) = histograms.keys().next() {
        return Ok(Some(format!("`latency` has a trial {trial} that `trials` has not")));
    }
    let counts = [
        ("trials", manifest.trials, total),
        ("failed trials", manifest.failed_trials, total - measured),
    ];
    let wrong = counts.into_iter().find(|(_, listed, counted)| {
        listed.is_some_and(|listed| usize::try_from(listed) != Ok(*counted))
    });
    Ok(wrong.map(|(what, listed, counted)| {
        format!("it has {counted} {what}; its manifest lists {}", listed.unwrap_or_default())
    }))
}

/// What a row of `trials` says that follows from `latency`.
struct Trial {
    planned: Option<u64>,
    completed: Option<u64>,
    failed: Option<u64>,
    censored: Option<u64>,
    figures: BTreeMap<String, (u64, bool)>,
}

impl Trial {
    fn read(row: &Row<'_>) -> Result<Self, QueryError> {
        let mut figures = BTreeMap::new();
        for name in std::iter::once("mean").chain(QUANTILES.iter().map(|&(_, name)| name)) {
            let (value, bound) = (format!("latency_{name}_ns"), format!("latency_{name}_is_bound"));
            if row.has(&value)? {
                let value = row.maybe_count(&value)?.unwrap_or_default();
                figures.insert(name.to_owned(), (value, row.truth(&bound)?));
            }
        }
        Ok(Self {
            planned: row.maybe_count("planned")?,
            completed: row.maybe_count("completed")?,
            failed: row.maybe_count("failed")?,
            censored: row.maybe_count("censored")?,
            figures,
        })
    }

    fn differs_from(&self, histogram: &Histogram, is_measured: bool) -> Option<String> {
        let own = |count: u64| is_measured.then_some(count);
        let parts = [self.completed, self.failed, self.censored];
        let sum = parts.iter().try_fold(0_u64, |sum, part| sum.checked_add((*part)?));
        for (name, told, found) in [
            ("completed", self.completed, own(histogram.completed())),
            ("censored", self.censored, own(histogram.censored())),
            ("planned", self.planned, sum),
        ] {
            if told != found {
                let text = |count: Option<u64>| count.map_or("none".to_owned(), |n| n.to_string());
                return Some(format!("`{name}` is {}, and should be {}", text(told), text(found)));
            }
        }
        let figures = latency_figures(histogram);
        let found: BTreeMap<String, (u64, bool)> = figures
            .into_iter()
            .map(|(name, figure)| (name, (figure.value.0, figure.is_bound)))
            .collect();
        let names = self.figures.keys().chain(found.keys());
        let mut wrong = names.filter(|name| self.figures.get(*name) != found.get(*name));
        wrong.next().map(|name| format!("`latency_{name}_ns` does not follow from `latency`"))
    }
}

/// The distribution of each trial, or what is wrong with one.
async fn histograms(
    archive: &Archive,
) -> Result<Result<BTreeMap<u64, Histogram>, String>, QueryError> {
    let mut histograms: BTreeMap<u64, Histogram> = BTreeMap::new();
    let mut batches = Vec::new();
    for plan in archive.plans(include_str!("latency.sql")).await? {
        batches.push(archive.run(plan).await?.batches);
    }
    let mut batches = futures::stream::iter(batches).flatten();
    while let Some(batch) = batches.try_next().await? {
        if let Err(wrong) = add(&mut histograms, &batch) {
            return Ok(Err(wrong));
        }
    }
    Ok(Ok(histograms))
}

fn add(histograms: &mut BTreeMap<u64, Histogram>, batch: &RecordBatch) -> Result<(), String> {
    let missing = || "`latency` has not the columns of its schema".to_owned();
    let count = |name: &str| {
        let column = batch.column_by_name(name)?;
        column.as_primitive_opt::<UInt64Type>()
    };
    let trial = batch.column_by_name("trial").and_then(|c| c.as_primitive_opt::<UInt32Type>());
    let trial = trial.ok_or_else(missing)?;
    let [low, high, answered, censored] =
        [count("low_ns"), count("high_ns"), count("count"), count("censored")];
    let (low, high) = (low.ok_or_else(missing)?, high.ok_or_else(missing)?);
    let (answered, censored) = (answered.ok_or_else(missing)?, censored.ok_or_else(missing)?);
    for row in 0..batch.num_rows() {
        let bucket = Bucket {
            low: Nanos(low.value(row)),
            high: Nanos(high.value(row)),
            count: answered.value(row),
            censored: censored.value(row),
        };
        let own = &mut histograms.entry(trial.value(row).into()).or_default().buckets;
        let follows = own.last().is_none_or(|last| last.high < bucket.low);
        if !follows || bucket.high < bucket.low || (bucket.count, bucket.censored) == (0, 0) {
            return Err(format!("trial {}: a bucket at {} ns", trial.value(row), bucket.low.0)
                + " is empty or overlaps another");
        }
        own.push(bucket);
    }
    Ok(())
}
