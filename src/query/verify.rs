//! Whether a dataset is what it says, down to its figures: they must follow from its distributions.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, Int64Array, RecordBatch};
use datafusion::arrow::datatypes::{Int64Type, Schema, SchemaRef};
use futures::{StreamExt, TryStreamExt};

use super::order::{Place, wrong_order};
use super::{Answers, LATENCY, Limits, ORPHAN_ROWS, QueryError, Row, Session, Trust, VERIFY};
use crate::id::DatasetId;
use crate::model::{Bucket, Flag, Histogram, QUANTILES, Quantile, SERVICE_QUANTILES, with_causes};
use crate::stats::{latency_figures, service_figures};
use crate::store::{
    FILE_NAMES, LatencyColumns, Manifest, Store, StoreError, TRIALS_FILE, arrow_schemas,
};
use crate::units::Nanos;

/// A dataset that is what it says.
#[derive(Debug)]
pub struct Verified {
    /// Its manifest.
    pub manifest: Manifest,
    /// The latencies of each measured trial: they were read to be checked, and are most of a dataset.
    pub histograms: BTreeMap<u64, Histogram>,
}

/// Checks everything about a dataset: hashes, sizes, schema, rows; that its trials are those of its
/// experiment; and that whatever follows from something else does: counts and latency figures from
/// the distribution, rates from counts, validity from flags, use of CPU and memory from the samples.
///
/// # Errors
/// When a file cannot be read, is missing, or is not what it should be.
pub async fn verify(store: &Store, id: DatasetId) -> Result<Verified, StoreError> {
    let manifest = store.check(id).await?;
    let object = format!("{}/{id}", store.name());
    let checked = match Session::open_one(store, id, Trust::Verify, Limits::of(1)).await {
        Ok(session) => check(&session, &manifest).await,
        Err(error) => Err(error),
    };
    match checked {
        Ok(Ok(histograms)) => Ok(Verified { manifest, histograms }),
        Ok(Err(message)) => Err(StoreError::Corrupt { object, message }),
        // Its hashes were right a moment ago, so what cannot be read was written wrongly.
        Err(error) => Err(StoreError::Corrupt { object, message: with_causes(&error) }),
    }
}

/// The latencies of a dataset, or what is wrong with it.
async fn check(session: &Session, manifest: &Manifest) -> Result<Checked, QueryError> {
    let orphan_rows = session.ask(ORPHAN_ROWS).await?;
    if orphan_rows.iter().any(|batch| batch.num_rows() > 0) {
        let wrong = "a table has rows of a trial that `trials` has not measured";
        return Ok(Err(wrong.to_owned()));
    }
    let histograms = match histograms(session).await? {
        Ok(histograms) => histograms,
        Err(wrong) => return Ok(Err(wrong)),
    };
    let answers = Answers::new(VERIFY, &session.ask(VERIFY).await?)?;
    let columns = trials_columns(manifest.schema_version);
    let found: Vec<Option<String>> = answers.rows(|row| {
        let own = histograms.get(&row.count("trial")?);
        wrong_figure(row, own.unwrap_or(&Histogram::default()), manifest, &columns)
    })?;
    if let Some((trial, wrong)) = found.iter().zip(0..).find_map(|(w, n)| Some((n, w.as_ref()?))) {
        return Ok(Err(format!("row {trial} of `trials`: {wrong}")));
    }
    let trials = answers.rows(place)?;
    if let Some(wrong) = wrong_order(&manifest.experiment, manifest.order, &trials) {
        return Ok(Err(wrong.to_owned()));
    }
    let failed = answers.rows(|row| row.has("failure_stage"))?;
    let failed = failed.iter().filter(|&&is_failed| is_failed).count() as u64;
    let counts = [
        ("trials", manifest.trials, trials.len() as u64),
        ("failed trials", manifest.failed_trials, failed),
    ];
    let wrong = counts.into_iter().find(|(_, listed, own)| listed.is_some_and(|n| n != *own));
    Ok(match wrong {
        Some((what, _, own)) => Err(format!("it has {own} {what}; its manifest lists others")),
        None => Ok(histograms),
    })
}

fn place(row: &Row<'_>) -> Result<Place, QueryError> {
    Ok(Place {
        trial: row.count("trial")?,
        position: row.count("position")?,
        block: row.count("block")?,
        case: row.case()?,
    })
}

/// The first figure of a trial that does not follow from what it should follow from.
fn wrong_figure(
    row: &Row<'_>,
    histogram: &Histogram,
    manifest: &Manifest,
    columns: &Schema,
) -> Result<Option<String>, QueryError> {
    let is_measured = !row.has("failure_stage")?;
    let seconds = manifest.experiment.duration.0.as_secs_f64();
    let completed = row.maybe_count("completed")?;
    let drained = row.maybe_count("drained")?;
    let completed_in_window =
        completed.map(|completed| completed.saturating_sub(drained.unwrap_or(0)));
    let failed_kinds: BTreeMap<String, u64> = match row.has("failed_kinds")? {
        true => serde_json::from_str(&row.text("failed_kinds")?).unwrap_or_default(),
        false => BTreeMap::new(),
    };
    let failed = failed_kinds.values().fold(0, |sum, kind| u64::saturating_add(sum, *kind));
    let parts = [completed, row.maybe_count("failed")?, row.maybe_count("censored")?];
    let sum = parts.iter().try_fold(0_u64, |sum, part| sum.checked_add((*part)?));
    let own = |count: u64| is_measured.then_some(count);
    if drained > completed {
        return Ok(Some("`drained` is more than `completed`".to_owned()));
    }
    for (column, expected) in [
        ("completed", own(histogram.completed())),
        ("completed", row.maybe_count("seen_completed")?),
        ("censored", own(histogram.censored())),
        ("failed", own(failed)),
        ("planned", sum),
        ("loader_peak_memory_bytes", row.maybe_count("seen_loader_memory")?),
        ("app_peak_memory_bytes", row.maybe_count("seen_app_memory")?),
        ("store_peak_memory_bytes", row.maybe_count("seen_store_memory")?),
    ] {
        let recorded = row.maybe_count(column)?;
        if recorded != expected {
            let text = |count: Option<u64>| count.map_or("none".to_owned(), |n| n.to_string());
            return Ok(Some(format!(
                "`{column}` is {}, and should be {}",
                text(recorded),
                text(expected)
            )));
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "as it was computed")]
    let rate = completed_in_window.map(|completed| completed as f64 / seconds);
    let cpu = |nanos: Option<u64>| nanos.map(|nanos| Nanos(nanos).as_secs_f64());
    for (column, expected) in [
        ("duration_s", Some(seconds)),
        ("achieved_rps", rate),
        ("loader_cpu_s", cpu(row.maybe_count("seen_loader_ns")?)),
        ("app_cpu_s", cpu(row.maybe_count("seen_app_ns")?)),
        ("store_cpu_s", cpu(row.maybe_count("seen_store_ns")?)),
        ("app_throttled_s", cpu(row.maybe_count("seen_app_throttled")?)),
        ("store_throttled_s", cpu(row.maybe_count("seen_store_throttled")?)),
    ] {
        if row.number(column)? != expected {
            return Ok(Some(format!("`{column}` does not follow from the rest")));
        }
    }
    let flags = row.text("flags")?;
    let forbids = |name: &str| {
        Flag::ALL
            .iter()
            .find(|flag| flag.as_str() == name)
            .is_none_or(|flag| flag.forbids_ranking())
    };
    let is_ranked = is_measured && !flags.split(',').filter(|name| !name.is_empty()).any(forbids);
    if row.truth("is_valid")? != is_ranked {
        return Ok(Some("`is_valid` does not follow from flags and failure".to_owned()));
    }
    wrong_latency(row, histogram, columns)
}

/// The columns that `trials` has in a version of the tables.
fn trials_columns(version: u32) -> SchemaRef {
    let mut tables = FILE_NAMES.into_iter().zip(arrow_schemas(version));
    let trials = tables.find(|(file, _)| *file == TRIALS_FILE);
    trials.map_or_else(|| Arc::new(Schema::empty()), |(_, columns)| columns)
}

/// The first latency figure of a trial that does not follow from its distribution, of those that
/// the dataset's version has.
fn wrong_latency(
    row: &Row<'_>,
    histogram: &Histogram,
    columns: &Schema,
) -> Result<Option<String>, QueryError> {
    let figures = latency_figures(histogram);
    let is_known = |column: &str| columns.column_with_name(column).is_some();
    for name in std::iter::once("mean").chain(QUANTILES.iter().map(|one| one.name)) {
        let LatencyColumns { value: column, is_bound, high } = LatencyColumns::of(name);
        if !is_known(&column) {
            continue;
        }
        let recorded = match row.has(&is_bound)? {
            true => Some((row.maybe_count(&column)?, row.truth(&is_bound)?)),
            false => None,
        };
        let expected = figures.get(name).map(|figure| (Some(figure.value.0), figure.is_bound));
        if recorded != expected {
            return Ok(Some(format!("`{column}` does not follow from `latency`")));
        }
        if is_known(&high) {
            let expected = figures.get(name).and_then(|figure| figure.high);
            if row.maybe_count(&high)?.map(Nanos) != expected {
                return Ok(Some(format!("`{high}` does not follow from `latency`")));
            }
        }
    }
    let served = service_figures(histogram);
    for Quantile { name, .. } in SERVICE_QUANTILES {
        let column = format!("{name}_ns");
        if is_known(&column)
            && row.maybe_count(&column)? != served.get(name).map(|figure| figure.value.0)
        {
            return Ok(Some(format!("`{column}` does not follow from `latency`")));
        }
    }
    Ok(None)
}

/// The latencies of each measured trial, or what is wrong.
type Checked = Result<BTreeMap<u64, Histogram>, String>;

/// The distribution of each trial, or what is wrong with one.
pub(super) async fn histograms(session: &Session) -> Result<Checked, QueryError> {
    let mut histograms: BTreeMap<u64, Histogram> = BTreeMap::new();
    let mut batches = Vec::new();
    for plan in session.plans(LATENCY.sql).await? {
        batches.push(session.run(plan).await?.batches);
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
        column.as_primitive_opt::<Int64Type>()
    };
    let trial = batch.column_by_name("trial").and_then(|c| c.as_primitive_opt::<Int64Type>());
    let trial = trial.ok_or_else(missing)?;
    let [low, high, answered, censored, served] =
        ["low_ns", "high_ns", "count", "censored", "served"].map(count);
    let (low, high) = (low.ok_or_else(missing)?, high.ok_or_else(missing)?);
    let (answered, censored) = (answered.ok_or_else(missing)?, censored.ok_or_else(missing)?);
    // Missing before version 3.
    let served = served.ok_or_else(missing)?;
    let number = |trial: u64, column: &Int64Array, row: usize| {
        let negative = |_| format!("trial {trial}: a bucket has a negative number");
        u64::try_from(column.value(row)).map_err(negative)
    };
    let mut row = 0;
    // Runs of rows of one trial: looking it up for each row would take most of the time.
    for run in trial.values().chunk_by(|a, b| a == b) {
        let id = u64::try_from(run[0]).map_err(|_| "`latency` has a negative trial".to_owned())?;
        let is_back = histograms.last_key_value().is_some_and(|(last, _)| *last > id);
        let own = &mut histograms.entry(id).or_default().buckets;
        own.reserve(run.len());
        for row in row..row + run.len() {
            let bucket = Bucket {
                low: Nanos(number(id, low, row)?),
                high: Nanos(number(id, high, row)?),
                count: number(id, answered, row)?,
                censored: number(id, censored, row)?,
                served: if served.is_null(row) { 0 } else { number(id, served, row)? },
            };
            let follows = own.last().is_none_or(|last| last.high < bucket.low);
            if is_back
                || !follows
                || bucket.high < bucket.low
                || (bucket.count, bucket.censored, bucket.served) == (0, 0, 0)
            {
                return Err(format!(
                    "trial {id}: a bucket at {} ns is empty, out of order, or overlaps another",
                    bucket.low.0
                ));
            }
            own.push(bucket);
        }
        row += run.len();
    }
    Ok(())
}
