//! Homebrew's formula: it names the files of a release, and what it installs is in them.

use std::{collections::BTreeSet, fs, process::Command};

use super::succeeded;
use crate::support::{Folder, system_program};

const FORMULA: &str = "deploy/homebrew/pgvigil.rb";

fn formula() -> String {
    fs::read_to_string(FORMULA).expect("the formula")
}

/// What stands in quotes after this word, in the formula's order.
fn quoted<'a>(text: &'a str, word: &str) -> Vec<&'a str> {
    let begins = format!("{word} \"");
    let after = |line: &'a str| line.trim_start().strip_prefix(&begins)?.split('"').next();
    text.lines().filter_map(after).collect()
}

/// The archives that `scripts/release-binaries` makes, as the script for the formula finds them: each with its own checksum.
#[test]
fn the_formula_has_the_archives_of_this_version() {
    let version = env!("CARGO_PKG_VERSION");
    let text = formula();
    assert_eq!(quoted(&text, "version"), [version]);
    let script = fs::read_to_string("scripts/release-binaries").expect("the script");
    assert!(script.contains(r#"archive "pgvigil-$version-$system-$arch" "#), "archives have other names");
    let folder = Folder::new("formula", "TERM");
    let kinds = ["darwin-arm64", "darwin-amd64", "linux-arm64", "linux-amd64"];
    for kind in kinds {
        folder.write(&format!("pgvigil-{version}-{kind}.tar.gz"), kind);
    }
    let release = format!("https://github.com/pgvigil/pgvigil/releases/download/v{version}/pgvigil-{version}-");
    let urls = kinds.map(|kind| format!("{release}{kind}.tar.gz"));
    assert_eq!(quoted(&text, "url"), urls);
    succeeded(Command::new("scripts/release-formula").arg(folder.path()));
    let filled = fs::read_to_string(folder.path().join("pgvigil.rb")).expect("the formula of a release");
    for (kind, sum) in kinds.iter().zip(quoted(&filled, "sha256")) {
        let file = format!("pgvigil-{version}-{kind}.tar.gz");
        let right = succeeded(folder.command("sha256sum").arg(&file)).stdout;
        assert!(String::from_utf8_lossy(&right).starts_with(sum) && sum.len() == 64, "{file}: {sum}");
    }
    let sums: BTreeSet<_> = quoted(&filled, "sha256").into_iter().collect();
    assert_eq!(sums.len(), kinds.len(), "{sums:?}");
    fs::remove_file(folder.path().join(format!("pgvigil-{version}-linux-arm64.tar.gz"))).expect("a file");
    let refused = Command::new("scripts/release-formula").arg(folder.path()).output().expect("running a script");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("linux-arm64.tar.gz") && !refused.status.success());
}

/// The settings that it installs are good; program, manual, completions of three shells, rules and dashboards come along.
#[test]
fn the_formula_installs_all_there_is() {
    let text = formula();
    for installed in [
        r#"bin.install "pgvigil""#,
        r#"man1.install Dir["man/*.1"]"#,
        r#"bash_completion.install "completions/pgvigil.bash" => "pgvigil""#,
        r#"zsh_completion.install "completions/pgvigil.zsh" => "_pgvigil""#,
        r#"fish_completion.install "completions/pgvigil.fish""#,
        r#"pkgshare.install "rules", "dashboards", "examples""#,
    ] {
        assert!(text.contains(installed), "{installed}");
    }
    let (_, settings) = text.split_once("<<~YAML\n").expect("settings");
    let (settings, _) = settings.split_once("\n  YAML\n").expect("their end");
    let settings: Vec<_> = settings.lines().map(|line| line.strip_prefix("    ").unwrap_or(line)).collect();
    let folder = Folder::new("brewed", "TERM");
    let file = folder.write("pgvigil.yaml", &settings.join("\n"));
    succeeded(Command::new(env!("CARGO_BIN_EXE_pgvigil")).args(["check", "--config"]).arg(file).env_clear());
}

#[test]
#[ignore = "needs Ruby: make test-all"]
fn ruby_reads_the_formula() {
    succeeded(Command::new(system_program("ruby")).args(["-cw", FORMULA]));
}
