//! Words: the rules for names, the nearest known word to a misspelt one, and lists of words in messages.

/// Words of other programs, and ours that mean the same.
const SYNONYMS: [(&str, &str); 17] = [
    ("address", "host"),
    ("addr", "host"),
    ("database", "dbname"),
    ("database", "db"),
    ("db", "dbname"),
    ("dbname", "db"),
    ("dsn", "url"),
    ("hostname", "host"),
    ("interval", "ttl"),
    ("pass", "password"),
    ("passwd", "password"),
    ("pwd", "password"),
    ("query", "sql"),
    ("ssl", "sslmode"),
    ("tls", "sslmode"),
    ("uri", "url"),
    ("username", "user"),
];

/// The known word that this one stands for elsewhere, or else the nearest, if one is near enough to be what was meant.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let known: Vec<_> = known.into_iter().collect();
    let meant = SYNONYMS.iter().filter(|(other, _)| *other == word);
    if let Some(ours) = meant.filter_map(|(_, ours)| known.iter().find(|known| *known == ours)).next() {
        return Some(ours);
    }
    // No known word is that long, and computing the distance takes memory proportional to the product of the lengths.
    if word.len() > 64 {
        return None;
    }
    let near = |(known, distance): &(&str, usize)| *distance * 3 <= known.chars().count();
    known.into_iter().map(|k| (k, strsim::damerau_levenshtein(word, k))).filter(near).min_by_key(|n| n.1).map(|n| n.0)
}

/// The message about an unknown word: it suggests the nearest known one, or lists all.
pub fn unknown<'a>(what: &str, word: &str, known_are: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    match nearest(word, known.clone()) {
        Some(near) => format!("{what} `{word}`: did you mean `{near}`?"),
        None => format!("{what} `{word}`: {known_are} {}", listed(known)),
    }
}

/// Refuses a word that is not known.
pub fn known<'a>(what: &str, word: &str, known: impl Iterator<Item = &'a str> + Clone) -> Result<(), String> {
    if known.clone().any(|known| known == word) { Ok(()) } else { Err(unknown(what, word, "there are", known)) }
}

/// `a, b, c`, in code quotes.
pub fn listed<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// `a`, `a or b`, `a, b or c`.
pub fn either<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<_> = words.into_iter().collect();
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => words.concat(),
    }
}

/// The form of what [`snake`] takes.
pub const SNAKE: &str = "^[a-z][a-z0-9_]*$";

/// What [`snake`] takes, in words.
pub const SNAKE_WANTED: &str = "lower snake case: a-z, 0-9 and _, starting with a letter";

/// The form of what [`label`] takes.
pub const LABEL: &str = "^(?!(target|le)$|__)[A-Za-z_][A-Za-z0-9_]*$";

/// The form of what [`metric`] takes.
pub const METRIC: &str = "^[A-Za-z_:][A-Za-z0-9_:]*$";

/// Lower snake case, as in the names of our files, queries, sections and metrics.
pub fn snake(word: &str) -> Result<(), &'static str> {
    let starts = word.starts_with(|c: char| c.is_ascii_lowercase());
    let rest = word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if starts && rest { Ok(()) } else { Err(SNAKE_WANTED) }
}

/// A Prometheus label name that is free: not added by pgvigil, not a histogram's `le`, not reserved by Prometheus.
pub fn label(word: &str) -> Result<(), String> {
    match word {
        _ if !is_identifier(word) => {
            Err(format!("`{word}` is not a label name: use a-z, 0-9 and _, starting with a letter"))
        }
        "target" => Err("the label `target` is added by the program: choose another name".into()),
        "le" => Err("the label `le` belongs to histograms: choose another name".into()),
        _ if word.starts_with("__") => Err("label names that start with `__` are Prometheus's own: rename it".into()),
        _ => Ok(()),
    }
}

/// A Prometheus metric name.
pub fn metric(word: &str) -> bool {
    is_identifier(&word.replace(':', "_"))
}

/// Letters, digits and `_`, not starting with a digit: the name of a label or of an environment variable.
pub fn is_identifier(word: &str) -> bool {
    let starts = word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    starts && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let known = ["name", "max_rows", "labels", "ttl"];
        for (word, near) in
            [("nmae", Some("name")), ("max_row", Some("max_rows")), ("label", Some("labels")), ("x", None), ("", None)]
        {
            assert_eq!(nearest(word, known), near, "{word}");
        }
        let known = ["databases", "dbname", "user", "password"];
        for (word, ours) in [("database", "dbname"), ("username", "user"), ("passwd", "password"), ("db", "dbname")] {
            assert_eq!(nearest(word, known), Some(ours), "{word}");
        }
    }
}
