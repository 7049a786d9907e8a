//! Each promise of docs/reliability.md has tests that bear its number, and no test bears another.

use std::{collections::BTreeMap, fs, path::Path};

/// The tests by the number at the beginning of their names: `p07_null_is_no_series`.
fn tests(folder: &Path, found: &mut BTreeMap<u32, Vec<String>>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            tests(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source");
            // Behind the reason why a test is ignored.
            let line = |test: &str| test.lines().find(|line| line.starts_with("fn ")).map(str::to_owned);
            for line in text.split("#[test]\n").skip(1).filter_map(line) {
                let name = line.strip_prefix("fn p").and_then(|rest| rest.split_once('_'));
                let number = name.and_then(|(number, _)| number.parse().ok());
                found.entry(number.unwrap_or_default()).or_default().push(line);
            }
        }
    }
}

#[test]
fn every_promise_has_a_test_and_every_number_is_a_promise() {
    let mut found = BTreeMap::new();
    tests("tests".as_ref(), &mut found);
    // Without a number.
    found.remove(&0);
    let text = fs::read_to_string("docs/reliability.md").expect("the promises");
    let numbers = text.lines().filter_map(|line| line.split_once(". ")?.0.parse::<u32>().ok());
    let promised: Vec<_> = numbers.collect();
    assert_eq!(promised, (1..=28).collect::<Vec<_>>(), "docs/reliability.md");
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), promised, "{found:#?}");
}
