//! Healthy systems that have nothing to do: of all shipped alerts only the heartbeat comes.

use std::{collections::BTreeMap, fs, time::Duration};

use super::files;
use crate::support::{Folder, PgBouncer, Pgvigil, Postgres, Prometheus, Redis, eventually, majors, psql};

const BINARY: &str = env!("CARGO_BIN_EXE_pgvigil");

/// What is right to come, and why.
const EXPECTED: [(&str, &str); 1] = [("Watchdog", "it always fires")];

/// Silence is worth something where all this is 1: every target is seen, and a pool with a connection that nobody uses.
const KNOWN: [&str; 6] = [
    "pg_up",
    "pgbouncer_up",
    "redis_up",
    "pgvigil_disk_size_bytes > bool 0",
    "pgvigil_backup_restore_points",
    "(pgbouncer_pools_server_idle_connections + pgbouncer_pools_server_used_connections) / pgbouncer_pool_server_connections",
];

#[test]
fn idle_systems_are_silent() {
    let server = Postgres::builder(*majors().last().expect("at least one version")).start();
    server.create_monitor_role();
    let (pooler, redis) = (PgBouncer::start(&server, "transaction", ""), Redis::start(""));
    // What makes a pool with an idle server connection.
    psql::run(&mut pooler.psql("postgres", "postgres"), "SELECT 1").expect("a query through the pooler");
    let folder = Folder::new("quiet", "TERM");
    folder.write("orders.dump", "a backup");
    let dumps = folder.path().join("*.dump");
    let targets = [
        format!("{{name: server, postgres: {{url: \"{}\"}}}}", server.url("pgvigil", "postgres")),
        format!("{{name: pooler, pgbouncer: {{url: \"{}\"}}}}", pooler.url("pgvigil", "pgbouncer")),
        format!("{{name: cache, redis: {{url: \"{}\"}}}}", redis.url()),
        "{name: disk, disk: {paths: [{name: memory, path: /dev/shm}]}}".to_owned(),
        format!(
            "{{name: backups, backup: {{repositories: [{{name: dumps, tool: files, pattern: \"{}\"}}]}}}}",
            dumps.display()
        ),
    ];
    let config = folder.write("pgvigil.yaml", &format!("targets: [{}]\n", targets.join(",\n")));
    let pgvigil = Pgvigil::start(BINARY, &["--config", &config.display().to_string()], &[]);
    let job = "job_name: pgvigil, scrape_interval: 2s, scrape_timeout: 2s";
    let jobs = format!("  - {{{job}, static_configs: [{{targets: [\"{}\"]}}]}}\n", pgvigil.address());
    let prometheus = Prometheus::start(&format!("{jobs}rule_files: [{}]", rule_files()));

    let scrapes = || prometheus.value("count_over_time(pg_up[1m])").unwrap_or_default();
    eventually(Duration::from_secs(60), "ten scrapes", || scrapes() >= 10.0);
    for known in KNOWN {
        assert_eq!(prometheus.value(known), Some(1.0), "{known}\n{}", pgvigil.stderr());
    }
    let mut alerts = alerts(&prometheus);
    for (alert, why) in EXPECTED {
        assert!(alerts.remove(alert).is_some(), "{alert} should be there: {why}");
    }
    assert!(alerts.is_empty(), "on idle systems there are {alerts:#?}");
}

/// The paths of the rule files, as a YAML list's items.
fn rule_files() -> String {
    let folder = fs::canonicalize("rules").expect("rules");
    let paths: Vec<_> = files::trees("rules").iter().map(|(file, _)| folder.join(file).display().to_string()).collect();
    paths.join(", ")
}

/// Alerts that are pending or firing, with their labels.
fn alerts(prometheus: &Prometheus) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for sample in prometheus.query("ALERTS").as_array().into_iter().flatten() {
        let name = sample["metric"]["alertname"].as_str().unwrap_or_default();
        all.entry(name.to_owned()).or_default().push(sample["metric"].to_string());
    }
    all
}
