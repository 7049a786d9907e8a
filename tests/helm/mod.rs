//! The Helm chart: what it makes of values, by real Helms, is right for Kubernetes, for the operators, for promtool and for pgvigil.

mod kubelet;
mod made;
mod meaning;
mod mounted;
mod notes;
mod objects;
mod part;
mod refused;
mod restricted;
mod rules;
mod scraped;
mod sidecar;
mod values;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::{Command, Output},
};

use parking_lot::Mutex;
use serde_json::Value;

use crate::support::{place::helm_program, yaml};

const CHART: &str = "helm/pgvigil";

/// The release's name in all renderings.
const RELEASE: &str = "shop-metrics";

/// Runs a Helm of this major version.
fn helm(major: u32, arguments: &[&str]) -> Output {
    Command::new(helm_program(&format!("{major}/helm"))).args(arguments).output().expect("running helm")
}

/// What the chart makes of the values of a file, as text.
fn template(major: u32, values: &str, more: &[&str]) -> String {
    let mut arguments = vec!["template", RELEASE, CHART, "--namespace", "shop", "--values", values];
    arguments.extend(more);
    let output = helm(major, &arguments);
    assert!(output.status.success(), "{values}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The same as objects, rendered once.
fn objects(values: &str, more: &[&str]) -> Vec<Value> {
    static RENDERED: Mutex<BTreeMap<String, Vec<Value>>> = Mutex::new(BTreeMap::new());
    let key = format!("{values} {more:?}");
    let mut rendered = RENDERED.lock();
    rendered.entry(key).or_insert_with(|| parse(&template(3, values, more))).clone()
}

/// The objects of a file with many.
fn parse(text: &str) -> Vec<Value> {
    let documents = format!("\n{text}");
    let parse = |document: &str| yaml::parse(document).unwrap_or_else(|| panic!("no plain YAML:\n{document}"));
    documents.split("\n---\n").filter(|document| !document.trim().is_empty()).map(parse).collect()
}

/// The one object of a kind with this name.
fn object<'o>(objects: &'o [Value], kind: &str, name: &str) -> &'o Value {
    let is_it = |object: &&Value| object["kind"] == kind && object["metadata"]["name"] == name;
    objects.iter().find(is_it).unwrap_or_else(|| panic!("there is no {kind} {name}"))
}

/// The objects of a kind.
fn of_kind<'o>(objects: &'o [Value], kind: &'o str) -> impl Iterator<Item = &'o Value> {
    objects.iter().filter(move |object| object["kind"] == kind)
}

/// The values of the matrix, and those that earlier versions of the chart were given.
fn matrix() -> BTreeSet<String> {
    let list = |folder: &str| -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
        let paths = entries.map(|entry| entry.expect("an entry").path());
        let paths = paths.filter(|path| path.extension().is_some_and(|ending| ending == "yaml"));
        paths.map(|path| path.to_string_lossy().into_owned()).collect()
    };
    let all: BTreeSet<_> = ["ci", "ci/versions"].iter().flat_map(|f| list(&format!("{CHART}/{f}"))).collect();
    assert!(all.len() > 7, "{all:?}");
    all
}

/// A file of the matrix.
fn ci(name: &str) -> String {
    let path = format!("{CHART}/ci/{name}-values.yaml");
    assert!(Path::new(&path).exists(), "{path}");
    path
}
