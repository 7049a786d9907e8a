//! The shapes of what people write: the keys of each kind of map, what each holds, and in a sentence what it is for.
//!
//! The reader takes from here which keys there are; `schema.rs` makes of the same what editors read.

use crate::schema::{problem::Problems, words, yaml::Node};

/// The keys of one kind of map.
#[derive(Debug)]
pub struct Shape {
    /// What the map describes, for messages: `a metric`.
    pub what: &'static str,
    pub needs: &'static [KeySpec],
    pub may: &'static [KeySpec],
    /// Unknown keys are not repeated in messages, because they may be secrets that lack their key.
    pub quiet: bool,
}

/// A key of a map.
#[derive(Debug)]
pub struct KeySpec {
    pub name: &'static str,
    pub is: Is,
    /// For editors: a sentence or two.
    pub about: &'static str,
}

/// What a value is. A form is a regular expression; an empty one lets every text pass.
#[derive(Debug)]
pub enum Is {
    Text,
    /// A text of this form.
    Form(&'static str),
    /// A whole number from, to.
    Whole(usize, usize),
    /// One of a few whole numbers from, to, some of them below 0.
    Signed(i32, i32),
    Number,
    Flag,
    Duration,
    /// One of these words.
    Word(&'static [&'static str]),
    /// One of the names this gives.
    Name(fn() -> Vec<&'static str>),
    /// A text, a number or null: a cell of an example.
    Cell,
    Map(&'static Shape),
    /// A map that has just one of these of its keys.
    OneOf(&'static Shape, &'static [&'static str]),
    /// At least so many of these.
    List(usize, &'static Is),
    /// A map with free keys of this form, at least so many.
    Entries(usize, &'static str, &'static Is),
    /// Whichever of these fits.
    Either(&'static [Is]),
}

/// A key, in one line.
pub const fn key(name: &'static str, is: Is, about: &'static str) -> KeySpec {
    KeySpec { name, is, about }
}

impl Shape {
    /// The names of its keys, those it needs first.
    pub fn keys(&self) -> impl Iterator<Item = &'static str> {
        self.needs.iter().chain(self.may).map(|key| key.name)
    }

    fn unknown(&self, key: &str, near: Option<&str>) -> String {
        let shown = if self.quiet { String::new() } else { format!(" `{key}`") };
        match near {
            Some(known) => format!("unknown key{shown}: did you mean `{known}`?"),
            None => format!("unknown key{shown}: the keys of {} are {}", self.what, words::listed(self.keys())),
        }
    }

    /// Tells which keys are unknown, and which are missing and were not just misspelt.
    pub fn check(&self, node: &Node, problems: &mut Problems) {
        let mut missing: Vec<_> =
            self.needs.iter().map(|key| key.name).filter(|key| node.get(key).is_none_or(Node::is_absent)).collect();
        for (key, _) in node.entries().iter().filter(|(key, _)| !self.keys().any(|known| known == *key.text)) {
            let near = words::nearest(&key.text, self.keys());
            missing.retain(|key| Some(*key) != near);
            problems.add(&key.place, self.unknown(&key.text, near));
        }
        if !missing.is_empty() {
            problems.add(&node.place, format!("{} needs {}", self.what, words::listed(missing)));
        }
    }
}
