//! How a section is declared, and how its table is filled: by rows whose fields are its columns.

use std::collections::BTreeMap;

use crate::table::{Cell, Table};

/// A named section: a table that a source has beside others.
#[derive(Debug, PartialEq)]
pub struct Section {
    pub name: &'static str,
    /// Its columns; none where they are what the server says, by names of its own.
    pub columns: &'static [&'static str],
}

/// A row of a section.
pub trait SectionRow<'a> {
    /// Of its section.
    const NAME: &'static str;
    const COLUMNS: &'static [&'static str];

    /// Its cells, in the order of the section's columns.
    fn cells(self) -> impl IntoIterator<Item = Cell<'a>>;
}

/// Declares the sections of a source. `"name": Row { a, b }` has rows of that type, whose fields are the columns; the columns of
/// `"name" [a, b]` are filled by name; those of `"name"` are what the server says.
macro_rules! sections {
    ($(
        $name:literal $([$($by_name:ident),*])? $(: $row:ident { $($column:ident),* })?
    )*) => {
        /// All there are.
        pub const SECTIONS: &[$crate::collector::sections::row::Section] = &[$(
            $crate::collector::sections::row::Section {
                name: $name,
                columns: &[$($(stringify!($by_name)),*)? $($(stringify!($column)),*)?],
            }
        ),*];

        $($(
            #[doc = concat!("A row of the section `", $name, "`.")]
            pub struct $row<'a> {
                $(pub $column: $crate::table::Cell<'a>),*
            }

            impl<'a> $crate::collector::sections::row::SectionRow<'a> for $row<'a> {
                const NAME: &'static str = $name;
                const COLUMNS: &'static [&'static str] = &[$(stringify!($column)),*];

                fn cells(self) -> impl IntoIterator<Item = $crate::table::Cell<'a>> {
                    [$(self.$column),*]
                }
            }
        )?)*
    };
}
pub(super) use sections;

/// A table with these rows.
pub fn table<'a, R: SectionRow<'a>>(rows: impl IntoIterator<Item = R>) -> Table {
    let mut table = Table::new(R::COLUMNS);
    rows.into_iter().for_each(|row| table.push_row(row.cells()));
    table
}

/// The tables of some sections while they are filled.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SectionTables {
    pub by_name: BTreeMap<&'static str, Table>,
}

impl SectionTables {
    /// A table without rows for each of these.
    pub fn new(sections: &[Section]) -> Self {
        let empty = |section: &Section| (section.name, Table::new(section.columns));
        SectionTables { by_name: sections.iter().map(empty).collect() }
    }

    /// Appends a row to the table of its section.
    pub fn push<'a, R: SectionRow<'a>>(&mut self, row: R) {
        self.by_name.entry(R::NAME).or_insert_with(|| table::<R>([])).push_row(row.cells());
    }

    /// Appends the rows of other tables of the same source.
    pub fn append(&mut self, other: &SectionTables) {
        for (section, rows) in &other.by_name {
            let table = self.by_name.entry(section).or_insert_with(|| Table::new(rows.columns()));
            for row in 0..rows.rows() {
                table.push_row((0..rows.columns().len()).map(|column| rows.cell(row, column)));
            }
        }
    }
}
