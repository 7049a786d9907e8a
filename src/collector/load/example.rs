//! The example rows of a query, which are its test fixture. They must have every column that a metric reads.

use crate::collector::NATIVE_BUCKETS;
use crate::collector::load::metric::LABEL;
use crate::schema::form::Form;
use crate::schema::problem::{Place, Problems};
use crate::schema::reader::{Placed, Schema};
use crate::schema::words;
use crate::schema::yaml::{Node, NodeValue};
use crate::table::native::NativeBuckets;
use crate::table::{Cell, Table};

/// Sample rows, and the place of each cell (row by row, as in the table).
#[derive(Debug)]
pub struct Example {
    pub table: Table,
    places: Vec<Place>,
}

/// The schema of the rows. The table has the columns of all rows; a cell that a row leaves out is absent.
pub fn example() -> Schema<Example> {
    let row = Form::Entries(0, "", Box::new(Form::Cell));
    Schema::new(Form::List(1, Box::new(row)), |node, subject, reader| {
        let NodeValue::List(rows) = &node.value else {
            reader.problems.add(&node.place, format!("{subject} must be a list"));
            return None;
        };
        if rows.is_empty() {
            reader.problems.add(&node.place, "the example needs at least one row");
        }
        read(rows, reader.problems)
    })
}

fn read(rows: &[Node], problems: &mut Problems) -> Option<Example> {
    let is_row = |row: &&Node| matches!(row.value, NodeValue::Map(_));
    for row in rows.iter().filter(|row| !is_row(row) && row.value != NodeValue::Broken) {
        problems.add(&row.place, "a row is a map: `{column: value, ...}`");
    }
    let rows: Vec<_> = rows.iter().filter(is_row).collect();
    let mut columns: Vec<&str> = Vec::new();
    for (key, _) in rows.iter().flat_map(|row| row.entries()) {
        if !columns.contains(&key.text.as_str()) {
            columns.push(&key.text);
        }
    }
    let mut example = Example { table: Table::new(columns.clone()), places: Vec::new() };
    for (row, column) in rows.iter().flat_map(|row| columns.iter().map(move |column| (row, column))) {
        example.push(row, column, problems);
    }
    (example.table.rows() > 0).then_some(example)
}

impl Example {
    fn push(&mut self, row: &Node, column: &str, problems: &mut Problems) {
        let cell = row.get(column);
        if let Some(Node { place, value: NodeValue::List(_) | NodeValue::Map(_) }) = cell {
            problems.add(place, "a cell is a text, a number or null");
        }
        self.table.push(cell.and_then(Node::text).map_or(Cell::Absent, Cell::Text));
        self.places.push(cell.unwrap_or(row).place.clone());
    }

    /// Reports which columns are missing, which values are not numbers, and which metrics get no sample.
    pub fn check(&self, read: &[(&str, &Placed<String>)], problems: &mut Problems) {
        for (key, name) in read {
            let Some(column) = self.table.column(&name.value) else {
                let known = self.table.columns();
                let message = words::unknown("the example has no column", &name.value, "its columns are", known);
                problems.add(&name.place, message);
                continue;
            };
            if *key != LABEL {
                self.check_values(key, name, column, problems);
            }
        }
    }

    /// Checks the values of one column: each must be well formed or absent, and at least one must be present; `le` in every row.
    fn check_values(&self, key: &str, name: &Placed<String>, column: usize, problems: &mut Problems) {
        let (is_native, mut has_sample) = (key == NATIVE_BUCKETS, false);
        for row in 0..self.table.rows() {
            let cell = self.table.cell(row, column);
            has_sample |= if is_native { matches!(cell, Cell::Text(_)) } else { matches!(cell.number(), Ok(Some(_))) };
            if let Some(message) = problem(key, cell) {
                let place = self.places.get(row * self.table.columns().len() + column);
                problems.add(place.unwrap_or(&name.place), format!("`{}` {message}", name.value));
            }
        }
        if !has_sample {
            let what = if is_native { "native buckets" } else { "a number" };
            let message = format!("no row of the example has {what} in `{}`: give at least one", name.value);
            problems.add(&name.place, message);
        }
    }
}

/// What is wrong with a cell that a metric reads as this key.
fn problem(key: &str, cell: Cell<'_>) -> Option<String> {
    match (key, cell) {
        (NATIVE_BUCKETS, Cell::Text(text)) => NativeBuckets::parse(0, text)
            .is_none()
            .then(|| "has native buckets: write `index:count` of each, rising, such as `-8:3 -7:12`".to_owned()),
        (NATIVE_BUCKETS, _) => None,
        ("le", cell) if cell.number() == Ok(None) => {
            Some("is the `le` of a bucket: it must be there; write `+Inf` for the last bound".to_owned())
        }
        _ if cell.number().is_err() => Some(format!("is a metric's `{key}`: it must be a number or null")),
        _ => None,
    }
}
