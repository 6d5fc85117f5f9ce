//! From the name of a spec to an experiment that can be measured here.

use std::path::Path;

use super::AppError;
use super::environment::Backend;
use super::event::Observer;
use crate::model::{Bundle, ComponentKind, ComponentName, Experiment};
use crate::plan::{KnownComponents, Overrides, Source, adapt, check, embedded};

/// Reads and checks a spec: one that is built in, or a file.
pub(super) fn experiment(
    spec: &str,
    overrides: &Overrides,
    bundle: &Bundle,
    observer: &mut dyn Observer,
) -> Result<Experiment, AppError> {
    match embedded(spec) {
        Some(source) => built_in(&source, overrides, bundle, observer),
        None => Ok(check(&spec_file(spec)?, overrides, &known_components(bundle))?),
    }
}

/// Checks a built-in spec, for the components that the bundle has.
pub(super) fn built_in(
    source: &Source,
    overrides: &Overrides,
    bundle: &Bundle,
    observer: &mut dyn Observer,
) -> Result<Experiment, AppError> {
    let known = known_components(bundle);
    let (overrides, messages) = adapt(source, overrides.clone(), &known);
    messages.iter().for_each(|message| observer.note(message));
    Ok(check(source, &overrides, &known)?)
}

fn known_components(bundle: &Bundle) -> KnownComponents {
    let named = |kind| {
        let components = bundle.components.iter().filter(|component| component.kind == kind);
        components.map(|component| component.name.clone()).collect()
    };
    KnownComponents { apps: named(ComponentKind::App), stores: named(ComponentKind::Store) }
}

fn spec_file(spec: &str) -> Result<Source, AppError> {
    let text = std::fs::read_to_string(Path::new(spec)).map_err(|error| {
        AppError::new(format!("cannot read the spec `{spec}`: {error}"))
            .hint("a spec is `quick`, `full`, or the path of a TOML file")
    })?;
    Ok(Source { name: spec.to_owned(), text })
}

/// The components that an experiment asks for and that cannot be had with a backend.
pub(super) fn missing(
    experiment: &Experiment,
    bundle: &Bundle,
    backend: &Backend,
) -> Vec<ComponentName> {
    let asked = experiment.apps.iter().chain(&experiment.stores);
    let is_missing = |name: &&ComponentName| {
        bundle.component(name).is_none_or(|component| backend.lacks(component).is_some())
    };
    asked.filter(is_missing).cloned().collect()
}

/// What cannot be had with a backend, why, and what to do.
pub(super) fn missing_text(names: &[ComponentName], bundle: &Bundle, backend: &Backend) -> String {
    let lines = names.iter().filter_map(|name| {
        let lack = backend.lacks(bundle.component(name)?)?;
        Some(format!("{name} is missing: {}\n  what to do: {}", lack.reason, lack.remedy))
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// An experiment without the components that cannot be had, when that is allowed and something is left.
pub(super) fn without(
    mut experiment: Experiment,
    missing: &[ComponentName],
    bundle: &Bundle,
    backend: &Backend,
    allow_missing: bool,
    observer: &mut dyn Observer,
) -> Result<Experiment, AppError> {
    if missing.is_empty() {
        return Ok(experiment);
    }
    observer.note(&missing_text(missing, bundle, backend));
    if !allow_missing {
        return Err(AppError::new("a component of the spec is missing on this host")
            .hint("install it as described above, then `make setup`")
            .hint("`--allow-missing` measures the rest; the dataset then names what is missing"));
    }
    experiment.apps.retain(|name| !missing.contains(name));
    experiment.stores.retain(|name| !missing.contains(name));
    if experiment.apps.is_empty() || experiment.stores.is_empty() {
        return Err(AppError::new(
            "nothing is left to measure: every app or every store is missing",
        )
        .hint("install what is named above, then `make setup`"));
    }
    Ok(experiment)
}
