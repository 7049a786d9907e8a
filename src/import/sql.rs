//! The SQL of a namespace, as far as it has to be understood: one statement, the tables without a schema, views of extensions.

use crate::collector::EXTENSION_SCHEMA;

/// Extensions whose view of the same name queries read; it is in the schema that the extension was created in.
const EXTENSIONS: [&str; 3] = ["pg_stat_statements", "pg_buffercache", "pg_stat_kcache"];

/// A statement for a collector file.
#[derive(Debug)]
pub struct Statement {
    /// Without `;` at its end.
    pub text: String,
    pub extension: Option<&'static str>,
    /// Comments for the collector file.
    pub notes: Vec<String>,
}

impl Statement {
    /// Looks through a query: the view of an extension gets its schema, and other tables without one a comment.
    pub fn of(query: &str) -> Statement {
        let lines = query.trim().trim_end_matches(|c: char| c == ';' || c.is_whitespace()).lines().map(str::trim_end);
        let mut text = lines.collect::<Vec<_>>().join("\n");
        let tokens = tokens(&text);
        let (mut notes, mut relations) = (Vec::new(), relations(&tokens));
        if tokens.iter().any(|(_, token)| *token == ";") {
            notes.push("TODO: these are several statements: keep the one with the metrics.".to_owned());
        }
        let is_view = |(_, table): &(usize, &str)| EXTENSIONS.into_iter().find(|view| view.eq_ignore_ascii_case(table));
        let extension = relations.iter().find_map(is_view);
        let views = relations.extract_if(.., |table| extension.is_some() && is_view(table) == extension);
        let views: Vec<_> = views.map(|(at, _)| at).collect();
        relations.retain(|table| is_view(table).is_some() || !table.1.to_lowercase().starts_with("pg_"));
        for (_, table) in relations {
            let note =
                format!("TODO: write the schema of `{table}`, as in public.{table}: only pg_catalog is searched.");
            notes.retain(|other| *other != note);
            notes.push(note);
        }
        views.iter().rev().for_each(|at| text.insert_str(*at, &format!("{EXTENSION_SCHEMA}.")));
        Statement { text, extension, notes }
    }
}

/// The words and signs of a text, each with its place; no strings and comments. A word may be qualified and quoted: `public."Orders"`.
fn tokens(text: &str) -> Vec<(usize, &str)> {
    let (mut tokens, mut at) = (Vec::new(), 0);
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        let until =
            |end: &str, from: usize| rest[from..].find(end).map_or(rest.len(), |found| from + found + end.len());
        let (length, is_token) = match first {
            '-' if rest.starts_with("--") => (until("\n", 2), false),
            '/' if rest.starts_with("/*") => (until("*/", 2), false),
            '\'' => (until("'", 1), false),
            '$' => match rest[1..].split_once('$') {
                Some((tag, _)) if tag.chars().all(is_of_word) => (until(&rest[..tag.len() + 2], tag.len() + 2), false),
                _ => (1, true),
            },
            _ if is_of_word(first) => (word_length(rest), true),
            _ => (first.len_utf8(), !first.is_whitespace()),
        };
        if is_token {
            tokens.push((at, &rest[..length]));
        }
        at += length;
    }
    tokens
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '"'
}

fn word_length(text: &str) -> usize {
    let mut is_quoted = false;
    let ends = |c: char| {
        is_quoted ^= c == '"';
        !is_quoted && !is_of_word(c) && c != '.'
    };
    text.find(ends).unwrap_or(text.len())
}

/// Functions with a `FROM` among their arguments.
const TAKE_FROM: [&str; 4] = ["extract", "substring", "trim", "overlay"];

/// Where a token stands, within its pair of brackets.
#[derive(Clone, Copy, PartialEq)]
enum Clause {
    From,
    Arguments,
    Other,
}

/// The tables and views after `FROM` and `JOIN` that have no schema, without those that a `WITH` defines.
fn relations<'t>(tokens: &[(usize, &'t str)]) -> Vec<(usize, &'t str)> {
    let word = |nth: usize| tokens.get(nth).map_or(String::new(), |(_, token)| token.to_lowercase());
    let is_defined_here = |nth: usize| {
        // After the name, and a list of columns if there is one.
        let bracket = || tokens.iter().skip(nth).position(|(_, token)| *token == ")");
        let list = if word(nth + 1) == "(" { bracket().unwrap_or_default() } else { 0 };
        let next = nth + list + 1;
        word(next) == "as" && ["(", "materialized", "not"].contains(&word(next + 1).as_str())
    };
    let defined: Vec<_> = (0..tokens.len()).filter(|nth| is_defined_here(*nth)).map(word).collect();
    let (mut clauses, mut expects, mut found) = (vec![Clause::Other], false, Vec::new());
    for (nth, (at, token)) in tokens.iter().enumerate() {
        let (name, before) = (word(nth), nth.checked_sub(1).map_or(String::new(), word));
        let is_table = expects && token.starts_with(is_of_word) && !["only", "lateral"].contains(&name.as_str());
        if is_table && !token.contains('.') && word(nth + 1) != "(" && !defined.contains(&name) {
            found.push((*at, *token));
        }
        let clause = clauses.last().copied().unwrap_or(Clause::Other);
        let (now, next) = match name.as_str() {
            "from" if clause != Clause::Arguments && before != "distinct" => (Clause::From, true),
            "where" | "group" | "order" | "having" | "limit" | "union" | "select" if clause == Clause::From => {
                (Clause::Other, false)
            }
            "only" | "lateral" => (clause, expects),
            word => (clause, word == "join" || word == "," && clause == Clause::From),
        };
        clauses.pop();
        clauses.push(now);
        match *token {
            "(" if TAKE_FROM.contains(&before.as_str()) => clauses.push(Clause::Arguments),
            "(" => clauses.push(Clause::Other),
            ")" if clauses.len() > 1 => _ = clauses.pop(),
            _ => {}
        }
        expects = next;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_without_a_schema_are_found() {
        for (sql, expected) in [
            ("SELECT 1", ""),
            ("SELECT * FROM orders", "orders"),
            ("select a from public.orders o, lines l join \"Items\" i on true where a > 1", "lines \"Items\""),
            ("SELECT extract(epoch FROM now() - started) FROM jobs", "jobs"),
            ("SELECT a IS DISTINCT FROM b, substring(c from 2) FROM pg_class c", "pg_class"),
            ("WITH recent AS (SELECT 1 FROM events), r (n) AS (SELECT 1) SELECT * FROM recent, r", "events"),
            ("WITH RECURSIVE r (n, m) AS NOT MATERIALIZED (SELECT 1 FROM e UNION SELECT 2 FROM r) TABLE r", "e"),
            ("SELECT * FROM (SELECT max(x) FROM t GROUP BY a, b) s, generate_series(1, 2) g(n)", "t"),
            ("SELECT 'FROM a' -- FROM b\n/* FROM c */ FROM ONLY d WHERE e IN ($$FROM f$$, 'g')", "d"),
            ("SELECT 1 FROM a UNION SELECT 2 FROM b ORDER BY x, y", "a b"),
            ("SELECT 1 FROM d LEFT JOIN LATERAL f(d.x) y ON true JOIN z USING (a, b)", "d z"),
        ] {
            let tokens = tokens(sql);
            let found: Vec<_> = relations(&tokens).into_iter().map(|(_, table)| table).collect();
            assert_eq!(found.join(" "), expected, "{sql}");
        }
    }
}
