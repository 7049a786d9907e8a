//! The SQL of a query: its variants by server version, and the extension it needs.

use crate::{
    collector::{EXTENSION_SCHEMA, Extension, Variant},
    schema::{
        fields::Fields,
        problem::Problems,
        shape::{Is, Shape, key},
        yaml::{Node, NodeValue},
    },
};

/// What `sql` holds.
pub const VARIANTS: Is = Is::List(1, &Is::Map(&VARIANT));

/// The highest version that may be named.
const NEWEST: u32 = 99;

const VARIANT: Shape = Shape {
    what: "a variant of `sql`",
    needs: &[
        key(
            "since",
            Is::Whole(1, NEWEST as usize),
            "The first major version of PostgreSQL it is for. Of the variants, that with the highest `since` at or \
             below the server's version is used.",
        ),
        key(
            "text",
            Is::Text,
            "One statement without `;`. Names are looked for in pg_catalog only; `@extschema@` is the quoted schema of \
             the required extension.",
        ),
    ],
    may: &[key("until", Is::Whole(1, NEWEST as usize), "The first major version of PostgreSQL it is not for.")],
    quiet: false,
};

/// What `requires` holds.
pub const REQUIRES: Shape = Shape {
    what: "`requires`",
    needs: &[key(
        "extension",
        Is::Text,
        "The extension's name; `pgvigil` is the functions of `pgvigil export grants`.",
    )],
    may: &[key(
        "version",
        Is::Either(&[Is::Number, Is::Form(r"^\+?[0-9]+(\.\+?[0-9]+)*$")]),
        "Its least version, compared number by number: 1.10 is newer than 1.9.",
    )],
    quiet: false,
};

/// The extension a query needs, if it says so.
pub fn requires(fields: &mut Fields<'_, '_>) -> Option<Extension> {
    let mut fields = Fields::open(fields.node("requires")?, &REQUIRES, fields.problems)?;
    let name = fields.checked("extension", |text| {
        let ok = !text.trim().is_empty() && !text.contains(char::is_control);
        if ok { Ok(()) } else { Err("an extension's name, such as pg_stat_statements") }
    });
    let version = fields.checked("version", |text| version(text).map(drop).ok_or("numbers, such as 1.8"));
    Some(Extension {
        name: name?,
        version: version.and_then(|text| crate::collector::load::sql::version(&text)).unwrap_or_default(),
    })
}

fn version(text: &str) -> Option<Vec<u32>> {
    text.split('.').map(|part| part.parse().ok()).collect()
}

/// The variants, lowest `since` first.
pub fn variants(fields: &mut Fields<'_, '_>, has_extension: bool) -> Vec<Variant> {
    if fields.node("sql").is_some_and(Node::is_empty_list) {
        fields.tell("sql", "`sql` needs at least one `{since, text}`");
    }
    if fields.node("sql").is_some_and(|node| !matches!(node.value, NodeValue::List(_) | NodeValue::Broken)) {
        fields.tell("sql", "`sql` must be a list of variants: `- {since: 13, text: ...}`");
        return Vec::new();
    }
    let mut variants: Vec<Variant> = Vec::new();
    fields.each("sql", |node, problems| {
        let variant = variant(node, has_extension, problems)?;
        if variants.iter().any(|other| other.since == variant.since) {
            let message = format!("a second variant since {}: keep one of the two", variant.since);
            problems.add(&node.get("since").unwrap_or(node).place, message);
        }
        variants.push(variant);
        Some(())
    });
    variants.sort_by_key(|variant| variant.since);
    variants
}

fn variant(node: &Node, has_extension: bool, problems: &mut Problems) -> Option<Variant> {
    let mut fields = Fields::open(node, &VARIANT, problems)?;
    let since = fields.whole("since", 1..=NEWEST);
    let until = fields.whole("until", 1..=NEWEST);
    if let (Some(since), Some(until)) = (since, until)
        && until <= since
    {
        fields.tell("until", format!("`until` is the first version the SQL is not for: it must be above {since}"));
    }
    let text = fields.text("text")?;
    check_text(&mut fields, &text, has_extension);
    let place = fields.place("text");
    Some(Variant { since: since?, until, text, place })
}

fn check_text(fields: &mut Fields<'_, '_>, text: &str, has_extension: bool) {
    if matches!(fields.node("text"), Some(Node { value: NodeValue::Scalar { exact: false, .. }, .. }))
        && !text.is_empty()
    {
        fields.tell("text", "write SQL of several lines as a block, `text: |`, so that errors in it can be located");
    }
    let place = fields.place("text");
    if text.trim().is_empty() {
        fields.tell("text", "the SQL is empty");
    } else if let Some(sql) = text.trim_end().strip_suffix(';') {
        let at = place.within(text, sql.chars().count());
        fields.problems.add(&at, "the SQL ends in `;`: leave it out");
    }
    for (at, word) in substitutions(text) {
        let message = match word {
            EXTENSION_SCHEMA if has_extension => continue,
            EXTENSION_SCHEMA => "`@extschema@` is the schema of an extension: add `requires: {extension: ...}`".into(),
            _ => format!("`{word}` is not replaced: the only substitution is `@extschema@`"),
        };
        fields.problems.add(&place.within(text, at), message);
    }
}

/// The words of the form `@word@`, and at which character each starts. Operators such as `@>` are none.
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
