//! The examples in docs/examples, which are not shipped: promtool of either generation takes the rules, and passes their tests in
//! tests/rules/examples; each alert has its cases; the board is made of its file.

use std::fs;

use expect_test::expect_file;
use pgvigil::collector::catalogue::Catalogue;
use pgvigil_tools::{boards, grafana};

use crate::support::{Generation, promtool};

const RULES: &str = ".rules.yaml";
const BOARD: &str = "docs/examples/application-pools.board.yaml";

#[test]
fn examples_of_rules_do_what_they_say() {
    for name in names() {
        let (rules, cases) = (format!("docs/examples/{name}{RULES}"), format!("tests/rules/examples/{name}.yaml"));
        for &generation in Generation::tested() {
            judged(generation, &["check", "rules", "--lint=all", "--lint-fatal", &rules]);
            judged(generation, &["test", "rules", &cases]);
        }
    }
}

#[test]
fn each_alert_of_an_example_has_a_case_and_a_near_miss() {
    for name in names() {
        let files = [format!("docs/examples/{name}{RULES}"), format!("tests/rules/examples/{name}.yaml")];
        let [rules, cases] = files.map(|file| fs::read_to_string(file).expect("a file"));
        let alerts: Vec<_> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
        assert!(!alerts.is_empty());
        for alert in alerts {
            let of_this = cases.split("alertname: ").filter(|rest| rest.split([',', '\n']).next() == Some(alert));
            let of_this: Vec<_> = of_this.collect();
            let silent = of_this.iter().filter(|rest| rest.contains("exp_alerts: []")).count();
            assert!(silent > 0 && silent < of_this.len(), "{alert}: of {} cases {silent} are silent", of_this.len());
        }
    }
}

fn names() -> Vec<String> {
    let entries = fs::read_dir("docs/examples").expect("examples");
    let files = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    let mut names: Vec<_> = files.filter_map(|file| Some(file.strip_suffix(RULES)?.to_owned())).collect();
    names.sort();
    assert!(!names.is_empty(), "no example");
    names
}

fn judged(generation: Generation, arguments: &[&str]) {
    let output = promtool(generation, arguments, "");
    let told = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "{generation:?} {arguments:?}\n{told}");
}

/// `UPDATE_EXPECT=1 cargo test --test all -- examples` writes it.
#[test]
fn the_board_of_application_pools_is_current() {
    let [shared, board] =
        ["dashboards/boards/shared.yaml", BOARD].map(|file| fs::read_to_string(file).expect("a file"));
    let files = [("application_pools.yaml", board.as_str())];
    let catalogue = Catalogue::load(None).unwrap_or_else(|problems| panic!("{problems}"));
    let boards =
        boards::from_files(&shared, files, &catalogue).unwrap_or_else(|problems| panic!("{BOARD}: {problems}"));
    expect_file!["../../docs/examples/application-pools.json"].assert_eq(&grafana::json(&boards[0]));
}
