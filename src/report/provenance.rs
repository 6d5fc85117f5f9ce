//! Where the figures of a dataset come from, and how to measure them again.

use serde::Serialize;

use super::Report;
use crate::model::{Arrivals, ComponentName, Experiment, Flag, Order, Profile, joined};
use crate::store::{Manifest, PinnedComponent};
use crate::units::{HumanDuration, Rps};

/// A step from the pinned inputs to this page.
pub(super) struct Step {
    pub name: &'static str,
    /// What it is.
    pub description: String,
    /// Its hash; empty where it has none.
    pub hash: String,
}

/// One component that was measured.
pub(super) struct ComponentRow {
    pub title: String,
    pub version: String,
    pub full_version: String,
    pub identity: String,
    /// The inputs that its identity covers.
    pub facts: Vec<(String, String)>,
    /// What it reported about itself at run time.
    pub reported: Vec<String>,
}

/// From lock files to the page.
pub(super) fn chain(report: &Report) -> Vec<Step> {
    let manifest = &report.manifest;
    let experiment = &manifest.experiment;
    let step = |name, description: String, hash: String| Step { name, description, hash };
    let trials = report.trials.len();
    vec![
        step(
            "components",
            "lock files, sources and digests; the identity of each component below is the hash of everything that can change its behaviour".to_owned(),
            String::new(),
        ),
        step(
            "bundle",
            format!("all components, pinned by {}", manifest.bundle.provider),
            manifest.bundle.id.to_string(),
        ),
        step(
            "run",
            format!(
                "spec {}, seed {}: {trials} trials in an order that follows from both; by {}, load by {}{}{}",
                experiment.name,
                experiment.seed,
                manifest.writer,
                manifest.load_driver,
                match experiment.arrivals {
                    Arrivals::Even => "",
                    Arrivals::Poisson => ", arrivals as a Poisson process",
                },
                match experiment.profile {
                    Profile::Constant => String::new(),
                    profile => format!(", rate as a {}", profile.as_str()),
                }
            ),
            String::new(),
        ),
        step(
            "dataset",
            "the manifest lists the SHA-256 of every table, and its own SHA-256 is the id of the dataset".to_owned(),
            report.dataset.to_string(),
        ),
        step(
            "this page",
            "follows from the dataset alone, without a clock or random numbers. The same program creates the same bytes again".to_owned(),
            String::new(),
        ),
    ]
}

/// The command that measures the same again, and its spec file.
pub(super) fn reproduce(report: &Report) -> (String, String) {
    let manifest = &report.manifest;
    let experiment = &manifest.experiment;
    let launcher = if manifest.launcher == "docker" { "docker" } else { "process" };
    let shares = report.trials.iter().any(|trial| trial.flags.contains(&Flag::CpusShared));
    let share = if shares { " --allow-shared-cpus" } else { "" };
    let command = match manifest.order {
        Order::Search => {
            let slos: Vec<String> =
                experiment.slos.iter().map(|slo| format!("--slo '{slo}'")).collect();
            format!(
                "perf-api capacity {} --apps {} --stores {} --workers {} --concurrency {} --qps {} --duration {} --seed {} --launcher {launcher}{share}",
                slos.join(" "),
                joined(&experiment.apps, ","),
                joined(&experiment.stores, ","),
                joined(&experiment.workers, ","),
                joined(&experiment.concurrency, ","),
                joined(&ends(&experiment.qps), ","),
                experiment.duration.to_string().replace(' ', ""),
                experiment.seed,
            )
        }
        order => format!(
            "perf-api run again.toml{} --launcher {launcher}{share}",
            match order {
                Order::Blocked => " --order blocked",
                Order::Sequential => " --order sequential",
                _ => "",
            }
        ),
    };
    (command, spec_text(experiment))
}

/// The lowest and the highest.
fn ends(rates: &[Rps]) -> Vec<Rps> {
    rates.iter().min().into_iter().chain(rates.iter().max()).copied().collect()
}

#[derive(Serialize)]
struct SpecFile<'a> {
    name: &'a str,
    repetitions: u32,
    duration: HumanDuration,
    warm_up: HumanDuration,
    seed: u64,
    retries: u32,
    factors: SpecFactors<'a>,
}

#[derive(Serialize)]
struct SpecFactors<'a> {
    apps: &'a [ComponentName],
    stores: &'a [ComponentName],
    workers: &'a [u32],
    concurrency: &'a [u32],
    qps: &'a [Rps],
}

/// The experiment as a spec file.
fn spec_text(experiment: &Experiment) -> String {
    let spec = SpecFile {
        name: &experiment.name,
        repetitions: experiment.repetitions,
        duration: experiment.duration,
        warm_up: experiment.warm_up,
        seed: experiment.seed,
        retries: experiment.retries,
        factors: SpecFactors {
            apps: &experiment.apps,
            stores: &experiment.stores,
            workers: &experiment.workers,
            concurrency: &experiment.concurrency,
            qps: &experiment.qps,
        },
    };
    toml::to_string(&spec).expect("a checked experiment is plain data")
}

/// The components that were measured.
pub(super) fn components(manifest: &Manifest) -> Vec<ComponentRow> {
    let experiment = &manifest.experiment;
    let is_used = |one: &&PinnedComponent| {
        experiment.apps.contains(&one.name) || experiment.stores.contains(&one.name)
    };
    let used = manifest.bundle.components.iter().filter(is_used);
    used.map(|one| component(manifest, one)).collect()
}

fn component(manifest: &Manifest, component: &PinnedComponent) -> ComponentRow {
    let reports = manifest.reports.get(component.name.as_str());
    let fields = reports.into_iter().flatten().flatten();
    let mut reported: Vec<String> = fields.map(|(name, value)| format!("{name} {value}")).collect();
    // Stacks of different sizes report many of the same fields.
    reported.sort_unstable();
    reported.dedup();
    ComponentRow {
        title: component.title.clone(),
        version: component.short_version(),
        full_version: component.version.clone().unwrap_or_default(),
        identity: component.identity.to_string(),
        facts: component.facts.clone().into_iter().collect(),
        reported,
    }
}
