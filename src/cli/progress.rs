//! Progress on the terminal while a use case goes on.

use std::io::IsTerminal;
use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output::{note, visible};
use super::signals::interrupted;
use crate::app::{Event, Observer};
use crate::clock::Stopwatch;
use crate::launch::Waiting;
use crate::model::{MAX_LINE_CHARS, Outcome, Plan, TrialRecord, one_line};
use crate::plan::{STACK_START_AND_STOP, TrialTotal, estimate, trial_time};
use crate::report::{P50, P95, trial_percentile_text};
use crate::run::{self, MAX_FAILURES};
use crate::units::{HumanDuration, Nanos};

/// The person at the terminal: sees notes and progress, and stops a use case with a signal.
pub(super) struct Terminal {
    is_silent: bool,
    progress: Option<Progress>,
    download: Option<Download>,
}

impl Terminal {
    /// Shows notes, and progress unless `is_silent`.
    pub(super) fn new(is_silent: bool) -> Self {
        Self { is_silent, progress: None, download: None }
    }
}

impl Observer for Terminal {
    fn on_event(&mut self, event: &Event<'_>) {
        match *event {
            Event::Note(text) => note(text),
            Event::Fetching { image, done_bytes, total_bytes } => {
                let download = self.download.get_or_insert_with(|| Download::new(image));
                download.show(done_bytes, total_bytes);
            }
            Event::Fetched => {
                if let Some(download) = self.download.take() {
                    download.finish();
                }
            }
            Event::RunStarted { plan, sides, may_end_early } => {
                let progress = Progress::new(plan, sides, self.is_silent);
                self.progress =
                    Some(if may_end_early { progress.may_end_early() } else { progress });
            }
            Event::Run { side, event } => match (&mut self.progress, side) {
                (Some(progress), Some(side)) => progress.on_side(side, event),
                (Some(progress), None) => progress.on_event(event),
                (None, _) => {}
            },
            Event::RunEnded => {
                if let Some(progress) = self.progress.take() {
                    progress.finish();
                }
            }
        }
    }

    fn stop_requested(&self) -> LocalBoxFuture<'static, &'static str> {
        interrupted().boxed_local()
    }
}

/// How often a line says that a component is waited for.
const SECONDS_PER_LINE: u64 = 10;

/// Shows how far a run is.
struct Progress {
    mode: Mode,
    watch: Stopwatch,
    total: TrialTotal,
    done: usize,
    /// Trials of an interrupted run, which were done before this one began.
    skipped: usize,
    expected: Duration,
    expected_done: Duration,
    plan: Plan,
    last: String,
    /// How many lines were due for the component that is waited for.
    waiting_lines: u64,
    /// Of two, the side of the last event.
    side: &'static str,
}

enum Mode {
    /// A bar that is drawn over and over, on a terminal.
    Bar(ProgressBar),
    /// A line for each trial.
    Lines,
    Silent,
}

impl Progress {
    /// Of a plan that is executed on so many sides.
    fn new(plan: &Plan, sides: u32, silent: bool) -> Self {
        let total = TrialTotal::of(plan, sides);
        let mode = match (silent, std::io::stderr().is_terminal()) {
            (true, _) => Mode::Silent,
            (false, false) => Mode::Lines,
            (false, true) => Mode::Bar(bar(total.count())),
        };
        Self {
            mode,
            watch: Stopwatch::start(),
            total,
            done: 0,
            skipped: 0,
            expected: estimate(plan) * sides,
            expected_done: Duration::ZERO,
            plan: plan.clone(),
            last: String::new(),
            waiting_lines: 0,
            side: "",
        }
    }

    /// Of a run that may end before all its trials are done.
    fn may_end_early(self) -> Self {
        Self { total: self.total.at_most(), ..self }
    }

    /// Something happened on one of two sides.
    fn on_side(&mut self, side: &'static str, event: &run::Event<'_>) {
        self.side = side;
        match event {
            run::Event::Begun(..) => {}
            event => self.on_event(event),
        }
    }

    fn on_event(&mut self, event: &run::Event<'_>) {
        match event {
            run::Event::Begun(_, finished) => self.skip(*finished),
            run::Event::Starting(stack) => {
                self.expected_done += STACK_START_AND_STOP + self.plan.experiment.warm_up.0;
                self.now(&format!("starting {stack}"));
            }
            run::Event::Waiting(waiting) => self.waiting(waiting),
            run::Event::WarmingUp(stack) => self.now(&format!("warming up {stack}")),
            run::Event::Trial(trial) => self.now(&trial.case.to_string()),
            run::Event::Done(record) => self.done(record),
            run::Event::Repeated(record) => self.repeated(record),
            run::Event::GivenUp(stack) => {
                self.say(&format!("{stack}: {MAX_FAILURES} failures in a row, given up"));
            }
            run::Event::Sealing => self.now("sealing the dataset"),
        }
    }

    /// A bar shows each second that a component is waited for; lines, every tenth.
    fn waiting(&mut self, waiting: &Waiting) {
        self.now(&waiting.to_string());
        let lines = waiting.waited.as_secs() / SECONDS_PER_LINE;
        if matches!(self.mode, Mode::Lines) && lines > 0 && lines != self.waiting_lines {
            note(&waiting.to_string());
        }
        self.waiting_lines = lines;
    }

    /// Removes the bar, so that what follows is not drawn over.
    fn finish(&self) {
        if let Mode::Bar(bar) = &self.mode {
            bar.finish_and_clear();
        }
    }

    /// `15 of 40`: how many trials are over, with those of an interrupted run.
    fn as_text(&self) -> String {
        self.total.progress(self.done)
    }

    fn now(&self, what: &str) {
        if let Mode::Bar(bar) = &self.mode {
            bar.set_message(format!("{what}\n{}", self.last));
        }
    }

    /// Counts trials that an interrupted run had finished. Their time is no time to come, and says
    /// nothing of the pace of this one.
    fn skip(&mut self, finished: usize) {
        self.done = finished;
        self.skipped = finished;
        #[expect(clippy::cast_precision_loss, reason = "a share of the time is shown in seconds")]
        let share = (1.0 - finished as f64 / self.total.count().max(1) as f64).max(0.0);
        self.expected = self.expected.mul_f64(share);
        if let Mode::Bar(bar) = &self.mode {
            bar.set_position(finished as u64);
        }
    }

    /// A line that stays.
    fn say(&self, text: &str) {
        match &self.mode {
            Mode::Bar(bar) => bar.println(visible(text)),
            Mode::Lines => note(text),
            Mode::Silent => {}
        }
    }

    fn repeated(&mut self, record: &TrialRecord) {
        self.last = format!("{}: {}", record.trial.case, outcome_words(record, &self.plan));
        self.say(&format!("[again] {}", self.last));
    }

    fn done(&mut self, record: &TrialRecord) {
        self.done += 1;
        self.expected_done += trial_time(&self.plan.experiment, &record.trial);
        let left = self.left();
        self.last = format!("{}: {}", record.trial.case, outcome_words(record, &self.plan));
        match &self.mode {
            Mode::Bar(bar) => {
                // A search may need more trials than expected.
                let total = self.total.count().max(self.done);
                bar.set_length(total as u64);
                bar.set_position(self.done as u64);
                bar.set_prefix(left.map_or(String::new(), |left| format!(", {left}")));
            }
            Mode::Lines => {
                let side = if self.side.is_empty() { "" } else { &format!("{}: ", self.side) };
                let (done, last) = (self.as_text(), &self.last);
                let left = left.map_or(String::new(), |left| format!(" ({left})"));
                note(&format!("[{done}] {side}{last}{left}"));
            }
            Mode::Silent => {}
        }
    }

    /// `2m 5s left`; `None` when all is done, and when nobody can tell.
    fn left(&self) -> Option<String> {
        let trials = self.total.left(self.done).filter(|&trials| trials > 0)?;
        let pace = Pace {
            elapsed: self.watch.elapsed(),
            expected: self.expected,
            expected_done: self.expected_done,
            done: self.done - self.skipped,
        };
        let left = match self.total {
            TrialTotal::About(_) => pace.by_trials(trials),
            TrialTotal::Exactly(_) | TrialTotal::AtMost(_) => pace.by_estimate(),
        };
        let at_most = if matches!(self.total, TrialTotal::AtMost(_)) { "at most " } else { "" };
        Some(format!("{at_most}{} left", HumanDuration(left)))
    }
}

/// How fast a run is, from which the time that is left follows. It is never zero: work remains.
struct Pace {
    elapsed: Duration,
    expected: Duration,
    expected_done: Duration,
    /// Trials that took this time.
    done: usize,
}

/// The shortest time left that is shown.
const MIN_LEFT_S: u64 = 1;

impl Pace {
    /// What remains of the estimate, corrected by how the estimate fared so far.
    fn by_estimate(&self) -> Duration {
        let left = self.expected.saturating_sub(self.expected_done);
        let pace = self.elapsed.as_secs_f64() / self.expected_done.as_secs_f64().max(1.0);
        Duration::from_secs(left.mul_f64(pace).as_secs().max(MIN_LEFT_S))
    }

    /// So many more trials, at the time that each took so far.
    fn by_trials(&self, left: usize) -> Duration {
        let count = |trials: usize| u32::try_from(trials).unwrap_or(u32::MAX);
        let one = self.elapsed / count(self.done).max(1);
        Duration::from_secs(one.saturating_mul(count(left)).as_secs().max(MIN_LEFT_S))
    }
}

/// Shows how far an image is that is being fetched.
struct Download {
    bar: ProgressBar,
}

impl Download {
    /// Of something with this name. It is shown once there is progress, on a terminal.
    fn new(name: &str) -> Self {
        let style = "{msg}\n{bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
        let style = ProgressStyle::with_template(style);
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(format!("pulling {}", visible(name)));
        Self { bar }
    }

    fn show(&mut self, done: u64, of: u64) {
        self.bar.set_length(of);
        self.bar.set_position(done);
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn bar(total: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} trials{prefix}\n{msg}");
    let bar = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::stderr());
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

fn outcome_words(record: &TrialRecord, plan: &Plan) -> String {
    match &record.outcome {
        Outcome::Failed(failure) => {
            format!(
                "failed at {}: {}",
                failure.stage.as_str(),
                one_line(&failure.reason, MAX_LINE_CHARS)
            )
        }
        Outcome::Measured(measurement) => {
            let seconds = Nanos::from(plan.experiment.duration.0).as_secs_f64();
            #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
            let rate = measurement.counts.completed_in_window() as f64 / seconds;
            let [p50, p95] = [P50, P95].map(|place| trial_percentile_text(record, place));
            let mut words = format!("{rate:.1}/s, p50 {p50}, p95 {p95}");
            for (count, name) in [
                (measurement.counts.failed_total(), "failed"),
                (measurement.counts.censored, "unfinished"),
            ] {
                if count > 0 {
                    words.push_str(&format!(", {count} {name}"));
                }
            }
            words
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_left_while_work_remains() {
        let seconds = Duration::from_secs;
        let pace = |elapsed, expected_done, done| Pace {
            elapsed: seconds(elapsed),
            expected: seconds(100),
            expected_done: seconds(expected_done),
            done,
        };
        // Half of the estimate took twice as long.
        assert_eq!(pace(100, 50, 5).by_estimate(), seconds(100));
        // The estimate is used up, and trials are still to come.
        assert_eq!(pace(120, 110, 5).by_estimate(), seconds(1));
        assert_eq!(pace(120, 110, 6).by_trials(4), seconds(80));
        assert_eq!(pace(0, 110, 15).by_trials(4), seconds(1));
    }
}
