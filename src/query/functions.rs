//! SQL functions over latency distributions, so that percentiles are merged and never averaged.
//!
//! A histogram is a list of buckets, as in the table `latency`. Buckets of all trials have the same
//! bounds (an HDR histogram with three significant digits; source: Tene, *HdrHistogram*), so that
//! merging adds counts and loses nothing: a quantile of merged histograms is that of all requests,
//! exact to the bucket, which is at most 0.1 % wide.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, Int64Builder, ListArray, ListBuilder, StringArray,
    StructArray, StructBuilder,
};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields, Float64Type, Int64Type};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, ColumnarValue, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, TypeSignature, Volatility,
};
use datafusion::prelude::SessionContext;

use crate::model::{Bucket, Histogram};
use crate::stats::Pool;
use crate::store::Names;
use crate::units::Nanos;

/// A function that SQL can call.
#[derive(Clone, Copy, Debug)]
pub struct Function {
    /// How it is called.
    pub call: &'static str,
    /// What it gives.
    pub doc: &'static str,
}

/// The functions that this program adds to those of DataFusion.
pub const FUNCTIONS: [Function; 7] = [
    Function {
        call: "hist_merge(low_ns, high_ns, count, censored)",
        doc: "aggregate: the histogram of all requests in the buckets; `hist_merge(histogram)` merges histograms",
    },
    Function {
        call: "hist_quantile(q, histogram)",
        doc: "the latency in ns that a share q of the requests did not exceed, exact to the bucket (0.1 %); NULL where unfinished requests could move it by more than 1 %",
    },
    Function {
        call: "hist_quantile_low(q, histogram)",
        doc: "the least that this latency can be, in ns: with every unfinished request at what it had waited",
    },
    Function {
        call: "hist_quantile_high(q, histogram)",
        doc: "the most that it can be, in ns: with every unfinished request at infinity; NULL for infinity",
    },
    Function { call: "hist_count(histogram)", doc: "requests that were answered as expected" },
    Function { call: "hist_censored(histogram)", doc: "requests that were unfinished" },
    Function {
        call: "dataset(name)",
        doc: "the id of the dataset that `latest`, `latest~1`, a tag or a prefix stands for",
    },
];

/// Makes the functions known. `names` is what `dataset` finds.
pub(super) fn register(context: &SessionContext, names: Arc<Names>) {
    context.register_udaf(AggregateUDF::from(Merge::new()));
    for ask in [
        Question::Quantile,
        Question::QuantileLow,
        Question::QuantileHigh,
        Question::Count,
        Question::Censored,
    ] {
        context.register_udf(ScalarUDF::from(AskHistogram::new(ask)));
    }
    context.register_udf(ScalarUDF::from(FindDataset { names, signature: find_signature() }));
}

/// The names of a bucket's fields, in order.
const BUCKET_FIELDS: [&str; 4] = ["low_ns", "high_ns", "count", "censored"];

fn bucket_fields() -> Fields {
    BUCKET_FIELDS.iter().map(|name| Field::new(*name, DataType::Int64, false)).collect()
}

fn bucket_field() -> FieldRef {
    Arc::new(Field::new("bucket", DataType::Struct(bucket_fields()), false))
}

/// The type of a histogram in SQL.
fn histogram_type() -> DataType {
    DataType::List(bucket_field())
}

/// `hist_merge`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Merge {
    signature: Signature,
}

impl Merge {
    fn new() -> Self {
        let buckets = TypeSignature::Exact(vec![DataType::Int64; BUCKET_FIELDS.len()]);
        let histograms = TypeSignature::Exact(vec![histogram_type()]);
        Self { signature: Signature::one_of(vec![buckets, histograms], Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for Merge {
    fn name(&self) -> &'static str {
        "hist_merge"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(histogram_type())
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct {
            return exec_err!("hist_merge: equal buckets of two trials are not the same requests");
        }
        Ok(Box::new(Merged::default()))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(args.name, histogram_type(), true))])
    }
}

/// The sums of buckets: for each lower bound, the upper bound, the completed and the unfinished requests.
#[derive(Debug, Default)]
struct Merged(BTreeMap<i64, (i64, i64, i64)>);

impl Merged {
    fn add(&mut self, buckets: [&Int64Array; 4]) -> Result<()> {
        let [low, high, count, censored] = buckets;
        for index in 0..low.len() {
            if buckets.iter().any(|values| values.is_null(index)) {
                // Rows of an outer join without a partner.
                continue;
            }
            if high.value(index) < low.value(index) {
                return exec_err!("hist_merge: a bucket ends before it begins");
            }
            if low.value(index).min(count.value(index)).min(censored.value(index)) < 0 {
                return exec_err!("hist_merge: a bucket has a negative latency or count");
            }
            let own = self.0.entry(low.value(index)).or_default();
            own.0 = own.0.max(high.value(index));
            own.1 = own.1.saturating_add(count.value(index));
            own.2 = own.2.saturating_add(censored.value(index));
        }
        Ok(())
    }

    fn add_histograms(&mut self, histograms: &ArrayRef) -> Result<()> {
        let lists = histograms.as_list::<i32>();
        for index in (0..lists.len()).filter(|&index| lists.is_valid(index)) {
            self.add(columns(lists.value(index).as_struct())?)?;
        }
        Ok(())
    }
}

impl Accumulator for Merged {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        match values {
            [low, high, count, censored] => self
                .add([low, high, count, censored].map(|values| values.as_primitive::<Int64Type>())),
            [histograms] => self.add_histograms(histograms),
            _ => exec_err!("hist_merge takes a histogram, or the four columns of `latency`"),
        }
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        states.iter().try_for_each(|histograms| self.add_histograms(histograms))
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let fields = bucket_fields();
        let mut buckets = ListBuilder::new(StructBuilder::from_fields(fields, self.0.len()))
            .with_field(bucket_field());
        for (&low, &(high, count, censored)) in &self.0 {
            let row = buckets.values();
            for (index, value) in [low, high, count, censored].into_iter().enumerate() {
                if let Some(field) = row.field_builder::<Int64Builder>(index) {
                    field.append_value(value);
                }
            }
            row.append(true);
        }
        buckets.append(!self.0.is_empty());
        Ok(ScalarValue::List(Arc::new(buckets.finish())))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.0.len() * size_of::<(i64, (i64, i64, i64))>() * 2
    }
}

/// The columns of buckets.
fn columns(buckets: &StructArray) -> Result<[&Int64Array; 4]> {
    let mut columns = BUCKET_FIELDS.iter().map(|name| {
        buckets.column_by_name(name).and_then(|values| values.as_primitive_opt::<Int64Type>())
    });
    let mut next = || columns.next().flatten();
    match (next(), next(), next(), next()) {
        (Some(low), Some(high), Some(count), Some(censored)) => Ok([low, high, count, censored]),
        _ => exec_err!("this is no histogram: make one with hist_merge"),
    }
}

/// What can be asked of a histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Question {
    Quantile,
    QuantileLow,
    QuantileHigh,
    Count,
    Censored,
}

impl Question {
    fn takes_share(self) -> bool {
        !matches!(self, Self::Count | Self::Censored)
    }

    fn of(self, histogram: &Histogram, q: f64) -> Option<u64> {
        let pool = || Pool::new(&[histogram]);
        match self {
            Self::Quantile => {
                let figure = pool().quantile(q)?;
                (!figure.is_bound).then_some(figure.value.0)
            }
            Self::QuantileLow => Some(pool().quantile_ends(q)?.0.0),
            Self::QuantileHigh => Some(pool().quantile_ends(q)?.1?.0),
            Self::Count => Some(histogram.completed()),
            Self::Censored => Some(histogram.censored()),
        }
    }
}

/// A function that asks a histogram.
#[derive(Debug, PartialEq, Eq, Hash)]
struct AskHistogram {
    ask: Question,
    signature: Signature,
}

impl AskHistogram {
    fn new(ask: Question) -> Self {
        let types = match ask.takes_share() {
            true => vec![DataType::Float64, histogram_type()],
            false => vec![histogram_type()],
        };
        Self { ask, signature: Signature::exact(types, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for AskHistogram {
    fn name(&self) -> &'static str {
        match self.ask {
            Question::Quantile => "hist_quantile",
            Question::QuantileLow => "hist_quantile_low",
            Question::QuantileHigh => "hist_quantile_high",
            Question::Count => "hist_count",
            Question::Censored => "hist_censored",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let (shares, histograms) = match &arrays[..] {
            [shares, histograms] => (Some(shares.as_primitive::<Float64Type>()), histograms),
            [histograms] => (None, histograms),
            _ => return exec_err!("{} takes a share and a histogram", self.name()),
        };
        let histograms = histograms.as_list::<i32>();
        let mut answers = Vec::with_capacity(histograms.len());
        for index in 0..histograms.len() {
            let is_null = shares.is_some_and(|shares| shares.is_null(index));
            let q = shares.map_or(0.0, |shares| shares.value(index));
            if !is_null && !(0.0..=1.0).contains(&q) {
                return exec_err!("{}: {q} is no share: 0.99 is the 99th percentile", self.name());
            }
            answers.push(match is_null || histograms.is_null(index) {
                true => None,
                // What comes from signed numbers fits them again.
                false => self.ask.of(&histogram(histograms, index)?, q).map(signed).transpose()?,
            });
        }
        Ok(ColumnarValue::Array(Arc::new(Int64Array::from(answers))))
    }
}

fn signed(number: u64) -> Result<i64> {
    i64::try_from(number).or_else(|_| exec_err!("{number} is beyond the largest BIGINT"))
}

/// A latency or a count of a bucket.
fn unsigned(number: i64) -> Result<u64> {
    u64::try_from(number).or_else(|_| exec_err!("a bucket has a negative latency or count"))
}

/// One histogram of a column.
fn histogram(histograms: &ListArray, index: usize) -> Result<Histogram> {
    let values = histograms.value(index);
    let [low, high, count, censored] = columns(values.as_struct())?;
    let bucket = |row: usize| {
        Ok(Bucket {
            served: 0,
            low: Nanos(unsigned(low.value(row))?),
            high: Nanos(unsigned(high.value(row))?),
            count: unsigned(count.value(row))?,
            censored: unsigned(censored.value(row))?,
        })
    };
    Ok(Histogram { buckets: (0..low.len()).map(bucket).collect::<Result<_>>()? })
}

/// `dataset`: known before the query runs, so that only the tables of that dataset are read.
#[derive(Debug, PartialEq, Eq, Hash)]
struct FindDataset {
    names: Arc<Names>,
    signature: Signature,
}

fn find_signature() -> Signature {
    Signature::exact(vec![DataType::Utf8], Volatility::Stable)
}

impl ScalarUDFImpl for FindDataset {
    fn name(&self) -> &'static str {
        "dataset"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let find = |name: &str| match self.names.find(name) {
            Ok(id) => Ok(id.to_string()),
            Err(error) => exec_err!("{error}"),
        };
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let [names] = &arrays[..] else { return exec_err!("dataset takes a name") };
        let ids: Result<Vec<Option<String>>> =
            names.as_string::<i32>().iter().map(|name| name.map(find).transpose()).collect();
        Ok(ColumnarValue::Array(Arc::new(StringArray::from(ids?))))
    }
}
