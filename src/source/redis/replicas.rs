//! Merges a server's replicas by the address that they announce. Pure.

use std::collections::BTreeMap;

use crate::table::{Cell, Number, Table};

/// Rows of address, port, state, offset and lag. Replicas that announce the same address, for example from behind one
/// NAT, become one row with the lowest offset and the longest lag.
pub fn worst(replicas: &Table) -> Table {
    let mut rows: BTreeMap<[&str; 3], Vec<Cell<'_>>> = BTreeMap::new();
    for row in 0..replicas.rows() {
        let cells: Vec<_> = (0..replicas.columns().len()).map(|column| replicas.cell(row, column)).collect();
        let label = |column: usize| cells[column].text().unwrap_or_default();
        let [_, _, _, offset, lag] = cells[..] else { continue };
        let kept = rows.entry([label(0), label(1), label(2)]).or_insert_with(|| cells.clone());
        kept[3] = worse(kept[3], offset, |offset, kept| offset < kept);
        kept[4] = worse(kept[4], lag, |lag, kept| lag > kept);
    }
    let mut table = Table::new(replicas.columns());
    rows.into_values().for_each(|cells| table.push_row(cells));
    table
}

/// The worse of both values, or the one that is known.
fn worse<'c>(kept: Cell<'c>, other: Cell<'c>, is_worse: fn(f64, f64) -> bool) -> Cell<'c> {
    let number = |cell: Cell<'_>| cell.number().ok().flatten().map(Number::as_f64);
    match (number(kept), number(other)) {
        (Some(before), Some(after)) if is_worse(after, before) => other,
        (None, Some(_)) => other,
        _ => kept,
    }
}
