//! What a person sees: progress while a run goes on, tables at its end.

use std::borrow::Cow;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::error::CliError;
use crate::clock::Stopwatch;
use crate::model::{Capacity, Outcome, Plan, TrialRecord};
use crate::plan::{STACK_START_AND_STOP, estimate, expected_trials, trial_time};
use crate::report::{capacity_text, p95_text, rate_text};
use crate::run::{Event, MOST_FAILURES};
use crate::study::CaseStudy;
use crate::units::{HumanDuration, Nanos};

/// Prints text to standard output. A reader that went away is no error.
pub(super) fn print(text: &str) -> Result<(), CliError> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(CliError::new(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Text of somebody else's without what a terminal would obey. Lines stay lines.
pub(super) fn visible(text: &str) -> Cow<'_, str> {
    let is_order = |c: char| c.is_control() && !['\n', '\t'].contains(&c);
    if !text.contains(is_order) {
        return Cow::Borrowed(text);
    }
    let escaped = |c: char| match is_order(c) {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    };
    Cow::Owned(text.chars().map(escaped).collect())
}

/// Tells something that is no result: to standard error. A reader that went away is no error.
pub(super) fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", visible(text));
}

/// A plain table, without a header when that is empty. The columns from `numbers` on hold numbers.
pub(super) fn table(header: &[&str], rows: &[Vec<String>], numbers: usize) -> String {
    let mut table = Table::new();
    let one_line = |cell: &String| visible(cell).replace('\n', "\\n");
    let rows = rows.iter().map(|row| row.iter().map(one_line).collect::<Vec<_>>());
    table.load_preset(presets::NOTHING).add_rows(rows);
    if !header.is_empty() {
        table.set_header(header);
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if index >= numbers {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// What each stack sustains.
pub(super) fn capacity_table(capacities: &[Capacity]) -> String {
    let row = |one: &Capacity| {
        vec![
            one.stack.to_string(),
            one.concurrency.to_string(),
            one.slo.to_string(),
            capacity_text(one),
            one.trials.to_string(),
        ]
    };
    let header = ["stack", "connections", "keeps", "sustains", "trials"];
    format!("\n{}", table(&header, &capacities.iter().map(row).collect::<Vec<_>>(), 4))
}

/// Cases with their figures, for the terminal.
pub(super) fn case_table(cases: &[CaseStudy]) -> String {
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
    let row = |summary: &CaseStudy| {
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

/// Shows how far a run is.
pub(super) struct Progress {
    mode: Mode,
    watch: Stopwatch,
    total: usize,
    done: usize,
    expected: Duration,
    expected_done: Duration,
    plan: Plan,
    last: String,
    /// Of two, the side that is told of.
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
    /// Of a plan that is executed so many times.
    pub(super) fn new(plan: &Plan, times: u32, silent: bool) -> Self {
        let total = expected_trials(plan) * usize::try_from(times).unwrap_or(1);
        let mode = match (silent, std::io::stderr().is_terminal()) {
            (true, _) => Mode::Silent,
            (false, false) => Mode::Lines,
            (false, true) => Mode::Bar(bar(total)),
        };
        Self {
            mode,
            watch: Stopwatch::start(),
            total,
            done: 0,
            expected: estimate(plan) * times,
            expected_done: Duration::ZERO,
            plan: plan.clone(),
            last: String::new(),
            side: "",
        }
    }

    /// Something happened on one of two sides.
    pub(super) fn on_side(&mut self, side: &'static str, event: &Event<'_>) {
        self.side = side;
        match event {
            Event::Begun(..) => {}
            event => self.on_event(event),
        }
    }

    pub(super) fn on_event(&mut self, event: &Event<'_>) {
        match event {
            Event::Begun(_, finished) => self.skip(*finished),
            Event::Starting(stack) => {
                self.expected_done += STACK_START_AND_STOP + self.plan.experiment.warm_up.0;
                self.now(&format!("starting {stack}"));
            }
            Event::WarmingUp(stack) => self.now(&format!("warming up {stack}")),
            Event::Trial(trial) => self.now(&trial.case.to_string()),
            Event::Done(record) => self.done(record),
            Event::Repeated(record) => self.repeated(record),
            Event::GivenUp(stack) => {
                self.say(&format!("{stack}: {MOST_FAILURES} failures in a row, given up"));
            }
            Event::Sealing => self.now("sealing the dataset"),
        }
    }

    /// Removes the bar, so that what follows is not drawn over.
    pub(super) fn finish(&self) {
        if let Mode::Bar(bar) = &self.mode {
            bar.finish_and_clear();
        }
    }

    /// How many trials there will be.
    pub(super) fn total(&self) -> usize {
        self.total
    }

    /// How many trials are over, with those of an interrupted run.
    pub(super) fn done_trials(&self) -> usize {
        self.done
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
        #[expect(clippy::cast_precision_loss, reason = "a share of the time is shown in seconds")]
        let share = 1.0 - finished as f64 / self.total.max(1) as f64;
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
        let left = HumanDuration(self.left());
        self.last = format!("{}: {}", record.trial.case, outcome_words(record, &self.plan));
        match &self.mode {
            Mode::Bar(bar) => {
                bar.set_position(self.done as u64);
                bar.set_prefix(format!("{left} left"));
            }
            Mode::Lines => {
                let side = if self.side.is_empty() { "" } else { &format!("{}: ", self.side) };
                let (done, total, last) = (self.done, self.total, &self.last);
                note(&format!("[{done}/{total}] {side}{last} ({left} left)"));
            }
            Mode::Silent => {}
        }
    }

    /// The estimate of what is left, corrected by how the estimate fared so far.
    fn left(&self) -> Duration {
        let left = self.expected.saturating_sub(self.expected_done);
        let pace = self.watch.elapsed().as_secs_f64() / self.expected_done.as_secs_f64().max(1.0);
        Duration::from_secs(left.mul_f64(pace).as_secs())
    }
}

/// Shows how far an image is that is being fetched.
pub(super) struct Download {
    bar: ProgressBar,
}

impl Download {
    /// Of something with this name. It is shown once there is progress, on a terminal.
    pub(super) fn new(name: &str) -> Self {
        let style = "{msg}\n{bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
        let style = ProgressStyle::with_template(style);
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(format!("pulling {}", visible(name)));
        Self { bar }
    }

    pub(super) fn show(&mut self, done: u64, of: u64) {
        self.bar.set_length(of);
        self.bar.set_position(done);
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn bar(total: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} trials, {prefix}\n{msg}");
    let bar = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::stderr());
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

fn outcome_words(record: &TrialRecord, plan: &Plan) -> String {
    match &record.outcome {
        Outcome::Failed(failure) => {
            let last = failure.log_tail.last().map_or(String::new(), |line| format!(" ({line})"));
            format!("failed at {}: {}{last}", failure.stage.as_str(), failure.reason)
        }
        Outcome::Measured(measurement) => {
            let seconds = Nanos::from(plan.experiment.duration.0).as_secs_f64();
            #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
            let rate = measurement.counts.completed as f64 / seconds;
            let figure =
                |name: &str| record.figures.get(name).map_or("–".to_owned(), ToString::to_string);
            let mut words = format!("{rate:.1}/s, p50 {}, p95 {}", figure("p50"), figure("p95"));
            for (count, name) in [
                (measurement.counts.failed_total(), "failed"),
                (measurement.counts.censored, "cut off"),
            ] {
                if count > 0 {
                    words.push_str(&format!(", {count} {name}"));
                }
            }
            words
        }
    }
}
