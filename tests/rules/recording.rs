//! What a system's pages say over a while, as series that go on for longer: its second half again and again.

use std::collections::BTreeMap;

use crate::support::page;

/// What becomes of a value when the recording is repeated.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// It goes on growing, as much as it grew.
    Counter,
    /// A time that moves along.
    Moving,
    /// It is what it was.
    Plain,
}

/// Pages that came at a fixed pace.
pub struct Recording {
    /// Seconds from one page to the next.
    pub pace: u64,
    pub pages: Vec<String>,
}

/// At each step.
type Values = Vec<Option<f64>>;

/// A series as it is written, and its values.
pub type Series = (String, Values);

impl Recording {
    /// Those of its series that are read, which their name and labels say, each with its values at so many steps and with these labels before
    /// its own.
    pub fn series(&self, is_read: impl Fn(&str, &[(&str, String)]) -> bool, labels: &str, steps: usize) -> Vec<Series> {
        let mut all: BTreeMap<&str, Option<(Kind, Values)>> = BTreeMap::new();
        for (at, page) in self.pages.iter().enumerate() {
            for (series, kind, value) in samples(page) {
                let begin = || {
                    let is_read = page::series(series).is_some_and(|(name, labels)| is_read(name, &labels));
                    is_read.then(|| (kind, vec![None; self.pages.len()]))
                };
                if let Some((_, values)) = all.entry(series).or_insert_with(begin) {
                    values[at] = Some(value);
                }
            }
        }
        let read = all.into_iter().filter_map(|(series, of_it)| Some((series, of_it?)));
        read.map(|(series, (kind, values))| (labelled(series, labels), self.extended(kind, &values, steps))).collect()
    }

    /// The values as recorded, and then from the middle on again, and again.
    fn extended(&self, kind: Kind, values: &[Option<f64>], steps: usize) -> Values {
        let middle = values.len() / 2;
        let period = values.len() - 1 - middle;
        let seen: Vec<f64> = values[middle..].iter().filter_map(|value| *value).collect();
        let growth = match (kind, seen.first(), seen.last()) {
            (Kind::Counter, Some(first), Some(last)) => (last - first).max(0.0),
            (Kind::Moving, ..) => (period as u64 * self.pace) as f64,
            _ => 0.0,
        };
        let at = |step: usize| {
            let (place, times) = match step.checked_sub(middle) {
                Some(behind) => (middle + behind % period, behind / period),
                None => (step, 0),
            };
            values[place].map(|value| value + growth * times as f64)
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

#[test]
fn a_recording_goes_on() {
    let page = |n: u64, gauge: &str| {
        let at = 1000 + 10 * n;
        format!(
            "# TYPE c counter\nc{{a=\"b c\"}} {}\nc{{a=\"d\"}} 1\n# TYPE g gauge\n{gauge}# TYPE x gauge\nx_timestamp_seconds {at}\ny 1\n",
            n * n
        )
    };
    let pages = (0..5).map(|n| page(n, if n == 3 { "" } else { "g 7\n" })).collect();
    let is_read = |name: &str, labels: &[(&str, String)]| name != "y" && labels != [("a", "d".to_owned())];
    let series = Recording { pace: 10, pages }.series(is_read, "job=\"p\"", 9);
    let some = |values: [i32; 9]| values.map(|value| (value >= 0).then(|| f64::from(value))).to_vec();
    let expected = [
        ("c{job=\"p\",a=\"b c\"}", [0, 1, 4, 9, 16, 21, 28, 33, 40]),
        ("g{job=\"p\"}", [7, 7, 7, -1, 7, -1, 7, -1, 7]),
        ("x_timestamp_seconds{job=\"p\"}", [1000, 1010, 1020, 1030, 1040, 1050, 1060, 1070, 1080]),
    ];
    assert_eq!(series, expected.map(|(series, values)| (series.to_owned(), some(values))));
}
