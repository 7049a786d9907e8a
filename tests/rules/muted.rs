//! `rules/alertmanager.yaml`: amtool of either generation takes it, pages go to the pager alone, and critical mutes the warning about the same thing and no other.

use std::{collections::BTreeSet, path::Path, process::Command};

use serde_json::Value;

use super::files;
use crate::support::Generation;

const FILE: &str = "rules/alertmanager.yaml";

/// Of the keys of an inhibition, those that name alerts.
const MATCHERS: [&str; 2] = ["source_matchers", "target_matchers"];

fn inhibitions() -> Vec<Value> {
    files::tree(Path::new(FILE))["inhibit_rules"].as_array().cloned().expect("inhibitions")
}

fn texts(value: &Value) -> BTreeSet<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

#[test]
fn amtool_takes_the_example() {
    for &generation in Generation::tested() {
        amtool(generation, &["check-config", FILE]);
    }
}

/// Who is told, by an alert's labels: whether that is somebody's pager, and whether anybody at all.
#[test]
fn only_critical_alerts_wake_somebody() {
    for &generation in Generation::tested() {
        let told = |labels: &[&str]| {
            let said = amtool(generation, &[&["config", "routes", "test", "--config.file", FILE], labels].concat());
            said.trim().split(',').map(str::to_owned).collect::<BTreeSet<_>>()
        };
        let by_severity = |severity: &str| told(&["alertname=PostgresDown", &format!("severity={severity}")]);
        assert!(by_severity("critical").contains("pager"), "{generation:?}: {:?}", by_severity("critical"));
        let (warning, info) = (by_severity("warning"), by_severity("info"));
        assert!(!warning.contains("pager") && warning.contains("chat"), "{generation:?}: {warning:?}");
        assert!(!info.contains("pager") && !info.contains("chat"), "{generation:?}: {info:?}");
        assert_eq!(told(&["alertname=Watchdog", "severity=none"]), BTreeSet::from(["heartbeat".to_owned()]));
    }
}

/// What amtool says when it is content.
fn amtool(generation: Generation, arguments: &[&str]) -> String {
    let output = Command::new(generation.program("amtool")).args(arguments).output().expect("running amtool");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{generation:?}: amtool {arguments:?}: {complaint}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Else a critical alert about one pool, table or path would mute the warning about another one.
#[test]
fn critical_mutes_only_what_is_about_the_same() {
    let all = inhibitions();
    let is_by_severity = |rule: &&Value| texts(&rule["source_matchers"]).iter().all(|by| by.starts_with("severity"));
    let by_severity: Vec<_> = all.iter().filter(is_by_severity).map(|rule| texts(&rule["equal"])).collect();
    assert!(by_severity.len() == 2 && by_severity[0] == by_severity[1], "critical and warning, with equal labels");
    let equal = &by_severity[0];
    let cases = files::cases();
    let severities = |alert: &str| -> BTreeSet<_> {
        cases.iter().filter(|case| case.alert == alert).map(|case| case.severity.as_str()).collect()
    };
    let mut missing = BTreeSet::new();
    for case in cases.iter().filter(|case| severities(&case.alert).len() > 1) {
        let labels = case.labels.iter().map(|(label, _)| label.as_str());
        missing.extend(labels.filter(|label| !equal.contains(label)).map(|label| (label, case.alert.as_str())));
    }
    assert!(missing.is_empty(), "`equal` lacks {missing:?}");
}

/// An alert that was renamed would mute, or be muted, no more.
#[test]
fn only_alerts_that_exist_are_named() {
    let alerts: BTreeSet<_> = files::rules().into_iter().filter_map(|rule| rule.alert).collect();
    let mut wrong = Vec::new();
    for rule in inhibitions() {
        for matcher in MATCHERS.iter().flat_map(|key| texts(&rule[key])) {
            let Some((name, pattern)) = matcher.split_once(['=', '!']) else { continue };
            if name.trim() != "alertname" {
                continue;
            }
            let pattern = pattern.trim_start_matches(['=', '~', ' ']).trim_matches('"');
            for alternative in pattern.split('|') {
                let is_it = |alert: &String| match alternative.strip_suffix(".*") {
                    Some(start) => alert.starts_with(start),
                    None => alert == alternative,
                };
                if !alerts.iter().any(is_it) {
                    wrong.push(format!("{matcher}: no alert {alternative}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A Prometheus may give all its targets a label `cluster` of its own; then one system would mute another. One alert alone has looked whether it
/// is the label of a single system, and only by it anything is joined so.
#[test]
fn a_label_that_others_set_joins_nothing() {
    let is_joined = |rule: &&Value| {
        let equal = texts(&rule["equal"]);
        equal.contains("cluster") && !(equal.contains("target") || equal.contains("master_host"))
    };
    let all = inhibitions();
    let joined: Vec<_> = all.iter().filter(is_joined).map(|rule| texts(&rule["source_matchers"])).collect();
    // The alerts on Redis' clusters are of all nodes with one label, themselves.
    let looked = |source: &BTreeSet<&str>| {
        ["PostgresClusterImpaired", "RedisClusterFailing"]
            .iter()
            .any(|name| source.contains(&*format!("alertname = {name}")))
    };
    assert!(!joined.is_empty() && joined.iter().all(looked), "{joined:?}");
}
