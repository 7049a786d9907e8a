//! Barman: a real one that streams WAL, with backups that succeed and one that fails.

use super::{settings, until, watch};
use crate::support::{Barman, Folder, Postgres, Stop, sample};

#[test]
fn a_real_barman_with_a_backup_that_fails() {
    let server = Postgres::builder(15).start();
    let barman = Barman::start(&server);
    let (config, home) = (barman.config().display().to_string(), barman.home().display().to_string());
    let folder = Folder::new("barman-says", "TERM");
    let said = folder.path().join("diagnose.json");
    // As a job beside it does.
    let tell = || _ = folder.write("diagnose.json", &barman.run(&["diagnose"]));
    let plain = format!("{{name: plain, tool: barman, from_file: {}}}", said.display());
    let seen = format!("{{name: seen, tool: barman, server: main, config: {config}, archive_path: {home}}}");
    tell();
    let pgvigil = watch(&settings(&[plain, seen]));
    let of = |repository| [("repository", repository), ("stanza", "main")];
    let page = pgvigil.scrape();
    for repository in ["plain", "seen"] {
        assert_eq!(sample(&page, "pgvigil_backup_up", &of(repository)[..1]), Some(1.0), "{page}\n{}", pgvigil.stderr());
        assert_eq!(sample(&page, "pgvigil_backup_restore_points", &of(repository)), Some(0.0));
    }

    barman.archive(&server);
    // It is complete when the WAL that it ends in is archived.
    barman.run(&["backup", "main", "--wait", "--wait-timeout", "60"]);
    barman.run(&["check-backup", "main", "latest"]);
    barman.archive(&server);
    tell();
    let page = until(&pgvigil, "the backup is seen", |page| {
        ["plain", "seen"].iter().all(|name| sample(page, "pgvigil_backup_restore_points", &of(name)) == Some(1.0))
    });
    for repository in ["plain", "seen"] {
        let full = [("repository", repository), ("stanza", "main"), ("backup_type", "full")];
        let end = sample(&page, "pgvigil_backup_last_timestamp_seconds", &full).expect("an end");
        assert!(sample(&page, "pgvigil_backup_last_duration_seconds", &full).is_some_and(|seconds| seconds < 120.0));
        assert!(sample(&page, "pgvigil_backup_last_size_bytes", &full).is_some_and(|bytes| bytes > 1e6));
        assert!(
            sample(&page, "pgvigil_backup_restorable_timestamp_seconds", &of(repository))
                .is_some_and(|newest| newest >= end)
        );
        assert_eq!(sample(&page, "pgvigil_backup_values_skipped_total", &of(repository)[..1]), Some(0.0), "{page}");
    }
    assert_eq!(sample(&page, "pgvigil_backup_wal_missing_segments", &of("plain")), None);
    assert_eq!(sample(&page, "pgvigil_backup_wal_missing_segments", &of("seen")), Some(0.0));
    assert!(sample(&page, "pgvigil_backup_wal_archived_timestamp_seconds", &of("plain")).is_some());

    // A server that is down fails its backup; what is known of the others stays.
    server.stop(Stop::Fast);
    assert!(!barman.try_run(&["backup", "main"]));
    tell();
    let page = until(&pgvigil, "the backup is still known", |page| {
        sample(page, "pgvigil_backup_up", &of("plain")[..1]) == Some(1.0)
    });
    assert_eq!(sample(&page, "pgvigil_backup_restore_points", &of("plain")), Some(1.0));
}
