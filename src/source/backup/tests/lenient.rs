//! Documents with a value of the wrong type, and documents that are too large.

use serde_json::{Value, json};

use crate::source::backup::json::JsonReader;
use crate::source::backup::tests::{barman_document, parse, pgbackrest_document, walg_document};

/// A value in place of a size, the size that is read, and the number of malformed values.
#[test]
fn values_of_other_types_are_absent_and_never_wrong() {
    for (value, size, malformed) in [
        (json!(9), Some(9.0), 0),
        (json!(9.5), Some(9.5), 0),
        (json!("9"), Some(9.0), 0),
        (json!(null), None, 0),
        (json!(true), None, 1),
        (json!("nine"), None, 1),
        (json!("NaN"), None, 1),
        (json!("1e999"), None, 1),
        (json!(""), None, 1),
        (json!([9]), None, 1),
        (json!({"bytes": 9}), None, 1),
    ] {
        let (mut pgbackrest, mut barman, mut walg) = (pgbackrest_document(), barman_document(), walg_document());
        pgbackrest[0]["backup"][0]["info"]["size"] = value.clone();
        barman["servers"]["main"]["backups"]["20261121T125420"]["size"] = value.clone();
        walg[0]["uncompressed_size"] = value.clone();
        for (nth, document) in [pgbackrest, barman, walg].iter().enumerate() {
            let contents = parse(document.to_string().as_bytes())[nth].take().expect("the rest is read");
            let read = contents.stanzas[0].newest().map(|newest| newest.size);
            assert_eq!((read, contents.malformed), (Some(size), malformed), "{nth}: {value}");
        }
    }
}

/// Values in place of a map or a list, and the number of backups known then.
#[test]
fn a_value_that_is_not_a_map_is_read_as_empty() {
    let list = json!([5, "2026-11-21 12:54:20Z", "x", 1795265621, {}, [], true]);
    for value in [json!(null), json!(5), json!("x"), json!(true), json!([]), list, json!({})] {
        let counts = |document: Value, which: usize| {
            let contents = parse(document.to_string().as_bytes())[which].take();
            contents.map(|contents| contents.stanzas.iter().map(|stanza| stanza.backups.len()).sum::<usize>())
        };
        for key in ["archive", "db", "status"] {
            let mut document = pgbackrest_document();
            document[0][key] = value.clone();
            assert_eq!(counts(document, 0), Some(1), "{key}: {value}");
        }
        for key in ["database", "info", "archive"] {
            let mut document = pgbackrest_document();
            document[0]["backup"][0][key] = value.clone();
            assert_eq!(counts(document, 0), Some(1), "{key}: {value}");
        }
        let mut document = pgbackrest_document();
        document[0]["backup"][0]["info"] = value.clone();
        let [contents, ..] = parse(document.to_string().as_bytes());
        let size = contents.and_then(|contents| contents.stanzas[0].newest().map(|newest| newest.size));
        assert_eq!(size, Some(None), "{value}");
        let mut document = pgbackrest_document();
        document[0]["backup"][0]["timestamp"] = value.clone();
        assert_eq!(counts(document, 0), Some(0), "timestamp: {value}");
        for key in ["config", "wals"] {
            let mut document = barman_document();
            document["servers"]["main"][key] = value.clone();
            assert_eq!(counts(document, 1), Some(1), "{key}: {value}");
        }
        for place in ["/servers/main", "/servers/main/backups", "/servers/main/backups/20261121T125420"] {
            let mut document = barman_document();
            *document.pointer_mut(place).expect("a place") = value.clone();
            assert_eq!(counts(document, 1), Some(0), "{place}: {value}");
        }
        for (which, place) in [(0, "/0/backup"), (0, "/0/backup/0")] {
            let mut document = pgbackrest_document();
            *document.pointer_mut(place).expect("a place") = value.clone();
            assert_eq!(counts(document, which), Some(0), "{place}: {value}");
        }
        let mut document = walg_document();
        document[0] = value.clone();
        assert_eq!(counts(document, 2), None, "{value}");
        let mut document = barman_document();
        document["global"] = value.clone();
        assert_eq!(counts(document, 1), Some(1), "global: {value}");
    }
}

#[test]
fn a_list_that_lost_items_is_known_to_be_partial() {
    for (value, unread) in [(json!(null), 1), (json!(5), 1), (json!({}), 1)] {
        let mut document = pgbackrest_document();
        document[0]["backup"].as_array_mut().expect("a list").push(value.clone());
        let [contents, ..] = parse(document.to_string().as_bytes());
        let contents = contents.expect("the rest is read");
        assert!(contents.stanzas[0].partial && contents.malformed == unread, "{value}: {contents:?}");
        let mut document = walg_document();
        document.as_array_mut().expect("a list").push(value.clone());
        let [.., contents] = parse(document.to_string().as_bytes());
        assert!(contents.expect("the rest is read").stanzas[0].partial, "{value}");
    }
}

#[test]
fn values_are_read_by_their_type() {
    let absent = |value: &Value| value.is_null() || value == "0001-01-01T00:00:00Z";
    for (value, number, flag, text, digits, time) in [
        (
            json!(1_795_265_660),
            Some(1_795_265_660.0),
            None,
            Some("1795265660"),
            Some("1795265660"),
            Some(1_795_265_660.0),
        ),
        (json!("12"), Some(12.0), None, Some("12"), Some("12"), None),
        (json!("1a"), None, None, Some("1a"), None, None),
        (json!(""), None, None, Some(""), None, None),
        (json!(-1), None, None, Some("-1"), None, None),
        (json!("inf"), None, None, Some("inf"), None, None),
        (json!(true), None, Some(true), None, None, None),
        (json!(false), None, Some(false), None, None, None),
        (json!("2026-11-21T12:54:20Z"), None, None, Some("2026-11-21T12:54:20Z"), None, Some(1_795_265_660.0)),
        (json!("Sat Nov 21 12:54:20 2026"), None, None, Some("Sat Nov 21 12:54:20 2026"), None, Some(1_795_262_060.0)),
        (json!("0001-01-01T00:00:00Z"), None, None, Some("0001-01-01T00:00:00Z"), None, None),
        (json!(null), None, None, None, None, None),
        (json!([1]), None, None, None, None, None),
    ] {
        let mut reader = JsonReader::default();
        assert_eq!(reader.number(&value), number, "{value}");
        assert_eq!(reader.flag(&value), flag, "{value}");
        assert_eq!(reader.text(&value).as_deref(), text, "{value}");
        assert_eq!(reader.digits(&value).as_deref(), digits, "{value}");
        // One hour ahead.
        assert_eq!(reader.time_in(&value, Some(3600.0)), time, "{value}");
        let known =
            [number.is_some(), flag.is_some(), text.is_some(), digits.is_some(), time.is_some() || absent(&value)];
        let unknown = known.iter().filter(|known| !**known).count() as u64;
        assert_eq!(reader.malformed, if value.is_null() { 0 } else { unknown }, "{value}");
    }
    let mut reader = JsonReader::default();
    assert_eq!(reader.time(&json!("Sat Nov 21 12:54:20 2026")), None, "in which time zone?");
    let mixed = json!([{}, 5, {"a": 1}, null]);
    assert_eq!((reader.maps(&mixed).len(), reader.list(&mixed).map(<[Value]>::len)), (2, Some(4)));
    assert_eq!((reader.list(&json!({})), reader.map(&json!([])), reader.map(&json!(null))), (None, None, None));
    assert_eq!(reader.malformed, 1 + 2 + 2);
}
