//! Promise 4: a collector that fails takes no series of another with it, and says why.

use crate::support::{majors, sample};

use super::{Scrape, collector, collectors, figure, server, watch};

/// Each fails in its own way: name, more keys, SQL, the reason that is told, whether it is a failure or skipped.
const FAILING: [(&str, &str, &str, &str, bool); 8] = [
    ("asleep", "", "SELECT 'a' AS kind, 1 AS value FROM pg_sleep(5)", "timeout", true),
    ("asleep_slowly", "ttl: 1m\ntimeout: 1s", "SELECT 'a' AS kind, 1 AS value FROM pg_sleep(5)", "timeout", true),
    ("locked", "", "SELECT 'a' AS kind, count(*) AS value FROM public.locked", "lock_timeout", true),
    ("divides", "", "SELECT 'a' AS kind, 1 / (random() * 0)::int AS value", "query", true),
    ("writes", "", "SELECT 'a' AS kind, nextval('public.numbers') AS value", "query", true),
    ("odd", "", "SELECT 'a' AS kind, 'x' AS other", "columns", true),
    ("absent", "", "SELECT 'a' AS kind, 1 AS value FROM public.nothing", "undefined", false),
    ("forbidden", "", "SELECT 'a' AS kind, count(*) AS value FROM public.forbidden", "privilege", false),
];

#[test]
fn p04_a_failing_collector_takes_nothing_of_others() {
    let files = FAILING.map(|(name, head, sql, ..)| (name, collector(name, head, sql)));
    let folder = collectors(&files);
    for major in majors() {
        let server = server(major);
        server.sql("postgres", "CREATE TABLE locked (); CREATE TABLE forbidden (); CREATE SEQUENCE numbers");
        server.sql("postgres", "GRANT SELECT ON locked TO pgvigil; GRANT ALL ON numbers TO pgvigil");
        let healthy = Scrape::of(&watch(&server, &[]), None);
        let mut lock = server.session("postgres");
        lock.run("BEGIN; LOCK TABLE locked IN ACCESS EXCLUSIVE MODE;");
        let pgvigil = watch(&server, &["--collectors", &folder.path().display().to_string()]);
        for _ in 0..2 {
            let scrape = Scrape::of(&pgvigil, None).expect_up(true, "beside failing collectors");
            expect_reasons(&scrape);
            expect_names(&healthy, &scrape);
            figure(4, &format!("PostgreSQL {major}, {} failing", FAILING.len()), format!("{:?}", scrape.took));
        }
        // The server itself ended them.
        for said in ["canceling statement due to statement timeout", "canceling statement due to lock timeout"] {
            assert!(server.log().contains(said), "PostgreSQL {major}: {said}");
        }
        lock.run("COMMIT;");
        let scrape = Scrape::of(&pgvigil, None);
        assert_eq!(scrape.value("pg_test_locked", &[]), Some(0.0), "{}", scrape.own());
        assert_eq!(scrape.value("pgvigil_collector_success", &[("collector", "locked")]), Some(1.0));
    }
}

/// The columns of a type that is not built in, and whether they are read: nobody asks the server what the type is.
const OWN_TYPES: [(&str, &str, bool); 6] = [
    ("enum", "'high'::public.mood AS kind, 1 AS value", true),
    ("own_text", "'high'::public.citext AS kind, 1 AS value", true),
    ("domain", "'high'::public.word AS kind, 1::public.whole AS value", true),
    ("composite", "ROW(1, 'x')::public.pair AS kind, 1 AS value", false),
    ("map", "'a=>1'::public.hstore AS kind, 1 AS value", false),
    ("enums", "ARRAY['high']::public.mood[] AS kind, 1 AS value", false),
];

#[test]
fn p04_types_that_are_not_built_in_are_read_as_texts_or_told_of() {
    let files = OWN_TYPES.map(|(name, columns, _)| (name, collector(name, "", &format!("SELECT {columns}"))));
    let folder = collectors(&files);
    for major in majors() {
        let server = server(major);
        server.sql(
            "postgres",
            "CREATE TYPE mood AS ENUM ('low', 'high'); CREATE TYPE pair AS (a int, b text); CREATE DOMAIN word AS text; \
             CREATE DOMAIN whole AS int; CREATE EXTENSION citext; CREATE EXTENSION hstore",
        );
        let pgvigil = watch(&server, &["--collectors", &folder.path().display().to_string()]);
        let scrape = Scrape::of(&pgvigil, None).expect_up(true, "types of its own");
        for (name, _, is_read) in OWN_TYPES {
            let value = scrape.value(&format!("pg_test_{name}"), &[("kind", "high")]);
            assert_eq!(value, is_read.then_some(1.0), "PostgreSQL {major}, {name}: {}", scrape.own());
            let failed = [("collector", name), ("reason", "columns")];
            let failures = scrape.value("pgvigil_collector_failures_total", &failed);
            assert_eq!(failures, (!is_read).then_some(1.0), "PostgreSQL {major}, {name}");
        }
    }
}

fn expect_reasons(scrape: &Scrape) {
    for (name, _, _, reason, fails) in FAILING {
        let of_it: &[_] = &[("collector", name), ("reason", reason)];
        let told = if fails { "pgvigil_collector_failures_total" } else { "pgvigil_collector_skipped" };
        let count = sample(&scrape.page, told, of_it);
        assert!(count > Some(0.0), "{name} is not told with the reason {reason}:\n{}", scrape.page);
        let success = scrape.value("pgvigil_collector_success", &of_it[..1]);
        assert_eq!(success, Some(f64::from(u8::from(!fails))), "{name}");
        assert!(!scrape.page.contains(&format!("\npg_test_{name}{{")), "{name} gave a series");
    }
}

/// Metrics that a server always has, whatever happens to go on there.
const ALWAYS: [&str; 6] =
    ["pg_static", "pg_stat_database_", "pg_settings_", "pg_locks_", "pg_stat_bgwriter_", "pg_connections_"];

/// What `healthy` has and a server always has is there too, and every shipped collector succeeds.
fn expect_names(healthy: &Scrape, scrape: &Scrape) {
    let always = |line: &&str| ALWAYS.iter().any(|name| line.starts_with(&format!("# TYPE {name}")));
    for line in healthy.page.lines().filter(always) {
        assert!(scrape.page.contains(line), "{line} is gone");
    }
    for line in healthy.page.lines().filter(|line| line.starts_with("pgvigil_collector_success{")) {
        assert!(scrape.page.contains(line), "not so any more: {line}");
    }
}
