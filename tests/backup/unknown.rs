//! What cannot be read is not known, and never "none"; what of it can be read is shown.

use std::{
    fs,
    io::{self, Write},
    net::TcpStream,
    time::{SystemTime, UNIX_EPOCH},
};

use super::{reason, settings, watch};
use crate::{
    faults::liar::{Liar, hear},
    support::{Folder, sample},
};

/// An hour ago, in ISO format and in Unix seconds; and when all was asked, as somebody's clock in New York has it.
struct Times {
    iso: String,
    unix: f64,
    now: f64,
}

impl Times {
    fn now() -> Times {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        Times {
            iso: date(&["-u", "-d", &format!("@{}", now - 3600), "+%F %T+00:00"], "UTC"),
            unix: (now - 3600) as f64,
            now: now as f64,
        }
    }

    fn fill(&self, text: &str) -> String {
        let unix = |seconds: f64| (self.now + seconds).to_string();
        text.replace("HOUR_AGO_ISO", &self.iso)
            .replace("HOUR_AGO", &unix(-3600.0))
            .replace("SOON", &unix(7200.0))
            .replace("IN_DAYS", &unix(200_000.0))
    }
}

fn date(arguments: &[&str], zone: &str) -> String {
    let output = std::process::Command::new("date").args(arguments).env("TZ", zone).env("LC_ALL", "C").output();
    String::from_utf8(output.expect("running date").stdout).expect("text").trim().to_owned()
}

const BARMAN: &str = r#"{"status": "DONE", "begin_time": "HOUR_AGO_ISO", "end_time": "HOUR_AGO_ISO"}"#;
const PGBACKREST: &str =
    r#"{"type": "full", "database": {"id": 1, "repo-key": 1}, "timestamp": {"start": HOUR_AGO, "stop": HOUR_AGO}}"#;
const WALG: &str = r#"{"backup_name": "base_000000010000000000000002", "time": "2026-11-21T12:54:23Z"}"#;

/// A name, keys of the repository, what the tool says, why that is not all that is known, how many restore points are shown, and
/// whether a backup is.
type Case = (&'static str, &'static str, &'static str, Option<&'static str>, Option<f64>, bool);

const CASES: [Case; 22] = [
    ("barman", "tool: barman", r#"{"servers": {"main": {"backups": {"1": BARMAN}}}}"#, None, Some(1.0), true),
    ("barman-none", "tool: barman", r#"{"servers": {"main": {"backups": {}}}}"#, None, Some(0.0), false),
    (
        "barman-unread",
        "tool: barman",
        r#"{"servers": {"main": {"backups": {"1": {"status": "DONE", "end_time": "some day"}}}}}"#,
        Some("failed"),
        None,
        false,
    ),
    (
        "barman-some-unread",
        "tool: barman",
        r#"{"servers": {"main": {"backups": {"1": BARMAN, "2": {"status": "DONE", "end_time": 5}}}}}"#,
        Some("failed"),
        None,
        true,
    ),
    (
        "barman-new-status",
        "tool: barman",
        r#"{"servers": {"main": {"backups": {"1": {"status": "FROZEN"}}}}}"#,
        Some("failed"),
        None,
        false,
    ),
    ("barman-no-list", "tool: barman", r#"{"servers": {"main": {"status": {}}}}"#, Some("failed"), None, false),
    (
        "barman-another",
        "tool: barman, server: orders",
        r#"{"servers": {"main": {"backups": {}}}}"#,
        Some("missing"),
        None,
        false,
    ),
    (
        "barman-off",
        "tool: barman",
        r#"{"servers": {"main": {"config": {"active": false}, "backups": {}}}}"#,
        Some("missing"),
        None,
        false,
    ),
    (
        "pgbackrest",
        "tool: pgbackrest, stanza: main",
        r#"[{"name": "main", "backup": [PGBACKREST], "status": {"code": 0}}]"#,
        None,
        Some(1.0),
        true,
    ),
    (
        "pgbackrest-none",
        "tool: pgbackrest, stanza: main",
        r#"[{"name": "main", "backup": [], "repo": [{"key": 1, "status": {"code": 2}}]}]"#,
        None,
        Some(0.0),
        false,
    ),
    (
        "pgbackrest-invalid",
        "tool: pgbackrest, stanza: main",
        r#"[{"name": "[invalid]", "backup": [], "repo": [{"key": 1, "status": {"code": 99, "message": "no"}}], "status": {"code": 99}}]"#,
        Some("failed"),
        None,
        false,
    ),
    (
        "pgbackrest-new-code",
        "tool: pgbackrest",
        r#"[{"name": "main", "backup": [], "repo": [{"key": 1, "status": {"code": 7, "message": "new"}}]}]"#,
        Some("failed"),
        None,
        false,
    ),
    (
        "pgbackrest-new-code-and-backups",
        "tool: pgbackrest",
        r#"[{"name": "main", "backup": [PGBACKREST], "repo": [{"key": 1, "status": {"code": 7}}]}]"#,
        Some("failed"),
        None,
        true,
    ),
    (
        "pgbackrest-no-list",
        "tool: pgbackrest",
        r#"[{"name": "main", "status": {"code": 0}}]"#,
        Some("failed"),
        None,
        false,
    ),
    (
        "pgbackrest-unread",
        "tool: pgbackrest",
        r#"[{"name": "main", "backup": [{"type": "full"}], "status": {"code": 0}}]"#,
        Some("failed"),
        None,
        false,
    ),
    ("pgbackrest-nameless", "tool: pgbackrest, stanza: main", r#"[{"backup": []}]"#, Some("garbage"), None, false),
    (
        "pgbackrest-soon",
        "tool: pgbackrest",
        r#"[{"name": "main", "backup": [{"type": "full", "timestamp": {"stop": SOON}}], "status": {"code": 0}}]"#,
        None,
        Some(1.0),
        true,
    ),
    (
        "pgbackrest-in-days",
        "tool: pgbackrest",
        r#"[{"name": "main", "backup": [{"type": "full", "timestamp": {"stop": IN_DAYS}}], "status": {"code": 0}}]"#,
        Some("failed"),
        None,
        false,
    ),
    ("walg", "tool: walg", "[WALG]", None, Some(1.0), true),
    (
        "walg-some-unread",
        "tool: walg",
        r#"[WALG, {"backup_name": "base_000000010000000000000004"}]"#,
        Some("failed"),
        None,
        true,
    ),
    (
        "walg-unread",
        "tool: walg",
        r#"[{"backup_name": "base_000000010000000000000004"}]"#,
        Some("garbage"),
        None,
        false,
    ),
    ("walg-empty", "tool: walg", "", Some("garbage"), None, false),
];

#[test]
fn what_cannot_be_read_is_not_none() {
    let (folder, times) = (Folder::new("unknown", "TERM"), Times::now());
    let repository = |(name, keys, text, ..): &Case| {
        let text = text.replace("BARMAN", BARMAN).replace("PGBACKREST", PGBACKREST).replace("WALG", WALG);
        let file = folder.write(&format!("{name}.json"), &times.fill(&text));
        format!("{{name: {name}, {keys}, from_file: {}}}", file.display())
    };
    let pgvigil = watch(&settings(&CASES.iter().map(repository).collect::<Vec<_>>()));
    let page = pgvigil.scrape();
    for (name, _, _, why, points, is_shown) in CASES {
        let of = |metric: &str| sample(&page, metric, &[("repository", name)]);
        assert_eq!(reason(&page, name, "information"), why, "{name}\n{}", pgvigil.stderr());
        assert_eq!(of("pgvigil_backup_restore_points"), points, "{name}");
        assert_eq!(of("pgvigil_backup_oldest_timestamp_seconds").is_some(), points > Some(0.0), "{name}");
        assert_eq!(of("pgvigil_backup_kept"), points.filter(|points| *points > 0.0), "{name}");
        assert_eq!(of("pgvigil_backup_last_timestamp_seconds").is_some(), is_shown, "{name}");
    }
    let end = sample(&page, "pgvigil_backup_last_timestamp_seconds", &[("repository", "barman")]);
    assert_eq!(end, Some(times.unix));
}

/// Barman before 2.19: the times of the server's zone, and those of Barman's, none with its zone.
#[test]
fn times_of_old_versions_of_barman_are_read() {
    let (folder, times) = (Folder::new("ctime", "TERM"), Times::now());
    let ctime = |seconds: f64, zone| date(&["-d", &format!("@{}", times.now + seconds), "+%a %b %e %T %Y"], zone);
    let id = date(&["-d", &format!("@{}", times.now - 3605.0), "+%Y%m%dT%H%M%S"], "America/Bogota");
    let backup = |zone| {
        let (began, ended) = (ctime(-3600.0, zone), ctime(-3000.0, zone));
        format!(r#"{{"backups": {{"{id}": {{"status": "DONE", "begin_time": "{began}", "end_time": "{ended}"}}}}}}"#)
    };
    let wrote = ctime(-2.0, "America/Bogota");
    let (here, there) = (backup("America/Bogota"), backup("Asia/Kathmandu"));
    let document = format!(
        r#"{{"global": {{"system_info": {{"timestamp": "{wrote}"}}}}, "servers": {{"here": {here}, "there": {there}}}}}"#
    );
    let file = folder.write("diagnose.json", &document);
    let pgvigil = watch(&settings(&[format!("{{name: old, tool: barman, from_file: {}}}", file.display())]));
    let page = pgvigil.scrape();
    for stanza in ["here", "there"] {
        let of = |metric: &str| sample(&page, metric, &[("repository", "old"), ("stanza", stanza)]);
        assert_eq!(of("pgvigil_backup_restore_points"), Some(1.0), "{page}");
        assert_eq!(of("pgvigil_backup_last_timestamp_seconds"), Some(times.now - 3000.0), "{document}");
        assert_eq!(of("pgvigil_backup_last_duration_seconds"), Some(600.0));
    }
}

#[test]
fn an_archive_shows_its_gaps_or_nothing() {
    let (folder, times) = (Folder::new("archive", "TERM"), Times::now());
    let backup = |wal: &str| {
        let backup = BARMAN.replace('}', &format!(r#", "begin_wal": {wal}}}"#));
        times.fill(&format!(r#"{{"servers": {{"main": {{"backups": {{"1": {backup}}}}}}}}}"#))
    };
    let (known, unknown) = (backup("\"000000010000000700000003\""), backup("null"));
    let (known, unknown) = (folder.write("known.json", &known), folder.write("unknown.json", &unknown));
    let segments = |case: &str, segments: &[&str]| {
        for segment in segments {
            let log = folder.path().join(case).join("main/wals").join(&segment[..16]);
            fs::create_dir_all(&log).and_then(|()| fs::write(log.join(segment), "")).expect("a file");
        }
        folder.path().join(case).display().to_string()
    };
    // A log ends with its fourth segment, or it does not: the log before shows it.
    let whole = segments("whole", &["000000010000000700000003", "000000010000000800000000"]);
    let gap = segments("gap", &["0000000100000006000000FF", "000000010000000700000003", "000000010000000800000000"]);
    let other = segments("other", &["000000010000000100000000"]);
    let repository = |name: &str, file: &std::path::Path, archive: &str| {
        format!("{{name: {name}, tool: barman, from_file: {}, archive_path: {archive}}}", file.display())
    };
    let pgvigil = watch(&settings(&[
        repository("whole", &known, &whole),
        repository("gap", &known, &gap),
        repository("other", &known, &other),
        repository("unknown", &unknown, &whole),
    ]));
    let page = pgvigil.scrape();
    for (name, gaps, why) in [
        ("whole", Some(0.0), None),
        ("gap", Some(252.0), None),
        ("other", None, Some("missing")),
        ("unknown", None, Some("garbage")),
    ] {
        assert_eq!(sample(&page, "pgvigil_backup_wal_missing_segments", &[("repository", name)]), gaps, "{name}");
        assert_eq!(reason(&page, name, "archive"), why, "{name}\n{}", pgvigil.stderr());
        assert_eq!(sample(&page, "pgvigil_backup_restore_points", &[("repository", name)]), Some(1.0), "{name}");
    }
}

const OBJECT: &str = "<Contents><Key>7</Key><Size>7</Size><LastModified>2026-11-21T12:54:20Z</LastModified></Contents>";

/// A bucket's list with a folder, as consoles make them, a backup, and this.
fn list(stream: &mut TcpStream, more: &str) -> io::Result<()> {
    hear(stream)?;
    let folder = OBJECT.replace("<Key>7", "<Key>dumps/").replace("<Size>7", "<Size>0");
    let body = format!("<ListBucketResult>{folder}{OBJECT}{more}</ListBucketResult>");
    write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn an_object_that_cannot_be_read_is_not_left_out_in_silence() {
    let liars = [
        ("bucket", Liar::start(|stream| list(stream, &OBJECT.replace("<Size>7</Size>", "")))),
        ("timeless", Liar::start(|stream| list(stream, &OBJECT.replace("2026-11-21", "2026-13-21")))),
        // Not even a list: of this nothing is believed.
        ("much", Liar::start(|stream| list(stream, &OBJECT.replace("<Size>7", "<Size>much")))),
        ("nameless", Liar::start(|stream| list(stream, &OBJECT.replace("<Key>7</Key>", "")))),
    ];
    let bucket = |(name, liar): &(&str, Liar)| {
        format!("{{name: {name}, tool: s3, endpoint: \"http://127.0.0.1:{}\", bucket: b}}", liar.port())
    };
    let pgvigil = watch(&settings(&liars.iter().map(bucket).collect::<Vec<_>>()));
    let page = pgvigil.scrape();
    for (name, why, last) in [
        ("bucket", "failed", Some(1_795_265_660.0)),
        ("timeless", "failed", Some(1_795_265_660.0)),
        ("much", "garbage", None),
        ("nameless", "garbage", None),
    ] {
        let of = |metric: &str| sample(&page, metric, &[("repository", name)]);
        assert_eq!(reason(&page, name, "information"), Some(why), "{name}: {}", pgvigil.stderr());
        assert_eq!(of("pgvigil_backup_restore_points"), None, "{name}");
        assert_eq!(of("pgvigil_backup_last_timestamp_seconds"), last, "{name}");
        assert_eq!(of("pgvigil_backup_failed_timestamp_seconds"), None, "a folder is not a failed backup");
    }
}
