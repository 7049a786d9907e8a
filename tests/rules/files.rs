//! The rule files and the cases of their alerts, read.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::support::yaml;

/// Beside the rules: what is no rule file.
pub const OTHERS: [&str; 2] = ["thresholds.yaml", "alertmanager.yaml"];

/// The keys of a case.
const CASE: [&str; 10] =
    ["alert", "severity", "kind", "given", "fires", "silent", "at", "labels", "summary", "description"];

/// One rule, alerting or recording.
#[derive(Clone, Debug)]
pub struct Rule {
    pub file: String,
    pub alert: Option<String>,
    pub record: Option<String>,
    pub severity: String,
    pub expr: String,
    /// In minutes, rounded up.
    pub wait: u64,
    pub annotations: Vec<(String, String)>,
    /// As Prometheus reads it.
    pub json: Value,
}

/// What makes an alert fire and what does not.
pub struct Case {
    pub file: String,
    pub alert: String,
    pub severity: String,
    /// Of which kind of target the shipped thresholds are given; all, if none is said.
    pub kind: Option<String>,
    pub given: Vec<(String, String)>,
    pub fires: Vec<(String, String)>,
    pub silent: Vec<Vec<(String, String)>>,
    /// Minutes after the beginning.
    pub at: Option<u64>,
    pub labels: Vec<(String, String)>,
    pub summary: String,
    pub description: String,
}

/// All YAML files of a folder but [`OTHERS`], by name.
pub fn trees(folder: &str) -> Vec<(String, Value)> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == "yaml"));
    paths.sort();
    let named = paths.into_iter().map(|path| (path.file_name().expect("a name").to_string_lossy().into_owned(), path));
    named.filter(|(name, _)| !OTHERS.contains(&name.as_str())).map(|(name, path)| (name, tree(&path))).collect()
}

pub fn tree(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    yaml::parse(&text).unwrap_or_else(|| panic!("{} is no plain YAML", path.display()))
}

pub fn rules() -> Vec<Rule> {
    let mut rules = Vec::new();
    for (file, root) in trees("rules") {
        for group in items(&root["groups"]) {
            rules.extend(items(&group["rules"]).iter().map(|value| rule(&file, value)));
        }
    }
    rules
}

pub fn rule(file: &str, value: &Value) -> Rule {
    let text = |key: &str| value.get(key).map(text);
    Rule {
        file: file.to_owned(),
        alert: text("alert"),
        record: text("record"),
        severity: value["labels"]["severity"].as_str().unwrap_or_default().to_owned(),
        expr: text("expr").unwrap_or_else(|| panic!("{file}: a rule without `expr`")),
        wait: text("for").map_or(0, |text| minutes(&text)),
        annotations: pairs(&value["annotations"]),
        json: value.clone(),
    }
}

pub fn cases() -> Vec<Case> {
    let of_file =
        |(file, root): (String, Value)| items(&root).iter().map(|value| case(&file, value)).collect::<Vec<_>>();
    trees("tests/rules/cases").into_iter().flat_map(of_file).collect()
}

fn case(file: &str, value: &Value) -> Case {
    let unknown: Vec<_> = pairs(value).into_iter().filter(|(key, _)| !CASE.contains(&key.as_str())).collect();
    assert!(unknown.is_empty(), "{file}: unknown keys {unknown:?}");
    let needed = |key: &str| value.get(key).map(text).unwrap_or_else(|| panic!("{file}: no `{key}` in {value}"));
    Case {
        file: file.to_owned(),
        alert: needed("alert"),
        severity: needed("severity"),
        kind: value.get("kind").map(text),
        given: pairs(&value["given"]),
        fires: pairs(&value["fires"]),
        silent: items(&value["silent"]).iter().map(pairs).collect(),
        at: value.get("at").map(|at| minutes(&text(at))),
        labels: pairs(&value["labels"]),
        summary: needed("summary"),
        description: needed("description"),
    }
}

pub fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The entries of a map of scalars.
pub fn pairs(value: &Value) -> Vec<(String, String)> {
    value.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), text(value))).collect()
}

/// A scalar as it is written.
pub fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Rounded up: `90s` is 2.
fn minutes(text: &str) -> u64 {
    let duration = humantime::parse_duration(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    duration.as_secs().div_ceil(60)
}
