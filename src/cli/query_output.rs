//! Answers of queries on standard output, batch by batch.

use std::io::{self, IsTerminal, Stdout, Write};
use std::sync::Arc;

use clap::ValueEnum;
use datafusion::arrow::array::{ArrayRef, AsArray, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::csv;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::json::WriterBuilder;
use datafusion::arrow::json::writer::LineDelimited;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::arrow::util::pretty::pretty_format_batches_with_schema;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::errors::ParquetError;

use super::output::{note, visible};
use crate::app::AppError;

/// More rows than this are no table for people.
const MAX_TABLE_ROWS: usize = 10_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum AnswerFormat {
    /// For people
    Table,
    /// With a header; a quote before text that a spreadsheet would run
    Csv,
    /// One object a line
    Json,
    /// One file, on standard output
    Parquet,
}

/// Writes one answer.
pub(super) struct Writer {
    schema: SchemaRef,
    to: To,
    /// Whether somebody still reads.
    is_read: bool,
}

enum To {
    Table { batches: Vec<RecordBatch>, rows: usize, is_cut: bool },
    Csv { has_header: bool },
    Json,
    Parquet(Box<ArrowWriter<Stdout>>),
}

impl Writer {
    pub(super) fn new(format: AnswerFormat, schema: SchemaRef) -> Result<Self, AppError> {
        let to = match format {
            AnswerFormat::Table => To::Table { batches: Vec::new(), rows: 0, is_cut: false },
            AnswerFormat::Csv => To::Csv { has_header: false },
            AnswerFormat::Json => To::Json,
            AnswerFormat::Parquet if io::stdout().is_terminal() => {
                return Err(AppError::new("cannot print Parquet to a terminal")
                    .hint("`perf-api sql \"…\" --format parquet > answer.parquet`"));
            }
            AnswerFormat::Parquet => {
                let writer = ArrowWriter::try_new(io::stdout(), schema.clone(), None);
                To::Parquet(Box::new(writer.map_err(|error| write_error(&error))?))
            }
        };
        Ok(Self { schema, to, is_read: true })
    }

    /// Writes rows. Gives whether more are wanted.
    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<bool, AppError> {
        self.is_read = match &mut self.to {
            To::Table { batches, rows, is_cut } => {
                let wanted = batch.num_rows().min(MAX_TABLE_ROWS - *rows);
                *is_cut = wanted < batch.num_rows();
                *rows += wanted;
                batches.push(batch.slice(0, wanted));
                return Ok(!*is_cut);
            }
            To::Csv { has_header } => {
                let text = csv_text(batch, !*has_header)?;
                *has_header = true;
                emit(&text)?
            }
            To::Json => {
                let mut text = Vec::new();
                let builder = WriterBuilder::new().with_explicit_nulls(true);
                let mut writer = builder.build::<_, LineDelimited>(&mut text);
                writer
                    .write(batch)
                    .and_then(|()| writer.finish())
                    .map_err(|error| write_error(&error))?;
                emit(&text)?
            }
            To::Parquet(writer) => read_on(writer.write(batch))?,
        };
        Ok(self.is_read)
    }

    /// Ends the answer. Gives whether somebody still reads.
    pub(super) fn finish(self) -> Result<bool, AppError> {
        if !self.is_read {
            return Ok(false);
        }
        match self.to {
            To::Table { batches, is_cut, .. } => {
                let table = pretty_format_batches_with_schema(self.schema, &batches);
                let table = table.map_err(|error| write_error(&error))?;
                if is_cut {
                    note(&format!(
                        "showing the first {MAX_TABLE_ROWS} rows: `--format csv` prints all"
                    ));
                }
                emit(visible(&format!("{table}\n")).as_bytes())
            }
            To::Csv { has_header: false } => {
                emit(&csv_text(&RecordBatch::new_empty(self.schema), true)?)
            }
            To::Csv { .. } | To::Json => Ok(true),
            To::Parquet(writer) => read_on(writer.close().map(drop)),
        }
    }
}

/// What begins a formula in a spreadsheet (source: OWASP, *CSV Injection*).
const FORMULA_STARTS: [char; 7] = ['=', '+', '-', '@', '\t', '\r', '\n'];

/// A text that no spreadsheet takes for a formula: one that begins like one gets a quote before it.
fn inert(text: &str) -> String {
    let quote = if text.starts_with(FORMULA_STARTS) { "'" } else { "" };
    format!("{quote}{text}")
}

/// The same of the texts in a batch and of its column names. Numbers stay as they are.
fn inert_batch(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let inert_column = |values: &ArrayRef| -> Result<ArrayRef, ArrowError> {
        let is_text = match values.data_type() {
            DataType::Dictionary(_, kind) => kind.is_string(),
            kind => kind.is_string(),
        };
        if !is_text {
            return Ok(Arc::clone(values));
        }
        let texts = cast(values, &DataType::Utf8)?;
        let texts = texts.as_string::<i32>().iter().map(|text| text.map(inert));
        Ok(Arc::new(texts.collect::<StringArray>()))
    };
    let columns = batch.columns().iter().map(inert_column).collect::<Result<Vec<_>, _>>()?;
    let names = batch.schema();
    let fields = names.fields().iter().zip(&columns).map(|(field, values)| {
        Field::new(inert(field.name()), values.data_type().clone(), field.is_nullable())
    });
    RecordBatch::try_new(Arc::new(Schema::new(fields.collect::<Vec<_>>())), columns)
}

fn csv_text(batch: &RecordBatch, header: bool) -> Result<Vec<u8>, AppError> {
    let batch = inert_batch(batch).map_err(|error| write_error(&error))?;
    let mut text = Vec::new();
    let mut writer = csv::WriterBuilder::new().with_header(header).build(&mut text);
    let written = writer.write(&batch);
    drop(writer);
    written.map_err(|error| match error {
        ArrowError::CsvError(_)
        | ArrowError::NotYetImplemented(_)
        | ArrowError::InvalidArgumentError(_) => write_error(&error)
            .hint("CSV cannot hold a histogram: select a figure of it, or use `--format json`"),
        error => write_error(&error),
    })?;
    Ok(text)
}

/// What became of a piece of Parquet; false when nobody reads any more.
fn read_on(written: Result<(), ParquetError>) -> Result<bool, AppError> {
    let is_closed_pipe = |error: &ParquetError| match error {
        ParquetError::External(cause) => cause
            .downcast_ref::<io::Error>()
            .is_some_and(|cause| cause.kind() == io::ErrorKind::BrokenPipe),
        _ => false,
    };
    match written {
        Err(error) if is_closed_pipe(&error) => Ok(false),
        written => written.map(|()| true).map_err(|error| write_error(&error)),
    }
}

/// Writes to standard output; false when nobody reads any more.
fn emit(bytes: &[u8]) -> Result<bool, AppError> {
    match io::stdout().write_all(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(AppError::new(format!("cannot write to standard output: {error}"))),
    }
}

fn write_error(error: &dyn std::fmt::Display) -> AppError {
    AppError::new(format!("cannot write the answer: {error}"))
}
