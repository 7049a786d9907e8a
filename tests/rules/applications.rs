//! The example for pools inside of applications: promtool takes its rules, they fire and stay silent as its cases say, and its board is made of its
//! file.

use std::{fs, process::Command};

use expect_test::expect_file;
use pgvigil::{
    board,
    config::{boards, catalogue::Catalogue},
};

use crate::support::place::system_program;

const RULES: &str = "docs/examples/application-pools.rules.yaml";
const CASES: &str = "tests/rules/application-pools.yaml";
const BOARD: &str = "docs/examples/application-pools.board.yaml";

fn promtool(arguments: &[&str]) {
    let output = Command::new(system_program("promtool")).args(arguments).output().expect("running promtool");
    let told = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "{told}");
}

#[test]
fn alerts_on_applications_pools_fire_and_stay_silent() {
    promtool(&["check", "rules", "--lint=all", "--lint-fatal", RULES]);
    promtool(&["test", "rules", CASES]);
}

#[test]
fn each_alert_on_applications_pools_has_a_case() {
    let [rules, cases] = [RULES, CASES].map(|file| fs::read_to_string(file).expect("a file"));
    let alerts: Vec<_> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(!alerts.is_empty());
    for alert in alerts {
        let of_this: Vec<_> =
            cases.split("alertname: ").filter(|rest| rest.starts_with(&format!("{alert}\n"))).collect();
        let silent = of_this.iter().filter(|rest| rest.contains("exp_alerts: []")).count();
        assert!(silent > 0 && silent < of_this.len(), "{alert}: of {} cases {silent} are silent", of_this.len());
    }
}

/// `UPDATE_EXPECT=1 cargo test --test all -- applications` writes it.
#[test]
fn the_board_of_applications_pools_is_current() {
    let [shared, board] =
        ["dashboards/boards/shared.yaml", BOARD].map(|file| fs::read_to_string(file).expect("a file"));
    let files = [("application_pools.yaml", board.as_str())];
    let catalogue = Catalogue::load(None).unwrap_or_else(|problems| panic!("{problems}"));
    let boards =
        boards::from_files(&shared, files, &catalogue).unwrap_or_else(|problems| panic!("{BOARD}: {problems}"));
    expect_file!["../../docs/examples/application-pools.json"].assert_eq(&board::json(&boards[0]));
}
