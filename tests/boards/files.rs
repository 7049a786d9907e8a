//! The dashboards as Grafana imports them, read.

use std::{collections::BTreeSet, fs, path::PathBuf};

use serde_json::Value;

/// A dashboard's file name and its JSON.
pub struct Dashboard {
    pub file: String,
    pub json: Value,
}

/// All shipped ones, by name.
pub fn dashboards() -> Vec<Dashboard> {
    let entries = fs::read_dir("dashboards").expect("dashboards").map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|e| e == "json")).collect();
    paths.sort();
    let read = |path: &PathBuf| {
        let text = fs::read_to_string(path).expect("a readable file");
        let json = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Dashboard { file: path.file_name().expect("a name").to_string_lossy().into_owned(), json }
    };
    paths.iter().map(read).collect()
}

impl Dashboard {
    pub fn uid(&self) -> &str {
        self.json["uid"].as_str().expect("a uid")
    }

    /// Everything in the grid, headings of rows among them.
    pub fn placed(&self) -> &[Value] {
        items(&self.json["panels"])
    }

    /// Panels that ask something.
    pub fn panels(&self) -> impl Iterator<Item = &Value> {
        self.placed().iter().filter(|panel| panel["type"] != "row")
    }

    /// The variables, without that of the data source.
    pub fn variables(&self) -> impl Iterator<Item = &Value> {
        items(&self.json["templating"]["list"]).iter().filter(|variable| variable["type"] == "query")
    }

    pub fn variable_names(&self) -> BTreeSet<&str> {
        self.variables().map(|variable| text(&variable["name"])).collect()
    }

    /// The annotations that ask Prometheus.
    pub fn annotations(&self) -> impl Iterator<Item = &Value> {
        items(&self.json["annotations"]["list"]).iter().filter(|annotation| annotation.get("expr").is_some())
    }

    /// Every expression: where it stands, and its text.
    pub fn expressions(&self) -> Vec<(String, &str)> {
        let annotations = self.annotations().map(|a| (text(&a["name"]).to_owned(), text(&a["expr"])));
        self.panels().flat_map(asked).chain(annotations).collect()
    }
}

/// What a panel asks: its title and the legend, and the expression.
fn asked(panel: &Value) -> Vec<(String, &str)> {
    let named = |target: &Value| format!("{}: {}", text(&panel["title"]), text(&target["legendFormat"]));
    items(&panel["targets"]).iter().map(|target| (named(target), text(&target["expr"]))).collect()
}

pub fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The series of `label_values(SERIES, LABEL)`, and the label.
pub fn label_values(query: &str) -> Option<(&str, &str)> {
    query.strip_prefix("label_values(")?.strip_suffix(')')?.rsplit_once(", ")
}

/// An expression as Grafana sends it when everything is chosen, with its usual scrape interval of 15 s.
pub fn chosen(dashboard: &Dashboard, expr: &str) -> String {
    let mut expr = expr.replace("$__rate_interval", "1m").replace("$__range", "1h").replace("$__interval", "15s");
    let mut variables: Vec<_> = dashboard.variables().collect();
    // `$target` is the beginning of no other, but that may come: the longest first.
    variables.sort_by_key(|variable| std::cmp::Reverse(text(&variable["name"]).len()));
    for variable in variables {
        expr = expr.replace(&format!("${}", text(&variable["name"])), text(&variable["allValue"]));
    }
    expr
}

/// Runs a check on every dashboard and tells all that it finds wrong.
pub fn each(check: impl Fn(&Dashboard, &mut Vec<String>)) {
    let mut all = Vec::new();
    for dashboard in dashboards() {
        let mut wrong = Vec::new();
        check(&dashboard, &mut wrong);
        all.extend(wrong.into_iter().map(|wrong| format!("{}: {wrong}", dashboard.file)));
    }
    assert!(all.is_empty(), "\n{}", all.join("\n"));
}
