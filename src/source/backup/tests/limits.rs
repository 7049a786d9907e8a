//! Tests of limits at their exact values: the memory of a document, and the contents of one repository.

use crate::collector::sections::backup::{PgBackRestRepoRow, SECTIONS};
use crate::collector::sections::row::SectionTables;
use crate::source::backup::contents::{FinishedBackup, RepositoryContents, Stanza};
use crate::source::backup::json::JsonReader;
use crate::source::backup::problem::BackupReason;
use crate::table::{Cell, Table};

fn list(item: &str, times: usize) -> String {
    format!("[{}]", vec![item; times].join(","))
}

#[test]
fn documents_are_refused_by_the_memory_that_they_would_take() {
    let texts =
        |times, spaces| (list(&format!("\"{}\"", "x".repeat(1_000_000)), times) + &" ".repeat(spaces)).into_bytes();
    // A byte that is not UTF-8 causes another copy of the document.
    let broken = |spaces| {
        let mut bytes = texts(19, spaces);
        bytes[2] = 0xff;
        bytes
    };
    let text = |inside: &str, times| format!("[0,\"{}\"]", inside.repeat(times)).into_bytes();
    for (name, fits, is_too_large) in [
        ("values", list("0", 1_310_716).into_bytes(), list("0", 1_310_717).into_bytes()),
        ("lists", list("[]", 238_312).into_bytes(), list("[]", 238_313).into_bytes()),
        ("maps", list("{}", 62_415).into_bytes(), list("{}", 62_416).into_bytes()),
        ("together", texts(29, 359_520), texts(29, 359_521)),
        ("together, with a copy", broken(573_120), broken(573_121)),
        ("a text", text("x", (1 << 20) - 1), text("x", 1 << 20)),
        ("a text with quotes", text("\\\"", (1 << 19) - 1), text("\\\"", 1 << 19)),
        ("a text of commas", text(",", 1_000_000), text("[{,", 1_000_000)),
        ("a text without an end", b"[]".to_vec(), [b"[0,\"", "x".repeat(1 << 20).as_bytes()].concat()),
    ] {
        assert!(JsonReader::default().parse(&fits).is_ok(), "{name}");
        let problem = JsonReader::default().parse(&is_too_large).expect_err(name);
        assert_eq!(problem.reason, BackupReason::TooLarge, "{name}");
    }
}

#[test]
fn bytes_that_are_not_text_are_replaced_up_to_a_limit() {
    for (bad, expected) in [(0, Some(0)), (1, Some(1)), (64 << 10, Some(1)), ((64 << 10) + 1, None)] {
        let mut reader = JsonReader::default();
        let bytes = [b"\"", vec![0xff; bad].as_slice(), b"\""].concat();
        assert_eq!(reader.parse(&bytes).ok().map(|_| reader.malformed), expected, "{bad}");
    }
}

#[test]
fn contents_have_limits() {
    let mut contents = RepositoryContents::default();
    for nth in 0..2003 {
        contents.push(Stanza { name: nth.to_string(), ..Stanza::default() });
    }
    assert_eq!((contents.stanzas.len(), contents.malformed, contents.unknown.len()), (2000, 3, 3));
    for _ in 0..30 {
        contents.push_unknown("why");
    }
    assert_eq!(contents.unknown.len(), 20);
    while contents.malformed < 5 {
        let [repository, stanza, repo_key, status] = [Cell::Absent; 4];
        let cipher = Cell::Text(&"x".repeat(1000));
        contents.push_row(PgBackRestRepoRow { repository, stanza, repo_key, cipher, status });
    }
    let bytes = contents.tool_tables.by_name.get("pgbackrest_repos").map_or(0, Table::bytes);
    assert!((1 << 20..(1 << 20) + 4000).contains(&bytes), "{bytes}");
}

#[test]
fn backups_in_the_future_are_left_out() {
    let day = 86_400.0;
    let now = 1_795_265_660.0;
    let stanza = |ends: &[f64], archived| Stanza {
        backups: ends.iter().map(|end| FinishedBackup { end: now + end, ..FinishedBackup::default() }).collect(),
        archived: Some(now + archived),
        ..Stanza::default()
    };
    let mut contents = RepositoryContents::default();
    contents.push(stanza(&[-1.0, day, day + 1.0, 2.0 * day], day + 1.0));
    contents.push(stanza(&[day], day));
    contents.leave_out_future(now);
    let left: Vec<_> = contents.stanzas.iter().map(|stanza| (stanza.backups.len(), stanza.partial)).collect();
    assert_eq!(left, [(2, true), (1, false)]);
    assert_eq!(contents.stanzas.iter().map(|stanza| stanza.archived).collect::<Vec<_>>(), [None, Some(now + day)]);
    assert_eq!((contents.malformed, contents.unknown.len()), (2, 1));
}

#[test]
fn rows_of_a_stanza_show_the_newest_of_each_kind() {
    let backup =
        |kind: &str, start, end| FinishedBackup { kind: kind.to_owned(), start, end, ..FinishedBackup::default() };
    let mut stanza = Stanza { archived: Some(6.0), ..Stanza::default() };
    stanza.push_failed(8.0);
    stanza.push_failed(7.0);
    stanza.backups =
        vec![backup("full", Some(4.0), 5.0), backup("full", Some(2.0), 3.0), backup("incr", Some(5.0), 4.0)];
    assert_eq!((stanza.failed, stanza.restorable()), (Some(8.0), Some(6.0)));
    for (partial, whole) in [(false, [Cell::Int(3), Cell::Float(3.0), Cell::Int(2)]), (true, [Cell::Absent; 3])] {
        stanza.partial = partial;
        let mut tables = SectionTables::new(SECTIONS);
        stanza.push(&mut tables, "r");
        let (stanzas, backups) = (tables.by_name.get("stanzas").unwrap(), tables.by_name.get("backups").unwrap());
        assert_eq!([stanzas.cell(0, 3), stanzas.cell(0, 4), backups.cell(0, 4)], whole);
        assert_eq!((backups.cell(0, 5), backups.cell(0, 6)), (Cell::Float(5.0), Cell::Float(1.0)));
        assert_eq!(
            (backups.cell(1, 5), backups.cell(1, 6)),
            (Cell::Float(4.0), Cell::Absent),
            "it ended before it began"
        );
    }
    stanza.backups = (0..30).map(|nth| backup(&nth.to_string(), None, 1.0)).collect();
    let mut tables = SectionTables::new(SECTIONS);
    stanza.push(&mut tables, "r");
    assert_eq!(tables.by_name.get("backups").map(Table::rows), Some(20));
}
