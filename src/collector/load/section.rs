//! The section that a query reads where its source is not asked in SQL: there must be such a section, and where its
//! columns are known it must have every one that is read. What `source: statements` makes of its rows is checked like
//! a section.

use crate::{
    collector::{
        SourceKind,
        load::metric::MetricDeclaration,
        sections,
        sections::{STATEMENTS, row::Section},
    },
    schema::{
        fields::Fields,
        problem::{Place, Problems},
        words,
    },
};

/// The section a query names.
pub fn section(fields: &mut Fields<'_, '_>, source: SourceKind) -> Option<&'static Section> {
    let name = fields.checked("section", words::snake)?;
    let section = sections::section(source, &name);
    if section.is_none() {
        let known = sections::of(source).iter().map(|section| section.name);
        fields.tell("section", words::unknown("no section", &name, "there are", known));
    }
    section
}

/// Tells which columns the section does not have; true if it has all.
pub fn check(
    section: &Section,
    labels: &[(String, Place)],
    metrics: &[MetricDeclaration],
    problems: &mut Problems,
) -> bool {
    let labels = labels.iter().chain(metrics.iter().flat_map(|declared| &declared.labels));
    if section.columns.is_empty() {
        return true;
    }
    // Once a label's name is refused, that it is no column is no news.
    let labels = labels.filter(|(label, _)| words::label(label).is_ok());
    let values = metrics.iter().flat_map(|declared| &declared.columns);
    let read = labels.map(|(name, place)| (name, place)).chain(values.map(|(_, name, place)| (name, place)));
    let mut fits = true;
    for (name, place) in read.filter(|(name, _)| !section.columns.contains(&name.as_str())) {
        fits = false;
        let what = match section {
            &STATEMENTS => "`source: statements` gives no column".to_owned(),
            _ => format!("the section `{}` has no column", section.name),
        };
        problems.add(place, words::unknown(&what, name, "its columns are", section.columns.iter().copied()));
    }
    fits
}
