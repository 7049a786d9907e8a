//! pgBackRest, from a stanza without a backup to WAL that is missing, on a real server.

use std::{fs, path::Path, time::UNIX_EPOCH};

use super::{check, settings, until, watch};
use crate::support::{Folder, PgBackRest, Postgres, sample};

#[test]
fn a_real_stanza_from_the_first_backup_to_a_gap() {
    let repository = PgBackRest::new();
    let server = repository.archived(Postgres::builder(15)).start();
    repository.create(&server);
    let (config, archive) = (repository.config(), repository.archive());
    let described =
        format!("{{name: main, tool: pgbackrest, config: {}, archive_path: {}}}", config.display(), archive.display());
    let other = "{name: other, tool: pgbackrest, config: /nonexistent.conf}".to_owned();
    let settings = settings(&[described, other]);
    let pgvigil = watch(&settings);

    // No backup yet: known, and said so; the other repository is not known, and says why.
    let stanza = [("repository", "main"), ("stanza", "main"), ("repo_key", "1")];
    let page = pgvigil.scrape();
    assert_eq!(sample(&page, "pgvigil_backup_up", &[("repository", "main")]), Some(1.0), "{page}");
    assert_eq!(sample(&page, "pgvigil_backup_restore_points", &stanza), Some(0.0));
    assert_eq!(sample(&page, "pgvigil_backup_restorable_timestamp_seconds", &stanza), None);
    assert_eq!(sample(&page, "pgbackrest_stanza_status", &stanza[..2]), Some(2.0));
    assert_eq!(sample(&page, "pgvigil_backup_up", &[("repository", "other")]), Some(0.0));
    assert_eq!(super::reason(&page, "other", "information"), Some("failed"));
    assert!(pgvigil.stderr().contains("unable to open missing file"), "{}", pgvigil.stderr());

    for kind in ["full", "diff", "incr"] {
        repository.backup(kind);
    }
    let page = until(&pgvigil, "three backups are seen", |page| {
        sample(page, "pgvigil_backup_restore_points", &stanza) == Some(3.0)
    });
    let of = |page: &str, name: &str, kind: &str| sample(page, name, &[&stanza[..], &[("backup_type", kind)]].concat());
    let ends =
        ["full", "diff", "incr"].map(|kind| of(&page, "pgvigil_backup_last_timestamp_seconds", kind).expect("an end"));
    assert!(ends.is_sorted(), "{ends:?}");
    for kind in ["full", "diff", "incr"] {
        assert_eq!(of(&page, "pgvigil_backup_kept", kind), Some(1.0));
        assert_eq!(of(&page, "pgvigil_backup_last_error", kind), Some(0.0));
        assert!(of(&page, "pgvigil_backup_last_duration_seconds", kind).is_some_and(|seconds| seconds < 120.0));
        assert!(of(&page, "pgvigil_backup_last_size_bytes", kind).is_some_and(|bytes| bytes > 1e6));
        let last = [("stanza", "main"), ("backup_type", kind), ("block_incr", "n")];
        assert!(sample(&page, "pgbackrest_backup_last_size_bytes", &last).is_some_and(|bytes| bytes > 1e6));
    }
    let archived = [("stanza", "main"), ("pg_version", "15-1"), ("database_id", "1")];
    assert_eq!(sample(&page, "pgbackrest_wal_archive_status", &archived), Some(1.0));
    assert_eq!(sample(&page, "pgvigil_backup_wal_missing_segments", &stanza), Some(0.0));
    assert!(!page.contains("20261") || !page.contains("F_"), "no backup's name is a label");

    // WAL that is archived after the last backup is restorable too.
    switch(&server, &archive, 2);
    let last = changed(segments(&archive).last().expect("a segment"));
    let is_last = |page: &str| {
        let newest = sample(page, "pgvigil_backup_restorable_timestamp_seconds", &stanza);
        newest.is_some_and(|newest| (newest - last).abs() < 0.001)
    };
    assert!(last > ends[2]);
    until(&pgvigil, "the archived WAL is seen", is_last);

    // A segment is lost: what comes after it cannot be restored to.
    let segments = segments(&archive);
    fs::remove_file(&segments[segments.len() - 2]).expect("removing a segment");
    let page = until(&pgvigil, "the gap is seen", |page| {
        sample(page, "pgvigil_backup_wal_missing_segments", &stanza) == Some(1.0)
    });
    let newest = sample(&page, "pgvigil_backup_restorable_timestamp_seconds", &stanza);
    assert!(!is_last(&page) && newest >= Some(ends[2]), "{newest:?}");

    let folder = Folder::new("settings", "TERM");
    let (well, said) = check(&folder.write("pgvigil.yaml", &settings));
    assert!(!well && said.contains("b: backups: main (pgbackrest), other (pgbackrest)"), "{said}");
    assert!(
        said.contains("FAILED     repository other: information: ") && said.contains("/nonexistent.conf"),
        "{said}"
    );
    assert!(!said.contains("repository main"), "{said}");
}

/// When a file was last changed.
fn changed(file: &Path) -> f64 {
    let time = fs::metadata(file).and_then(|data| data.modified()).expect("a time");
    time.duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64()
}

/// Switches WAL and waits until the archive has this many more segments.
fn switch(server: &Postgres, archive: &Path, more: usize) {
    let wanted = segments(archive).len() + more;
    for _ in 0..more {
        server.sql("postgres", "SELECT pg_logical_emit_message(true, 'test', 'x')");
        server.sql("postgres", "SELECT pg_switch_wal()");
    }
    crate::support::eventually(super::PATIENCE, "WAL is archived", || segments(archive).len() >= wanted);
}

/// The files of complete segments, in order.
fn segments(archive: &Path) -> Vec<std::path::PathBuf> {
    let logs = fs::read_dir(archive.join("main/15-1")).into_iter().flatten().flatten().map(|entry| entry.path());
    let files = logs.flat_map(|log| fs::read_dir(log).into_iter().flatten().flatten().map(|entry| entry.path()));
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut files: Vec<_> = files
        .filter(|path| name(path).len() > 24 && ![".backup", ".tmp"].iter().any(|end| name(path).ends_with(end)))
        .collect();
    files.sort();
    files
}
