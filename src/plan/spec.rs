//! Spec files: parses TOML into checked values. Errors have the file and line.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use toml::Spanned;

use super::values::{List, NumberText, Source, SpecError};
use crate::model::{Arrivals, ComponentName, Experiment, Loader, MAX_TRIALS, Profile};
use crate::units::{HumanDuration, Rps};

/// A spec that comes with the program: `quick`, `full`, `calibrate` or `ab`. [`adapt`] fits it to a bundle.
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

/// The built-in spec of a capacity search. Its two rates are the bounds of the search.
#[must_use]
pub fn capacity_spec() -> Source {
    let text = include_str!("capacity.toml").to_owned();
    Source { name: "capacity.toml (built in)".to_owned(), text }
}

/// Values from the command line that replace those of a spec, as they were typed.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--apps`
    pub apps: Option<Vec<String>>,
    /// `--stores`
    pub stores: Option<Vec<String>>,
    /// `--workers`
    pub workers: Option<Vec<String>>,
    /// `--concurrency`
    pub concurrency: Option<Vec<String>>,
    /// `--qps`
    pub qps: Option<Vec<String>>,
    /// `--repetitions`
    pub repetitions: Option<String>,
    /// `--duration`
    pub duration: Option<String>,
    /// `--seed`
    pub seed: Option<String>,
    /// `--retries`
    pub retries: Option<String>,
    /// `--loader`
    pub loader: Option<String>,
    /// `--arrivals`
    pub arrivals: Option<String>,
    /// `--profile`
    pub profile: Option<String>,
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
    /// Makes it from valid names.
    #[cfg(test)]
    pub(crate) fn of(apps: &[&str], stores: &[&str]) -> Self {
        let names = |list: &[&str]| list.iter().map(|name| name.parse().unwrap()).collect();
        Self { apps: names(apps), stores: names(stores) }
    }
}

/// Adapts a built-in spec to a bundle that lacks some of its components. It keeps the apps of the spec that
/// the bundle has, or uses all apps of the bundle if it has none of them; stores likewise. Apps and stores
/// in `overrides` do not change.
///
/// Returns the values and a message for each that differs from the spec. [`check`] reports errors in the
/// spec itself.
#[must_use]
pub fn adapt(
    source: &Source,
    overrides: Overrides,
    known: &KnownComponents,
) -> (Overrides, Vec<String>) {
    let Ok(spec) = toml::from_str::<Spec>(&source.text) else { return (overrides, vec![]) };
    let mut messages = Vec::new();
    let mut fit = |given: Option<Vec<String>>, own: &Spanned<Vec<Spanned<String>>>, kind, known| {
        given.or_else(|| {
            let named = own.get_ref().iter().map(|name| name.get_ref().as_str()).collect();
            let (names, message) = in_bundle(&source.name, kind, named, known)?;
            messages.push(message);
            Some(names)
        })
    };
    let apps = fit(overrides.apps, &spec.factors.apps, "app", &known.apps);
    let stores = fit(overrides.stores, &spec.factors.stores, "store", &known.stores);
    (Overrides { apps, stores, ..overrides }, messages)
}

/// The components to use instead of those that a built-in spec names, and a message; `None` when the bundle
/// has all of them, or none of this kind.
fn in_bundle(
    spec: &str,
    kind: &str,
    named: Vec<&str>,
    known: &[ComponentName],
) -> Option<(Vec<String>, String)> {
    let known: Vec<&str> = known.iter().map(ComponentName::as_str).collect();
    let (present, absent): (Vec<&str>, Vec<&str>) =
        named.into_iter().partition(|name| known.contains(name));
    if absent.is_empty() || known.is_empty() {
        return None;
    }
    let absent = absent.join(", ");
    let (names, which) = match present.is_empty() {
        true => (known, "all that it has"),
        false => (present, "the others"),
    };
    let message =
        format!("the bundle lacks {kind} {absent} of {spec}; using {which}: {}", names.join(", "));
    Some((names.into_iter().map(str::to_owned).collect(), message))
}

/// Checks a spec and the values that replace its own.
///
/// # Errors
/// The first error, with its place and the expected values.
pub fn check(
    source: &Source,
    overrides: &Overrides,
    known: &KnownComponents,
) -> Result<Experiment, SpecError> {
    let spec: Spec = toml::from_str(&source.text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        SpecError { place: source.place(start), message: error.message().replace('\n', ", ") }
    })?;
    let Factors { apps, stores, workers, concurrency, qps } = &spec.factors;
    let experiment = Experiment {
        name: spec_name(source, &spec.name)?,
        apps: list(source, "--apps", &overrides.apps, apps).components("app", &known.apps)?,
        stores: list(source, "--stores", &overrides.stores, stores)
            .components("store", &known.stores)?,
        workers: list(source, "--workers", &overrides.workers, workers).counts(WORKERS)?,
        concurrency: list(source, "--concurrency", &overrides.concurrency, concurrency)
            .counts(CONCURRENCY)?,
        qps: list(source, "--qps", &overrides.qps, qps).rates()?,
        repetitions: value(source, "--repetitions", &overrides.repetitions, &spec.repetitions)
            .count(REPETITIONS)?,
        duration: value(source, "--duration", &overrides.duration, &spec.duration)
            .duration(DURATION)?,
        warm_up: List::from_spec_value(source, &spec.warm_up).duration(WARM_UP)?,
        seed: value(source, "--seed", &overrides.seed, &spec.seed).seed()?,
        slos: vec![],
        is_calibration: false,
        loader: choice(source, "--loader", &overrides.loader, spec.loader.as_ref())?,
        arrivals: choice(source, "--arrivals", &overrides.arrivals, spec.arrivals.as_ref())?,
        profile: choice(source, "--profile", &overrides.profile, spec.profile.as_ref())?,
        retries: match (&overrides.retries, &spec.retries) {
            (None, None) => 0,
            (Some(flag), _) => {
                List::from_flag("--retries", std::slice::from_ref(flag)).count(RETRIES)?
            }
            (None, Some(own)) => List::from_spec_value(source, own).count(RETRIES)?,
        },
    };
    check_loader(source, &experiment)?;
    check_size(source, &experiment)?;
    Ok(experiment)
}

/// One of a few names: the flag's, the spec's, or the default.
fn choice<T: FromStr<Err = String> + Ord + Clone + Default>(
    source: &Source,
    flag: &str,
    given: &Option<String>,
    own: Option<&Spanned<String>>,
) -> Result<T, SpecError> {
    let named = match (given, own) {
        (Some(given), _) => List::from_flag(flag, std::slice::from_ref(given)),
        (None, Some(own)) => List::from_spec_value(source, own),
        (None, None) => return Ok(T::default()),
    };
    named.single(str::parse)
}

/// Worker processes of an app.
const WORKERS: RangeInclusive<u32> = 1..=1024;
/// Connections of the loader: limited by the ports of one address.
const CONCURRENCY: RangeInclusive<u32> = 1..=60_000;
/// Repetitions of each case.
const REPETITIONS: RangeInclusive<u32> = 1..=10_000;
/// Repetitions of a trial that failed.
const RETRIES: RangeInclusive<u32> = 0..=10;
/// Length of a trial.
pub const DURATION: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);
/// Length of the warm-up.
const WARM_UP: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(3600);
/// Requests of one trial: their records are in memory until the end of the trial.
pub const MAX_REQUESTS: u64 = 20_000_000;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    name: Spanned<String>,
    repetitions: Spanned<NumberText>,
    duration: Spanned<String>,
    warm_up: Spanned<String>,
    seed: Spanned<NumberText>,
    retries: Option<Spanned<NumberText>>,
    loader: Option<Spanned<String>>,
    arrivals: Option<Spanned<String>>,
    profile: Option<Spanned<String>>,
    factors: Factors,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Factors {
    apps: Spanned<Vec<Spanned<String>>>,
    stores: Spanned<Vec<Spanned<String>>>,
    workers: Spanned<Vec<Spanned<NumberText>>>,
    concurrency: Spanned<Vec<Spanned<NumberText>>>,
    qps: Spanned<Vec<Spanned<NumberText>>>,
}

fn list<T: fmt::Display>(
    source: &Source,
    flag: &str,
    given: &Option<Vec<String>>,
    own: &Spanned<Vec<Spanned<T>>>,
) -> List {
    match given {
        Some(values) => List::from_flag(flag, values),
        None => List::from_spec(source, own),
    }
}

fn value<T: fmt::Display>(
    source: &Source,
    flag: &str,
    given: &Option<String>,
    own: &Spanned<T>,
) -> List {
    match given {
        Some(value) => List::from_flag(flag, std::slice::from_ref(value)),
        None => List::from_spec_value(source, own),
    }
}

fn spec_name(source: &Source, name: &Spanned<String>) -> Result<String, SpecError> {
    List::from_spec_value(source, name).single(|text| {
        let is_part = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if text.is_empty() || text.len() > 64 || !text.chars().all(is_part) {
            let text = text.escape_debug();
            return Err(format!(
                "`{text}` is not a name: expected 1 to 64 letters, digits, `-`, `_` or `.`"
            ));
        }
        Ok(text.to_owned())
    })
}

/// oha sends requests at equal distances and at a constant rate only.
fn check_loader(source: &Source, experiment: &Experiment) -> Result<(), SpecError> {
    let Experiment { arrivals, profile, .. } = *experiment;
    let lacking = match (arrivals, profile) {
        (Arrivals::Even, Profile::Constant) => return Ok(()),
        (Arrivals::Even, profile) => format!("{} profile", profile.as_str()),
        (arrivals, _) => format!("{} arrivals", arrivals.as_str()),
    };
    if experiment.loader != Loader::Oha {
        return Ok(());
    }
    let message = format!(
        "the loader {} has no {lacking}: set `loader = \"{built_in}\"`, or add `--loader {built_in}`",
        Loader::Oha.as_str(),
        built_in = Loader::BuiltIn.as_str(),
    );
    Err(SpecError { place: source.name.clone(), message })
}

fn check_size(source: &Source, experiment: &Experiment) -> Result<(), SpecError> {
    let wrong = |message| Err(SpecError { place: source.name.clone(), message });
    let duration = experiment.duration;
    for rate in &experiment.qps {
        if rate.planned_at(1) > duration.0.into() {
            return wrong(format!(
                "a trial of {duration} at {rate} requests per second is shorter than the time from one request to the next: expected a `--duration` of {} or more",
                HumanDuration(rate.seconds_for(1)),
            ));
        }
        let requests = offered(experiment, *rate);
        if requests > MAX_REQUESTS {
            return wrong(format!(
                "a trial of {duration} at {rate} requests per second plans {requests} requests: expected at most {MAX_REQUESTS}",
            ));
        }
    }
    if experiment.trials().is_none() {
        return wrong(format!("the experiment has too many trials: expected at most {MAX_TRIALS}"));
    }
    Ok(())
}

/// The requests of one trial.
#[expect(clippy::cast_precision_loss, reason = "counts of requests stay below 2^53")]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is rounded")]
fn offered(experiment: &Experiment, rate: Rps) -> u64 {
    let requests = rate.offered(experiment.duration.0);
    (requests as f64 * experiment.profile.mean()).ceil() as u64
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
        assert!(text.contains(edit.0), "the text to replace is missing: {}", edit.0);
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
            ("qps = [1000]", "qps = [1.5555]"),
            ("qps = [1000]", "qps = [0.05]"),
            ("qps = [1000]", "qps = [0.1]"),
            ("qps = [1000]", "qps = [true]"),
            ("qps = [1000]", "qps = [nan]"),
            ("qps = [1000]", "qps = [1000, \"1k\"]"),
            ("workers = [1]", "workers = [1.5]"),
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
            ("seed = 1", "seed = 1\nloader = \"wrk\""),
            ("seed = 1", "seed = 1\narrivals = \"bursts\""),
            ("seed = 1", "seed = 1\narrivals = \"poisson\""),
            ("seed = 1", "seed = 1\nprofile = \"flat\""),
            ("seed = 1", "seed = 1\nprofile = \"spike\""),
        ]
        .map(|edit| format!("{} → {}\n    {}", edit.0, edit.1, error_of(edit)));
        insta::assert_snapshot!(errors.join("\n"));
    }

    #[test]
    fn flags_override_the_spec_and_are_named_in_errors() {
        let source = embedded("quick").unwrap();
        let stores = Some(vec!["redis".to_owned(), "valkey".to_owned()]);
        let good = Overrides {
            stores: stores.clone(),
            qps: Some(vec!["20k".to_owned()]),
            ..Overrides::default()
        };
        let experiment = check(&source, &good, &known()).unwrap();
        assert_eq!(experiment.qps, [Rps::whole(20_000)]);
        assert_eq!(experiment.stores, known().stores);
        let bad = Overrides { qps: Some(vec!["0".to_owned()]), ..good };
        let error = check(&source, &bad, &known()).unwrap_err().to_string();
        let expected =
            "--qps: `0` is out of range: expected requests per second from 0.1 to 10000000";
        assert!(error.starts_with(expected), "{error}");
    }

    #[test]
    fn a_built_in_spec_uses_the_components_of_the_bundle() {
        let names = |spec: &str, overrides: Overrides, apps: &[&str], stores: &[&str]| {
            let source = embedded(spec).unwrap();
            let known = KnownComponents::of(apps, stores);
            let (overrides, messages) = adapt(&source, overrides, &known);
            let experiment = check(&source, &overrides, &known).unwrap();
            let joined = |names: &[ComponentName]| {
                names.iter().map(ComponentName::as_str).collect::<Vec<_>>().join(" ")
            };
            (joined(&experiment.apps), joined(&experiment.stores), messages)
        };
        // The reference bundle: nothing changes, in the order of the spec.
        let (apps, stores, messages) = names(
            "full",
            Overrides::default(),
            &["express", "fastapi"],
            &["dragonfly", "redis", "valkey"],
        );
        assert_eq!((&*apps, &*stores), ("fastapi express", "redis dragonfly"));
        assert!(messages.is_empty(), "{messages:?}");
        // A part of it.
        let (apps, stores, messages) =
            names("quick", Overrides::default(), &["fastapi", "shop"], &["redis"]);
        assert_eq!((&*apps, &*stores), ("fastapi", "redis"));
        assert_eq!(
            messages,
            [
                "the bundle lacks app express of quick.toml (built in); using the others: fastapi",
                "the bundle lacks store dragonfly of quick.toml (built in); using the others: redis",
            ]
        );
        // Nothing of it.
        for spec in ["quick", "full", "ab", "calibrate"] {
            let (apps, stores, messages) =
                names(spec, Overrides::default(), &["cart", "shop"], &["keydb"]);
            assert_eq!((&*apps, &*stores, messages.len()), ("cart shop", "keydb", 2), "{spec}");
        }
        // What was asked for is not replaced.
        let overrides = Overrides { apps: Some(vec!["shop".to_owned()]), ..Overrides::default() };
        let (apps, stores, messages) = names("ab", overrides, &["cart", "shop"], &["redis"]);
        assert_eq!((&*apps, &*stores, messages.len()), ("shop", "redis", 0));
    }

    #[test]
    fn a_bundle_without_stores_is_refused_with_that_reason() {
        let source = embedded("quick").unwrap();
        let known = KnownComponents::of(&["shop"], &[]);
        let (overrides, _) = adapt(&source, Overrides::default(), &known);
        let error = check(&source, &overrides, &known).unwrap_err().to_string();
        assert!(
            error.ends_with("`redis` is not in the bundle: the bundle has no store"),
            "{error}"
        );
    }

    #[test]
    fn a_trial_has_the_requests_of_its_profile() {
        let of = |profile: &str| Overrides {
            stores: Some(vec!["redis".to_owned()]),
            qps: Some(vec!["4000k".to_owned()]),
            loader: Some("built-in".to_owned()),
            profile: Some(profile.to_owned()),
            ..Overrides::default()
        };
        let source = embedded("quick").unwrap();
        assert!(check(&source, &of("constant"), &known()).is_ok());
        let error = check(&source, &of("spike"), &known()).unwrap_err().to_string();
        assert!(error.contains("plans 22400000 requests: expected at most 20000000"), "{error}");
    }

    #[test]
    fn a_matrix_that_is_too_large_is_refused() {
        let many = Some((1..=1000).map(|value: u32| value.to_string()).collect::<Vec<_>>());
        let overrides = Overrides {
            stores: Some(vec!["redis".to_owned()]),
            workers: many.clone(),
            concurrency: many.clone(),
            qps: many,
            ..Overrides::default()
        };
        let error = check(&embedded("quick").unwrap(), &overrides, &known()).unwrap_err();
        assert!(error.to_string().contains("too many trials: expected at most 1000000"), "{error}");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,200}") {
            let source = Source { name: "any".to_owned(), text };
            let _ = check(&source, &Overrides::default(), &known());
        }
    }
}
