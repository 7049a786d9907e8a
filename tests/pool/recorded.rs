//! What a PgBouncer of a later version showed, and the page that is made of it; `UPDATE_EXPECT=1` writes the page.

use std::{fs, path::Path, sync::Arc};

use expect_test::expect_file;
use pgvigil::{
    collector::{Rows, SourceKind, catalogue::Catalogue},
    exposition,
    exposition::{Block, TargetLabels},
    map,
    source::pgbouncer::{shown, shown::ConsoleTables},
    table::{Cell, Table},
};

/// What a command showed: a line of names, then rows, apart by tabs.
fn table(command: &str, text: &str) -> Table {
    let width = shown::width(command);
    let mut lines = text.lines().map(|line| line.split('\t').take(width));
    let mut table = Table::new(lines.next().expect("a head").map(|name| shown::column(command, name)));
    for cell in lines.flatten() {
        table.push(if cell.is_empty() { Cell::Absent } else { Cell::Text(cell) });
    }
    table
}

/// All that the shipped collectors make of it, and what they have no value of.
fn page(shown: &ConsoleTables) -> (String, Vec<String>) {
    let catalogue = Catalogue::load(None).unwrap_or_else(|problems| panic!("{problems}"));
    let (mut blocks, mut missing) = (Vec::new(), Vec::new());
    for collector in catalogue.collectors.iter().filter(|collector| collector.source == SourceKind::PgBouncer) {
        for (query, asked) in collector.queries.iter().enumerate() {
            let Rows::Section(name) = &asked.rows else { continue };
            let table = shown::section(name, shown).expect("all was recorded").expect("all was shown");
            let mapped = map::map(asked, (*table).clone());
            assert_eq!((mapped.duplicates, mapped.invalid), (0, 0), "{name}");
            blocks.push(Block {
                collector: collector.clone(),
                query,
                labels: TargetLabels::default(),
                mapped: Arc::new(mapped),
            });
            missing.extend(asked.metrics.iter().map(|metric| metric.def.name.to_string()));
        }
    }
    let page = exposition::text(&blocks);
    let page: String = page.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect();
    missing.retain(|name| !page.lines().any(|line| line.split(['{', ' ']).next() == Some(name)));
    (page, missing)
}

#[test]
fn a_later_version_is_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pool/1.25.2");
    let files = fs::read_dir(&folder).expect("recorded answers").map(|file| file.expect("a file").path());
    let read = |file: std::path::PathBuf| {
        let command = file.file_stem().expect("a name").to_string_lossy().into_owned();
        let table = table(&command, &fs::read_to_string(&file).expect("text"));
        (command, Ok(table.into()))
    };
    let (page, missing) = page(&files.map(read).collect());
    expect_file![folder.with_file_name("1.25.2.prom")].assert_eq(&page);
    // Limits that are not set.
    let limits = ["database_connections", "database_client_connections", "user_connections", "user_client_connections"];
    assert_eq!(missing, limits.map(|name| format!("pgbouncer_{name}_limit")));
    // A pool of size 0 has no limit.
    let of = |name: &str| page.lines().filter(|line| line.starts_with(name)).collect::<Vec<_>>();
    assert_eq!(of("pgbouncer_pool_size{"), ["pgbouncer_pool_size{database=\"shop\",user=\"postgres\"} 3"]);
    assert!(of("pgbouncer_pool_size_is_zero{").iter().all(|line| line.ends_with(" 0")), "{page}");
}
