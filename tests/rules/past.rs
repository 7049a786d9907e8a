//! A Prometheus that has a past: series as if it had scraped them; and when rules would have fired over them.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    ops::Range,
};

use serde_json::Value;

use super::{
    files::{self, Rule},
    recording::Series,
};
use crate::support::{Folder, Generation, Prometheus, promtool};

/// Seconds from evaluation to evaluation, at least.
const EVALUATION: u64 = 60;

/// Seconds of a block of Prometheus' storage.
const BLOCK: u64 = 7200;

/// When there was something.
#[derive(Clone, Copy)]
pub struct Span {
    /// Unix seconds of the first scrape.
    pub start: u64,
    /// Seconds from scrape to scrape.
    pub step: u64,
    /// How many.
    pub steps: usize,
}

/// For how long an expression holds without a break.
struct Held {
    labels: Vec<(String, String)>,
    /// Unix seconds.
    from: u64,
    to: u64,
}

pub struct Past {
    prometheus: Prometheus,
    span: Span,
}

/// That an alert fires: which, and when.
#[derive(Debug)]
pub struct Fired {
    pub alert: String,
    pub severity: String,
    /// Those of the series.
    pub labels: Vec<(String, String)>,
    /// With severity, labels and time.
    pub told: String,
}

impl Past {
    /// Of a generation. What has gone is not believed in any longer than scrapes are apart, as if it had been told so.
    pub fn new(generation: Generation, span: Span, series: &[Series]) -> Past {
        let folder = Folder::new("past", "TERM");
        let [page, data] = ["page", "data"].map(|name| folder.path().join(name).display().to_string());
        let end = span.start + span.step * span.steps as u64;
        // One block after the other: a day as text is large.
        for block in (span.start / BLOCK..=end / BLOCK).map(|number| number * BLOCK..(number + 1) * BLOCK) {
            write(&page, span, series, block).expect("writing the past");
            let output =
                promtool(generation, &["tsdb", "create-blocks-from", "--quiet", "openmetrics", &page, &data], "");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        let lookback = format!("--query.lookback-delta={}s", span.step);
        Past { prometheus: Prometheus::start_in(generation, folder, &[&lookback], "  []"), span }
    }

    /// The alerts that fire. Of those that wait longer than `longest` minutes, the ones that wait so long: they will.
    pub fn fired(&self, rules: &[Rule], longest: u64) -> Vec<Fired> {
        let alerts = rules.iter().filter_map(|rule| Some((rule.alert.clone()?, rule)));
        let fired = alerts.flat_map(|(alert, rule)| {
            let held = self.held(&asked(rule, rules)).into_iter();
            let held = held.filter(move |held| held.to - held.from >= rule.wait.min(longest) * 60);
            held.map(move |Held { labels, from, to }| {
                let minutes = [from, to].map(|at| (at - self.span.start) / 60);
                let told =
                    format!("{alert} {} from minute {} to {}: {labels:?}", rule.severity, minutes[0], minutes[1]);
                Fired { alert: alert.clone(), severity: rule.severity.clone(), labels, told }
            })
        });
        fired.collect()
    }

    /// The longest time that an expression holds, evaluated between scrapes; for each of its series.
    fn held(&self, expr: &str) -> Vec<Held> {
        let Span { start, step, steps } = self.span;
        let range = (start + step / 2, start + step * (steps as u64 - 1));
        let pause = step.max(EVALUATION);
        let answer = self.prometheus.query_range(expr, range, pause);
        let held = files::items(&answer).iter().filter_map(|series| {
            let moments: Vec<_> = files::items(&series["values"]).iter().map(|value| seconds(&value[0])).collect();
            let runs = moments.chunk_by(|before, after| after - before == pause);
            let run = runs.max_by_key(|run| run.len())?;
            Some(Held { labels: files::pairs(&series["metric"]), from: run[0], to: run[run.len() - 1] })
        });
        held.collect()
    }
}

/// The expression of a rule, with what is recorded as what it was recorded from: of that there is no past. A recording rule reads what earlier
/// ones record, so they are put in from the last to the first.
fn asked(rule: &Rule, rules: &[Rule]) -> String {
    let recorded = rules.iter().rev().filter_map(|rule| Some((rule.record.as_ref()?, &rule.expr)));
    recorded.fold(rule.expr.clone(), |asked, (name, expr)| with_recorded(&asked, name, expr))
}

/// Only a selector may have matchers, a range or an offset: what has matchers is joined with what has these labels, and what has one of the others
/// is asked from minute to minute.
fn with_recorded(asked: &str, name: &str, expr: &str) -> String {
    let mut pieces = asked.split(name);
    let mut whole = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (matchers, piece) = piece.strip_prefix('{').and_then(|rest| rest.split_once('}')).unwrap_or(("", piece));
        let expr = matchers.split(',').filter(|matcher| !matcher.is_empty()).fold(format!("({expr})"), matching);
        let range = piece.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        whole += &match (range, piece.strip_prefix(" offset ")) {
            (Some((range, rest)), _) if range.contains(':') => format!("{expr}[{range}]{rest}"),
            (Some((range, rest)), _) => format!("{expr}[{range}:1m]{rest}"),
            (None, Some(rest)) => {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
                format!("last_over_time({expr}[1m:1m] offset {}){}", &rest[..end], &rest[end..])
            }
            (None, None) => expr + piece,
        };
    }
    whole
}

/// What there is of an expression with a label that is, or is not, so.
fn matching(expr: String, matcher: &str) -> String {
    let (label, value) = matcher.split_once('=').unwrap_or_else(|| panic!("{matcher}"));
    assert!(!value.starts_with('~') && !label.ends_with('~'), "{matcher}: only whole values can be joined");
    let (label, join) = label.trim().strip_suffix('!').map_or((label.trim(), "and"), |label| (label, "unless"));
    format!("({expr} {join} on ({label}) label_replace(vector(1), \"{label}\", {value}, \"\", \"\"))")
}

#[test]
fn what_is_recorded_is_asked_for() {
    let asked = |text| with_recorded(text, "a:b", "x");
    assert_eq!(asked("a:b < 0.8 * (a:b offset 1d) and d"), "(x) < 0.8 * (last_over_time((x)[1m:1m] offset 1d)) and d");
    assert_eq!(asked("max_over_time(a:b[1h]) > 1"), "max_over_time((x)[1h:1m]) > 1");
    let joined = r#"((x) and on (c) label_replace(vector(1), "c", "d", "", "")) > 1"#;
    assert_eq!(asked(r#"a:b{c="d"} > 1"#), joined);
    assert_eq!(asked(r#"a:b{c!="d"} > 1"#), joined.replace("and", "unless"));
}

fn seconds(time: &Value) -> u64 {
    time.as_u64().unwrap_or_else(|| panic!("{time} is no whole second"))
}

/// What there is in a block, as OpenMetrics.
fn write(page: &str, span: Span, series: &[Series], block: Range<u64>) -> io::Result<()> {
    let mut page = BufWriter::new(File::create(page)?);
    let nth = |at: u64| at.saturating_sub(span.start).div_ceil(span.step) as usize;
    for (name, values) in series {
        for (at, value) in values.iter().enumerate().take(nth(block.end)).skip(nth(block.start)) {
            if let Some(value) = value {
                writeln!(page, "{name} {value} {}", span.start + at as u64 * span.step)?;
            }
        }
    }
    writeln!(page, "# EOF")?;
    page.flush()
}
