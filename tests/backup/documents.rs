//! What is read from files: a tool's JSON that a job wrote, WAL-G's of several versions, backups that are files, the marker
//! of a restore that was tested.

use std::{
    fs::{self, DirEntry, File},
    path::Path,
    process::Command,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{reason, settings, until, watch};
use crate::support::{Folder, eventually, sample};

/// Makes a file as old as this.
fn age(file: &Path, seconds: u64) -> f64 {
    let time = SystemTime::now() - Duration::from_secs(seconds);
    File::options().write(true).open(file).and_then(|file| file.set_modified(time)).expect("setting a time");
    time.duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64()
}

#[test]
fn a_file_is_as_old_as_its_last_change_and_no_information_beyond_its_age() {
    let folder = Folder::new("file", "TERM");
    let at = folder.path().display().to_string();
    let file = folder.write("info.json", "[]");
    let written = age(&file, 1000);
    assert!(Command::new("mkfifo").arg(folder.path().join("hangs")).status().is_ok_and(|status| status.success()));
    let repositories = [
        format!("{{name: young, tool: pgbackrest, stanza: main, from_file: {at}/info.json}}"),
        format!("{{name: old, tool: pgbackrest, from_file: {at}/info.json, max_age: 15m}}"),
        format!("{{name: absent, tool: barman, from_file: {at}/none.json}}"),
        // Nobody writes into it, so reading never ends, as on a filesystem that hangs.
        format!("{{name: hangs, tool: barman, from_file: {at}/hangs}}"),
        format!("{{name: folder, tool: walg, from_file: {at}}}"),
    ];
    let settings = settings(&repositories).replace("timeout: 10s", "timeout: 2s");
    let pgvigil = watch(&settings);
    let page = until(&pgvigil, "all have ended", |page| reason(page, "hangs", "information") == Some("timeout"));
    for (name, expected) in
        [("young", None), ("old", Some("stale")), ("absent", Some("missing")), ("folder", Some("failed"))]
    {
        assert_eq!(reason(&page, name, "information"), expected, "{name}");
        let up = sample(&page, "pgvigil_backup_up", &[("repository", name)]);
        assert_eq!(up, Some(f64::from(u8::from(expected.is_none()))), "{name}");
    }
    let young = [("repository", "young")];
    let seen = sample(&page, "pgvigil_backup_information_timestamp_seconds", &young).expect("a time");
    assert!((seen - written).abs() < 0.01, "{seen} {written}");
    assert_eq!(sample(&page, "pgvigil_backup_restore_points", &[young[0], ("stanza", "main")]), Some(0.0));
    for name in ["pgvigil_backup_information_timestamp_seconds", "pgvigil_backup_restore_points"] {
        assert_eq!(sample(&page, name, &[("repository", "old")]), None);
    }
    // What hangs costs a thread, and only one.
    for _ in 0..20 {
        pgvigil.scrape();
    }
    let blocked = || {
        let threads = fs::read_dir(format!("/proc/{}/task", pgvigil.pid())).expect("its threads").flatten();
        let is_blocked =
            |thread: &DirEntry| fs::read_to_string(thread.path().join("comm")).is_ok_and(|name| name == "blocking\n");
        threads.filter(is_blocked).count()
    };
    // The threads of the readings that have just ended may still be there.
    eventually(Duration::from_secs(10), "one thread is blocked", || blocked() == 1);
    assert!(pgvigil.stop().success(), "and does not keep it from ending");
}

/// What was printed for real backups: each one's end, seconds, size and stored size.
const PRINTED: [(&str, f64, f64, f64, f64); 2] = [
    ("2024-12", 1_733_307_026.758489, 47.495668, 8_403_386_439.0, 1_684_893_052.0),
    ("3.0.8", 1_785_211_160.910729, 0.101646, 23_456_003.0, 4_295_821.0),
];

#[test]
fn wal_g_of_several_versions() {
    let recorded = fs::canonicalize("tests/backup/walg").expect("recorded output").display().to_string();
    let folder = Folder::new("walg", "TERM");
    let empty = folder.write("empty.json", "[]").display().to_string();
    let nothing = folder.write("nothing.json", "\n").display().to_string();
    let repository = |version: &str| {
        format!(
            "{{name: \"{version}\", tool: walg, max_age: 30d, exec: [cat, {recorded}/list-{version}.json], wal_exec: [cat, {recorded}/show-{version}.json]}}"
        )
    };
    let mut repositories = ["0.2.15", "1.1", "3.0", "2025-01"].map(repository).to_vec();
    repositories.push(format!("{{name: empty, tool: walg, from_file: {empty}, wal_from_file: {empty}}}"));
    repositories.push(format!("{{name: nothing, tool: walg, from_file: {nothing}}}"));
    repositories.push(format!("{{name: says-nothing, tool: walg, exec: [cat, {nothing}]}}"));
    for (version, ..) in PRINTED {
        repositories.push(format!("{{name: \"{version}\", tool: walg, exec: [cat, {recorded}/list-{version}.json]}}"));
    }
    let pgvigil = watch(&settings(&repositories));
    let page = pgvigil.scrape();
    for (version, points, gaps, oldest, newest) in [
        ("0.2.15", 2.0, 1.0, 1_590_664_172.133318, 1_590_750_580.25),
        ("1.1", 2.0, 0.0, 1_643_069_400.0, 1_643_674_198.5),
        ("3.0", 2.0, 3.0, 1_717_207_230.75, 1_717_293_610.0),
        ("2025-01", 2.0, 0.0, 1_737_299_350.336261, 1_737_302_264.025462),
    ] {
        let of = |name: &str| sample(&page, name, &[("repository", version)]);
        assert_eq!(of("pgvigil_backup_up"), Some(1.0), "{version}\n{}", pgvigil.stderr());
        assert_eq!(of("pgvigil_backup_restore_points"), Some(points), "{version}");
        assert_eq!(of("pgvigil_backup_wal_missing_segments"), Some(gaps), "{version}");
        assert_eq!(of("pgvigil_backup_oldest_timestamp_seconds"), Some(oldest), "{version}");
        assert_eq!(of("pgvigil_backup_restorable_timestamp_seconds"), Some(newest), "{version}");
        assert_eq!(of("pgvigil_backup_values_skipped_total"), Some(0.0), "{version}");
    }
    let full = [("repository", "1.1"), ("backup_type", "full")];
    assert_eq!(sample(&page, "pgvigil_backup_last_size_bytes", &full), Some(48_318_382_080.0));
    assert_eq!(sample(&page, "pgvigil_backup_last_stored_bytes", &full), Some(12_884_901_888.0));
    assert_eq!(sample(&page, "pgvigil_backup_last_duration_seconds", &full).map(f64::round), Some(598.0));
    for (version, end) in [("3.0", 1_717_293_610.0), ("2025-01", 1_737_302_264.025462)] {
        let incr = [("repository", version), ("backup_type", "incr")];
        assert_eq!(sample(&page, "pgvigil_backup_last_timestamp_seconds", &incr), Some(end), "{version}");
    }
    for (version, end, seconds, size, stored) in PRINTED {
        let of = |name: &str| sample(&page, name, &[("repository", version), ("backup_type", "full")]);
        assert_eq!(of("pgvigil_backup_last_timestamp_seconds"), Some(end), "{version}");
        assert_eq!(of("pgvigil_backup_last_size_bytes"), Some(size), "{version}");
        assert_eq!(of("pgvigil_backup_last_stored_bytes"), Some(stored), "{version}");
        let took = of("pgvigil_backup_last_duration_seconds").expect("a duration");
        assert!((took - seconds).abs() < 1e-5, "{version}: {took}");
    }
    // Without a backup there is none, and nothing that is missing since. Some versions say nothing then, and end well; an empty
    // file may as well be what a job left that failed.
    for (name, points) in [("empty", Some(0.0)), ("says-nothing", Some(0.0)), ("nothing", None)] {
        assert_eq!(sample(&page, "pgvigil_backup_restore_points", &[("repository", name)]), points, "{name}");
        assert_eq!(reason(&page, name, "information"), points.is_none().then_some("garbage"), "{name}");
        assert_eq!(sample(&page, "pgvigil_backup_wal_missing_segments", &[("repository", name)]), None);
    }
    assert_eq!(reason(&page, "empty", "wal"), None);
}

#[test]
fn files_and_the_marker_of_a_tested_restore() {
    let folder = Folder::new("files", "TERM");
    for day in ["mon", "tue"] {
        fs::create_dir(folder.path().join(day)).expect("a folder");
    }
    let at = folder.path().display().to_string();
    let (old, new) = (
        folder.write("mon/shop-20261116-020000.dump", "12345"),
        folder.write("tue/shop-20261117-020000.dump", "1234567"),
    );
    for (name, text) in
        [("tue/shop-20261117-020000.log", "x"), ("tue/.shop-20261118-020000.dump", "x"), ("tue/shop-latest.dump", "x")]
    {
        folder.write(name, text);
    }
    let failed = folder.write("tue/shop-20261118-020000.dump", "");
    let (old, new, failed) = (age(&old, 3000), age(&new, 2000), age(&failed, 1000));
    age(&folder.path().join("tue/shop-latest.dump"), 5000);
    let tested = age(&folder.write("tested", ""), 7000);
    let repositories = [
        format!("{{name: files, tool: files, pattern: \"{at}/*/shop-*.dump\", verified: {at}/tested}}"),
        format!(
            "{{name: named, tool: files, pattern: \"{at}/*/shop-*.dump\", name_time: \"-%Y%m%d-%H%M%S.\", verified: {at}/untested}}"
        ),
        format!("{{name: none, tool: files, pattern: \"{at}/mon/*.zip\"}}"),
        "{name: absent, tool: files, pattern: /nonexistent/*.dump}".to_owned(),
    ];
    let pgvigil = watch(&settings(&repositories));
    let page = pgvigil.scrape();
    let of = |repository: &str, name: &str| sample(&page, name, &[("repository", repository)]);
    let near = |value: Option<f64>, expected: f64| value.is_some_and(|value| (value - expected).abs() < 0.01);
    assert!(near(of("files", "pgvigil_backup_last_timestamp_seconds"), new), "{page}");
    assert!(near(of("files", "pgvigil_backup_oldest_timestamp_seconds"), old - 2000.0), "{page}");
    assert!(
        near(of("files", "pgvigil_backup_failed_timestamp_seconds"), failed),
        "a file without content is no backup"
    );
    assert!(near(of("files", "pgvigil_backup_verified_timestamp_seconds"), tested));
    assert_eq!(of("files", "pgvigil_backup_last_size_bytes"), Some(7.0));
    assert_eq!(of("files", "pgvigil_backup_kept"), Some(3.0));
    assert_eq!(of("named", "pgvigil_backup_last_timestamp_seconds"), Some(1_794_880_800.0));
    assert_eq!(of("named", "pgvigil_backup_failed_timestamp_seconds"), Some(1_794_967_200.0));
    assert_eq!(of("named", "pgvigil_backup_values_skipped_total"), Some(1.0), "a name without a time");
    assert_eq!(of("named", "pgvigil_backup_verified_timestamp_seconds"), None);
    assert_eq!((of("named", "pgvigil_backup_up"), reason(&page, "named", "verified")), (Some(1.0), Some("missing")));
    assert_eq!((of("none", "pgvigil_backup_up"), of("none", "pgvigil_backup_restore_points")), (Some(1.0), Some(0.0)));
    assert_eq!((of("absent", "pgvigil_backup_up"), of("absent", "pgvigil_backup_restore_points")), (Some(0.0), None));
    assert_eq!(reason(&page, "absent", "information"), Some("missing"));
}
