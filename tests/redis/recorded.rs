//! What servers of several versions said to INFO, and the page that is made of it; `UPDATE_EXPECT=1` writes the pages.

use std::{fs, path::Path, sync::Arc};

use expect_test::expect_file;
use pgvigil::{
    collector::{Rows, SourceKind, catalogue::Catalogue, sections},
    exposition,
    exposition::{Block, TargetLabels},
    map,
    source::redis::info::InfoReply,
};

/// All that the shipped collectors make of an INFO.
fn page(text: &str) -> String {
    let catalogue = Catalogue::load(None).unwrap_or_else(|problems| panic!("{problems}"));
    let info = InfoReply::new(text);
    let mut blocks = Vec::new();
    for collector in catalogue.collectors.iter().filter(|collector| collector.source == SourceKind::Redis) {
        for (query, asked) in collector.queries.iter().enumerate() {
            let Rows::Section(name) = &asked.rows else { continue };
            let Some(section) = sections::section(SourceKind::Redis, name) else { continue };
            let mapped = map::map(asked, info.table(section));
            assert_eq!((mapped.duplicates, mapped.invalid), (0, 0), "{name}");
            blocks.push(Block {
                collector: collector.clone(),
                query,
                labels: TargetLabels::default(),
                mapped: Arc::new(mapped),
            });
        }
    }
    let page = exposition::text(&blocks);
    page.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect()
}

#[test]
fn every_version_is_read() {
    for version in ["redis-6.2", "redis-7.0", "redis-8.0", "valkey-8.0"] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/redis/info/{version}.txt"));
        let text = fs::read_to_string(&file).expect("a recorded answer").replace('\n', "\r\n");
        let page = page(&text);
        expect_file![file.with_extension("prom")].assert_eq(&page);
        for core in
            ["redis_memory_used_bytes ", "redis_keyspace_hits_total ", "redis_connected_slaves ", "redis_db_keys{"]
        {
            assert!(page.contains(core), "{version}: {core}");
        }
    }
}

/// What is odd is left out and counted; the rest stands.
#[test]
fn odd_values_are_left_out_and_counted() {
    let catalogue = Catalogue::load(None).unwrap_or_else(|problems| panic!("{problems}"));
    let collector = catalogue.get("redis_memory").expect("a collector");
    let text = "# Memory\nused_memory:\nmaxmemory:-5\nused_memory_rss:99999999999999999999999\nused_memory_peak:\\xff\nused_memory_lua:7\n\
                mem_fragmentation_ratio:nan\nunknown:1\n:\nused_memory_lua:8\n";
    let section = sections::section(SourceKind::Redis, "memory").expect("a section");
    let mapped = map::map(&collector.queries[0], InfoReply::new(text).table(section));
    assert_eq!((mapped.duplicates, mapped.invalid), (0, 3), "empty, no text, nan");
    let block =
        Block { collector: collector.clone(), query: 0, labels: TargetLabels::default(), mapped: Arc::new(mapped) };
    let page = exposition::text(&[block]);
    let lines: Vec<_> = page.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(
        lines,
        ["redis_memory_max_bytes -5", "redis_memory_used_rss_bytes 1e23", "redis_memory_used_lua_bytes 7"]
    );
}
