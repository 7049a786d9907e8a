//! The sections of a probe: what it has measured on each path.

use crate::collector::sections::row::sections;

sections! {
    "paths": PathRow { path, kind, server, database, role, info }
    "durations": DurationRow { path, query, phase, le, bucket, sum, count, native }
    "attempts": AttemptsRow { path, query, attempts, successes, within }
    "failures": FailuresRow { path, query, phase, reason, failures }
    "rounds": RoundsRow { path, late, missed, installed }
    "comparisons": ComparisonRow { path, query, result, answers }
    "visible": VisibleRow { path, age }
    "cache": CacheRow {
        path, hits, misses, loads, saved, stampedes, entries, capacity, expired, displaced, errors, fallen_back
    }
    "circuits": CircuitRow { path, state, trips }
    "objectives": ObjectiveRow { path, query, objective }
    "certificates": CertificateRow { path, expires }
    "pools": PoolRow { path, size, open, available, waiting, oldest, created, failed }
}
