//! Data whose truth is known: generated, with the troubles of real hosts, or drawn again from what was
//! measured.

use std::collections::BTreeMap;
use std::path::Path;

use perf_api::compare::Side;
use perf_api::id::DatasetId;
use perf_api::model::{Case, Figure, Metric, Sample, Stack};
use perf_api::store::{Location, Manifest, Store};
use perf_api::units::Rps;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

pub const METRICS: [Metric; 3] = [Metric::Rate, Metric::P50, Metric::P95];

/// How repetitions scatter, on logarithms, by metric.
const SCATTER: [f64; 3] = [0.004, 0.03, 0.05];
/// What share of that variance is of the stack's start, the same for all cases of a block.
const START: f64 = 0.3;
/// How two runs differ, on logarithms, by metric.
const RUN: [f64; 3] = [0.002, 0.02, 0.03];
/// Calibrations of the host.
const SESSIONS: u32 = 4;

/// How repetitions are distributed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Normal,
    /// One repetition in twenty is far off.
    HeavyTails,
    /// One start in four is of a slower kind.
    Bimodal,
    /// The host becomes slower and faster again over a run.
    Drift,
    /// Drawn again from what was measured here: 20 starts of four stacks, on a virtual machine of two
    /// CPUs (`tests/fixtures/a-a.csv`).
    Resampled,
}

/// How the two sides were measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Design {
    Interleaved,
    Separate,
}

pub struct Backend {
    pub kind: Kind,
    pub design: Design,
    pub cases: Vec<Case>,
    manifest: Manifest,
    measured: Residuals,
}

/// What was measured, by stack.
type Residuals = BTreeMap<Stack, Vec<Start>>;

/// A case on both sides, on logarithms.
pub struct Pair {
    pub case: Case,
    pub metric: Metric,
    pub before: Vec<f64>,
    pub after: Vec<f64>,
}

impl Backend {
    pub fn all() -> Vec<Self> {
        let kinds = [Kind::Normal, Kind::HeavyTails, Kind::Bimodal, Kind::Drift, Kind::Resampled];
        let designs = [Design::Interleaved, Design::Separate];
        kinds.into_iter().flat_map(|kind| designs.map(|design| Self::of(kind, design))).collect()
    }

    pub fn of(kind: Kind, design: Design) -> Self {
        let measured = measured();
        let cases = match kind {
            Kind::Resampled => measured.values().flat_map(|starts| cases_of(&starts[0])).collect(),
            _ => reference(),
        };
        Self { kind, design, cases, manifest: manifest(), measured }
    }

    /// One stack at two rates, interleaved.
    pub fn small(kind: Kind) -> Self {
        let mut world = Self::of(kind, Design::Interleaved);
        let stack = world.cases[0].stack.clone();
        world.cases.retain(|case| case.stack == stack && case.concurrency == 100);
        world.cases.truncate(2);
        world
    }

    pub fn name(&self) -> String {
        let kind = match self.kind {
            Kind::Normal => "normal",
            Kind::HeavyTails => "heavy tails",
            Kind::Bimodal => "bimodal",
            Kind::Drift => "drift",
            Kind::Resampled => "resampled",
        };
        let design = match self.design {
            Design::Interleaved => "interleaved",
            Design::Separate => "two runs, 4 calibrations",
        };
        format!("{kind}, {} cases, {design}", self.cases.len())
    }

    /// Two sides that differ by `effect`.
    pub fn pair(
        &self,
        repetitions: u32,
        effect: &dyn Fn(&Case, Metric) -> f64,
        rng: &mut ChaCha8Rng,
    ) -> (Side, Side) {
        let none = |_: &Case, _: Metric| 0.0;
        let own = self.drift(repetitions, rng);
        let other = match self.design {
            Design::Interleaved => own.clone(),
            Design::Separate => self.drift(repetitions, rng),
        };
        let before = self.side(&self.cases, &own, &none, rng);
        let after = self.side(&self.cases, &other, effect, rng);
        (before, after)
    }

    /// The host's calibrations: one stack at three rates, ten times.
    pub fn calibrations(&self, rng: &mut ChaCha8Rng) -> Vec<Side> {
        let stack = &self.cases[0].stack;
        let cases: Vec<Case> =
            self.cases.iter().filter(|case| case.stack == *stack).take(3).cloned().collect();
        let none = |_: &Case, _: Metric| 0.0;
        (0..SESSIONS)
            .map(|_| {
                let drift = self.drift(10, rng);
                self.side(&cases, &drift, &none, rng)
            })
            .collect()
    }

    /// What the host adds to every case, by block and metric.
    fn drift(&self, repetitions: u32, rng: &mut ChaCha8Rng) -> Vec<[f64; 3]> {
        let run: Vec<f64> = match self.design {
            Design::Interleaved => vec![0.0; 3],
            Design::Separate => RUN.iter().map(|deviation| deviation * normal(rng)).collect(),
        };
        let mut swing = 0.05 * normal(rng);
        let mut block = |_| {
            // What the host was a block ago it mostly is still.
            swing = 0.6 * swing + 0.8 * 0.05 * normal(rng);
            let swing = if self.kind == Kind::Drift { swing } else { 0.0 };
            [run[0] - swing / 10.0, run[1] + swing, run[2] + swing]
        };
        (0..repetitions).map(&mut block).collect()
    }

    fn side(
        &self,
        cases: &[Case],
        drift: &[[f64; 3]],
        effect: &dyn Fn(&Case, Metric) -> f64,
        rng: &mut ChaCha8Rng,
    ) -> Side {
        let mut samples = Vec::new();
        let mut stacks: Vec<&Stack> = cases.iter().map(|case| &case.stack).collect();
        stacks.dedup();
        for (block, host) in drift.iter().enumerate() {
            for stack in &stacks {
                let noise = self.noise(stack, cases, rng);
                for (case, noise) in cases.iter().filter(|case| case.stack == **stack).zip(noise) {
                    let mut figures = [None; Metric::ALL.len()];
                    for (index, metric) in METRICS.into_iter().enumerate() {
                        let log = noise[index] + host[index] + effect(case, metric);
                        let value = 1e6 * log.exp();
                        figures[metric as usize] = Some(Figure { value, is_bound: false });
                    }
                    samples.push(Sample {
                        case: case.clone(),
                        block: u32::try_from(block).unwrap(),
                        is_valid: true,
                        flags: vec![],
                        failure: None,
                        planned: 10_000,
                        figures,
                    });
                }
            }
        }
        samples.sort_by(|a, b| (&a.case, a.block).cmp(&(&b.case, b.block)));
        Side { dataset: dataset_id(), manifest: self.manifest.clone(), samples }
    }

    /// What the cases of a stack scatter by after one start.
    fn noise(&self, stack: &Stack, cases: &[Case], rng: &mut ChaCha8Rng) -> Vec<[f64; 3]> {
        let own = cases.iter().filter(|case| case.stack == *stack);
        if self.kind == Kind::Resampled {
            let blocks = &self.measured[stack];
            let drawn = &blocks[rng.random_range(0..blocks.len())];
            return own.map(|case| METRICS.map(|metric| drawn[&(case.clone(), metric)])).collect();
        }
        let start = normal(rng);
        let is_slow = self.kind == Kind::Bimodal && rng.random::<f64>() < 0.25;
        own.map(|case| {
            // Some load points scatter three times as much as others.
            let spread = 1.0 + 2.0 * case.target_rps.as_f64() / 20_000.0;
            let is_far = self.kind == Kind::HeavyTails && rng.random::<f64>() < 0.05;
            let mut metrics = [0.0; 3];
            for (value, scatter) in metrics.iter_mut().zip(SCATTER) {
                let scatter = scatter * spread / 2.0;
                *value = scatter * (START.sqrt() * start + (1.0 - START).sqrt() * normal(rng));
                if is_far {
                    *value += 6.0 * scatter * rng.random::<f64>();
                }
                if is_slow {
                    *value += 3.0 * scatter;
                }
            }
            metrics
        })
        .collect()
    }
}

/// The cases of the reference matrix.
fn reference() -> Vec<Case> {
    let mut cases = Vec::new();
    for app in ["express", "fastapi"] {
        for store in ["dragonfly", "redis"] {
            for workers in [1, 2, 4] {
                for concurrency in [100, 500, 1000, 2000] {
                    for target_rps in [1000, 5000, 10_000, 20_000].map(Rps::whole) {
                        let stack = Stack {
                            app: app.parse().unwrap(),
                            store: store.parse().unwrap(),
                            workers,
                        };
                        cases.push(Case { stack, concurrency, target_rps });
                    }
                }
            }
        }
    }
    cases
}

pub fn pairs(before: &Side, after: &Side) -> Vec<Pair> {
    let values = |side: &Side, case: &Case, metric: Metric| -> Vec<f64> {
        let from = side.samples.partition_point(|one| one.case < *case);
        let own = side.samples[from..].iter().take_while(|one| one.case == *case);
        own.filter_map(|one| Some(one.comparable(metric)?.value.ln())).collect()
    };
    let mut cases: Vec<&Case> = before.samples.iter().map(|one| &one.case).collect();
    cases.dedup();
    let pair = |case: &&Case, metric: Metric| Pair {
        case: (*case).clone(),
        metric,
        before: values(before, case, metric),
        after: values(after, case, metric),
    };
    METRICS
        .into_iter()
        .flat_map(|metric| cases.iter().map(move |case| pair(case, metric)).collect::<Vec<_>>())
        .collect()
}

/// Some manifest: both sides have the same.
fn manifest() -> Manifest {
    let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("results");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open(&Location::Folder(results)).unwrap();
        let id = store.names().await.unwrap().find("example").unwrap();
        store.manifest(id).await.unwrap()
    })
}

/// What one start of a stack differs by from the mean of all, by case and metric.
type Start = BTreeMap<(Case, Metric), f64>;

fn cases_of(start: &Start) -> Vec<Case> {
    let mut cases: Vec<Case> = start.keys().map(|(case, _)| case.clone()).collect();
    cases.dedup();
    cases
}

/// The starts of each stack that have all of its cases, widened so that they scatter as what they were
/// taken from does.
fn measured() -> Residuals {
    let mut starts: BTreeMap<(Stack, u32), Start> = BTreeMap::new();
    for line in include_str!("../fixtures/a-a.csv").lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let number = |place: usize| fields[place].parse::<u32>().unwrap();
        let stack = Stack {
            app: fields[0].parse().unwrap(),
            store: fields[1].parse().unwrap(),
            workers: number(2),
        };
        let (concurrency, target_rps, block) = (number(3), Rps::whole(number(4)), number(5));
        let case = Case { stack: stack.clone(), concurrency, target_rps };
        let own = starts.entry((stack, block)).or_default();
        for (metric, value) in METRICS.into_iter().zip(&fields[6..]) {
            own.insert((case.clone(), metric), value.parse::<f64>().unwrap().ln());
        }
    }
    let most = starts.values().map(BTreeMap::len).max().unwrap();
    let mut stacks = Residuals::new();
    for ((stack, _), start) in starts.into_iter().filter(|(_, start)| start.len() == most) {
        stacks.entry(stack).or_default().push(start);
    }
    for own in stacks.values_mut() {
        let count = own.len() as f64;
        let mut means = Start::new();
        for start in &*own {
            start
                .iter()
                .for_each(|(key, value)| *means.entry(key.clone()).or_default() += value / count);
        }
        let widened = (count / (count - 1.0)).sqrt();
        for start in own {
            start.iter_mut().for_each(|(key, value)| *value = (*value - means[key]) * widened);
        }
    }
    stacks
}

fn dataset_id() -> DatasetId {
    Manifest::id_of(b"")
}

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (u, v): (f64, f64) = (rng.random(), rng.random());
    (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}
