//! The collectors tables, table_sizes, index_usage, sequences, partitions and bloat_measured: numbers of one table, index or sequence.

use crate::support::{majors, sample};

use super::{GRANTS, expect, expect_soon, look, server, until};

#[test]
fn scans_rows_and_sizes_are_those_of_the_table() {
    for major in majors() {
        let server = server(major, "");
        server.sql(
            "postgres",
            "CREATE TABLE t (id int PRIMARY KEY, note text) WITH (fillfactor = 50);
             ALTER TABLE t ALTER note SET STORAGE EXTERNAL;
             INSERT INTO t SELECT g, 'x' FROM generate_series(1, 500) g;
             CREATE INDEX t_note ON t (note)",
        );
        let last = "INSERT INTO t VALUES (1001, repeat('y', 5000))";
        server.sql("postgres", &format!("DROP INDEX t_note; CREATE INDEX t_half ON t (id) WHERE id > 250; {last}"));
        server.sql("postgres", "UPDATE t SET note = 'z' WHERE id = 7; DELETE FROM t WHERE id BETWEEN 1 AND 5");
        server.sql("postgres", "SET enable_indexscan = off; SET enable_bitmapscan = off; SELECT count(*) FROM t; SELECT note FROM t WHERE id = 1001");
        server.sql(
            "postgres",
            "SET enable_seqscan = off; SELECT id, note FROM t WHERE id = 8; SELECT id, note FROM t WHERE id = 9",
        );
        let bytes = |what: &str| server.sql("postgres", &format!("SELECT {what}"));
        until(
            &server,
            "SELECT n_dead_tup >= 5 AND idx_scan >= 4 AND seq_scan >= 2 FROM pg_stat_user_tables WHERE relname = 't'",
        );
        let statistics = |column: &str| bytes(&format!("{column} FROM pg_stat_user_tables WHERE relname = 't'"));
        let lines = format!(
            "pg_stat_user_tables_n_tup_ins{{datname=postgres,schemaname=public,relname=t}} = 501
             pg_stat_user_tables_n_tup_upd{{relname=t}} = 1
             pg_stat_user_tables_n_tup_hot_upd{{relname=t}} = 1
             pg_stat_user_tables_n_tup_del{{relname=t}} = 5
             pg_stat_user_tables_n_live_tup{{relname=t}} = 496
             pg_stat_user_tables_n_dead_tup{{relname=t}} = {}
             pg_stat_user_tables_n_mod_since_analyze{{relname=t}} = 507
             pg_stat_user_tables_seq_scan{{relname=t}} = {}
             pg_stat_user_tables_seq_tup_read{{relname=t}} = {}
             pg_stat_user_tables_idx_scan{{relname=t}} = {}
             pg_stat_user_tables_idx_tup_fetch{{relname=t}} = {}
             pg_stat_user_tables_last_vacuum absent
             pg_stat_user_tables_last_autovacuum absent
             16+ pg_stat_user_tables_last_seq_scan_timestamp_seconds{{relname=t}} recent
             16+ pg_stat_user_tables_last_idx_scan_timestamp_seconds{{relname=t}} recent
             pg_statio_user_tables_heap_blocks_hit{{relname=t}} >= 10
             pg_statio_user_tables_idx_blocks_hit{{relname=t}} >= 10
             pg_statio_user_tables_toast_blocks_hit{{relname=t}} >= 1
             pg_stat_user_tables_table_size_bytes{{relname=t}} = {}
             pg_stat_user_tables_index_size_bytes{{relname=t}} = {}
             pg_stat_user_tables_toast_size_bytes{{relname=t}} = {}
             pg_stat_user_indexes_idx_scan_total{{relname=t,indexrelname=t_pkey}} = {}
             pg_stat_user_indexes_idx_scan_total{{indexrelname=t_half}} = 0
             pg_stat_user_indexes_idx_tup_fetch_total{{indexrelname=t_half}} = 0
             pg_statio_user_indexes_idx_blks_hit_total{{indexrelname=t_pkey}} >= 10
             16+ pg_stat_user_indexes_last_idx_scan_timestamp_seconds{{indexrelname=t_pkey}} recent
             pg_stat_user_indexes_last_idx_scan_timestamp_seconds{{indexrelname=t_half}} absent",
            statistics("n_dead_tup"),
            statistics("seq_scan"),
            statistics("seq_tup_read"),
            statistics("idx_scan"),
            statistics("idx_tup_fetch"),
            bytes("pg_table_size('t')"),
            bytes("pg_indexes_size('t')"),
            bytes("pg_total_relation_size(reltoastrelid) FROM pg_class WHERE oid = 't'::regclass"),
            bytes("idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 't_pkey'"),
        );
        expect(&server, &["tables", "table_sizes", "index_usage"], &lines);
        server.sql("postgres", "VACUUM t");
        server.sql("postgres", "ANALYZE t");
        let size = bytes("pg_relation_size('t_pkey')");
        let lines = format!(
            "pg_stat_user_tables_last_vacuum{{relname=t}} recent
             pg_stat_user_tables_last_analyze{{relname=t}} recent
             pg_stat_user_tables_vacuum_count{{relname=t}} = 1
             pg_stat_user_tables_analyze_count{{relname=t}} = 1
             pg_stat_user_tables_autovacuum_count{{relname=t}} = 0
             pg_stat_user_tables_n_dead_tup{{relname=t}} = 0
             18+ pg_stat_user_tables_vacuum_time_seconds_total{{relname=t}} >= 0
             pg_stat_user_indexes_size_bytes{{indexrelname=t_pkey}} = {size}"
        );
        expect_soon(&server, &["tables", "index_usage"], &lines);
        // Behind an exclusive lock nobody waits: the size is that of the last vacuum.
        let mut holder = server.session("postgres");
        holder.run("BEGIN; LOCK t;");
        expect(
            &server,
            &["table_sizes", "index_usage", "tables"],
            "pg_stat_user_tables_table_size_bytes{relname=t} >= 8192",
        );
    }
}

/// From 16 TiB on the catalogue's counts of pages are negative to whoever reads them as SQL does. Nobody has such a table here, so the counts are faked.
#[test]
fn sizes_beyond_16_tib_are_not_negative() {
    for major in majors() {
        let server = server(major, "");
        server.sql("postgres", GRANTS);
        server.sql(
            "postgres",
            "CREATE TABLE t AS SELECT 1 AS id, 'x' AS note; CREATE INDEX large ON t (id); CREATE INDEX larger ON t (note); CREATE INDEX small ON t (id, note);
             ANALYZE t; SET allow_system_table_mods = on;
             UPDATE pg_class SET reltuples = 1 WHERE oid = 't'::regclass OR relname LIKE 'large%';
             UPDATE pg_class SET relpages = -2147483648 WHERE relname IN ('t', 'large'); UPDATE pg_class SET relpages = -1 WHERE relname = 'larger'",
        );
        let mut holder = server.session("postgres");
        let lines = "pg_stat_user_indexes_size_bytes{indexrelname=large} = 17592186044416
             pg_stat_user_indexes_size_bytes{indexrelname=larger} = 35184372080640
             pg_index_unused_bytes{indexrelname=larger} = 35184372080640
             pg_index_redundant_bytes{indexrelname=large,of=small} = 17592186044416
             pg_bloat_table_ratio{relname=t} = 1
             pg_bloat_index_ratio{indexrelname=large} = 1";
        expect(&server, &["index_usage", "index_verdicts", "bloat"], lines);
        // Not measured behind an exclusive lock: as the catalogue says.
        holder.run("BEGIN; LOCK t;");
        let lines = "pg_stat_user_tables_table_size_bytes{relname=t} >= 17592186044416
             pg_stat_user_tables_index_size_bytes{relname=t} >= 52776558125056";
        expect(&server, &["table_sizes"], lines);
    }
}

#[test]
fn sequences_are_full_by_type_and_direction() {
    for major in majors() {
        let server = server(major, "");
        server.sql("postgres", GRANTS);
        server.sql(
            "postgres",
            "CREATE SEQUENCE small AS smallint; SELECT setval('small', 16384);
             CREATE SEQUENCE down INCREMENT -1 MINVALUE -1000 MAXVALUE -1; SELECT setval('down', -250);
             CREATE SEQUENCE fresh AS integer; CREATE SEQUENCE by_ten INCREMENT 10 MAXVALUE 1000; SELECT setval('by_ten', 501);
             CREATE SEQUENCE by_ten_fresh INCREMENT 10 MAXVALUE 1000; CREATE SEQUENCE again MAXVALUE 10 CYCLE;
             CREATE SEQUENCE negative MINVALUE -1000 MAXVALUE 1000 START 1; SELECT setval('negative', 500);
             CREATE SEQUENCE set_back MINVALUE -1000 MAXVALUE 1000 START 1; SELECT setval('set_back', -1);
             CREATE TABLE won (i serial); ALTER SEQUENCE won_i_seq MINVALUE -2147483648 RESTART WITH -2147483648; ALTER SEQUENCE won_i_seq AS bigint;
             SELECT setval('won_i_seq', -2147483648);
             CREATE SEQUENCE below MINVALUE -1000 MAXVALUE -1 START -1000; SELECT setval('below', -501);
             CREATE SEQUENCE huge; SELECT setval('huge', 9223372036854775807)",
        );
        let lines = "pg_sequence_used_ratio{sequencename=small,schemaname=public} = 0.50001526
             pg_sequence_remaining_values{sequencename=small} = 16383
             pg_sequence_last_value{sequencename=small} = 16384
             pg_sequence_used_ratio{sequencename=down} = 0.25
             pg_sequence_remaining_values{sequencename=down} = 750
             pg_sequence_used_ratio{sequencename=fresh} = 0
             pg_sequence_remaining_values{sequencename=fresh} = 2147483647
             pg_sequence_last_value{sequencename=fresh} absent
             pg_sequence_used_ratio{sequencename=by_ten} = 0.51
             pg_sequence_remaining_values{sequencename=by_ten} = 49
             pg_sequence_remaining_values{sequencename=by_ten_fresh} = 100
             pg_sequence_used_ratio{sequencename=negative} = 0.5
             pg_sequence_remaining_values{sequencename=negative} = 500
             pg_sequence_used_ratio{sequencename=set_back} = 0.49975012
             pg_sequence_remaining_values{sequencename=set_back} = 1001
             pg_sequence_used_ratio{sequencename=won_i_seq} < 0.000001
             pg_sequence_remaining_values{sequencename=won_i_seq} = 4294967295
             pg_sequence_used_ratio{sequencename=below} = 0.5
             pg_sequence_remaining_values{sequencename=below} = 500
             pg_sequence_used_ratio{sequencename=huge} = 1
             pg_sequence_remaining_values{sequencename=huge} = 0
             pg_sequence_used_ratio{sequencename=again} absent";
        expect(&server, &["sequences"], lines);
    }
}

/// Whether the column owns its sequence or only calls it: where the column is full nothing more can be written.
#[test]
fn sequences_are_full_where_their_columns_are() {
    for major in majors() {
        let server = server(major, "");
        server.sql("postgres", GRANTS);
        server.sql(
            "postgres",
            "CREATE SEQUENCE by_default; CREATE TABLE a (i int DEFAULT nextval('by_default')); SELECT setval('by_default', 2100000000);
             CREATE DOMAIN number AS int; CREATE DOMAIN id AS number CHECK (VALUE > 0);
             CREATE SEQUENCE by_domain; CREATE TABLE b (i id DEFAULT nextval('by_domain')); SELECT setval('by_domain', 2147483646);
             CREATE SEQUENCE two; CREATE TABLE c (i int DEFAULT nextval('two'), j smallint DEFAULT nextval('two'), k bigint DEFAULT nextval('two'));
             ALTER SEQUENCE two OWNED BY c.k; SELECT setval('two', 16384);
             CREATE TABLE counted (i smallint GENERATED BY DEFAULT AS IDENTITY (START 32766)); INSERT INTO counted DEFAULT VALUES;
             CREATE SEQUENCE parts; CREATE TABLE parted (i bigint DEFAULT nextval('parts'), k int) PARTITION BY LIST (k);
             CREATE TABLE part PARTITION OF parted DEFAULT; SELECT setval('parts', 1);
             CREATE SEQUENCE far START 2000000000; CREATE TABLE d (i int DEFAULT nextval('far'));
             CREATE SEQUENCE down INCREMENT -2; CREATE TABLE e (i smallint DEFAULT nextval('down')); SELECT setval('down', -16385);
             CREATE SEQUENCE beyond; CREATE TABLE f (i smallint DEFAULT nextval('beyond')); SELECT setval('beyond', 40000);
             CREATE SEQUENCE never START 40000; CREATE TABLE g (i smallint DEFAULT nextval('never'));
             CREATE DOMAIN amount AS numeric(6, 2); CREATE SEQUENCE digits; SELECT setval('digits', 5000);
             CREATE TABLE h (i numeric(10) DEFAULT nextval('digits'), j amount DEFAULT nextval('digits'), k numeric DEFAULT nextval('digits'));
             CREATE SEQUENCE sharded; SELECT setval('sharded', 40000);
             CREATE TABLE s (i smallint DEFAULT nextval('sharded') % 10, j smallint DEFAULT greatest(nextval('sharded') / 1000, 1),
                             k smallint DEFAULT length(nextval('sharded')::text))",
        );
        let lines = "pg_sequence_remaining_values{sequencename=sharded} = 9223372036854735807
             pg_sequence_used_ratio{sequencename=by_default} = 0.97788870
             pg_sequence_remaining_values{sequencename=by_default} = 47483647
             pg_sequence_remaining_values{sequencename=by_domain} = 1
             pg_sequence_remaining_values{sequencename=two} = 16383
             pg_sequence_remaining_values{sequencename=counted_i_seq} = 1
             pg_sequence_remaining_values{sequencename=parts} = 9223372036854775806
             pg_sequence_used_ratio{sequencename=far} = 0
             pg_sequence_remaining_values{sequencename=far} = 147483648
             pg_sequence_remaining_values{sequencename=down} = 8191
             pg_sequence_used_ratio{sequencename=beyond} = 1
             pg_sequence_remaining_values{sequencename=beyond} = 0
             pg_sequence_used_ratio{sequencename=never} = 1
             pg_sequence_remaining_values{sequencename=never} = 0
             pg_sequence_remaining_values{sequencename=digits} = 4999";
        expect(&server, &["sequences"], lines);
    }
}

#[test]
fn partitions_without_an_end_have_none() {
    for major in majors() {
        let server = server(major, "");
        server.sql(
            "postgres",
            "CREATE TABLE endless (at date) PARTITION BY RANGE (at);
             CREATE TABLE endless1 PARTITION OF endless FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
             CREATE TABLE endless2 PARTITION OF endless FOR VALUES FROM ('2026-02-01') TO (MAXVALUE);
             CREATE TABLE listed (kind text) PARTITION BY LIST (kind);
             CREATE TABLE listed1 PARTITION OF listed FOR VALUES IN ('a');
             CREATE TABLE empty (at timestamptz) PARTITION BY RANGE (at);
             CREATE TABLE daily (at date) PARTITION BY RANGE (at);
             CREATE TABLE daily1 PARTITION OF daily FOR VALUES FROM (MINVALUE) TO ('2026-01-01');
             CREATE TABLE daily2 PARTITION OF daily FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
             CREATE TABLE daily3 PARTITION OF daily FOR VALUES FROM ('2026-02-01') TO ('2026-02-02');
             CREATE TABLE single (at date) PARTITION BY RANGE (at);
             CREATE TABLE single1 PARTITION OF single FOR VALUES FROM (MINVALUE) TO ('2026-01-01')",
        );
        let lines = "pg_partitioned_table_newest_width_seconds{relname=daily} = 86400
             pg_partitioned_table_newest_end_timestamp_seconds{relname=daily} = 1769990400
             pg_partitioned_table_oldest_start_timestamp_seconds{relname=daily} = 1767225600
             pg_partitioned_table_newest_width_seconds{relname=single} absent
             pg_partitioned_table_oldest_start_timestamp_seconds{relname=single} = 1767225600
             pg_partitioned_table_newest_width_seconds{relname=endless} absent
             pg_partitioned_table_partitions{relname=endless} = 2
             pg_partitioned_table_newest_end_timestamp_seconds{relname=endless} absent
             pg_partitioned_table_oldest_start_timestamp_seconds{relname=endless} = 1767225600
             pg_partitioned_table_default_rows{relname=endless} absent
             pg_partitioned_table_partitions{relname=listed} = 1
             pg_partitioned_table_newest_end_timestamp_seconds{relname=listed} absent
             pg_partitioned_table_partitions{relname=empty} = 0";
        expect(&server, &["partitions"], lines);
    }
}

/// Of 120 MB half is deleted: before a vacuum the space is dead, after it free.
#[test]
fn dead_and_free_space_are_measured_apart() {
    for major in majors() {
        let server = server(major, "max_wal_size = 1GB");
        server.sql(
            "postgres",
            "CREATE EXTENSION pgstattuple; CREATE UNLOGGED TABLE large (i int, filler text); ALTER TABLE large ALTER filler SET STORAGE PLAIN;
             INSERT INTO large SELECT g, repeat('x', 2000) FROM generate_series(1, 60000) g; CREATE TABLE small AS SELECT 1 AS i;
             DELETE FROM large WHERE i % 2 = 0; ANALYZE large",
        );
        let size = server.sql("postgres", "SELECT pg_relation_size('large')").parse::<f64>().expect("a number");
        let lines = format!(
            "pg_bloat_measured_size_bytes{{relname=large,toast=false}} = {size}
             pg_bloat_measured_dead_bytes{{relname=large}} >= {}
             pg_bloat_measured_free_bytes{{relname=large}} < {}
             pg_bloat_measured_size_bytes{{relname=small}} absent",
            0.45 * size,
            0.1 * size
        );
        expect(&server, &["bloat_measured"], &lines);
        server.sql("postgres", "VACUUM large");
        let text = look(&server, &["bloat_measured"]);
        let share = |what: &str| {
            sample(&text, &format!("pg_bloat_measured_{what}_bytes"), &[("relname", "large")]).map(|bytes| bytes / size)
        };
        let (dead, free) = (share("dead").expect("dead space"), share("free").expect("free space"));
        assert!(dead < 0.01 && (0.4..0.6).contains(&free), "{major}: dead {dead}, free {free}");
    }
}
