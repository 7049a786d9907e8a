//! The program's own state: every section has rows as wide as its columns.

use crate::{
    collector::{SourceKind, sections},
    scrape::{engine::tests::*, self_metrics},
    source::{
        fetch::Reason,
        fixture::{fails, rows},
    },
    table::{Cell, Table},
};

const LABELLED: &str = "collector: labelled\nsource: postgres\nqueries:\n  - name: q\n    sql: [{since: 13, text: SELECT}]\n    labels: [l]\n    \
                        metrics: [{name: labelled, type: gauge, value: n, ecosystem: true, help: N.}]\n    example: [{l: a, n: 1}]\n";

#[tokio::test(start_paused = true)]
async fn every_section_is_filled() {
    let world = World::with(catalogue_with(
        &[("slow", "60s"), ("sizes", "1h\nscope: database")],
        &[("labelled.yaml", LABELLED)],
    ));
    world.server.tell(|server| {
        server.closed = vec!["closed"];
        server.answers.insert("quick", fails(Reason::Extension));
        server.answers.insert("other", fails(Reason::Query));
        server.answers.insert("labelled", rows(["l", "n"], [["x".repeat(2000), "1".to_owned()]]));
    });
    world.scrape().await;
    let target = &world.engine.targets[0];
    // A scrape that begins now has not been answered, so that there is a reason to tell.
    pause(1.0).await;
    for section in sections::of(SourceKind::Own) {
        let table: Table = match section.of_target {
            true => self_metrics::target_table(section, target, Instant::now()),
            false => world.engine.process.table(section),
        };
        let (rows, width) = (table.rows(), table.columns().len());
        assert!(rows > 0 && width == section.columns.len(), "{}: {rows} rows", section.name);
        let left = (0..width).find(|column| table.cell(rows, *column) != Cell::Absent);
        assert_eq!(left, None, "{}: cells beyond the last row", section.name);
    }
}
