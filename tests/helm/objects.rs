//! The matrix: all values lint and render, the same by each Helm, and every object is what Kubernetes and the operators take, strictly.

use std::{
    fs,
    os::unix::fs::symlink,
    process::{Command, Output},
};

use serde_json::Value;

use super::{CHART, helm, matrix, objects, parse, template};
use crate::support::{Folder, place::helm_program};

/// The Helms there are.
const HELMS: [u32; 2] = [3, 4];

/// From the oldest Kubernetes that the chart is for to the newest that the schemas know.
const KUBERNETES: [&str; 4] = ["1.25", "1.27", "1.31", "1.37"];

/// Where the operators' types are, by the kind of object.
const TYPES: [(&str, &str); 5] = [
    ("ServiceMonitor", "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1"),
    ("PodMonitor", "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1"),
    ("PrometheusRule", "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1"),
    ("ScrapeConfig", "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1alpha1"),
    ("GrafanaDashboard", "@kubernetes-models/grafana-operator/grafana.integreatly.org/v1beta1"),
];

#[test]
fn the_chart_lints_with_any_values_and_with_none() {
    let matrix = matrix();
    for major in HELMS {
        let lint = |more: &[&str]| {
            let output = helm(major, &[&["lint", "--strict", CHART], more].concat());
            assert!(output.status.success(), "Helm {major} {more:?}:\n{}", told(&output));
        };
        lint(&[]);
        matrix.iter().for_each(|values| lint(&["--values", values]));
    }
}

#[test]
fn every_helm_makes_the_same() {
    for values in matrix() {
        let [old, new] = HELMS.map(|major| parse(&template(major, &values, &[])));
        assert_eq!(old, new, "{values}");
        assert!(old.len() > 3, "{values}");
        // `kubectl apply` keeps a copy of an object in an annotation of at most 256 KiB.
        old.iter().for_each(|object| assert!(object.to_string().len() < 250_000, "{}", object["metadata"]));
    }
}

#[test]
fn kubernetes_takes_every_object() {
    let folder = Folder::new("objects", "TERM");
    let (mut files, mut count) = (Vec::new(), 0);
    for (number, values) in matrix().iter().enumerate() {
        let own = objects(values, &[]).into_iter().filter(|object| types(object).is_none()).collect::<Vec<_>>();
        count += own.len();
        let documents: Vec<_> = own.into_iter().map(|object| shortened(object).to_string()).collect();
        files.push(folder.write(&format!("{number}.yaml"), &documents.join("\n---\n")));
    }
    for version in KUBERNETES {
        let mut validate = Command::new(helm_program("bin/kubernetes-validate"));
        let output = validate.args(["-k", version, "--strict"]).args(&files).output().expect("running it");
        let told = told(&output);
        let passed = told.lines().filter(|line| line.contains(" passed for resource ")).count();
        assert!(output.status.success() && passed == count, "Kubernetes {version}: {passed} of {count}\n{told}");
    }
}

/// Without the texts of dashboards, which the schemas do not look at and Python reads slowly.
fn shortened(mut object: Value) -> Value {
    for text in object.get_mut("data").and_then(Value::as_object_mut).into_iter().flat_map(|data| data.values_mut()) {
        if text.as_str().is_some_and(|text| text.len() > 10_000) {
            *text = "long".into();
        }
    }
    object
}

/// The operators' fields by their types, which know no others; what is in the fields by their schemas.
#[test]
fn the_operators_take_every_object() {
    let folder = Folder::new("resources", "TERM");
    symlink(helm_program("node/node_modules"), folder.path().join("node_modules")).expect("a link");
    let mut program = String::new();
    for (kind, package) in TYPES {
        program.push_str(&format!("import {{ {kind}, type I{kind} }} from \"{package}/{kind}\";\n"));
    }
    let mut count = 0;
    for values in matrix() {
        for object in objects(&values, &[]).iter().filter(|object| types(object).is_some()) {
            let kind = object["kind"].as_str().expect("a kind");
            count += 1;
            program.push_str(&format!("const o{count}: I{kind} = {object};\nnew {kind}(o{count}).validate();\n"));
        }
    }
    for (kind, _) in TYPES {
        assert!(program.contains(&format!("new {kind}(")) || kind == "GrafanaDashboard" && !there_are_dashboards());
    }
    folder.write("objects.mts", &program);
    let options = ["--strict", "--skipLibCheck", "--module", "nodenext", "--target", "es2022", "objects.mts"];
    let mut compiler = folder.command(helm_program("node/node_modules/.bin/tsc"));
    let output = compiler.args(options).output().expect("running tsc");
    assert!(output.status.success(), "{}", told(&output));
    let output = folder.command("node").arg("objects.mjs").output().expect("running node");
    assert!(output.status.success(), "{}", told(&output));
}

fn types(object: &Value) -> Option<&'static str> {
    TYPES.iter().find(|(kind, _)| object["kind"] == *kind).map(|(_, package)| *package)
}

pub fn there_are_dashboards() -> bool {
    let entries = fs::read_dir("dashboards").expect("dashboards").flatten();
    entries.map(|entry| entry.path()).any(|path| path.extension().is_some_and(|ending| ending == "json"))
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
