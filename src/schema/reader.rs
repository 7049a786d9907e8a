//! Schemas: each says what a value looks like, and reads it. Reading does not stop at a problem: it is reported, and the rest is read too.

use std::path::Path;

use crate::schema::form::{Form, KeySpec, Shape};
use crate::schema::problem::{Place, Problems};
use crate::schema::yaml::{Node, NodeValue};

/// Reads an environment variable. It is passed in, so that tests can have an environment of their own.
pub type Env<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// What reading needs beside the value.
pub struct Reader<'a> {
    pub problems: &'a mut Problems,
    pub env: &'a Env<'a>,
    /// The folder that file names in the file are relative to.
    pub folder: &'a Path,
    /// Then messages do not repeat unknown keys.
    pub may_hold_secrets: bool,
}

impl<'a> Reader<'a> {
    /// For a file without secrets and without variables.
    pub fn new(problems: &'a mut Problems) -> Reader<'a> {
        Reader { problems, env: &|_| None, folder: Path::new(""), may_hold_secrets: false }
    }

    /// For a file that may hold secrets.
    pub fn of_settings(env: &'a Env<'a>, problems: &'a mut Problems) -> Reader<'a> {
        Reader { problems, env, folder: Path::new(""), may_hold_secrets: true }
    }

    /// Reports what is wrong with a key of a map, or with the map if it does not have the key.
    pub fn refuse(&mut self, map: &Node, key: &str, message: impl Into<String>) {
        self.problems.add(&map.get(key).unwrap_or(map).place, message);
    }
}

/// Reads a node; the text is what messages call it: "`ttl`", "an item of `labels`". `None`: a problem has been reported.
type Read<T> = dyn Fn(&Node, &str, &mut Reader<'_>) -> Option<T>;

/// What a value looks like, how it is read, and what counts if it is missing.
pub struct Schema<T> {
    pub form: Form,
    pub is_required: bool,
    read: Box<Read<T>>,
    /// What counts if the key is missing or its value cannot be read.
    fallback: Option<Box<dyn Fn() -> T>>,
    /// The other key with the same meaning; only one of the two may be present.
    instead_of: Option<&'static str>,
    /// One of these keys must be present too.
    beside: &'static [&'static str],
    /// The fallback is only for a missing key, not for one that cannot be read.
    is_strict: bool,
}

/// A value and its place. The place is ignored when two are compared.
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
    /// That of the key.
    pub place: Place,
    pub value: T,
}

/// A type that declares the keys of a map.
pub trait Keys: Sized + 'static {
    fn shape() -> Shape;

    /// Reads the keys of a map. `None`: a problem has been reported.
    fn read_keys(map: &Node, reader: &mut Reader<'_>) -> Option<Self>;
}

/// If these keys cannot be read, the keys beside them are read and checked all the same.
impl<K: Keys> Keys for Option<K> {
    fn shape() -> Shape {
        K::shape()
    }

    fn read_keys(map: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        Some(K::read_keys(map, reader))
    }
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

    /// The description of a key with this schema.
    pub fn key(&self, name: &'static str, about: &'static str) -> KeySpec {
        KeySpec { name, is_required: self.is_required, form: self.form.clone(), about: about.trim() }
    }

    /// Reads a value that is present.
    pub fn read(&self, node: &Node, subject: &str, reader: &mut Reader<'_>) -> Option<T> {
        match node.value {
            NodeValue::Broken => None,
            _ => (self.read)(node, subject, reader),
        }
    }

    /// Reads a key of a map. `None`: it is missing or cannot be read, and has no fallback.
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

    pub(super) fn fallback(&self) -> Option<T> {
        self.fallback.as_ref().map(|fallback| fallback())
    }

    /// The key may be left out.
    pub fn optional(self) -> Schema<Option<T>> {
        Schema { is_required: false, ..self.tolerant() }
    }

    /// The key is needed, but without it the rest of its map is read and checked all the same.
    pub fn tolerant(self) -> Schema<Option<T>> {
        Schema { fallback: Some(Box::new(|| None)), ..self.map(Some) }
    }

    /// The key may be left out: then this is its value.
    pub fn or(self, default: T) -> Schema<T>
    where
        T: Clone,
    {
        Schema { is_required: false, fallback: Some(Box::new(move || default.clone())), ..self }
    }

    /// Turns the value into another, which may depend on its node and on what messages call it. `None`: a problem has been reported.
    pub fn make<U: 'static>(self, make: impl Fn(T, &Node, &str, &mut Reader<'_>) -> Option<U> + 'static) -> Schema<U> {
        let (form, instead_of, beside) = (self.form.clone(), self.instead_of, self.beside);
        let schema = Schema::new(form, move |node, subject, reader| {
            let value = self.read(node, subject, reader)?;
            make(value, node, subject, reader)
        });
        Schema { instead_of, beside, ..schema }
    }

    /// Checks the value; `wanted` says what would pass. A wrong value is reported but kept, so that the rest can be checked.
    pub fn must(self, wanted: &'static str, is_good: impl Fn(&T) -> bool + 'static) -> Schema<T> {
        self.make(move |value, node, subject, reader| {
            if !is_good(&value) {
                reader.problems.add(&node.place, format!("{subject} must be {wanted}"));
            }
            Some(value)
        })
    }

    /// The same, if a regular expression can say it too.
    pub fn matching(
        self,
        regex: &'static str,
        wanted: &'static str,
        is_good: impl Fn(&T) -> bool + 'static,
    ) -> Schema<T> {
        self.must(wanted, is_good).shown_as(Form::Pattern(regex))
    }

    /// Checks the value with a message of its own. A wrong value is reported but kept.
    pub fn check(self, check: impl Fn(&T) -> Result<(), String> + 'static) -> Schema<T> {
        self.then(move |value, node, reader| {
            if let Err(message) = check(&value) {
                reader.problems.add(&node.place, message);
            }
            Some(value)
        })
    }

    /// The same with a constant message.
    pub fn refuse_if(self, message: &'static str, is_wrong: impl Fn(&T) -> bool + 'static) -> Schema<T> {
        self.check(move |value| if is_wrong(value) { Err(message.to_owned()) } else { Ok(()) })
    }

    /// Turns the value into another, which may depend on its node. `None`: a problem has been reported.
    pub fn then<U: 'static>(self, make: impl Fn(T, &Node, &mut Reader<'_>) -> Option<U> + 'static) -> Schema<U> {
        self.make(move |value, node, _, reader| make(value, node, reader))
    }

    /// Turns the value into another.
    pub fn map<U: 'static>(self, make: impl Fn(T) -> U + 'static) -> Schema<U> {
        self.then(move |value, _, _| Some(make(value)))
    }

    /// The value with its place.
    pub fn placed(self) -> Schema<Placed<T>> {
        self.then(|value, node, _| Some(Placed { value, place: node.place.clone() }))
    }

    /// A key that is present but cannot be read makes its map unreadable: to treat it as missing would cause misleading messages.
    pub fn strict(self) -> Schema<T> {
        Schema { is_strict: true, ..self }
    }

    /// Replaces the form that editors are shown.
    pub fn shown_as(self, form: Form) -> Schema<T> {
        Schema { form, ..self }
    }

    /// Another key has the same meaning: only one of the two may be present.
    pub fn instead_of(self, key: &'static str) -> Schema<T> {
        Schema { instead_of: Some(key), ..self }
    }

    /// One of these keys must be present too.
    pub fn beside(self, keys: &'static [&'static str]) -> Schema<T> {
        Schema { beside: keys, ..self }
    }
}

impl<T: 'static> Schema<Vec<T>> {
    /// The list or map must not be empty.
    pub fn not_empty(mut self, message: &'static str) -> Schema<Vec<T>> {
        if let Form::List(least, _) | Form::Entries(least, ..) = &mut self.form {
            *least = 1;
        }
        self.then(move |value, node, reader| {
            if node.items().is_empty() && node.entries().is_empty() {
                reader.problems.add(&node.place, message);
            }
            Some(value)
        })
    }
}
