//! Reads single samples out of a metrics page.

/// The value of the one sample with this name and at least these labels. Panics when several fit.
pub fn sample(page: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let values = samples(page, name, labels);
    assert!(values.len() < 2, "{name} {labels:?} fits {} samples", values.len());
    values.first().copied()
}

/// The values of all samples with this name and at least these labels.
pub fn samples(page: &str, name: &str, labels: &[(&str, &str)]) -> Vec<f64> {
    page.lines().filter_map(parse).filter(|line| line.fits(name, labels)).map(|line| line.value).collect()
}

/// The counters and buckets of a page: each series as it is written, and its value.
pub fn counters(page: &str) -> Vec<(&str, f64)> {
    let (mut counts, mut found) = (false, Vec::new());
    for line in page.lines() {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            counts = kind.ends_with(" counter") || kind.ends_with(" histogram");
        } else if let Some((series, value)) = line.rsplit_once(' ').filter(|_| counts && !line.starts_with('#')) {
            found.push((series, value.parse().expect("a number")));
        }
    }
    found
}

/// How many samples the page has.
pub fn count(page: &str) -> usize {
    page.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count()
}

/// Names and values.
pub type Labels<'a> = Vec<(&'a str, String)>;

struct Line<'a> {
    name: &'a str,
    labels: Labels<'a>,
    value: f64,
}

impl Line<'_> {
    fn fits(&self, name: &str, labels: &[(&str, &str)]) -> bool {
        let has = |&(key, value): &(&str, &str)| self.labels.iter().any(|(its, is)| *its == key && is == value);
        self.name == name && labels.iter().all(has)
    }
}

/// `name{key="value",...} 1` or `name 1`, perhaps with a time behind.
fn parse(line: &str) -> Option<Line<'_>> {
    let (name, labels, rest) = split(line)?;
    Some(Line { name, labels, value: rest.split_whitespace().next()?.parse().ok()? })
}

/// The name of a series and its labels.
pub fn series(series: &str) -> Option<(&str, Labels<'_>)> {
    split(series).map(|(name, labels, _)| (name, labels))
}

/// Name, labels, and what is behind them.
fn split(line: &str) -> Option<(&str, Labels<'_>, &str)> {
    let (name, mut rest) = line.split_at(line.find(['{', ' ']).unwrap_or(line.len()));
    let mut labels = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (key, quoted) = rest.split_once("=\"")?;
            let (value, after) = unquote(quoted)?;
            labels.push((key, value));
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        rest = &rest[1..];
    }
    Some((name, labels, rest))
}

/// A label's value up to its closing quote, and what follows.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    loop {
        match chars.next()? {
            (end, '"') => return Some((value, &text[end + 1..])),
            (_, '\\') => match chars.next()?.1 {
                'n' => value.push('\n'),
                escaped => value.push(escaped),
            },
            (_, plain) => value.push(plain),
        }
    }
}
