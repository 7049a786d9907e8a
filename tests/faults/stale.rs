//! Promise 7: nothing on a page was true once and is not any more.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use crate::support::{Postgres, Stop, majors, page, together};

use super::{Scrape, collector, collectors, figure, is_long, millis, newest, server, watch};

#[test]
fn p07_a_stopped_servers_series_vanish() {
    let server = server(newest());
    let pgvigil = watch(&server, &[]);
    let up = Scrape::of(&pgvigil, None).expect_up(true, "before").of_server().len();
    server.stop(Stop::Immediate);
    let down = Scrape::of(&pgvigil, None).expect_up(false, "stopped");
    assert_eq!(down.of_server(), [""; 0]);
    figure(
        7,
        "series of the server while up, of pgvigil while it is down",
        format!("{up}, {}", page::count(&down.page)),
    );
}

#[test]
fn p07_a_dropped_databases_series_vanish_on_the_next_scrape() {
    for major in majors() {
        let server = server(major);
        server.sql("postgres", "CREATE DATABASE short_lived");
        let pgvigil = watch(&server, &[]);
        let before = Scrape::of(&pgvigil, None).page.matches("short_lived").count();
        assert!(before > 0);
        server.sql("postgres", "DROP DATABASE short_lived");
        let after = Scrape::of(&pgvigil, None);
        let left: Vec<_> = after.page.lines().filter(|line| line.contains("short_lived")).collect();
        assert_eq!(left, [""; 0], "PostgreSQL {major}");
        figure(
            7,
            &format!("PostgreSQL {major}, series of a database before and after its end"),
            format!("{before}, 0"),
        );
    }
}

#[test]
fn p07_the_role_flips_on_the_first_scrape_after_a_promotion() {
    let of_role = |role: &str| collector(role, &format!("role: {role}"), "SELECT 'a' AS kind, 1 AS value");
    let slow = collector("slow_replica", "role: replica\nttl: 1h", "SELECT 'a' AS kind, 1 AS value");
    let files = [("primary", of_role("primary")), ("replica", of_role("replica")), ("slow_replica", slow)];
    let folder = collectors(&files);
    for major in majors() {
        let primary = server(major);
        let replica = primary.replica();
        let pgvigil = watch(&replica, &["--collectors", &folder.path().display().to_string()]);
        let values = |scrape: &Scrape| {
            ["pg_replication_is_replica", "pg_test_primary", "pg_test_replica", "pg_test_slow_replica"]
                .map(|name| scrape.value(name, &[]))
        };
        for _ in 0..2 {
            assert_eq!(values(&Scrape::of(&pgvigil, None)), [Some(1.0), None, Some(1.0), Some(1.0)]);
        }
        replica.promote();
        let flipped = Scrape::of(&pgvigil, None);
        assert_eq!(values(&flipped), [Some(0.0), Some(1.0), None, None], "PostgreSQL {major}");
        figure(7, &format!("PostgreSQL {major}, the first scrape after a promotion"), format!("{:?}", flipped.took));
    }
}

#[test]
fn p07_null_is_no_series() {
    let sql = "VALUES ('null', NULL), ('number', 1), ('nan', 'NaN'::float8), ('old', 'infinity'::float8)";
    let folder = collectors(&[("holes", collector("holes", "", &format!("SELECT * FROM ({sql}) x (kind, value)")))]);
    let server = server(newest());
    let pgvigil = watch(&server, &["--collectors", &folder.path().display().to_string()]);
    let scrape = Scrape::of(&pgvigil, None);
    assert!(!scrape.page.contains("NaN"), "{}", scrape.page);
    let kinds = ["null", "number", "nan", "old"].map(|kind| scrape.value("pg_test_holes", &[("kind", kind)]));
    assert_eq!(kinds, [None, Some(1.0), None, Some(f64::INFINITY)], "{}", pgvigil.stderr());
}

#[test]
fn p07_a_slow_result_outlives_a_timeout_by_three_ttl_at_most() {
    const TTL: Duration = Duration::from_secs(1);
    let sql = "SELECT 'a' AS kind, count(*) AS value FROM public.locked";
    let folder = collectors(&[("slow", collector("slow", "ttl: 1s\ntimeout: 200ms", sql))]);
    let server = server(newest());
    server.sql("postgres", "CREATE TABLE locked (); GRANT SELECT ON locked TO pgvigil");
    let pgvigil = watch(&server, &["--collectors", &folder.path().display().to_string()]);
    let of_it: &[_] = &[("collector", "slow")];
    assert_eq!(Scrape::of(&pgvigil, None).value("pg_test_slow", &[]), Some(0.0));
    let mut lock = server.session("postgres");
    lock.run("BEGIN; LOCK TABLE locked IN ACCESS EXCLUSIVE MODE;");
    let (began, mut stood) = (Instant::now(), Duration::ZERO);
    loop {
        let scrape = Scrape::of(&pgvigil, None).expect_up(true, "beside a slow collector");
        let age = scrape.value("pgvigil_collector_result_age_seconds", of_it);
        if scrape.value("pg_test_slow", &[]).is_none() {
            assert_eq!(scrape.value("pgvigil_collector_success", of_it), Some(0.0));
            break;
        }
        assert!(age.is_some_and(|age| age <= 3.2 * TTL.as_secs_f64()), "age {age:?}");
        stood = began.elapsed();
        assert!(stood < 5 * TTL, "it stands for ever");
        millis(100);
    }
    assert!(stood > TTL, "one timeout took it away");
    figure(7, "a slow result with a ttl of 1 s stood after the lock", format!("{stood:?}"));
    lock.run("COMMIT;");
    millis(1500);
    Scrape::of(&pgvigil, None);
    millis(500);
    assert_eq!(Scrape::of(&pgvigil, None).value("pg_test_slow", &[]), Some(0.0), "it does not come back");
}

/// What makes counters begin anew.
type Reset = fn(&Postgres);

/// A counter may only rise or begin anew, and its series is there before and after.
#[test]
fn p07_counters_behave_over_resets_and_restarts() {
    const COUNTER: &str = "pg_stat_database_xact_commit";
    let resets: [(&str, Reset); 4] = [
        ("pg_stat_reset()", |server| _ = server.sql("postgres", "SELECT pg_stat_reset()")),
        ("pg_stat_statements_reset()", |server| _ = server.sql("postgres", "SELECT pg_stat_statements_reset()")),
        ("a restart", Postgres::restart),
        ("a crash", |server| {
            server.stop(Stop::Immediate);
            server.start();
        }),
    ];
    let scrapes = if is_long() { 50 } else { 10 };
    together(majors(), |major| {
        let server = server(major);
        let pgvigil = watch(&server, &[]);
        let of_database: &[_] = &[("datname", "postgres")];
        for (name, reset) in resets {
            (0..scrapes).for_each(|_| _ = Scrape::of(&pgvigil, None));
            let before = Scrape::of(&pgvigil, None);
            reset(&server);
            let after = Scrape::of(&pgvigil, None).expect_up(true, name);
            let values = [&before, &after].map(|scrape| scrape.value(COUNTER, of_database));
            assert!(values.iter().all(|value| value.is_some_and(|value| value >= 0.0)), "{name}: {values:?}");
            let negative = after.of_server().iter().any(|line| line.contains("_total{") && line.contains("} -"));
            assert!(!negative, "{name}: a negative counter");
            figure(7, &format!("PostgreSQL {major}, {COUNTER} before and after {name}"), format!("{values:?}"));
        }
    });
}

/// What a replica has counted goes on as it is a primary, and the next scrape of the one that died says so.
#[test]
fn p07_counters_behave_over_a_failover() {
    for major in majors() {
        let primary = server(major);
        let replica = primary.replica();
        let [of_primary, of_replica] = [&primary, &replica].map(|server| watch(server, &[]));
        primary.sql("postgres", "CREATE TABLE t AS SELECT generate_series(1, 1000) AS i");
        (0..3).for_each(|_| [&of_primary, &of_replica].iter().for_each(|pgvigil| _ = Scrape::of(pgvigil, None)));
        let before = Scrape::of(&of_replica, None).expect_up(true, "before");
        primary.stop(Stop::Immediate);
        replica.promote();
        let after = Scrape::of(&of_replica, None).expect_up(true, "promoted");
        assert_eq!(Scrape::of(&of_primary, None).expect_up(false, "dead").of_server(), [""; 0]);
        let counters: HashMap<_, _> = page::counters(&before.page).into_iter().collect();
        let is_lower = |(series, value): &(&str, f64)| counters.get(series).is_some_and(|before| value < before);
        let fell: Vec<_> = page::counters(&after.page).into_iter().filter(is_lower).collect();
        let were: Vec<_> = fell.iter().map(|(series, _)| counters.get(series)).collect();
        assert_eq!(fell, [], "PostgreSQL {major}: counters fell, from {were:?}");
        figure(7, &format!("PostgreSQL {major}, counters that went on over a failover"), counters.len());
    }
}
