//! Spec files: TOML in, checked values out, each error with its file and line.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use crate::model::{ComponentName, Experiment, MOST_TRIALS, line_at};
use crate::units::HumanDuration;

/// A spec file's name and text.
#[derive(Clone, Debug)]
pub struct Source {
    /// What errors call it.
    pub name: String,
    /// What stands in it.
    pub text: String,
}

/// A spec that comes with the program: `quick`, `full`, `calibrate` or `ab`.
#[must_use]
pub fn embedded(name: &str) -> Option<Source> {
    let text = match name {
        "quick" => include_str!("quick.toml"),
        "full" => include_str!("full.toml"),
        "calibrate" => include_str!("calibrate.toml"),
        "ab" => include_str!("ab.toml"),
        _ => return None,
    };
    Some(Source { name: format!("{name}.toml (built in)"), text: text.to_owned() })
}

/// What a search for capacity begins with; its two rates are the ends of the search.
#[must_use]
pub fn capacity_spec() -> Source {
    let text = include_str!("capacity.toml").to_owned();
    Source { name: "capacity.toml (built in)".to_owned(), text }
}

/// Values from the command line that take the place of a spec's own.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--apps`
    pub apps: Option<Vec<String>>,
    /// `--stores`
    pub stores: Option<Vec<String>>,
    /// `--workers`
    pub workers: Option<Vec<i64>>,
    /// `--concurrency`
    pub concurrency: Option<Vec<i64>>,
    /// `--qps`
    pub qps: Option<Vec<i64>>,
    /// `--repetitions`
    pub repetitions: Option<i64>,
    /// `--duration`
    pub duration: Option<String>,
    /// `--seed`
    pub seed: Option<i64>,
    /// `--retries`
    pub retries: Option<i64>,
}

/// The names that a spec may use.
#[derive(Clone, Debug)]
pub struct KnownComponents {
    /// Apps of the bundle.
    pub apps: Vec<ComponentName>,
    /// Stores of the bundle.
    pub stores: Vec<ComponentName>,
}

impl KnownComponents {
    /// From names that are known to be well formed.
    #[cfg(test)]
    pub(crate) fn of(apps: &[&str], stores: &[&str]) -> Self {
        let names = |list: &[&str]| list.iter().map(|name| name.parse().unwrap()).collect();
        Self { apps: names(apps), stores: names(stores) }
    }
}

/// What is wrong with a spec: where, and what is allowed.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {message}")]
pub struct SpecError {
    /// `my.toml:3`, or the flag.
    place: String,
    message: String,
}

/// Checks a spec and the values that replace its own.
///
/// # Errors
/// The first thing that is wrong, with its place and what is allowed.
pub fn check(
    source: &Source,
    overrides: &Overrides,
    known: &KnownComponents,
) -> Result<Experiment, SpecError> {
    let spec: Spec = toml::from_str(&source.text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        SpecError { place: source.place(start), message: error.message().replace('\n', ", ") }
    })?;
    let factors = &spec.factors;
    let names = |flag, given: &Option<Vec<String>>, own| match given {
        Some(values) => List::from_flag(flag, values),
        None => List::from_spec(source, own),
    };
    let numbers = |flag, given: &Option<Vec<i64>>, own| match given {
        Some(values) => List::from_flag(flag, values),
        None => List::from_spec(source, own),
    };
    let experiment = Experiment {
        name: spec_name(source, &spec.name)?,
        apps: names("--apps", &overrides.apps, &factors.apps).components("app", &known.apps)?,
        stores: names("--stores", &overrides.stores, &factors.stores)
            .components("store", &known.stores)?,
        workers: numbers("--workers", &overrides.workers, &factors.workers).numbers(WORKERS)?,
        concurrency: numbers("--concurrency", &overrides.concurrency, &factors.concurrency)
            .numbers(CONCURRENCY)?,
        qps: numbers("--qps", &overrides.qps, &factors.qps).numbers(QPS)?,
        repetitions: given(source, "--repetitions", overrides.repetitions, &spec.repetitions)
            .number(REPETITIONS)?,
        duration: given(source, "--duration", overrides.duration.clone(), &spec.duration)
            .duration(DURATION)?,
        warm_up: List::from_spec_value(source, &spec.warm_up).duration(WARM_UP)?,
        seed: given(source, "--seed", overrides.seed, &spec.seed).seed()?,
        slos: vec![],
        retries: match (overrides.retries, &spec.retries) {
            (None, None) => 0,
            (Some(flag), _) => List::from_flag("--retries", &[flag]).number(RETRIES)?,
            (None, Some(own)) => List::from_spec_value(source, own).number(RETRIES)?,
        },
    };
    check_size(source, &experiment)?;
    Ok(experiment)
}

/// Worker processes of an app.
const WORKERS: RangeInclusive<u32> = 1..=1024;
/// Connections of the loader: as many as one address has ports for.
const CONCURRENCY: RangeInclusive<u32> = 1..=60_000;
/// Target rates.
const QPS: RangeInclusive<u32> = 1..=10_000_000;
/// Repetitions of each case.
const REPETITIONS: RangeInclusive<u32> = 1..=10_000;
/// Repetitions of a trial that failed.
const RETRIES: RangeInclusive<u32> = 0..=10;
/// Length of a trial.
const DURATION: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);
/// Length of the first load on a started stack.
const WARM_UP: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(3600);
/// The largest whole number that every reader of JSON keeps (RFC 8785 writes numbers as doubles).
const MOST_SEED: u64 = (1 << 53) - 1;
/// Requests of one trial: each is a record that is kept in memory until the trial is over.
const MOST_REQUESTS: u128 = 20_000_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    name: Spanned<String>,
    repetitions: Spanned<i64>,
    duration: Spanned<String>,
    warm_up: Spanned<String>,
    seed: Spanned<i64>,
    retries: Option<Spanned<i64>>,
    factors: Factors,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Factors {
    apps: Spanned<Vec<Spanned<String>>>,
    stores: Spanned<Vec<Spanned<String>>>,
    workers: Spanned<Vec<Spanned<i64>>>,
    concurrency: Spanned<Vec<Spanned<i64>>>,
    qps: Spanned<Vec<Spanned<i64>>>,
}

impl Source {
    fn place(&self, offset: usize) -> String {
        format!("{}:{}", self.name, line_at(&self.text, offset))
    }
}

/// The values of one factor, each with the place where it was given.
struct List<T> {
    place: String,
    values: Vec<(T, String)>,
}

impl<T: Clone + fmt::Display> List<T> {
    fn from_flag(flag: &str, values: &[T]) -> Self {
        let placed = |value: &T| (value.clone(), flag.to_owned());
        Self { place: flag.to_owned(), values: values.iter().map(placed).collect() }
    }

    fn from_spec(source: &Source, list: &Spanned<Vec<Spanned<T>>>) -> Self {
        let placed =
            |value: &Spanned<T>| (value.get_ref().clone(), source.place(value.span().start));
        Self {
            place: source.place(list.span().start),
            values: list.get_ref().iter().map(placed).collect(),
        }
    }

    fn from_spec_value(source: &Source, value: &Spanned<T>) -> Self {
        let place = source.place(value.span().start);
        Self { values: vec![(value.get_ref().clone(), place.clone())], place }
    }

    /// Each value through `read`; at least one, none twice.
    fn each<V: Ord + Clone>(
        &self,
        read: impl Fn(&T) -> Result<V, String>,
    ) -> Result<Vec<V>, SpecError> {
        let mut seen = BTreeSet::new();
        let mut values = Vec::new();
        for (given, place) in &self.values {
            let wrong = |message| SpecError { place: place.clone(), message };
            let value = read(given).map_err(wrong)?;
            if !seen.insert(value.clone()) {
                return Err(wrong(format!("`{given}` stands twice")));
            }
            values.push(value);
        }
        if values.is_empty() {
            let message = "the list is empty: give at least one value".to_owned();
            return Err(SpecError { place: self.place.clone(), message });
        }
        Ok(values)
    }

    fn single<V: Ord + Clone>(
        &self,
        read: impl Fn(&T) -> Result<V, String>,
    ) -> Result<V, SpecError> {
        let mut values = self.each(read)?;
        Ok(values.remove(0))
    }
}

impl List<String> {
    fn components(
        &self,
        kind: &str,
        known: &[ComponentName],
    ) -> Result<Vec<ComponentName>, SpecError> {
        self.each(|text| {
            let found = known.iter().find(|name| name.as_str() == text);
            found.cloned().ok_or_else(|| {
                let names: Vec<&str> = known.iter().map(ComponentName::as_str).collect();
                let text = text.escape_debug();
                format!("`{text}` is no {kind} of the bundle; it has: {}", names.join(", "))
            })
        })
    }

    fn duration(&self, allowed: RangeInclusive<Duration>) -> Result<HumanDuration, SpecError> {
        self.single(|text| {
            let duration: HumanDuration = text.parse()?;
            if !allowed.contains(&duration.0) {
                let (least, most) =
                    (HumanDuration(*allowed.start()), HumanDuration(*allowed.end()));
                return Err(format!("`{text}` is out of range: from {least} to {most}"));
            }
            Ok(duration)
        })
    }
}

impl List<i64> {
    fn numbers(&self, allowed: RangeInclusive<u32>) -> Result<Vec<u32>, SpecError> {
        self.each(|&value| in_range(value, &allowed))
    }

    fn number(&self, allowed: RangeInclusive<u32>) -> Result<u32, SpecError> {
        self.single(|&value| in_range(value, &allowed))
    }

    fn seed(&self) -> Result<u64, SpecError> {
        self.single(|&value| {
            let fits = u64::try_from(value).ok().filter(|&value| value <= MOST_SEED);
            fits.ok_or_else(|| format!("`{value}` is out of range: from 0 to {MOST_SEED}"))
        })
    }
}

fn in_range(value: i64, allowed: &RangeInclusive<u32>) -> Result<u32, String> {
    let fits = u32::try_from(value).ok().filter(|value| allowed.contains(value));
    fits.ok_or_else(|| {
        format!("`{value}` is out of range: from {} to {}", allowed.start(), allowed.end())
    })
}

fn given<T: Clone + fmt::Display>(
    source: &Source,
    flag: &str,
    value: Option<T>,
    own: &Spanned<T>,
) -> List<T> {
    match value {
        Some(value) => List::from_flag(flag, &[value]),
        None => List::from_spec_value(source, own),
    }
}

fn spec_name(source: &Source, name: &Spanned<String>) -> Result<String, SpecError> {
    List::from_spec_value(source, name).single(|text| {
        let is_part = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if text.is_empty() || text.len() > 64 || !text.chars().all(is_part) {
            let text = text.escape_debug();
            return Err(format!(
                "`{text}` is no name: letters, digits, `-`, `_` and `.`, from 1 to 64"
            ));
        }
        Ok(text.clone())
    })
}

fn check_size(source: &Source, experiment: &Experiment) -> Result<(), SpecError> {
    let most_qps = experiment.qps.iter().copied().max().unwrap_or(0);
    let requests = u128::from(most_qps) * experiment.duration.0.as_millis() / 1000;
    if requests > MOST_REQUESTS {
        let message = format!(
            "{most_qps} requests per second for {} are {requests} in one trial: {MOST_REQUESTS} at most",
            experiment.duration
        );
        return Err(SpecError { place: source.name.clone(), message });
    }
    if experiment.trials().is_none() {
        let message = format!("more than {MOST_TRIALS} trials are too many");
        return Err(SpecError { place: source.name.clone(), message });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn known() -> KnownComponents {
        KnownComponents::of(&["fastapi", "express"], &["redis", "valkey"])
    }

    fn error_of(edit: (&str, &str)) -> String {
        let text = include_str!("quick.toml").replace("dragonfly", "valkey");
        assert!(text.contains(edit.0), "the test edits what is not there: {}", edit.0);
        let source = Source { name: "my.toml".to_owned(), text: text.replace(edit.0, edit.1) };
        check(&source, &Overrides::default(), &known()).unwrap_err().to_string()
    }

    #[test]
    fn each_error_names_the_line_and_what_is_allowed() {
        let errors = [
            ("workers = [1]", "workers = [0]"),
            ("workers = [1]", "workers = [-1]"),
            ("workers = [1]", "workers = []"),
            ("workers = [1]", "workers = [1, 2, 1]"),
            ("workers = [1]", "workers = 1"),
            ("workers = [1]", "wrokers = [1]"),
            ("workers = [1]", ""),
            ("qps = [1000]", "qps = [4294967296]"),
            ("qps = [1000]", "qps = [99999999999999999999]"),
            ("qps = [1000]", "qps = [1.5]"),
            ("\"redis\"", "\"memcached\""),
            ("\"redis\"", "\"fastapi\""),
            ("\"redis\"", "\"../redis\\u0007\""),
            ("\"4s\"", "\"4\""),
            ("\"4s\"", "\"0s\""),
            ("\"4s\"", "\"2h\""),
            ("seed = 1", "seed = -1"),
            ("name = \"quick\"", "name = \"a b\""),
            ("repetitions = 1", "repetitions = 0"),
            ("[factors]", "[factors"),
        ]
        .map(|edit| format!("{} → {}\n    {}", edit.0, edit.1, error_of(edit)));
        insta::assert_snapshot!(errors.join("\n"));
    }

    #[test]
    fn flags_take_the_place_of_the_spec_and_are_named_in_errors() {
        let source = embedded("quick").unwrap();
        let stores = Some(vec!["redis".to_owned(), "valkey".to_owned()]);
        let good =
            Overrides { stores: stores.clone(), qps: Some(vec![20_000]), ..Overrides::default() };
        let experiment = check(&source, &good, &known()).unwrap();
        assert_eq!(experiment.qps, [20_000]);
        assert_eq!(experiment.stores, known().stores);
        let bad = Overrides { qps: Some(vec![0]), ..good };
        let error = check(&source, &bad, &known()).unwrap_err().to_string();
        assert_eq!(error, "--qps: `0` is out of range: from 1 to 10000000");
    }

    #[test]
    fn a_matrix_without_bounds_is_refused() {
        let many = Some((1..=1000).collect::<Vec<i64>>());
        let overrides = Overrides {
            stores: Some(vec!["redis".to_owned()]),
            workers: many.clone(),
            concurrency: many.clone(),
            qps: many,
            ..Overrides::default()
        };
        let error = check(&embedded("quick").unwrap(), &overrides, &known()).unwrap_err();
        assert!(error.to_string().contains("more than 1000000 trials are too many"), "{error}");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,200}") {
            let source = Source { name: "any".to_owned(), text };
            let _ = check(&source, &Overrides::default(), &known());
        }
    }
}
