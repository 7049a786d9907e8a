//! The metrics and labels that an expression speaks of.

use std::collections::BTreeSet;

use promql_parser::parser::{self, Expr, LabelModifier, VectorMatchCardinality, VectorSelector};

/// What an expression reads.
#[derive(Default)]
pub struct Used {
    pub selectors: Vec<VectorSelector>,
    /// Those of them that are read as they are now, not over a time.
    pub now: Vec<VectorSelector>,
    /// Of aggregations and matchings.
    pub labels: BTreeSet<String>,
}

impl Used {
    /// Panics if the expression is none.
    pub fn by(expr: &str) -> Used {
        let mut used = Used::default();
        used.walk(&parser::parse(expr).unwrap_or_else(|error| panic!("{expr}: {error}")));
        used
    }

    fn walk(&mut self, expr: &Expr) {
        match expr {
            Expr::Aggregate(aggregate) => {
                self.modifier(aggregate.modifier.as_ref());
                self.walk(&aggregate.expr);
                aggregate.param.iter().for_each(|param| self.walk(param));
            }
            Expr::Binary(binary) => {
                if let Some(modifier) = &binary.modifier {
                    self.modifier(modifier.matching.as_ref());
                    if let VectorMatchCardinality::ManyToOne(labels) | VectorMatchCardinality::OneToMany(labels) =
                        &modifier.card
                    {
                        self.labels.extend(labels.labels.iter().cloned());
                    }
                }
                self.walk(&binary.lhs);
                self.walk(&binary.rhs);
            }
            Expr::Unary(unary) => self.walk(&unary.expr),
            Expr::Paren(paren) => self.walk(&paren.expr),
            Expr::Subquery(subquery) => self.walk(&subquery.expr),
            Expr::VectorSelector(selector) => {
                self.selectors.push(selector.clone());
                self.now.push(selector.clone());
            }
            Expr::MatrixSelector(matrix) => self.selectors.push(matrix.vs.clone()),
            Expr::Call(call) => call.args.args.iter().for_each(|arg| self.walk(arg)),
            Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => (),
        }
    }

    fn modifier(&mut self, modifier: Option<&LabelModifier>) {
        if let Some(LabelModifier::Include(labels) | LabelModifier::Exclude(labels)) = modifier {
            self.labels.extend(labels.labels.iter().cloned());
        }
    }
}
