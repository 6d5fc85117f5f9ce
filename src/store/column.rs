//! Tables and their columns: how a record's values become those of Arrow.

use std::borrow::Cow;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, TimestampMillisecondArray,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema};

use super::schema::SCHEMA_VERSION;

/// The first version whose integers are all signed, so that a difference of two columns can be
/// negative in every reader.
const SIGNED_SINCE: u32 = 5;

/// A table of a dataset with its content.
#[derive(Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// What a row is.
    pub doc: &'static str,
    /// Its columns.
    pub columns: Vec<Column>,
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

    /// Its Arrow schema. Each column's line of documentation is in its field's metadata.
    #[must_use]
    pub fn arrow_schema(&self) -> Arc<Schema> {
        self.arrow_schema_of(SCHEMA_VERSION)
    }

    /// Its Arrow schema in a version of the tables.
    pub(super) fn arrow_schema_of(&self, version: u32) -> Arc<Schema> {
        let columns = self.columns.iter().filter(|column| column.since <= version);
        let fields = columns.map(|column| {
            let kind = column.kind(version).clone();
            let doc = ("doc".to_owned(), column.doc.clone().into_owned());
            Field::new(&*column.name, kind, column.nullable).with_metadata([doc].into())
        });
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    /// With what the columns take from each row.
    pub(super) fn new<R>(
        name: &'static str,
        doc: &'static str,
        rows: &[R],
        columns: Columns<R>,
    ) -> Self {
        let columns = columns.sources.into_iter().map(|source| source.column(rows)).collect();
        Self { name, doc, columns }
    }
}

/// A column of a table with its values.
#[derive(Debug)]
pub struct Column {
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

impl Column {
    /// The type of its values in a version of the tables.
    fn kind(&self, version: u32) -> &DataType {
        let unsigned = self.unsigned.as_ref().filter(|_| version < SIGNED_SINCE);
        unsigned.unwrap_or_else(|| self.values.data_type())
    }
}

/// Where a column comes from.
struct Source<R> {
    name: Cow<'static, str>,
    doc: Cow<'static, str>,
    since: u32,
    cells: Cells<R>,
}

/// How the cells of a column are taken from a row.
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

impl<R> Source<R> {
    fn column(self, rows: &[R]) -> Column {
        let nullable = matches!(
            self.cells,
            Cells::MaybeU64(_) | Cells::MaybeF64(_) | Cells::MaybeBool(_) | Cells::MaybeText(_)
        );
        let unsigned = match self.cells {
            Cells::U32(_) | Cells::Rate(_) => Some(DataType::UInt32),
            Cells::U64(_) | Cells::MaybeU64(_) => Some(DataType::UInt64),
            _ => None,
        };
        let values: ArrayRef = match self.cells {
            Cells::U32(cell) => {
                Arc::new(rows.iter().map(|row| i64::from(cell(row))).collect::<Int64Array>())
            }
            Cells::U64(cell) => {
                Arc::new(rows.iter().map(|row| signed(cell(row))).collect::<Int64Array>())
            }
            Cells::F64(cell) | Cells::Rate(cell) => {
                Arc::new(rows.iter().map(cell).collect::<Float64Array>())
            }
            Cells::Bool(cell) => {
                Arc::new(rows.iter().map(|row| Some(cell(row))).collect::<BooleanArray>())
            }
            Cells::Text(cell) => {
                Arc::new(rows.iter().map(|row| Some(cell(row))).collect::<StringArray>())
            }
            Cells::Millis(cell) => {
                let millis = rows.iter().map(|row| signed(cell(row)));
                Arc::new(TimestampMillisecondArray::from_iter_values(millis).with_timezone("UTC"))
            }
            Cells::MaybeU64(cell) => {
                Arc::new(rows.iter().map(|row| cell(row).map(signed)).collect::<Int64Array>())
            }
            Cells::MaybeF64(cell) => Arc::new(rows.iter().map(cell).collect::<Float64Array>()),
            Cells::MaybeBool(cell) => Arc::new(rows.iter().map(cell).collect::<BooleanArray>()),
            Cells::MaybeText(cell) => Arc::new(rows.iter().map(cell).collect::<StringArray>()),
        };
        let is_ascending = ["low_ns", "high_ns"].contains(&&*self.name);
        let Self { name, doc, since, .. } = self;
        Column { name, doc, values, nullable, since, is_ascending, unsigned }
    }
}

/// A number as the tables have it. What is measured stays far below the largest.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The columns of a table, in order, and the version of the tables since which those that are added
/// are there.
pub(super) struct Columns<R> {
    sources: Vec<Source<R>>,
    pub(super) since: u32,
}

/// Declares the method that adds one kind of column.
macro_rules! column {
    ($name:ident, $variant:ident, $value:ty) => {
        pub(super) fn $name(
            &mut self,
            name: impl Into<Cow<'static, str>>,
            doc: impl Into<Cow<'static, str>>,
            cell: impl Fn(&R) -> $value + 'static,
        ) {
            let cells = Cells::$variant(Box::new(cell));
            let (name, doc, since) = (name.into(), doc.into(), self.since);
            self.sources.push(Source { name, doc, since, cells });
        }
    };
}

impl<R> Columns<R> {
    pub(super) fn new() -> Self {
        Self { sources: vec![], since: 1 }
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
}
