//! The section that a query reads where its source is not asked in SQL: there must be such a section, and where its
//! columns are known it must have every one that is read. What `source: statements` makes of its rows is checked like
//! a section.

use crate::collector::load::metric::MetricDeclaration;
use crate::collector::sections::STATEMENTS;
use crate::collector::sections::row::Section;
use crate::collector::{SourceKind, sections};
use crate::schema::problem::Problems;
use crate::schema::reader::Placed;
use crate::schema::words;

/// The section a query names.
pub fn section(name: &Placed<String>, source: SourceKind, problems: &mut Problems) -> Option<&'static Section> {
    let section = sections::section(source, &name.value);
    if section.is_none() {
        let known = sections::of(source).iter().map(|section| section.name);
        problems.add(&name.place, words::unknown("no section", &name.value, "there are", known));
    }
    section
}

/// Tells which columns the section does not have; true if it has all.
pub fn check(
    section: &Section,
    labels: &[Placed<String>],
    metrics: &[MetricDeclaration],
    problems: &mut Problems,
) -> bool {
    let labels = labels.iter().chain(metrics.iter().flat_map(|declared| &declared.labels));
    if section.columns.is_empty() {
        return true;
    }
    // Once a label's name is refused, that it is no column is no news.
    let labels = labels.filter(|label| words::label(&label.value).is_ok());
    let columns = metrics.iter().flat_map(|declared| &declared.columns).map(|(_, column)| column);
    let mut fits = true;
    for read in labels.chain(columns).filter(|read| !section.columns.contains(&read.value.as_str())) {
        fits = false;
        let what = match section {
            &STATEMENTS => "`source: statements` gives no column".to_owned(),
            _ => format!("the section `{}` has no column", section.name),
        };
        problems
            .add(&read.place, words::unknown(&what, &read.value, "its columns are", section.columns.iter().copied()));
    }
    fits
}
