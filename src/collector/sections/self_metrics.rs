//! The sections of the program's own state (`source: self`).

use crate::collector::sections::row::sections;

sections! {
    // Once for each target, whose labels are added.
    "target": TargetRow {
        up_postgres, up_pgbouncer, up_redis, up_probe, last_answer_timestamp, circuit_state, circuit_trips, sessions,
        pooled, login_pending
    }
    "login": LoginRow { method, tls, peer }
    "down": DownRow { reason, down }
    "collectors": CollectorRow {
        collector, success, duration_seconds, last_success_timestamp, age_seconds, rows, cut, duplicates, invalid
    }
    "cut": CutRow { collector, texts, samples }
    "skipped": SkippedRow { collector, reason, queries }
    "databases": ClosedDatabaseRow { datname, reason, skipped }
    "failures": CollectorFailuresRow { collector, reason, count }
    "thresholds": ThresholdRow { name, severity, value }
    // Once for the program.
    "build": BuildRow { version }
    "process": ProcessRow { start_timestamp, resident_bytes, cpu_seconds, open_fds, max_fds }
    "exporter": ExporterRow { scrapes, scrape_duration_seconds, reload_success, reload_timestamp }
}
