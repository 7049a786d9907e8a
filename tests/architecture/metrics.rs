//! The program knows no metric: all of them are declared in YAML, and the program's own state fits what is declared.

use std::collections::BTreeSet;

use pgvigil::collector::{Rows, SourceKind, catalogue::Catalogue, sections};

use super::{each, mentions};

fn catalogue() -> Catalogue {
    Catalogue::load(None).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn no_metric_is_named_in_the_program() {
    let catalogue = catalogue();
    let metrics = catalogue.collectors.iter().flat_map(|collector| &collector.queries).flat_map(|query| &query.metrics);
    let names: BTreeSet<_> = metrics.map(|metric| metric.def.name.as_str()).collect();
    assert!(names.len() > 50);
    each(|source, wrong| {
        let named = names.iter().filter(|name| mentions(&source.text, name));
        wrong.extend(named.map(|name| format!("{} names the metric {name}", source.path)));
    });
}

/// That no collector reads what is not there, the loader holds; this is the other half.
#[test]
fn everything_the_program_says_of_itself_is_declared() {
    let catalogue = catalogue();
    let queries: Vec<_> = catalogue.collectors.iter().flat_map(|collector| &collector.queries).collect();
    let mut unread = Vec::new();
    for section in sections::of(SourceKind::SelfMetrics) {
        let of_section =
            queries.iter().filter(|query| matches!(&query.rows, Rows::Section(name) if name == section.name));
        let read: BTreeSet<_> = of_section.flat_map(|query| query.columns()).collect();
        unread.extend(section.columns.iter().filter(|column| !read.contains(*column)).map(|c| (section.name, *c)));
    }
    assert!(unread.is_empty(), "no collector reads {unread:?}");
}
