//! docs/reliability.md numbers what is promised; tests bear the numbers.

use std::{collections::BTreeSet, fs, path::Path};

/// The numbers of tests in a folder: those whose names begin like `p07_`.
fn of_tests(folder: &Path, into: &mut BTreeSet<u32>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            of_tests(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a file");
            let names = text.lines().filter_map(|line| line.trim_start().strip_prefix("fn p")?.split_once('_'));
            into.extend(names.filter_map(|(number, _)| number.parse::<u32>().ok()));
        }
    }
}

#[test]
fn every_promise_has_tests_of_its_number() {
    let text = fs::read_to_string("docs/reliability.md").expect("docs/reliability.md");
    let numbers = text.lines().filter_map(|line| line.split_once(". ")?.0.parse::<u32>().ok());
    let promised: Vec<_> = numbers.collect();
    assert!(promised.len() > 20 && promised.iter().copied().eq(1..=promised.len() as u32), "{promised:?}");
    let mut tested = BTreeSet::new();
    of_tests(Path::new("tests"), &mut tested);
    assert_eq!(promised.into_iter().collect::<BTreeSet<_>>(), tested);
}
