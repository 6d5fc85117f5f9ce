//! Text and tables on the terminal.

use std::borrow::Cow;
use std::io::Write;

use comfy_table::{CellAlignment, Table, presets};

use crate::analysis::CaseAnalysis;
use crate::app::AppError;
use crate::model::Capacity;
use crate::report::{UNSUPPORTED, UNSUPPORTED_MEANING, capacity_text, p95_text, rate_text};

/// Prints text to standard output. A reader that went away is no error.
pub(super) fn print(text: &str) -> Result<(), AppError> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(AppError::new(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Where something that is shown goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Channel {
    /// Standard output.
    Output,
    /// Standard error, since standard output has a result in one format.
    Notes,
}

impl Channel {
    pub(super) fn print(self, text: &str) -> Result<(), AppError> {
        match self {
            Self::Output => print(text),
            Self::Notes => {
                note(text.strip_suffix('\n').unwrap_or(text));
                Ok(())
            }
        }
    }
}

/// Text of somebody else's without what a terminal would obey. Lines stay lines.
pub(super) fn visible(text: &str) -> Cow<'_, str> {
    let is_order = |c: char| c.is_control() && !['\n', '\t'].contains(&c);
    if !text.contains(is_order) {
        return Cow::Borrowed(text);
    }
    let escaped = |c: char| match is_order(c) {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    };
    Cow::Owned(text.chars().map(escaped).collect())
}

/// Tells something that is no result: to standard error. A reader that went away is no error.
pub(super) fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", visible(text));
}

/// A plain table, without a header when that is empty. The columns from `numbers` on hold numbers.
pub(super) fn table(header: &[&str], rows: &[Vec<String>], numbers: usize) -> String {
    let mut table = Table::new();
    let one_line = |cell: &String| visible(cell).replace('\n', "\\n");
    let rows = rows.iter().map(|row| row.iter().map(one_line).collect::<Vec<_>>());
    table.load_preset(presets::NOTHING).add_rows(rows);
    if !header.is_empty() {
        table.set_header(header);
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if index >= numbers {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// What each stack sustains.
pub(super) fn capacity_table(capacities: &[Capacity]) -> String {
    let row = |one: &Capacity| {
        vec![
            one.stack.to_string(),
            one.concurrency.to_string(),
            one.slo.to_string(),
            capacity_text(one),
            one.trials.to_string(),
        ]
    };
    let header = ["stack", "connections", "keeps", "sustains", "trials"];
    format!("\n{}", table(&header, &capacities.iter().map(row).collect::<Vec<_>>(), 4))
}

/// Cases with their figures, for the terminal.
pub(super) fn case_table(cases: &[CaseAnalysis]) -> String {
    let header = [
        "app",
        "store",
        "workers",
        "connections",
        "target/s",
        "achieved",
        "p95",
        "planned",
        "completed",
        "failed",
        "unfinished",
    ];
    let row = |summary: &CaseAnalysis| {
        let case = &summary.case;
        vec![
            case.stack.app.to_string(),
            case.stack.store.to_string(),
            case.stack.workers.to_string(),
            case.concurrency.to_string(),
            case.target_rps.to_string(),
            rate_text(summary),
            p95_text(summary),
            summary.planned.to_string(),
            summary.completed.to_string(),
            summary.failed.to_string(),
            summary.censored.to_string(),
        ]
    };
    let mut text = table(&header, &cases.iter().map(row).collect::<Vec<_>>(), 2);
    if text.contains(UNSUPPORTED) {
        text.push_str(&format!("{UNSUPPORTED_MEANING}\n"));
    }
    text
}
