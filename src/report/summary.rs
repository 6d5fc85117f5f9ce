//! The answer as a sentence: which rate each stack kept pace with, and sustains under a limit.

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
/// The limit that is assumed first, if a stack keeps it.
const DEFAULT_LIMIT: Nanos = Nanos(20_000_000);

/// Which rates are sustained over a number of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Question {
    /// The limit to keep; `None` asks only which rates a stack kept pace with.
    #[serde(flatten)]
    pub limit: Option<LatencyLimit>,
    /// Connections of the loader.
    pub connections: u32,
}

/// What each stack sustains.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Answer {
    /// What was asked.
    #[serde(flatten)]
    pub question: Question,
    /// The answer as a sentence.
    pub text: String,
    /// The rate that each stack sustains, in the order of stacks.
    pub cells: Vec<String>,
}

/// One app on one store, in the table of sustained rates.
pub(super) struct SustainedRow {
    /// The app's place in the experiment.
    pub app: usize,
    /// The store's place in the experiment.
    pub store: usize,
    /// Both by name.
    pub name: String,
    /// The rates, by workers in ascending order.
    pub cells: Vec<SustainedCell>,
}

/// What one stack sustains.
pub(super) struct SustainedCell {
    /// Its place in [`Answer::cells`].
    pub place: usize,
    pub workers: u32,
    pub text: String,
}

/// Every question, the one of the headline first: which rates were kept pace with over the fewest
/// connections. None for a search, which has its own answer.
pub(super) fn questions(report: &Report) -> Vec<Question> {
    if report.manifest.order == Order::Search {
        return Vec::new();
    }
    let mut connections = report.manifest.experiment.concurrency.clone();
    connections.sort_unstable();
    let mut questions = Vec::new();
    for &connections in &connections {
        questions.push(Question { limit: None, connections });
        for percentile in 0..QUANTILES.len() {
            for longest in LIMITS_MS.map(|ms| Nanos(ms * 1_000_000)) {
                let limit = Some(LatencyLimit { percentile, longest });
                questions.push(Question { limit, connections });
            }
        }
    }
    questions
}

/// The question with the limit that is assumed until the reader chooses another: p95 over the fewest
/// connections, and the lowest limit from [`DEFAULT_LIMIT`] on that a stack keeps.
pub(super) fn assumed(report: &Report) -> Option<Question> {
    let questions = questions(report);
    let connections = questions.first()?.connections;
    let is_candidate = |one: &&Question| {
        let is_limit =
            |limit: LatencyLimit| limit.percentile == P95 && limit.longest >= DEFAULT_LIMIT;
        one.connections == connections && one.limit.is_some_and(is_limit)
    };
    let is_kept = |one: &&Question| loads(report, **one).iter().any(|load| load.rps.is_some());
    let mut candidates = questions.iter().filter(is_candidate);
    candidates.clone().find(is_kept).or_else(|| candidates.next()).copied()
}

/// The answer to a question.
pub(super) fn answer(report: &Report, question: Question) -> Answer {
    let loads = loads(report, question);
    Answer {
        question,
        text: sentence(&report.manifest, &loads, question),
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
        Some(&first) => answer(report, first).text,
        None => search_result(&report.manifest),
    }
}

/// What was found under the assumed limit, in a sentence; `None` for a search.
pub(super) fn assumption(report: &Report) -> Option<String> {
    Some(answer(report, assumed(report)?).text)
}

/// The table of sustained rates.
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

/// `5,000`; `≥ 5,000` if no higher rate was offered or its result is not known, `< 1,000` if the lowest
/// rate was missed, `?` if nothing is known. `5,000 (3/5)` if only three of five repetitions sustained it.
fn cell(load: &SustainedLoad) -> String {
    let share = match load.votes {
        votes if votes.yes == votes.total() => String::new(),
        votes => format!(" ({}/{})", votes.yes, votes.total()),
    };
    match (load.rps, load.next) {
        (Some(rps), Some((_, Sustained::No))) => grouped(&rps) + &share,
        (Some(rps), _) => format!("≥ {}{share}", grouped(&rps)),
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

/// The best: of the highest rate, those with the fewest workers.
fn best<'a>(loads: &[&'a SustainedLoad]) -> Vec<&'a SustainedLoad> {
    let key = |one: &SustainedLoad| (one.rps, std::cmp::Reverse(one.stack.workers));
    let most = loads.iter().map(|one| key(one)).max();
    loads.iter().copied().filter(|one| one.rps.is_some() && Some(key(one)) == most).collect()
}

/// `Express on Redis kept pace up to 5,000 requests/s with 2 workers; …`, or under a limit
/// `Assuming a limit of p95 < 20 ms: Express on Redis sustains 2,000 requests/s with 2 workers; …`.
fn sentence(manifest: &Manifest, loads: &[SustainedLoad], question: Question) -> String {
    let assumption = question.limit.map_or_else(String::new, |limit| {
        // No line ends between a number and its unit.
        let longest = limit_text(limit.longest).replace(' ', "\u{a0}");
        format!("Assuming a limit of {} < {longest}: ", limit.name().replace('_', "."))
    });
    let all: Vec<&SustainedLoad> = loads.iter().collect();
    let winners = best(&all);
    let Some((first, rate)) = winners.first().and_then(|one| Some((one, one.rps?))) else {
        return assumption + &nobody(loads, question);
    };
    let verb = match (question.limit, &winners[..]) {
        (None, _) => "kept pace up to",
        (Some(_), [_]) => "sustains",
        (Some(_), _) => "sustain",
    };
    let over = match manifest.experiment.concurrency.len() {
        1 => String::new(),
        _ => format!(" over {} connections", grouped(&question.connections)),
    };
    let mut text = format!(
        "{assumption}{} {verb} {}{} requests/s{over} with {}",
        names(manifest, &winners),
        at_least(&winners),
        grouped(&rate),
        workers(first.stack.workers)
    );
    if winners.iter().all(|one| one.next.is_none()) {
        text.push_str(", the highest rate offered");
    }
    if winners.iter().any(|one| one.votes.yes < one.votes.total()) {
        text.push_str(", though not in every repetition");
    }
    for app in &manifest.experiment.apps {
        let own: Vec<&SustainedLoad> =
            all.iter().copied().filter(|one| one.stack.app == *app).collect();
        if !own.is_empty() && winners.iter().all(|one| one.stack.app != *app) {
            text.push_str(&format!("; {}", other(manifest, app, &own, rate)));
        }
    }
    text
}

/// The rate of another app than the one with the highest.
fn other(manifest: &Manifest, app: &ComponentName, own: &[&SustainedLoad], most: Rps) -> String {
    let app = title(manifest, app);
    let best = best(own);
    let Some(first) = best.first() else {
        let lowest = own.iter().filter(|one| one.is_limit()).find_map(|one| one.next);
        return match lowest {
            Some((lowest, _)) if own.iter().all(|one| one.is_limit()) => {
                format!("{app}: less than {}", grouped(&lowest))
            }
            _ => format!("{app}: not known"),
        };
    };
    let count = first.stack.workers;
    if first.rps != Some(most) {
        let (names, rate) =
            (names(manifest, &best), first.rps.as_ref().map(grouped).unwrap_or_default());
        return format!("{names}: {}{rate} with {}", at_least(&best), workers(count));
    }
    let fewer_are_known =
        own.iter().filter(|one| one.stack.workers < count).all(|one| one.is_limit());
    match fewer_are_known {
        true => format!("{app} needs {}", workers(count)),
        false => format!("{app} needs at most {}", workers(count)),
    }
}

/// The answer if no stack is known to sustain any rate.
fn nobody(loads: &[SustainedLoad], question: Question) -> String {
    let missed: Vec<Rps> =
        loads.iter().filter(|one| one.is_limit()).filter_map(|one| Some(one.next?.0)).collect();
    let (verb, known) = match question.limit {
        None => ("kept pace with", "to have kept pace with"),
        Some(_) => ("sustains", "to sustain"),
    };
    match missed.iter().min() {
        Some(lowest) if missed.len() == loads.len() => {
            format!("No stack {verb} even {} requests/s", grouped(lowest))
        }
        Some(_) => format!(
            "No stack is known {known} any rate: {} of {} missed the lowest, the others could not be judged",
            missed.len(),
            loads.len()
        ),
        None => "No stack could be judged: see the flags and failures of its trials".to_owned(),
    }
}

/// Where it is not known for all of them that a higher rate is missed, although one was offered.
fn at_least(loads: &[&SustainedLoad]) -> &'static str {
    let may_be_more = |one: &&SustainedLoad| matches!(one.next, Some((_, Sustained::Unknown)));
    if loads.iter().any(may_be_more) { "at least " } else { "" }
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

/// What a search found: under its first limits, the best stack of each app.
fn search_result(manifest: &Manifest) -> String {
    let Some(first) = manifest.capacities.first() else {
        return "The search has no result: it was interrupted before a stack was judged".to_owned();
    };
    let mut best: Vec<&Capacity> = Vec::new();
    for app in &manifest.experiment.apps {
        let own = manifest.capacities.iter();
        let own = own.filter(|one| one.slo == first.slo && one.stack.app == *app);
        best.extend(own.max_by_key(|one| (one.low_rps, std::cmp::Reverse(one.stack.workers))));
    }
    best.sort_by_key(|one| std::cmp::Reverse(one.low_rps));
    let result = |one: &&Capacity| {
        let (name, rate) = (name(manifest, &one.stack), capacity_text(one));
        format!("{name}, {}: {rate}", workers(one.stack.workers))
    };
    let results: Vec<String> = best.iter().map(result).collect();
    format!("Sustained with {}: {}", first.slo, results.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Case;
    use crate::stats::Votes;

    #[test]
    fn numbers_are_grouped_and_limits_have_their_unit() {
        let texts = ["0.5", "1", "999", "1000.125", "12500", "1000000"]
            .map(|rate| grouped(&rate.parse::<Rps>().unwrap()))
            .join(" ");
        assert_eq!(texts, "0.5 1 999 1,000.125 12,500 1,000,000");
        assert_eq!(limit_text(Nanos(20_000_000)), "20 ms");
        assert_eq!(limit_text(Nanos(2_000_000_000)), "2 s");
    }

    const KNOWN_MANIFEST: &str = include_str!(
        "../../tests/fixtures/version-1/32eee67ad1bba445f1618e608548e34f7b23134fb9cc54b19555e9f0c2c17cc6/manifest.json"
    );

    /// What two apps on two stores sustain with one worker and with two, as the table has it: `5000`,
    /// `>5000` where more is not known, `<1000`, `?`, and `20000!` where no higher rate was offered. The
    /// answers without a limit and with one.
    fn answers(cells: [&str; 8]) -> String {
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
                SustainedLoad {
                    stack: Stack { app, store, workers },
                    rps,
                    votes: Votes::default(),
                    next,
                }
            })
            .collect();
        let limit = LatencyLimit { percentile: P95, longest: DEFAULT_LIMIT };
        let texts = [None, Some(limit)]
            .map(|limit| sentence(&manifest, &loads, Question { limit, connections: 100 }));
        texts.join("\n  ").replace('\u{a0}', " ")
    }

    #[test]
    fn repetitions_that_disagree_are_counted_in_the_table() {
        let load = |yes, no, next| SustainedLoad {
            stack: Case::at(1000).stack,
            rps: Some(Rps::whole(5000)),
            votes: Votes { yes, no, unknown: 0 },
            next,
        };
        let missed = Some((Rps::whole(9000), Sustained::No));
        assert_eq!(cell(&load(5, 0, missed)), "5,000");
        assert_eq!(cell(&load(3, 2, missed)), "5,000 (3/5)");
        assert_eq!(cell(&load(3, 2, None)), "≥ 5,000 (3/5)");
    }

    #[test]
    fn the_answer_says_what_is_known_and_no_more() {
        let texts = [
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
        .map(answers);
        insta::assert_snapshot!(texts.join("\n"));
    }
}
