//! The answer in words: which stack holds which load.

use serde::Serialize;

use super::Report;
use super::charts::title;
use super::text::capacity_text;
use crate::model::{Capacity, Order, QUANTILES, Stack};
use crate::store::Manifest;
use crate::study::{Bound, Held, Hold, held};
use crate::units::Nanos;

/// The limits that a reader can choose, in milliseconds.
const LIMITS_MS: [u64; 10] = [2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000];
/// The percentile that is asked first, by its place in [`QUANTILES`].
const P95: usize = 2;
/// The limit that is asked first, where something keeps it.
const USUAL_LIMIT: Nanos = Nanos(20_000_000);

/// What each stack holds under one bound.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Answer {
    /// What is to be kept.
    #[serde(flatten)]
    pub bound: Bound,
    /// Connections of the loader.
    pub connections: u32,
    /// In a sentence.
    pub words: String,
    /// How much each stack holds, in the order of stacks.
    pub cells: Vec<String>,
}

/// One app on one store, in a table of what is held.
pub(super) struct HeldRow {
    /// The app's place in the experiment.
    pub app: usize,
    /// The store's place in the experiment.
    pub store: usize,
    /// Both by name.
    pub name: String,
    /// How much it holds, by workers in ascending order, with the place of the answer's cell.
    pub cells: Vec<(usize, String)>,
}

/// The answers to every bound at every number of connections, the first question first.
pub(super) fn answers(report: &Report) -> Vec<Answer> {
    if report.manifest.order == Order::Search {
        return Vec::new();
    }
    let mut connections = report.manifest.experiment.concurrency.clone();
    connections.sort_unstable();
    let mut answers = Vec::new();
    for &connections in &connections {
        for percentile in 0..QUANTILES.len() {
            for limit in LIMITS_MS.map(|ms| Nanos(ms * 1_000_000)) {
                let bound = Bound { percentile, limit };
                let held = held(&report.trials, connections, bound);
                answers.push(Answer {
                    bound,
                    connections,
                    words: words(&report.manifest, &held, bound),
                    cells: held.iter().map(cell).collect(),
                });
            }
        }
    }
    let first = first(report, &connections);
    answers.sort_by_key(|one| Some((one.bound, one.connections)) != first);
    answers
}

/// The question that is asked first: at the fewest connections, p95, the limit nearest above the usual
/// one that somebody keeps.
fn first(report: &Report, connections: &[u32]) -> Option<(Bound, u32)> {
    let &fewest = connections.first()?;
    let is_kept =
        |bound: &Bound| held(&report.trials, fewest, *bound).iter().any(|one| one.rps.is_some());
    let bounds = LIMITS_MS.map(|ms| Bound { percentile: P95, limit: Nanos(ms * 1_000_000) });
    let mut candidates = bounds.into_iter().filter(|bound| bound.limit >= USUAL_LIMIT);
    let usual = Bound { percentile: P95, limit: USUAL_LIMIT };
    Some((candidates.find(is_kept).unwrap_or(usual), fewest))
}

/// The table of what is held under the first bound.
pub(super) fn held_rows(manifest: &Manifest, first: &Answer) -> Vec<HeldRow> {
    let experiment = &manifest.experiment;
    let workers = experiment.workers.len();
    let mut names: Vec<_> = experiment
        .apps
        .iter()
        .enumerate()
        .flat_map(|app| experiment.stores.iter().enumerate().map(move |store| (app, store)))
        .collect();
    // As in the data: by name.
    names.sort_by_key(|((_, app), (_, store))| (app.as_str(), store.as_str()));
    let places: Vec<usize> = (0..first.cells.len()).collect();
    names
        .into_iter()
        .zip(places.chunks(workers.max(1)))
        .map(|(((app, app_name), (store, store_name)), places)| HeldRow {
            app,
            store,
            name: format!("{} on {}", title(manifest, app_name), title(manifest, store_name)),
            cells: places.iter().map(|&place| (place, first.cells[place].clone())).collect(),
        })
        .collect()
}

/// `5,000`; behind `≥` where more was not offered or could not be judged, `< 1,000` where the lowest
/// is too much already.
fn cell(held: &Held) -> String {
    match (held.rps, held.next) {
        (Some(rps), Some((_, Hold::Missed))) => grouped(rps),
        (Some(rps), _) => format!("≥ {}", grouped(rps)),
        (None, Some((target, Hold::Missed))) => format!("< {}", grouped(target)),
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

/// `12,500`.
pub(super) fn grouped(count: u32) -> String {
    let digits = count.to_string();
    let groups = digits.as_bytes().rchunks(3).rev();
    let groups: Vec<&str> = groups.map(|group| std::str::from_utf8(group).unwrap_or("")).collect();
    groups.join(",")
}

/// The best of one app on one store: the highest rate, with the fewest workers.
fn best_of<'a>(held: impl Iterator<Item = &'a Held>) -> Option<&'a Held> {
    let key = |one: &&Held| (one.rps, std::cmp::Reverse(one.stack.workers));
    held.max_by_key(key)
}

fn words(manifest: &Manifest, held: &[Held], bound: Bound) -> String {
    // No line ends between a number and its unit.
    let limit = limit_text(bound.limit).replace(' ', "\u{a0}");
    let under = format!("{} under {limit}", bound.name().replace('_', "."));
    let Some(best) = best_of(held.iter()).filter(|best| best.rps.is_some()) else {
        let lowest = manifest.experiment.qps.iter().min().copied().unwrap_or(0);
        let is_missed = |one: &Held| matches!(one.next, Some((_, Hold::Missed)));
        return match held.iter().any(is_missed) {
            true => format!("No stack holds even {} requests/s at {under}", grouped(lowest)),
            false => "No stack could be judged: see the flags of its trials".to_owned(),
        };
    };
    let is_as_good = |one: &&Held| one.rps == best.rps && one.stack.workers == best.stack.workers;
    let winners: Vec<&Held> = held.iter().filter(is_as_good).collect();
    let names = match winners.len() {
        count if count > 2 && count == pairs(manifest) => "All stacks".to_owned(),
        _ => listed(&winners.iter().map(|one| name(manifest, one)).collect::<Vec<_>>()),
    };
    let rate = grouped(best.rps.unwrap_or(0));
    let verb = if winners.len() == 1 { "holds" } else { "hold" };
    let mut words =
        format!("{names} {verb} {rate} requests/s at {under} with {}", workers(best.stack.workers));
    if winners.iter().all(|one| one.next.is_none()) {
        words.push_str(", the highest rate that was offered");
    }
    for app in &manifest.experiment.apps {
        if winners.iter().any(|one| one.stack.app == *app) {
            continue;
        }
        let Some(own) = best_of(held.iter().filter(|one| one.stack.app == *app)) else { continue };
        let other = title(manifest, app);
        words.push_str("; ");
        words.push_str(&match (own.rps, own.next) {
            (Some(rps), _) if Some(rps) == best.rps => {
                format!("{other} needs {}", workers(own.stack.workers))
            }
            (Some(rps), _) => {
                format!(
                    "{} {}, with {}",
                    name(manifest, own),
                    grouped(rps),
                    workers(own.stack.workers)
                )
            }
            (None, Some((lowest, Hold::Missed))) => {
                format!("{other} holds not even {}", grouped(lowest))
            }
            (None, _) => format!("{other} could not be judged"),
        });
    }
    words
}

fn name(manifest: &Manifest, held: &Held) -> String {
    stack_name(manifest, &held.stack)
}

fn stack_name(manifest: &Manifest, stack: &Stack) -> String {
    format!("{} on {}", title(manifest, &stack.app), title(manifest, &stack.store))
}

/// What a search found: under its first limits, the best of each app.
pub(super) fn sustained(manifest: &Manifest) -> String {
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
        let (name, rate) = (stack_name(manifest, &one.stack), capacity_text(one));
        format!("{name}: {rate}, with {}", workers(one.stack.workers))
    };
    let told: Vec<String> = best.iter().map(told).collect();
    format!("Sustained with {}: {}", first.slo, told.join("; "))
}

/// How many apps on stores there are.
fn pairs(manifest: &Manifest) -> usize {
    manifest.experiment.apps.len() * manifest.experiment.stores.len()
}

/// `a, b and c`.
fn listed(names: &[String]) -> String {
    match names {
        [most @ .., last] if !most.is_empty() => format!("{} and {last}", most.join(", ")),
        _ => names.concat(),
    }
}

fn workers(count: u32) -> String {
    format!("{count} worker{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_limits_read_as_people_say_them() {
        assert_eq!(
            [1, 999, 1000, 12_500, 1_000_000].map(grouped).join(" "),
            "1 999 1,000 12,500 1,000,000"
        );
        assert_eq!(limit_text(Nanos(20_000_000)), "20 ms");
        assert_eq!(limit_text(Nanos(2_000_000_000)), "2 s");
    }
}
