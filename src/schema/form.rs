//! What people may write, as data: the keys of each kind of map, what each holds, and a sentence on its purpose.
//!
//! Each schema has a form. Messages, docs/keys.md and the JSON Schemas for editors are made from forms.

use strum::VariantNames;

use crate::schema::problem::Problems;
use crate::schema::words;
use crate::schema::yaml::Node;

/// What a value looks like.
#[derive(Clone)]
pub enum Form {
    Text,
    /// A text that matches this regular expression.
    Pattern(&'static str),
    /// A whole number, from and to. A range that starts below 0 must be short: its JSON Schema lists every number.
    Whole(i64, i64),
    Number,
    Flag,
    Duration,
    /// One of these words.
    Word(Vec<&'static str>),
    /// A text, a number or null: a cell of an example.
    Cell,
    Map(fn() -> Shape),
    /// A list of at least so many items.
    List(usize, Box<Form>),
    /// A map of at least so many entries, whose keys match this regular expression.
    Entries(usize, &'static str, Box<Form>),
    /// Any of these.
    Either(Vec<Form>),
}

/// The keys of one kind of map.
pub struct Shape {
    /// What the map describes, for messages: `a metric`.
    pub what: &'static str,
    pub keys: Vec<KeySpec>,
    /// If not empty: exactly one of these keys must be present.
    pub one_of: Vec<&'static str>,
}

/// A key of a map.
pub struct KeySpec {
    pub name: &'static str,
    pub is_required: bool,
    pub form: Form,
    /// Its purpose, in a sentence or two.
    pub about: &'static str,
}

impl Form {
    /// The words of a table of meanings.
    pub fn words<T: VariantNames>() -> Form {
        Form::Word(T::VARIANTS.to_vec())
    }

    /// What a key of a map holds.
    pub fn of_key(&self, name: &str) -> Option<Form> {
        let Form::Map(shape) = self else { return None };
        shape().keys.into_iter().find(|key| key.name == name).map(|key| key.form)
    }
}

impl Shape {
    /// A map that has no keys yet.
    pub fn new(what: &'static str) -> Shape {
        Shape { what, keys: Vec::new(), one_of: Vec::new() }
    }

    /// The same map with this key too.
    pub fn key(mut self, key: KeySpec) -> Shape {
        self.keys.push(key);
        self
    }

    /// The same map with these keys too.
    pub fn with(mut self, more: Shape) -> Shape {
        self.keys.extend(more.keys);
        self.one_of.extend(more.one_of);
        self
    }

    /// The names of its keys, the required ones first.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        let optional = self.keys.iter().filter(|key| !key.is_required).map(|key| key.name);
        self.required().chain(optional)
    }

    /// The names of the keys that it needs.
    pub fn required(&self) -> impl Iterator<Item = &'static str> {
        self.keys.iter().filter(|key| key.is_required).map(|key| key.name)
    }

    /// Reports the unknown keys of a map, and the missing ones that were not just misspelt. In a file with secrets, messages do not
    /// repeat an unknown key: it may be a password whose own key was forgotten.
    pub fn check(&self, node: &Node, may_hold_secrets: bool, problems: &mut Problems) {
        let mut missing: Vec<_> = self.required().filter(|key| !node.has(key)).collect();
        for (key, _) in node.entries().iter().filter(|(key, _)| !self.names().any(|known| known == *key.text)) {
            let near = words::nearest(&key.text, self.names());
            missing.retain(|key| Some(*key) != near);
            let shown = if may_hold_secrets { String::new() } else { format!(" `{}`", *key.text) };
            let message = match near {
                Some(known) => format!("unknown key{shown}: did you mean `{known}`?"),
                None => format!("unknown key{shown}: the keys of {} are {}", self.what, words::listed(self.names())),
            };
            problems.add(&key.place, message);
        }
        if !missing.is_empty() {
            problems.add(&node.place, format!("{} needs {}", self.what, words::listed(missing)));
        }
    }
}
