//! The rules for metric names: their form, and that no two collide in any format.

use std::collections::HashMap;

use crate::collector::metric::MetricKind;
use crate::schema::problem::Problems;
use crate::schema::reader::Placed;
use crate::schema::words;

/// Suffixes that are not a base unit, the suffix of the base unit, and the `scale` that converts.
const UNITS: [(&[&str], &str, &str); 10] = [
    (&["_ns", "_nanoseconds"], "_seconds", "1e-9"),
    (&["_us", "_usec", "_microseconds"], "_seconds", "1e-6"),
    (&["_ms", "_msec", "_milliseconds"], "_seconds", "1e-3"),
    (&["_minutes"], "_seconds", "60"),
    (&["_hours"], "_seconds", "3600"),
    (&["_days"], "_seconds", "86400"),
    (&["_kb", "_kib", "_kilobytes"], "_bytes", "1024"),
    (&["_mb", "_mib", "_megabytes"], "_bytes", "1048576"),
    (&["_gb", "_gib", "_gigabytes"], "_bytes", "1073741824"),
    (&["_percent", "_pct"], "_ratio", "0.01"),
];

/// The problem of a metric's name, if any; `may_have_our_prefix`: it describes pgvigil itself.
pub fn name_problem(name: &str, kind: MetricKind, ecosystem: bool, may_have_our_prefix: bool) -> Option<String> {
    if !words::metric(name) {
        return Some("this is not a metric name: use a-z, 0-9 and _, starting with a letter".into());
    }
    if name.starts_with("pgvigil_") && !may_have_our_prefix {
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
    let suffix = |suffixes: &[&'static str]| suffixes.iter().find(|suffix| stem.ends_with(*suffix)).copied();
    let (suffix, base, scale) =
        UNITS.iter().find_map(|(suffixes, base, scale)| Some((suffix(suffixes)?, base, scale)))?;
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

/// The names occupied by the metrics seen so far, each with the metric: their own, and those that a format derives from them.
#[derive(Debug, Default)]
pub struct MetricNames(HashMap<String, Placed<String>>);

impl MetricNames {
    /// Occupies a metric's names, and reports those that are taken.
    pub fn claim(&mut self, metric: &Placed<String>, kind: MetricKind, problems: &mut Problems) {
        let (name, names) = (&metric.value, occupied(&metric.value, kind));
        let Some((shared, other)) = names.iter().find_map(|name| self.0.get_key_value(name)) else {
            return self.0.extend(names.into_iter().map(|name| (name, metric.clone())));
        };
        let Placed { value: other, place: at } = other;
        let message = match name == other {
            true => format!("metric `{name}` is already declared at {at}: rename one of the two"),
            false => format!(
                "metrics `{name}` and `{other}` (declared at {at}) both mean `{shared}` in OpenMetrics: rename one of \
                 the two"
            ),
        };
        problems.add(&metric.place, message);
    }
}

/// A metric's own name, then its family's name and the sample names reserved for it in OpenMetrics.
fn occupied(name: &str, kind: MetricKind) -> Vec<String> {
    let (stem, suffixes): (_, &[&str]) = match kind {
        MetricKind::Gauge => (None, &[]),
        MetricKind::Counter => (name.strip_suffix("_total"), &["", "_created"]),
        MetricKind::Info => (name.strip_suffix("_info"), &[""]),
        MetricKind::Histogram => (Some(name), &["_bucket", "_sum", "_count", "_created"]),
    };
    let derived = stem.iter().flat_map(|stem| suffixes.iter().map(move |suffix| format!("{stem}{suffix}")));
    [name.to_owned()].into_iter().chain(derived).collect()
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
