//! Every shipped collector on a primary and a replica of each version: what is on, what is off and why, what the page says.

use std::{
    collections::BTreeSet,
    io::Write,
    process::{Command, Stdio},
    time::Duration,
};

use pgvigil::collector::catalogue::Catalogue;
use serde_json::Value;

use crate::support::{Pgvigil, Postgres, eventually, majors, page, prometheus, sample};

const BINARY: &str = env!("CARGO_BIN_EXE_pgvigil");

/// A primary with what the collectors need, and the settings for it and its replica.
fn cluster(major: u32) -> (Postgres, Postgres, String) {
    let primary = Postgres::builder(major).start();
    primary.create_monitor_role();
    for extension in ["pg_stat_statements", "pg_buffercache", "pgstattuple"] {
        primary.sql("postgres", &format!("CREATE EXTENSION {extension}"));
    }
    let replica = primary.replica();
    let target = |name, server: &Postgres| {
        format!(
            "  - {{name: {name}, labels: {{cluster: c}}, postgres: {{url: \"{}\"}}}}\n",
            server.url("pgvigil", "postgres")
        )
    };
    let all = "collectors: {statement_texts: {enabled: true}}\n";
    let settings = format!("targets:\n{}{}{all}", target("primary", &primary), target("replica", &replica));
    (primary, replica, settings)
}

fn watch(settings: &str) -> Pgvigil {
    let folder = crate::support::Folder::new("settings", "TERM");
    let file = folder.write("pgvigil.yaml", settings);
    Pgvigil::start(BINARY, &["--config", &file.display().to_string()], &[])
}

/// What is skipped on a server of this version with everything installed: nothing but what it cannot have.
fn expected_skips(major: u32, target: &str) -> BTreeSet<(&'static str, &'static str)> {
    let mut skips = BTreeSet::new();
    if target == "replica" {
        skips.extend(
            ["bloat", "bloat_measured", "index_verdicts", "sequences", "vacuum_tables"]
                .map(|collector| (collector, "role")),
        );
    } else {
        skips.insert(("replica_indexes", "role"));
    }
    if major < 18 {
        skips.insert(("tables", "version"));
    }
    if major < 16 {
        skips.extend([("buffers", "version"), ("cache", "version")]);
    }
    if major < 14 {
        skips.extend(["replication", "slow_queries", "wal"].map(|collector| (collector, "version")));
    }
    skips
}

#[test]
fn every_collector_runs_on_every_version_in_both_roles() {
    let catalogue = Catalogue::load(None).expect("the shipped collectors are right");
    for major in majors() {
        let (_primary, _replica, settings) = cluster(major);
        let pgvigil = watch(&settings);
        let text = pgvigil.scrape();
        for target in ["primary", "replica"] {
            assert_eq!(sample(&text, "pg_up", &[("target", target), ("cluster", "c")]), Some(1.0), "{major} {target}");
            let is_replica = f64::from(target == "replica");
            assert_eq!(sample(&text, "pg_replication_is_replica", &[("target", target)]), Some(is_replica));
            let mut skips = BTreeSet::new();
            for collector in catalogue.collectors.iter().filter(|collector| collector.source.is_sql()) {
                let labels = [("target", target), ("collector", collector.name.as_str())];
                let success = sample(&text, "pgvigil_collector_success", &labels);
                assert_eq!(success, Some(1.0), "{major} {labels:?}\n{}", pgvigil.stderr());
                for reason in ["role", "version", "extension", "undefined", "privilege", "setting"] {
                    let labels = [labels[0], labels[1], ("reason", reason)];
                    if sample(&text, "pgvigil_collector_skipped", &labels).is_some() {
                        skips.insert((collector.name.as_str(), reason));
                    }
                }
            }
            assert_eq!(skips, expected_skips(major, target), "{major} {target}\n{}", pgvigil.stderr());
        }
        for dropped in ["pgvigil_rows_dropped_total", "pgvigil_rows_duplicate_total", "pgvigil_values_invalid_total"] {
            assert!(page::samples(&text, dropped, &[]).iter().all(|count| *count == 0.0), "{major} {dropped}");
        }
        println!("PostgreSQL {major}: {} samples", page::count(&text));
        complaints_are_only_of_ecosystem_names(&catalogue, &text);
    }
}

/// What needs something to happen before it is there to see.
#[test]
fn what_happens_on_the_server_is_shown() {
    for major in majors() {
        let server = Postgres::builder(major)
            .config("archive_mode = on\narchive_command = 'false'\nmax_prepared_transactions = 2")
            .config("synchronous_standby_names = 'ANY 2 (one, two, three)'\nsynchronous_commit = local")
            .start();
        server.create_monitor_role();
        server.sql(
            "postgres",
            "CREATE ROLE app LOGIN CONNECTION LIMIT 7 VALID UNTIL '2031-01-01 00:00+00';
             CREATE TABLE t AS SELECT 1 AS id;
             ALTER SYSTEM SET max_connections = 77;
             ALTER SYSTEM SET log_min_duration_statement = '250ms';
             SELECT pg_reload_conf();
             SELECT pg_switch_wal();
             BEGIN; SELECT txid_current(); PREPARE TRANSACTION 'left';
             CREATE SUBSCRIPTION s CONNECTION 'dbname=none' PUBLICATION p WITH (connect = false)",
        );
        let mut reader = server.session("postgres");
        reader.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM t;");
        server.sql("postgres", "SELECT txid_current()");
        let mut builder = server.session("postgres");
        builder.send("CREATE INDEX CONCURRENTLY ON t (id);");
        let building = "SELECT count(*) FROM pg_stat_progress_create_index WHERE phase = 'waiting for old snapshots'";
        server.until("postgres", building, "1");
        let failed = "SELECT failed_count > 0 FROM pg_stat_archiver";
        server.until("postgres", failed, "t");

        let pgvigil = Pgvigil::start(BINARY, &[], &[("PGVIGIL_POSTGRES_URL", &server.url("pgvigil", "postgres"))]);
        let text = pgvigil.scrape();
        for (name, labels, least) in [
            ("pg_archive_waiting_files", [("", ""); 2], 1.0),
            ("pg_stat_archiver_failed_count", [("", ""); 2], 1.0),
            ("pg_synchronous_standbys_wanted", [("", ""); 2], 2.0),
            ("pg_replication_timeline", [("", ""); 2], 1.0),
            ("pg_settings_pending_restart", [("name", "max_connections"), ("", "")], 1.0),
            ("pg_settings_changed", [("name", "log_min_duration_statement"), ("", "")], 1.0),
            ("pg_settings_log_min_duration_statement_seconds", [("", ""); 2], 0.25),
            ("pg_settings_word", [("name", "archive_mode"), ("setting", "on")], 1.0),
            ("pg_xmin_horizon_age_transactions", [("holder", "session"), ("", "")], 1.0),
            ("pg_xmin_horizon_age_transactions", [("holder", "prepared_transaction"), ("", "")], 1.0),
            ("pg_roles_connection_limit", [("rolname", "app"), ("", "")], 7.0),
            ("pg_roles_password_expiry_timestamp_seconds", [("rolname", "app"), ("", "")], 1_924_992_000.0),
            ("pg_stat_progress_lockers", [("command", "CREATE INDEX CONCURRENTLY"), ("relname", "t")], 1.0),
            ("pg_wal_position_bytes_total", [("", ""); 2], 16_777_216.0),
        ] {
            let labels: Vec<_> = labels.into_iter().filter(|(label, _)| !label.is_empty()).collect();
            let value = sample(&text, name, &labels).unwrap_or(-1.0);
            assert!(value >= least, "{major}: {name}{labels:?} is {value}\n{}", pgvigil.stderr());
        }
        assert_eq!(sample(&text, "pg_synchronous_standbys", &[]), Some(0.0), "{major}");
        assert_eq!(
            sample(&text, "pg_stat_subscription_enabled", &[("subname", "s"), ("datname", "postgres")]),
            Some(0.0)
        );
        assert_eq!(sample(&text, "pg_settings_statement_timeout_seconds", &[]), Some(0.0), "ours is not the server's");
    }
}

#[test]
fn applications_beyond_the_busiest_are_one() {
    let server = Postgres::builder(15).start();
    server.create_monitor_role();
    let mut sessions: Vec<_> = (0..45).map(|_| server.session("postgres")).collect();
    for (nth, session) in sessions.iter_mut().enumerate() {
        session.run(&format!("SET application_name = 'app {nth:02}';"));
    }
    let pgvigil = Pgvigil::start(BINARY, &[], &[("PGVIGIL_POSTGRES_URL", &server.url("pgvigil", "postgres"))]);
    let text = pgvigil.scrape();
    let counted = page::samples(&text, "pg_stat_activity_count", &[("usename", "postgres")]);
    assert_eq!(counted.iter().sum::<f64>(), 45.0, "none is lost");
    let folded = page::samples(&text, "pg_stat_activity_count", &[("application_name", "(other)")]);
    assert!(folded.iter().sum::<f64>() >= 5.0, "{folded:?}");
    assert!(sample(&text, "pg_stat_activity_applications", &[]) >= Some(45.0));
}

fn complaints_are_only_of_ecosystem_names(catalogue: &Catalogue, text: &str) {
    let output = prometheus::promtool_check_metrics(text);
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    let queries = catalogue.collectors.iter().flat_map(|collector| &collector.queries);
    let ecosystem: BTreeSet<_> =
        queries.flat_map(|q| &q.metrics).filter(|m| m.def.ecosystem).map(|m| m.def.name.as_str()).collect();
    for line in complaints.lines() {
        let name = line.split(' ').next().unwrap_or_default();
        assert!(ecosystem.contains(name), "promtool: {line}");
    }
}

#[test]
fn check_connect_says_what_is_on_and_what_is_missing() {
    let major = *majors().last().expect("at least one version");
    let server = Postgres::builder(major).start();
    server.create_role("bare", "");
    let run = |role: &str| {
        let mut command = Command::new(BINARY);
        command
            .args(["check", "--connect", "--verbose"])
            .env_clear()
            .env("PGVIGIL_POSTGRES_URL", server.url(role, "postgres"));
        let output = command.output().expect("running pgvigil check");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, said) = run("bare");
    assert_eq!(code, Some(0), "{said}");
    for wanted in [
        "run GRANT pg_monitor TO \"bare\";",
        "off        slow_queries: query statements: extension pg_stat_statements is not installed: its library must be",
        "(extension); run CREATE EXTENSION pg_stat_statements; in database postgres",
        "on         server: 1 row\n",
    ] {
        assert!(said.contains(wanted), "{wanted:?} is missing in:\n{said}");
    }
    let (code, said) = run("nobody");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("down: ") && said.contains("(authentication)"), "{said}");
}

#[test]
fn settings_may_come_through_a_pipe() {
    let text = "targets: [{name: t, postgres: {url: \"postgresql://me@127.0.0.1:1/db\"}}]\n";
    let mut command = Command::new(BINARY);
    command.args(["check", "--config", "/dev/stdin"]).env_clear().stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut check = command.spawn().expect("running pgvigil check");
    check.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("writing the settings");
    let output = check.wait_with_output().expect("the output of check");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("targets: 1; no problem found"), "{said}");
}

#[test]
fn health_and_readiness() {
    let server = Postgres::builder(15).start();
    server.create_monitor_role();
    let pgvigil = Pgvigil::start(BINARY, &[], &[("PGVIGIL_POSTGRES_URL", &server.url("pgvigil", "postgres"))]);
    let json = |path: &str| {
        let answer = pgvigil.get(path, &[]);
        (answer.status, serde_json::from_slice::<Value>(&answer.body).expect("JSON"))
    };
    let (status, health) = json("/health");
    assert_eq!((status, &health["targets"][0]["up"]), (200, &Value::Bool(true)), "{health}");
    server.stop(crate::support::Stop::Fast);
    eventually(Duration::from_secs(5), "health notices", || json("/health").0 == 503);
    let (status, ready) = json("/readyz");
    assert_eq!((status, &ready["ready"], &ready["targets"][0]["up"]), (200, &true.into(), &false.into()), "{ready}");
    for (path, status) in
        [("/healthz", 200), ("/", 200), ("/nothing", 404), ("/metrics?target=x", 400), ("/metrics?collector=x", 400)]
    {
        assert_eq!(pgvigil.get(path, &[]).status, status, "{path}");
    }
}
