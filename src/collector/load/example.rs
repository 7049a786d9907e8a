//! The example rows of a query: its own test fixture. They must show every column that a metric reads.

use crate::collector::load::metric::{MetricDeclaration, NATIVE_BUCKETS};
use crate::schema::form::Form;
use crate::schema::problem::{Place, Problems};
use crate::schema::reader::{Placed, Schema};
use crate::schema::words;
use crate::schema::yaml::{Node, NodeValue};
use crate::table::native::NativeBuckets;
use crate::table::{Cell, Table};

/// Sample rows, and where each cell stands (row after row, as in the table).
#[derive(Debug)]
pub struct Example {
    pub table: Table,
    places: Vec<Place>,
}

/// The schema of the rows. The columns are those of all rows together; one that a row leaves out is absent in it.
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

    /// Tells which columns are missing, which values are no numbers, and which metrics get no sample.
    pub fn check(&self, labels: &[Placed<String>], metrics: &[MetricDeclaration], problems: &mut Problems) {
        let all = labels.iter().chain(metrics.iter().flat_map(|declared| &declared.labels));
        // Once a label's name is refused, that the example lacks it is no news: both will be renamed.
        for label in all.filter(|label| words::label(&label.value).is_ok()) {
            self.column(&label.value, &label.place, problems);
        }
        for declared in metrics {
            for (key, column) in &declared.columns {
                match *key {
                    NATIVE_BUCKETS => self.check_native(&column.value, &column.place, problems),
                    key => self.check_numbers(key, &column.value, &column.place, problems),
                }
            }
        }
    }

    fn column(&self, name: &str, place: &Place, problems: &mut Problems) -> Option<usize> {
        let column = self.table.column(name);
        if column.is_none() {
            let known = self.table.columns();
            problems.add(place, words::unknown("the example has no column", name, "its columns are", known));
        }
        column
    }

    /// The numbers of one column: each must be one or absent, at least one must be there, `le` in each row.
    fn check_numbers(&self, key: &str, name: &str, place: &Place, problems: &mut Problems) {
        let Some(column) = self.column(name, place, problems) else { return };
        let mut samples = 0;
        for row in 0..self.table.rows() {
            let at = self.places.get(row * self.table.columns().len() + column).unwrap_or(place);
            match self.table.cell(row, column).number() {
                Ok(Some(_)) => samples += 1,
                Ok(None) if key == "le" => {
                    let message = "is the `le` of a bucket: it must be there; write `+Inf` for the last bound";
                    problems.add(at, format!("`{name}` {message}"));
                }
                Ok(None) => {}
                Err(()) => problems.add(at, format!("`{name}` is a metric's `{key}`: it must be a number or null")),
            }
        }
        if samples == 0 {
            problems.add(place, format!("no row of the example has a number in `{name}`: give at least one"));
        }
    }

    /// The texts of native buckets: each must be one or absent, at least one must be there.
    fn check_native(&self, name: &str, place: &Place, problems: &mut Problems) {
        let Some(column) = self.column(name, place, problems) else { return };
        let texts = (0..self.table.rows()).filter_map(|row| match self.table.cell(row, column) {
            Cell::Text(text) => Some((self.places.get(row * self.table.columns().len() + column)?, text)),
            _ => None,
        });
        let mut samples = 0;
        for (at, text) in texts {
            samples += 1;
            if NativeBuckets::parse(0, text).is_none() {
                problems.add(
                    at,
                    format!("`{name}` has native buckets: write `index:count` of each, rising, such as `-8:3 -7:12`"),
                );
            }
        }
        if samples == 0 {
            problems.add(place, format!("no row of the example has native buckets in `{name}`: give at least one"));
        }
    }
}
