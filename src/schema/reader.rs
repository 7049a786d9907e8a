//! Schemas: each is what a value looks like and how it is read, in one. A reader is tolerant: it reports what is wrong and goes on.
//!
//! A value is typed by what is expected of it: `"3"` and `3` are the same number and the same text.

use std::{fmt::Display, ops::RangeInclusive, path::Path, str::FromStr, time::Duration};

use crate::schema::{
    declare::Keys,
    form::{Form, Shape},
    problem::{Place, Problems},
    words,
    yaml::{Node, NodeValue},
};

/// The longest duration that means anything here; above it, arithmetic with durations would have to be checked.
const MAX_DURATION: Duration = Duration::from_secs(30 * 86_400);

/// Reads an environment variable. It comes from outside, so that tests have their own environment.
pub type Env<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// What reading needs beside the value.
pub struct Reader<'a> {
    pub problems: &'a mut Problems,
    pub env: &'a Env<'a>,
    /// Where the files are that the file names.
    pub folder: &'a Path,
    /// Messages do not repeat keys that are unknown.
    pub may_hold_secrets: bool,
}

impl<'a> Reader<'a> {
    /// Of a file that holds no secrets, in which no variable is replaced.
    pub fn new(problems: &'a mut Problems) -> Reader<'a> {
        Reader { problems, env: &|_| None, folder: Path::new(""), may_hold_secrets: false }
    }

    /// Of a file that may hold secrets.
    pub fn of_settings(env: &'a Env<'a>, problems: &'a mut Problems) -> Reader<'a> {
        Reader { problems, env, folder: Path::new(""), may_hold_secrets: true }
    }

    /// Reports what is wrong with a key of a map, or with the map if it does not have the key.
    pub fn refuse(&mut self, map: &Node, key: &str, message: impl Into<String>) {
        self.problems.add(&map.get(key).unwrap_or(map).place, message);
    }
}

/// What is read of a node, and of what messages call it: "`ttl`", "an item of `labels`". `None`: what is wrong has been reported.
type Read<T> = dyn Fn(&Node, &str, &mut Reader<'_>) -> Option<T>;

/// What a value looks like, how it is read, and what it is where it is left out.
pub struct Schema<T> {
    pub form: Form,
    pub is_required: bool,
    read: Box<Read<T>>,
    /// What counts where nothing is written, or nothing that can be read.
    fallback: Option<Box<dyn Fn() -> T>>,
    /// The key that says the same in another way.
    instead_of: Option<&'static str>,
    /// One of these keys must be there too.
    beside: &'static [&'static str],
    /// Where the key cannot be read, nor can its map: no fallback then.
    is_strict: bool,
}

/// A value, and where it stands: that does not count when two are compared.
#[derive(Clone, Debug)]
pub struct Placed<T> {
    pub value: T,
    pub place: Place,
}

impl<T: PartialEq> PartialEq for Placed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

/// An entry of a map with free keys.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry<T> {
    pub key: String,
    /// Of the key.
    pub place: Place,
    pub value: T,
}

impl<T: 'static> Schema<T> {
    pub fn new(form: Form, read: impl Fn(&Node, &str, &mut Reader<'_>) -> Option<T> + 'static) -> Schema<T> {
        Schema {
            form,
            is_required: true,
            read: Box::new(read),
            fallback: None,
            instead_of: None,
            beside: &[],
            is_strict: false,
        }
    }

    /// Reads a value that is there.
    pub fn read(&self, node: &Node, subject: &str, reader: &mut Reader<'_>) -> Option<T> {
        match node.value {
            NodeValue::Broken => None,
            _ => (self.read)(node, subject, reader),
        }
    }

    /// Reads a key of a map. `None`: it is needed, and is missing or cannot be read.
    pub fn read_key(&self, map: &Node, key: &str, reader: &mut Reader<'_>) -> Option<T> {
        let Some(node) = map.get(key).filter(|node| !node.is_absent()) else { return self.fallback() };
        if let Some(other) = self.instead_of.filter(|other| map.has(other)) {
            reader.problems.add(&node.place, format!("`{other}` is given too: keep one of the two"));
            return self.fallback().filter(|_| !self.is_strict);
        }
        if let Some(other) = self.beside.first().filter(|_| !self.beside.iter().any(|other| map.has(other))) {
            reader.problems.add(&node.place, format!("`{key}` needs `{other}` beside it"));
        }
        let value = self.read(node, &format!("`{key}`"), reader);
        value.or_else(|| self.fallback().filter(|_| !self.is_strict))
    }

    fn fallback(&self) -> Option<T> {
        self.fallback.as_ref().map(|fallback| fallback())
    }

    /// The key may be left out.
    pub fn optional(self) -> Schema<Option<T>> {
        let schema = self.tolerant();
        Schema { is_required: false, ..schema }
    }

    /// The key is needed; where it is missing or cannot be read, the rest of its map is read and checked all the same.
    pub fn tolerant(self) -> Schema<Option<T>> {
        Schema { fallback: Some(Box::new(|| None)), ..self.map(Some) }
    }

    /// The value of a key that is left out.
    pub fn or(self, default: T) -> Schema<T>
    where
        T: Clone,
    {
        Schema { is_required: false, fallback: Some(Box::new(move || default.clone())), ..self }
    }

    /// What is made of the value, of its node, and of what messages call it.
    fn make<U: 'static>(self, make: impl Fn(T, &Node, &str, &mut Reader<'_>) -> Option<U> + 'static) -> Schema<U> {
        let (form, instead_of, beside) = (self.form.clone(), self.instead_of, self.beside);
        let schema = Schema::new(form, move |node, subject, reader| {
            let value = self.read(node, subject, reader)?;
            make(value, node, subject, reader)
        });
        Schema { instead_of, beside, ..schema }
    }

    /// A value that passes a check; `wanted` names what would.
    pub fn must(self, wanted: &'static str, is_good: impl Fn(&T) -> bool + 'static) -> Schema<T> {
        self.make(move |value, node, subject, reader| {
            if is_good(&value) {
                return Some(value);
            }
            reader.problems.add(&node.place, format!("{subject} must be {wanted}"));
            None
        })
    }

    /// The same, where the form says it too.
    pub fn matching(
        self,
        pattern: &'static str,
        wanted: &'static str,
        is_good: impl Fn(&T) -> bool + 'static,
    ) -> Schema<T> {
        self.must(wanted, is_good).shown_as(Form::Pattern(pattern))
    }

    /// Reports what is wrong with the value, in words of its own, and keeps it.
    pub fn check(self, check: impl Fn(&T) -> Result<(), String> + 'static) -> Schema<T> {
        self.then(move |value, node, reader| {
            if let Err(message) = check(&value) {
                reader.problems.add(&node.place, message);
            }
            Some(value)
        })
    }

    /// What is made of the value, and of the node that it stands in; `None`: what is wrong has been reported.
    pub fn then<U: 'static>(self, make: impl Fn(T, &Node, &mut Reader<'_>) -> Option<U> + 'static) -> Schema<U> {
        self.make(move |value, node, _, reader| make(value, node, reader))
    }

    /// What is made of the value, which cannot fail.
    pub fn map<U: 'static>(self, make: impl Fn(T) -> U + 'static) -> Schema<U> {
        self.then(move |value, _, _| Some(make(value)))
    }

    /// The value with its place.
    pub fn placed(self) -> Schema<Placed<T>> {
        self.then(|value, node, _| Some(Placed { value, place: node.place.clone() }))
    }

    /// Where the key is there and cannot be read, nothing is made of its map: what follows from a key left out does not follow.
    pub fn strict(self) -> Schema<T> {
        Schema { is_strict: true, ..self }
    }

    /// What editors are shown instead.
    pub fn shown_as(self, form: Form) -> Schema<T> {
        Schema { form, ..self }
    }

    /// Another key says the same in another way: only one of the two may be there.
    pub fn instead_of(self, key: &'static str) -> Schema<T> {
        Schema { instead_of: Some(key), ..self }
    }

    /// One of these keys must be there too.
    pub fn beside(self, keys: &'static [&'static str]) -> Schema<T> {
        Schema { beside: keys, ..self }
    }
}

impl<T: 'static> Schema<Vec<T>> {
    /// A list or map that must not be empty; the message says so.
    pub fn not_empty(self, message: &'static str) -> Schema<Vec<T>> {
        let form = match self.form.clone() {
            Form::List(_, item) => Form::List(1, item),
            Form::Entries(_, keys, value) => Form::Entries(1, keys, value),
            other => other,
        };
        Schema::new(form, move |node, subject, reader| {
            if node.is_empty() {
                reader.problems.add(&node.place, message);
            }
            self.read(node, subject, reader)
        })
    }
}

/// A scalar of which a function makes a value; `wanted` says what it takes.
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
    u64: TryFrom<T>,
{
    let bound = |bound: &T| u64::try_from(*bound).unwrap_or_default();
    numbers(Form::Whole(bound(range.start()), bound(range.end())), range)
}

/// A whole number of a few, some of them below 0.
pub fn signed(range: RangeInclusive<i32>) -> Schema<i32> {
    numbers(Form::Signed(*range.start(), *range.end()), range)
}

fn numbers<T: FromStr + PartialOrd + Display + 'static>(form: Form, range: RangeInclusive<T>) -> Schema<T> {
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
pub fn word<T: Copy + 'static>(meanings: &'static [(&'static str, T)]) -> Schema<T> {
    let words: Vec<_> = meanings.iter().map(|(word, _)| *word).collect();
    let wanted = words::either(words.iter().copied());
    let meaning = |text: &str| meanings.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
    scalar(Form::Word(words), wanted, meaning)
}

/// One of several words, which mean themselves.
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

/// A map whose other keys follow from the word under one of them. One with an unknown word is read like the first kind.
pub fn by_word<T: 'static>(key: &'static str, kinds: Vec<(fn() -> Shape, Schema<T>)>) -> Schema<T> {
    let form = Form::Either(kinds.iter().map(|(shape, _)| Form::Map(*shape)).collect());
    Schema::new(form, move |node, subject, reader| {
        let word = node.get(key).and_then(Node::text);
        let named = kinds.iter().find(|(shape, _)| word.is_some_and(|word| shape().words_of(key).contains(&word)));
        let (_, schema) = named.or(kinds.first())?;
        schema.read(node, subject, reader)
    })
}

/// A list. Items that cannot be read are left out.
pub fn list<T: 'static>(item: Schema<T>) -> Schema<Vec<T>> {
    unique(item, "", |_| Vec::new(), "")
}

/// A list in which no two items have the same name. The message stands at the item's key `at`, or at the item itself; `{}` in it is the
/// name.
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

/// What messages call a part of what stands under a key.
fn part(what: &str, whole: &str) -> String {
    if whole.starts_with('`') { format!("{what} of {whole}") } else { whole.to_owned() }
}
