//! The collector index_verdicts: what may not be judged; and without our functions, or with those of an administrator of our role.

use crate::support::{PASSWORD, Postgres, Stop, majors, majors_where, psql};

use super::{GRANTS, expect, expect_soon, server, until};

#[test]
fn what_differs_or_serves_is_not_judged() {
    for major in majors() {
        let server = server(major, "");
        server.sql(
            "postgres",
            "CREATE EXTENSION btree_gist;
             CREATE TABLE t (id int PRIMARY KEY, a int NOT NULL, b text, c text COLLATE \"C\", EXCLUDE USING gist (a WITH =));
             CREATE UNIQUE INDEX identity ON t (a); ALTER TABLE t REPLICA IDENTITY USING INDEX identity;
             CREATE INDEX plain ON t (b); CREATE INDEX pattern ON t (b text_pattern_ops); CREATE INDEX collated ON t (b COLLATE \"C\");
             CREATE INDEX partial ON t (b) WHERE a > 1; CREATE INDEX partial_other ON t (b) WHERE a > 2;
             CREATE INDEX partial_same ON t (b) WHERE a >  1; CREATE INDEX hashed ON t USING hash (b);
             CREATE INDEX including ON t (b) INCLUDE (c); CREATE TABLE twice (i int); INSERT INTO twice VALUES (1), (1);
             SELECT pg_stat_reset()",
        );
        assert!(server.try_sql("postgres", "CREATE UNIQUE INDEX CONCURRENTLY broken ON twice (i)").is_err());
        let lines = "pg_index_invalid_bytes{indexrelname=broken,relname=twice} there
             pg_indexes_invalid = 1
             pg_index_unused_bytes{indexrelname=broken} absent
             pg_index_duplicate_bytes{indexrelname=partial_same,of=partial} there
             pg_indexes_duplicate = 1
             pg_index_redundant_bytes{indexrelname=plain,of=including} there
             pg_indexes_redundant = 1
             pg_index_unused_bytes{indexrelname=t_pkey} absent
             pg_index_unused_bytes{indexrelname=t_a_excl} absent
             pg_index_unused_bytes{indexrelname=identity} absent
             pg_index_unused_bytes{indexrelname=hashed} there
             pg_index_unused_bytes{indexrelname=plain} there
             pg_index_statistics_reset_timestamp_seconds recent";
        expect(&server, &["index_verdicts"], lines);
    }
}

/// Pairs that look alike, and where dropping the one that is named would lose something: a constraint, the identity of rows, a finer grain.
#[test]
fn indexes_that_mean_different_things_are_no_duplicates() {
    for major in majors() {
        let server = server(major, "");
        server.sql(
            "postgres",
            "CREATE TABLE deferred (i int UNIQUE DEFERRABLE); CREATE UNIQUE INDEX at_once ON deferred (i);
             CREATE TABLE later (i int, CONSTRAINT when_asked UNIQUE (i) DEFERRABLE, CONSTRAINT at_commit UNIQUE (i) DEFERRABLE INITIALLY DEFERRED);
             CREATE TABLE ranges (at timestamptz); CREATE INDEX fine ON ranges USING brin (at) WITH (pages_per_range = 8);
             CREATE INDEX coarse ON ranges USING brin (at); CREATE INDEX coarse_too ON ranges USING brin (at);
             CREATE TABLE words (v tsvector); CREATE INDEX short ON words USING gist (v); CREATE INDEX long ON words USING gist (v tsvector_ops (siglen = 64));
             CREATE INDEX long_too ON words USING gist (v tsvector_ops (siglen = 64));
             CREATE TABLE times (r int4range, CONSTRAINT apart EXCLUDE USING gist (r WITH &&), CONSTRAINT unlike EXCLUDE USING gist (r WITH =));
             CREATE INDEX times_plain ON times USING gist (r);
             CREATE TABLE dense (i int); CREATE INDEX whole ON dense (i); CREATE INDEX half ON dense (i) WITH (fillfactor = 50, deduplicate_items = off);
             CREATE TABLE keyed (id int); CREATE UNIQUE INDEX before ON keyed (id); ALTER TABLE keyed ADD PRIMARY KEY (id);
             CREATE TABLE identified (id int PRIMARY KEY); CREATE UNIQUE INDEX identity ON identified (id);
             ALTER TABLE identified REPLICA IDENTITY USING INDEX identity;
             CREATE TABLE referenced (id int); CREATE UNIQUE INDEX wanted ON referenced (id); CREATE TABLE referring (id int REFERENCES referenced (id));
             ALTER TABLE referenced ADD PRIMARY KEY (id)",
        );
        if major >= 15 {
            let nulls = "CREATE TABLE nulls (i int); CREATE UNIQUE INDEX loose ON nulls (i); CREATE UNIQUE INDEX strict ON nulls (i) NULLS NOT DISTINCT";
            server.sql("postgres", nulls);
        }
        let lines = "pg_index_duplicate_bytes{indexrelname=coarse_too,of=coarse} there
             pg_index_duplicate_bytes{indexrelname=long_too,of=long} there
             pg_index_duplicate_bytes{indexrelname=times_plain,of=apart} there
             pg_index_duplicate_bytes{indexrelname=half,of=whole} there
             pg_index_duplicate_bytes{indexrelname=before,of=keyed_pkey} there
             pg_indexes_duplicate = 5
             pg_indexes_redundant = 0";
        expect(&server, &["index_verdicts"], lines);
    }
}

/// Whoever drops all that is named loses nothing that somebody needs: the last index of a foreign key, what stands in for another.
#[test]
fn what_is_named_can_go_together() {
    for major in majors() {
        let server = server(major, "");
        server.sql(
            "postgres",
            "CREATE EXTENSION btree_gist; CREATE TABLE parent (id int PRIMARY KEY, name text UNIQUE);
             CREATE TABLE kid (none int REFERENCES parent, two int REFERENCES parent, ranges int REFERENCES parent, hashed int REFERENCES parent,
                 tree int REFERENCES parent, collated text REFERENCES parent (name), pattern text REFERENCES parent (name));
             CREATE INDEX two_a ON kid (two) INCLUDE (none); CREATE INDEX two_b ON kid (two) INCLUDE (tree); CREATE INDEX ranged ON kid USING brin (ranges);
             CREATE INDEX hashed ON kid USING hash (hashed); CREATE INDEX tree ON kid USING gist (tree);
             CREATE INDEX collated ON kid (collated COLLATE \"POSIX\"); CREATE INDEX pattern ON kid (pattern text_pattern_ops);
             CREATE TABLE parted (i int, at int) PARTITION BY RANGE (at); CREATE TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (10);
             CREATE INDEX parted_i ON parted (i); ALTER TABLE part ADD FOREIGN KEY (i) REFERENCES parent;
             CREATE TABLE chain (a int, b int, c int); CREATE INDEX one ON chain (a); CREATE INDEX first_two ON chain (a, b);
             CREATE INDEX all_three ON chain (a, b, c); CREATE INDEX sum ON chain ((a + b)); CREATE INDEX alone ON chain (c)",
        );
        let lines = "pg_index_unused_bytes{indexrelname=two_a} absent
             pg_index_unused_bytes{indexrelname=two_b} there
             pg_index_unused_xid_age{indexrelname=two_b} < 100
             pg_index_unused_bytes{indexrelname=ranged} there
             pg_index_unused_bytes{indexrelname=hashed} absent
             pg_index_unused_bytes{indexrelname=tree} absent
             pg_index_unused_bytes{indexrelname=collated} there
             pg_index_unused_bytes{indexrelname=pattern} absent
             pg_index_unused_bytes{indexrelname=parted_i} absent
             pg_index_redundant_bytes{indexrelname=one,of=first_two} there
             pg_index_redundant_bytes{indexrelname=first_two,of=all_three} there
             pg_index_unused_bytes{indexrelname=one} there
             pg_index_unused_bytes{indexrelname=first_two} absent
             pg_index_unused_bytes{indexrelname=all_three} absent
             pg_index_unused_bytes{indexrelname=sum} absent
             pg_index_unused_bytes{indexrelname=alone} there
             pg_indexes_unused = 5
             pg_foreign_key_without_index_rows{constraint=kid_none_fkey} there
             pg_foreign_key_without_index_rows{constraint=kid_ranges_fkey} there
             pg_foreign_key_without_index_rows{constraint=kid_collated_fkey} there
             pg_foreign_keys_without_index = 3";
        expect(&server, &["index_verdicts"], lines);
        // Of those that serve a foreign key the one that is used stays.
        server.sql("postgres", "SET enable_seqscan = off; SELECT two, tree FROM kid WHERE two = 1");
        until(&server, "SELECT idx_scan > 0 FROM pg_stat_user_indexes WHERE indexrelname = 'two_b'");
        let lines = "pg_index_unused_bytes{indexrelname=two_a} there\npg_index_unused_bytes{indexrelname=two_b} absent";
        expect(&server, &["index_verdicts"], lines);
    }
}

/// A replica judges no index, but says which ones its own queries scan: with the labels that the primary's verdicts have.
#[test]
fn a_replica_says_what_it_scans() {
    for major in majors() {
        let primary = server(major, "");
        primary.sql(
            "postgres",
            "CREATE TABLE t (i int, at int) PARTITION BY RANGE (at); CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10);
             CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (10) TO (20); CREATE INDEX parted ON t (i);
             CREATE TABLE plain (i int, j int); CREATE INDEX read_there ON plain (i); CREATE INDEX idle ON plain (j)",
        );
        let replica = primary.replica();
        for sql in ["i FROM plain WHERE i = 1", "i FROM t WHERE i = 1"] {
            replica.sql("postgres", &format!("SET enable_seqscan = off; SET enable_bitmapscan = off; SELECT {sql}"));
        }
        let unused =
            "pg_index_unused_bytes{schemaname=public,relname=plain,indexrelname=read_there,datname=postgres} there
             pg_index_unused_bytes{schemaname=public,relname=t,indexrelname=parted} there
             pg_index_unused_bytes{schemaname=public,relname=plain,indexrelname=idle} there
             pg_index_replica_scans_total absent
             pgvigil_collector_skipped{collector=replica_indexes,reason=role} = 1";
        expect(&primary, &["index_verdicts", "replica_indexes"], unused);
        let scanned =
            "pg_index_replica_scans_total{schemaname=public,relname=plain,indexrelname=read_there,datname=postgres} = 1
             pg_index_replica_scans_total{schemaname=public,relname=t,indexrelname=parted} = 2
             pg_index_replica_scans_total{indexrelname=idle} absent
             pg_index_unused_bytes absent
             pg_table_without_primary_key_rows absent
             pgvigil_collector_skipped{collector=index_verdicts,reason=role} = 2";
        expect_soon(&replica, &["index_verdicts", "replica_indexes"], scanned);
    }
}

/// Nobody reset them, yet they do not reach back for ever: a crash loses them.
#[test]
fn statistics_begin_anew_after_a_crash() {
    for major in majors() {
        let server = server(major, "");
        let since = |server: &Postgres| {
            let page = super::look(server, &["index_verdicts"]);
            crate::support::sample(&page, "pg_index_statistics_reset_timestamp_seconds", &[("datname", "postgres")])
        };
        let before = since(&server).expect("since when statistics are kept");
        server.stop(Stop::Immediate);
        server.start();
        assert!(since(&server).expect("since when statistics are kept") > before, "{major}");
    }
}

#[test]
fn without_our_functions_it_says_so() {
    for major in majors() {
        let server = server(major, "");
        server.sql(
            "postgres",
            "DROP SCHEMA IF EXISTS pgvigil CASCADE; CREATE TABLE t AS SELECT g AS i FROM generate_series(1, 100000) g; CREATE SEQUENCE s; ANALYZE t",
        );
        let lines = "pgvigil_collector_skipped{collector=bloat,reason=extension} = 2
             pgvigil_collector_skipped{collector=sequences,reason=extension} = 1
             pgvigil_collector_skipped{collector=bloat_measured,reason=extension} = 1
             pg_bloat_table_bytes absent
             pg_sequence_used_ratio absent";
        expect(&server, &["bloat", "sequences", "bloat_measured"], lines);
    }
}

const SEEN: &str = "pg_bloat_table_ratio{relname=t} there\npg_sequence_used_ratio{sequencename=s} = 0.1";
const SKIPPED: &str =
    "pgvigil_collector_skipped{collector=sequences,reason=extension} = 1\npg_bloat_table_ratio absent";

/// As on a cloud, where nobody is superuser: who administers our role may install its functions, and nobody else.
#[test]
fn an_administrator_of_our_role_may_install_our_functions() {
    for major in majors_where(|major| major >= 14) {
        let server = super::Postgres::builder(major).config("autovacuum = off").start();
        server.create_role("admin", "CREATEROLE CREATEDB");
        server.sql(
            "postgres",
            "GRANT pg_monitor TO admin WITH ADMIN OPTION; GRANT ALL ON DATABASE postgres TO admin; ALTER SCHEMA public OWNER TO admin;
             CREATE TABLE t AS SELECT g AS i FROM generate_series(1, 100000) g; CREATE SEQUENCE s MAXVALUE 10; SELECT setval('s', 1); ANALYZE t",
        );
        if major >= 16 {
            server.sql("postgres", "GRANT pg_use_reserved_connections TO admin WITH ADMIN OPTION");
        }
        // Until it may read what they read, and administers our role, it is told what is missing; all before is done.
        let mut lacks = as_admin(&server).expect_err("no right to read");
        if major < 16 {
            assert!(lacks.contains("the admin option on pgvigil"), "{major}: {lacks}");
            server.sql("postgres", "GRANT pgvigil TO admin WITH ADMIN OPTION");
            lacks = as_admin(&server).expect_err("no right to read");
        }
        assert!(lacks.contains("pg_read_all_data"), "{major}: {lacks}");
        server.sql("postgres", &format!("ALTER ROLE pgvigil PASSWORD '{}'", PASSWORD.replace('\'', "''")));
        server.sql("postgres", "GRANT pg_read_all_data TO admin");
        expect(&server, &["bloat", "sequences"], SKIPPED);
        as_admin(&server).unwrap_or_else(|error| panic!("{major}: {error}"));
        as_admin(&server).unwrap_or_else(|error| panic!("{major}, again: {error}"));
        expect(&server, &["bloat", "sequences"], SEEN);
        // Once it administers our role no longer, nothing of its own runs.
        server.sql("postgres", "REVOKE pgvigil FROM admin CASCADE");
        server.sql("postgres", "GRANT pgvigil TO admin");
        expect(&server, &["bloat", "sequences"], SKIPPED);
    }
}

fn as_admin(server: &Postgres) -> Result<String, String> {
    psql::run(&mut psql::psql(server.socket_dir(), server.port(), "admin", "postgres"), GRANTS)
}
