//! Files and functions keep their size, and every file begins with its job.

use super::each;

#[test]
fn files_are_short_and_begin_with_their_job() {
    each(|source, wrong| {
        let lines = source.text.lines().count();
        if lines > 400 {
            wrong.push(format!("{} has {lines} lines: 400 at most", source.path));
        }
        if !source.text.starts_with("//! ") {
            wrong.push(format!("{} does not begin with its job in a line: `//! ...`", source.path));
        }
    });
}

#[test]
fn functions_are_short() {
    each(|source, wrong| {
        for (name, lines) in functions(&source.text).filter(|(_, lines)| *lines > 60) {
            wrong.push(format!("{}: {name} has {lines} lines: 60 at most", source.path));
        }
    });
}

/// The functions of a formatted file: the line that begins each, and its number of lines.
fn functions(text: &str) -> impl Iterator<Item = (&str, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let begins = |line: &str| {
        let words = line.split('(').next().unwrap_or_default();
        words.split(' ').any(|word| word == "fn") && !line.trim_start().starts_with("//")
    };
    let starts: Vec<usize> = (0..lines.len()).filter(|at| begins(lines[*at])).collect();
    starts.into_iter().map(move |start| {
        let indent = lines[start].len() - lines[start].trim_start().len();
        // It ends at the brace under its beginning, or is a single line.
        let ends = |line: &&str| line.len() - line.trim_start().len() == indent && line.trim_start().starts_with('}');
        let is_one_line = lines[start].ends_with(['}', ';']);
        let rest = lines[start + 1..].iter().position(ends).filter(|_| !is_one_line);
        (lines[start].trim(), rest.map_or(1, |at| at + 2))
    })
}

#[test]
fn functions_are_measured() {
    let text = "fn one() {}\n\nimpl A {\n    pub async fn five(\n        self,\n    ) -> u8 {\n        1\n    }\n}\n";
    let found: Vec<_> = functions(text).map(|(_, lines)| lines).collect();
    assert_eq!(found, [1, 5]);
}
