//! Replaces `${NAME}` in the texts of the settings by environment variables; and reads secrets from files.

use std::path::PathBuf;

use zeroize::Zeroizing;

use crate::schema::reader::{Env, Schema};
use crate::schema::values::text;
use crate::schema::words;
use crate::secret::Secret;

/// A text with its `${NAME}`s replaced.
pub fn interpolated() -> Schema<String> {
    text().then(|text, node, reader| {
        let expanded = expand(&Zeroizing::new(text), reader.env);
        expanded.map_err(|message| reader.problems.add(&node.place, message)).ok()
    })
}

/// The same for a secret, which cannot be printed.
pub fn secret() -> Schema<Secret> {
    interpolated().map(Secret::from)
}

/// A secret that is the content of the named file.
pub fn secret_in_file() -> Schema<Secret> {
    interpolated().make(|path, node, subject, reader| {
        let secret = Secret::in_file(path.as_ref());
        secret.map_err(|message| reader.problems.add(&node.place, format!("{subject}: {message}"))).ok()
    })
}

/// An absolute path.
pub fn absolute_path() -> Schema<PathBuf> {
    interpolated().matching(ABSOLUTE, "an absolute path", |path| path.starts_with('/')).map(PathBuf::from)
}

/// A regular expression for an absolute path, or a text that may become one by a `${NAME}`.
pub const ABSOLUTE: &str = r"^/|\$\{";

/// Replaces each `${NAME}` by that variable. `$$` is a plain `$`, and so is a `$` before anything else.
///
/// # Errors
/// What is wrong. Of the text, the message repeats only the name of a variable that is not set.
pub fn expand(text: &str, env: &Env<'_>) -> Result<String, String> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        let Some(braced) = after.strip_prefix('{') else {
            expanded.push('$');
            rest = after.strip_prefix('$').unwrap_or(after);
            continue;
        };
        let (name, after) = braced.split_once('}').filter(|(name, _)| words::is_identifier(name)).ok_or(
            "`${` must be followed by the name of an environment variable and `}`; write `$$` for a plain `$`",
        )?;
        let missing = || format!("the environment variable `{name}` is not set: set it, or write `$$` for a `$`");
        let value = Zeroizing::new(env(name).ok_or_else(missing)?);
        // With room for the rest: a string that grows leaves a copy of the secret behind in memory.
        expanded.reserve_exact(value.len() + after.len());
        expanded.push_str(&value);
        rest = after;
    }
    Ok(expanded + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_replaced_once() {
        let env = |name: &str| (name == "A").then(|| "${A}$".to_owned());
        for (text, expanded) in [
            ("x${A}y", Some("x${A}$y")),
            ("$$ $x $", Some("$ $x $")),
            ("$${A}", Some("${A}")),
            ("${B}", None),
            ("${}", None),
            ("${A", None),
            ("", Some("")),
        ] {
            assert_eq!(expand(text, &env).ok().as_deref(), expanded, "{text}");
        }
    }
}
