//! docs/SUMMARY.md is the contents of the site that `make docs` builds: every page stands there once, and README.md stays short.

use std::{collections::BTreeSet, fs, path::Path};

use super::links::{documents, links};
use crate::rules::files;

const CONTENTS: &str = "./docs/SUMMARY.md";

/// What somebody new reads first.
pub const FIRST: [&str; 8] = [
    "README.md",
    "docs/README.md",
    "docs/start.md",
    "docs/concepts.md",
    "docs/alerting.md",
    "docs/dashboards.md",
    "docs/where.md",
    "docs/operations.md",
];

/// Their lines are shorter than this.
const WIDTH: usize = 100;

#[test]
fn every_page_stands_in_the_contents_once() {
    let text = fs::read_to_string(CONTENTS).expect(CONTENTS);
    let listed: Vec<_> = links(&text).map(|link| Path::new("./docs").join(link)).collect();
    let mut files = Vec::new();
    documents(Path::new("./docs"), &mut files);
    let pages: BTreeSet<_> = files.into_iter().filter(|file| file != Path::new(CONTENTS)).collect();
    let unique: BTreeSet<_> = listed.iter().cloned().collect();
    assert_eq!(listed.len(), unique.len(), "{CONTENTS} names a page twice");
    let lost: Vec<_> = unique.difference(&pages).collect();
    let missing: Vec<_> = pages.difference(&unique).collect();
    assert!(lost.is_empty() && missing.is_empty(), "{CONTENTS}: not there {lost:?}, not listed {missing:?}");
}

#[test]
fn runbooks_are_listed_by_the_name_of_their_alert() {
    let text = fs::read_to_string(CONTENTS).expect(CONTENTS);
    let entries = text.lines().filter_map(|line| line.trim().strip_prefix("- [")?.split_once("](runbooks/"));
    let wrong: Vec<_> = entries.filter(|(name, file)| format!("{name}.md)") != **file).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn the_readme_is_read_in_a_minute() {
    let text = fs::read_to_string("README.md").expect("README.md");
    assert!(text.lines().count() <= 150, "README.md has {} lines of 150", text.lines().count());
}

/// Diffs and terminals show such lines whole.
#[test]
fn lines_of_the_first_pages_are_short() {
    let mut long = Vec::new();
    for page in FIRST {
        let text = fs::read_to_string(page).expect(page);
        let lines = text.lines().enumerate().filter(|(_, line)| line.chars().count() >= WIDTH);
        long.extend(lines.map(|(number, _)| format!("{page}:{}", number + 1)));
    }
    assert!(long.is_empty(), "lines of {WIDTH} characters or more:\n{}", long.join("\n"));
}

/// What README.md counts.
#[test]
fn the_readme_counts_right() {
    let text = fs::read_to_string("README.md").expect("README.md").split_whitespace().collect::<Vec<_>>().join(" ");
    let alerts = files::rules().into_iter().filter_map(|rule| rule.alert).collect::<BTreeSet<_>>().len();
    let unusual = fs::read_to_string("docs/unusual.md").expect("docs/unusual.md");
    let systems = unusual.lines().filter(|line| line.starts_with("| ")).count() - 1;
    for words in [format!("{alerts} alerts"), format!("{systems} healthy but")] {
        assert!(text.contains(&words), "README.md does not say {words:?}");
    }
}
