//! What the program is made of: crates that are in use, under licences with which it may be passed on.

use std::{collections::BTreeSet, fs, process::Command};

use serde_json::Value;

use super::{code, mentions, sources};

/// The crates that are built on Linux, tests included, with what they say of themselves.
fn crates() -> Vec<Value> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--locked", "--offline", "--format-version=1"]);
    let said = cargo.arg("--filter-platform=x86_64-unknown-linux-gnu").output().expect("cargo");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let mut said: Value = serde_json::from_slice(&said.stdout).expect("what cargo says");
    let Value::Array(all) = said["packages"].take() else { panic!("no packages") };
    // Those of this repository have no source.
    all.into_iter().filter(|one| !one["source"].is_null()).collect()
}

/// What stands in quotes between `allow = [` and the bracket that ends it.
fn allowed(rules: &str) -> BTreeSet<&str> {
    let (_, list) = rules.split_once("\nallow = [").expect("allowed licences");
    let (list, _) = list.split_once(']').expect("an end of them");
    list.split('"').skip(1).step_by(2).collect()
}

/// Whether one may choose licences that are all allowed.
fn may_be_passed_on(licence: &str, allowed: &BTreeSet<&str>) -> bool {
    let is_fine = |part: &str| {
        let mut choices = part.split(" OR ");
        choices.any(|choice| choice.split(" AND ").all(|one| one == "fine" || allowed.contains(one.trim())))
    };
    let mut licence = licence.replace('/', " OR ");
    while let Some(end) = licence.find(')') {
        let start = licence[..end].rfind('(').expect("a pair of brackets");
        let part = if is_fine(&licence[start + 1..end]) { "fine" } else { "not" };
        licence.replace_range(start..=end, part);
    }
    is_fine(&licence)
}

/// cargo-deny asks the same, where it is installed.
#[test]
fn licences_are_those_of_deny_toml() {
    let rules = fs::read_to_string("deny.toml").expect("deny.toml");
    let (allowed, crates) = (allowed(&rules), crates());
    assert!(crates.len() > 200, "{} crates", crates.len());
    let licence = |one: &Value| one["license"].as_str().unwrap_or("none").to_owned();
    let strange = crates.iter().filter(|one| !may_be_passed_on(&licence(one), &allowed));
    let strange: Vec<_> = strange.map(|one| format!("{}: {}", one["name"], licence(one))).collect();
    assert!(strange.is_empty(), "{strange:#?}");
    let idle: Vec<_> = allowed.iter().filter(|one| !crates.iter().any(|c| licence(c).contains(**one))).collect();
    assert!(idle.is_empty(), "nothing is under {idle:?}");
}

#[test]
fn licences_are_read() {
    let allowed = BTreeSet::from(["MIT", "ISC"]);
    for (licence, expected) in [
        ("MIT", true),
        ("Apache-2.0/MIT", true),
        ("Apache-2.0 OR BSL-1.0", false),
        ("Apache-2.0 AND ISC", false),
        ("(Apache-2.0 OR MIT) AND ISC", true),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", false),
        ("Apache-2.0 WITH LLVM-exception OR MIT", true),
        ("none", false),
    ] {
        assert_eq!(may_be_passed_on(licence, &allowed), expected, "{licence}");
    }
}

/// What only tests or builds need is listed elsewhere.
#[test]
fn every_dependency_is_in_use() {
    let manifest = fs::read_to_string("Cargo.toml").expect("Cargo.toml");
    let (_, list) = manifest.split_once("\n[dependencies]\n").expect("dependencies");
    let (list, _) = list.split_once("\n[").expect("an end of them");
    let lines = list.lines().filter(|line| !line.starts_with('#'));
    let names: Vec<_> = lines.filter_map(|line| Some(line.split_once(" = ")?.0.replace('-', "_"))).collect();
    assert!(names.len() > 30, "{names:?}");
    let sources: Vec<_> = sources().iter().map(|source| code(&source.text)).collect();
    let idle: Vec<_> = names.iter().filter(|name| !sources.iter().any(|text| mentions(text, name))).collect();
    assert!(idle.is_empty(), "{idle:?}");
}
