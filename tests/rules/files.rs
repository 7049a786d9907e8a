//! The rule files and the cases of their alerts, read.

use std::{fs, path::PathBuf};

use pgvigil::config::{
    problem::Problems,
    yaml::{self, Node, Value},
};

/// Beside the rules: what is no rule file.
const OTHERS: [&str; 2] = ["thresholds.yaml", "alertmanager.yaml"];

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
    pub json: serde_json::Value,
}

/// What makes an alert fire and what does not.
pub struct Case {
    pub file: String,
    pub alert: String,
    pub severity: String,
    pub given: Vec<(String, String)>,
    pub fires: Vec<(String, String)>,
    pub silent: Vec<Vec<(String, String)>>,
    /// Minutes after the beginning.
    pub at: Option<u64>,
    pub labels: Vec<(String, String)>,
    pub summary: String,
    pub description: String,
}

/// All YAML files of a folder but [`OTHERS`], each with its tree.
pub fn trees(folder: &str) -> Vec<(String, Node)> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == "yaml"));
    paths.sort();
    let named = paths.into_iter().map(|path| (path.file_name().expect("a name").to_string_lossy().into_owned(), path));
    named.filter(|(name, _)| !OTHERS.contains(&name.as_str())).map(|(name, path)| (name, tree(&path))).collect()
}

pub fn tree(path: &PathBuf) -> Node {
    let mut problems = Problems::default();
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let root = yaml::parse(&path.to_string_lossy(), &text, &mut problems);
    problems.unless_any(()).unwrap_or_else(|problems| panic!("{problems}"));
    root.unwrap_or_else(|| panic!("{} is empty", path.display()))
}

pub fn rules() -> Vec<Rule> {
    let mut rules = Vec::new();
    for (file, root) in trees("rules") {
        for group in items(root.get("groups")) {
            rules.extend(items(group.get("rules")).iter().map(|node| rule(&file, node)));
        }
    }
    rules
}

fn rule(file: &str, node: &Node) -> Rule {
    let text = |key| node.get(key).and_then(Node::text).map(str::to_owned);
    let severity = node.get("labels").and_then(|labels| labels.get("severity")).and_then(Node::text);
    Rule {
        file: file.to_owned(),
        alert: text("alert"),
        record: text("record"),
        severity: severity.unwrap_or_default().to_owned(),
        expr: text("expr").unwrap_or_else(|| panic!("{}: a rule without `expr`", node.place)),
        wait: text("for").map_or(0, |text| minutes(&text)),
        annotations: pairs(node.get("annotations")),
        json: json(node),
    }
}

pub fn cases() -> Vec<Case> {
    let of_file =
        |(file, root): (String, Node)| items(Some(&root)).iter().map(|node| case(&file, node)).collect::<Vec<_>>();
    trees("tests/rules/cases").into_iter().flat_map(of_file).collect()
}

fn case(file: &str, node: &Node) -> Case {
    let known = ["alert", "severity", "given", "fires", "silent", "at", "labels", "summary", "description"];
    for (key, _) in node.entries() {
        assert!(known.contains(&key.text.as_str()), "{}: unknown key {}", key.place, key.text);
    }
    let text =
        |key| node.get(key).and_then(Node::text).unwrap_or_else(|| panic!("{}: no `{key}`", node.place)).to_owned();
    Case {
        file: file.to_owned(),
        alert: text("alert"),
        severity: text("severity"),
        given: pairs(node.get("given")),
        fires: pairs(node.get("fires")),
        silent: items(node.get("silent")).iter().map(|node| pairs(Some(node))).collect(),
        at: node.get("at").and_then(Node::text).map(minutes),
        labels: pairs(node.get("labels")),
        summary: text("summary"),
        description: text("description"),
    }
}

pub fn items(node: Option<&Node>) -> &[Node] {
    match node.map(|node| &node.value) {
        Some(Value::List(items)) => items,
        _ => &[],
    }
}

fn pairs(node: Option<&Node>) -> Vec<(String, String)> {
    let entries = node.into_iter().flat_map(Node::entries);
    entries.map(|(key, node)| (key.text.clone(), node.text().unwrap_or_default().to_owned())).collect()
}

/// Rounded up: `90s` is 2.
fn minutes(text: &str) -> u64 {
    let duration = humantime::parse_duration(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    duration.as_secs().div_ceil(60)
}

/// The tree as JSON, which is YAML too.
pub fn json(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::List(items) => items.iter().map(json).collect(),
        Value::Map(entries) => entries.iter().map(|(key, node)| (key.text.clone(), json(node))).collect(),
        Value::Scalar { text, .. } => text.clone().into(),
        Value::Broken => serde_json::Value::Null,
    }
}
