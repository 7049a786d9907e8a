//! The alerts of the chart are those of rules/, but for what the values change; promtool takes them. The dashboards are those of dashboards/.

use std::{collections::BTreeMap, fs};

use serde_json::{Value, json};

use super::{CHART, ci, helm, object, objects, objects::there_are_dashboards, of_kind};
use crate::{
    rules::files::trees,
    support::{Folder, Generation, promtool},
};

const OWN: &str = "shop-metrics-pgvigil";

#[test]
fn rules_are_those_of_the_program() {
    let objects = objects(&ci("targets"), &[]);
    let files = trees("rules");
    assert_eq!(of_kind(&objects, "PrometheusRule").count(), files.len());
    for (file, root) in files {
        let rule = object(&objects, "PrometheusRule", &format!("{OWN}-{}", file.trim_end_matches(".yaml")));
        assert_eq!(rule["spec"], root, "{file}");
        assert_eq!(rule["metadata"]["labels"]["release"], "kube-prometheus-stack");
    }
}

#[test]
fn promtool_takes_the_rules_as_they_are_and_as_they_are_changed() {
    for values in ["targets", "existing-secrets", "everything"] {
        let (objects, folder) = (objects(&ci(values), &[]), Folder::new("rules", "TERM"));
        let mut files = Vec::new();
        for (number, rule) in of_kind(&objects, "PrometheusRule").enumerate() {
            files.push(folder.write(&format!("{number}.json"), &rule["spec"].to_string()).display().to_string());
        }
        assert!(files.len() > 5, "{values}");
        let arguments: Vec<_> = ["check", "rules"].into_iter().chain(files.iter().map(String::as_str)).collect();
        for &generation in Generation::tested() {
            let output = promtool(generation, &arguments, "");
            let complaint = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{values}, {generation:?}: {complaint}");
        }
    }
}

/// The alerts of some objects, by name and the severity they were written with.
fn alerts(objects: &[Value]) -> BTreeMap<(String, String), Value> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let groups = of_kind(objects, "PrometheusRule").flat_map(|rule| list(&rule["spec"]["groups"]));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let rules = groups.flat_map(|group| list(&group["rules"]));
    rules.map(|rule| ((text(&rule["alert"]), text(&rule["labels"]["severity"])), rule)).collect()
}

#[test]
fn each_alert_can_be_changed() {
    let (shipped, changed) = (alerts(&objects(&ci("targets"), &[])), alerts(&objects(&ci("everything"), &[])));
    let get = |alerts: &BTreeMap<_, Value>, name: &str, severity: &str| {
        alerts.get(&(name.to_owned(), severity.to_owned())).cloned()
    };
    let was = |name: &str, severity: &str| get(&shipped, name, severity).expect(name);
    for (name, severity, there) in [
        ("PostgresRestarted", "info", false),
        ("PostgresWraparound", "warning", false),
        ("PostgresWraparound", "critical", true),
        ("PostgresSequenceFilling", "warning", false),
        ("PostgresSequenceFilling", "critical", true),
        ("RedisDown", "critical", false),
    ] {
        was(name, severity);
        assert_eq!(get(&changed, name, severity).is_some(), there, "{name} {severity}");
    }
    let down = get(&changed, "PostgresDown", "page").expect("with another severity");
    assert_eq!(down["for"], "5m");
    assert_eq!(down["labels"], json!({"severity": "page", "team": "db", "source": "pgvigil"}));
    assert_eq!(down["annotations"]["note"], "call");
    assert_eq!(down["annotations"]["owner"], "storage");
    assert_eq!(down["annotations"]["runbook_url"], "https://wiki.example.com/runbooks/PostgresDown.md");
    let (link, old) = (&down["annotations"]["dashboard_url"], was("PostgresDown", "critical"));
    let old = old["annotations"]["dashboard_url"].as_str().expect("a link").to_owned();
    assert_eq!(*link, format!("https://grafana.example.com{old}"));
    let high = get(&changed, "PostgresWraparound", "critical").expect("the critical one");
    assert_eq!((&high["for"], &high["keep_firing_for"]), (&json!("1m"), &json!("10m")));
    assert!(get(&changed, "OutboxWaiting", "warning").is_some());
    for ((name, _), rule) in changed {
        let expr = rule["expr"].as_str().expect("an expression");
        assert!(!expr.contains("pgvigil.*"), "{name} looks for another job");
    }
}

#[test]
fn the_job_is_looked_for_under_the_name_of_the_release() {
    let alerts = alerts(&objects(&ci("existing-secrets"), &[]));
    let missing = &alerts[&("PgvigilMissing".to_owned(), "critical".to_owned())];
    let expr = missing["expr"].as_str().expect("an expression");
    assert!(expr.contains("up{job=~\".*(pgvigil|db-metrics).*\"} == 0\n"), "{expr}");
}

#[test]
fn dashboards_are_those_of_the_program() {
    let (simple, full) = (objects(&ci("no-operator"), &[]), objects(&ci("everything"), &[]));
    let entries = fs::read_dir("dashboards").expect("dashboards").flatten().map(|entry| entry.path());
    let boards: Vec<_> = entries.filter(|path| path.extension().is_some_and(|ending| ending == "json")).collect();
    for path in &boards {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let json = fs::read_to_string(path).expect("a dashboard");
        let map = object(&simple, "ConfigMap", &format!("{OWN}-dashboard-{name}"));
        assert_eq!(map["data"][format!("pgvigil-{name}.json")].as_str().map(str::trim), Some(json.trim()), "{name}");
        assert_eq!(map["metadata"]["labels"]["grafana_dashboard"], "1");
        assert_eq!(map["metadata"]["annotations"]["grafana_folder"], "Databases");
        assert!(json.len() < 1 << 20, "{name}: a ConfigMap holds 1 MiB");
        let resource = object(&full, "GrafanaDashboard", &format!("shop-metrics-vigil-{name}"));
        assert_eq!(resource["spec"]["json"].as_str().map(str::trim), Some(json.trim()), "{name}");
    }
    assert_eq!(there_are_dashboards(), !boards.is_empty());
}

/// files/ holds links to the one source of each; a packaged chart holds what is there.
#[test]
fn a_packaged_chart_holds_the_files_themselves() {
    let folder = Folder::new("package", "TERM");
    let place = folder.path().display().to_string();
    let output = helm(3, &["package", CHART, "--destination", &place]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let package = format!("pgvigil-{}.tgz", env!("CARGO_PKG_VERSION"));
    assert!(folder.command("tar").args(["-xmzf", &package]).status().expect("running tar").success());
    let unpacked = folder.path().join("pgvigil");
    for (file, root) in trees("rules") {
        assert_eq!(crate::rules::files::tree(&unpacked.join("files/rules").join(&file)), root, "{file}");
    }
    assert!(!unpacked.join("ci").exists() && !unpacked.join("files/rules/thresholds.yaml").exists());
    // Kubernetes keeps a release, chart and objects, in a Secret of at most 1 MiB, compressed and as base64.
    let size = fs::metadata(folder.path().join(package)).expect("a package").len();
    assert!(size < 300_000, "{size} bytes");
}
