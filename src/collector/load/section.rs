//! The section that a query reads if its source does not take SQL: it must exist, and if its columns are known it must have all that
//! are read. The columns that `source: statements` makes from its rows are checked in the same way.

use crate::collector::sections::STATEMENTS;
use crate::collector::sections::row::Section;
use crate::collector::{SourceKind, sections};
use crate::schema::problem::Problems;
use crate::schema::reader::Placed;
use crate::schema::words;

/// The section a query names.
pub fn section(name: &Placed<String>, source: SourceKind, problems: &mut Problems) -> Option<&'static Section> {
    let known = sections::of(source).iter().map(|section| section.name);
    if let Err(message) = words::known("no section", &name.value, known) {
        problems.add(&name.place, message);
    }
    sections::section(source, &name.value)
}

/// Reports the columns that the section does not have; true if it has all.
pub fn check(section: &Section, read: &[(&str, &Placed<String>)], problems: &mut Problems) -> bool {
    let has = |name: &Placed<String>| section.columns.is_empty() || section.columns.contains(&name.value.as_str());
    let missing: Vec<_> = read.iter().filter(|(_, name)| !has(name)).collect();
    for (_, name) in &missing {
        let what = match section {
            &STATEMENTS => "`source: statements` gives no column".to_owned(),
            _ => format!("the section `{}` has no column", section.name),
        };
        let known = section.columns.iter().copied();
        problems.add(&name.place, words::unknown(&what, &name.value, "its columns are", known));
    }
    missing.is_empty()
}
