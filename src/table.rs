//! A Table: named columns and rows of cells. It is what every source returns and every collector reads.
//!
//! Cells are stored flat, row after row, and all text in one buffer, so a table of 100,000 cells is three
//! allocations and not 100,000.

use std::{
    fmt::{self, Write},
    sync::Arc,
};

/// One cell, as read from a [`Table`]. `Absent` is what is not known (SQL's NULL): it never becomes a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'a> {
    Absent,
    Int(i64),
    Float(f64),
    Text(&'a str),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stored {
    Absent,
    Int(i64),
    Float(f64),
    Text { start: u32, end: u32 },
}

/// What a cell's text is expected to take; a table of one row seldom needs more.
const TEXT_OF_A_CELL: usize = 8;

/// Named columns, rows of cells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    columns: Arc<[String]>,
    cells: Vec<Stored>,
    text: String,
}

impl Table {
    /// An empty table with these columns.
    pub fn new<S: Into<String>>(columns: impl IntoIterator<Item = S>) -> Self {
        Table::with_columns(columns.into_iter().map(Into::into).collect())
    }

    /// An empty table with columns that others share.
    pub fn with_columns(columns: Arc<[String]>) -> Self {
        let (cells, text) = (Vec::with_capacity(columns.len()), String::with_capacity(columns.len() * TEXT_OF_A_CELL));
        Table { columns, cells, text }
    }

    /// The names of the columns, in order.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The place of the column with this name.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| c == name)
    }

    /// Appends a cell: the next of the row being filled, or the first of a new row.
    ///
    /// Text past 4 GiB in one table becomes absent; sources bound their tables far below ([`Table::bytes`]).
    pub fn push(&mut self, cell: Cell<'_>) {
        let stored = match cell {
            Cell::Absent => Stored::Absent,
            Cell::Int(value) => Stored::Int(value),
            Cell::Float(value) => Stored::Float(value),
            Cell::Text(text) => {
                let start = self.text.len();
                match (u32::try_from(start), u32::try_from(start + text.len())) {
                    (Ok(start), Ok(end)) => {
                        self.text.push_str(text);
                        Stored::Text { start, end }
                    }
                    _ => Stored::Absent,
                }
            }
        };
        self.cells.push(stored);
    }

    /// Appends one row.
    pub fn push_row<'a>(&mut self, cells: impl IntoIterator<Item = Cell<'a>>) {
        cells.into_iter().for_each(|cell| self.push(cell));
    }

    /// How many whole rows there are.
    pub fn rows(&self) -> usize {
        self.cells.len().checked_div(self.columns.len()).unwrap_or(0)
    }

    /// The cell at this row and column; `Absent` outside the table.
    pub fn cell(&self, row: usize, column: usize) -> Cell<'_> {
        match self.cells.get(row * self.columns.len() + column) {
            None | Some(Stored::Absent) => Cell::Absent,
            Some(Stored::Int(value)) => Cell::Int(*value),
            Some(Stored::Float(value)) => Cell::Float(*value),
            Some(Stored::Text { start, end }) => Cell::Text(&self.text[*start as usize..*end as usize]),
        }
    }

    /// Keeps the first rows only.
    pub fn truncate(&mut self, rows: usize) {
        self.cells.truncate(rows.saturating_mul(self.columns.len()));
    }

    /// Bytes that the cells and their text take in memory.
    pub fn bytes(&self) -> usize {
        self.cells.len() * size_of::<Stored>() + self.text.len()
    }
}

impl Cell<'_> {
    /// The number in this cell. Text that reads as a decimal number counts, NaN does not:
    /// `Ok(None)` for an absent cell, `Err(())` for what is there but is no number.
    #[allow(clippy::result_unit_err)]
    pub fn number(self) -> Result<Option<Number>, ()> {
        match self {
            Cell::Absent => Ok(None),
            Cell::Int(value) => Ok(Some(Number::Int(value))),
            Cell::Float(value) if value.is_nan() => Err(()),
            Cell::Float(value) => Ok(Some(Number::Float(value))),
            Cell::Text(text) => match text.parse() {
                Ok(value) => Ok(Some(Number::Int(value))),
                Err(_) => {
                    text.parse().ok().filter(|value: &f64| !value.is_nan()).map(Number::Float).map(Some).ok_or(())
                }
            },
        }
    }
}

/// A sample's value: whole numbers stay exact.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    Int(i64),
    Float(f64),
}

impl Number {
    /// The value as a float; whole numbers above 2^53 lose their last digits.
    pub fn as_f64(self) -> f64 {
        match self {
            Number::Int(value) => value as f64,
            Number::Float(value) => value,
        }
    }

    /// Writes it as [`Number::fmt`] does, whole numbers several times faster: they are most of a page's values.
    pub fn push_to(self, out: &mut String) {
        let whole = match self {
            Number::Int(value) => Some(value),
            // All but the negative zero, and what is written with an exponent.
            Number::Float(value) => {
                Some(value as i64).filter(|whole| value.abs() < 1e16 && (*whole as f64).to_bits() == value.to_bits())
            }
        };
        match whole {
            Some(value) => out.push_str(itoa::Buffer::new().format(value)),
            None => _ = write!(out, "{self}"),
        }
    }
}

/// As every format writes it, as a value and as a label: `1`, `0.5`, `1e16`, `+Inf`.
impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Number::Int(value) => write!(f, "{value}"),
            Number::Float(f64::INFINITY) => f.write_str("+Inf"),
            Number::Float(f64::NEG_INFINITY) => f.write_str("-Inf"),
            // Very large and very small numbers are shorter with an exponent.
            Number::Float(value) if value != 0.0 && !(1e-5..1e16).contains(&value.abs()) => write!(f, "{value:?}"),
            Number::Float(value) => write!(f, "{value}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_was_pushed() {
        let mut table = Table::new(["a", "b"]);
        table.push_row([Cell::Int(1), Cell::Text("x")]);
        table.push_row([Cell::Absent, Cell::Text("é")]);
        assert_eq!((table.rows(), table.column("b")), (2, Some(1)));
        assert_eq!(table.cell(1, 1), Cell::Text("é"));
        assert_eq!(table.cell(9, 9), Cell::Absent);
    }

    #[test]
    fn a_number_is_written_the_same_either_way() {
        let floats = [0.0, -0.0, 1.0, -7.0, 0.1, 1e-7, 1e15, 1e16, -1e16, 9_007_199_254_740_993.0, 1e19, f64::MAX]
            .into_iter()
            .chain([f64::INFINITY, f64::NEG_INFINITY, 1_767_225_600.5]);
        let numbers = floats.map(Number::Float).chain([0, -1, i64::MIN, i64::MAX].map(Number::Int));
        for number in numbers {
            let mut out = String::new();
            number.push_to(&mut out);
            assert_eq!(out, number.to_string());
        }
    }

    #[test]
    fn numbers() {
        for (cell, number) in [
            (Cell::Absent, Ok(None)),
            (Cell::Int(i64::MAX), Ok(Some(Number::Int(i64::MAX)))),
            (Cell::Float(0.5), Ok(Some(Number::Float(0.5)))),
            (Cell::Float(f64::NAN), Err(())),
            (Cell::Text("12"), Ok(Some(Number::Int(12)))),
            (Cell::Text("1.5"), Ok(Some(Number::Float(1.5)))),
            (Cell::Text("nan"), Err(())),
            (Cell::Text("many"), Err(())),
        ] {
            assert_eq!(cell.number(), number, "{cell:?}");
        }
    }
}
