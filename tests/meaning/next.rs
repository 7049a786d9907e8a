//! What PostgreSQL 19 shows otherwise, on a server of now that is made to look like it.

use pgvigil::collector::catalogue::Catalogue;

use super::server;

/// The server that is made to look like it: the last one before.
const NEWEST: u32 = 18;

/// The SQL that 19 is asked.
fn text(collector: &str) -> String {
    let catalogue = Catalogue::load(None).unwrap_or_else(|problems| panic!("{problems}"));
    let collector = catalogue.collectors.iter().find(|it| it.name.as_str() == collector).expect("the collector");
    collector.queries[0].variant(19).expect("a text for 19").text.clone()
}

#[test]
fn a_repack_is_shown_as_what_it_is() {
    let server = server(NEWEST, "");
    server.sql(
        "postgres",
        "CREATE TABLE t (); SET allow_system_table_mods = on;
         CREATE VIEW pg_catalog.pg_stat_progress_repack AS
         SELECT 1 AS pid, 1::oid AS datid, current_database() AS datname, 't'::regclass::oid AS relid, 'REPACK' AS command,
                'seq scanning heap' AS phase, 0::oid AS repack_index_relid, 100::int8 AS heap_tuples_scanned, 90::int8 AS heap_tuples_inserted,
                5::int8 AS heap_tuples_updated, 0::int8 AS heap_tuples_deleted, 50::int8 AS heap_blks_total, 20::int8 AS heap_blks_scanned,
                0::int8 AS index_rebuild_count",
    );
    let rows =
        format!("SELECT command, relname, phase, blocks, blocks_done, tuples_done FROM ({}) q", text("progress"));
    assert_eq!(server.sql("postgres", &rows), "REPACK|t|seq scanning heap|50|20|100");
}

/// Checksums come and go while the server runs: they are on when all pages have one.
#[test]
fn checksums_are_on_when_all_pages_have_one() {
    let server = server(NEWEST, "");
    for (word, on) in [("on", "1"), ("off", "0"), ("inprogress-on", "0"), ("inprogress-off", "0")] {
        let settings = format!(
            "FROM (SELECT name, unit, source, boot_val, reset_val, pending_restart,
                          CASE name WHEN 'data_checksums' THEN 'enum' ELSE vartype END AS vartype,
                          CASE name WHEN 'data_checksums' THEN '{word}' ELSE setting END AS setting FROM pg_show_all_settings()) s"
        );
        let text = text("settings").replace("FROM pg_show_all_settings()", &settings);
        let row = format!("SELECT data_checksums FROM ({text}) q WHERE data_checksums IS NOT NULL");
        assert_eq!(server.sql("postgres", &row), on, "{word}");
    }
}
