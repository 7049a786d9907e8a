//! What becomes a cell: numbers, texts, and times in seconds. What is not known is absent.

use std::time::Duration;

use crate::table::Cell;

macro_rules! cell_from {
    ($($type:ty: |$value:ident| $cell:expr;)*) => {
        $(impl<'a> From<$type> for Cell<'a> {
            fn from($value: $type) -> Self {
                $cell
            }
        })*
    };
}

cell_from! {
    &'a str: |text| Cell::Text(text);
    &'a String: |text| Cell::Text(text);
    bool: |is_true| Cell::Int(is_true.into());
    i64: |number| Cell::Int(number);
    u64: |count| Cell::Int(i64::try_from(count).unwrap_or(i64::MAX));
    usize: |count| Cell::from(count as u64);
    f64: |number| Cell::Float(number);
    Duration: |time| Cell::Float(time.as_secs_f64());
}

impl<'a, T: Into<Cell<'a>>> From<Option<T>> for Cell<'a> {
    fn from(known: Option<T>) -> Self {
        known.map_or(Cell::Absent, T::into)
    }
}
