//! The collector index_verdicts: what may not be judged; and without our functions, or with those of an administrator of our role.

use crate::support::{PASSWORD, Postgres, majors, psql};

use super::{GRANTS, expect, server};

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
    for major in majors().into_iter().filter(|major| *major >= 14) {
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
