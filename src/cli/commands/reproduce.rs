//! `perf-api reproduce`: measure a dataset again from what it recorded, and compare old with new.

use std::process::ExitCode;

use super::compare::{judge, side};
use super::conclude::{Ending, conclude};
use super::run::execute;
use crate::cli::error::CliError;
use crate::cli::output::note;
use crate::cli::{args, location};
use crate::compare::same_host_class;
use crate::host::{Topology, fingerprint};
use crate::model::{Bundle, ComponentName, Flag, Order, differing_facts};
use crate::store::{Difference, Manifest, PinnedBundle, PinnedComponent};

pub(in crate::cli) async fn reproduce(args: &args::Reproduce) -> Result<ExitCode, CliError> {
    let store = location::open(&args.places.results)?;
    let recorded = location::find(&store, &args.dataset).await?;
    let before = side(&store, recorded, None).await?;
    let manifest = &before.manifest;
    if manifest.order == Order::Search {
        return Err(CliError::new(format!("{} is a search for capacity", recorded.short()))
            .hint("its page tells the command that searches again: `perf-api report`"));
    }
    let bundle = crate::bundle::read(&args.places.bundle)?;
    check_components(manifest, &bundle, args.judge.force)?;
    if !args.fake.fake && !args.judge.force {
        check_host(manifest)?;
    }
    let has = |flag: Flag| before.samples.iter().any(|sample| sample.flags.contains(&flag));
    // What shared CPUs when it was measured may share them again.
    let run = args.as_run(&manifest.launcher, has(Flag::CpusShared), has(Flag::PathPublished));
    let (store, summary) =
        execute(&bundle, manifest.experiment.clone(), manifest.order, &run, false).await?;
    let again = summary.dataset;
    let channel = args.judge.channel();
    let ending = Ending { is_strict: false, channel, results: &args.places.results };
    let code = conclude(&store, summary, ending).await?;
    if again == recorded {
        channel.print("the same bytes: nothing is left to compare\n")?;
        return Ok(code);
    }
    channel.print(&format!("\n{} → {}\n", recorded.short(), again.short()))?;
    let verdict = judge(&store, [recorded, again], &args.judge, args.output.as_deref()).await?.code;
    // That trials failed is the worse news.
    Ok(if code == ExitCode::SUCCESS { verdict } else { code })
}

/// Refuses another kind of host before hours are spent on figures that could not be compared.
fn check_host(manifest: &Manifest) -> Result<(), CliError> {
    let here = fingerprint(&Topology::detect()?)?;
    if same_host_class(&manifest.host, &here) {
        return Ok(());
    }
    let (there, here) = (manifest.host.class(), here.class());
    Err(CliError::new(format!(
        "it was measured on another kind of host: {there} there, {here} here"
    ))
    .hint("`--force` measures here all the same, and the comparison says so"))
}

/// Refuses components that are not those of the dataset, unless somebody insists.
fn check_components(manifest: &Manifest, bundle: &Bundle, force: bool) -> Result<(), CliError> {
    let found = differing(manifest, &bundle.into());
    if found.is_empty() {
        if manifest.bundle.id != bundle.id {
            note(
                "the bundles differ in components that were not measured, or in facts that were not recorded then",
            );
        }
        return Ok(());
    }
    let lines: Vec<String> = found
        .iter()
        .map(|one| format!("  {}: {} recorded, {} here", one.what, one.before, one.after))
        .collect();
    let words = format!(
        "bundle {} was recorded, and {} is here; of what was measured differ:\n{}",
        manifest.bundle.id.short(),
        bundle.id.short(),
        lines.join("\n")
    );
    if force {
        note(&words);
        return Ok(());
    }
    let how = match manifest.bundle.provider.as_str() {
        "nix" => {
            "measure by the revision of the flake that pinned the recorded bundle: `nix run URL?rev=… -- reproduce …`"
        }
        _ => "check out the revision that pinned the recorded bundle, and `make setup`",
    };
    Err(CliError::new(words)
        .hint(how)
        .hint("`--force` measures with what is here, and the comparison names what differs"))
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
        let told = |one: Option<PinnedComponent>| match one {
            Some(one) => one.label(),
            None => "none".to_owned(),
        };
        let what = format!("{name}{facts}");
        differing.push(Difference { what, before: told(before), after: told(after) });
    }
    differing
}
