//! A thousand datasets, for `tests/store/scale.py` to ask.

use std::path::Path;

use perf_api::clock::UnixMillis;
use perf_api::model::{Bucket, Counts, Histogram, Measurement, Outcome};
use perf_api::plan::Overrides;
use perf_api::stats::latency_figures;
use perf_api::store::JournalContent;
use perf_api::units::Nanos;

use super::env::TestEnv;
use super::journal::unsealed;
use super::{datasets, store, wait};

/// Datasets to make.
const DATASETS: u64 = 1_000;
/// Buckets of each trial: fewer than a real one has, so that a thousand fit on a small disk.
const BUCKETS: u64 = 40;

/// Makes the datasets in the folder that `PERF_API_SCALE_DIR` names: the trials of the full matrix
/// (960), each with numbers of its own.
#[test]
#[ignore = "makes files: `make scale-test`"]
fn make_a_thousand_datasets() {
    let target = std::env::var("PERF_API_SCALE_DIR").expect("PERF_API_SCALE_DIR names a folder");
    let target = store(Path::new(&target));
    let mut content = full_matrix();
    assert_eq!(content.trials.len(), 960);
    for dataset in 0..DATASETS {
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
    println!("{} datasets of {} trials", datasets(&target).len(), content.trials.len());
}

fn histogram(noise: u64) -> Histogram {
    let bucket = |index: u64| {
        let low = 500_000 + index * 50_000 + noise * 10;
        Bucket {
            low: Nanos(low),
            high: Nanos(low + 400),
            count: 1 + (noise + index) % 97,
            censored: 0,
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
