//! A target's own labels, which all its samples carry: as pairs, and as the text formats write them.

use std::sync::Arc;

use crate::exposition::text;

/// Labels that many blocks share. Cloning is cheap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetLabels(Option<Arc<WrittenLabels>>);

#[derive(Debug, PartialEq, Eq)]
struct WrittenLabels {
    pairs: Vec<(String, String)>,
    text: String,
}

impl TargetLabels {
    /// These labels, in this order. The names are valid and each is there once; the values may be any text.
    pub fn new<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let pairs: Vec<_> = pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let text = text::labels(&pairs);
        TargetLabels((!pairs.is_empty()).then(|| Arc::new(WrittenLabels { pairs, text })))
    }

    /// These and one more.
    pub fn with(&self, name: &str, value: &str) -> Self {
        TargetLabels::new(self.pairs().chain([(name, value)]))
    }

    /// Names and values, unescaped.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().flat_map(|written| &written.pairs).map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// What stands between the braces in the text formats: `a="1",b="2"`.
    pub fn text(&self) -> &str {
        self.0.as_ref().map_or("", |written| &written.text)
    }
}
