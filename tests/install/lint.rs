//! Files that other programs read, as those who know them judge: hadolint, shellcheck, schemas of compose files and workflows, make.

use std::{fs, process::Command};

use super::succeeded;
use crate::support::place::lint_program;

#[test]
fn hadolint_has_nothing_to_say() {
    succeeded(Command::new(lint_program("hadolint")).args(["Dockerfile", "deploy/compose/pgbouncer/Dockerfile"]));
}

/// All files that begin with `#!` and a shell, and those that say which shell they are for.
#[test]
fn shellcheck_has_nothing_to_say() {
    let output = succeeded(Command::new("git").args(["ls-files", "--cached", "--others", "--exclude-standard"]));
    let files = String::from_utf8(output.stdout).expect("names in UTF-8");
    let is_script = |file: &&str| {
        let first = fs::read(file).ok().map(|text| String::from_utf8_lossy(&text[..text.len().min(40)]).into_owned());
        first.is_some_and(|first| {
            let first = first.lines().next().unwrap_or_default();
            first.starts_with("#!") && first.ends_with("sh") || first.starts_with("# shellcheck shell=")
        })
    };
    let scripts: Vec<_> = files.lines().filter(is_script).collect();
    assert!(scripts.len() > 5 && scripts.contains(&"scripts/build-release"), "{scripts:?}");
    succeeded(Command::new(lint_program("shellcheck")).args(scripts));
}

/// A line that make misunderstands is found by whoever needs its target.
#[test]
fn make_understands_each_target() {
    let makefile = fs::read_to_string("Makefile").expect("Makefile");
    let targets = makefile.lines().find_map(|line| line.strip_prefix(".PHONY: ")).expect("the targets");
    for target in targets.split(' ') {
        succeeded(Command::new("make").env_remove("MAKEFLAGS").args(["--dry-run", target]));
    }
}

#[test]
fn compose_yaml_is_a_compose_file() {
    succeeded(schema("vendor.compose-spec").arg("compose.yaml"));
}

#[test]
fn workflows_are_workflows() {
    succeeded(schema("vendor.github-workflows").args([
        ".github/workflows/ci.yml",
        ".github/workflows/release.yml",
        ".github/workflows/weekly.yml",
    ]));
}

/// Judges by a schema that it brings along.
fn schema(name: &str) -> Command {
    let mut command = Command::new(lint_program("check-jsonschema"));
    command.args(["--builtin-schema", name]);
    command
}
