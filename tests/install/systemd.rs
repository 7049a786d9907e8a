//! The systemd unit: what it forbids, as systemd judges it, and what is installed with it.

use std::{fs, process::Command};

use super::succeeded;
use crate::support::{Folder, place::system_program};

const BINARY: &str = env!("CARGO_BIN_EXE_pgvigil");
const UNIT: &str = "deploy/systemd/pgvigil.service";

/// systemd's figure runs from 0 (nothing can be done) to 10 (everything can).
#[test]
fn hardly_anything_is_open_to_the_service() {
    let mut systemd = Command::new(system_program("systemd-analyze"));
    let output = succeeded(systemd.args(["security", "--offline=true", "--no-pager", "--threshold=19", UNIT]));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{}", said.lines().last().unwrap_or_default());
    assert!(said.contains("Overall exposure level"), "{said}");
}

/// systemd reads the unit without a complaint, the program being where the package puts it.
#[test]
fn systemd_understands_the_unit() {
    let folder = Folder::new("unit", "TERM");
    let unit = fs::read_to_string(UNIT).expect("the unit").replace("/usr/bin/pgvigil", BINARY);
    // A page of the manual is looked for where it is installed.
    let unit = unit.replace("man:pgvigil(1) ", "");
    let file = folder.write("pgvigil.service", &unit);
    let output = succeeded(Command::new(system_program("systemd-analyze")).args(["verify", "--man=no"]).arg(file));
    let said = String::from_utf8_lossy(&output.stderr);
    let ours: Vec<_> = said.lines().filter(|line| line.contains("pgvigil")).collect();
    assert!(ours.is_empty(), "{ours:?}");
}

#[test]
fn the_installed_settings_are_good() {
    succeeded(Command::new(BINARY).args(["check", "--config", "deploy/systemd/pgvigil.yaml"]).env_clear());
}

/// Every variable that the file of variables names is one of an option, or one that is said to be the user's.
#[test]
fn the_variables_are_the_programs() {
    let help = succeeded(Command::new(BINARY).args(["serve", "--help"]).env_clear()).stdout;
    let help = String::from_utf8(help).expect("text").split_whitespace().collect::<Vec<_>>().join(" ");
    let text = fs::read_to_string("deploy/systemd/pgvigil.default").expect("the variables");
    let names: Vec<_> =
        text.lines().filter_map(|line| line.strip_prefix('#')?.split_once('=')).map(|(n, _)| n).collect();
    let known = names.iter().filter(|name| help.contains(&format!("[env: {name}=")));
    assert_eq!(known.count() + 1, names.len(), "{names:?}");
}
