//! However seldom somebody scrapes, what a slow collector has is on each page.

use std::{thread::sleep, time::Duration};

use crate::support::{Postgres, majors, page, sample};

use super::watch;

/// The collectors of `ttl` 30 s to 10 min at intervals that are longer, as a clock that runs a thousand times faster shows them: `src/engine/tests/slow.rs` has the
/// hours.
#[test]
fn p25_after_a_gap_everything_is_there_at_once() {
    let quicker = "collectors: {settings: {ttl: 100ms}, roles: {ttl: 100ms}, database_size: {ttl: 100ms}, wal_files: {ttl: 100ms}, slow_queries: {ttl: 100ms}}\n";
    for major in majors() {
        let server = Postgres::builder(major).start();
        server.create_monitor_role();
        server.sql("postgres", "CREATE EXTENSION pg_stat_statements");
        let pgvigil = watch(&server.url("pgvigil", "postgres"), quicker);
        for gap in [0, 250, 1000, 2000] {
            sleep(Duration::from_millis(gap));
            let text = pgvigil.scrape();
            for (name, since) in
                [("pg_settings_block_size", 0), ("pg_wal_segments", 0), ("pg_stat_statements_evictions_total", 14)]
            {
                assert!(
                    major < since || sample(&text, name, &[]).is_some(),
                    "{major}: {name} after {gap} ms\n{}",
                    pgvigil.stderr()
                );
            }
            assert_ne!(page::samples(&text, "pg_database_size_bytes", &[]), [0.0; 0], "{major}: after {gap} ms");
        }
    }
}
