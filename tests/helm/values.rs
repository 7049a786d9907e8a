//! values.yaml as its readers see it: each key with what the comment above says of it.

use std::fs;

use serde_json::{Map, Value};

use super::CHART;
use crate::support::yaml;

/// A key that has a comment.
pub struct Key {
    pub path: Vec<String>,
    /// What it is for.
    pub about: String,
    /// What its default does not say of its type, as JSON Schema.
    pub schema: Map<String, Value>,
}

/// The chart's defaults.
pub fn defaults() -> Value {
    yaml::parse(&text()).expect("values.yaml is plain YAML")
}

fn text() -> String {
    fs::read_to_string(format!("{CHART}/values.yaml")).expect("values.yaml")
}

/// The keys that have a comment, in the file's order.
pub fn keys() -> Vec<Key> {
    let (mut keys, mut open): (Vec<Key>, Vec<(usize, String)>) = Default::default();
    let (mut about, mut schema) = (String::new(), Map::new());
    for line in text().lines() {
        let indent = line.len() - line.trim_start().len();
        let line = line.trim_start();
        if let Some(begin) = line.strip_prefix("# -- ") {
            (about, schema) = (begin.to_owned(), Map::new());
        } else if let Some(json) = line.strip_prefix("# @schema ") {
            schema = serde_json::from_str(json).unwrap_or_else(|error| panic!("{json}: {error}"));
        } else if let Some(more) = line.strip_prefix("# ").filter(|_| !about.is_empty()) {
            about = format!("{about} {more}");
        } else if let Some((key, _)) = line.split_once(':').filter(|_| !line.starts_with(['#', '-'])) {
            open.retain(|(outer, _)| *outer < indent);
            open.push((indent, key.to_owned()));
            if !about.is_empty() {
                let path = open.iter().map(|(_, key)| key.clone()).collect();
                keys.push(Key { path, about: std::mem::take(&mut about), schema: std::mem::take(&mut schema) });
            }
        } else {
            about.clear();
        }
    }
    keys
}

/// The value at a path.
pub fn at<'v>(value: &'v Value, path: &[String]) -> &'v Value {
    path.iter().fold(value, |value, key| &value[key])
}

/// Whether keys below this one have comments of their own: then it is a group of keys, else one value.
pub fn is_group(keys: &[Key], path: &[String]) -> bool {
    keys.iter().any(|key| key.path.len() > path.len() && key.path.starts_with(path))
}

#[test]
fn every_key_says_what_it_is_for() {
    let keys = keys();
    let mut wrong = Vec::new();
    undocumented(&defaults(), &mut Vec::new(), &keys, &mut wrong);
    assert!(wrong.is_empty() && keys.len() > 100, "{} keys; without a comment: {wrong:?}", keys.len());
}

fn undocumented(value: &Value, path: &mut Vec<String>, keys: &[Key], wrong: &mut Vec<String>) {
    for (key, inner) in value.as_object().into_iter().flatten() {
        path.push(key.clone());
        if is_group(keys, path) {
            undocumented(inner, path, keys, wrong);
        } else if !keys.iter().any(|known| known.path == *path) {
            wrong.push(path.join("."));
        }
        path.pop();
    }
}
