//! Integer arithmetic that ends in an error where the result does not fit, in place of DataFusion's own,
//! which wraps around: `1 - 2` of unsigned numbers would be 18446744073709551615.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BooleanArray};
use datafusion::arrow::compute::kernels::numeric;
use datafusion::arrow::compute::{CastOptions, cast, cast_with_options};
use datafusion::arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Field, FieldRef};
use datafusion::arrow::error::ArrowError;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, merge_schema};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, BinaryExpr, ColumnarValue, EmitTo, Expr,
    ExprSchemable, GroupsAccumulator, LogicalPlan, Operator, ReversedUDAF, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature, Volatility, lit,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::physical_expr_common::datum::apply;
use datafusion::prelude::SessionContext;

/// Makes `+`, `-`, `*` and `sum` of integers end in an error where the result does not fit.
pub(super) fn register(context: &SessionContext) {
    context.register_udaf(AggregateUDF::from(Sum));
    context.add_analyzer_rule(Arc::new(CheckIntegers));
}

/// Replaces the operators between integers, once the types of both sides are the same.
#[derive(Debug)]
struct CheckIntegers;

impl AnalyzerRule for CheckIntegers {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        Ok(plan.transform_up_with_subqueries(check_node)?.data)
    }

    fn name(&self) -> &'static str {
        "check_integers"
    }
}

fn check_node(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let schema = merge_schema(&plan.inputs());
    let names = NamePreserver::new(&plan);
    let checked = plan.map_expressions(|expr| {
        let name = names.save(&expr);
        let checked = expr.transform_up(|expr| check_operator(expr, &schema))?;
        Ok(checked.update_data(|expr| name.restore(expr)))
    })?;
    checked.map_data(LogicalPlan::recompute_schema)
}

fn check_operator(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let integer = |expr: &Expr| expr.get_type(schema).ok().filter(DataType::is_integer);
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let kind = integer(&left).filter(|kind| integer(&right).as_ref() == Some(kind));
            match kind.and(Checked::of(op)) {
                Some(checked) => Ok(Transformed::yes(checked.call(*left, *right))),
                None => Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right }))),
            }
        }
        Expr::Negative(value) => match integer(&value).zip(Checked::of(Operator::Minus)) {
            Some((kind, checked)) => {
                let zero = lit(ScalarValue::new_zero(&kind)?);
                Ok(Transformed::yes(checked.call(zero, *value)))
            }
            None => Ok(Transformed::no(Expr::Negative(value))),
        },
        other => Ok(Transformed::no(other)),
    }
}

/// One of the operators.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked {
    operator: Operator,
    name: &'static str,
    signature: Signature,
}

impl Checked {
    fn of(operator: Operator) -> Option<Self> {
        let name = match operator {
            Operator::Plus => "checked_add",
            Operator::Minus => "checked_subtract",
            Operator::Multiply => "checked_multiply",
            _ => return None,
        };
        // Both sides have one type already.
        let signature = Signature::any(2, Volatility::Immutable);
        Some(Self { operator, name, signature })
    }

    fn call(self, left: Expr, right: Expr) -> Expr {
        ScalarUDF::from(self).call(vec![left, right])
    }
}

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types[0].clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [left, right] = &args.args[..] else {
            return datafusion::common::exec_err!("{} takes two numbers", self.name);
        };
        match self.operator {
            Operator::Plus => apply(left, right, numeric::add),
            Operator::Minus => apply(left, right, numeric::sub),
            _ => apply(left, right, numeric::mul),
        }
    }
}

/// `sum`: integers are added up as decimal numbers, which no sum of them exceeds.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Sum;

/// The type in which a sum is formed, if that is not its own.
fn wide(kind: &DataType) -> Option<FieldRef> {
    let wide = DataType::Decimal128(DECIMAL128_MAX_PRECISION, 0);
    kind.is_integer().then(|| Arc::new(Field::new("sum", wide, true)))
}

fn widened(values: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
    let wide = DataType::Decimal128(DECIMAL128_MAX_PRECISION, 0);
    let widened = values.iter().map(|values| cast(values, &wide));
    Ok(widened.collect::<Result<_, _>>()?)
}

/// A sum in its own type; an error where that has no room for it.
fn narrowed(sums: &ArrayRef, kind: &DataType) -> Result<ArrayRef> {
    let exact = CastOptions { safe: false, ..CastOptions::default() };
    let narrowed = cast_with_options(sums, kind, &exact);
    narrowed
        .map_err(|_| ArrowError::ArithmeticOverflow(format!("the sum does not fit {kind}")).into())
}

impl AggregateUDFImpl for Sum {
    fn name(&self) -> &'static str {
        "sum"
    }

    fn signature(&self) -> &Signature {
        // A function is never dropped: there is one.
        static OWN: std::sync::LazyLock<Arc<AggregateUDF>> = std::sync::LazyLock::new(sum_udaf);
        OWN.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        sum_udaf().return_type(types)
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let wide = wide(args.return_field.data_type());
        let return_field = wide.unwrap_or_else(|| Arc::clone(&args.return_field));
        sum_udaf().state_fields(StateFieldsArgs { return_field, ..args })
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Narrow::wrap(args, |args| sum_udaf().accumulator(args))
    }

    fn create_sliding_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn Accumulator>> {
        match args.is_distinct {
            true => sum_udaf().create_sliding_accumulator(args),
            false => Narrow::wrap(args, |args| sum_udaf().create_sliding_accumulator(args)),
        }
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        sum_udaf().groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        let kind = args.return_field.data_type().clone();
        let Some(return_field) = wide(&kind) else {
            return sum_udaf().create_groups_accumulator(args);
        };
        let sums =
            sum_udaf().create_groups_accumulator(AccumulatorArgs { return_field, ..args })?;
        Ok(Box::new(NarrowGroups { sums, kind }))
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

/// A sum of integers of type `kind`.
#[derive(Debug)]
struct Narrow {
    sum: Box<dyn Accumulator>,
    kind: DataType,
}

impl Narrow {
    fn wrap(
        args: AccumulatorArgs<'_>,
        make: impl FnOnce(AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>>,
    ) -> Result<Box<dyn Accumulator>> {
        let kind = args.return_field.data_type().clone();
        let Some(return_field) = wide(&kind) else { return make(args) };
        let sum = make(AccumulatorArgs { return_field, ..args })?;
        Ok(Box::new(Self { sum, kind }))
    }
}

impl Accumulator for Narrow {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.sum.update_batch(&widened(values)?)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.sum.merge_batch(states)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.sum.retract_batch(&widened(values)?)
    }

    fn supports_retract_batch(&self) -> bool {
        self.sum.supports_retract_batch()
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let sum = self.sum.evaluate()?.to_array()?;
        ScalarValue::try_from_array(&narrowed(&sum, &self.kind)?, 0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.sum.state()
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.sum.size()
    }
}

/// The same of many groups.
struct NarrowGroups {
    sums: Box<dyn GroupsAccumulator>,
    kind: DataType,
}

impl GroupsAccumulator for NarrowGroups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.sums.update_batch(&widened(values)?, groups, filter, total)
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.sums.merge_batch(states, groups, total)
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        narrowed(&self.sums.evaluate(emit)?, &self.kind)
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        self.sums.state(emit)
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        self.sums.convert_to_state(&widened(values)?, filter)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.sums.size()
    }
}
