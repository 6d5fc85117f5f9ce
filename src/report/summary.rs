//! The answer in words: which stack sustains which load.

use serde::Serialize;

use super::Report;
use super::charts::title;
use super::text::{P95, capacity_text};
use crate::analysis::{LatencyLimit, SustainedLoad, sustained_loads};
use crate::model::{Capacity, ComponentName, Order, QUANTILES, Stack};
use crate::stats::Sustained;
use crate::store::Manifest;
use crate::units::{Nanos, Rps};

/// The limits that a reader can choose, in milliseconds.
const LIMITS_MS: [u64; 10] = [2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000];
/// The limit that is asked first, where something keeps it.
const USUAL_LIMIT: Nanos = Nanos(20_000_000);

/// What is asked: which load is sustained at so many connections under a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Question {
    /// The limit.
    #[serde(flatten)]
    pub limit: LatencyLimit,
    /// Connections of the loader.
    pub connections: u32,
}

/// The load that each stack sustains.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Answer {
    /// What was asked.
    #[serde(flatten)]
    pub question: Question,
    /// In a sentence.
    pub words: String,
    /// The load that each stack sustains, in the order of stacks.
    pub cells: Vec<String>,
}

/// One app on one store, in the table of sustained loads.
pub(super) struct SustainedRow {
    /// The app's place in the experiment.
    pub app: usize,
    /// The store's place in the experiment.
    pub store: usize,
    /// Both by name.
    pub name: String,
    /// What it sustains, by workers in ascending order.
    pub cells: Vec<SustainedCell>,
}

/// What one stack sustains.
pub(super) struct SustainedCell {
    /// Its place in [`Answer::cells`].
    pub place: usize,
    pub workers: u32,
    pub text: String,
}

/// Everything that can be asked, the first question first. Nothing of a search: it has its own answer.
pub(super) fn questions(report: &Report) -> Vec<Question> {
    if report.manifest.order == Order::Search {
        return Vec::new();
    }
    let mut connections = report.manifest.experiment.concurrency.clone();
    connections.sort_unstable();
    let mut questions = Vec::new();
    for &connections in &connections {
        for percentile in 0..QUANTILES.len() {
            for longest in LIMITS_MS.map(|ms| Nanos(ms * 1_000_000)) {
                let limit = LatencyLimit { percentile, longest };
                questions.push(Question { limit, connections });
            }
        }
    }
    // At the fewest connections, p95, the limit nearest above the usual one that somebody keeps.
    let usual = |one: &&Question| {
        Some(&one.connections) == connections.first()
            && one.limit.percentile == P95
            && one.limit.longest >= USUAL_LIMIT
    };
    let is_kept = |one: &&Question| loads(report, **one).iter().any(|load| load.rps.is_some());
    let mut candidates = questions.iter().filter(usual);
    let first = candidates.clone().find(is_kept).or_else(|| candidates.next()).copied();
    questions.sort_by_key(|one| Some(*one) != first);
    questions
}

/// The answer to a question.
pub(super) fn answer(report: &Report, question: Question) -> Answer {
    let loads = loads(report, question);
    Answer {
        question,
        words: words(&report.manifest, &loads, question),
        cells: loads.iter().map(cell).collect(),
    }
}

fn loads(report: &Report, question: Question) -> Vec<SustainedLoad> {
    let trials: Vec<_> = report.trials.iter().zip(&report.analysis.evidence).collect();
    sustained_loads(&trials, question.connections, question.limit)
}

/// What was found, in a sentence.
pub(super) fn headline(report: &Report) -> String {
    match questions(report).first() {
        Some(&first) => answer(report, first).words,
        None => sustained(&report.manifest),
    }
}

/// The table of sustained loads.
pub(super) fn sustained_rows(report: &Report, question: Question) -> Vec<SustainedRow> {
    let manifest = &report.manifest;
    let loads = loads(report, question);
    let place = |names: &[ComponentName], name: &ComponentName| {
        names.iter().position(|one| one == name).unwrap_or(0)
    };
    let all: Vec<(usize, &SustainedLoad)> = loads.iter().enumerate().collect();
    all.chunk_by(|(_, a), (_, b)| pair(&a.stack) == pair(&b.stack))
        .map(|own| {
            let stack = &own[0].1.stack;
            let cell = |&(place, load): &(usize, &SustainedLoad)| SustainedCell {
                place,
                workers: load.stack.workers,
                text: cell(load),
            };
            SustainedRow {
                app: place(&manifest.experiment.apps, &stack.app),
                store: place(&manifest.experiment.stores, &stack.store),
                name: name(manifest, stack),
                cells: own.iter().map(cell).collect(),
            }
        })
        .collect()
}

/// `5,000`; behind `≥` where more was not offered or is not known, `< 1,000` where the lowest is too
/// much already, `?` where nothing is known.
fn cell(load: &SustainedLoad) -> String {
    match (load.rps, load.next) {
        (Some(rps), Some((_, Sustained::No))) => grouped(&rps),
        (Some(rps), _) => format!("≥ {}", grouped(&rps)),
        (None, Some((target, Sustained::No))) => format!("< {}", grouped(&target)),
        (None, _) => "?".to_owned(),
    }
}

/// `20 ms`, `1 s`.
pub(super) fn limit_text(limit: Nanos) -> String {
    match limit.0 / 1_000_000 {
        ms if ms % 1000 == 0 => format!("{} s", ms / 1000),
        ms => format!("{ms} ms"),
    }
}

/// `12,500`, `1,000.5`.
pub(super) fn grouped(number: &impl ToString) -> String {
    let digits = number.to_string();
    let (whole, fraction) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    let groups = whole.as_bytes().rchunks(3).rev();
    let groups: Vec<&str> = groups.map(|group| std::str::from_utf8(group).unwrap_or("")).collect();
    groups.join(",") + fraction
}

/// The best: of the highest rate that is sustained, those with the fewest workers.
fn best<'a>(loads: &[&'a SustainedLoad]) -> Vec<&'a SustainedLoad> {
    let key = |one: &SustainedLoad| (one.rps, std::cmp::Reverse(one.stack.workers));
    let most = loads.iter().map(|one| key(one)).max();
    loads.iter().copied().filter(|one| one.rps.is_some() && Some(key(one)) == most).collect()
}

fn words(manifest: &Manifest, loads: &[SustainedLoad], question: Question) -> String {
    // No line ends between a number and its unit.
    let longest = limit_text(question.limit.longest).replace(' ', "\u{a0}");
    let mut under = format!("{} under {longest}", question.limit.name().replace('_', "."));
    if manifest.experiment.concurrency.len() > 1 {
        under.push_str(&format!(" over {} connections", grouped(&question.connections)));
    }
    let all: Vec<&SustainedLoad> = loads.iter().collect();
    let winners = best(&all);
    let Some(first) = winners.first() else { return nobody(loads, &under) };
    let Some(rate) = first.rps else { return nobody(loads, &under) };
    let verb = if winners.len() == 1 { "sustains" } else { "sustain" };
    let mut words = format!(
        "{} {verb} {}{} requests/s at {under} with {}",
        names(manifest, &winners),
        at_least(&winners),
        grouped(&rate),
        workers(first.stack.workers)
    );
    if winners.iter().all(|one| one.next.is_none()) {
        words.push_str(", the highest rate that was offered");
    }
    for app in &manifest.experiment.apps {
        let own: Vec<&SustainedLoad> =
            all.iter().copied().filter(|one| one.stack.app == *app).collect();
        if !own.is_empty() && winners.iter().all(|one| one.stack.app != *app) {
            words.push_str(&format!("; {}", other(manifest, app, &own, rate)));
        }
    }
    words
}

/// What another app sustains than the one that sustains the most.
fn other(manifest: &Manifest, app: &ComponentName, own: &[&SustainedLoad], most: Rps) -> String {
    let app = title(manifest, app);
    let best = best(own);
    let Some(first) = best.first() else {
        let lowest = own.iter().filter(|one| one.is_limit()).find_map(|one| one.next);
        return match lowest {
            Some((lowest, _)) if own.iter().all(|one| one.is_limit()) => {
                format!("{app} does not sustain {}", grouped(&lowest))
            }
            _ => format!("of {app} it is not known"),
        };
    };
    let count = first.stack.workers;
    if first.rps != Some(most) {
        let (names, rate) =
            (names(manifest, &best), first.rps.as_ref().map(grouped).unwrap_or_default());
        return format!("{names} {}{rate}, with {}", at_least(&best), workers(count));
    }
    let fewer_are_known =
        own.iter().filter(|one| one.stack.workers < count).all(|one| one.is_limit());
    match fewer_are_known {
        true => format!("{app} needs {}", workers(count)),
        false => format!("{app} does with {}", workers(count)),
    }
}

/// What is said where no stack is known to sustain a rate.
fn nobody(loads: &[SustainedLoad], under: &str) -> String {
    let missed: Vec<Rps> =
        loads.iter().filter(|one| one.is_limit()).filter_map(|one| Some(one.next?.0)).collect();
    match missed.iter().min() {
        Some(&lowest) if missed.len() == loads.len() => {
            format!("No stack sustains {} requests/s at {under}", grouped(&lowest))
        }
        Some(_) => format!(
            "No stack is known to sustain a rate at {under}: {} of {} missed the lowest rate, the others could not be judged",
            missed.len(),
            loads.len()
        ),
        None => "No stack could be judged: see the flags and failures of its trials".to_owned(),
    }
}

/// Where it is not known of all that they sustain no more, although more was offered.
fn at_least(loads: &[&SustainedLoad]) -> &'static str {
    let may_sustain_more = |one: &&SustainedLoad| matches!(one.next, Some((_, Sustained::Unknown)));
    if loads.iter().any(may_sustain_more) { "at least " } else { "" }
}

fn names(manifest: &Manifest, loads: &[&SustainedLoad]) -> String {
    let experiment = &manifest.experiment;
    let pairs = experiment.apps.len() * experiment.stores.len();
    if loads.len() > 2 && loads.len() == pairs {
        return "All stacks".to_owned();
    }
    let names: Vec<String> = loads.iter().map(|one| name(manifest, &one.stack)).collect();
    match &names[..] {
        [most @ .., last] if !most.is_empty() => format!("{} and {last}", most.join(", ")),
        _ => names.concat(),
    }
}

fn pair(stack: &Stack) -> (&ComponentName, &ComponentName) {
    (&stack.app, &stack.store)
}

fn name(manifest: &Manifest, stack: &Stack) -> String {
    format!("{} on {}", title(manifest, &stack.app), title(manifest, &stack.store))
}

fn workers(count: u32) -> String {
    format!("{count} worker{}", if count == 1 { "" } else { "s" })
}

/// What a search found: under its first limits, the best of each app.
fn sustained(manifest: &Manifest) -> String {
    let Some(first) = manifest.capacities.first() else {
        return "The search was not finished: nothing is known of what a stack sustains".to_owned();
    };
    let mut best: Vec<&Capacity> = Vec::new();
    for app in &manifest.experiment.apps {
        let own = manifest.capacities.iter();
        let own = own.filter(|one| one.slo == first.slo && one.stack.app == *app);
        best.extend(own.max_by_key(|one| (one.low_rps, std::cmp::Reverse(one.stack.workers))));
    }
    best.sort_by_key(|one| std::cmp::Reverse(one.low_rps));
    let told = |one: &&Capacity| {
        let (name, rate) = (name(manifest, &one.stack), capacity_text(one));
        format!("{name}: {rate}, with {}", workers(one.stack.workers))
    };
    let told: Vec<String> = best.iter().map(told).collect();
    format!("Sustained with {}: {}", first.slo, told.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_limits_read_as_people_say_them() {
        let told = ["0.5", "1", "999", "1000.125", "12500", "1000000"]
            .map(|rate| grouped(&rate.parse::<Rps>().unwrap()))
            .join(" ");
        assert_eq!(told, "0.5 1 999 1,000.125 12,500 1,000,000");
        assert_eq!(limit_text(Nanos(20_000_000)), "20 ms");
        assert_eq!(limit_text(Nanos(2_000_000_000)), "2 s");
    }

    const KNOWN_MANIFEST: &str = include_str!(
        "../../tests/fixtures/version-1/32eee67ad1bba445f1618e608548e34f7b23134fb9cc54b19555e9f0c2c17cc6/manifest.json"
    );

    /// What two apps on two stores sustain with one worker and with two, as the table has it: `5000`,
    /// `>5000` where more is not known, `<1000`, `?`, and `20000!` where no more was offered.
    fn said(cells: [&str; 8]) -> String {
        let mut manifest: Manifest = serde_json::from_str(KNOWN_MANIFEST).unwrap();
        let experiment = &mut manifest.experiment;
        experiment.apps = ["express", "fastapi"].map(|name| name.parse().unwrap()).into();
        experiment.stores = ["dfly", "redis"].map(|name| name.parse().unwrap()).into();
        experiment.concurrency = vec![100];
        let double = |rate: Rps| Rps::from_milli(rate.milli() * 2);
        let mut places = Vec::new();
        for app in ["express", "fastapi"] {
            for store in ["dfly", "redis"] {
                places.extend([1, 2].map(|workers| (app, store, workers)));
            }
        }
        let loads: Vec<SustainedLoad> = places
            .into_iter()
            .zip(cells)
            .map(|((app, store, workers), cell)| {
                let rate: Rps =
                    cell.trim_matches(['<', '>', '!']).parse().unwrap_or(Rps::whole(1000));
                let (rps, next) = match cell.as_bytes() {
                    [b'<', ..] => (None, Some((rate, Sustained::No))),
                    [b'>', ..] => (Some(rate), Some((double(rate), Sustained::Unknown))),
                    [b'?'] => (None, Some((rate, Sustained::Unknown))),
                    [.., b'!'] => (Some(rate), None),
                    _ => (Some(rate), Some((double(rate), Sustained::No))),
                };
                let [app, store] = [app, store].map(|name| name.parse().unwrap());
                SustainedLoad { stack: Stack { app, store, workers }, rps, next }
            })
            .collect();
        let limit = LatencyLimit { percentile: P95, longest: USUAL_LIMIT };
        let words = words(&manifest, &loads, Question { limit, connections: 100 });
        words.replace('\u{a0}', " ").replace(" requests/s at p95 under 20 ms", "")
    }

    #[test]
    fn the_answer_says_what_is_known_and_no_more() {
        let told = [
            ["1000", "2000", "1000", "5000", "1000", "1000", "1000", "1000"],
            ["5000", "5000", "1000", "1000", "1000", "5000", "1000", "1000"],
            ["5000", "5000", "1000", "1000", "?", "5000", "1000", "1000"],
            ["5000", "5000", "1000", "1000", "<1000", "<1000", "<1000", "<1000"],
            ["5000", "5000", "1000", "1000", "<1000", "<1000", "?", "<1000"],
            [">1000", ">1000", "?", "?", "1000", "5000", "1000", "5000"],
            ["20000!", "20000!", "20000!", "20000!", "20000!", "20000!", "20000!", "20000!"],
            ["<1000", "?", "?", "?", "?", "?", "?", "?"],
            ["<1000", "<1000", "<1000", "<1000", "<1000", "<1000", "<1000", "<1000"],
            ["?", "?", "?", "?", "?", "?", "?", "?"],
        ]
        .map(said);
        insta::assert_snapshot!(told.join("\n"));
    }
}
