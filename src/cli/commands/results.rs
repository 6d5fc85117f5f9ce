//! `perf-api results`: list, check, name, copy and remove datasets.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use indicatif::HumanBytes;
use serde_json::{Value, json};

use crate::app::AppError;
use crate::cli::args::Format;
use crate::cli::error::condition_code;
use crate::cli::location;
use crate::cli::output::{note, print, table};
use crate::id::DatasetId;
use crate::model::{Capacity, joined};
use crate::query::{Verified, verify};
use crate::report::capacity_text;
use crate::store::{Condition, Incoming, Listed, Names, Store, StoreError};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    pub command: Action,
    /// Dataset store: a folder, s3://BUCKET/PREFIX, gs://… or az://…
    #[arg(
        long,
        value_name = "PLACE",
        env = "PERF_API_RESULTS",
        default_value = "results",
        global = true
    )]
    pub results: String,
}

/// A dataset is named by a tag, a prefix of its id with 6 digits or more, `latest`, or `latest~1`.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Action {
    /// List datasets, the latest first
    List {
        /// Output format
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Show the manifest of a dataset
    Show {
        /// Dataset
        #[arg(default_value = "latest")]
        dataset: String,
        /// Output format
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Check hashes, schema and figures of datasets
    Verify {
        /// Datasets to check
        #[arg(required_unless_present = "all")]
        datasets: Vec<String>,
        /// Check every dataset
        #[arg(long, conflicts_with = "datasets")]
        all: bool,
    },
    /// Give a dataset a name
    Tag {
        /// Dataset
        dataset: String,
        /// Name
        tag: String,
        /// Move the tag from another dataset
        #[arg(long)]
        force: bool,
    },
    /// Remove a name
    Untag {
        /// Name
        tag: String,
    },
    /// Remove a dataset for good
    Remove {
        /// Dataset
        dataset: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        /// Remove it although it has a tag
        #[arg(long)]
        force: bool,
    },
    /// Write a dataset to one file
    Export {
        /// Dataset
        dataset: String,
        /// File to write, such as `mine.tar.zst`
        file: PathBuf,
    },
    /// Check an exported dataset and add it
    Import {
        /// File that `export` wrote
        file: PathBuf,
    },
    /// Copy a dataset to another dataset store
    Push {
        /// Dataset
        dataset: String,
        /// Dataset store: a folder, s3://BUCKET/PREFIX, gs://… or az://…
        to: String,
    },
    /// Copy a dataset from another dataset store
    Pull {
        /// Dataset store: a folder, s3://BUCKET/PREFIX, gs://… or az://…
        from: String,
        /// Dataset
        #[arg(default_value = "latest")]
        dataset: String,
    },
}

pub(in crate::cli) async fn execute(args: &Args) -> Result<ExitCode, AppError> {
    let open = || location::open(&args.results);
    match &args.command {
        Action::List { format } => list(&open()?, *format).await,
        Action::Show { dataset, format } => show(&open()?, dataset, *format).await,
        Action::Verify { datasets, all } => verify_all(&open()?, datasets, *all).await,
        Action::Tag { dataset, tag, force } => {
            let store = open()?;
            let id = location::find(&store, dataset).await?;
            done(store.tag(id, tag, *force).await.map(|()| format!("{tag} is {id}"))?)
        }
        Action::Untag { tag } => {
            done(open()?.untag(tag).await.map(|()| format!("{tag} is removed"))?)
        }
        Action::Remove { dataset, yes, force } => remove(&open()?, dataset, *yes, *force).await,
        Action::Export { dataset, file } => {
            let store = open()?;
            let id = location::find(&store, dataset).await?;
            store.export(id, file).await?;
            done(format!("{id} is in {}", file.display()))
        }
        Action::Import { file } => import(&args.results, file).await,
        Action::Push { dataset, to } => copy(&open()?, to, dataset).await,
        Action::Pull { from, dataset } => {
            copy(&location::open(from)?, &args.results, dataset).await
        }
    }
}

fn done(what: String) -> Result<ExitCode, AppError> {
    print(&(what + "\n"))?;
    Ok(ExitCode::SUCCESS)
}

async fn list(store: &Store, format: Format) -> Result<ExitCode, AppError> {
    let listed = store.list().await?;
    let names = store.names_of(&listed).await?;
    if format == Format::Json {
        let datasets: Vec<Value> = listed.iter().map(|one| in_json(one, &names)).collect();
        print_json(&json!(datasets))?;
        return Ok(ExitCode::SUCCESS);
    }
    let header = ["dataset", "when", "spec", "host", "tags", "trials", "failed", "size"];
    let rows: Vec<Vec<String>> = listed.iter().filter_map(|one| as_text(one, &names)).collect();
    match rows.is_empty() {
        true => note(&format!("no dataset in {}: `perf-api quick` measures one", store.name())),
        false => print(&table(&header, &rows, 5))?,
    }
    for (id, error) in listed.iter().filter_map(|one| Some((one.id, one.manifest.as_ref().err()?)))
    {
        note(&format!("{}: {}: {error}", id.short(), error.condition().as_str()));
    }
    Ok(ExitCode::SUCCESS)
}

fn as_text(listed: &Listed, names: &Names) -> Option<Vec<String>> {
    let manifest = listed.manifest.as_ref().ok()?;
    let failed = manifest.failed_trials.map_or("–".to_owned(), |failed| failed.to_string());
    Some(vec![
        listed.id.short(),
        manifest.started.to_string(),
        manifest.experiment.name.clone(),
        manifest.host.class(),
        names.tags(listed.id).join(", "),
        manifest.trial_count().to_string(),
        failed,
        HumanBytes(manifest.table_bytes()).to_string(),
    ])
}

fn in_json(listed: &Listed, names: &Names) -> Value {
    let tags = names.tags(listed.id);
    match &listed.manifest {
        Ok(manifest) => json!({
            "dataset": listed.id,
            "condition": Condition::Intact.as_str(),
            "tags": tags,
            "started_ms": manifest.started,
            "spec": manifest.experiment.name,
            "host": manifest.host.class(),
            "trials": manifest.trial_count(),
            "failed_trials": manifest.failed_trials,
            "table_bytes": manifest.table_bytes(),
        }),
        Err(error) => json!({
            "dataset": listed.id,
            "condition": error.condition().as_str(),
            "tags": tags,
            "error": error.to_string(),
        }),
    }
}

async fn show(store: &Store, dataset: &str, format: Format) -> Result<ExitCode, AppError> {
    let names = store.names().await?;
    let id = location::find_among(&names, dataset)?;
    let manifest = store.manifest(id).await?;
    if format == Format::Json {
        let mut value = json!(manifest);
        value["dataset"] = json!(id);
        value["tags"] = json!(names.tags(id));
        print_json(&value)?;
        return Ok(ExitCode::SUCCESS);
    }
    let experiment = &manifest.experiment;
    let components = manifest.bundle.components.iter();
    let used = components
        .filter(|c| experiment.apps.contains(&c.name) || experiment.stores.contains(&c.name));
    let versions =
        used.map(|c| format!("{} {}", c.name, c.version.as_deref().unwrap_or("(no version)")));
    let missing: Vec<String> = manifest.unavailable.iter().map(ToString::to_string).collect();
    let differences = manifest.accepted_differences.iter();
    let differences =
        differences.map(|one| format!("{}: {} → {}", one.what, one.before, one.after));
    let mut lines = vec![
        ("dataset", id.to_string()),
        ("tags", names.tags(id).join(", ")),
        ("measured", manifest.started.to_string()),
        ("spec", format!("{}, seed {}", experiment.name, experiment.seed)),
        ("workers", joined(&experiment.workers, ", ")),
        ("connections", joined(&experiment.concurrency, ", ")),
        ("target/s", joined(&experiment.qps, ", ")),
        ("repetitions", format!("{} of {}", experiment.repetitions, experiment.duration)),
        ("components", versions.collect::<Vec<_>>().join(", ")),
        ("not to be had", missing.join(", ")),
        ("bundle", format!("{} by {}", manifest.bundle.id.short(), manifest.bundle.provider)),
        (
            "host",
            format!(
                "{}; {}, kernel {}",
                manifest.host.class(),
                manifest.host.os,
                manifest.host.kernel
            ),
        ),
        ("launcher", manifest.launcher.clone()),
        ("load driver", manifest.load_driver.clone()),
        ("written by", format!("{}, schema version {}", manifest.writer, manifest.schema_version)),
        ("not the same after an interruption", differences.collect::<Vec<_>>().join("; ")),
    ];
    for one in &manifest.capacities {
        let Capacity { stack, concurrency, slo, .. } = one;
        let sustains = capacity_text(one);
        lines.push(("sustains", format!("{stack}, {concurrency} connections, {slo}: {sustains}")));
    }
    for (name, file) in &manifest.files {
        let what =
            format!("{} rows, {}, sha256 {}", file.rows, HumanBytes(file.bytes), file.sha256);
        lines.push((name, what));
    }
    let rows: Vec<Vec<String>> = lines
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| vec![name.to_owned(), value])
        .collect();
    print(&table(&[], &rows, usize::MAX))?;
    Ok(ExitCode::SUCCESS)
}

async fn verify_all(store: &Store, datasets: &[String], all: bool) -> Result<ExitCode, AppError> {
    let names = store.names().await?;
    let ids: Vec<DatasetId> = match all {
        true => names.ids().to_vec(),
        false => datasets
            .iter()
            .map(|name| location::find_among(&names, name))
            .collect::<Result<_, _>>()?,
    };
    let mut worst = Condition::Intact;
    for id in ids {
        let verified = verify(store, id).await;
        let condition =
            verified.as_ref().map_or_else(|error| error.condition(), |_| Condition::Intact);
        worst = worst.max(condition);
        let what = match &verified {
            Ok(Verified { manifest, .. }) => {
                format!("{} trials, {}", manifest.trial_count(), HumanBytes(manifest.table_bytes()))
            }
            Err(error) => crate::model::with_causes(error),
        };
        print(&format!("{:<10} {}  {what}\n", condition.as_str(), id.short()))?;
    }
    Ok(condition_code(worst).into())
}

async fn remove(
    store: &Store,
    dataset: &str,
    yes: bool,
    force: bool,
) -> Result<ExitCode, AppError> {
    let _lock = store.lock()?;
    let names = store.names().await?;
    if dataset.starts_with("latest") && names.unreadable() > 0 {
        let count = names.unreadable();
        return Err(AppError::new(format!(
            "cannot resolve `{dataset}`: the manifest of {count} cannot be read"
        ))
        .hint("use its id: `perf-api results list`"));
    }
    let id = names.find(dataset)?;
    let tags = names.tags(id);
    if !tags.is_empty() && !force {
        return Err(StoreError::Tagged { dataset: id.short(), tags: tags.join(", ") }.into());
    }
    if !yes && !confirmed(&format!("remove dataset {id}?"))? {
        return done(format!("{id} is kept"));
    }
    store.remove(id, force).await?;
    done(format!("{id} is removed"))
}

/// Asks the person at the terminal.
fn confirmed(question: &str) -> Result<bool, AppError> {
    let input = std::io::stdin();
    if !input.is_terminal() {
        return Err(AppError::new("cannot ask for confirmation without a terminal")
            .hint("`--yes` removes without asking"));
    }
    let mut error = std::io::stderr();
    let mut answer = String::new();
    write!(error, "{question} [y/N] ")
        .and_then(|()| error.flush())
        .and_then(|()| input.read_line(&mut answer))
        .map_err(|error| AppError::new(format!("cannot ask: {error}")))?;
    Ok(["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()))
}

async fn import(to: &str, file: &Path) -> Result<ExitCode, AppError> {
    // Before a folder is made for it.
    let readable = std::fs::File::open(file);
    readable.map_err(|error| AppError::new(format!("cannot read {}: {error}", file.display())))?;
    let to = location::create(to)?;
    let _lock = to.lock()?;
    accept(&to, to.unpack(file)?).await
}

async fn copy(from: &Store, to: &str, dataset: &str) -> Result<ExitCode, AppError> {
    let id = location::find(from, dataset).await?;
    let to = location::create(to)?;
    let _lock = to.lock()?;
    let incoming = from.send(id, &to).await?;
    accept(&to, incoming).await
}

/// Adds what has come, once everything about it was checked.
async fn accept(to: &Store, incoming: Incoming) -> Result<ExitCode, AppError> {
    let id = incoming.id();
    verify(incoming.place(), id).await?;
    to.accept(incoming).await?;
    done(format!("{id} is in {}", to.name()))
}

fn print_json(value: &Value) -> Result<(), AppError> {
    let text = serde_json::to_string_pretty(value);
    print(&(text.map_err(|error| AppError::new(error.to_string()))? + "\n"))
}
