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
#[derive(Clone, Copy, PartialEq)]
pub enum Kept {
    Highest,
    Lowest,
    /// Those that changed most.
    Restless,
}

impl Kept {
    pub fn of(side: Option<Side>, is_restless: bool) -> Kept {
        match side {
            _ if is_restless => Kept::Restless,
            Some(Side::Below) => Kept::Lowest,
            _ => Kept::Highest,
        }
    }

    /// For the reader, behind what a panel is about.
    pub fn says(self, top: usize) -> String {
        let which = match self {
            Kept::Highest => "highest",
            Kept::Lowest => "lowest",
            Kept::Restless => "most restless",
        };
        format!(" Of each kind at most {top} lines, those that were {which} in the time shown.")
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
    let (choose, over) = match kept {
        Kept::Highest => ("topk", "max_over_time"),
        Kept::Lowest => ("bottomk", "min_over_time"),
        Kept::Restless => ("topk", "changes"),
    };
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
