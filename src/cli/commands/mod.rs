//! One file a command.

pub(super) mod ab;
pub(super) mod ask;
pub(super) mod bundle;
pub(super) mod calibrate;
pub(super) mod capacity;
pub(super) mod compare;
pub(super) mod doctor;
mod measure;
pub(super) mod plan;
pub(super) mod report;
pub(super) mod reproduce;
pub(super) mod results;
pub(super) mod resume;
pub(super) mod run;
pub(super) mod schema;
pub(super) mod serve;
pub(super) mod sql;
pub(super) mod trend;

use std::path::Path;

use self::measure::World;
use super::args::Factors;
use super::error::CliError;
use crate::model::{Bundle, ComponentKind, ComponentName, Experiment};
use crate::plan::{KnownComponents, Overrides, Source, check, embedded};

/// Reads and checks a spec: one that is built in, or a file.
fn experiment(spec: &str, factors: &Factors, bundle: &Bundle) -> Result<Experiment, CliError> {
    let source = match embedded(spec) {
        Some(source) => source,
        None => spec_file(spec)?,
    };
    checked(&source, factors, bundle)
}

/// Checks a spec against the components of a bundle.
fn checked(source: &Source, factors: &Factors, bundle: &Bundle) -> Result<Experiment, CliError> {
    let named = |kind| {
        let components = bundle.components.iter().filter(|component| component.kind == kind);
        components.map(|component| component.name.clone()).collect()
    };
    let known =
        KnownComponents { apps: named(ComponentKind::App), stores: named(ComponentKind::Store) };
    Ok(check(source, &Overrides::from(factors), &known)?)
}

fn spec_file(spec: &str) -> Result<Source, CliError> {
    let text = std::fs::read_to_string(Path::new(spec)).map_err(|error| {
        CliError::new(format!("cannot read the spec `{spec}`: {error}"))
            .hint("a spec is `quick`, `full`, or the path of a TOML file")
    })?;
    Ok(Source { name: spec.to_owned(), text })
}

/// The components that an experiment asks for and that cannot be had in `world`.
fn missing(experiment: &Experiment, bundle: &Bundle, world: &World) -> Vec<ComponentName> {
    let asked = experiment.apps.iter().chain(&experiment.stores);
    let is_missing = |name: &&ComponentName| {
        bundle.component(name).is_none_or(|component| world.lacks(component).is_some())
    };
    asked.filter(is_missing).cloned().collect()
}

/// What cannot be had in `world`, why, and what to do.
fn missing_words(names: &[ComponentName], bundle: &Bundle, world: &World) -> String {
    let words = names.iter().filter_map(|name| {
        let lack = world.lacks(bundle.component(name)?)?;
        Some(format!("{name} is missing: {}\n  what to do: {}", lack.reason, lack.remedy))
    });
    words.collect::<Vec<_>>().join("\n")
}
