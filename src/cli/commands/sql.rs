//! `perf-api sql`: ask every dataset at hand.

use std::io::{IsTerminal, Read};
use std::path::PathBuf;
use std::process::ExitCode;

use futures::TryStreamExt;
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;

use crate::app::AppError;
use crate::cli::args::ResultsArgs;
use crate::cli::environment::state_dir;
use crate::cli::error::print_error;
use crate::cli::location;
use crate::cli::output::note;
use crate::cli::query_output::{AnswerFormat, Writer};
use crate::query::{Limits, Session, Trust};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Query [default: standard input, or a prompt]
    #[arg(conflicts_with = "file", allow_hyphen_values = true)]
    pub query: Option<String>,
    /// File that holds the query
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t = AnswerFormat::Table)]
    pub format: AnswerFormat,
    /// Query one dataset alone
    #[arg(long, value_name = "DATASET")]
    pub dataset: Option<String>,
    /// Query without verifying hashes; datasets without a manifest are left out
    #[arg(long)]
    pub unverified: bool,
    #[command(flatten)]
    pub results: ResultsArgs,
}

pub(in crate::cli) fn execute(args: &Args) -> Result<ExitCode, AppError> {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| AppError::new(format!("cannot start: {error}")))?;
    let query = query(args)?;
    let store = args.results.open()?;
    let trust = if args.unverified { Trust::Blind } else { Trust::Verify };
    let limits = Limits::of(cpus);
    let session = runtime.block_on(async {
        Ok::<_, AppError>(match &args.dataset {
            Some(name) => {
                Session::open_one(&store, location::find(&store, name).await?, trust, limits)
                    .await?
            }
            None => Session::open(&store, trust, limits).await?,
        })
    })?;
    for (id, condition) in &session.left_out {
        note(&format!(
            "warning: {} is ignored: its manifest is {}",
            id.short(),
            condition.as_str()
        ));
    }
    let answer = |query: &str| {
        if query.contains("latest") && session.unreadable > 0 {
            location::warn_of_unreadable(session.unreadable);
        }
        runtime.block_on(answer(&session, query, args.format))
    };
    match query {
        Some(query) => answer(&query)?,
        None => prompt(answer)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What was asked: as an argument, in a file, or on standard input. `None` for a person who is going
/// to type it.
fn query(args: &Args) -> Result<Option<String>, AppError> {
    if let Some(query) = &args.query {
        return Ok(Some(query.clone()));
    }
    if let Some(file) = &args.file {
        let read = std::fs::read_to_string(file);
        let wrong = |error| AppError::new(format!("cannot read {}: {error}", file.display()));
        return read.map(Some).map_err(wrong);
    }
    if std::io::stdin().is_terminal() {
        return Ok(None);
    }
    let mut query = String::new();
    let read = std::io::stdin().read_to_string(&mut query);
    read.map_err(|error| AppError::new(format!("cannot read standard input: {error}")))?;
    Ok(Some(query))
}

/// Lets a person ask until the end of input.
fn prompt(answer: impl Fn(&str) -> Result<(), AppError>) -> Result<(), AppError> {
    let broken = |error: ReadlineError| AppError::new(format!("no prompt: {error}"));
    let mut editor = DefaultEditor::new().map_err(broken)?;
    let history = state_dir().ok().map(|dir| dir.join("sql_history"));
    if let Some(history) = &history {
        // There is none the first time.
        let _ = editor.load_history(history);
    }
    note(
        "tables: datasets, trials, latency, timeline, resources (`perf-api schema` lists their columns)",
    );
    note("end a query with ; and leave with Ctrl-D");
    let mut query = String::new();
    loop {
        let line = editor.readline(if query.is_empty() { "sql> " } else { "...> " });
        match line {
            Ok(line) => query.push_str(&(line + "\n")),
            // What was begun is given up; a second one leaves.
            Err(ReadlineError::Interrupted) if !query.is_empty() => query.clear(),
            Err(ReadlineError::Interrupted | ReadlineError::Eof) => break,
            Err(error) => return Err(broken(error)),
        }
        if query.trim().is_empty() {
            query.clear();
        } else if query.trim_end().ends_with(';') {
            let _ = editor.add_history_entry(query.trim());
            if let Err(error) = answer(&query) {
                print_error(&error);
            }
            query.clear();
        }
    }
    if let Some(history) = history {
        let kept = history.parent().map_or(Ok(()), std::fs::create_dir_all);
        let kept = kept.map_err(ReadlineError::from).and_then(|()| editor.save_history(&history));
        kept.map_err(|error| {
            AppError::new(format!("cannot write {}: {error}", history.display()))
        })?;
    }
    Ok(())
}

/// Answers each statement of a query on standard output.
async fn answer(session: &Session, query: &str, format: AnswerFormat) -> Result<(), AppError> {
    let plans = session.plans(query).await?;
    if plans.is_empty() {
        return Err(AppError::new("no query").hint("`perf-api sql \"select * from datasets\"`"));
    }
    if format == AnswerFormat::Parquet && plans.len() > 1 {
        return Err(AppError::new("a Parquet file holds one table: expected one statement"));
    }
    for plan in plans {
        let mut rows = session.run(plan).await?;
        let mut writer = Writer::new(format, rows.schema)?;
        while let Some(batch) = rows.batches.try_next().await? {
            if !writer.write(&batch)? {
                break;
            }
        }
        if !writer.finish()? {
            return Ok(());
        }
    }
    Ok(())
}
