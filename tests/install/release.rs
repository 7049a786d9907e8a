//! What makes a release: the crate, the archive and the Debian package, the bill of materials, the workflows.

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

/// The bill names every crate that Cargo says is in the binary, with its licence and checksum, and nothing else.
#[test]
fn the_bill_of_materials_is_what_cargo_builds() {
    let bill: Value = serde_json::from_str(&printed(&mut Command::new("scripts/sbom"))).expect("JSON");
    assert_eq!(bill["metadata"]["component"]["name"], "pgvigil");
    let components = bill["components"].as_array().expect("components");
    for component in components {
        assert!(component["licenses"][0]["expression"].is_string(), "{component}");
        assert_eq!(component["hashes"][0]["content"].as_str().map(str::len), Some(64), "{component}");
    }
    let named: BTreeSet<_> = components.iter().filter_map(|component| component["name"].as_str()).collect();
    for inside in ["tokio-postgres", "rustls", "ring", "clap"] {
        assert!(named.contains(inside), "{inside}");
    }
    for outside in ["pgvigil", "pgvigil-tools", "proptest", "expect-test", "jsonschema"] {
        assert!(!named.contains(outside), "{outside}");
    }
}

/// Each step that runs something runs a script of ours, or a program that says by itself what it does.
#[test]
fn workflows_run_scripts() {
    let programs = ["git config", "cargo install", "mkdir dist", "gh release", "helm package", "helm push", ".ci/run"];
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

#[test]
#[ignore = "long: make test-all"]
fn the_archive_and_the_package_hold_it_all() {
    let folder = Folder::new("release", "TERM");
    let (source, dist) = (clean_copy(&folder, ".gitignore"), folder.path().join("dist"));
    let mut make = Command::new("scripts/release-binaries");
    println!("{}", printed(make.current_dir(&source).arg(&dist).env_remove("CARGO_TARGET_DIR")));
    let made: Vec<_> = fs::read_dir(&dist).expect("dist").map(|entry| entry.expect("an entry").path()).collect();
    let made = |end: &str| made.iter().find(|path| path.to_string_lossy().ends_with(end));
    let archive = made(".tar.gz").expect("an archive");
    let files = printed(Command::new("tar").arg("-tzf").arg(archive));
    for file in [
        "/pgvigil",
        "/man/pgvigil.1",
        "/completions/pgvigil.zsh",
        "/systemd/pgvigil.service",
        "/rules/postgres.yaml",
        "/dashboards/overview.json",
    ] {
        assert!(files.lines().any(|line| line.ends_with(file)), "{file}\n{files}");
    }
    let package = made(".deb").expect("a Debian package: run scripts/install-servers deb");
    let files = printed(Command::new("dpkg-deb").arg("--contents").arg(package));
    for file in [
        "rwxr-xr-x ./usr/bin/pgvigil",
        "rw-r----- ./etc/pgvigil/pgvigil.yaml",
        "./usr/lib/systemd/system/pgvigil.service",
        "./usr/lib/sysusers.d/pgvigil.conf",
        "./usr/share/man/man1/pgvigil-check.1.gz",
        "./usr/share/bash-completion/completions/pgvigil",
    ] {
        let words: Vec<_> = file.split(' ').collect();
        assert!(files.lines().any(|line| words.iter().all(|word| line.contains(word))), "{file}\n{files}");
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
