//! The one orchestrator: launch, warm up, load, record, stop, seal.
//!
//! A run goes through its plan stack by stack. What fails becomes a record like what succeeds, and
//! each record is on the disk before the next trial begins. Progress is reported as [`Event`]s; nothing
//! here prints.

mod ceiling;
mod differences;
mod flags;
mod interleave;
mod load;
mod placements;
mod search;
mod start;
mod warm_up;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

pub use ceiling::{LoaderLimit, loader_limit};
pub use differences::differences;
pub use flags::driven_rps;
pub use interleave::{Interim, end_interleaved, interleave};
pub use placements::{Placements, demand};

use self::flags::Offer;
use self::load::first_end;
use self::search::Judged;
use crate::clock::{Clock, Stopwatch, UnixMillis};
use crate::host::Reservation;
use crate::id::{DatasetId, RunId, TrialId};
use crate::launch::{LaunchError, Launcher, RunningStack, Waiting};
use crate::load::LoadDriver;
use crate::model::{
    Bundle, Ceiling, Check, ComponentName, Experiment, Failure, Fingerprint, Interleaved,
    Measurement, Order, Outcome, Placement, Plan, Sample, Stack, StackTimes, Stage, Trial,
    TrialRecord, stack_runs,
};
use crate::plan::stacks;
use crate::stats::{latency_figures, service_figures};
use crate::store::{
    Difference, Entry, Header, Journal, PinnedBundle, Store, StoreError, count_failure,
};
use crate::units::{CpuSet, Nanos};

/// How a run begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// With the first trial.
    New,
    /// With what its journal does not have.
    Resumed {
        /// What is not the same as before, and accepted.
        accepted_differences: Vec<Difference>,
    },
}

/// Everything that a run needs.
pub struct RunRequest<'run> {
    /// The run's name.
    pub id: RunId,
    /// Whether it begins or goes on.
    pub beginning: Beginning,
    /// What to measure, without what cannot be had here.
    pub plan: &'run Plan,
    /// The pinned components.
    pub bundle: &'run Bundle,
    /// What the spec asked for and cannot be had here.
    pub unavailable: Vec<ComponentName>,
    /// The CPUs of each stack.
    pub placements: &'run Placements,
    /// What the loader can drive, by the CPUs of loader and app; without those where it is unknown.
    pub ceilings: BTreeMap<(CpuSet, CpuSet), Ceiling>,
    /// Whether containers are to be loaded through published ports.
    pub is_published: bool,
    /// The name that both sides of an interleaved comparison have.
    pub interleaved: Option<Interleaved>,
    /// Whether to look at who else uses the trials' CPUs.
    pub watches_host: bool,
    /// The CPUs of this run; `None` for a run that is computed.
    pub reservation: Option<&'run Reservation>,
    /// What the host is.
    pub host: Fingerprint,
    /// What was found of it that can disturb a measurement.
    pub checks: Vec<Check>,
    /// Where stacks are started.
    pub launcher: &'run mut dyn Launcher,
    /// What offers the load.
    pub driver: &'run mut dyn LoadDriver,
    /// Where the dataset goes.
    pub store: &'run Store,
    /// Where time comes from.
    pub clock: &'run Clock,
}

/// What happens in a run.
#[derive(Debug)]
pub enum Event<'run> {
    /// The journal is here; it has this many trials of an interrupted run.
    Begun(&'run Path, usize),
    /// A stack is being started.
    Starting(&'run Stack),
    /// A component of it is not ready yet.
    Waiting(&'run Waiting),
    /// A stack is being warmed up.
    WarmingUp(&'run Stack),
    /// A trial begins.
    Trial(&'run Trial),
    /// A trial is over for the first time.
    Done(&'run TrialRecord),
    /// A trial that had failed is over again.
    Repeated(&'run TrialRecord),
    /// A stack failed so often that no more of its trials are executed.
    GivenUp(&'run Stack),
    /// The journal is being turned into a dataset.
    Sealing,
}

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunSummary {
    /// The sealed dataset.
    pub dataset: DatasetId,
    /// What stands in it.
    pub recorded: Recorded,
}

/// Why a run ended without a dataset.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The results could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stack could not be stopped, so what follows could not be trusted.
    #[error("a stack could not be stopped{}", failed_before(failure.as_deref()))]
    Stop {
        /// Why it had to be stopped, if it had failed before.
        failure: Option<String>,
        /// Why it could not be.
        source: Box<LaunchError>,
    },
    /// The journal has a trial that the plan has not.
    #[error("trial {0} of the journal is not the one of the plan: this program orders otherwise")]
    OtherPlan(TrialId),
    /// The plan names what the bundle does not have.
    #[error("the bundle has no `{0}`")]
    NoComponent(ComponentName),
    /// The plan has a stack without CPUs: the placements are those of another plan.
    #[error("no CPUs were chosen for {0}")]
    NoPlacement(Stack),
}

fn failed_before(failure: Option<&str>) -> String {
    failure.map_or(String::new(), |reason| format!(" after it had failed ({reason})"))
}

/// Runs a plan from the first trial to the sealed dataset.
///
/// A run that goes on measures what its journal does not have.
///
/// # Errors
/// When results cannot be written or a stack cannot be stopped. The journal is then kept.
pub async fn run(
    request: RunRequest<'_>,
    on_event: &mut dyn FnMut(&Event<'_>),
) -> Result<RunSummary, RunError> {
    let (store, id) = (request.store, request.id.clone());
    let recorded = record(request, on_event).await?;
    on_event(&Event::Sealing);
    let dataset = store.seal(&id).await?;
    Ok(RunSummary { dataset, recorded })
}

/// What stands in a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Trials that were measured.
    pub measured: usize,
    /// Trials that failed.
    pub failed: usize,
    /// Stacks that were given up.
    pub given_up: Vec<Stack>,
}

/// After this many failures in a row a stack is given up.
pub const MAX_FAILURES: u32 = 3;

/// How long the end of a part that may be the cause of a wrong answer is waited for: a busy Docker
/// daemon reports the end of a container seconds after it.
const MAX_END_NOTICE: Duration = Duration::from_secs(10);

/// Runs a plan until every trial stands in the journal.
///
/// # Errors
/// When the journal cannot be written or a stack cannot be stopped.
pub async fn record(
    request: RunRequest<'_>,
    on_event: &mut dyn FnMut(&Event<'_>),
) -> Result<Recorded, RunError> {
    let mut runner = Runner::open(request, on_event)?;
    let plan = runner.request.plan;
    match plan.order {
        Order::Search => runner.search().await?,
        _ => {
            for block in plan.blocks() {
                runner.block(block).await?;
            }
        }
    }
    Ok(runner.recorded())
}

fn header(request: &RunRequest<'_>) -> Header {
    Header {
        writer: concat!("perf-api ", env!("CARGO_PKG_VERSION")).to_owned(),
        started: request.clock.now(),
        experiment: request.plan.experiment.clone(),
        order: request.plan.order,
        bundle: PinnedBundle::from(request.bundle),
        unavailable: request.unavailable.clone(),
        host: request.host.clone(),
        checks: request.checks.clone(),
        launcher: request.launcher.name().to_owned(),
        is_published: request.is_published,
        load_driver: request.driver.name(),
        interleaved: request.interleaved.clone(),
    }
}

struct Runner<'run, 'event> {
    request: RunRequest<'run>,
    journal: Journal,
    on_event: &'event mut dyn FnMut(&Event<'_>),
    /// The trials that were executed so far.
    executed: BTreeMap<TrialId, Executed>,
    /// How many trials of each stack failed last, one after another.
    failures_in_a_row: BTreeMap<Stack, u32>,
    /// What a search knows of the trials that are over.
    judged: BTreeMap<TrialId, Judged>,
    /// What a comparison knows of them.
    samples: BTreeMap<TrialId, Sample>,
}

fn sample(record: &TrialRecord, plan: &Plan) -> Sample {
    Sample::of(record, plan.experiment.duration.0)
}

/// How often a trial was executed, and how that ended last.
#[derive(Clone, Copy, Debug)]
struct Executed {
    times: u32,
    is_failed: bool,
}

impl From<&TrialRecord> for Executed {
    fn from(record: &TrialRecord) -> Self {
        let earlier = u32::try_from(record.earlier_failures.len()).unwrap_or(u32::MAX);
        Self { times: earlier.saturating_add(1), is_failed: record.is_failed() }
    }
}

/// Everything about a stack that stays the same from trial to trial.
struct StackContext<'run> {
    stack: &'run Stack,
    placement: Placement,
    first: &'run Trial,
}

/// A stack that was started and warmed up, with the trials that it has had.
struct Live {
    stack: Box<dyn RunningStack>,
    times: Option<StackTimes>,
    trials: Vec<TrialId>,
}

impl<'run, 'event> Runner<'run, 'event> {
    /// Begins the journal of a run, or goes on with it.
    fn open(
        request: RunRequest<'run>,
        on_event: &'event mut dyn FnMut(&Event<'_>),
    ) -> Result<Self, RunError> {
        let store = request.store;
        let (mut journal, finished, mut failures_in_a_row) = match &request.beginning {
            Beginning::New => {
                (store.begin(&request.id, &header(&request))?, vec![], BTreeMap::new())
            }
            Beginning::Resumed { .. } => {
                let (journal, content) = store.resume(&request.id)?;
                (journal, content.trials, content.failures_in_a_row)
            }
        };
        if let Beginning::Resumed { accepted_differences } = &request.beginning
            && !accepted_differences.is_empty()
        {
            // What was mended deserves another chance.
            failures_in_a_row.clear();
            let accepted_differences = accepted_differences.clone();
            journal.append(&Entry::Resumed { accepted_differences })?;
        }
        on_event(&Event::Begun(journal.dir(), finished.len()));
        let plan = request.plan;
        let is_planned = |record: &&TrialRecord| plan.trials.contains(&record.trial);
        if let Some(foreign) = finished.iter().find(|record| !is_planned(record)) {
            return Err(RunError::OtherPlan(foreign.trial.id));
        }
        let executed =
            finished.iter().map(|record| (record.trial.id, Executed::from(record))).collect();
        let slos = &plan.experiment.slos;
        let judged =
            finished.iter().map(|record| (record.trial.id, Judged::of(record, slos))).collect();
        let samples =
            finished.iter().map(|record| (record.trial.id, sample(record, plan))).collect();
        Ok(Self { request, journal, on_event, executed, failures_in_a_row, judged, samples })
    }

    /// The CPUs of a stack.
    fn placement(&self, stack: &Stack) -> Result<Placement, RunError> {
        let placement = self.request.placements.get(stack);
        placement.cloned().ok_or_else(|| RunError::NoPlacement(stack.clone()))
    }

    /// What stands in the journal now.
    fn recorded(&self) -> Recorded {
        let failed = self.executed.values().filter(|one| one.is_failed).count();
        let given_up = stacks(&self.request.plan.experiment);
        Recorded {
            measured: self.executed.len() - failed,
            failed,
            given_up: given_up.into_iter().filter(|stack| self.is_given_up(stack)).collect(),
        }
    }

    /// Runs the trials of a block, and then those again that failed, as often as the spec says.
    async fn block(&mut self, trials: &[Trial]) -> Result<(), RunError> {
        for round in 0..=self.request.plan.experiment.retries {
            for trials in stack_runs(trials) {
                self.due_stack_run(trials, round).await?;
            }
        }
        Ok(())
    }

    /// Runs those trials of one start of a stack that are to be executed when each has been `round`
    /// times.
    async fn due_stack_run(&mut self, trials: &[Trial], round: u32) -> Result<(), RunError> {
        let due: Vec<&Trial> = trials.iter().filter(|trial| self.is_due(trial, round)).collect();
        self.stack_run(&due).await
    }

    /// Whether a trial is to be executed when each has been `round` times.
    fn is_due(&self, trial: &Trial, round: u32) -> bool {
        match self.executed.get(&trial.id) {
            None => round == 0,
            Some(before) => {
                before.is_failed && before.times == round && !self.is_given_up(&trial.case.stack)
            }
        }
    }

    fn is_given_up(&self, stack: &Stack) -> bool {
        self.failures_in_a_row.get(stack).is_some_and(|&failures| failures >= MAX_FAILURES)
    }

    /// Runs trials that share one start of a stack. A stack that broke is started again.
    async fn stack_run(&mut self, trials: &[&Trial]) -> Result<(), RunError> {
        let Some(&first) = trials.first() else { return Ok(()) };
        let stack = &first.case.stack;
        let context = StackContext { stack, placement: self.placement(stack)?, first };
        let mut running: Option<Live> = None;
        for &trial in trials {
            if self.is_given_up(stack) {
                // What was executed already keeps what came of it.
                if !self.executed.contains_key(&trial.id) {
                    let started = self.request.clock.now();
                    self.record(&context, trial, started, None, Outcome::Failed(given_up(stack)))?;
                }
                continue;
            }
            running = self.execute(&context, trial, running).await?;
        }
        match running {
            Some(live) => self.stop(live).await,
            None => Ok(()),
        }
    }

    /// Executes a trial on a stack that runs, or else on one that is started for it. Gives the stack
    /// when it can go on.
    async fn execute(
        &mut self,
        context: &StackContext<'_>,
        trial: &Trial,
        running: Option<Live>,
    ) -> Result<Option<Live>, RunError> {
        let started = self.request.clock.now();
        let live = match running {
            Some(live) => Ok(live),
            None => self.start(context).await?,
        };
        let mut live = match live {
            Ok(live) => live,
            Err(failure) => {
                self.record(context, trial, started, None, Outcome::Failed(failure))?;
                return Ok(None);
            }
        };
        (self.on_event)(&Event::Trial(trial));
        let started = self.request.clock.now();
        live.trials.push(trial.id);
        match self.trial(context, trial, live.stack.as_mut()).await {
            Ok(measurement) => {
                let outcome = Outcome::Measured(measurement);
                self.record(context, trial, started, Some(&live), outcome)?;
                Ok(Some(live))
            }
            Err(failure) => {
                let outcome = Outcome::Failed(failure);
                self.record(context, trial, started, Some(&live), outcome)?;
                self.stop(live).await?;
                Ok(None)
            }
        }
    }

    /// Stops a stack, and writes down how long that took.
    async fn stop(&mut self, live: Live) -> Result<(), RunError> {
        let watch = Stopwatch::start();
        live.stack
            .stop()
            .await
            .map_err(|error| RunError::Stop { failure: None, source: error.into() })?;
        if live.times.is_some() {
            let took = Nanos::from(watch.elapsed());
            self.journal.append(&Entry::Stopped { trials: live.trials, took })?;
        }
        Ok(())
    }

    /// The load of a trial, after which the app has to answer as before. A loader that compares every
    /// body has seen whether it does.
    async fn trial(
        &mut self,
        context: &StackContext<'_>,
        trial: &Trial,
        live: &mut dyn RunningStack,
    ) -> Result<Measurement, Failure> {
        let duration = self.request.plan.experiment.duration.0;
        let mut measurement = self.load(context, trial, live, duration, Stage::Load).await?;
        if self.request.driver.compares_bodies() {
            return Ok(measurement);
        }
        let counts = &measurement.counts;
        let in_load = format!(
            "in the load, {} of {} requests had the expected status and length, which is all that the loader checks",
            counts.completed, counts.planned
        );
        let failed = |reason: String, live: &dyn RunningStack| Failure {
            stage: Stage::Load,
            reason: format!("{reason} ({in_load})"),
            log_tail: live.log_tail(),
        };
        if let Err(reason) = live.check().await {
            let reason = match tokio::time::timeout(MAX_END_NOTICE, first_end(live)).await {
                Ok(ended) => ended,
                Err(_) => format!("the app does not answer as it did before the load: {reason}"),
            };
            return Err(failed(reason, live));
        }
        let compared = live.compared_answers().await;
        if let Some(first) = compared.first_wrong {
            let (wrong, count) = (compared.wrong, compared.count);
            let reason =
                format!("{wrong} of {count} answers that were compared are wrong: {first}");
            return Err(failed(reason, live));
        }
        measurement.compared = compared.count;
        Ok(measurement)
    }

    fn record(
        &mut self,
        context: &StackContext<'_>,
        trial: &Trial,
        started: UnixMillis,
        live: Option<&Live>,
        outcome: Outcome,
    ) -> Result<(), RunError> {
        let figures = match &outcome {
            Outcome::Measured(measurement) => {
                let mut figures = latency_figures(&measurement.latency);
                figures.extend(service_figures(&measurement.latency));
                figures
            }
            Outcome::Failed(_) => BTreeMap::new(),
        };
        let cpus = (context.placement.loader.clone(), context.placement.app.clone());
        let mut record = TrialRecord {
            trial: trial.clone(),
            started,
            placement: context.placement.clone(),
            flags: vec![],
            figures,
            ceiling: self.request.ceilings.get(&cpus).copied(),
            outcome,
            stack_times: live.and_then(|live| live.times),
            // The journal has them.
            earlier_failures: vec![],
        };
        let is_published = live.is_some_and(|live| live.stack.is_published());
        let Experiment { duration, profile, .. } = self.request.plan.experiment;
        let offer = Offer { duration: duration.0, profile, is_published };
        record.flags = flags::of(&record, offer);
        self.journal.append(&Entry::Trial(Box::new(record.clone())))?;
        let was_given_up = self.is_given_up(context.stack);
        count_failure(&mut self.failures_in_a_row, &record);
        let slos = &self.request.plan.experiment.slos;
        self.judged.insert(trial.id, Judged::of(&record, slos));
        self.samples.insert(trial.id, sample(&record, self.request.plan));
        let executed =
            self.executed.entry(trial.id).or_insert(Executed { times: 0, is_failed: true });
        executed.times += 1;
        executed.is_failed = record.is_failed();
        let event = match executed.times {
            1 => Event::Done(&record),
            _ => Event::Repeated(&record),
        };
        (self.on_event)(&event);
        if self.is_given_up(context.stack) && !was_given_up {
            (self.on_event)(&Event::GivenUp(context.stack));
        }
        Ok(())
    }
}

fn given_up(stack: &Stack) -> Failure {
    Failure {
        stage: Stage::GivenUp,
        reason: format!("not executed: {MAX_FAILURES} trials of {stack} had failed in a row"),
        log_tail: vec![],
    }
}
