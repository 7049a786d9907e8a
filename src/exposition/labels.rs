//! Labels as the text formats write them, and a target's own labels, which all its samples carry.

use std::sync::Arc;

use crate::table::{Cell, Number};

/// Labels that many blocks share. Cloning is cheap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetLabels(Arc<WrittenLabels>);

#[derive(Debug, Default, PartialEq, Eq)]
struct WrittenLabels {
    pairs: Vec<(String, String)>,
    text: String,
}

impl TargetLabels {
    /// These labels, in this order. The names are valid and each is there once; the values may be any text.
    pub fn new<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let pairs: Vec<_> = pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let mut text = Vec::new();
        for (name, value) in &pairs {
            if !text.is_empty() {
                text.push(b',');
            }
            push_label(&mut text, name, Cell::Text(value));
        }
        let text = String::from_utf8_lossy(&text).into_owned();
        TargetLabels(Arc::new(WrittenLabels { pairs, text }))
    }

    /// These and one more.
    pub fn with(&self, name: &str, value: &str) -> Self {
        TargetLabels::new(self.pairs().chain([(name, value)]))
    }

    /// Names and values, unescaped.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The text between the braces in the text formats: `a="1",b="2"`.
    pub fn text(&self) -> &str {
        &self.0.text
    }
}

/// Writes `name="value"`.
pub fn push_label(out: &mut Vec<u8>, name: &str, value: Cell<'_>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"=\"");
    match value {
        Cell::Absent | Cell::Buckets(_) => (),
        Cell::Int(value) => Number::Int(value).push_to(out),
        Cell::Float(value) => Number::Float(value).push_to(out),
        Cell::Text(text) => push_escaped(out, text.as_bytes()),
    }
    out.push(b'"');
}

fn push_escaped(out: &mut Vec<u8>, mut text: &[u8]) {
    while let Some(at) = text.iter().position(|byte| matches!(byte, b'\\' | b'"' | b'\n')) {
        out.extend_from_slice(&text[..at]);
        out.extend_from_slice(match text[at] {
            b'\n' => b"\\n",
            b'"' => b"\\\"",
            _ => b"\\\\",
        });
        text = &text[at + 1..];
    }
    out.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped_and_joined() {
        for (value, written) in [
            (Cell::Text("plain é"), "plain é"),
            (Cell::Text("\\a\"b\nc\\"), "\\\\a\\\"b\\nc\\\\"),
            (Cell::Text("\n\n"), "\\n\\n"),
            (Cell::Int(-7), "-7"),
            (Cell::Float(0.5), "0.5"),
            (Cell::Absent, ""),
            (Cell::Buckets(&[(1, 2)]), ""),
        ] {
            let mut out = b"x,".to_vec();
            push_label(&mut out, "name", value);
            assert_eq!(str::from_utf8(&out), Ok(&*format!("x,name=\"{written}\"")), "{value:?}");
        }
        let none = TargetLabels::new([]);
        let all = none.with("a", "1").with("b", "\"");
        assert_eq!((none.text(), all.text()), ("", "a=\"1\",b=\"\\\"\""));
        assert_eq!(all.pairs().collect::<Vec<_>>(), [("a", "1"), ("b", "\"")]);
    }
}
