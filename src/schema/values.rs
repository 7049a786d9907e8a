//! The schemas that others are made of: texts, numbers, words, maps and lists.
//!
//! A value is typed by what is expected of it: `"3"` and `3` are the same number and the same text.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use strum::VariantNames;

use crate::schema::form::Form;
use crate::schema::reader::{Entry, Keys, Schema};
use crate::schema::words;
use crate::schema::yaml::{Node, NodeValue};

/// The longest duration that makes sense here. With this limit, arithmetic with durations needs no overflow checks.
const MAX_DURATION: Duration = Duration::from_secs(30 * 86_400);

/// A scalar that `parse` turns into a value; `wanted` names what it accepts, for the message.
pub fn scalar<T: 'static>(form: Form, wanted: String, parse: impl Fn(&str) -> Option<T> + 'static) -> Schema<T> {
    Schema::new(form, move |node, subject, reader| {
        let value = node.text().and_then(&parse);
        if value.is_none() {
            reader.problems.add(&node.place, format!("{subject} must be {wanted}"));
        }
        value
    })
}

/// A text.
pub fn text() -> Schema<String> {
    scalar(Form::Text, "a text".into(), |text| Some(text.to_owned()))
}

/// A name in lower snake case.
pub fn snake() -> Schema<String> {
    text().matching(words::SNAKE, words::SNAKE_WANTED, |text| words::snake(text).is_ok())
}

/// A name that may stand in a URL and in a file's name.
pub fn plain_name() -> Schema<String> {
    let is_good =
        |name: &String| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.:-".contains(c));
    text().matching("^[A-Za-z0-9_.:-]+$", "made of A-Z, a-z, 0-9 and _ . : -", is_good)
}

/// A whole number within a range.
pub fn whole<T: FromStr + PartialOrd + Display + Copy + 'static>(range: RangeInclusive<T>) -> Schema<T>
where
    i64: TryFrom<T>,
{
    let bound = |bound: &T| i64::try_from(*bound).unwrap_or(i64::MAX);
    let form = Form::Whole(bound(range.start()), bound(range.end()));
    let wanted = format!("a whole number from {} to {}", range.start(), range.end());
    scalar(form, wanted, move |text| text.parse().ok().filter(|number| range.contains(number)))
}

/// A finite number.
pub fn number() -> Schema<f64> {
    scalar(Form::Number, "a number".into(), |text| text.parse().ok().filter(|number: &f64| number.is_finite()))
}

/// `true` or `false`.
pub fn flag() -> Schema<bool> {
    scalar(Form::Flag, "true or false".into(), |text| text.parse().ok())
}

/// A duration such as `5s`.
pub fn duration() -> Schema<Duration> {
    scalar(Form::Duration, "a duration of at most 30d, such as 0s, 5s or 2m".into(), |text| {
        humantime::parse_duration(text).ok().filter(|duration| *duration <= MAX_DURATION)
    })
}

/// A duration above 0s.
pub fn positive_duration() -> Schema<Duration> {
    duration().must("above 0s", |duration| !duration.is_zero())
}

/// One of several words.
pub fn word<T: FromStr + VariantNames + 'static>() -> Schema<T> {
    scalar(Form::words::<T>(), words::either(T::VARIANTS.iter().copied()), |text| text.parse().ok())
}

/// One of several words, kept as it is.
pub fn one_of(words: &'static [&'static str]) -> Schema<String> {
    let known = |text: &str| words.contains(&text).then(|| text.to_owned());
    scalar(Form::Word(words.to_vec()), words::either(words.iter().copied()), known)
}

/// A map with the keys that its type declares.
pub fn map<K: Keys>() -> Schema<K> {
    Schema::new(Form::Map(K::shape), |node, _, reader| {
        let shape = K::shape();
        if !matches!(node.value, NodeValue::Map(_)) {
            reader.problems.add(&node.place, format!("{} is a map: {}", shape.what, words::listed(shape.names())));
            return None;
        }
        shape.check(node, reader.may_hold_secrets, reader.problems);
        K::read_keys(node, reader)
    })
}

/// A map of one of several kinds: the word under `key` says which. With an unknown word it is read as the first kind.
pub fn by_word<T: 'static>(key: &'static str, kinds: Vec<Schema<T>>) -> Schema<T> {
    let form = Form::Either(kinds.iter().map(|kind| kind.form.clone()).collect());
    Schema::new(form, move |node, subject, reader| {
        let word = node.get(key).and_then(Node::text).unwrap_or_default();
        let is_named =
            |kind: &&Schema<T>| matches!(kind.form.of_key(key), Some(Form::Word(words)) if words.contains(&word));
        let named = kinds.iter().find(is_named);
        named.or(kinds.first())?.read(node, subject, reader)
    })
}

/// A list. Items that cannot be read are left out.
pub fn list<T: 'static>(item: Schema<T>) -> Schema<Vec<T>> {
    unique(item, "", |_| Vec::new(), "")
}

/// A list in which no two items have the same name. The message is reported at the item's key `at`, or at the item if it has no such
/// key; `{}` in it is replaced by the name.
pub fn unique<T: 'static>(
    item: Schema<T>,
    at: &'static str,
    names: fn(&T) -> Vec<String>,
    message: &'static str,
) -> Schema<Vec<T>> {
    Schema::new(Form::List(0, Box::new(item.form.clone())), move |node, subject, reader| {
        let NodeValue::List(nodes) = &node.value else {
            let of = match &item.form {
                Form::Map(shape) => format!(" of maps with {}", words::listed(shape().required())),
                _ => String::new(),
            };
            reader.problems.add(&node.place, format!("{subject} must be a list{of}"));
            return None;
        };
        let (mut items, mut seen) = (Vec::new(), Vec::new());
        for node in nodes {
            let Some(item) = item.read(node, &part("an item", subject), reader) else { continue };
            let names = names(&item);
            if let Some(name) = names.iter().find(|name| seen.contains(*name)) {
                reader.refuse(node, at, message.replace("{}", name));
            }
            seen.extend(names);
            items.push(item);
        }
        Some(items)
    })
}

/// A map with free keys, which match a pattern and pass a check. Values that cannot be read are left out.
pub fn entries<T: 'static>(
    pattern: &'static str,
    check: fn(&str) -> Result<(), String>,
    value: Schema<T>,
) -> Schema<Vec<Entry<T>>> {
    Schema::new(Form::Entries(0, pattern, Box::new(value.form.clone())), move |node, subject, reader| {
        let NodeValue::Map(nodes) = &node.value else {
            reader.problems.add(&node.place, format!("{subject} must be a map"));
            return None;
        };
        let mut entries = Vec::new();
        for (key, node) in nodes {
            if let Err(message) = check(&key.text) {
                reader.problems.add(&key.place, message);
            }
            let read = value.read(node, &part("a value", subject), reader);
            if let Some(value) = read.or_else(|| value.fallback()) {
                entries.push(Entry { key: key.text.to_string(), place: key.place.clone(), value });
            }
        }
        Some(entries)
    })
}

/// What messages call a part of a key's value.
fn part(what: &str, whole: &str) -> String {
    if whole.starts_with('`') { format!("{what} of {whole}") } else { whole.to_owned() }
}
