//! Healthy systems that have nothing to do: of all shipped alerts only the heartbeat comes.

use std::{collections::BTreeMap, fs, time::Duration};

use super::{files, systems::System};
use crate::support::{Generation, Pgvigil, Prometheus, eventually, majors};

/// What is right to come, and why.
const EXPECTED: [(&str, &str); 2] = [
    ("Watchdog", "it always fires"),
    ("PostgresFsyncOff", "the servers of tests have it off, which their people know"),
];

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
    let system = System::idle(*majors().last().expect("at least one version"));
    let pgvigil = &system.pgvigil;
    let job = "job_name: pgvigil, scrape_interval: 2s, scrape_timeout: 2s";
    let jobs = format!("  - {{{job}, static_configs: [{{targets: [\"{}\"]}}]}}\n", pgvigil.address());
    for generation in Generation::tested() {
        let prometheus = Prometheus::start_with(*generation, &[], &format!("{jobs}rule_files: [{}]", rule_files()));
        expect_silence(&prometheus, pgvigil);
    }
}

/// All is seen, and of it nothing is said.
fn expect_silence(prometheus: &Prometheus, pgvigil: &Pgvigil) {
    let scrapes = || prometheus.value("count_over_time(pg_up[1m])").unwrap_or_default();
    eventually(Duration::from_secs(60), "ten scrapes", || scrapes() >= 10.0);
    for known in KNOWN {
        assert_eq!(prometheus.value(known), Some(1.0), "{known}\n{}", pgvigil.stderr());
    }
    let mut alerts = alerts(prometheus);
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
