//! The program's own state: every section has rows as wide as its columns.

use super::*;
use crate::{
    config::{collector::SourceKind, sections},
    own,
    source::{Reason, fixture::fails},
    table::{Cell, Table},
};

#[tokio::test(start_paused = true)]
async fn every_section_is_filled() {
    let world = World::with(catalogue(&[("slow", "60s"), ("sizes", "1h\nscope: database")]));
    world.server.tell(|server| {
        server.closed = vec!["closed"];
        server.answers.insert("quick", fails(Reason::Extension));
        server.answers.insert("other", fails(Reason::Query));
    });
    world.scrape().await;
    let target = &world.engine.targets[0];
    // A scrape that begins now has not been answered, so that there is a reason to tell.
    pause(1.0).await;
    for section in sections::of(SourceKind::Own) {
        let table: Table = match section.of_target {
            true => own::target_table(section, target, Instant::now()),
            false => world.engine.process.table(section),
        };
        let (rows, width) = (table.rows(), table.columns().len());
        assert!(rows > 0 && width == section.columns.len(), "{}: {rows} rows", section.name);
        let left = (0..width).find(|column| table.cell(rows, *column) != Cell::Absent);
        assert_eq!(left, None, "{}: cells beyond the last row", section.name);
    }
}
