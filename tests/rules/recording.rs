//! What a system's pages say over a while, as series that go on for longer: parts of it again and again.

use std::{collections::BTreeMap, iter::once};

use crate::support::page;

/// What becomes of a value when the recording is stretched.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// It goes on growing, as fast as it grew.
    Counter,
    /// A time that moves along: it stays as long ago as it was.
    Moving,
    /// Seconds since something: they pass.
    Age,
    /// It is what it was.
    Plain,
}

/// Pages that came at a fixed pace.
pub struct Recording {
    /// Seconds from one page to the next.
    pub pace: u64,
    pub pages: Vec<String>,
}

/// How a recording goes on: as if the time from one page to the next had been a whole step.
pub struct Stretch {
    /// Seconds.
    pub step: u64,
    pub parts: Vec<Part>,
}

/// The pages behind `from` up to `to`.
#[derive(Clone, Copy)]
pub struct Part {
    pub from: usize,
    pub to: usize,
    pub how: How,
}

#[derive(Clone, Copy, PartialEq)]
pub enum How {
    /// Something happens: what is counted grows by what was counted.
    Once,
    /// So many steps, if need be with the same pages again and again: what is counted grows as fast as it did.
    Again(usize),
}

/// At each step.
type Values = Vec<Option<f64>>;

/// A series as it is written, and its values.
pub type Series = (String, Values);

impl Stretch {
    /// At the recording's own pace, so many steps; from the middle on again and again.
    pub fn of(recording: &Recording, steps: usize) -> Stretch {
        let (middle, last) = ((recording.pages.len() / 2), recording.pages.len() - 1);
        Stretch {
            step: recording.pace,
            parts: vec![
                Part { from: 0, to: middle, how: How::Once },
                Part { from: middle, to: last, how: How::Again(steps.saturating_sub(middle + 1)) },
            ],
        }
    }

    /// The page of each step, and how many times as long as recorded it is behind the one before.
    fn pages(&self, pace: u64) -> Vec<(usize, f64)> {
        let of_part = |part: &Part| {
            let pages = part.from + 1..=part.to;
            let (steps, times) = match part.how {
                How::Once => (pages.clone().count(), 1.0),
                How::Again(steps) => (steps, self.step as f64 / pace as f64),
            };
            pages.cycle().take(steps).map(|page| (page, times)).collect::<Vec<_>>()
        };
        once((0, 1.0)).chain(self.parts.iter().flat_map(of_part)).collect()
    }
}

impl Recording {
    /// Those of its series that are read, which their name and labels say, each with its values at all steps and with these labels before
    /// its own. What `stays` is a time that does not move along.
    pub fn series(
        &self,
        is_read: impl Fn(&str, &[(&str, String)]) -> bool,
        stays: impl Fn(&str, &[(&str, String)]) -> bool,
        labels: &str,
        stretch: &Stretch,
    ) -> Vec<Series> {
        let mut all: BTreeMap<&str, Option<(Kind, Values)>> = BTreeMap::new();
        for (at, page) in self.pages.iter().enumerate() {
            for (series, kind, value) in samples(page) {
                let begin = || {
                    let (name, labels) = page::series(series)?;
                    let kind = if stays(name, &labels) { Kind::Plain } else { kind };
                    is_read(name, &labels).then(|| (kind, vec![None; self.pages.len()]))
                };
                if let Some((_, values)) = all.entry(series).or_insert_with(begin) {
                    values[at] = Some(value);
                }
            }
        }
        let pages = stretch.pages(self.pace);
        let read = all.into_iter().filter_map(|(series, of_it)| Some((series, of_it?)));
        let stretched = |(kind, values): (Kind, Values)| self.stretched(kind, &values, &pages, stretch.step);
        read.map(|(series, of_it)| (labelled(series, labels), stretched(of_it))).collect()
    }

    fn stretched(&self, kind: Kind, values: &[Option<f64>], pages: &[(usize, f64)], step: u64) -> Values {
        let mut count: Option<f64> = None;
        let of_page = |(nth, (page, times)): (usize, &(usize, f64))| {
            let value = values[*page]?;
            let passed = (nth as u64 * step) as f64 - (*page as u64 * self.pace) as f64;
            Some(match kind {
                Kind::Moving | Kind::Age => value + passed,
                Kind::Plain => value,
                Kind::Counter => {
                    let before = values[..*page].iter().rev().find_map(|value| *value);
                    let grown = count.zip(before).filter(|(_, before)| *before <= value);
                    let grown = grown.map(|(count, before)| count + (value - before) * times);
                    *count.insert(grown.unwrap_or(value))
                }
            })
        };
        pages.iter().enumerate().map(of_page).collect()
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
            // Since when it is there.
            _ if name.ends_with("_start_timestamp_seconds") => Kind::Plain,
            _ if name.ends_with("_timestamp_seconds") || name.starts_with("pg_stat_user_tables_last_") => Kind::Moving,
            "redis_uptime_in_seconds" => Kind::Age,
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
    let recording = Recording { pace: 10, pages };
    let series = recording.series(is_read, |_, _| false, "job=\"p\"", &Stretch::of(&recording, 9));
    let some = |values: [i32; 9]| values.map(|value| (value >= 0).then(|| f64::from(value))).to_vec();
    let expected = [
        ("c{job=\"p\",a=\"b c\"}", [0, 1, 4, 9, 16, 21, 28, 33, 40]),
        ("g{job=\"p\"}", [7, 7, 7, -1, 7, -1, 7, -1, 7]),
        ("x_timestamp_seconds{job=\"p\"}", [1000, 1010, 1020, 1030, 1040, 1050, 1060, 1070, 1080]),
    ];
    assert_eq!(series, expected.map(|(series, values)| (series.to_owned(), some(values))));
    // Minutes instead of tens of seconds, at last something that happens once; one series has times that stand still.
    let parts = [(0, 2, How::Again(3)), (2, 4, How::Again(1)), (3, 4, How::Once)];
    let stretch = Stretch { step: 60, parts: parts.map(|(from, to, how)| Part { from, to, how }).to_vec() };
    let series = recording.series(|name, _| name != "g" && name != "y", |name, _| name.starts_with("x"), "", &stretch);
    let values: Vec<_> = series.into_iter().map(|(_, values)| values).collect();
    let some = |values: [i32; 6]| values.map(|value| Some(f64::from(value))).to_vec();
    assert_eq!(values, [some([0, 6, 24, 30, 60, 67]), some([1; 6]), some([1000, 1010, 1020, 1010, 1030, 1040])]);
}
