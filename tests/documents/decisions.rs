//! docs/adr/: the list and the pages agree on what is superseded, and by which decision.

use std::{collections::BTreeSet, fs, path::Path};

/// What a page says below its title: `2 in part by 28`.
fn of_page(path: &Path) -> Option<String> {
    let number: u32 = path.file_name()?.to_str()?.split_once('-')?.0.parse().ok()?;
    let text = fs::read_to_string(path).expect("a decision");
    let (by, _) = text.lines().nth(2)?.strip_prefix("Superseded ")?.split_once("](")?;
    Some(format!("{number} {}", by.replace('[', "")))
}

/// The same of a line of the list.
fn of_line(line: &str) -> Option<String> {
    let (number, rest) = line.split_once(". [")?;
    let (_, by) = rest.split_once(" (superseded ")?;
    Some(format!("{number} {}", by.strip_suffix(')')?))
}

#[test]
fn superseded_decisions_say_so() {
    let files = fs::read_dir("docs/adr").expect("the decisions").map(|entry| entry.expect("an entry").path());
    let pages: BTreeSet<_> = files.filter_map(|path| of_page(&path)).collect();
    let list = fs::read_to_string("docs/adr/README.md").expect("the list");
    let listed: BTreeSet<_> = list.lines().filter_map(of_line).collect();
    assert!(pages.len() >= 4, "{pages:?}");
    assert_eq!(pages, listed);
}
