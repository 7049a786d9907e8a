//! Poolers that cannot do what we need, or not for all: said once, and with what would help.

use crate::support::{PgBouncer, Postgres, majors, page, sample};

use super::{check, watch};

fn server() -> Postgres {
    let server = Postgres::builder(*majors().last().expect("a version")).start();
    server.create_monitor_role();
    server
}

#[test]
fn a_pooler_in_statement_mode_is_named() {
    let server = server();
    let pooler = PgBouncer::start(&server, "statement", "");
    let url = pooler.url("pgvigil", "postgres");
    let (code, told) = check(&url);
    assert_eq!(code, Some(1), "{told}");
    assert!(
        told.contains("statement pooling mode") && told.contains("`pool_mode = transaction` for the user pgvigil"),
        "{told}"
    );
    let pgvigil = watch(&url, "");
    assert_eq!(sample(&pgvigil.scrape(), "pgvigil_target_down", &[("reason", "refused")]), Some(1.0));
    // As the remedy says.
    pooler.reconfigure(
        "pool_mode = statement\n",
        "pool_mode = statement\n[users]\npgvigil = pool_mode=transaction\n[pgbouncer]\n",
    );
    let text = pgvigil.scrape();
    assert_eq!(sample(&text, "pg_up", &[]), Some(1.0), "{}\n{}", pgvigil.stderr(), pooler.log());
}

/// Each refusal is two lines of its log. However many databases are visited, and however often, there is one.
#[test]
fn what_a_pooler_refuses_is_not_tried_again() {
    let server = server();
    (0..5).for_each(|number| drop(server.sql("postgres", &format!("CREATE DATABASE d{number}"))));
    let pooler = PgBouncer::start(&server, "transaction", "");
    let pgvigil = watch(&pooler.url("pgvigil", "postgres"), "");
    for _ in 0..5 {
        let text = pgvigil.scrape();
        assert_eq!(page::samples(&text, "pg_tables_without_primary_key", &[]).len(), 6, "{}", pgvigil.stderr());
    }
    let log = pooler.log();
    let refused = log.lines().filter(|line| line.contains("closing because: unsupported startup parameter")).count();
    assert_eq!(refused, 1, "{log}");
}

/// Databases that the pooler does not know are not there for us; those it knows are.
#[test]
fn databases_that_a_pooler_does_not_know_are_skipped() {
    let server = server();
    server.sql("postgres", "CREATE DATABASE unknown; CREATE DATABASE known");
    let mut pooler = PgBouncer::start(&server, "transaction", "");
    pooler.reconfigure("* = host", &format!("known = host=127.0.0.1 port={}\npostgres = host", server.port()));
    pooler.restart();
    let pgvigil = watch(&pooler.url("pgvigil", "postgres"), "");
    let text = pgvigil.scrape();
    assert_eq!(
        sample(&text, "pgvigil_database_skipped", &[("datname", "unknown"), ("reason", "refused")]),
        Some(1.0),
        "{}",
        pgvigil.stderr()
    );
    assert!(sample(&text, "pg_tables_without_primary_key", &[("datname", "known")]).is_some());
    let failed: Vec<_> =
        text.lines().filter(|line| line.starts_with("pgvigil_collector_success") && line.ends_with(" 0")).collect();
    assert_eq!(failed, [""; 0], "{}", pgvigil.stderr());
}

/// What the server behind refuses comes without its code: it is the database's will all the same.
#[test]
fn what_a_server_refuses_behind_a_pooler_is_skipped() {
    let server = server();
    server.sql("postgres", "CREATE DATABASE by_hba; CREATE DATABASE revoked; REVOKE CONNECT ON DATABASE revoked FROM PUBLIC; CREATE DATABASE open");
    let hba = server.data_dir().join("pg_hba.conf");
    let lines = std::fs::read_to_string(&hba).expect("pg_hba.conf");
    std::fs::write(&hba, format!("host by_hba pgvigil 127.0.0.1/32 reject\n{lines}")).expect("writing pg_hba.conf");
    server.sql("postgres", "SELECT pg_reload_conf()");
    let pooler = PgBouncer::start(&server, "transaction", "server_login_retry = 1");
    let pgvigil = watch(&pooler.url("pgvigil", "postgres"), "");
    let text = pgvigil.scrape();
    let skipped = [("datname", "by_hba"), ("reason", "refused")];
    assert_eq!(sample(&text, "pgvigil_database_skipped", &skipped), Some(1.0), "{}", pgvigil.stderr());
    assert!(sample(&text, "pg_tables_without_primary_key", &[("datname", "open")]).is_some());
    let failed: Vec<_> =
        text.lines().filter(|line| line.starts_with("pgvigil_collector_success") && line.ends_with(" 0")).collect();
    assert_eq!(failed, [""; 0], "{}", pgvigil.stderr());
}

/// A database's owner who gives our mark a value does not make a pooled session pass for one of ours.
#[test]
fn no_setting_of_a_database_passes_for_our_mark() {
    let server = server();
    server.create_role("app", "");
    for value in ["ours", "yes", "1"] {
        server.sql("postgres", &format!("ALTER DATABASE postgres SET pgvigil.session = '{value}'; ALTER DATABASE postgres SET pgvigil.replay = 'x'"));
        let pooler = PgBouncer::start(&server, "transaction", crate::support::pgbouncer::IGNORE_OPTIONS);
        let pgvigil = watch(&pooler.url("pgvigil", "postgres"), "");
        let text = pgvigil.scrape();
        assert_eq!(sample(&text, "pgvigil_session_pooled", &[]), Some(1.0), "{value}");
        assert_eq!(sample(&text, "pgvigil_collector_success", &[("collector", "replication")]), Some(1.0), "{value}");
        let ours = "SELECT current_setting('search_path') || current_setting('statement_timeout')";
        let mut session = crate::support::Session::open(&mut pooler.psql("pgvigil", "postgres"));
        assert!(!session.run(&format!("{ours};")).contains("1s"), "{value}");
    }
}
