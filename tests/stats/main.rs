//! Comparisons against a known truth: false alarms, coverage and power, on data that was generated and
//! on data that was measured, beside the tests that people use instead.
//!
//! A few comparisons in every `cargo test`; `make stats-test` makes many, and shows the tables.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test fails by panicking, and tells"
)]

mod published;
mod world;

use std::collections::BTreeMap;

use perf_api::compare::{
    Calibration, Comparison, Rules, Side, Verdict, compare, is_decided, looks,
};
use perf_api::model::{Case, Interleaved, Metric};
use perf_api::stats::{Estimated, Scatter, adjusted, bootstrap_mean, rank_sum_p};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use world::{Backend, Design, Kind, METRICS};

const ALPHA: f64 = 0.05;
const MARGIN: f64 = 0.05;
/// What is compared on each case by the rivals.
const REPETITIONS: [u32; 3] = [3, 5, 10];

/// How many comparisons a scenario has.
fn simulations() -> u64 {
    if std::env::var_os("PERF_API_THOROUGH").is_some() { 400 } else { 15 }
}

/// The highest count of events with a chance of `share` that chance explains (four deviations).
fn most(share: f64, of: u64) -> f64 {
    let expected = share * of as f64;
    expected + 4.0 * (expected * (1.0 - share)).sqrt()
}

/// What came of one scenario.
#[derive(Default)]
struct Tally {
    simulations: u64,
    /// Comparisons with any verdict of a change that is not there, of each way to judge.
    false_alarms: [u64; WAYS.len()],
    /// Cases that did not change and were said to have, and all such cases.
    false_cases: [u64; WAYS.len()],
    unchanged: u64,
    /// Cases that changed and were found, and all such cases.
    found: [u64; WAYS.len()],
    changed: u64,
    /// Comparisons whose changed group was found.
    groups_found: u64,
    /// Intervals of cases that hold the truth, and all of them.
    covered: u64,
    intervals: u64,
    /// The same of groups.
    groups_covered: u64,
    /// The same of bootstrapped intervals of cases.
    bootstrap_covered: u64,
    bootstrap_intervals: u64,
    /// p values of ranks, by how many pairs of one before and one after are out of order.
    rank_sums: BTreeMap<usize, f64>,
    group_intervals: u64,
}

impl Tally {
    /// The p value of a pair's ranks. Without ties it follows from which ranks are before.
    fn rank_sum_p(&mut self, pair: &world::Pair) -> f64 {
        let is_less = |a: &f64| pair.after.iter().filter(|b| *b < a).count();
        let less: usize = pair.before.iter().map(is_less).sum();
        let own = || rank_sum_p(&pair.before, &pair.after);
        *self.rank_sums.entry(less).or_insert_with(own)
    }
}

/// Ways to judge: ours, two that are honest, and three that are not.
const WAYS: [&str; 6] = ["ours", "t-test, BH", "ranks, BH", "t-test", "ranks", "over 5 % apart"];

/// What changed, and by how much.
#[derive(Clone, Copy)]
struct Truth {
    /// A change of the latencies of an app's cases, or of a single case.
    change: f64,
    is_single: bool,
}

impl Truth {
    const NONE: Self = Self { change: 0.0, is_single: false };

    fn effect(self, world: &Backend, case: &Case, metric: Metric) -> f64 {
        let is_meant = match self.is_single {
            true => *case == world.cases[0],
            false => case.stack.app.as_str() == "express",
        };
        if is_meant && metric.is_latency() { self.change.ln_1p() } else { 0.0 }
    }
}

fn simulate(world: &Backend, repetitions: u32, truth: Truth, seed: u64) -> Tally {
    let mut tally = Tally { simulations: simulations(), ..Tally::default() };
    for number in 0..tally.simulations {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(number);
        let effect = |case: &Case, metric: Metric| truth.effect(world, case, metric);
        let (before, after) = world.pair(repetitions, &effect, &mut rng);
        let rules = Rules {
            metrics: METRICS.to_vec(),
            margin: MARGIN,
            alpha: ALPHA,
            is_interleaved: world.design == Design::Interleaved,
            calibration: match world.design {
                Design::Interleaved => None,
                Design::Separate => Calibration::of(&world.calibrations(&mut rng)),
            },
        };
        let told = compare(&before, &after, &rules);
        count(&mut tally, world, truth, &told);
        let pairs = world::pairs(&before, &after);
        count_rivals(&mut tally, world, truth, &pairs);
        count_bootstrap(&mut tally, world, truth, &pairs);
    }
    tally
}

fn count(tally: &mut Tally, world: &Backend, truth: Truth, told: &Comparison) {
    let mut is_false_alarm = false;
    for one in &told.cases {
        let effect = truth.effect(world, &one.case, one.finding.metric);
        let is_called = one.finding.verdict.is_change();
        if effect == 0.0 {
            tally.unchanged += 1;
            tally.false_cases[0] += u64::from(is_called);
            is_false_alarm |= is_called;
        } else {
            tally.changed += 1;
            tally.found[0] += u64::from(one.finding.verdict == Verdict::Regressed);
        }
        let change = effect.exp_m1();
        tally.intervals += 1;
        tally.covered += u64::from((one.finding.low..=one.finding.high).contains(&change));
    }
    for group in &told.groups {
        let own: Vec<f64> = world
            .cases
            .iter()
            .filter(|case| group.factor.level(case) == group.level)
            .map(|case| truth.effect(world, case, group.finding.metric))
            .collect();
        let mean = own.iter().sum::<f64>() / own.len() as f64;
        let is_called = group.finding.verdict.is_change();
        is_false_alarm |= is_called && mean == 0.0;
        let is_meant = group.level == "express" && group.finding.metric == Metric::P95;
        tally.groups_found += u64::from(is_called && is_meant);
        tally.group_intervals += 1;
        let holds = (group.finding.low..=group.finding.high).contains(&mean.exp_m1());
        tally.groups_covered += u64::from(holds);
    }
    tally.false_alarms[0] += u64::from(is_false_alarm);
}

/// What others would say of the same data, on logarithms as we do.
fn count_rivals(tally: &mut Tally, world: &Backend, truth: Truth, pairs: &[world::Pair]) {
    let t: Vec<f64> = pairs.iter().map(|pair| plain_t(&pair.before, &pair.after).p()).collect();
    let ranks: Vec<f64> = pairs.iter().map(|pair| tally.rank_sum_p(pair)).collect();
    let is_below = |p: Vec<f64>| p.into_iter().map(|p| p <= ALPHA).collect::<Vec<_>>();
    let apart =
        |pair: &world::Pair| plain_t(&pair.before, &pair.after).value.abs() > MARGIN.ln_1p();
    let called = [
        is_below(adjusted(&t)),
        is_below(adjusted(&ranks)),
        is_below(t),
        is_below(ranks),
        pairs.iter().map(apart).collect(),
    ];
    for (way, called) in (1..).zip(called) {
        let mut is_false_alarm = false;
        for (pair, is_called) in pairs.iter().zip(called) {
            if truth.effect(world, &pair.case, pair.metric) == 0.0 {
                tally.false_cases[way] += u64::from(is_called);
                is_false_alarm |= is_called;
            } else {
                tally.found[way] += u64::from(is_called);
            }
        }
        tally.false_alarms[way] += u64::from(is_false_alarm);
    }
}

/// What is bootstrapped of a few cases, for their intervals: those of ours are of a model.
fn count_bootstrap(tally: &mut Tally, world: &Backend, truth: Truth, pairs: &[world::Pair]) {
    let some = pairs.iter().filter(|_| world.design == Design::Interleaved).step_by(29);
    for pair in some {
        let differences: Vec<f64> =
            pair.before.iter().zip(&pair.after).map(|(before, after)| after - before).collect();
        let (low, high) = bootstrap_mean(&differences, 1.0 - ALPHA).unwrap();
        tally.bootstrap_intervals += 1;
        let effect = truth.effect(world, &pair.case, pair.metric);
        tally.bootstrap_covered += u64::from((low..=high).contains(&effect));
    }
}

fn plain_t(before: &[f64], after: &[f64]) -> Estimated {
    let mean = |side: &[f64]| side.iter().sum::<f64>() / side.len() as f64;
    let squares = |side: &[f64]| {
        let centre = mean(side);
        side.iter().map(|value| (value - centre).powi(2)).sum::<f64>()
    };
    let df = (before.len() + after.len() - 2) as f64;
    let pooled = ((squares(before) + squares(after)) / df).max(1e-12);
    let repetitions = 1.0 / before.len() as f64 + 1.0 / after.len() as f64;
    let variance = Scatter { variance: pooled * repetitions, df };
    Estimated::of_parts(mean(after) - mean(before), &[variance])
}

fn percent(part: u64, of: u64) -> String {
    if of == 0 { "–".to_owned() } else { format!("{:.1} %", 100.0 * part as f64 / of as f64) }
}

#[test]
fn nothing_changed_and_nothing_is_called() {
    println!(
        "{:<44} | {:<11} | {:<30} | coverage: cases, groups, cases by bootstrap",
        "nothing changed", "repetitions", "false alarms: ours"
    );
    println!("{:>44} | others: share of comparisons with a false alarm (of cases)", "");
    for world in Backend::all() {
        for repetitions in REPETITIONS {
            let tally = simulate(&world, repetitions, Truth::NONE, 1);
            let n = tally.simulations;
            println!(
                "{:<44} | {repetitions:<11} | {:<30} | {}, {}, {}",
                world.name(),
                format!("{} of comparisons", percent(tally.false_alarms[0], n)),
                percent(tally.covered, tally.intervals),
                percent(tally.groups_covered, tally.group_intervals),
                percent(tally.bootstrap_covered, tally.bootstrap_intervals),
            );
            let others: Vec<String> = (1..WAYS.len())
                .map(|way| {
                    let cases = percent(tally.false_cases[way], tally.unchanged);
                    format!("{} {} ({cases})", WAYS[way], percent(tally.false_alarms[way], n))
                })
                .collect();
            println!("{:>44} | {}", "", others.join(", "));
            assert!(
                tally.false_alarms[0] as f64 <= most(ALPHA, n),
                "{}: {} false alarms in {n} comparisons",
                world.name(),
                tally.false_alarms[0]
            );
        }
    }
}

#[test]
fn what_changed_is_found() {
    println!(
        "{:<36} | {:<11} | {:<22} | cases found: {}; app's group",
        "changed",
        "repetitions",
        "what",
        WAYS.join(", ")
    );
    for design in [Design::Interleaved, Design::Separate] {
        let world = Backend::of(Kind::Normal, design);
        for is_single in [false, true] {
            for repetitions in REPETITIONS {
                for change in [0.02, 0.05, 0.1, 0.2] {
                    let tally = simulate(&world, repetitions, Truth { change, is_single }, 2);
                    let what = if is_single { "one case" } else { "one app" };
                    let found: Vec<String> =
                        tally.found.iter().map(|found| percent(*found, tally.changed)).collect();
                    println!(
                        "{:<36} | {repetitions:<11} | {:<22} | {}; {}",
                        world.name(),
                        format!("{what} {:.0} % slower", change * 100.0),
                        found.join(", "),
                        percent(tally.groups_found, tally.simulations),
                    );
                    if design == Design::Interleaved && change == 0.1 && repetitions == 5 {
                        let honest = tally.found[1].max(tally.found[2]);
                        let chance = 4.0 * (tally.changed as f64).sqrt() / 2.0;
                        assert!(tally.found[0] as f64 >= honest as f64 - chance, "{what}");
                    }
                }
            }
        }
    }
}

#[test]
fn trials_that_are_left_out_widen_the_interval_of_their_groups() {
    let world = Backend::small(Kind::Normal);
    let none = |_: &Case, _: Metric| 0.0;
    let (mut held, mut asked) = (0, 0);
    for seed in 0..simulations() * 5 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (mut before, mut after) = world.pair(10, &none, &mut rng);
        for sample in before.samples.iter_mut().chain(&mut after.samples) {
            // The noisier case keeps three of its ten repetitions, each three times as far off.
            if sample.case == world.cases[1] {
                sample.is_valid = sample.block < 3;
                let figure = sample.figures[Metric::P95 as usize].as_mut().unwrap();
                figure.value = 1e6 * (figure.value / 1e6).powi(3);
            }
        }
        let rules = Rules {
            metrics: vec![Metric::P95],
            margin: MARGIN,
            alpha: ALPHA,
            is_interleaved: true,
            calibration: None,
        };
        for group in compare(&before, &after, &rules).groups.iter().filter(|one| one.cases == 2) {
            asked += 1;
            held += u64::from((group.finding.low..=group.finding.high).contains(&0.0));
        }
    }
    println!("with 3 of 10 repetitions of the noisier case: {} covered", percent(held, asked));
    assert!((asked - held) as f64 <= most(ALPHA, asked), "{held} of {asked}");
}

/// After how many blocks a comparison that may end early ends, and what it says then.
fn ends_early(world: &Backend, most: u32, change: f64, seed: u64) -> (u32, Comparison) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let truth = Truth { change, is_single: false };
    let effect = |case: &Case, metric: Metric| truth.effect(world, case, metric);
    let (before, after) = world.pair(most, &effect, &mut rng);
    let looks = looks(most);
    let rules = Rules {
        metrics: METRICS.to_vec(),
        margin: MARGIN,
        alpha: Interleaved::alpha(ALPHA, looks.len() as u32),
        is_interleaved: true,
        calibration: None,
    };
    let until = |side: &Side, blocks: u32| Side {
        samples: side.samples.iter().filter(|one| one.block < blocks).cloned().collect(),
        ..side.clone()
    };
    let is_enough = |blocks: &u32| {
        let (before, after) = (until(&before, *blocks), until(&after, *blocks));
        is_decided(&before.samples, &after.samples, &rules, &METRICS)
    };
    let end = looks.into_iter().find(is_enough).unwrap_or(most);
    (end, compare(&until(&before, end), &until(&after, end), &rules))
}

#[test]
fn ending_early_costs_no_false_alarm_and_finds_what_is_obvious() {
    println!(
        "{:<28} | blocks: median, 90 % | regressed, equivalent, false alarm or false equivalence",
        "one stack, at most 40 blocks"
    );
    for kind in [Kind::Normal, Kind::Bimodal] {
        let world = Backend::small(kind);
        for change in [0.0, 0.05, 0.1, 0.3] {
            let mut blocks = Vec::new();
            let (mut regressed, mut equivalent, mut wrong) = (0, 0, 0);
            for seed in 0..simulations() {
                let (end, told) = ends_early(&world, 40, change, seed);
                blocks.push(end);
                let has = |verdict| told.has(verdict);
                regressed += u64::from(has(Verdict::Regressed));
                equivalent += u64::from(told.count(Verdict::Equivalent) == told.cases.len());
                let is_wrong = match change {
                    0.0 => has(Verdict::Regressed) || has(Verdict::Improved),
                    change if change > MARGIN => told.cases.iter().any(|one| {
                        one.finding.metric.is_latency()
                            && one.finding.verdict == Verdict::Equivalent
                    }),
                    _ => has(Verdict::Improved),
                };
                wrong += u64::from(is_wrong);
            }
            blocks.sort_unstable();
            let n = simulations();
            println!(
                "{:<28} | {}, {} | {}, {}, {}",
                format!("{kind:?}, {:.0} % slower", change * 100.0),
                blocks[blocks.len() / 2],
                blocks[blocks.len() * 9 / 10],
                percent(regressed, n),
                percent(equivalent, n),
                percent(wrong, n),
            );
            assert!(wrong as f64 <= most(ALPHA, n), "{kind:?} {change}: {wrong} wrong of {n}");
        }
    }
}
