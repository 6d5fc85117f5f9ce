//! What is to be measured: experiment, factors, stacks, cases and trials.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Profile, Slo};
use crate::id::TrialId;
use crate::units::{HumanDuration, Rps};

/// The name of an app or a store: its folder's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ComponentName(String);

impl ComponentName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ComponentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for ComponentName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let begins_well = text.starts_with(|c: char| c.is_ascii_lowercase());
        if !begins_well || !text.chars().all(is_part) || text.len() > 40 {
            return Err(format!(
                "`{}` is not a component name: a lower-case letter, then lower-case letters, digits and dashes, 40 at most",
                text.escape_debug()
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for ComponentName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What a spec file says, checked: every list has at least one value and none twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Experiment {
    /// What people call it.
    pub name: String,
    /// Factor: the apps.
    pub apps: Vec<ComponentName>,
    /// Factor: the stores.
    pub stores: Vec<ComponentName>,
    /// Factor: worker processes of the app.
    pub workers: Vec<u32>,
    /// Factor: connections that the loader keeps open.
    pub concurrency: Vec<u32>,
    /// Factor: target rates, requests per second.
    pub qps: Vec<Rps>,
    /// How often each case is measured.
    pub repetitions: u32,
    /// How long load is offered in each trial.
    pub duration: HumanDuration,
    /// How long each started stack is loaded before its first trial.
    pub warm_up: HumanDuration,
    /// Where the random order begins.
    pub seed: u64,
    /// How often a trial that failed is repeated at the end of its block.
    #[serde(default)]
    pub retries: u32,
    /// What a search for capacity has to keep to; empty for every other experiment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slos: Vec<Slo>,
    /// Whether it measures the noise of the host: set by `perf-api calibrate`, and by no spec.
    /// Always false before version 5 of the dataset's schema.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_calibration: bool,
    /// What offers the load.
    #[serde(default, skip_serializing_if = "Loader::is_oha")]
    pub loader: Loader,
    /// How the requests of a trial follow each other.
    #[serde(default, skip_serializing_if = "Arrivals::is_even")]
    pub arrivals: Arrivals,
    /// How the rate of a trial moves.
    #[serde(default, skip_serializing_if = "Profile::is_constant")]
    pub profile: Profile,
}

/// How requests follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arrivals {
    /// At equal distances.
    #[default]
    Even,
    /// At independent exponential distances, as from many users: a Poisson process.
    Poisson,
}

impl Arrivals {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Even, Self::Poisson];

    /// Its name in specs and flags.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Even => "even",
            Self::Poisson => "poisson",
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_even(&self) -> bool {
        *self == Self::Even
    }
}

impl FromStr for Arrivals {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|arrivals| arrivals.as_str() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str).join(" or ");
            format!("`{}` is not a kind of arrivals: expected {names}", text.escape_debug())
        })
    }
}

/// What offers the load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loader {
    /// oha, as a library.
    #[default]
    Oha,
    /// The loader of this program, which knows every request and compares every body.
    BuiltIn,
}

impl Loader {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Oha, Self::BuiltIn];

    /// Its name in specs and flags.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Oha => "oha",
            Self::BuiltIn => "built-in",
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_oha(&self) -> bool {
        *self == Self::Oha
    }
}

impl FromStr for Loader {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|loader| loader.as_str() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str).join(" or ");
            format!("`{}` is not a loader: expected {names}", text.escape_debug())
        })
    }
}

/// The most trials that an experiment may have: more than a month of the shortest ones.
pub const MAX_TRIALS: u64 = 1_000_000;

impl Experiment {
    /// How many trials it has; `None` for more than [`MAX_TRIALS`].
    #[must_use]
    pub fn trials(&self) -> Option<u64> {
        let lists = [
            self.apps.len(),
            self.stores.len(),
            self.workers.len(),
            self.concurrency.len(),
            self.qps.len(),
        ];
        let cases = lists.iter().try_fold(1_u64, |cases, list| cases.checked_mul(*list as u64))?;
        cases.checked_mul(self.repetitions.into()).filter(|&trials| trials <= MAX_TRIALS)
    }
}

/// One app on one store, started with a worker count.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stack {
    /// The app.
    pub app: ComponentName,
    /// The store behind it.
    pub store: ComponentName,
    /// Worker processes of the app.
    pub workers: u32,
}

/// `express on redis, 2 workers`.
impl fmt::Display for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.workers == 1 { "" } else { "s" };
        write!(f, "{} on {}, {} worker{plural}", self.app, self.store, self.workers)
    }
}

/// One combination of factors.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Case {
    /// What is under load.
    #[serde(flatten)]
    pub stack: Stack,
    /// Connections that the loader keeps open.
    pub concurrency: u32,
    /// Target rate, requests per second.
    pub target_rps: Rps,
}

impl Case {
    /// One worker of Express on Redis over 100 connections, for tests.
    #[cfg(test)]
    pub(crate) fn at(target_rps: u32) -> Self {
        let [app, store] = ["express", "redis"].map(|name| ComponentName(name.to_owned()));
        let stack = Stack { app, store, workers: 1 };
        Self { stack, concurrency: 100, target_rps: Rps::whole(target_rps) }
    }
}

/// `express on redis, 2 workers, 100 connections, 1000 requests/s`.
impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}, {} connections, {} requests/s",
            self.stack, self.concurrency, self.target_rps
        )
    }
}

/// One execution of a case, and its place in the order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// Its place in the unshuffled matrix.
    pub id: TrialId,
    /// Its place in the order of execution, counted from 0.
    pub position: u32,
    /// Which repetition of every case it belongs to, counted from 0.
    pub block: u32,
    /// What is executed.
    #[serde(flatten)]
    pub case: Case,
}

/// How trials are put in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Blocks of one repetition each; inside a block stacks in seeded random order, and load
    /// points in seeded random order inside a stack.
    RandomisedBlocks,
    /// Blocks of one repetition each, in the order of the spec.
    Blocked,
    /// Stack by stack, with all its repetitions, in the order of the spec: what drifts then favours
    /// somebody.
    Sequential,
    /// What is next follows from what was found; of the plan's trials only those are executed.
    Search,
}

/// What both sides of an interleaved comparison have in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interleaved {
    /// A name that no other comparison has.
    pub name: String,
    /// How often it is looked at while it goes on, and may be ended for what is seen; 0 when its length
    /// was fixed.
    pub looks: u32,
}

impl Interleaved {
    /// The chance of a false alarm that each of so many looks may have so that all of them have at most
    /// `alpha` together, whatever they have in common (source: Bonferroni's inequality).
    #[must_use]
    pub fn alpha(alpha: f64, looks: u32) -> f64 {
        alpha / f64::from(looks.max(1))
    }
}

/// Every trial of an experiment in the order of execution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// What is measured.
    pub experiment: Experiment,
    /// How the trials were put in order.
    pub order: Order,
    /// The trials, by position.
    pub trials: Vec<Trial>,
}

impl Plan {
    /// The trials block by block.
    pub fn blocks(&self) -> impl Iterator<Item = &[Trial]> {
        self.trials.chunk_by(|a, b| a.block == b.block)
    }

    /// The trials in runs that share one start of one stack: block by block, stack by stack.
    pub fn stack_runs(&self) -> impl Iterator<Item = &[Trial]> {
        self.blocks().flat_map(stack_runs)
    }
}

/// The trials of a block in runs that share one start of one stack.
pub fn stack_runs(block: &[Trial]) -> impl Iterator<Item = &[Trial]> {
    block.chunk_by(|a, b| a.case.stack == b.case.stack)
}
