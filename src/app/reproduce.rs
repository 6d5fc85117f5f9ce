//! Measures a dataset again from what it recorded, and compares old with new.

use std::path::PathBuf;

use super::AppError;
use super::compare::{ComparisonReport, ComparisonSettings, compare, side};
use super::environment::Machine;
use super::event::Observer;
use super::measure::{Job, Measured, execute};
use super::settings::{Fake, HostSettings, LauncherChoice, Neighbours, RunSettings};
use crate::compare::same_host_class;
use crate::id::DatasetId;
use crate::model::{Bundle, ComponentName, Fingerprint, Flag, Order, differing_facts};
use crate::plan::Overrides;
use crate::store::{Difference, Manifest, PinnedBundle, PinnedComponent, Store};

/// Which dataset to measure again, and how.
#[derive(Clone, Debug)]
pub struct ReproduceRequest {
    /// The dataset.
    pub dataset: DatasetId,
    /// The file of the bundle that pins the components.
    pub bundle: PathBuf,
    /// Whether parts may share CPUs that had their own when the dataset was measured.
    pub share_cpus: bool,
    /// How old and new are compared; with `force`, another host or other components are accepted.
    pub comparison: ComparisonSettings,
    /// What to do about other runs on the same CPUs.
    pub neighbours: Neighbours,
    /// What the user's environment says.
    pub host: HostSettings,
    /// Compute instead of measuring, for tests.
    pub fake: Option<Fake>,
}

/// What came of it.
#[derive(Debug)]
pub struct Reproduced {
    /// The new run.
    pub measured: Measured,
    /// Old and new, or why they are not compared; `None` when they are the same bytes.
    pub comparison: Option<Result<ComparisonReport, AppError>>,
}

/// Measures a dataset of `store` again, with nothing in place of what was recorded.
///
/// # Errors
/// When host or components are not those of the dataset and `force` was not given, or when the run fails.
pub async fn reproduce(
    store: &Store,
    request: &ReproduceRequest,
    observer: &mut dyn Observer,
) -> Result<Reproduced, AppError> {
    let recorded = request.dataset;
    let before = side(store, recorded, None).await?;
    let manifest = &before.manifest;
    if manifest.order == Order::Search {
        return Err(AppError::new(format!("{} is a search for capacity", recorded.short()))
            .hint("`perf-api report` shows the command that repeats the search"));
    }
    let bundle = crate::bundle::read(&request.bundle)?;
    let force = request.comparison.force;
    check_components(manifest, &bundle, force, observer)?;
    let machine = Machine::detect(request.fake.as_ref())?;
    if request.fake.is_none() && !force {
        check_host(manifest, &machine.host)?;
    }
    let has = |flag: Flag| before.samples.iter().any(|sample| sample.flags.contains(&flag));
    let settings = RunSettings {
        bundle: request.bundle.clone(),
        results: store.location().clone(),
        overrides: Overrides::default(),
        order: None,
        launcher: LauncherChoice::recorded(&manifest.launcher),
        publish: has(Flag::PathPublished),
        allow_missing: false,
        // Parts that shared CPUs when the dataset was measured may share them again.
        share_cpus: request.share_cpus || has(Flag::CpusShared),
        is_strict: false,
        remeasure: false,
        neighbours: request.neighbours.clone(),
        host: request.host.clone(),
        fake: request.fake.clone(),
    };
    let (experiment, order) = (manifest.experiment.clone(), manifest.order);
    let job = Job { bundle: &bundle, experiment, order, machine: &machine };
    let measured = execute(job, &settings, observer).await?;
    let again = measured.report.dataset;
    let comparison = match again == recorded {
        true => None,
        false => Some(compare(store, [recorded, again], &request.comparison).await),
    };
    Ok(Reproduced { measured, comparison })
}

/// Refuses another kind of host before hours are spent on figures that could not be compared.
fn check_host(manifest: &Manifest, here: &Fingerprint) -> Result<(), AppError> {
    if same_host_class(&manifest.host, here) {
        return Ok(());
    }
    let (there, here) = (manifest.host.class(), here.class());
    Err(AppError::new(format!(
        "the dataset was measured on another kind of host: {there}; this host is {here}"
    ))
    .hint("`--force` measures on this host, and the comparison notes the difference"))
}

/// Refuses components that are not those of the dataset, unless somebody insists.
fn check_components(
    manifest: &Manifest,
    bundle: &Bundle,
    force: bool,
    observer: &mut dyn Observer,
) -> Result<(), AppError> {
    let found = differing(manifest, &bundle.into());
    if found.is_empty() {
        if manifest.bundle.id != bundle.id {
            observer.note(
                "the bundles differ only in components that were not measured, or in facts that were not recorded",
            );
        }
        return Ok(());
    }
    let lines: Vec<String> = found
        .iter()
        .map(|one| format!("  {}: {} recorded, {} here", one.what, one.before, one.after))
        .collect();
    let message = format!(
        "bundle {} was recorded, and {} is here; of what was measured differ:\n{}",
        manifest.bundle.id.short(),
        bundle.id.short(),
        lines.join("\n")
    );
    if force {
        observer.note(&message);
        return Ok(());
    }
    let how = match manifest.bundle.provider.as_str() {
        "nix" => {
            "measure by the revision of the flake that pinned the recorded bundle: `nix run URL?rev=… -- reproduce …`"
        }
        _ => "check out the revision that pinned the recorded bundle, and `make setup`",
    };
    Err(AppError::new(message)
        .hint(how)
        .hint("`--force` measures with the components of this host, and the comparison lists the differences"))
}

/// The components of the dataset that are not the same here, with the facts that differ.
fn differing(manifest: &Manifest, here: &PinnedBundle) -> Vec<Difference> {
    let experiment = &manifest.experiment;
    let of = |bundle: &PinnedBundle, name: &ComponentName| {
        bundle.components.iter().find(|one| one.name == *name).cloned()
    };
    let mut differing = Vec::new();
    for name in experiment.apps.iter().chain(&experiment.stores) {
        let (before, after) = (of(&manifest.bundle, name), of(here, name));
        let is_same = match (&before, &after) {
            (Some(before), Some(after)) => before.is_same(after),
            (before, after) => before.is_none() && after.is_none(),
        };
        if is_same {
            continue;
        }
        let facts: Vec<&str> = match (&before, &after) {
            (Some(before), Some(after)) => {
                differing_facts(&before.facts, &after.facts).into_iter().collect()
            }
            _ => vec![],
        };
        let facts = match &facts[..] {
            [] => String::new(),
            facts => format!(" ({})", facts.join(", ")),
        };
        let label = |one: Option<PinnedComponent>| match one {
            Some(one) => one.label(),
            None => "none".to_owned(),
        };
        let what = format!("{name}{facts}");
        differing.push(Difference { what, before: label(before), after: label(after) });
    }
    differing
}
