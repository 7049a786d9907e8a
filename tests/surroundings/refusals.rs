//! Databases that let nobody in, or not us: no collector fails for them, the reason is told, and they are left alone for a while.

use std::fs;

use crate::support::{Folder, Pgvigil, Postgres, majors, page, sample};

use super::{check, watch};

/// Databases, how each is closed, and the reason that is told.
const CLOSED: [(&str, &str, &str); 6] = [
    ("half_dropped", "UPDATE pg_database SET datconnlimit = -2 WHERE datname = 'half_dropped'", "invalid"),
    ("without_connections", "ALTER DATABASE without_connections CONNECTION LIMIT 0", "connection_limit"),
    ("not_allowed", "ALTER DATABASE not_allowed ALLOW_CONNECTIONS false", "not_allowed"),
    ("revoked", "REVOKE CONNECT ON DATABASE revoked FROM PUBLIC", "privilege"),
    ("full", "ALTER DATABASE \"full\" CONNECTION LIMIT 1", "refused"),
    ("by_hba", "", "refused"),
];

/// A server with all of them, and one that is open.
fn server(major: u32) -> Postgres {
    let server = Postgres::builder(major).start();
    server.create_monitor_role();
    let hba = server.data_dir().join("pg_hba.conf");
    let lines = fs::read_to_string(&hba).expect("pg_hba.conf");
    fs::write(&hba, format!("host by_hba,by_hba_too pgvigil 127.0.0.1/32 reject\n{lines}"))
        .expect("writing pg_hba.conf");
    server.sql("postgres", "SELECT pg_reload_conf(); CREATE DATABASE open");
    for (name, sql, _) in CLOSED {
        server.sql("postgres", &format!("CREATE DATABASE \"{name}\"; {sql}"));
    }
    server
}

#[test]
fn p24_a_database_that_lets_us_not_in_is_skipped_with_its_reason() {
    for major in majors() {
        let server = server(major);
        let mut other = server.session("full");
        other.run("SELECT 1;");
        // A session of its owner's, as the limit does not hold for a superuser, who is counted all the same.
        let url = server.url("pgvigil", "postgres");
        let pgvigil = watch(&url, "");
        let mut text = String::new();
        for _ in 0..4 {
            text = pgvigil.scrape();
        }
        for (name, _, reason) in CLOSED {
            let skipped = page::samples(&text, "pgvigil_database_skipped", &[("datname", name), ("reason", reason)]);
            assert_eq!(skipped, [1.0], "{major}: {name}\n{}", pgvigil.stderr());
        }
        assert_eq!(page::samples(&text, "pgvigil_database_skipped", &[]).len(), CLOSED.len(), "{major}");
        let failed: Vec<_> =
            text.lines().filter(|line| line.starts_with("pgvigil_collector_success") && line.ends_with(" 0")).collect();
        assert_eq!(failed, [""; 0], "{major}\n{}", pgvigil.stderr());
        assert!(sample(&text, "pg_tables_without_primary_key", &[("datname", "open")]).is_some(), "{major}");
        let refused = server.log().lines().filter(|line| line.contains("FATAL")).count();
        assert!(refused <= 2, "{major}: {refused} lines\n{}", server.log());
        let (code, told) = check(&url);
        assert_eq!(code, Some(0), "{told}");
        for (name, _, reason) in CLOSED {
            assert!(told.contains(&format!("  off        database {name} is skipped: ")), "{reason}: {told}");
        }
    }
}

/// Its own failure is told although others refuse our login.
#[test]
fn what_really_fails_is_not_hidden() {
    let server = server(*majors().last().expect("a version"));
    let mut holder = server.session("open");
    holder.run("BEGIN; LOCK pg_catalog.pg_class, pg_catalog.pg_attribute IN ACCESS EXCLUSIVE MODE;");
    let pgvigil = watch(&server.url("pgvigil", "postgres"), "");
    let text = pgvigil.scrape();
    assert_eq!(sample(&text, "pgvigil_collector_success", &[("collector", "tables")]), Some(0.0));
    assert_eq!(page::samples(&text, "pgvigil_database_skipped", &[("datname", "open")]), [0.0; 0]);
}

/// A role that may log in nowhere any more is no will of a database's.
#[test]
fn a_role_that_may_no_longer_log_in_is_a_failure() {
    let server = Postgres::builder(*majors().last().expect("a version")).start();
    server.create_monitor_role();
    server.sql("postgres", "CREATE DATABASE other");
    let more = "targets: [{name: t, postgres: {url: \"@\", databases: {include: [other]}}}]\n";
    let url = server.url("pgvigil", "postgres");
    let folder = Folder::new("surroundings", "TERM");
    let file = folder.write("pgvigil.yaml", &more.replace('@', &url));
    let pgvigil = Pgvigil::start(super::BINARY, &["--config", &file.display().to_string()], &[]);
    let quick = |name: &str| pgvigil.get(&format!("/metrics?collector={name}&collector=exporter"), &[]).text();
    assert_eq!(sample(&quick("server"), "pg_up", &[]), Some(1.0));
    server.sql("postgres", "ALTER ROLE pgvigil NOLOGIN");
    let text = quick("tables");
    assert_eq!(sample(&text, "pg_up", &[]), Some(1.0), "its session is kept\n{}", pgvigil.stderr());
    assert_eq!(
        sample(&text, "pgvigil_collector_success", &[("collector", "tables")]),
        Some(0.0),
        "{}",
        pgvigil.stderr()
    );
    assert_eq!(page::samples(&text, "pgvigil_database_skipped", &[]), [0.0; 0]);
}
