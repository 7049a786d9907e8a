//! The sections of a probe: what it has measured on each path.

use crate::collector::sections::Section;

/// All there are.
pub const SECTIONS: &[Section] = &[
    section("paths", &["path", "kind", "server", "database", "role", "info"]),
    section("durations", &["path", "query", "phase", "le", "bucket", "sum", "count", "native"]),
    section("attempts", &["path", "query", "attempts", "successes", "within"]),
    section("failures", &["path", "query", "phase", "reason", "failures"]),
    section("rounds", &["path", "late", "missed", "installed"]),
    section("comparisons", &["path", "query", "result", "answers"]),
    section("visible", &["path", "age"]),
    section(
        "cache",
        &[
            "path",
            "hits",
            "misses",
            "loads",
            "saved",
            "stampedes",
            "entries",
            "capacity",
            "expired",
            "displaced",
            "errors",
            "fallen_back",
        ],
    ),
    section("circuits", &["path", "state", "trips"]),
    section("objectives", &["query", "objective"]),
    section("certificates", &["path", "expires"]),
    section("pools", &["path", "size", "open", "available", "waiting", "oldest", "created", "failed"]),
];

const fn section(name: &'static str, columns: &'static [&'static str]) -> Section {
    Section { name, of_target: true, columns }
}
