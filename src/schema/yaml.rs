//! YAML as a tree whose every node knows its place: the one file that names the YAML crate.
//!
//! Only plain data is read: anchors, aliases, tags and several documents are refused, as are files above 1 MiB and
//! nesting deeper than 32. A duplicate key is a problem, and reading goes on; broken syntax ends it.

use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput};
use zeroize::Zeroizing;

use crate::schema::problem::{Place, Problems};

/// The largest file that is read, in bytes.
pub const MAX_BYTES: usize = 1 << 20;
const MAX_DEPTH: usize = 32;

/// A value and its place; the place of a scalar is that of the first character of its text.
///
/// It does not implement `Debug`, since its texts may be passwords.
#[derive(PartialEq)]
pub struct Node {
    pub place: Place,
    pub value: NodeValue,
}

/// What a node is.
#[derive(PartialEq)]
pub enum NodeValue {
    Scalar {
        /// It may be a password.
        text: Zeroizing<String>,
        /// Neither quoted nor a block: then `null` or nothing at all means absent.
        plain: bool,
        /// [`Place::within`] gives the right place of each character of the text.
        exact: bool,
    },
    List(Vec<Node>),
    Map(Vec<(MapKey, Node)>),
    /// Its problem has already been reported, so there are no further messages about it.
    Broken,
}

/// The key of a map's entry.
#[derive(PartialEq)]
pub struct MapKey {
    pub place: Place,
    pub text: Zeroizing<String>,
}

impl Node {
    /// Whether nothing was written: an empty plain scalar, `~` or `null`.
    pub fn is_absent(&self) -> bool {
        matches!(&self.value, NodeValue::Scalar { text, plain: true, .. }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// The text of a scalar that is not absent.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            NodeValue::Scalar { text, .. } if !self.is_absent() => Some(text),
            _ => None,
        }
    }

    /// The value of this key of a map.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|(k, _)| *k.text == key).map(|(_, node)| node)
    }

    /// Whether this key of a map has a value.
    pub fn has(&self, key: &str) -> bool {
        self.get(key).is_some_and(|node| !node.is_absent())
    }

    /// The entries of a map, in order; empty for anything else.
    pub fn entries(&self) -> &[(MapKey, Node)] {
        match &self.value {
            NodeValue::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list, in order; empty for anything else.
    pub fn items(&self) -> &[Node] {
        match &self.value {
            NodeValue::List(items) => items,
            _ => &[],
        }
    }
}

/// Reads one document. `None`: its syntax is broken, or it is empty; the problem says so.
pub fn parse(file: &str, text: &str, problems: &mut Problems) -> Option<Node> {
    let mut builder = Builder { file: file.into(), text, events: Parser::new_from_str(text), problems };
    if text.len() > MAX_BYTES {
        return builder.refuse(&Place::start(file), "the file is larger than 1 MiB: split it");
    }
    builder.document()
}

/// Turns events into nodes. Each method returns `None` once the syntax is broken.
struct Builder<'t, 'p> {
    file: Arc<str>,
    text: &'t str,
    events: Parser<'t, StrInput<'t>>,
    problems: &'p mut Problems,
}

impl<'t> Builder<'t, '_> {
    fn document(&mut self) -> Option<Node> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            let place = self.place(&span);
            match event {
                Event::StreamStart | Event::DocumentEnd => {}
                Event::DocumentStart(_) if root.is_some() => {
                    self.refuse(&place, "a second document starts here: one file holds one document")?;
                }
                Event::DocumentStart(_) => {
                    let first = self.next()?;
                    root = Some(self.node(first, 0)?);
                }
                Event::StreamEnd if root.is_none() => self.refuse(&place, "the file is empty")?,
                _ => return root,
            }
        }
    }

    fn next(&mut self) -> Option<(Event<'t>, Span)> {
        match self.events.next()? {
            Ok(event) => Some(event),
            Err(error) => {
                let place = self.place(&Span::empty(*error.marker()));
                let tab = error.info().contains("tab").then(|| self.first_tab(place.line)).flatten();
                self.refuse(&tab.unwrap_or(place), explain(&error))
            }
        }
    }

    fn node(&mut self, (event, span): (Event<'t>, Span), depth: usize) -> Option<Node> {
        let place = self.place(&span);
        if depth > MAX_DEPTH {
            return self.refuse(&place, "nested deeper than 32: no file needs that");
        }
        let refused = refusal(&event);
        let node = match event {
            Event::Scalar(text, style, ..) => self.scalar(Zeroizing::new(text.into_owned()), style, &span),
            Event::SequenceStart(..) => Node { place: place.clone(), value: self.list(depth)? },
            Event::MappingStart(..) => Node { place: place.clone(), value: self.map(depth)? },
            _ => Node { place: place.clone(), value: NodeValue::Broken },
        };
        let Some(message) = refused else { return Some(node) };
        self.problems.add(&place, message);
        Some(Node { place, value: NodeValue::Broken })
    }

    fn list(&mut self, depth: usize) -> Option<NodeValue> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Some(NodeValue::List(items)),
                item => items.push(self.node(item, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Option<NodeValue> {
        let mut entries: Vec<(MapKey, Node)> = Vec::new();
        loop {
            let key = match self.next()? {
                (Event::MappingEnd, _) => return Some(NodeValue::Map(entries)),
                key => self.node(key, depth + 1)?,
            };
            let value = self.next()?;
            let value = self.node(value, depth + 1)?;
            match key.value {
                NodeValue::Scalar { text, .. } => self.entry(&mut entries, MapKey { place: key.place, text }, value),
                NodeValue::Broken => {}
                _ => self.problems.add(&key.place, "a key must be a word, not a list or a map"),
            }
        }
    }

    /// The message does not repeat the key: in settings it may be a password whose own key was forgotten.
    fn entry(&mut self, entries: &mut Vec<(MapKey, Node)>, key: MapKey, value: Node) {
        match entries.iter().find(|(k, _)| k.text == key.text) {
            Some((first, _)) => {
                let message = format!("this key is already on line {}: keep one of the two", first.place.line);
                self.problems.add(&key.place, message);
            }
            None => entries.push((key, value)),
        }
    }

    /// The parser gives the place of the first character of a block that is not a newline, but the text includes the blank lines before it.
    fn scalar(&self, text: Zeroizing<String>, style: ScalarStyle, span: &Span) -> Node {
        let mut place = self.place(span);
        let exact = match style {
            ScalarStyle::Literal | ScalarStyle::Folded if text.trim().is_empty() => false,
            ScalarStyle::Literal | ScalarStyle::Folded => {
                place.line -= text.chars().take_while(|c| *c == '\n').count().min(place.line - 1);
                style == ScalarStyle::Literal
            }
            ScalarStyle::Plain => is_verbatim(&text, span, 0),
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => {
                place.column += 1;
                is_verbatim(&text, span, 2)
            }
        };
        Node { place, value: NodeValue::Scalar { text, plain: style == ScalarStyle::Plain, exact } }
    }

    /// The first tab that indents a line, at this line or behind it: the parser tells where the value before it begins.
    fn first_tab(&self, line: usize) -> Option<Place> {
        let mut lines = self.text.lines().enumerate().skip(line.saturating_sub(1));
        lines.find_map(|(index, text)| {
            let column = text.find(|letter: char| letter != ' ')?;
            let is_tab = text[column..].starts_with('\t');
            is_tab.then(|| Place { file: self.file.clone(), line: index + 1, column: column + 1 })
        })
    }

    fn place(&self, span: &Span) -> Place {
        Place { file: self.file.clone(), line: span.start.line().max(1), column: span.start.col() + 1 }
    }

    fn refuse<T>(&mut self, place: &Place, message: impl Into<String>) -> Option<T> {
        self.problems.add(place, message);
        None
    }
}

/// Whether the text is on one line, with nothing escaped or folded.
fn is_verbatim(text: &str, span: &Span, quotes: usize) -> bool {
    span.start.line() == span.end.line() && span.len() == text.chars().count() + quotes
}

/// Why an event is refused.
fn refusal(event: &Event<'_>) -> Option<&'static str> {
    match event {
        Event::Alias(_) => Some("aliases (`*name`) are not read: write the value out"),
        Event::Scalar(_, _, anchor, _) | Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _)
            if *anchor != 0 =>
        {
            Some("anchors (`&name`) are not read: write the value out where it is used, or quote it")
        }
        Event::Scalar(_, _, _, Some(_)) | Event::SequenceStart(_, Some(_)) | Event::MappingStart(_, Some(_)) => {
            Some("tags (`!name`) are not read: leave it out, or quote the value")
        }
        _ => None,
    }
}

/// The parser's message, with advice if it alone does not say what would be right. It never repeats a character of the file, which may
/// belong to a password.
fn explain(error: &ScanError) -> String {
    let info = error.info();
    if info.starts_with("unexpected character") {
        return "a value cannot start with this character: quote it".into();
    }
    let advice = match info {
        "simple key expect ':'" => "; the line before is not `key: value` (a space follows the colon)",
        "mapping values are not allowed in this context" => "; quote a value that contains `: `",
        "invalid indentation in quoted scalar" => "; indent all of its lines, or write it as a block, `key: |`",
        "while parsing node, found unknown anchor" => "; quote a value that starts with `*`",
        info if info.contains("tab") => "; indent with spaces",
        info if info.contains("parsing a flow") => "; in `{...}` and `[...]` quote a value such as `${NAME}`",
        info if info.contains("parsing a block collection") => "; begin the items of a list in the same column",
        info if info.contains("parsing a block mapping") => "; begin the keys of a map in the same column",
        _ => "",
    };
    format!("this is not YAML: {info}{advice}")
}
