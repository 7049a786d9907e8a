//! The examples of rules in docs/examples, which are not shipped: promtool takes each, and passes its tests in tests/rules/examples.

use std::{fs, process::Command};

use crate::support::place::system_program;

const RULES: &str = ".rules.yaml";

#[test]
fn examples_of_rules_do_what_they_say() {
    let entries = fs::read_dir("docs/examples").expect("examples");
    let files = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    let mut names: Vec<_> = files.filter_map(|file| Some(file.strip_suffix(RULES)?.to_owned())).collect();
    names.sort();
    assert!(!names.is_empty(), "no example");
    for name in names {
        promtool(&["check", "rules", "--lint=all", "--lint-fatal", &format!("docs/examples/{name}{RULES}")]);
        promtool(&["test", "rules", &format!("tests/rules/examples/{name}.yaml")]);
    }
}

fn promtool(arguments: &[&str]) {
    let output = Command::new(system_program("promtool")).args(arguments).output().expect("running promtool");
    let told = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "{arguments:?}\n{told}");
}
