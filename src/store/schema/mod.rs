//! The tables of a dataset: the one place that declares columns.
//!
//! A column is declared with its name (the last part is its unit), a line that says what it is, and
//! the function that takes it from a record. What is declared after `since = 6` is in the tables from
//! version 6 on. Where the report reads a column, the declaration goes on: `read` puts it into a row,
//! and `page_…` packs it into the page's data. A column of `trials` that is only shown needs neither:
//! `reported` puts it into the report's JSON, `listed` also into the page's table of trials.

mod details;
mod trials;

use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::datatypes::Schema;

use super::column::Table;
use crate::id::TrialId;
use crate::model::{Measurement, Outcome, TrialRecord};

use details::latency;
pub use details::{resources, timeline};
pub use trials::{LatencyColumns, trials};

/// The file of the table `trials`.
pub const TRIALS_FILE: &str = "trials.parquet";
/// The files of a dataset beside its manifest, in alphabetical order.
pub const FILE_NAMES: [&str; 4] =
    ["latency.parquet", "resources.parquet", "timeline.parquet", TRIALS_FILE];

/// The four tables of a dataset whose trials offered load for `duration`. With no records: their
/// schema.
#[must_use]
pub fn tables(duration: Duration, records: &[TrialRecord]) -> [Table; 4] {
    [
        trials(duration).fill(records),
        latency().fill(&details(records, |measurement| &measurement.latency.buckets)),
        timeline().fill(&details(records, |measurement| &measurement.timeline)),
        resources().fill(&details(records, |measurement| &measurement.resources)),
    ]
}

/// The Arrow schema of each table in a version of the tables, in the order of [`FILE_NAMES`].
#[must_use]
pub fn arrow_schemas(version: u32) -> Vec<Arc<Schema>> {
    let mut tables = tables(Duration::ZERO, &[]);
    tables.sort_by_key(|table| table.name);
    tables.iter().map(|table| table.arrow_schema_of(version)).collect()
}

/// The details of each measured trial, beside the trial's id.
fn details<'a, D>(
    records: &'a [TrialRecord],
    of: impl Fn(&'a Measurement) -> &'a Vec<D>,
) -> Vec<(TrialId, &'a D)> {
    let mut rows = Vec::new();
    for record in records {
        let found = measured(record).into_iter().flat_map(&of);
        rows.extend(found.map(|detail| (record.trial.id, detail)));
    }
    rows
}

fn measured(record: &TrialRecord) -> Option<&Measurement> {
    match &record.outcome {
        Outcome::Measured(measurement) => Some(measurement),
        Outcome::Failed(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::SCHEMA_VERSION;

    #[test]
    fn the_schema_is_the_known_one() {
        let tables = tables(Duration::ZERO, &[]);
        let names: Vec<String> = tables.iter().map(Table::file_name).collect();
        let mut sorted = names.clone();
        sorted.sort();
        assert_eq!(sorted, FILE_NAMES);
        let text: Vec<String> = tables
            .iter()
            .flat_map(|table| {
                let columns = table.columns.iter().map(|column| {
                    let null = if column.nullable { ", may be missing" } else { "" };
                    format!(
                        "  {}: {}{null}: {}",
                        column.name,
                        column.values.data_type(),
                        column.doc
                    )
                });
                std::iter::once(format!("{}: {}", table.name, table.doc)).chain(columns)
            })
            .collect();
        // A change of these is a change of format: raise SCHEMA_VERSION, or know why not.
        insta::assert_snapshot!(text.join("\n"));
    }

    #[test]
    fn every_version_keeps_its_columns() {
        let mut text = String::new();
        for version in 1..=SCHEMA_VERSION {
            for (file, schema) in FILE_NAMES.iter().zip(arrow_schemas(version)) {
                text += &format!("version {version}: {file}\n");
                for field in schema.fields() {
                    let null = if field.is_nullable() { ", may be missing" } else { "" };
                    text += &format!("  {} {}{null}\n", field.name(), field.data_type());
                }
            }
        }
        // Only a version that no release has written may change.
        insta::assert_snapshot!(text);
    }

    #[test]
    fn integers_are_signed_from_version_5_on() {
        for (version, is_signed) in [(4, false), (5, true), (SCHEMA_VERSION, true)] {
            let schemas = arrow_schemas(version);
            let mut fields = schemas.iter().flat_map(|schema| schema.fields());
            let has_unsigned = fields.any(|field| field.data_type().is_unsigned_integer());
            assert_eq!(has_unsigned, !is_signed, "version {version}");
        }
    }
}
