//! Documents in which something is of another type than it should be, or of which there is too much.

use serde_json::{Value, json};

use crate::source::backup::{
    pgbackrest,
    problem::BackupReason,
    tests::{barman_document, parse, pgbackrest_document, walg_document},
};

/// What stands in the place of a size, what is made of it, and how many values are odd then.
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
            let found = parse(document.to_string().as_bytes())[nth].take().expect("the rest is read");
            let read = found.stanzas[0].newest().map(|newest| newest.size);
            assert_eq!((read, found.malformed), (Some(size), malformed), "{nth}: {value}");
        }
    }
}

/// What stands in the place of a map or a list, and which tools' backups are known then.
#[test]
fn what_is_not_a_map_has_nothing_in_it() {
    let list = json!([5, "2026-11-21 12:54:20Z", "x", 1795265621, {}, [], true]);
    for value in [json!(null), json!(5), json!("x"), json!(true), json!([]), list, json!({})] {
        let counts = |document: Value, which: usize| {
            let found = parse(document.to_string().as_bytes())[which].take();
            found.map(|found| found.stanzas.iter().map(|stanza| stanza.backups.len()).sum::<usize>())
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
        let [found, ..] = parse(document.to_string().as_bytes());
        let size = found.and_then(|found| found.stanzas[0].newest().map(|newest| newest.size));
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
        let [found, ..] = parse(document.to_string().as_bytes());
        let found = found.expect("the rest is read");
        assert!(found.stanzas[0].partial && found.malformed == unread, "{value}: {found:?}");
        let mut document = walg_document();
        document.as_array_mut().expect("a list").push(value.clone());
        let [.., found] = parse(document.to_string().as_bytes());
        assert!(found.expect("the rest is read").stanzas[0].partial, "{value}");
    }
}

#[test]
fn a_document_of_more_than_anybody_has_is_not_read() {
    for (item, times) in [("0", 1_400_000), ("{}", 70_000)] {
        let text = format!("[{}]", vec![item; times].join(","));
        let problem = pgbackrest::parse(text.as_bytes(), "r", None).expect_err("too much");
        assert_eq!(problem.reason, BackupReason::TooLarge);
    }
}
