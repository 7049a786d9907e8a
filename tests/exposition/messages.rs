//! Reads Prometheus' protobuf format by its definition, and makes series of it as Prometheus does.

use std::collections::{BTreeMap, BTreeSet};

use super::{Values, is_name};

type Read<T> = Result<T, String>;

enum Content<'a> {
    Varint(u64),
    Double(f64),
    Bytes(&'a [u8]),
}

/// The types of families, and the field in which metrics of each have their value; a summary is none of ours.
const TYPES: [(u64, u64); 4] = [(0, 3), (1, 2), (3, 5), (4, 7)];
const HISTOGRAM: u64 = 7;

/// All series of a page, or the first thing that is wrong with it.
pub fn check(mut page: &[u8]) -> Read<Values> {
    let (mut names, mut values) = (BTreeSet::new(), Values::new());
    while !page.is_empty() {
        let length = varint(&mut page)?;
        let message = take(&mut page, length)?;
        let name = family(message, &mut values)?;
        if !names.insert(name.clone()) {
            return Err(format!("{name} has two messages"));
        }
    }
    Ok(values)
}

/// Adds the series of a family; its name.
fn family(message: &[u8], values: &mut Values) -> Read<String> {
    let (mut name, mut help, mut kind, mut metrics) = (String::new(), String::new(), 0, Vec::new());
    for field in fields(message)? {
        match field {
            (1, Content::Bytes(bytes)) => name = text(bytes)?,
            (2, Content::Bytes(bytes)) => help = text(bytes)?,
            (3, Content::Varint(value)) => kind = value,
            (4, Content::Bytes(bytes)) => metrics.push(bytes),
            (number, _) => return Err(format!("{name}: field {number}")),
        }
    }
    let value_of = TYPES.iter().find(|(known, _)| *known == kind).ok_or(format!("{name}: type {kind}"))?.1;
    if !is_name(&name, true) || help.is_empty() || metrics.is_empty() {
        return Err(format!("{name:?} is not a whole family"));
    }
    let mut add = |suffix: &str, labels: &BTreeMap<String, String>, value: f64| {
        let series = (format!("{name}{suffix}"), labels.clone());
        match values.insert(series.clone(), value) {
            Some(_) => Err(format!("a series twice: {series:?}")),
            None => Ok(()),
        }
    };
    for message in metrics {
        let (labels, number, content) = metric(message)?;
        match (number == value_of, number) {
            (false, _) => return Err(format!("{name}: a value in field {number} of a metric, type {kind}")),
            (true, HISTOGRAM) => histogram(content, &labels, &mut add)?,
            _ => add("", &labels, fields(content)?.first().map_or(Ok(0.0), double)?)?,
        }
    }
    Ok(name)
}

/// Labels; the field of the value, and what is in it.
fn metric(message: &[u8]) -> Read<(BTreeMap<String, String>, u64, &[u8])> {
    let (mut labels, mut value) = (BTreeMap::new(), None);
    for field in fields(message)? {
        match field {
            (1, Content::Bytes(bytes)) => {
                let [(1, Content::Bytes(name)), (2, Content::Bytes(value))] = fields(bytes)?[..] else {
                    return Err("a label that is not a name and a value".into());
                };
                let (name, value) = (text(name)?, text(value)?);
                if !is_name(&name, false) || value.is_empty() || labels.insert(name.clone(), value).is_some() {
                    return Err(format!("a label that is empty or there twice: {name:?}"));
                }
            }
            (number, Content::Bytes(bytes)) if value.is_none() => value = Some((number, bytes)),
            (number, _) => return Err(format!("another value in field {number} of a metric")),
        }
    }
    let (number, content) = value.ok_or("a metric without a value")?;
    Ok((labels, number, content))
}

/// Classic buckets: their bounds rise up to +Inf, and their counts never fall. Those of a native histogram are read over.
fn histogram(
    message: &[u8],
    labels: &BTreeMap<String, String>,
    add: &mut impl FnMut(&str, &BTreeMap<String, String>, f64) -> Read<()>,
) -> Read<()> {
    let (mut count, mut sum, mut last) = (0, 0.0, None);
    for field in &fields(message)? {
        match field {
            (1, Content::Varint(value)) => count = *value,
            (2, _) => sum = double(field)?,
            (3, Content::Bytes(bytes)) => {
                let bucket = bucket(bytes)?;
                if last.is_some_and(|(bound, count)| bound >= bucket.0 || count > bucket.1) {
                    return Err(format!("buckets do not rise: {last:?}, {bucket:?}"));
                }
                last = Some(bucket);
                let mut labels = labels.clone();
                labels.insert("le".into(), bound(bucket.0));
                add("_bucket", &labels, bucket.1 as f64)?;
            }
            (5..=13, _) => (),
            (number, _) => return Err(format!("field {number} of a histogram")),
        }
    }
    if last.is_none_or(|(bound, _)| bound != f64::INFINITY) {
        return Err("a histogram ends without +Inf".into());
    }
    add("_sum", labels, sum)?;
    add("_count", labels, count as f64)
}

/// Its bound, and how many are below.
fn bucket(message: &[u8]) -> Read<(f64, u64)> {
    let mut bucket = (0.0, 0);
    for field in fields(message)? {
        match field {
            (1, Content::Varint(count)) => bucket.1 = count,
            (2, Content::Double(bound)) => bucket.0 = bound,
            (number, _) => return Err(format!("field {number} of a bucket")),
        }
    }
    Ok(bucket)
}

/// As Go writes floats in the shortest form, with a fraction at least.
pub fn bound(bound: f64) -> String {
    if bound.is_infinite() {
        return if bound > 0.0 { "+Inf" } else { "-Inf" }.into();
    }
    let text = format!("{bound:e}");
    let (digits, exponent) = text.split_once('e').expect("an exponent");
    match exponent.parse::<i32>().expect("a number") {
        -4..=5 if bound.fract() == 0.0 => format!("{bound:.1}"),
        -4..=5 => format!("{bound}"),
        exponent => format!("{digits}e{exponent:+03}"),
    }
}

fn fields(mut message: &[u8]) -> Read<Vec<(u64, Content<'_>)>> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        let content = match tag & 7 {
            0 => Content::Varint(varint(&mut message)?),
            1 => {
                let bytes = take(&mut message, 8)?.try_into().expect("8 bytes");
                Content::Double(f64::from_le_bytes(bytes))
            }
            2 => {
                let length = varint(&mut message)?;
                Content::Bytes(take(&mut message, length)?)
            }
            other => return Err(format!("wire type {other}")),
        };
        fields.push((tag >> 3, content));
    }
    Ok(fields)
}

fn double(field: &(u64, Content<'_>)) -> Read<f64> {
    match field {
        (_, Content::Double(value)) if !value.is_nan() => Ok(*value),
        (number, _) => Err(format!("field {number} is not a number")),
    }
}

fn text(bytes: &[u8]) -> Read<String> {
    String::from_utf8(bytes.to_vec()).map_err(|wrong| wrong.to_string())
}

fn take<'a>(bytes: &mut &'a [u8], length: u64) -> Read<&'a [u8]> {
    usize::try_from(length).ok().and_then(|length| bytes.split_off(..length)).ok_or_else(|| "cut off".into())
}

fn varint(bytes: &mut &[u8]) -> Read<u64> {
    let mut value = 0;
    for place in 0..10 {
        let byte = *bytes.split_off_first().ok_or("cut off")?;
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err("a varint without end".into())
}

/// The reader itself refuses what it should.
#[test]
fn broken_messages_are_found() {
    // A gauge `a` with help `A`, and one metric: a label `b` that is `c`, the value 1.
    let family = b"\x0a\x01a\x12\x01A\x18\x01\x22\x13\x0a\x06\x0a\x01b\x12\x01c\x12\x09\x09\0\0\0\0\0\0\xf0\x3f";
    let page = |family: &[u8]| [&[family.len() as u8][..], family].concat();
    assert_eq!(check(&page(family)).map(|values| values.into_values().collect()), Ok(vec![1.0]));
    assert!(check(&page(family).repeat(2)).is_err(), "twice");
    for end in 1..family.len() {
        assert!(check(&page(family)[..end]).is_err(), "cut off at {end}");
    }
    for (at, byte) in [(0, 0x2a), (2, b'-'), (7, 0), (7, 2), (9, 0x2a), (11, 0x12), (15, b'='), (19, 0x1a), (20, 0x0b)]
    {
        let mut bad = family.to_vec();
        bad[at] = byte;
        assert!(check(&page(&bad)).is_err(), "{byte:#x} at {at}");
    }
}

#[test]
fn bounds_are_as_go_writes_them() {
    for (value, text) in [
        (1.0, "1.0"),
        (0.0, "0.0"),
        (-0.25, "-0.25"),
        (0.0001, "0.0001"),
        (0.00002, "2e-05"),
        (100_000.0, "100000.0"),
        (123_456.75, "123456.75"),
        (1e6, "1e+06"),
        (-1_234_567.5, "-1.2345675e+06"),
        (1e-300, "1e-300"),
    ] {
        assert_eq!(bound(value), text);
    }
}
