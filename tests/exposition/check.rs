//! What each format demands of a page, checked by an independent reader: a head before the samples, each family one
//! block, no series twice, names that fit the type, escapes, and where the page ends.

#[path = "messages.rs"]
mod messages;

use std::collections::{BTreeMap, BTreeSet};

use pgvigil::exposition::Format;

/// A sample's name and labels, as the page means them.
pub type Series = (String, BTreeMap<String, String>);

/// All series of a page with their values, as Prometheus reads them.
pub type Values = BTreeMap<Series, f64>;

/// The family being read.
struct Family<'a> {
    name: &'a str,
    kind: &'a str,
    /// The last bound of each histogram's series.
    bounds: BTreeMap<BTreeMap<String, String>, f64>,
}

/// All series of a page, or the first thing that is wrong with it.
pub fn check(page: &[u8], format: Format) -> Result<Values, String> {
    let text = || str::from_utf8(page).map_err(|wrong| wrong.to_string());
    match format {
        Format::Protobuf => messages::check(page),
        Format::Text => check_text(text()?, format),
        Format::OpenMetrics => check_text(text()?.strip_suffix("# EOF\n").ok_or("the end is no `# EOF`")?, format),
    }
}

fn check_text(body: &str, format: Format) -> Result<Values, String> {
    let mut lines = body.split_terminator('\n').peekable();
    let (mut families, mut series) = (BTreeSet::new(), Values::new());
    while let Some(line) = lines.next() {
        let mut family = head(line, lines.next().unwrap_or_default(), format)?;
        if !families.insert(family.name) {
            return Err(format!("{} has two blocks", family.name));
        }
        let before = series.len();
        while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
            let (sample, value) = sample(line, &mut family, format).map_err(|wrong| format!("{wrong}: {line:?}"))?;
            if series.insert(sample, value).is_some() {
                return Err(format!("a series twice: {line:?}"));
            }
        }
        if series.len() == before {
            return Err(format!("{} has no samples", family.name));
        }
        if let Some((labels, _)) = family.bounds.iter().find(|(_, bound)| bound.is_finite()) {
            return Err(format!("{} ends without +Inf: {labels:?}", family.name));
        }
    }
    Ok(series)
}

/// `# HELP name text`, `# TYPE name kind`.
fn head<'a>(help: &'a str, kind: &'a str, format: Format) -> Result<Family<'a>, String> {
    let wrong = || format!("no head: {help:?}, {kind:?}");
    let (name, text) = help.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')).ok_or_else(wrong)?;
    let (also, kind) = kind.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')).ok_or_else(wrong)?;
    let kinds: &[&str] = match format {
        Format::Text => &["gauge", "counter", "histogram"],
        _ => &["gauge", "counter", "histogram", "info", "unknown"],
    };
    let is_escaped = match format {
        Format::Text => !text.contains('\\'),
        _ => !text.replace("\\\"", "").contains(['\\', '"']),
    };
    let is_good = also == name && is_name(name, true) && kinds.contains(&kind) && !text.is_empty() && is_escaped;
    is_good.then(|| Family { name, kind, bounds: BTreeMap::new() }).ok_or_else(wrong)
}

/// `name{label="value",...} number`
fn sample(line: &str, family: &mut Family<'_>, format: Format) -> Result<(Series, f64), &'static str> {
    let end = line.find(['{', ' ']).ok_or("no value")?;
    let (name, rest) = line.split_at(end);
    let (mut labels, rest) = match rest.strip_prefix('{') {
        Some(inside) => self::labels(inside)?,
        None => (BTreeMap::new(), rest),
    };
    let value = number(rest.strip_prefix(' ').ok_or("no space before the value")?)?;
    let suffix = name.strip_prefix(family.name).ok_or("a sample of another family")?;
    let fits = match (family.kind, format) {
        ("counter", Format::OpenMetrics) => suffix == "_total",
        ("info", _) => suffix == "_info" && value == 1.0,
        ("histogram", _) => ["_bucket", "_sum", "_count"].contains(&suffix),
        _ => suffix.is_empty(),
    };
    if !fits || (suffix == "_bucket") != labels.contains_key("le") {
        return Err("a name or labels that do not fit the type");
    }
    if suffix == "_bucket" {
        bucket(family, labels.clone())?;
    }
    // A label without a value is none.
    labels.retain(|_, value| !value.is_empty());
    Ok(((name.to_owned(), labels), value))
}

/// Bounds rise, up to +Inf.
fn bucket(family: &mut Family<'_>, mut labels: BTreeMap<String, String>) -> Result<(), &'static str> {
    let text = labels.remove("le").unwrap_or_default();
    let le = number(&text)?;
    if text != messages::bound(le) {
        return Err("a bound that Prometheus writes otherwise");
    }
    match family.bounds.insert(labels, le) {
        Some(before) if before >= le => Err("bounds do not rise"),
        _ => Ok(()),
    }
}

/// The labels up to the brace that closes them, and what follows it.
fn labels(mut rest: &str) -> Result<(BTreeMap<String, String>, &str), &'static str> {
    let mut labels = BTreeMap::new();
    loop {
        let (name, quoted) = rest.split_once("=\"").ok_or("no label")?;
        let (value, after) = unquote(quoted)?;
        if !is_name(name, false) {
            return Err("no label name");
        }
        if labels.insert(name.to_owned(), value).is_some() {
            return Err("a label twice");
        }
        match after.split_at_checked(1) {
            Some(("}", after)) => return Ok((labels, after)),
            Some((",", after)) => rest = after,
            _ => return Err("neither a comma nor a brace after a label"),
        }
    }
}

/// A value up to its closing quote, and what follows.
fn unquote(text: &str) -> Result<(String, &str), &'static str> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => value.push(match characters.next().map(|(_, escaped)| escaped) {
                Some('n') => '\n',
                Some(escaped @ ('"' | '\\')) => escaped,
                _ => return Err("an escape that there is not"),
            }),
            plain => value.push(plain),
        }
    }
    Err("no closing quote")
}

/// A number as both formats read it. NaN is none of ours: what is not known is absent.
fn number(text: &str) -> Result<f64, &'static str> {
    let wrong = "no number";
    let is_plain = text.chars().all(|c| c.is_ascii_digit() || "+-.e".contains(c));
    match text {
        "+Inf" => Ok(f64::INFINITY),
        "-Inf" => Ok(f64::NEG_INFINITY),
        _ if is_plain => text.parse().map_err(|_| wrong),
        _ => Err(wrong),
    }
}

fn is_name(name: &str, colon: bool) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || (colon && c == ':');
    name.starts_with(|c: char| is_word(c) && !c.is_ascii_digit()) && name.chars().all(is_word)
}

/// The reader itself refuses what it should.
#[test]
fn broken_pages_are_found() {
    let good = "# HELP a A.\n# TYPE a gauge\na{b=\"\\\"\\\\\\n\"} 1\n";
    assert_eq!(check(good.as_bytes(), Format::Text).map(|series| series.len()), Ok(1));
    assert_eq!(check(format!("{good}# EOF\n").as_bytes(), Format::OpenMetrics).map(|series| series.len()), Ok(1));
    assert!(check(good.as_bytes(), Format::OpenMetrics).is_err());
    for (from, to) in [
        ("# TYPE a gauge\n", ""),
        ("# HELP a A.\n", ""),
        ("gauge", "counts"),
        ("a{", "c{"),
        ("a{", "a_total{"),
        ("\\n", "\\r"),
        ("\\n", "\n"),
        ("\\\"", "\""),
        ("} 1", "} NaN"),
        ("} 1", "}1"),
        ("} 1", "} 1 x"),
        ("} 1\n", "} 1\n\n"),
        ("a{b=\"", "a{b=\"1\",b=\""),
        ("a{b", "a{1b"),
        ("gauge\n", "gauge\na 1\na 1\n"),
        ("a{", "a{b=\"\"} 1\na 1\na{"),
        ("} 1\n", "} 1\n# HELP a A.\n# TYPE a gauge\na 1\n"),
        ("a{b=\"\\\"\\\\\\n\"} 1\n", ""),
        ("gauge", "histogram"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert!(bad != good && check(bad.as_bytes(), Format::Text).is_err(), "{bad}");
    }
}
