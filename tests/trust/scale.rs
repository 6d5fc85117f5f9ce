//! A thousand datasets, for the queries of `tests/store/scale.py`.

use std::path::PathBuf;

use futures::StreamExt;
use perf_api::clock::UnixMillis;
use perf_api::model::{Bucket, Counts, Histogram, Measurement, Outcome};
use perf_api::plan::Overrides;
use perf_api::query::{Limits, Session, Trust};
use perf_api::stats::latency_figures;
use perf_api::store::JournalContent;
use perf_api::units::Nanos;

use super::env::TestEnv;
use super::journal::unsealed;
use super::{amount, datasets, store, wait};

/// Buckets of each trial: fewer than a real one has, so that a thousand fit on a small disk.
const BUCKETS: u64 = 40;

/// Datasets of the full matrix (960 trials), each with numbers of its own, are listed and counted.
/// In the folder that `PERF_API_SCALE_DIR` names they stay, for `tests/store/scale.py`.
#[test]
fn many_datasets_are_listed_and_counted() {
    let temporary = tempfile::tempdir().unwrap();
    let named = std::env::var_os("PERF_API_SCALE_DIR").map(PathBuf::from);
    let target = store(named.as_deref().unwrap_or(temporary.path()));
    let made = amount(3, 1_000);
    let mut content = full_matrix();
    assert_eq!(content.trials.len(), 960);
    for dataset in 0..made {
        content.header.started = UnixMillis(1_767_225_600_000 + dataset * 86_400_000);
        content.header.experiment.seed = dataset;
        for record in &mut content.trials {
            let noise = (u64::from(record.trial.id.0) * 7_919 + dataset * 104_729) % 1_000;
            let histogram = histogram(noise);
            let completed = histogram.completed();
            record.started = content.header.started;
            record.figures = latency_figures(&histogram);
            record.outcome = Outcome::Measured(Measurement {
                counts: Counts {
                    planned: completed,
                    sent: completed,
                    completed,
                    ..Counts::default()
                },
                latency: histogram,
                ..Measurement::default()
            });
        }
        wait(target.seal_content(&content)).unwrap();
    }
    assert_eq!(datasets(&target).len() as u64, made);
    let counted = wait(async {
        let session = Session::open(&target, Trust::Verify, Limits::of(2)).await.unwrap();
        let sql = "select dataset from trials group by dataset having count(*) = 960";
        let plan = session.plans(sql).await.unwrap().remove(0);
        let batches = session.run(plan).await.unwrap().batches;
        batches.map(|batch| batch.unwrap().num_rows() as u64).fold(0, async |a, b| a + b).await
    });
    assert_eq!(counted, made);
    println!("scale: {made} datasets of 960 trials");
}

fn histogram(noise: u64) -> Histogram {
    let bucket = |index: u64| {
        let low = 500_000 + index * 50_000 + noise * 10;
        Bucket {
            low: Nanos(low),
            high: Nanos(low + 400),
            count: 1 + (noise + index) % 97,
            censored: 0,
            served: 1,
        }
    };
    Histogram { buckets: (0..BUCKETS).map(bucket).collect() }
}

/// The journal of a computed run of the full matrix.
fn full_matrix() -> JournalContent {
    let overrides = Overrides { duration: Some("1s".to_owned()), ..Overrides::default() };
    let env = TestEnv::new();
    let path = unsealed(&env, "full", &overrides);
    JournalContent::parse(&std::fs::read(&path).unwrap(), &path).unwrap()
}
