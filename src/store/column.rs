//! How a table is declared, and how its records become Arrow values, rows and the page's columns.
//!
//! A column is declared once, in [`schema`](super::schema). The Arrow schema of each version, the SQL
//! tables, `perf-api schema`, the rows that the report reads, and the data of its page follow from the
//! declaration.

use std::borrow::Cow;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, TimestampMillisecondArray,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::record_batch::RecordBatch;
use serde::de::DeserializeOwned;
use serde::de::value::{Error, StrDeserializer};

use super::SCHEMA_VERSION;
use crate::model::{Flag, Part, Stage, TrialRow, Value};
use crate::units::Nanos;

/// The first version whose integers are all signed, so that a difference of two columns can be
/// negative in every reader.
const SIGNED_SINCE: u32 = 5;
/// The units behind the last part of a column's name.
const UNITS: [(&str, &str); 5] =
    [("_ns", "ns"), ("_s", "s"), ("_bytes", "bytes"), ("_rps", "1/s"), ("started", "time, UTC")];

/// The unit of a column, which is the last part of its name; empty where it has none.
#[must_use]
pub fn unit_of(name: &str) -> &'static str {
    UNITS.iter().find(|(end, _)| name.ends_with(end)).map_or("", |(_, unit)| unit)
}

/// A table with its content.
#[derive(Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// What a row is.
    pub doc: &'static str,
    /// Its columns.
    pub columns: Vec<FilledColumn>,
}

impl Table {
    /// Its file's name.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}.parquet", self.name)
    }

    /// How many rows it has.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.columns.first().map_or(0, |column| column.values.len())
    }

    /// Its content as Arrow has it.
    ///
    /// # Errors
    /// When the columns have not equally many values.
    pub fn batch(&self) -> Result<RecordBatch, ArrowError> {
        let values = self.columns.iter().map(|column| Arc::clone(&column.values)).collect();
        RecordBatch::try_new(self.arrow_schema_of(SCHEMA_VERSION), values)
    }

    /// Its Arrow schema in a version of the tables. Each column's line of documentation is in its
    /// field's metadata.
    #[must_use]
    pub fn arrow_schema_of(&self, version: u32) -> Arc<Schema> {
        let columns = self.columns.iter().filter(|column| column.since <= version);
        let fields = columns.map(|column| {
            let kind = column.kind(version).clone();
            let doc = ("doc".to_owned(), column.doc.clone().into_owned());
            Field::new(&*column.name, kind, column.nullable).with_metadata([doc].into())
        });
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }
}

/// A column with its values.
#[derive(Debug)]
pub struct FilledColumn {
    /// Its name, with the unit.
    pub name: Cow<'static, str>,
    /// What a value is.
    pub doc: Cow<'static, str>,
    /// The values.
    pub values: ArrayRef,
    /// Whether a value may be missing.
    pub nullable: bool,
    /// The first version of the tables that has it.
    pub since: u32,
    /// Whether values mostly grow from row to row, so that their differences are small.
    pub is_ascending: bool,
    /// Its type before version 5, where that was another.
    unsigned: Option<DataType>,
}

impl FilledColumn {
    /// The type of its values in a version of the tables.
    fn kind(&self, version: u32) -> &DataType {
        let unsigned = self.unsigned.as_ref().filter(|_| version < SIGNED_SINCE);
        unsigned.unwrap_or_else(|| self.values.data_type())
    }
}

/// A table as it is declared: `R` is the record that a row is written from, `W` what it is read into.
pub struct Declaration<R, W> {
    name: &'static str,
    doc: &'static str,
    /// Its columns, in order.
    pub columns: Vec<Column<R, W>>,
    /// The first version of the tables that has the columns that are declared next.
    pub since: u32,
}

/// A column as it is declared.
pub struct Column<R, W> {
    /// Its name, with the unit.
    pub name: Cow<'static, str>,
    doc: Cow<'static, str>,
    since: u32,
    cells: Cells<R>,
    is_ascending: bool,
    read: Option<Read<W>>,
    /// What a page's data has of it.
    pub page: Vec<PageColumn<W>>,
}

/// How the cells of a column are taken from a record.
enum Cells<R> {
    U32(Cell<R, u32>),
    U64(Cell<R, u64>),
    F64(Cell<R, f64>),
    Rate(Cell<R, f64>),
    Bool(Cell<R, bool>),
    Text(Cell<R, String>),
    Millis(Cell<R, u64>),
    MaybeU64(Cell<R, Option<u64>>),
    MaybeF64(Cell<R, Option<f64>>),
    MaybeBool(Cell<R, Option<bool>>),
    MaybeText(Cell<R, Option<String>>),
}

type Cell<R, V> = Box<dyn Fn(&R) -> V>;
/// Puts a value into a row; `None` when it is none that the row can have.
type Read<W> = Box<dyn Fn(&mut W, Option<Value>) -> Option<()>>;

/// A column of a page's data.
pub struct PageColumn<W> {
    /// Its name on the page.
    pub name: Cow<'static, str>,
    /// How it is taken from a row.
    pub values: PageValues<W>,
    /// Whether the table of trials lists it without knowing it by name.
    pub is_listed: bool,
}

/// How the values of a page's column are taken from a row.
pub enum PageValues<W> {
    /// Counts; what is missing is 0.
    Counts(Cell<W, Option<u64>>),
    /// Numbers with all their digits.
    Numbers(Cell<W, Option<f64>>),
    /// Latencies, to 0.025 %.
    Latencies(Cell<W, Option<Nanos>>),
}

/// Declares the method that adds one kind of column.
macro_rules! column {
    ($name:ident, $variant:ident, $value:ty) => {
        pub(crate) fn $name(
            &mut self,
            name: impl Into<Cow<'static, str>>,
            doc: impl Into<Cow<'static, str>>,
            cell: impl Fn(&R) -> $value + 'static,
        ) -> &mut Column<R, W> {
            self.add(name.into(), doc.into(), Cells::$variant(Box::new(cell)))
        }
    };
}

impl<R, W> Declaration<R, W> {
    pub(super) fn new(name: &'static str, doc: &'static str) -> Self {
        Self { name, doc, columns: vec![], since: 1 }
    }

    column!(u32, U32, u32);
    column!(u64, U64, u64);
    column!(f64, F64, f64);
    column!(rate, Rate, f64);
    column!(bool, Bool, bool);
    column!(text, Text, String);
    column!(millis, Millis, u64);
    column!(maybe_u64, MaybeU64, Option<u64>);
    column!(maybe_f64, MaybeF64, Option<f64>);
    column!(maybe_bool, MaybeBool, Option<bool>);
    column!(maybe_text, MaybeText, Option<String>);

    fn add(
        &mut self,
        name: Cow<'static, str>,
        doc: Cow<'static, str>,
        cells: Cells<R>,
    ) -> &mut Column<R, W> {
        let since = self.since;
        let column =
            Column { name, doc, since, cells, is_ascending: false, read: None, page: vec![] };
        let index = self.columns.len();
        self.columns.push(column);
        &mut self.columns[index]
    }

    /// The table with what its columns take from each record. Without records: its schema.
    #[must_use]
    pub fn fill(&self, records: &[R]) -> Table {
        let columns = self.columns.iter().map(|column| column.fill(records)).collect();
        Table { name: self.name, doc: self.doc, columns }
    }
}

impl<R, W> Column<R, W> {
    /// Says that values mostly grow from row to row.
    pub(super) fn ascending(&mut self) -> &mut Self {
        self.is_ascending = true;
        self
    }

    /// Says what a row that is read gets of it.
    pub(super) fn read<V: FromValue>(&mut self, put: impl Fn(&mut W, V) + 'static) -> &mut Self {
        self.read = Some(Box::new(move |row, value| {
            put(row, V::from_value(value)?);
            Some(())
        }));
        self
    }

    /// Packs it, or what follows from it, into the page's data as counts.
    pub(super) fn page_counts<V: Into<Option<u64>>>(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        of: impl Fn(&W) -> V + 'static,
    ) -> &mut Self {
        self.on_page_as(name.into(), PageValues::Counts(Box::new(move |row| of(row).into())))
    }

    /// Packs it, or what follows from it, into the page's data as numbers.
    pub(super) fn page_numbers(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        of: impl Fn(&W) -> Option<f64> + 'static,
    ) -> &mut Self {
        self.on_page_as(name.into(), PageValues::Numbers(Box::new(of)))
    }

    /// Packs it, or what follows from it, into the page's data as latencies.
    pub(super) fn page_latencies(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        of: impl Fn(&W) -> Option<Nanos> + 'static,
    ) -> &mut Self {
        self.on_page_as(name.into(), PageValues::Latencies(Box::new(of)))
    }

    fn on_page_as(&mut self, name: Cow<'static, str>, values: PageValues<W>) -> &mut Self {
        self.page.push(PageColumn { name, values, is_listed: false });
        self
    }

    /// Whether a row that is read has something of it.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.read.is_some()
    }

    /// Puts a value into a row; `None` when the column cannot have such a value.
    #[must_use]
    pub fn put(&self, row: &mut W, value: Option<Value>) -> Option<()> {
        self.read.as_ref().map_or(Some(()), |read| read(row, value))
    }

    fn fill(&self, records: &[R]) -> FilledColumn {
        let nullable = matches!(
            self.cells,
            Cells::MaybeU64(_) | Cells::MaybeF64(_) | Cells::MaybeBool(_) | Cells::MaybeText(_)
        );
        let unsigned = match self.cells {
            Cells::U32(_) | Cells::Rate(_) => Some(DataType::UInt32),
            Cells::U64(_) | Cells::MaybeU64(_) => Some(DataType::UInt64),
            _ => None,
        };
        let records = records.iter();
        let values: ArrayRef = match &self.cells {
            Cells::U32(cell) => {
                Arc::new(records.map(|one| i64::from(cell(one))).collect::<Int64Array>())
            }
            Cells::U64(cell) => {
                Arc::new(records.map(|one| signed(cell(one))).collect::<Int64Array>())
            }
            Cells::F64(cell) | Cells::Rate(cell) => {
                Arc::new(records.map(cell).collect::<Float64Array>())
            }
            Cells::Bool(cell) => {
                Arc::new(records.map(|one| Some(cell(one))).collect::<BooleanArray>())
            }
            Cells::Text(cell) => {
                Arc::new(records.map(|one| Some(cell(one))).collect::<StringArray>())
            }
            Cells::Millis(cell) => {
                let millis = records.map(|one| signed(cell(one)));
                Arc::new(TimestampMillisecondArray::from_iter_values(millis).with_timezone("UTC"))
            }
            Cells::MaybeU64(cell) => {
                Arc::new(records.map(|one| cell(one).map(signed)).collect::<Int64Array>())
            }
            Cells::MaybeF64(cell) => Arc::new(records.map(cell).collect::<Float64Array>()),
            Cells::MaybeBool(cell) => Arc::new(records.map(cell).collect::<BooleanArray>()),
            Cells::MaybeText(cell) => Arc::new(records.map(cell).collect::<StringArray>()),
        };
        let (name, doc) = (self.name.clone(), self.doc.clone());
        let Self { since, is_ascending, .. } = *self;
        FilledColumn { name, doc, values, nullable, since, is_ascending, unsigned }
    }
}

impl<R> Column<R, TrialRow> {
    /// Puts it into the report's JSON under its name. Nothing is computed from it.
    pub fn reported(&mut self) -> &mut Self {
        let name = self.name.clone();
        self.read(move |row, value: Option<Value>| {
            row.further.insert(name.clone(), value);
        })
    }

    /// Puts a number also into the page's table of trials, under its name.
    pub fn listed(&mut self) -> &mut Self {
        let name = self.name.clone();
        let of = move |row: &TrialRow| row.further.get(&name)?.as_ref()?.as_f64();
        let values = PageValues::Numbers(Box::new(of));
        self.reported();
        self.page.push(PageColumn { name: self.name.clone(), values, is_listed: true });
        self
    }
}

/// A number as the tables have it. What is measured stays far below the largest.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// What a value of a column can be read as.
pub(super) trait FromValue: Sized {
    /// The value as this; `None` when it is something else.
    fn from_value(value: Option<Value>) -> Option<Self>;
}

impl FromValue for Value {
    fn from_value(value: Option<Value>) -> Option<Self> {
        value
    }
}

impl FromValue for u64 {
    fn from_value(value: Option<Value>) -> Option<Self> {
        if let Some(Value::Count(count)) = value { Some(count) } else { None }
    }
}

impl FromValue for u32 {
    fn from_value(value: Option<Value>) -> Option<Self> {
        u64::from_value(value)?.try_into().ok()
    }
}

impl FromValue for Nanos {
    fn from_value(value: Option<Value>) -> Option<Self> {
        u64::from_value(value).map(Nanos)
    }
}

impl FromValue for f64 {
    fn from_value(value: Option<Value>) -> Option<Self> {
        if let Some(Value::Number(number)) = value { Some(number) } else { None }
    }
}

impl FromValue for bool {
    fn from_value(value: Option<Value>) -> Option<Self> {
        if let Some(Value::Truth(truth)) = value { Some(truth) } else { None }
    }
}

impl FromValue for String {
    fn from_value(value: Option<Value>) -> Option<Self> {
        if let Some(Value::Text(text)) = value { Some(text) } else { None }
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: Option<Value>) -> Option<Self> {
        match value {
            Some(value) => T::from_value(Some(value)).map(Some),
            None => Some(None),
        }
    }
}

impl FromValue for Stage {
    fn from_value(value: Option<Value>) -> Option<Self> {
        named(&String::from_value(value)?)
    }
}

impl FromValue for Part {
    fn from_value(value: Option<Value>) -> Option<Self> {
        named(&String::from_value(value)?)
    }
}

/// Names, separated by commas.
impl FromValue for Vec<Flag> {
    fn from_value(value: Option<Value>) -> Option<Self> {
        let names = String::from_value(value)?;
        names.split(',').filter(|name| !name.is_empty()).map(named).collect()
    }
}

/// What has this name in stored files.
fn named<T: DeserializeOwned>(name: &str) -> Option<T> {
    T::deserialize(StrDeserializer::<Error>::new(name)).ok()
}
