//! Limits the lines or rows of a panel that would have too many, for example with a hundred servers.

use super::shared::Shared;
use super::thresholds::Side;
use crate::board::BoardQuery;

/// Rows of a table.
pub const ROWS: usize = 50;

/// Lines of a graph, of all its queries together; of a query there are at least some.
const LINES: usize = 30;
const LINES_AT_LEAST: usize = 5;

/// Lines of a timeline, which are as high as a word.
const BANDS: usize = 20;

/// Which lines are kept.
#[derive(Clone, Copy)]
pub struct Kept {
    /// The function of PromQL that chooses them, by what the one below it makes of the time shown.
    choose: &'static str,
    over: &'static str,
    /// For the reader.
    says: &'static str,
}

const HIGHEST: Kept = Kept { choose: "topk", over: "max_over_time", says: "highest" };
const LOWEST: Kept = Kept { choose: "bottomk", over: "min_over_time", says: "lowest" };
/// Those that changed most.
const RESTLESS: Kept = Kept { choose: "topk", over: "changes", says: "most restless" };

impl Kept {
    pub fn of(side: Option<Side>, is_restless: bool) -> Kept {
        match side {
            _ if is_restless => RESTLESS,
            Some(Side::Below) => LOWEST,
            _ => HIGHEST,
        }
    }

    /// For the reader, behind what a panel is about.
    pub fn says(self, top: usize) -> String {
        format!(" Of each kind at most {top} lines, those that were {} in the time shown.", self.says)
    }
}

/// Keeps some lines of each query whose legend has labels of many values, the same ones all along; how many of each, where there is
/// such a query.
pub fn lines(
    queries: &mut [BoardQuery],
    top: Option<usize>,
    is_timeline: bool,
    kept: Kept,
    shared: &Shared,
) -> Option<usize> {
    let mut many: Vec<_> = queries.iter_mut().filter(|query| shared.may_be_many(&query.legend)).collect();
    let usual = if is_timeline { BANDS } else { LINES };
    let top = top.unwrap_or_else(|| (usual / many.len().max(1)).max(LINES_AT_LEAST));
    for query in &mut many {
        query.expr = line(&query.expr, top, kept);
    }
    (!many.is_empty()).then_some(top)
}

/// The time shown is looked at once, from its end, so that no line comes and goes; of what looks at all of it already, the last value.
/// In steps as short as the graph's: what has just begun would be missing otherwise.
fn line(expr: &str, top: usize, kept: Kept) -> String {
    let Kept { choose, over, .. } = kept;
    let time = if expr.contains("[$__range]") { "$__interval" } else { "$__range" };
    format!("({expr}) and {choose}({top}, {over}(({expr})[{time}:$__interval] @ end()))")
}

/// Keeps the rows of a table that are first by `rank`, an expression of which each row, which `labels` tell from others, has one value.
pub fn rows(queries: &mut [BoardQuery], rank: &str, labels: &[String], top: usize) {
    let on = labels.join(", ");
    for query in queries {
        let is_rank = query.expr == rank;
        query.expr = match is_rank {
            true => format!("topk({top}, {rank})"),
            false => format!("({}) and on ({on}) topk({top}, {rank})", query.expr),
        };
    }
}
