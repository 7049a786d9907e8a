//! The systems of the zoo and the rules that are wrong about them, read; and the document that tells of them.

use std::{collections::BTreeSet, path::Path};

use expect_test::expect_file;
use serde_json::Value;

use crate::rules::files::{self, Rule, items, text, tree};

/// How Prometheus comes to some targets.
#[derive(Clone, PartialEq)]
pub struct Seen {
    /// Each has nothing but what it scrapes.
    pub prometheus: String,
    pub job: String,
    pub instance: String,
    /// A label that Prometheus gives.
    pub cluster: Option<String>,
    pub by_second: bool,
    pub targets: Vec<String>,
}

pub struct System {
    pub name: String,
    pub what: String,
    pub seen: Vec<Seen>,
    pub datname: Option<String>,
    pub stays: Vec<String>,
    pub info: Vec<String>,
}

/// A wrong rule, and the system on which it fires.
pub struct Mutation {
    pub system: String,
    pub rule: Rule,
    /// The first major version on which it does.
    pub since: u64,
}

impl System {
    /// Whether an alert with these labels, fired there, may be about this system.
    pub fn may_be(&self, prometheus: &str, labels: &[(String, String)]) -> bool {
        let label = |name: &str| labels.iter().find(|(key, _)| key == name).map(|(_, value)| value);
        let is_or_absent = |name: &str, wanted: &String| label(name).is_none_or(|value| value == wanted);
        let is_seen = |seen: &Seen| {
            seen.prometheus == prometheus
                && is_or_absent("job", &seen.job)
                && is_or_absent("instance", &seen.instance)
                && label("target").is_none_or(|target| seen.targets.contains(target))
        };
        self.seen.iter().any(is_seen) && self.datname.as_ref().is_none_or(|datname| label("datname") == Some(datname))
    }
}

pub fn systems() -> Vec<System> {
    items(&tree(Path::new("tests/rules/zoo/systems.yaml"))).iter().map(system).collect()
}

fn system(value: &Value) -> System {
    known(value, &["system", "what", "targets", "seen", "datname", "stays", "info"]);
    let all = |key: &str| items(&value[key]).iter().map(text).collect::<Vec<_>>();
    let usual = Seen {
        prometheus: "main".to_owned(),
        job: "pgvigil".to_owned(),
        instance: "first".to_owned(),
        cluster: None,
        by_second: false,
        targets: all("targets"),
    };
    let seen = match items(&value["seen"]) {
        [] => vec![usual],
        seen => seen.iter().map(|value| as_said(value, &usual)).collect(),
    };
    assert!(seen.iter().all(|seen| !seen.targets.is_empty()), "no targets: {value}");
    let datname = value.get("datname").map(text);
    System {
        name: text(&value["system"]),
        what: text(&value["what"]),
        seen,
        datname,
        stays: all("stays"),
        info: all("info"),
    }
}

fn as_said(value: &Value, usual: &Seen) -> Seen {
    known(value, &["prometheus", "job", "instance", "cluster", "by", "targets"]);
    Seen {
        prometheus: value.get("prometheus").map_or_else(|| usual.prometheus.clone(), text),
        job: text(&value["job"]),
        instance: text(&value["instance"]),
        cluster: value.get("cluster").map(text),
        by_second: value.get("by").is_some_and(|by| by == "second"),
        targets: items(&value["targets"]).iter().map(text).collect(),
    }
}

pub fn mutations() -> Vec<Mutation> {
    items(&tree(Path::new("tests/rules/zoo/mutations.yaml"))).iter().map(mutation).collect()
}

fn mutation(value: &Value) -> Mutation {
    known(value, &["system", "alert", "severity", "for", "since", "expr"]);
    let mut rule = value.clone();
    rule["labels"] = serde_json::json!({"severity": value["severity"]});
    Mutation {
        system: text(&value["system"]),
        rule: files::rule("mutations.yaml", &rule),
        since: value["since"].as_u64().unwrap_or_default(),
    }
}

fn known(value: &Value, keys: &[&str]) {
    let unknown: Vec<_> = files::pairs(value).into_iter().filter(|(key, _)| !keys.contains(&key.as_str())).collect();
    assert!(unknown.is_empty(), "unknown keys {unknown:?} in {value}");
}

#[test]
fn each_system_has_a_rule_that_is_wrong_about_it() {
    let names: Vec<_> = systems().into_iter().map(|system| system.name).collect();
    let wrong_about: BTreeSet<_> = mutations().into_iter().map(|mutation| mutation.system).collect();
    assert_eq!(names.iter().cloned().collect::<BTreeSet<_>>(), wrong_about);
    assert_eq!(names.len(), wrong_about.len(), "a name is there twice");
}

/// `UPDATE_EXPECT=1 cargo test --test all -- rules` writes it.
#[test]
fn the_document_names_all_systems() {
    let mut text = "# Unusual systems\n\nYou wonder whether your system is too unusual for these alerts. Here are healthy systems that look unusual. \
        Each is built from real servers, its pages are recorded and stretched over hours and days, and no shipped \
        alert of severity warning or critical fires on it (`make test-all`). If yours is like one of these and an alert comes, that is a bug: please tell us.\n\n\
        | system | what is unusual about it |\n|---|---|\n".to_owned();
    for System { name, what, info, .. } in systems() {
        let info = if info.is_empty() { String::new() } else { format!(" May show, as info: {}.", info.join(", ")) };
        text += &format!("| {name} | {what}{info} |\n");
    }
    expect_file!["../../../docs/unusual.md"].assert_eq(&text);
}
