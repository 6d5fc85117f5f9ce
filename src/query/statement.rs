//! Statements as somebody types them, before DataFusion plans them.

use std::ops::ControlFlow;

use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::{
    Select, SelectFlavor, SelectItem, VisitMut, VisitorMut, WildcardAdditionalOptions,
};
use datafusion::sql::sqlparser::dialect::DuckDbDialect;

/// The statements in `sql`, separated by `;`.
pub(super) fn parse(sql: &str) -> datafusion::common::Result<Vec<Statement>> {
    // DuckDB's dialect: `GROUP BY ALL`, and what is typed there works here.
    let mut parser = DFParserBuilder::new(sql).with_dialect(&DuckDbDialect {}).build()?;
    let mut statements: Vec<Statement> = parser.parse_statements()?.into();
    statements.iter_mut().for_each(select_all);
    Ok(statements)
}

/// `FROM trials` without a `SELECT` gives all columns. DataFusion would give none.
fn select_all(statement: &mut Statement) {
    match statement {
        Statement::Statement(statement) => {
            let ControlFlow::Continue(()) = statement.visit(&mut FromFirst);
        }
        Statement::Explain(explain) => select_all(&mut explain.statement),
        _ => {}
    }
}

struct FromFirst;

impl VisitorMut for FromFirst {
    type Break = std::convert::Infallible;

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Self::Break> {
        if select.flavor == SelectFlavor::FromFirstNoSelect {
            select.flavor = SelectFlavor::Standard;
            select.projection = vec![SelectItem::Wildcard(WildcardAdditionalOptions::default())];
        }
        ControlFlow::Continue(())
    }
}
