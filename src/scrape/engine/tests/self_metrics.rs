//! Tests of the exporter metrics: each section has its rows, and each column its own values.

use crate::collector::sections::row::SectionTables;
use crate::collector::{SourceKind, sections};
use crate::scrape::engine::tests::*;
use crate::scrape::self_metrics;
use crate::source::fetch::Reason;
use crate::source::fixture::{fails, rows};
use crate::table::Cell;

const LABELLED: &str = "collector: labelled\nsource: postgres\nqueries:\n  - name: q\n    sql: [{since: 13, text: SELECT}]\n    labels: [l]\n    \
                        metrics: [{name: labelled, type: gauge, value: n, ecosystem: true, help: N.}]\n    example: [{l: a, n: 1}]\n";

/// The values of a column, row after row.
fn column(tables: &SectionTables, section: &str, column: &str) -> Vec<String> {
    let table = tables.by_name.get(section).unwrap();
    let column = table.column(column).unwrap();
    let cell = |row| match table.cell(row, column) {
        Cell::Text(text) => text.to_owned(),
        cell => cell.number().unwrap().map_or("-".to_owned(), |number| number.to_string()),
    };
    (0..table.rows()).map(cell).collect()
}

#[tokio::test(start_paused = true)]
async fn every_section_is_filled() {
    let world = World::with(catalogue_with(
        &[("slow", "60s"), ("sizes", "1h\nscope: database")],
        &[("labelled.yaml", LABELLED)],
    ));
    world.server.change(|server| {
        server.closed = vec!["closed"];
        server.answers.insert("quick", fails(Reason::Extension));
        server.answers.insert("other", fails(Reason::Query));
        let mut labelled = rows(["l", "n"], [["x".repeat(2000), "1".to_owned()]]);
        labelled.iter_mut().flatten().for_each(|answer| answer.cut = 5);
        server.answers.insert("labelled", labelled);
    });
    world.scrape().await;
    let target = &world.engine.targets[0];
    // A scrape that begins now has no answer yet, so there is a reason to report.
    pause(1.0).await;
    let (of_target, of_process) = (self_metrics::target_tables(target, Instant::now()), world.engine.process.tables());
    for section in sections::of(SourceKind::SelfMetrics) {
        let table = of_target.by_name.get(section.name).or(of_process.by_name.get(section.name));
        assert!(table.is_some_and(|table| table.rows() > 0), "{}", section.name);
    }
    for (section, name, cells) in [
        ("target", "up_postgres", "0"),
        ("target", "up_redis", "-"),
        ("target", "circuit_trips", "0"),
        ("target", "sessions", "1"),
        ("target", "pooled", "-"),
        ("login", "tls", "none"),
        ("login", "peer", "local"),
        ("down", "reason", "timeout"),
        ("collectors", "collector", "labelled other quick slow"),
        ("collectors", "success", "1 0 1 1"),
        ("collectors", "age_seconds", "1 - - 1"),
        ("collectors", "rows", "1 0 0 1"),
        ("collectors", "cut", "5 0 0 0"),
        ("collectors", "invalid", "0 0 0 0"),
        ("cut", "texts", "1"),
        ("cut", "samples", "0"),
        ("skipped", "queries", "1"),
        ("databases", "datname", "closed"),
        ("databases", "reason", "invalid"),
        ("failures", "collector", "other"),
        ("failures", "reason", "query"),
        ("failures", "count", "1"),
    ] {
        assert_eq!(column(&of_target, section, name).join(" "), cells, "{section}: {name}");
    }
    assert_eq!(column(&of_process, "exporter", "scrapes"), ["1"]);
}
