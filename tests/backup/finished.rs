//! Files that are not finished, or whose times cannot be: no backups, and where that leaves nothing to tell, not known.

use std::{
    fs::{self, File},
    time::{Duration, SystemTime},
};

use super::{reason, settings, watch};
use crate::support::{Folder, sample};

/// A file, and how many seconds ago it was changed.
fn set_age(file: &std::path::Path, seconds: i64) {
    let (now, away) = (SystemTime::now(), Duration::from_secs(seconds.unsigned_abs()));
    let time = if seconds < 0 { now + away } else { now - away };
    File::options().write(true).open(file).and_then(|file| file.set_modified(time)).expect("setting a time");
}

#[test]
fn what_is_written_or_from_the_future_is_no_backup() {
    let folder = Folder::new("future", "TERM");
    let at = folder.path().display().to_string();
    fs::create_dir_all(folder.path().join("base/2026-11-20")).expect("a folder");
    for (name, age) in [
        ("one-a.dump", 3000),
        ("one-b.dump", 60),
        ("one-c.dump.part", 3000),
        ("soon-a.dump", -7200),
        ("days-a.dump", -200_000),
        ("young.json", -600),
        ("future.json", -7200),
        ("tested", -200_000),
    ] {
        set_age(&folder.write(name, "[]"), age);
    }
    let repositories = [
        format!("{{name: one, tool: files, pattern: \"{at}/one-*\", verified: {at}/tested}}"),
        format!("{{name: writing, tool: files, pattern: \"{at}/one-b*\"}}"),
        format!("{{name: soon, tool: files, pattern: \"{at}/soon-*\"}}"),
        format!("{{name: days, tool: files, pattern: \"{at}/days-*\"}}"),
        format!("{{name: unnamed, tool: files, pattern: \"{at}/one-*\", name_time: \"%Y%m%d\"}}"),
        format!("{{name: folders, tool: files, pattern: \"{at}/base/*\"}}"),
        format!("{{name: young, tool: pgbackrest, from_file: {at}/young.json}}"),
        format!("{{name: future, tool: pgbackrest, from_file: {at}/future.json}}"),
    ];
    let pgvigil = watch(&settings(&repositories));
    let page = pgvigil.scrape();
    for (name, why, points) in [
        ("one", None, Some(1.0)),
        ("writing", None, Some(0.0)),
        ("soon", None, Some(1.0)),
        ("days", Some("failed"), None),
        ("unnamed", Some("failed"), None),
        ("folders", Some("garbage"), None),
        ("young", None, Some(0.0)),
        ("future", Some("stale"), None),
    ] {
        assert_eq!(reason(&page, name, "information"), why, "{name}\n{}", pgvigil.stderr());
        assert_eq!(sample(&page, "pgvigil_backup_restore_points", &[("repository", name)]), points, "{name}");
    }
    assert_eq!(sample(&page, "pgvigil_backup_verified_timestamp_seconds", &[]), None, "{page}");
    assert_eq!(reason(&page, "one", "verified"), Some("garbage"));
}
