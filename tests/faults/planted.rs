//! Promise 10: what a database's owner plants in it never runs as the monitoring role.
//!
//! `planted.sql` has something for every name of the catalogue; each tells the server's log who ran it.

use std::process::Command;

use crate::support::{GRANTS, PgBouncer, Pgvigil, Postgres, majors, psql, sample};

use super::{Scrape, collector, collectors, figure, millis, newest, watch_url};

const PLANTED: &str = include_str!("planted.sql");

/// Each runs something planted, of a kind of its own, once the search path is the owner's.
const BAITS: [(&str, &str); 6] = [
    ("function now", "SELECT now()"),
    ("operator =(oid, oid)", "SELECT FROM pg_catalog.pg_class WHERE oid = 1::pg_catalog.oid LIMIT 1"),
    ("view pg_stat_activity", "SELECT * FROM pg_stat_activity"),
    ("type text", "SELECT 'a'::text"),
    ("pgstattuple_approx(oid)", "SELECT pgstattuple_approx(1::pg_catalog.oid)"),
    ("aggregate", "SELECT sum(n) FROM pg_catalog.generate_series(1::pg_catalog.int8, 2) n"),
];

/// A server with two databases of the role `owner`, both from a template that is full of plants: `app`, where the schema of
/// the monitoring role's name is the owner's own, and `granted`, where it is what `export grants` makes.
fn server(major: u32) -> Postgres {
    let server = Postgres::builder(major).start();
    server.create_monitor_role();
    server.create_role("owner", "CREATEDB");
    server.sql(
        "template1",
        "CREATE EXTENSION pg_stat_statements; CREATE EXTENSION pgstattuple; CREATE EXTENSION pg_buffercache;
         GRANT ALL ON SCHEMA public TO owner; GRANT CREATE ON DATABASE template1 TO owner",
    );
    plant(&server, "template1", "public");
    for database in ["app", "granted"] {
        server.sql("postgres", &format!("CREATE DATABASE {database} OWNER owner"));
        as_owner(
            &server,
            database,
            &format!("ALTER DATABASE {database} SET search_path = public, pgvigil, pg_catalog"),
        );
        server.sql(database, "CREATE TABLE public.large AS SELECT FROM pg_catalog.generate_series(1, 10)");
        // Large enough to be measured, by what the catalogue says.
        server.sql(
            database,
            "UPDATE pg_catalog.pg_class SET relpages = 20000 WHERE relname OPERATOR(pg_catalog.=) 'large'",
        );
    }
    plant(&server, "app", "pgvigil");
    server
}

fn as_owner(server: &Postgres, database: &str, sql: &str) {
    let done = psql::run(&mut login(server, "owner", database), sql);
    done.unwrap_or_else(|error| panic!("{error}"));
}

fn login(server: &Postgres, user: &str, database: &str) -> Command {
    psql::psql("127.0.0.1", server.port(), user, database)
}

fn plant(server: &Postgres, database: &str, schema: &str) {
    as_owner(server, database, &format!("\\set in_schema {schema}\n{PLANTED}"));
    let functions = format!(
        "SELECT pg_catalog.count(*) FROM pg_catalog.pg_proc WHERE proowner = 'owner'::pg_catalog.regrole AND pronamespace = '{schema}'::pg_catalog.regnamespace"
    );
    let functions = server.sql(database, &format!("SET search_path = pg_catalog; {functions}"));
    assert!(functions.parse::<u32>().expect("a number") > 2000, "{functions} functions in {schema}");
}

/// What ran as this role, of all that has been logged.
fn ran_as(server: &Postgres, role: &str) -> Vec<String> {
    let log = server.log();
    log.lines()
        .filter(|line| line.contains("planted ") && line.ends_with(&format!(" ran as {role}")))
        .map(str::to_owned)
        .collect()
}

/// Scrapes until every collector has been asked everywhere, and gives the last page.
fn scrape_everything(pgvigil: &Pgvigil) -> Scrape {
    for _ in 0..60 {
        let scrape = Scrape::of(pgvigil, None).expect_up(true, "beside plants");
        let failed =
            scrape.page.lines().any(|line| line.starts_with("pgvigil_collector_success{") && line.ends_with(" 0"));
        let measured = ["app", "granted"].map(|name| [("datname", name), ("relname", "large")]);
        if !failed && measured.iter().all(|labels| scrape.value("pg_bloat_measured_size_bytes", labels).is_some()) {
            return scrape;
        }
        millis(500);
    }
    panic!("not everything is asked:\n{}\n{}", Scrape::of(pgvigil, None).own(), pgvigil.stderr());
}

#[test]
fn p10_what_an_owner_plants_is_not_run() {
    for major in majors() {
        let server = server(major);
        server.sql("granted", GRANTS);
        assert_eq!(ran_as(&server, "postgres"), [""; 0], "the grants were run by a superuser");
        // More than an owner may do.
        for place in ["", "IN DATABASE app", "IN DATABASE granted"] {
            server
                .sql("postgres", &format!("ALTER ROLE pgvigil {place} SET search_path = public, pgvigil, pg_catalog"));
        }
        let pooler = PgBouncer::start(&server, "transaction", "");
        for (mode, url, pooled) in
            [("direct", server.url("pgvigil", "app"), 0.0), ("pooled", pooler.url("pgvigil", "app"), 1.0)]
        {
            let scrape = scrape_everything(&watch_url(&url, &[]));
            assert_eq!(scrape.value("pgvigil_session_pooled", &[]), Some(pooled));
            let skipped = |collector| {
                sample(&scrape.page, "pgvigil_collector_skipped", &[("collector", collector), ("reason", "extension")])
            };
            // In `app` and nowhere else.
            assert_eq!((skipped("sequences"), skipped("slow_queries")), (Some(1.0), None), "{}", scrape.page);
            assert_eq!(ran_as(&server, "pgvigil"), [""; 0], "PostgreSQL {major}, {mode}");
            figure(10, &format!("PostgreSQL {major}, {mode}, series beside plants"), scrape.of_server().len());
        }
        for (what, sql) in BAITS {
            psql::run(&mut login(&server, "pgvigil", "app"), sql).ok();
            assert!(ran_as(&server, "pgvigil").iter().any(|line| line.contains(what)), "{what} is no bait: {sql}");
        }
    }
}

/// Whoever owns a schema may drop it with the extension that is in it, and put there what he likes.
#[test]
fn p10_an_extension_that_was_replaced_is_not_run() {
    for major in majors() {
        let server = Postgres::builder(major).start();
        server.create_monitor_role();
        server.create_role("owner", "");
        server.sql("postgres", "CREATE DATABASE app OWNER owner");
        server.sql("app", "CREATE SCHEMA ours AUTHORIZATION owner; CREATE EXTENSION pg_stat_statements SCHEMA ours; GRANT USAGE ON SCHEMA ours TO PUBLIC");
        let pgvigil = watch_url(&server.url("pgvigil", "app"), &[]);
        let entries = || Scrape::of(&pgvigil, None).expect_up(true, "before").value("pg_stat_statements_entries", &[]);
        assert!(entries().is_some(), "{}", Scrape::of(&pgvigil, None).page);
        let columns = server.sql("app", "SELECT string_agg(format('%I %s', attname, format_type(atttypid, NULL)), ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'ours.pg_stat_statements'::regclass AND attnum > 0");
        as_owner(
            &server,
            "app",
            &format!(
                "BEGIN; DROP SCHEMA ours CASCADE; CREATE SCHEMA ours; GRANT USAGE ON SCHEMA ours TO PUBLIC;
             CREATE FUNCTION ours.pg_stat_statements(showtext boolean) RETURNS TABLE ({columns}) LANGUAGE plpgsql
             AS 'BEGIN RAISE LOG ''planted function ran as %'', current_user; END'; COMMIT;"
            ),
        );
        (0..3).for_each(|_| _ = entries());
        assert_eq!(ran_as(&server, "pgvigil"), [""; 0], "PostgreSQL {major}");
    }
}

/// Behind a pooler the driver asks about a type that it does not know outside of our transaction, with operators as the session finds
/// them: what the role itself is given by the grants holds there.
#[test]
fn p10_a_type_of_the_users_own_is_looked_up_in_the_catalogue() {
    let server = server(newest());
    server.sql("app", "CREATE TYPE public.mood AS ENUM ('well')");
    let sql = "SELECT 'well'::public.mood AS kind, 1 AS value";
    let folder = collectors(&[("mood", collector("mood", "", sql))]);
    let pooler = PgBouncer::start(&server, "transaction", "");
    let pgvigil = watch_url(&pooler.url("pgvigil", "app"), &["--collectors", &folder.path().display().to_string()]);
    for _ in 0..3 {
        Scrape::of(&pgvigil, None).expect_up(true, "a type of the user's own");
    }
    assert_eq!(ran_as(&server, "pgvigil"), [""; 0], "{}", pgvigil.stderr());
}
