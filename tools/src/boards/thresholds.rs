//! Thresholds on boards: verdicts of queries, and the lines of graphs.

use super::shared::Shared;
use crate::board::BoardQuery;

/// The severities of thresholds, the least first.
const SEVERITIES: [&str; 2] = ["warning", "critical"];

/// From this part of a threshold on its line is drawn: further away it would press what it is about flat.
const NEAR: &str = "0.3";

/// Which side of a threshold is bad.
#[derive(Clone, Copy, PartialEq)]
pub enum Side {
    Above,
    Below,
}

/// Where the alerts of a threshold begin, near the data of a query only. Where the targets that are shown differ, that of the strictest.
pub fn lines(query: &BoardQuery, side: Side, name: &str, shared: &Shared) -> Vec<BoardQuery> {
    let expr = &query.expr;
    let line = |severity: &str| {
        let threshold = shared.threshold(expr, name, severity);
        let expr = match side {
            Side::Above => {
                format!("min({threshold}) and on () (max({expr}) > {NEAR} * min({threshold}))")
            }
            Side::Below => {
                format!("max({threshold}) and on () ({NEAR} * min({expr}) < max({threshold}))")
            }
        };
        BoardQuery { expr, legend: severity.to_owned(), step: query.step, ..BoardQuery::default() }
    };
    SEVERITIES.map(line).into()
}

/// 0 within the thresholds, 1 beyond the warning, 2 beyond the critical one (which need not be there); absent where the
/// expression is, or where nothing is compared with.
pub fn verdict(expr: &str, by: &str, side: Side, threshold: impl Fn(&str) -> String) -> String {
    let operator = match side {
        Side::Above => ">",
        Side::Below => "<",
    };
    let worst = |expr: &str| format!("max by ({by}) ({expr})");
    let beyond = |severity| {
        let threshold = threshold(severity);
        worst(&format!("({expr}) {operator} bool on (job, instance, target) group_left () {threshold}"))
    };
    let [warning, critical] = SEVERITIES.map(beyond);
    format!("{warning} + ({critical} or {} * 0)", worst(expr))
}
