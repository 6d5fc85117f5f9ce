//! `perf-api run`, `quick` and `full`: measure.

use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use super::report::{gather, shown, write};
use super::{experiment, missing, missing_table};
use crate::cli::args;
use crate::cli::error::{CliError, INTERRUPTED, TRIALS_FAILED};
use crate::cli::output::{Progress, note, print, table};
use crate::clock::{Clock, UnixMillis};
use crate::exec;
use crate::host::{Topology, fingerprint, raise_open_file_limit};
use crate::id::RunId;
use crate::launch::{FakeLauncher, Launcher, ProcessLauncher};
use crate::load::{FakeLoad, LoadDriver, OhaLoad};
use crate::model::{Bundle, ComponentName, Experiment, Fingerprint, Plan};
use crate::query::CaseSummary;
use crate::report::{p95_text, rate_text};
use crate::run::{RunRequest, RunSummary};
use crate::store::Store;

/// More rows than this are for the report, not for the terminal.
const MOST_ROWS: usize = 40;

pub(in crate::cli) async fn run(
    spec: &str,
    args: &args::Run,
    allow_missing: bool,
) -> Result<ExitCode, CliError> {
    let bundle = crate::bundle::read(&args.places.bundle)?;
    let experiment = experiment(spec, &args.factors, &bundle)?;
    let missing = match args.fake {
        true => Vec::new(),
        false => missing(&experiment, &bundle),
    };
    let experiment = without(experiment, &missing, &bundle, args.allow_missing || allow_missing)?;
    if !args.fake {
        check_components(&experiment, &bundle)?;
        check_open_files(&experiment)?;
        let ended = exec::sweep();
        if !ended.is_empty() {
            note(&format!("ended {} processes that an earlier run had left behind", ended.len()));
        }
    }
    let store = Store::open(&args.places.results)?;
    let lock = store.lock()?;
    let plan = crate::plan::plan(&experiment);
    let summary = measure(args, &plan, &bundle, missing, &store).await?;
    drop(lock);
    conclude(&store, summary).await
}

/// Runs a plan, with progress on the screen, until its end or a signal.
async fn measure(
    args: &args::Run,
    plan: &Plan,
    bundle: &Bundle,
    unavailable: Vec<ComponentName>,
    store: &Store,
) -> Result<RunSummary, CliError> {
    let mut outside = Outside::new(args.fake, plan.experiment.seed)?;
    let id = outside.run_id();
    let request = RunRequest {
        id: id.clone(),
        plan,
        bundle,
        unavailable,
        topology: &outside.topology,
        host: outside.host.clone(),
        launcher: outside.launcher.as_mut(),
        driver: outside.driver.as_mut(),
        store,
        clock: &outside.clock,
    };
    let mut progress = Progress::new(plan, args.no_progress);
    let mut done = 0;
    let mut on_event = |event: &crate::run::Event<'_>| {
        done += usize::from(matches!(event, crate::run::Event::Done(_)));
        progress.on_event(event);
    };
    // The run is dropped when a signal wins; that ends its children.
    let finished = tokio::select! {
        finished = crate::run::run(request, &mut on_event) => Some(finished),
        name = interrupted() => { note(&format!("\n{name}: stopping")); None }
    };
    progress.finish();
    exec::end_all().await?;
    match finished {
        Some(Ok(summary)) => Ok(summary),
        Some(Err(error)) => Err(error.into()),
        None => {
            let journal = store.root().join("journal").join(&id.0);
            let total = plan.trials.len();
            let mut error = CliError::new(format!("interrupted after {done} of {total} trials"));
            if done > 0 {
                let kept = format!("what was measured is kept in {}", shown(&journal).display());
                error = error.hint(kept);
            }
            error.code = INTERRUPTED;
            Err(error)
        }
    }
}

/// The outside world of a run: the real one, or a computed one.
struct Outside {
    clock: Clock,
    topology: Topology,
    host: Fingerprint,
    launcher: Box<dyn Launcher>,
    driver: Box<dyn LoadDriver>,
    fake: bool,
}

/// When a computed run begins: 2026-01-01 00:00 UTC.
const FAKE_START: UnixMillis = UnixMillis(1_767_225_600_000);

impl Outside {
    fn new(fake: bool, seed: u64) -> Result<Self, CliError> {
        if fake {
            let clock = Clock::simulated(FAKE_START);
            let (topology, host) = crate::host::imaginary();
            return Ok(Self {
                topology,
                host,
                launcher: Box::new(FakeLauncher::new(clock.clone())),
                driver: Box::new(FakeLoad::new(clock.clone(), seed)),
                clock,
                fake,
            });
        }
        let topology = Topology::detect()?;
        Ok(Self {
            clock: Clock::System,
            host: fingerprint(&topology)?,
            topology,
            launcher: Box::new(ProcessLauncher),
            driver: Box::new(OhaLoad),
            fake,
        })
    }

    fn run_id(&self) -> RunId {
        let time = self.clock.now().to_utc().map(|time| time.format("%Y%m%d-%H%M%S").to_string());
        let pid = if self.fake { 0 } else { std::process::id() };
        RunId(format!("{}-{pid}", time.unwrap_or_default()))
    }
}

async fn interrupted() -> &'static str {
    let kinds = [
        (SignalKind::interrupt(), "interrupted"),
        (SignalKind::terminate(), "terminated"),
        (SignalKind::hangup(), "hung up"),
    ];
    let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] =
        kinds.map(|(kind, _)| signal(kind))
    else {
        // Without handlers the signals end the process at once, and the kernel its children.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => kinds[0].1,
        _ = terminate.recv() => kinds[1].1,
        _ = hangup.recv(), if !exec::ignores_hangup() => kinds[2].1,
    }
}

/// An experiment without what cannot be had here, when that is allowed and something is left.
fn without(
    mut experiment: Experiment,
    missing: &[ComponentName],
    bundle: &Bundle,
    allowed: bool,
) -> Result<Experiment, CliError> {
    if missing.is_empty() {
        return Ok(experiment);
    }
    note(&missing_table(missing, bundle));
    if !allowed {
        return Err(CliError::new("a component of the spec cannot be had on this machine")
            .hint("get it as the table says, then `make setup`")
            .hint("`--allow-missing` measures the rest; the dataset then says what was missing"));
    }
    experiment.apps.retain(|name| !missing.contains(name));
    experiment.stores.retain(|name| !missing.contains(name));
    if experiment.apps.is_empty() || experiment.stores.is_empty() {
        return Err(CliError::new("nothing is left to measure: no app or no store can be had")
            .hint("get what the table names, then `make setup`"));
    }
    Ok(experiment)
}

fn check_components(experiment: &Experiment, bundle: &Bundle) -> Result<(), CliError> {
    let names = experiment.apps.iter().chain(&experiment.stores);
    for component in names.filter_map(|name| bundle.component(name)) {
        crate::bundle::check_unchanged(component)?;
    }
    Ok(())
}

/// Files beside connections: logs, libraries, pipes.
const FILES_BESIDE: u64 = 256;

fn check_open_files(experiment: &Experiment) -> Result<(), CliError> {
    let limit = raise_open_file_limit()?;
    let connections = experiment.concurrency.iter().copied().max().unwrap_or(0);
    // An app holds a connection to its client and one to its store.
    let needed = 2 * u64::from(connections) + FILES_BESIDE;
    if limit < needed {
        return Err(CliError::new(format!(
            "{connections} connections need {needed} open files; this system allows {limit}"
        ))
        .hint(format!(
            "raise the hard limit (`ulimit -Hn {needed}` as root), or lower `--concurrency`"
        )));
    }
    Ok(())
}

/// Writes the report and tells what came of the run.
async fn conclude(store: &Store, summary: RunSummary) -> Result<ExitCode, CliError> {
    let report = gather(store, summary.dataset).await?;
    let path = write(store, &report, None)?;
    if report.cases.len() <= MOST_ROWS {
        print(&case_table(&report.cases))?;
    }
    print(&format!("\ndataset {}\nreport  {}\n", summary.dataset, shown(&path).display()))?;
    if summary.failed > 0 {
        note(&format!("{} of {} trials failed", summary.failed, summary.failed + summary.measured));
        return Ok(ExitCode::from(TRIALS_FAILED));
    }
    Ok(ExitCode::SUCCESS)
}

fn case_table(cases: &[CaseSummary]) -> String {
    let header = [
        "app",
        "store",
        "workers",
        "connections",
        "target/s",
        "achieved",
        "p95",
        "planned",
        "completed",
        "failed",
        "cut off",
    ];
    let row = |summary: &CaseSummary| {
        let case = &summary.case;
        vec![
            case.stack.app.to_string(),
            case.stack.store.to_string(),
            case.stack.workers.to_string(),
            case.concurrency.to_string(),
            case.target_rps.to_string(),
            rate_text(summary),
            p95_text(summary),
            summary.planned.to_string(),
            summary.completed.to_string(),
            summary.failed.to_string(),
            summary.censored.to_string(),
        ]
    };
    table(&header, &cases.iter().map(row).collect::<Vec<_>>(), 2)
}
