//! The rules for metric names: what a good one is, and that no two are taken for the same in any format.

use std::collections::HashMap;

use super::{
    collector::SourceKind,
    problem::{Place, Problems},
    words,
};
use crate::metric::{Kind, MetricDef};

/// Suffixes that are no base unit, and the unit to use.
const UNITS: [(&str, &str); 22] = [
    ("_ns", "seconds"),
    ("_nanoseconds", "seconds"),
    ("_us", "seconds"),
    ("_usec", "seconds"),
    ("_microseconds", "seconds"),
    ("_ms", "seconds"),
    ("_msec", "seconds"),
    ("_milliseconds", "seconds"),
    ("_minutes", "seconds"),
    ("_hours", "seconds"),
    ("_days", "seconds"),
    ("_kb", "bytes"),
    ("_mb", "bytes"),
    ("_gb", "bytes"),
    ("_kib", "bytes"),
    ("_mib", "bytes"),
    ("_gib", "bytes"),
    ("_kilobytes", "bytes"),
    ("_megabytes", "bytes"),
    ("_gigabytes", "bytes"),
    ("_percent", "ratio"),
    ("_pct", "ratio"),
];

/// What is wrong with a metric's name, if anything.
pub fn name_problem(name: &str, kind: Kind, ecosystem: bool, source: SourceKind) -> Option<String> {
    if !words::metric(name) {
        return Some("no metric name: use a-z, 0-9 and _, starting with a letter".into());
    }
    if name.starts_with("pgvigil_") && source != SourceKind::Own {
        return Some("names that start with `pgvigil_` are for `source: self`: start it with `pg_`".into());
    }
    if ecosystem { None } else { style_problem(name, kind) }
}

/// What breaks our naming rules, which other exporters' names need not follow.
fn style_problem(name: &str, kind: Kind) -> Option<String> {
    if let Err(right) = words::snake(name) {
        return Some(format!("metric names are {right}"));
    }
    match kind {
        Kind::Counter if !name.ends_with("_total") => return Some("a counter's name ends in `_total`".into()),
        Kind::Info if !name.ends_with("_info") => return Some("an info metric's name ends in `_info`".into()),
        Kind::Counter | Kind::Info => {}
        Kind::Gauge | Kind::Histogram => {
            let suffixes = ["_total", "_count", "_sum", "_bucket", "_info"];
            if let Some(suffix) = suffixes.iter().find(|suffix| name.ends_with(*suffix)) {
                return Some(format!("a {}'s name does not end in `{suffix}`: that means another type", kind.word()));
            }
        }
    }
    let stem = name.strip_suffix("_total").or(name.strip_suffix("_info")).unwrap_or(name);
    let (suffix, unit) = UNITS.iter().find(|(suffix, _)| stem.ends_with(suffix))?;
    Some(format!("`{suffix}` is no base unit: measure in {unit} and end the name in `_{unit}` (`scale` converts)"))
}

/// What is wrong with a HELP text, if anything. The text formats cannot carry what is refused here.
pub fn help_problem(help: &str) -> Option<&'static str> {
    match help {
        _ if help.trim().is_empty() => Some("`help` is empty: say in one line what is measured, and in which unit"),
        _ if help.contains('\\') => Some("`help` must not contain a backslash"),
        _ if help.chars().any(char::is_control) => Some("`help` must be one line, without control characters"),
        _ => None,
    }
}

/// The names that the metrics seen so far occupy: their own, and those that a format derives from them.
#[derive(Debug, Default)]
pub struct Names(HashMap<String, (String, Place)>);

impl Names {
    /// Occupies a metric's names, and tells which are taken.
    pub fn claim(&mut self, def: &MetricDef, place: &Place, problems: &mut Problems) {
        let names = occupied(&def.name, def.kind);
        if let Some((shared, (other, at))) = names.iter().find_map(|name| self.0.get_key_value(name)) {
            let name = &def.name;
            problems.add(
                place,
                match name == other {
                    true => format!("metric `{name}` is already declared at {at}: rename one of the two"),
                    false => format!(
                        "metrics `{name}` and `{other}` (declared at {at}) both mean `{shared}` in OpenMetrics: rename \
                         one of the two"
                    ),
                },
            );
            return;
        }
        self.0.extend(names.into_iter().map(|name| (name, (def.name.clone(), place.clone()))));
    }
}

/// A metric's own name, then its family's name and the sample names reserved for it in OpenMetrics.
fn occupied(name: &str, kind: Kind) -> Vec<String> {
    let with = |stem: &str, suffixes: &[&str]| suffixes.iter().map(|s| format!("{stem}{s}")).collect::<Vec<_>>();
    let derived = match kind {
        Kind::Gauge => Vec::new(),
        Kind::Counter => name.strip_suffix("_total").map(|stem| with(stem, &["", "_created"])).unwrap_or_default(),
        Kind::Info => name.strip_suffix("_info").map(|stem| with(stem, &[""])).unwrap_or_default(),
        Kind::Histogram => with(name, &["_bucket", "_sum", "_count", "_created"]),
    };
    [vec![name.to_owned()], derived].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        use Kind::*;
        for (name, kind, ecosystem, good) in [
            ("pg_locks", Gauge, false, true),
            ("pg_locks_count", Gauge, false, false),
            ("pg_locks_count", Gauge, true, true),
            ("pg_commits_total", Counter, false, true),
            ("pg_commits", Counter, false, false),
            ("pg_wait_ms_total", Counter, false, false),
            ("pg_wait_seconds_total", Counter, false, true),
            ("pg_version_info", Info, false, true),
            ("pg_items", Gauge, false, true),
            ("Pg_locks", Gauge, false, false),
            ("Pg_locks", Gauge, true, true),
            ("pg locks", Gauge, true, false),
            ("pgvigil_rows", Gauge, true, false),
        ] {
            assert_eq!(name_problem(name, kind, ecosystem, SourceKind::Postgres).is_none(), good, "{name}");
        }
    }
}
