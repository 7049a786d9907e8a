//! What makes a release: the crate, the bills of materials, the workflows.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use serde_json::Value;

use super::{clean_copy, succeeded};
use crate::{rules::files::tree, support::Folder};

/// What the dashboards are made of, in the repository alone.
const BOARDS: &str = "dashboards/boards/";

fn printed(command: &mut Command) -> String {
    String::from_utf8(succeeded(command).stdout).expect("text")
}

/// The files of the published crate.
fn packaged() -> BTreeSet<String> {
    let list = printed(Command::new(env!("CARGO")).args(["package", "--list", "--allow-dirty", "--offline"]));
    list.lines().map(str::to_owned).collect()
}

#[test]
fn the_crate_holds_what_the_program_is_built_from() {
    let packaged = packaged();
    let tracked = printed(Command::new("git").args(["ls-files"]));
    let needed = ["src/", "collectors/", "rules/", "dashboards/"];
    let is_needed = |file: &str| needed.iter().any(|folder| file.starts_with(folder)) && !file.starts_with(BOARDS);
    let mut missing: Vec<_> = tracked.lines().filter(|file| is_needed(file)).collect();
    missing.extend(["build.rs", "Cargo.lock", "README.md", "LICENSE-MIT", "LICENSE-APACHE"]);
    missing.retain(|file| !packaged.contains(*file) && Path::new(file).exists());
    assert!(missing.is_empty(), "the crate lacks {missing:?}");
    let others = ["tests/", "docs/", "tools/", BOARDS];
    let strangers: Vec<_> =
        packaged.iter().filter(|file| others.iter().any(|folder| file.starts_with(folder))).collect();
    assert!(strangers.is_empty(), "{strangers:?}");
}

/// As `cargo install` would, from the published files alone.
#[test]
#[ignore = "long: make test-all"]
fn the_crate_builds_by_itself() {
    let mut package = Command::new(env!("CARGO"));
    package.args(["package", "--allow-dirty", "--offline", "--locked", "--quiet"]);
    succeeded(&mut package);
}

#[test]
fn tag_version_and_notes_are_of_one_release() {
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(printed(&mut Command::new("scripts/release-version")).trim(), version);
    let notes = printed(Command::new("scripts/release-version").arg(format!("v{version}")));
    assert!(notes.contains("[FEATURE]") && !notes.contains("\n## "), "{notes}");
    let wrong = Command::new("scripts/release-version").arg("v99.0.0").output().expect("running a script");
    assert!(!wrong.status.success() && String::from_utf8_lossy(&wrong.stderr).contains("v99.0.0"));
}

#[test]
fn checksums_tell_what_was_changed() {
    let folder = Folder::new("checksums", "TERM");
    folder.write("a file", "one");
    folder.write("another", "two");
    let check = || folder.command("sha256sum").args(["--check", "--quiet", "SHA256SUMS"]).output().expect("sha256sum");
    succeeded(Command::new("scripts/release-checksums").arg(folder.path()));
    assert!(check().status.success());
    folder.write("another", "too");
    assert!(!check().status.success());
}

/// The bills name every crate that Cargo says is in the binary, with its licence and checksum, none that only tests use, and no path of
/// this machine. Features that only tests turn on bring some crates more: Cargo's metadata does not tell them apart.
#[test]
#[ignore = "needs cargo-cyclonedx: make test-all"]
fn the_bills_of_materials_are_what_cargo_builds() {
    let folder = Folder::new("sbom", "TERM");
    let source = clean_copy(&folder, ".gitignore");
    succeeded(Command::new("scripts/release-sbom").current_dir(&source).arg(folder.path()));
    for (system, target) in [("linux", "x86_64-unknown-linux-gnu"), ("darwin", "aarch64-apple-darwin")] {
        let text = fs::read_to_string(folder.path().join(format!("pgvigil-{system}.cdx.json"))).expect("a bill");
        assert!(!text.contains(&folder.path().display().to_string()), "{system}: it says where it was made");
        let bill: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(bill["metadata"]["component"]["name"], "pgvigil");
        let components = bill["components"].as_array().expect("components");
        for component in components {
            assert!(component["licenses"][0]["expression"].is_string(), "{component}");
            assert_eq!(component["hashes"][0]["content"].as_str().map(str::len), Some(64), "{component}");
        }
        let word = |component: &Value, key: &str| component[key].as_str().unwrap_or_default().to_owned();
        let named: BTreeSet<_> = components.iter().map(|one| (word(one, "name"), word(one, "version"))).collect();
        let missing: Vec<_> = inside(target).into_iter().filter(|one| !named.contains(one)).collect();
        assert!(missing.is_empty(), "{system}: {missing:?}");
        for outside in ["pgvigil", "pgvigil-tools", "proptest", "expect-test", "jsonschema"] {
            assert!(named.iter().all(|(name, _)| name != outside), "{system}: {outside}");
        }
    }
}

/// Name and version of the crates in the binary, by Cargo.
fn inside(target: &str) -> BTreeSet<(String, String)> {
    let tree = ["tree", "--locked", "--edges=normal", "--prefix=none", "--package=pgvigil", "--target", target];
    let lines = printed(Command::new(env!("CARGO")).args(tree));
    let crates = lines.lines().filter_map(|line| line.split_once(" v")).filter(|(name, _)| *name != "pgvigil");
    crates.map(|(name, rest)| (name.to_owned(), rest.split(' ').next().unwrap_or_default().to_owned())).collect()
}

/// Each step that runs something runs a script of ours, or a program that says by itself what it does.
#[test]
fn workflows_run_scripts() {
    let programs = [
        "git config",
        "rustup toolchain install",
        "cargo install",
        "cargo check",
        "mkdir dist",
        "gh release",
        "helm package",
        "helm push",
        "cosign sign",
        ".ci/run",
    ];
    for entry in fs::read_dir(".github/workflows").expect("workflows") {
        let path = entry.expect("an entry").path();
        let workflow = tree(&path);
        for (name, job) in workflow["jobs"].as_object().expect("jobs") {
            for step in job["steps"].as_array().expect("steps").iter().filter_map(|step| step["run"].as_str()) {
                let script = step.split_whitespace().next().unwrap_or_default();
                let is_script = script.starts_with("scripts/") && Path::new(script).exists();
                let is_known = programs.iter().any(|program| step.starts_with(program));
                assert!(is_script || is_known, "{}: {name}: {step}", path.display());
                // GitHub's shell takes the last command's word for all of a pipe.
                assert!(!step.replace("||", "").contains('|'), "{}: {name}: {step}", path.display());
            }
        }
    }
}

/// The compiler at hand gets our counters right; one that loses an addition, as some do with another way to write it, is refused.
#[test]
fn a_compiler_that_is_wrong_makes_no_release() {
    let check = |compiler: &str| Command::new("scripts/check-compiler").arg(compiler).output().expect("running it");
    let right = check("rustc");
    assert!(right.status.success(), "{}", String::from_utf8_lossy(&right.stderr));
    let folder = Folder::new("compiler", "TERM");
    let wrong = folder.write(
        "rustc",
        // The program is the last argument.
        "#!/bin/bash\n[ \"$1\" = --version ] && exec rustc --version\nsed 's/self.trips += 1;//' \"${@: -1}\" >\"$0.rs\"\nexec rustc \"${@:1:$#-1}\" --crate-name shapes \"$0.rs\"\n",
    );
    fs::set_permissions(&wrong, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("permissions");
    let refused = check(&wrong.display().to_string());
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("compiles our counters wrongly"), "{said}");
    assert!(said.contains("number 1 is 0, and should be 1"), "{said}");
}
