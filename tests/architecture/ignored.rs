//! A test that does not run is ignored, with its reason, so that the summary says so.

use std::{fs, path::Path};

use super::rust_files;

#[test]
fn no_test_passes_by_returning() {
    let (mut wrong, mut tests) = (Vec::new(), 0);
    for file in rust_files(Path::new("tests")) {
        let text = fs::read_to_string(&file).expect("a readable file");
        for test in text.split("\n#[test]\n").skip(1) {
            tests += 1;
            let body = test.split("\n}\n").next().unwrap_or_default();
            wrong.extend(returns(body).map(|line| format!("{}: {line}", file.display())));
        }
    }
    assert!(tests > 300, "found {tests} tests");
    assert!(wrong.is_empty(), "use #[ignore = \"a reason\"] instead of\n{}", wrong.join("\n"));
}

/// The lines by which a formatted test could pass without having run: a bare return, or all of it in the long form only.
fn returns(body: &str) -> impl Iterator<Item = &str> {
    let is_return = |line: &&str| line.trim() == "return;" || line.starts_with("    if is_long() {");
    body.lines().filter(is_return).map(str::trim)
}

#[test]
fn returns_are_found() {
    let early = "fn a() {\n    if !is_long() {\n        return;\n    }\n    assert!(true);";
    let long = "fn b() {\n    if is_long() {\n        assert!(true);\n    }";
    let rounds = "fn c() {\n    let rounds = if is_long() { 20 } else { 2 };\n    assert!(rounds > 0);";
    for (body, count) in [(early, 1), (long, 1), (rounds, 0)] {
        assert_eq!(returns(body).count(), count, "{body}");
    }
}
