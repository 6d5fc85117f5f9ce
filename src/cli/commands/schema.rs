//! `perf-api schema`: every table, column and function that SQL knows.

use std::process::ExitCode;

use serde_json::json;

use crate::app::AppError;
use crate::cli::args::Format;
use crate::cli::output::{print, table};
use crate::query::{FUNCTIONS, TableDoc, table_docs};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

pub(in crate::cli) fn execute(args: &Args) -> Result<ExitCode, AppError> {
    let tables = table_docs();
    let text = match args.format {
        Format::Json => {
            let functions: Vec<_> = FUNCTIONS
                .iter()
                .map(|function| json!({ "call": function.call, "doc": function.doc }))
                .collect();
            let listed = json!({ "tables": tables, "functions": functions });
            serde_json::to_string_pretty(&listed)
                .map_err(|error| AppError::new(error.to_string()))?
                + "\n"
        }
        Format::Table => as_text(&tables),
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn as_text(tables: &[TableDoc]) -> String {
    let mut text = String::new();
    for one in tables {
        text.push_str(&format!("{}: {}\n\n", one.name, one.doc));
        let columns = one.columns.iter().map(|column| {
            let kind = format!("{}{}", column.kind, if column.nullable { "?" } else { "" });
            vec![format!("  {}", column.name), kind, column.unit.to_owned(), column.doc.clone()]
        });
        text.push_str(&table(
            &["  column", "type", "unit", "meaning"],
            &columns.collect::<Vec<_>>(),
            usize::MAX,
        ));
        text.push('\n');
    }
    text.push_str(
        "A type with `?` may be missing (NULL).\n\nFunctions beside those of DataFusion:\n\n",
    );
    for function in FUNCTIONS {
        text.push_str(&format!("  {}\n      {}\n", function.call, function.doc));
    }
    text
}
