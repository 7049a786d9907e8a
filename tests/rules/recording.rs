//! What a system's pages say over a while, as series that go on for longer: its second half again and again.

use std::collections::{BTreeMap, BTreeSet};

/// What becomes of a value when the recording is repeated.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// It goes on growing, as much as it grew.
    Counter,
    /// A time that moves along.
    Moving,
    /// A time that stays.
    Fixed,
    /// It is what it was.
    Plain,
}

/// Pages that came at a fixed pace.
pub struct Recording {
    /// When the first came.
    start: f64,
    /// Seconds from one page to the next.
    pace: u64,
    pages: Vec<String>,
}

impl Recording {
    /// `start`: Unix seconds.
    pub fn new(start: f64, pace: u64, pages: Vec<String>) -> Recording {
        Recording { start, pace, pages }
    }

    /// The series of these metrics as promtool's tests have them, each with its values at so many steps. Times count from the start of the
    /// recording, as promtool's clock does.
    pub fn series(&self, metrics: &BTreeSet<String>, labels: &str, steps: usize) -> Vec<(String, String)> {
        let mut all: BTreeMap<&str, (Kind, Vec<Option<f64>>)> = BTreeMap::new();
        for (at, page) in self.pages.iter().enumerate() {
            for (series, kind, value) in samples(page) {
                if metrics.contains(series.split('{').next().unwrap_or_default()) {
                    let absent = || (kind, vec![None; self.pages.len()]);
                    all.entry(series).or_insert_with(absent).1[at] = Some(value);
                }
            }
        }
        let extended = |(kind, values): (Kind, Vec<Option<f64>>)| notation(&self.extended(kind, &values, steps));
        all.into_iter().map(|(series, of_it)| (labelled(series, labels), extended(of_it))).collect()
    }

    /// The values as recorded, and then from the middle on again, and again.
    fn extended(&self, kind: Kind, values: &[Option<f64>], steps: usize) -> Vec<Option<f64>> {
        let middle = values.len() / 2;
        let period = values.len() - 1 - middle;
        let seen: Vec<f64> = values[middle..].iter().filter_map(|value| *value).collect();
        let growth = match (kind, seen.first(), seen.last()) {
            (Kind::Counter, Some(first), Some(last)) => (last - first).max(0.0),
            (Kind::Moving, ..) => (period as u64 * self.pace) as f64,
            _ => 0.0,
        };
        let origin = if matches!(kind, Kind::Moving | Kind::Fixed) { self.start } else { 0.0 };
        let at = |step: usize| {
            let (place, times) = match step.checked_sub(middle) {
                Some(behind) => (middle + behind % period, behind / period),
                None => (step, 0),
            };
            values[place].map(|value| value - origin + growth * times as f64)
        };
        (0..steps).map(at).collect()
    }
}

/// The samples of a page, with what each is.
fn samples(page: &str) -> impl Iterator<Item = (&str, Kind, f64)> {
    let mut is_counter = false;
    page.lines().filter_map(move |line| {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            is_counter = declared.ends_with(" counter") || declared.ends_with(" histogram");
        }
        let (series, value) = line.rsplit_once(' ').filter(|_| !line.starts_with('#'))?;
        let (name, value) = (series.split('{').next()?, value.parse::<f64>().ok()?);
        let kind = match name {
            _ if is_counter => Kind::Counter,
            _ if name.ends_with("_timestamp_seconds") => Kind::Moving,
            _ if name.ends_with("_time_seconds") => Kind::Fixed,
            _ => Kind::Plain,
        };
        Some((series, kind, value))
    })
}

/// A series with these labels before its own: `job="pgvigil"`.
fn labelled(series: &str, labels: &str) -> String {
    match series.split_once('{') {
        Some((name, own)) => format!("{name}{{{labels},{own}"),
        None => format!("{series}{{{labels}}}"),
    }
}

/// promtool's words for values: `3 4x9 stale _x5`.
fn notation(values: &[Option<f64>]) -> String {
    let mut words = Vec::new();
    let mut before = None;
    for run in values.chunk_by(|a, b| a == b) {
        match run[0] {
            Some(value) if run.len() == 1 => words.push(number(value)),
            Some(value) => words.push(format!("{}x{}", number(value), run.len() - 1)),
            // What was there and is no more is so at once, as in a scrape.
            None if before.is_some() => words.push(format!("stale _x{}", run.len() - 1)),
            None => words.push(format!("_x{}", run.len())),
        }
        before = run[0];
    }
    words.join(" ").replace(" _x0", "")
}

fn number(value: f64) -> String {
    if value.is_infinite() { format!("{}Inf", if value > 0.0 { "+" } else { "-" }) } else { value.to_string() }
}

#[test]
fn a_recording_goes_on() {
    let page = |n: u64, gauge: &str| {
        let at = 1000 + 10 * n;
        format!(
            "# TYPE c counter\nc{{a=\"b c\"}} {}\n# TYPE g gauge\n{gauge}# TYPE x gauge\nx_timestamp_seconds {at}\n",
            n * n
        )
    };
    let pages = (0..5).map(|n| page(n, if n == 3 { "" } else { "g 7\n" })).collect();
    let metrics = ["c", "g", "x_timestamp_seconds"].map(str::to_owned).into();
    let series = Recording::new(1000.0, 10, pages).series(&metrics, "job=\"p\"", 9);
    let expected = [
        ("c{job=\"p\",a=\"b c\"}", "0 1 4 9 16 21 28 33 40"),
        ("g{job=\"p\"}", "7x2 stale 7 stale 7 stale 7"),
        ("x_timestamp_seconds{job=\"p\"}", "0 10 20 30 40 50 60 70 80"),
    ];
    assert_eq!(series, expected.map(|(series, values)| (series.to_owned(), values.to_owned())));
}
