//! What the page shows of a pooler under load.

use std::{collections::BTreeSet, ffi::OsStr, os::unix::ffi::OsStrExt};

use pgvigil::collector::{SourceKind, catalogue::Catalogue};

use super::{Load, PATIENCE, databases, run, scrape, server, watch};
use crate::support::{PgBouncer, Session, eventually, page, sample};

const SLEEP: &str = "SELECT pg_sleep(60);";

/// What PgBouncer 1.18 does not show.
const LATER: [&str; 12] = [
    "database_client_connections",
    "database_client_connections_limit",
    "paused",
    "stats_totals_binds_total",
    "stats_totals_client_parses_total",
    "stats_totals_server_assignments_total",
    "stats_totals_server_parses_total",
    "suspended",
    "user_client_connections",
    "user_client_connections_limit",
    "user_connections",
    "user_connections_limit",
];

/// Values of the pool of `shop` and `app`.
fn of_pool(page: &str, name: &str) -> Option<f64> {
    sample(page, &format!("pgbouncer_{name}"), &[("database", "shop"), ("user", "app")])
}

#[test]
fn a_pool_driven_into_waiting_shows_it() {
    let server = server();
    let shop = databases(&server, &["shop: pool_size=2 max_db_connections=5"]);
    let pooler = PgBouncer::start(&server, "transaction", &format!("max_client_conn = 40\n{shop}"));
    let pgvigil = watch(&pooler);
    let quick = Load::start(&pooler, "shop", 8, "SELECT 1;");
    let mut before = String::new();
    let total =
        |page: &str, name| sample(page, &format!("pgbouncer_stats_totals_{name}_total"), &[("database", "shop")]);
    eventually(PATIENCE, "clients have waited", || {
        before = scrape(&pgvigil);
        total(&before, "client_wait_seconds") > Some(0.0) && total(&before, "queries_pooled") > Some(100.0)
    });
    drop(quick);
    let _load = Load::start(&pooler, "shop", 8, SLEEP);
    let mut page = String::new();
    eventually(PATIENCE, "six of eight clients wait", || {
        page = scrape(&pgvigil);
        of_pool(&page, "pools_client_waiting_connections") == Some(6.0)
            && of_pool(&page, "pools_client_maxwait_seconds").is_some_and(|wait| wait > 1.0)
    });
    for (name, value) in [
        ("pools_server_active_connections", 2.0),
        ("pools_client_active_connections", 2.0),
        ("pool_server_connections", 2.0),
        ("pool_size", 2.0),
        ("pool_size_is_zero", 0.0),
        ("pool_reserve_size", 0.0),
    ] {
        assert_eq!(of_pool(&page, name), Some(value), "{name}\n{page}");
    }
    let of_database = |name| sample(&page, name, &[("database", "shop")]);
    assert_eq!(of_database("pgbouncer_database_connections"), Some(2.0));
    assert_eq!(of_database("pgbouncer_database_connections_limit"), Some(5.0));
    assert_eq!(sample(&page, "pgbouncer_used_clients", &[]), Some(9.0), "eight, and pgvigil");
    assert_eq!(sample(&page, "pgbouncer_config_max_client_connections", &[]), Some(40.0));
    for name in ["client_wait_seconds", "queries_pooled", "queries_duration_seconds", "received_bytes"] {
        assert!(total(&page, name) >= total(&before, name), "{name} has fallen\n{page}");
    }
    assert_eq!(sample(&page, "pgvigil_values_invalid_total", &[("collector", "pool")]), Some(0.0));
    everything_is_shown(&page);
    assert!(!pooler.log().contains("invalid command 'SHOW pools"), "{}", pooler.log());
    let told = pooler.log().matches("invalid command").count() / 2;
    assert_eq!(told, 1, "what this version does not have is asked once in a session:\n{}", pooler.log());
}

/// Every metric of the catalogue but what this version cannot have.
fn everything_is_shown(page: &str) {
    let catalogue = Catalogue::load(None).expect("the shipped collectors are right");
    let collectors = catalogue.collectors.iter().filter(|collector| collector.source == SourceKind::PgBouncer);
    let metrics = collectors.flat_map(|collector| &collector.queries).flat_map(|query| &query.metrics);
    let names: BTreeSet<_> = metrics.map(|metric| metric.def.name.as_str()).collect();
    let missing = names.iter().filter(|name| page::samples(page, name, &[]).is_empty());
    let missing: Vec<_> = missing.filter_map(|name| name.strip_prefix("pgbouncer_")).collect();
    assert_eq!(missing, LATER, "{page}");
    assert!(names.len() > 60);
}

#[test]
fn a_reserve_that_is_used_and_a_size_of_0() {
    let server = server();
    let entries = databases(&server, &["shop: pool_size=1 reserve_pool=1", "closed: pool_size=0"]);
    let pooler = PgBouncer::start(&server, "transaction", &format!("reserve_pool_timeout = 1\n{entries}"));
    let pgvigil = watch(&pooler);
    let _load = Load::start(&pooler, "shop", 3, SLEEP);
    eventually(PATIENCE, "a client has had enough of waiting", || {
        let page = scrape(&pgvigil);
        of_pool(&page, "pool_server_connections") == Some(2.0)
            && of_pool(&page, "pools_client_waiting_connections") == Some(1.0)
            && of_pool(&page, "pool_size") == Some(1.0)
            && of_pool(&page, "pool_reserve_size") == Some(1.0)
    });
    let _hanging = Load::start(&pooler, "closed", 2, SLEEP);
    eventually(PATIENCE, "clients hang", || {
        let page = scrape(&pgvigil);
        let closed = |name| sample(&page, name, &[("database", "closed")]);
        closed("pgbouncer_pools_client_waiting_connections").is_some_and(|waiting| waiting > 0.0)
            && closed("pgbouncer_pool_size_is_zero") == Some(1.0)
            && closed("pgbouncer_pool_size").is_none()
            && sample(&page, "pgbouncer_databases_pool_size", &[("name", "closed")]) == Some(0.0)
    });
}

#[test]
fn what_the_console_commands_do_is_shown_and_breaks_nothing() {
    let server = server();
    let entries = databases(&server, &["shop: pool_size=2", "other: pool_size=3"]);
    let mut pooler = PgBouncer::start(&server, "transaction", &entries);
    let pgvigil = watch(&pooler);
    let mut client = Session::open(&mut pooler.psql("app", "shop"));
    client.run("SELECT 1;");
    let state = |name, db| sample(&scrape(&pgvigil), &format!("pgbouncer_databases_{name}"), &[("name", db)]);
    for (command, name, value) in [
        ("PAUSE shop", "paused", 1.0),
        ("RESUME shop", "paused", 0.0),
        ("DISABLE shop", "disabled", 1.0),
        ("ENABLE shop", "disabled", 0.0),
    ] {
        pooler.console(command);
        assert_eq!((state(name, "shop"), state(name, "other")), (Some(value), Some(0.0)), "{command}");
    }
    pooler.console("PAUSE");
    client.send("SELECT 2;");
    eventually(PATIENCE, "a client waits", || {
        of_pool(&scrape(&pgvigil), "pools_client_waiting_connections") == Some(1.0)
    });
    pooler.console("RESUME");
    pooler.reconfigure("pool_size=2", "pool_size=4");
    assert_eq!(of_pool(&scrape(&pgvigil), "pool_size"), Some(4.0));
    pooler.console("SUSPEND");
    assert_eq!(sample(&scrape(&pgvigil), "pgbouncer_up", &[]), Some(1.0), "the session that is kept is answered");
    pooler.signal("USR2");
    drop(client);
    let asked = pooler.log().matches("invalid command").count();
    for _ in 0..3 {
        pooler.restart();
        let page = scrape(&pgvigil);
        assert_eq!(sample(&page, "pgbouncer_up", &[]), Some(1.0), "restarted between two scrapes\n{page}");
        assert_eq!(sample(&page, "pgvigil_sessions", &[]), Some(1.0));
        assert!(page.contains("collector=\"pool_state\",reason=\"version\""), "{page}");
    }
    let told = pooler.log().matches("invalid command").count();
    assert!(asked > 0, "this version lacks something");
    assert_eq!(told, asked, "nor is it asked again in another, as long as the version is the same:\n{}", pooler.log());
}

#[test]
fn a_name_of_any_bytes_is_left_out_and_counted() {
    let server = server();
    let pooler = PgBouncer::start(&server, "transaction", &databases(&server, &["shop: pool_size=2"]));
    let pgvigil = watch(&pooler);
    let odd = "ü\"\\ \u{1}";
    server.sql("postgres", &format!("CREATE DATABASE \"{}\" OWNER app", odd.replace('"', "\"\"")));
    let mut clients = ["shop", odd].map(|db| Session::open(&mut pooler.psql("app", db)));
    clients.iter_mut().for_each(|client| _ = client.run("SELECT 1;"));
    for name in [&b"a\xffb"[..], b"a\xfeb"] {
        // The server behind has no such database; the pooler takes it in first.
        let mut psql = pooler.psql("app", "template1");
        psql.env("PGCLIENTENCODING", "SQL_ASCII").arg("-d").arg(OsStr::from_bytes(name)).args(["-c", "SELECT 1"]);
        assert!(!psql.output().expect("running psql").status.success());
    }
    // It may forget a database that it took in by itself while the first client logs in; the next one brings it back.
    let mut page = String::new();
    eventually(PATIENCE, "the pools are shown", || {
        drop(Session::open(&mut pooler.psql("app", odd)).run("SELECT 1;"));
        page = scrape(&pgvigil);
        of_pool(&page, "pool_size") == Some(2.0)
            && sample(&page, "pgbouncer_pool_size", &[("database", odd)]) == Some(20.0)
    });
    let invalid = sample(&page, "pgvigil_values_invalid_total", &[("collector", "pool")]);
    assert!(invalid > Some(0.0), "{page}");
    assert!(!page.contains("NaN") && !page.contains("database=\"\""), "{page}");
    assert_eq!(sample(&page, "pgbouncer_up", &[]), Some(1.0));
}

#[test]
fn a_check_says_what_is_there_and_what_to_do() {
    let server = server();
    let pooler = PgBouncer::start(&server, "transaction", "");
    let told = run(&pooler.url("pgvigil", ""), &["check", "--connect", "--verbose"]);
    let lines =
        ["pgbouncer: PgBouncer 1.18", "on         pool: ", "on         pool_process: ", "off        pool_state: "];
    assert!(lines.iter().all(|line| told.contains(line)) && !told.contains("FAILED"), "{told}");
    let told = run(&pooler.url("app", ""), &["check", "--connect"]);
    assert!(told.contains("down: not allowed") && told.contains("add app to `stats_users`"), "{told}");
    assert!(!pooler.log().contains("unexpected eof"), "{}", pooler.log());
}
