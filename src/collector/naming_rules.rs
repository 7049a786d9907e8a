//! The rules for metric names: their form, and that no two collide in any format.

use std::collections::HashMap;

use crate::collector::metric::{MetricDef, MetricKind};
use crate::schema::problem::{Place, Problems};
use crate::schema::words;

/// Suffixes that are not a base unit, the suffix of the base unit, and the `scale` that converts.
const UNITS: [(&str, &str, &str); 22] = [
    ("_ns", "_seconds", "1e-9"),
    ("_nanoseconds", "_seconds", "1e-9"),
    ("_us", "_seconds", "1e-6"),
    ("_usec", "_seconds", "1e-6"),
    ("_microseconds", "_seconds", "1e-6"),
    ("_ms", "_seconds", "1e-3"),
    ("_msec", "_seconds", "1e-3"),
    ("_milliseconds", "_seconds", "1e-3"),
    ("_minutes", "_seconds", "60"),
    ("_hours", "_seconds", "3600"),
    ("_days", "_seconds", "86400"),
    ("_kb", "_bytes", "1024"),
    ("_mb", "_bytes", "1048576"),
    ("_gb", "_bytes", "1073741824"),
    ("_kib", "_bytes", "1024"),
    ("_mib", "_bytes", "1048576"),
    ("_gib", "_bytes", "1073741824"),
    ("_kilobytes", "_bytes", "1024"),
    ("_megabytes", "_bytes", "1048576"),
    ("_gigabytes", "_bytes", "1073741824"),
    ("_percent", "_ratio", "0.01"),
    ("_pct", "_ratio", "0.01"),
];

/// The problem of a metric's name, if any; `own`: it describes pgvigil itself.
pub fn name_problem(name: &str, kind: MetricKind, ecosystem: bool, own: bool) -> Option<String> {
    if !words::metric(name) {
        return Some("this is not a metric name: use a-z, 0-9 and _, starting with a letter".into());
    }
    if name.starts_with("pgvigil_") && !own {
        return Some(
            "names that start with `pgvigil_` are for what pgvigil itself is or sees: start it with `pg_`".into(),
        );
    }
    if ecosystem { None } else { style_problem(name, kind) }
}

/// The violation of our naming rules, which other exporters' names need not follow.
fn style_problem(name: &str, kind: MetricKind) -> Option<String> {
    if let Err(right) = words::snake(name) {
        return Some(format!("metric names are {right}"));
    }
    match kind {
        MetricKind::Counter if !name.ends_with("_total") => return Some("a counter's name ends in `_total`".into()),
        MetricKind::Info if !name.ends_with("_info") => return Some("an info metric's name ends in `_info`".into()),
        MetricKind::Counter | MetricKind::Info => {}
        MetricKind::Gauge | MetricKind::Histogram => {
            let suffixes = ["_total", "_count", "_sum", "_bucket", "_info"];
            if let Some(suffix) = suffixes.iter().find(|suffix| name.ends_with(*suffix)) {
                return Some(format!(
                    "a {}'s name does not end in `{suffix}`: that means another type",
                    kind.into_str()
                ));
            }
        }
    }
    let stem = name.strip_suffix("_total").or(name.strip_suffix("_info")).unwrap_or(name);
    let (suffix, base, scale) = UNITS.iter().find(|(suffix, ..)| stem.ends_with(suffix))?;
    let convert = match kind {
        MetricKind::Gauge | MetricKind::Counter => format!(", `scale: {scale}`"),
        MetricKind::Histogram | MetricKind::Info => " in the SQL".to_owned(),
    };
    Some(format!("`{suffix}` is not a base unit: end the name in `{base}` and convert{convert}"))
}

/// The problem of a HELP text, if any. The text formats cannot represent the refused texts.
pub fn help_problem(help: &str) -> Option<&'static str> {
    match help {
        _ if help.trim().is_empty() => Some("`help` is empty: say in one line what is measured, and in which unit"),
        _ if help.contains('\\') => Some("`help` must not contain a backslash"),
        _ if help.chars().any(char::is_control) => Some("`help` must be one line, without control characters"),
        _ => None,
    }
}

/// The names occupied by the metrics seen so far: their own, and those that a format derives from them.
#[derive(Debug, Default)]
pub struct MetricNames(HashMap<String, (String, Place)>);

impl MetricNames {
    /// Occupies a metric's names, and reports those that are taken.
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
fn occupied(name: &str, kind: MetricKind) -> Vec<String> {
    let with = |stem: &str, suffixes: &[&str]| suffixes.iter().map(|s| format!("{stem}{s}")).collect::<Vec<_>>();
    let derived = match kind {
        MetricKind::Gauge => Vec::new(),
        MetricKind::Counter => {
            name.strip_suffix("_total").map(|stem| with(stem, &["", "_created"])).unwrap_or_default()
        }
        MetricKind::Info => name.strip_suffix("_info").map(|stem| with(stem, &[""])).unwrap_or_default(),
        MetricKind::Histogram => with(name, &["_bucket", "_sum", "_count", "_created"]),
    };
    [vec![name.to_owned()], derived].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        use MetricKind::*;
        for (name, kind, ecosystem, good) in [
            ("pg_locks", Gauge, false, true),
            ("pg_items_count", Gauge, false, false),
            ("pg_items_count", Gauge, true, true),
            ("pg_commits_total", Counter, false, true),
            ("pg_commits", Counter, false, false),
            ("pg_wait_ms_total", Counter, false, false),
            ("pg_wait_seconds_total", Counter, false, true),
            ("pg_wait_ms", Histogram, false, false),
            ("pg_version_info", Info, false, true),
            ("pg_items", Gauge, false, true),
            ("Pg_locks", Gauge, false, false),
            ("Pg_locks", Gauge, true, true),
            ("pg locks", Gauge, true, false),
            ("pgvigil_rows", Gauge, true, false),
        ] {
            assert_eq!(name_problem(name, kind, ecosystem, false).is_none(), good, "{name}");
        }
    }
}
