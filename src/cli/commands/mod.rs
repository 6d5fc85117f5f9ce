//! One file a command.

pub(super) mod ab;
pub(super) mod ask;
pub(super) mod bundle;
pub(super) mod calibrate;
pub(super) mod capacity;
pub(super) mod compare;
pub(super) mod completions;
mod conclude;
pub(super) mod doctor;
pub(super) mod man;
mod measure;
pub(super) mod plan;
pub(super) mod report;
pub(super) mod reproduce;
mod reserve;
pub(super) mod results;
pub(super) mod resume;
pub(super) mod run;
pub(super) mod schema;
pub(super) mod serve;
pub(super) mod sql;
pub(super) mod trend;

use std::path::Path;

use self::measure::Backend;
use super::args::Factors;
use super::error::CliError;
use super::output::note;
use crate::model::{Bundle, ComponentKind, ComponentName, Experiment};
use crate::plan::{KnownComponents, Overrides, Source, adapt, check, embedded};

/// Reads and checks a spec: one that is built in, or a file.
fn experiment(spec: &str, factors: &Factors, bundle: &Bundle) -> Result<Experiment, CliError> {
    match embedded(spec) {
        Some(source) => built_in(&source, factors, bundle),
        None => {
            let known = known_components(bundle);
            Ok(check(&spec_file(spec)?, &Overrides::from(factors), &known)?)
        }
    }
}

/// Checks a built-in spec, for the components that the bundle has.
fn built_in(source: &Source, factors: &Factors, bundle: &Bundle) -> Result<Experiment, CliError> {
    let known = known_components(bundle);
    let (overrides, messages) = adapt(source, Overrides::from(factors), &known);
    messages.iter().for_each(|message| note(message));
    Ok(check(source, &overrides, &known)?)
}

fn known_components(bundle: &Bundle) -> KnownComponents {
    let named = |kind| {
        let components = bundle.components.iter().filter(|component| component.kind == kind);
        components.map(|component| component.name.clone()).collect()
    };
    KnownComponents { apps: named(ComponentKind::App), stores: named(ComponentKind::Store) }
}

fn spec_file(spec: &str) -> Result<Source, CliError> {
    let text = std::fs::read_to_string(Path::new(spec)).map_err(|error| {
        CliError::new(format!("cannot read the spec `{spec}`: {error}"))
            .hint("a spec is `quick`, `full`, or the path of a TOML file")
    })?;
    Ok(Source { name: spec.to_owned(), text })
}

/// The components that an experiment asks for and that cannot be had in `world`.
fn missing(experiment: &Experiment, bundle: &Bundle, world: &Backend) -> Vec<ComponentName> {
    let asked = experiment.apps.iter().chain(&experiment.stores);
    let is_missing = |name: &&ComponentName| {
        bundle.component(name).is_none_or(|component| world.lacks(component).is_some())
    };
    asked.filter(is_missing).cloned().collect()
}

/// What cannot be had in `world`, why, and what to do.
fn missing_words(names: &[ComponentName], bundle: &Bundle, world: &Backend) -> String {
    let words = names.iter().filter_map(|name| {
        let lack = world.lacks(bundle.component(name)?)?;
        Some(format!("{name} is missing: {}\n  what to do: {}", lack.reason, lack.remedy))
    });
    words.collect::<Vec<_>>().join("\n")
}
