//! A tolerant reader of maps: it takes known keys by name and type, tells each that is wrong, and goes on.
//!
//! A value is typed by what is expected of it: `"3"` and `3` are the same number and the same text.

use std::{fmt::Display, ops::RangeInclusive, str::FromStr, time::Duration};

use crate::schema::{
    problem::{Place, Problems},
    shape::Shape,
    words,
    yaml::{Node, NodeValue},
};

/// The longest duration that means anything here; above it, arithmetic with durations would have to be checked.
const MAX_DURATION: Duration = Duration::from_secs(30 * 86_400);

/// A map being read.
pub struct Fields<'n, 'p> {
    node: &'n Node,
    pub problems: &'p mut Problems,
}

impl<'n, 'p> Fields<'n, 'p> {
    /// Starts to read a map, and tells which keys are unknown and which are missing. `None`: it is no map.
    pub fn open(node: &'n Node, shape: &Shape, problems: &'p mut Problems) -> Option<Self> {
        match &node.value {
            NodeValue::Map(_) => shape.check(node, problems),
            NodeValue::Broken => return None,
            _ => {
                problems.add(&node.place, format!("{} is a map: {}", shape.what, words::listed(shape.keys())));
                return None;
            }
        }
        Some(Fields { node, problems })
    }

    /// The value of a key, if something is there.
    pub fn node(&self, key: &str) -> Option<&'n Node> {
        self.node.get(key).filter(|node| !node.is_absent())
    }

    pub fn has(&self, key: &str) -> bool {
        self.node(key).is_some()
    }

    /// Where the map itself stands.
    pub fn here(&self) -> Place {
        self.node.place.clone()
    }

    /// Where a key's value stands, or else the map.
    pub fn place(&self, key: &str) -> Place {
        self.node.get(key).unwrap_or(self.node).place.clone()
    }

    /// Tells what is wrong with a key's value.
    pub fn tell(&mut self, key: &str, message: impl Into<String>) {
        self.problems.add(&self.place(key), message);
    }

    /// A text.
    pub fn text(&mut self, key: &str) -> Option<String> {
        self.parsed(key, "a text", |text| Some(text.to_owned()))
    }

    /// A text that passes a check, which names what would be right.
    pub fn checked(&mut self, key: &str, check: fn(&str) -> Result<(), &'static str>) -> Option<String> {
        let text = self.text(key)?;
        match check(&text) {
            Ok(()) => Some(text),
            Err(right) => {
                self.tell(key, format!("`{key}` must be {right}"));
                None
            }
        }
    }

    /// A whole number within a range.
    pub fn whole<T: FromStr + PartialOrd + Display>(&mut self, key: &str, range: RangeInclusive<T>) -> Option<T> {
        let wanted = format!("a whole number from {} to {}", range.start(), range.end());
        self.parsed(key, &wanted, |text| text.parse().ok().filter(|number| range.contains(number)))
    }

    /// A finite number.
    pub fn number(&mut self, key: &str) -> Option<f64> {
        self.parsed(key, "a number", finite)
    }

    /// `true` or `false`.
    pub fn flag(&mut self, key: &str) -> Option<bool> {
        self.parsed(key, "true or false", |text| text.parse().ok())
    }

    /// A duration such as `5s`.
    pub fn duration(&mut self, key: &str) -> Option<Duration> {
        self.parsed(key, "a duration of at most 30d, such as 0s, 5s or 2m", |text| {
            humantime::parse_duration(text).ok().filter(|duration| *duration <= MAX_DURATION)
        })
    }

    /// One of several words.
    pub fn word<T: Copy>(&mut self, key: &str, meanings: &[(&str, T)]) -> Option<T> {
        let wanted = words::either(meanings.iter().map(|(word, _)| *word));
        self.parsed(key, &wanted, |text| meanings.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning))
    }

    /// A list of texts and where each stands.
    pub fn texts(&mut self, key: &str) -> Vec<(String, Place)> {
        self.each(key, |node, problems| {
            if node.text().is_none() && node.value != NodeValue::Broken {
                problems.add(&node.place, format!("`{key}` is a list of texts"));
            }
            Some((node.text()?.to_owned(), node.place.clone()))
        })
    }

    /// The items of a list that can be read; the others have told what is wrong.
    pub fn each<T>(&mut self, key: &str, mut read: impl FnMut(&'n Node, &mut Problems) -> Option<T>) -> Vec<T> {
        match self.node(key).map(|node| &node.value) {
            Some(NodeValue::List(items)) => items.iter().filter_map(|item| read(item, self.problems)).collect(),
            None | Some(NodeValue::Broken) => Vec::new(),
            Some(_) => {
                self.tell(key, format!("`{key}` must be a list"));
                Vec::new()
            }
        }
    }

    /// The entries of a map with free keys that can be read; the others have told what is wrong.
    pub fn entries<T>(
        &mut self,
        key: &str,
        mut read: impl FnMut(&'n str, &'n Place, &'n Node, &mut Problems) -> Option<T>,
    ) -> Vec<T> {
        match self.node(key).map(|node| &node.value) {
            Some(NodeValue::Map(entries)) => {
                entries.iter().filter_map(|(k, node)| read(&k.text, &k.place, node, self.problems)).collect()
            }
            None | Some(NodeValue::Broken) => Vec::new(),
            Some(_) => {
                self.tell(key, format!("`{key}` must be a map"));
                Vec::new()
            }
        }
    }

    fn parsed<T>(&mut self, key: &str, wanted: &str, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let node = self.node(key)?;
        let parsed = node.text().and_then(parse);
        if parsed.is_none() && node.value != NodeValue::Broken {
            self.tell(key, format!("`{key}` must be {wanted}"));
        }
        parsed
    }
}

/// A finite number, as text.
pub fn finite(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}
