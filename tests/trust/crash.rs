//! Runs that are killed at any moment: no finished trial is lost or repeated.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use datafusion::arrow::array::{AsArray, BooleanArray, RecordBatch};
use datafusion::arrow::compute::{concat_batches, filter_record_batch};
use datafusion::arrow::datatypes::Int64Type;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use perf_api::id::{DatasetId, RunId};
use perf_api::store::{JournalContent, Store, StoreError, tables};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::{amount, datasets, store, verify};

/// The commands of a run and of its resumption.
struct Program {
    dir: PathBuf,
    run: Vec<String>,
    resume: Vec<String>,
}

impl Program {
    fn new(dir: &Path, run: &str, common: &str) -> Self {
        let args = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        Self {
            dir: dir.to_owned(),
            run: args(&format!("{run} {common}")),
            resume: args(&format!("resume {common}")),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the program under test")]
    fn start(&self, args: &[String], results: &Path) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_perf-api"));
        command.args(args).arg("--results").arg(results).current_dir(&self.dir);
        command.env("XDG_CACHE_HOME", Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"));
        command.env("PERF_API_SKIP_CEILINGS", "1");
        // Another run on this machine must not fail the test.
        if std::env::var_os("PERF_API_RESERVATIONS").is_none() {
            command.env("PERF_API_RESERVATIONS", env!("CARGO_TARGET_TMPDIR"));
        }
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }
}

/// What a killed run left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Left {
    Nothing,
    Trials,
    HalfSealed,
    SealedWithJournal,
    Sealed,
}

/// The unfinished run, its journal, and everything that is left.
fn inspect(store: &Store, results: &Path) -> (Left, Option<(RunId, JournalContent)>) {
    let is_half = |name: &str| name.starts_with(".unfinished-");
    let mut names = results.read_dir().unwrap().flatten();
    let half = names.any(|entry| is_half(&entry.file_name().to_string_lossy()));
    let sealed = !datasets(store).is_empty();
    let unfinished = match store.unfinished("latest") {
        Ok(run) => Some((run.clone(), store.journal(&run).unwrap())),
        Err(StoreError::NoRun { .. }) => None,
        Err(error) => panic!("{error}"),
    };
    let left = match (&unfinished, sealed, half) {
        (None, false, _) => Left::Nothing,
        (None, true, _) => Left::Sealed,
        (Some(_), true, _) => Left::SealedWithJournal,
        (Some(_), false, true) => Left::HalfSealed,
        (Some(_), false, false) => Left::Trials,
    };
    (left, unfinished)
}

/// Runs the program, kills it at each of `moments`, and then lets it end. Returns what each kill left, and
/// the dataset.
fn run_with_kills(
    program: &Program,
    results: &Path,
    moments: &[Moment],
    counts: &mut Counts,
) -> DatasetId {
    std::fs::create_dir_all(results).unwrap();
    let store = store(results);
    let mut finished: Vec<JournalContent> = Vec::new();
    for attempt in 0.. {
        assert!(attempt < moments.len() + 3, "it does not come to an end");
        let (left, unfinished) = inspect(&store, results);
        if left == Left::Sealed {
            break;
        }
        let args = if unfinished.is_some() { &program.resume } else { &program.run };
        let mut child = program.start(args, results);
        match moments.get(attempt) {
            Some(moment) => {
                moment.wait(results, &mut child);
                // SIGKILL: no handler, no clean-up.
                child.kill().unwrap();
                let status = child.wait().unwrap();
                let (left, unfinished) = inspect(&store, results);
                match status.signal() {
                    Some(_) => *counts.left.entry(left).or_default() += 1,
                    None => assert!([Some(0), Some(3)].contains(&status.code()), "{status}"),
                }
                finished.extend(unfinished.map(|(_, content)| content));
            }
            None => {
                let status = child.wait().unwrap();
                // 3: some trials failed, which is data.
                assert!([Some(0), Some(3)].contains(&status.code()), "{status}");
            }
        }
    }
    let [id] = datasets(&store)[..] else { panic!("not one dataset") };
    verify(&store, id).unwrap();
    for content in &finished {
        counts.kept += content.trials.len();
        check_kept(content, &results.join(id.to_string()));
    }
    id
}

/// When to kill.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// After a time.
    After(Duration),
    /// A time after the first sign of sealing.
    Sealing(Duration),
}

impl Moment {
    fn wait(self, results: &Path, child: &mut Child) {
        let after = match self {
            Self::After(after) => after,
            Self::Sealing(after) => {
                let is_half = |name: &str| name.starts_with(".unfinished-");
                let begun = || {
                    let mut names = results.read_dir().unwrap().flatten();
                    names.any(|entry| is_half(&entry.file_name().to_string_lossy()))
                };
                while !begun() && child.try_wait().unwrap().is_none() {
                    std::hint::spin_loop();
                }
                after
            }
        };
        let start = now();
        while start.elapsed() < after && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_micros(100));
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a stopwatch for kills")]
fn now() -> Instant {
    Instant::now()
}

/// The counts of the test.
#[derive(Debug, Default)]
struct Counts {
    left: BTreeMap<Left, usize>,
    kept: usize,
}

/// Checks that the dataset's tables have every finished trial of a journal unchanged.
fn check_kept(content: &JournalContent, dataset: &Path) {
    let wanted: Vec<i64> = content.trials.iter().map(|record| record.trial.id.0.into()).collect();
    for table in tables(content.header.experiment.duration.0, &content.trials) {
        let file = std::fs::File::open(dataset.join(table.file_name())).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
        let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
        let Some(first) = batches.first() else { continue };
        let stored = concat_batches(&first.schema(), &batches).unwrap();
        let trials = stored.column_by_name("trial").unwrap().as_primitive::<Int64Type>();
        let is_wanted: BooleanArray =
            trials.values().iter().map(|trial| Some(wanted.binary_search(trial).is_ok())).collect();
        let stored = filter_record_batch(&stored, &is_wanted).unwrap();
        for (column, stored) in table.columns.iter().zip(stored.columns()) {
            assert_eq!(
                &column.values, stored,
                "{}.{} was lost or changed",
                table.name, column.name
            );
        }
    }
}

#[test]
fn a_killed_run_can_be_resumed_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::fs::copy(root.join("tests/fixtures/bundle.json"), dir.path().join("bundle.json")).unwrap();
    let fake = Program::new(
        dir.path(),
        "quick --repetitions 4 --qps 1000,5000,20000 --workers 1,2",
        "--fake --fixed-clock --no-progress",
    );
    let start = now();
    let mut counts = Counts::default();
    let reference = run_with_kills(&fake, &dir.path().join("reference"), &[], &mut counts);
    let whole = start.elapsed();
    let mut rng = ChaCha8Rng::seed_from_u64(20_261_123);
    let mut kills = 0;
    while kills < amount(6, 95) {
        let results = dir.path().join(format!("killed-{kills}"));
        let moments: Vec<Moment> = (0..=kills % 3).map(|_| moment(&mut rng, whole)).collect();
        let before: usize = counts.left.values().sum();
        let id = run_with_kills(&fake, &results, &moments, &mut counts);
        assert_eq!(id, reference, "another dataset after {moments:?}");
        kills += counts.left.values().sum::<usize>() - before;
        std::fs::remove_dir_all(results).unwrap();
    }
    println!(
        "crash-test, computed loads: {kills} kills of a run of {whole:.1?}, which left {:?}",
        counts.left
    );
    println!("  every run ended as {reference}, like the one that was never killed");
    println!("  {} finished trials were in journals: 0 lost, 0 run twice", counts.kept);
    real_kills(root, dir.path(), &mut rng);
}

fn moment(rng: &mut ChaCha8Rng, whole: Duration) -> Moment {
    match rng.random_range(0..4) {
        0 => Moment::Sealing(Duration::from_micros(rng.random_range(0..20_000))),
        _ => Moment::After(whole.mul_f64(rng.random_range(0.0..0.7))),
    }
}

/// The same with real servers, where no two runs give the same numbers.
fn real_kills(root: &Path, dir: &Path, rng: &mut ChaCha8Rng) {
    let real = Program::new(
        root,
        "quick --launcher process --stores redis --qps 200,400 --repetitions 2 --duration 1s",
        "--no-progress",
    );
    let mut counts = Counts::default();
    let mut kills = 0;
    while kills < amount(1, 5) {
        let results = dir.join("real");
        let moment = Moment::After(Duration::from_millis(rng.random_range(1_000..15_000)));
        let before: usize = counts.left.values().sum();
        run_with_kills(&real, &results, &[moment], &mut counts);
        kills += counts.left.values().sum::<usize>() - before;
        std::fs::remove_dir_all(results).unwrap();
    }
    println!("crash-test, real servers: {kills} kills, which left {:?}", counts.left);
    println!(
        "  {} finished trials were in journals, and are in the datasets as journalled: 0 lost, 0 run twice",
        counts.kept
    );
}
