//! Tests of the tools' parsers on output of every shape: it is read or refused, without a panic.

mod lenient;
mod limits;

use proptest::prelude::*;
use proptest::string::bytes_regex;
use serde_json::{Value, json};

use crate::collector::sections::backup::SECTIONS;
use crate::collector::sections::row::SectionTables;
use crate::source::backup::contents::{RepositoryContents, Stanza};
use crate::source::backup::{barman, pgbackrest, walg};
use crate::table::Cell;

/// Reads the same bytes with all parsers.
fn parse(bytes: &[u8]) -> [Option<RepositoryContents>; 3] {
    let mut parsed =
        [pgbackrest::parse(bytes, "r", None).ok(), barman::parse(bytes, None, 0.0).ok(), walg::parse(bytes).ok()];
    for contents in parsed.iter_mut().flatten() {
        _ = walg::add_wal(contents, bytes);
        let mut tables = SectionTables::default();
        contents.stanzas.iter().for_each(|stanza| stanza.push(&mut tables, "r"));
    }
    parsed
}

fn pgbackrest_document() -> Value {
    json!([{
        "archive": [{"database": {"id": 1, "repo-key": 1}, "id": "15-1", "max": "000000010000000000000006", "min": "000000010000000000000001"}],
        "backup": [{
            "archive": {"start": "000000010000000000000002", "stop": "000000010000000000000002"},
            "database": {"id": 1, "repo-key": 1},
            "error": false,
            "info": {"delta": 7, "repository": {"delta": 5, "size": 6}, "size": 8},
            "timestamp": {"start": 1795265618, "stop": 1795265621},
            "type": "full",
        }],
        "db": [{"id": 1, "repo-key": 1, "system-id": 7501234567890123455_u64, "version": "13"},
               {"id": 2, "repo-key": 1, "system-id": 7501234567890123456_u64, "version": "15"}],
        "name": "main",
        "repo": [{"cipher": "none", "key": 1, "status": {"code": 0, "message": "ok"}}],
        "status": {"code": 0, "lock": {"backup": {"held": false}}, "message": "ok"},
    }])
}

fn barman_document() -> Value {
    json!({"servers": {"main": {
        "backups": {
            "20261121T125420": {"status": "DONE", "begin_time": "2026-11-21 12:54:20.5+00:00", "end_time": "2026-11-21 12:54:22+00:00",
                                "size": 8, "deduplicated_size": 8, "begin_wal": "000000010000000000000002", "systemid": "7501234567890123456"},
            "20261121T135420": {"status": "FAILED", "begin_time": "2026-11-21 13:54:20+00:00", "end_time": null},
        },
        "wals": {"last_archived_wal_per_timeline": {"00000001": {"name": "000000010000000000000004", "time": 1795265700.5}}},
    }}})
}

fn walg_document() -> Value {
    json!([{"backup_name": "base_000000010000000000000002", "time": "2026-11-21T12:54:23Z", "wal_file_name": "000000010000000000000002",
            "start_time": "2026-11-21T12:54:20Z", "finish_time": "2026-11-21T12:54:22Z", "uncompressed_size": 8, "compressed_size": 5,
            "system_identifier": 7501234567890123456_u64}])
}

/// Replaces the value at a position of a document, counted in the order of writing.
fn replace(value: &mut Value, at: &mut usize, with: &Value) {
    if *at == 0 {
        *value = with.clone();
    }
    *at = at.wrapping_sub(1);
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, at, with)),
        Value::Object(items) => items.iter_mut().for_each(|(_, item)| replace(item, at, with)),
        _ => {}
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,30}".prop_map(Value::from),
        "[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.+Zä-]{0,20}".prop_map(Value::from),
        "[0-9A-Fä]{20,30}".prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
        Just(json!([[1], {"a": null}, "x"])),
    ]
}

proptest! {
    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        parse(&bytes);
    }

    #[test]
    fn anything_like_json(bytes in bytes_regex(r#"[\[{]{1,40}("[a-z]{1,6}":|[0-9]{1,400}|-|1e[0-9]{1,5}|true|null|[\]},\xff]){0,60}"#).unwrap()) {
        parse(&bytes);
    }

    #[test]
    fn truncated(which in 0..3usize, part in 0.0..1.0f64) {
        let text = [pgbackrest_document(), barman_document(), walg_document()][which].to_string();
        let end = (text.len() as f64 * part) as usize;
        prop_assert!(parse(&text.as_bytes()[..end])[which].is_none() || which == 2 && end == 0, "half a document is refused");
    }

    #[test]
    fn any_value_in_any_place(which in 0..3usize, at in 0..60usize, with in any_value()) {
        let mut document = [pgbackrest_document(), barman_document(), walg_document()][which].clone();
        replace(&mut document, &mut at.clone(), &with);
        parse(document.to_string().as_bytes());
    }
}

#[test]
fn documents_are_read() {
    let [pgbackrest, ..] = parse(pgbackrest_document().to_string().as_bytes());
    let [_, barman, _] = parse(barman_document().to_string().as_bytes());
    let [.., walg] = parse(walg_document().to_string().as_bytes());
    for (contents, end, restorable, failed) in [
        (pgbackrest, 1795265621.0, 1795265621.0, None),
        (barman, 1795265662.0, 1795265700.5, Some(1795269260.0)),
        (walg, 1795265662.0, 1795265662.0, None),
    ] {
        let contents = contents.expect("it is read");
        assert_eq!((contents.stanzas.len(), contents.malformed), (1, 0), "{contents:?}");
        let stanza = &contents.stanzas[0];
        assert_eq!(stanza.newest().map(|newest| newest.end), Some(end));
        assert_eq!((stanza.restorable(), stanza.failed), (Some(restorable), failed));
        assert_eq!(servers(stanza), ["r", &stanza.name, &stanza.repo_key, "7501234567890123456"]);
    }
}

/// The rows with the system identifier of a stanza's server.
fn servers(stanza: &Stanza) -> Vec<String> {
    let mut tables = SectionTables::new(SECTIONS);
    stanza.push(&mut tables, "r");
    let table = tables.by_name.get("servers").unwrap();
    let cells = |row| (0..4).map(move |column| (row, column));
    let text = |cell: Cell<'_>| if let Cell::Text(text) = cell { text.to_owned() } else { String::new() };
    (0..table.rows()).flat_map(cells).map(|(row, column)| text(table.cell(row, column))).collect()
}

#[test]
fn a_system_identifier_is_absent_rather_than_wrong() {
    let mut document = pgbackrest_document();
    document[0]["db"] = json!([{"id": 1, "repo-key": 2, "system-id": 7501234567890123455_u64}]);
    let [contents, ..] = parse(document.to_string().as_bytes());
    assert_eq!(servers(&contents.expect("it is read").stanzas[0]), [""; 0]);
    let mut document = walg_document();
    document[0]["system_identifier"] = json!("none");
    let [.., contents] = parse(document.to_string().as_bytes());
    let contents = contents.expect("it is read");
    assert_eq!((servers(&contents.stanzas[0]), contents.malformed), (vec![], 1));
}

/// A real backup of a server in India by a Barman in New York, at 15:27:19 UTC.
#[test]
fn times_without_a_zone_are_read_by_the_clock_that_wrote_them() {
    let document = include_bytes!("../../../../tests/backup/barman/diagnose-2.17.json");
    let (end, wrote) = (1_795_879_633.0, 1_795_879_639.0);
    for (at, expected) in [(wrote, Some(end)), (wrote + 240.0, Some(end)), (wrote + 86_400.0 * 3.0, None)] {
        let contents = barman::parse(document, None, at).expect("it is read");
        let stanza = &contents.stanzas[0];
        assert_eq!(stanza.newest().map(|newest| newest.end), expected);
        assert_eq!(stanza.newest().and_then(|newest| newest.duration()), expected.map(|_| 3.0));
        assert_eq!((stanza.partial, contents.unknown.len()), (expected.is_none(), usize::from(expected.is_none())));
    }
}

#[test]
fn wal_that_is_not_described_is_not_complete() {
    let gaps = |text: &str| {
        let mut contents = walg::parse(walg_document().to_string().as_bytes()).expect("it is read");
        walg::add_wal(&mut contents, text.as_bytes()).map(|()| contents.stanzas[0].gaps)
    };
    for (text, expected) in [
        (r#"[{"missing_segments": []}, {"missing_segments": null}]"#, Some(0)),
        (r#"[{"missing_segments": ["000000010000000000000001", "000000010000000000000003"]}]"#, Some(1)),
        (r#"[{"missing_segments": ["gone"]}]"#, None),
        (r#"[{"missing_segments": 0}]"#, None),
        (r#"[{"missing": []}]"#, None),
        ("[null]", None),
        ("[]", None),
        ("", None),
    ] {
        assert_eq!(gaps(text).ok().flatten(), expected, "{text}");
    }
}

#[test]
fn servers_that_are_switched_off_are_left_out_unless_named() {
    let server = |active: Value| json!({"config": {"active": active}, "backups": {}});
    let sourced = json!({"value": false, "source": "barman.conf"});
    let document = json!({"servers": {"on": server(json!(true)), "off": server(json!(false)), "sourced": server(sourced), "plain": {"backups": {}}}});
    let names = |wanted| {
        let contents = barman::parse(document.to_string().as_bytes(), wanted, 0.0);
        contents.map(|contents| contents.stanzas.into_iter().map(|stanza| stanza.name).collect::<Vec<_>>())
    };
    assert_eq!(names(None).expect("some are active"), ["on", "plain"]);
    assert_eq!(names(Some("off")).expect("it is there"), ["off"]);
    assert!(
        names(Some("other")).is_err_and(|problem| problem.message.contains("a server other; servers in it: off, on"))
    );
}

#[test]
fn malformed_values_are_left_out_and_counted() {
    let text = pgbackrest_document().to_string();
    for (from, to) in [
        ("\"size\":8", "\"size\":-8"),
        ("\"size\":8", "\"size\":\"many\""),
        ("\"stop\":1795265621", "\"stop\":99999999999999"),
        ("\"error\":false", "\"error\":\"no\""),
    ] {
        assert!(text.contains(from));
        let contents = pgbackrest::parse(text.replace(from, to).as_bytes(), "r", None).expect("the rest is read");
        assert!(contents.malformed >= 1, "{to}: {contents:?}");
    }
    let mut bytes = text.into_bytes();
    let at = bytes.windows(4).position(|window| window == b"main").unwrap();
    bytes[at] = 0xff;
    let contents = pgbackrest::parse(&bytes, "r", None).expect("the rest is read");
    assert_eq!((contents.malformed, contents.stanzas[0].name.as_str()), (1, "\u{fffd}ain"));
}

#[test]
fn a_repository_that_could_not_be_read_is_not_without_backups() {
    let mut document = pgbackrest_document();
    document[0]["backup"] = json!([]);
    document[0]["repo"] = json!([
        {"cipher": "none", "key": 1, "status": {"code": 99, "message": "[HostConnectError] no route"}},
        {"cipher": "none", "key": 2, "status": {"code": 2, "message": "no valid backups"}},
    ]);
    let contents = pgbackrest::parse(document.to_string().as_bytes(), "r", None).expect("it is read");
    assert_eq!(contents.unknown, ["stanza main, repository 1: [HostConnectError] no route"]);
    let keys: Vec<_> = contents.stanzas.iter().map(|stanza| (stanza.repo_key.as_str(), stanza.backups.len())).collect();
    assert_eq!(keys, [("2", 0)]);
}

#[test]
fn output_of_another_tool_is_refused() {
    for (parsed, expected) in [
        (parse(pgbackrest_document().to_string().as_bytes()), [true, false, false]),
        (parse(barman_document().to_string().as_bytes()), [false, true, false]),
        (parse(walg_document().to_string().as_bytes()), [false, false, true]),
        (parse(b"ERROR: no such thing"), [false, false, false]),
        // No stanza; no backup, as old versions of WAL-G write it.
        (parse(b"[]"), [true, false, true]),
        (parse(b"\n"), [false, false, true]),
    ] {
        assert_eq!(parsed.map(|contents| contents.is_some()), expected);
    }
}
