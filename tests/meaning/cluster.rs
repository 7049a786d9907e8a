//! The collectors cache, buffers, wal, wal_files and settings: what the server does as a whole, and how it is set.

use crate::support::{PgBouncer, majors, sample};

use super::{BINARY, Pgvigil, expect, expect_soon, look, server, until};

#[test]
fn checkpoints_pages_and_wal_are_counted_under_the_same_names() {
    for major in majors() {
        let config = "archive_mode = on\narchive_command = 'true'\ntrack_io_timing = on\ntrack_wal_io_timing = on\nshared_buffers = 2MB";
        let config = if major < 14 { config.replace("track_wal_io_timing = on\n", "") } else { config.to_owned() };
        let server = server(major, &config);
        server.sql("postgres", "CREATE EXTENSION pg_buffercache; CHECKPOINT");
        let before = look(&server, &["cache", "wal"]);
        let was = |name: &str| sample(&before, name, &[]).unwrap_or_else(|| panic!("{major} {name}"));
        let (requested, written) =
            (was("pg_stat_bgwriter_checkpoints_req_total"), was("pg_stat_bgwriter_buffers_checkpoint_total"));
        let position = was("pg_wal_position_bytes_total");
        server.sql(
            "postgres",
            "CREATE TABLE t AS SELECT g AS i, repeat('x', 500) AS filler FROM generate_series(1, 20000) g",
        );
        server.sql("postgres", "CHECKPOINT; UPDATE t SET i = i + 1 WHERE i % 100 = 0; SELECT pg_switch_wal(); CHECKPOINT; SELECT count(*) FROM t");
        let lines = format!(
            "pg_stat_bgwriter_checkpoints_req_total = {}
             pg_stat_bgwriter_checkpoints_timed_total >= 0
             pg_stat_bgwriter_buffers_checkpoint_total >= {}
             pg_stat_bgwriter_buffers_alloc_total >= 1000
             -17 pg_stat_bgwriter_buffers_backend_total >= 1
             17+ pg_stat_bgwriter_buffers_backend_total absent
             -17 pg_stat_checkpointer_num_requested_total absent
             17+ pg_stat_checkpointer_num_requested_total = {}
             18+ pg_stat_checkpointer_num_done_total >= 1
             -16 pg_stat_io_reads_total absent
             16+ pg_stat_io_hits_total{{backend_type=client backend,object=relation,context=normal}} >= 1000
             16+ pg_stat_io_extend_bytes_total{{backend_type=client backend,object=relation,context=bulkwrite}} >= 8000000
             16+ pg_stat_io_reads_total{{backend_type=client backend,object=relation,context=bulkread}} >= 1
             16+ pg_stat_io_read_bytes_total{{backend_type=client backend,object=relation,context=bulkread}} >= 8192
             16+ pg_stat_io_read_seconds_total{{backend_type=client backend,object=relation,context=bulkread}} >= 0.0000001
             18+ pg_stat_io_write_bytes_total{{backend_type=client backend,object=wal,context=normal}} >= 8192
             pg_stat_slru_blocks_hit_total{{slru=transaction}} >= 1
             pg_stat_slru_blocks_read_total{{slru=subtransaction}} there
             -16 pg_buffercache_summary_buffers_used absent
             16+ pg_buffercache_summary_buffers_used >= 100
             16+ pg_buffercache_usage_buffers{{usage_count=5}} >= 1
             pg_wal_position_bytes_total >= {}
             14+ pg_stat_wal_full_page_images_total >= 100
             14+ pg_stat_wal_bytes_total >= 10000000
             14+ pg_stat_wal_records_total >= 20000
             -14 pg_stat_wal_bytes_total absent
             14+ -18 pg_stat_wal_writes_total >= 1
             18+ pg_stat_wal_writes_total absent
             pg_wal_segments >= 2
             pg_stat_archiver_archived_count >= 1
             pg_stat_archiver_failed_count = 0
             pg_stat_archiver_last_archived_timestamp_seconds recent
             pg_stat_archiver_last_archive_age < 600
             pg_stat_archiver_last_failed_timestamp_seconds absent
             pg_archive_waiting_files = 0
             pg_archive_waiting_oldest_timestamp_seconds absent",
            requested + 2.0,
            written + 100.0,
            requested + 2.0,
            position + 10_000_000.0,
        );
        expect_soon(&server, &["cache", "buffers", "wal", "wal_files"], &lines);
        let segments = look(&server, &["wal_files"]);
        let (files, size) = (sample(&segments, "pg_wal_segments", &[]), sample(&segments, "pg_wal_size_bytes", &[]));
        assert_eq!(files.map(|files| files * 16_777_216.0), size, "{major}");
        // And when it fails.
        server.sql(
            "postgres",
            "ALTER SYSTEM SET archive_command = 'false'; SELECT pg_reload_conf(); SELECT pg_switch_wal()",
        );
        server.sql("postgres", "SELECT txid_current(); SELECT pg_switch_wal()");
        let lines = "pg_stat_archiver_failed_count >= 1
                     pg_stat_archiver_last_failed_timestamp_seconds recent
                     pg_archive_waiting_files >= 1
                     pg_archive_waiting_oldest_timestamp_seconds recent";
        expect_soon(&server, &["wal", "wal_files"], lines);
    }
}

/// What pgvigil sets for its own sessions does not hide what the server has.
#[test]
fn settings_are_those_of_the_server() {
    let config = "work_mem = 3MB\nstatement_timeout = 7s\nlock_timeout = 3s\nidle_in_transaction_session_timeout = 11s\njit = off\n\
                  log_min_duration_statement = 250ms\ntrack_io_timing = on";
    let lines = "pg_settings_work_mem_bytes = 3145728
                 pg_settings_statement_timeout_seconds = 7
                 pg_settings_lock_timeout_seconds absent
                 pg_settings_idle_in_transaction_session_timeout_seconds = 11
                 pg_settings_jit = 0
                 pg_settings_log_min_duration_statement_seconds = 0.25
                 pg_settings_track_io_timing = 1
                 pg_settings_archive_mode = 0
                 pg_settings_word{name=wal_level,setting=replica} = 1
                 pg_settings_changed{name=work_mem,setting=3072kB} = 1
                 pg_settings_changed{name=statement_timeout,setting=7s} = 1
                 pg_settings_changed{name=log_min_duration_statement,setting=0.25s} = 1
                 pg_settings_changed{name=jit,setting=off} = 1
                 pg_settings_changed{name=maintenance_work_mem} absent
                 pg_settings_pending_restarts = 0
                 pgvigil_session_pooled = 0";
    for major in majors() {
        let server = server(major, config);
        expect(&server, &["settings"], lines);
        // Through a transaction pooler too.
        let pooler = PgBouncer::start(&server, "transaction", "");
        let pgvigil = Pgvigil::start(BINARY, &[], &[("PGVIGIL_POSTGRES_URL", &pooler.url("pgvigil", "postgres"))]);
        let pooled = lines
            .replace("session_pooled = 0", "session_pooled = 1")
            .replace("lock_timeout_seconds absent", "lock_timeout_seconds = 3");
        let wrong = super::wrong(major, &pgvigil.scrape(), &pooled);
        assert!(wrong.is_empty(), "{major}, pooled: {wrong:#?}");
        // It changes with the server's, and what only our role has is not the server's.
        server.sql(
            "postgres",
            "ALTER SYSTEM SET work_mem = '5MB'; ALTER SYSTEM SET idle_in_transaction_session_timeout = 0; SELECT pg_reload_conf()",
        );
        server.sql("postgres", "ALTER ROLE pgvigil SET statement_timeout = '9s'; ALTER DATABASE postgres SET jit = on");
        until(&server, "SELECT current_setting('work_mem') = '5MB'");
        let lines = "pg_settings_work_mem_bytes = 5242880
                     pg_settings_idle_in_transaction_session_timeout_seconds = 0
                     pg_settings_statement_timeout_seconds absent
                     pg_settings_jit absent";
        expect(&server, &["settings"], lines);
    }
}
