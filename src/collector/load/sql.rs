//! The SQL of a query: its variants by server version.

use crate::collector::{EXTENSION_SCHEMA, Variant};
use crate::declare;
use crate::schema::problem::Problems;
use crate::schema::reader::{Placed, Reader, Schema};
use crate::schema::values::{map, text, unique, whole};
use crate::schema::yaml::{Node, NodeValue};

/// The highest version that may be named.
const NEWEST: u32 = 99;

declare! {
    pub struct VariantKeys: "a variant of `sql`" {
        /// The first major version of PostgreSQL it is for. Of the variants, that with the highest `since` at or below the server's version
        /// is used.
        since: u32 = whole(1..=NEWEST),
        /// One statement without `;`. Names are looked for in pg_catalog only; `@extschema@` is the quoted schema of the required
        /// extension.
        text: Placed<String> = statement(),
        /// The first major version of PostgreSQL it is not for.
        until: Option<u32> = whole(1..=NEWEST).optional(),
    }
}

/// The schema of `sql`: variants, lowest `since` first.
pub fn variants() -> Schema<Vec<Variant>> {
    let since = |variant: &Variant| vec![variant.since.to_string()];
    let variants = unique(map().then(variant), "since", since, "a second variant since {}: keep one of the two");
    variants.not_empty("`sql` needs at least one `{since, text}`").map(|mut variants| {
        variants.sort_by_key(|variant| variant.since);
        variants
    })
}

fn variant(keys: VariantKeys, map: &Node, reader: &mut Reader<'_>) -> Option<Variant> {
    let since = keys.since;
    if keys.until.is_some_and(|until| until <= since) {
        let message = format!("`until` is the first version the SQL is not for: it must be above {since}");
        reader.refuse(map, "until", message);
    }
    Some(Variant { since, until: keys.until, text: keys.text.value, place: keys.text.place })
}

fn statement() -> Schema<Placed<String>> {
    text().placed().then(|text, node, reader| {
        let (sql, place) = (&text.value, &text.place);
        if matches!(node.value, NodeValue::Scalar { exact: false, .. }) && !sql.is_empty() {
            let message = "write SQL of several lines as a block, `text: |`, so that errors in it can be located";
            reader.problems.add(place, message);
        }
        if sql.trim().is_empty() {
            reader.problems.add(place, "the SQL is empty");
        } else if let Some(statement) = sql.trim_end().strip_suffix(';') {
            let at = place.within(sql, statement.chars().count());
            reader.problems.add(&at, "the SQL ends in `;`: leave it out");
        }
        Some(text)
    })
}

/// Reports words that look like a substitution but are not replaced.
pub fn check_substitutions(variant: &Variant, has_extension: bool, problems: &mut Problems) {
    for (at, word) in substitutions(&variant.text) {
        let message = match word {
            EXTENSION_SCHEMA if has_extension => continue,
            EXTENSION_SCHEMA => "`@extschema@` is the schema of an extension: add `requires: {extension: ...}`".into(),
            _ => format!("`{word}` is not replaced: the only substitution is `@extschema@`"),
        };
        problems.add(&variant.place.within(&variant.text, at), message);
    }
}

/// The words of the form `@word@`, each with the index of its first character. Operators such as `@>` are not words.
fn substitutions(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let from = &rest[rest.find('@')?..];
            let length = from[1..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_').map_or(from.len(), |n| n + 1);
            let is_word = length > 1 && from[length..].starts_with('@');
            rest = if is_word { &from[length + 1..] } else { &from[length..] };
            if is_word {
                let at = text.len() - from.len();
                return Some((text[..at].chars().count(), &from[..=length]));
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_between_ats_are_substitutions() {
        for (text, found) in [
            ("a @> b @ c", vec![]),
            ("@extschema@.f()", vec![(0, "@extschema@")]),
            ("é@a@b@c@", vec![(1, "@a@"), (5, "@c@")]),
            ("@@ @ @x y@", vec![]),
            ("@", vec![]),
        ] {
            assert_eq!(substitutions(text).collect::<Vec<_>>(), found, "{text}");
        }
    }
}
