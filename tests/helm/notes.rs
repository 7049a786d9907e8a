//! What is said after an installation: what to do next, and no more than that.

use super::{CHART, ci, helm};

/// Values, what is said then, and what is not.
const SAID: [(&str, &[&str], &[&str]); 5] = [
    (
        "minimal",
        &[
            concat!("pgvigil ", env!("CARGO_PKG_VERSION"), " is x-pgvigil in shop"),
            "exec deployment/x-pgvigil -c pgvigil -- /pgvigil export grants",
            "helm test x -n shop",
            "port-forward service/x-pgvigil 9878:9878",
            "targets: [\"x-pgvigil.shop:9878\"]",
            "Install the alerts",
            "Install the dashboards",
            "without a restart",
        ],
        &["Note:"],
    ),
    (
        "everything",
        &[
            "port-forward service/x-vigil 9878:80",
            "helm test x -n shop",
            "serviceMonitor.labels must match",
            "Note: 3 pods",
        ],
        &["scrape_configs", "Install the alerts", "Install the dashboards", "password"],
    ),
    ("web", &["curl -s -k https://localhost:9878/metrics -u USER |"], &["helm test", "Note:"]),
    ("existing-secrets", &["podMonitor.labels must match", "-n monitoring"], &["Install the alerts", "Note:"]),
    ("no-operator", &["Note: 2 pods", "Install the alerts"], &["Install the dashboards", "without a restart"]),
];

/// Helm 3 asks a cluster for that, Helm 4 does not.
fn notes(values: &str, more: &[&str]) -> String {
    let values = ci(values);
    let arguments = ["install", "x", CHART, "--namespace", "shop", "--dry-run=client", "--values", &values];
    let output = helm(4, &[&arguments[..], more].concat());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (_, notes) = text.split_once("\nNOTES:\n").unwrap_or_else(|| panic!("{output:?}"));
    notes.to_owned()
}

#[test]
fn notes_say_what_to_do_next() {
    for (values, said, unsaid) in SAID {
        let notes = notes(values, &[]);
        said.iter().for_each(|part| assert!(notes.contains(part), "{values}, without {part:?}:\n{notes}"));
        unsaid.iter().for_each(|part| assert!(!notes.contains(part), "{values}, with {part:?}:\n{notes}"));
    }
    let notes = notes("minimal", &["--set", "config.targets[0].postgres.password=abc"]);
    assert!(notes.contains("config contains a password") && !notes.contains("abc"), "{notes}");
}
