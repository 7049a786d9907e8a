//! Replaces `${NAME}` in the texts of the settings by environment variables; and reads secrets from files.

use std::path::{Path, PathBuf};

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

/// The same for a secret, which cannot be printed. A `$$` in it is noted: it may be part of a password as it is.
pub fn secret() -> Schema<Secret> {
    interpolated().make(|text, node, subject, reader| {
        if node.text().is_some_and(|written| written.contains("$$")) {
            let note = format!("note: {subject}: `$$` stands for one `$`; for two, write `$$$$`");
            reader.problems.note(&node.place, note);
        }
        Some(Secret::from(text))
    })
}

/// A secret that is the content of the named file.
pub fn secret_in_file() -> Schema<Secret> {
    interpolated().make(|path, node, subject, reader| {
        let path = Path::new(&path);
        let problem = |message| format!("{subject}: {}{message}", named(path));
        Secret::in_file(path).map_err(|message| reader.problems.add(&node.place, problem(message))).ok()
    })
}

/// A file's path before a message about it, if any part of it exists: otherwise it may be a password under the wrong key.
fn named(path: &Path) -> String {
    let is_part = |part: &&Path| part.file_name().is_some() && part.symlink_metadata().is_ok();
    path.ancestors().find(is_part).map_or(String::new(), |_| format!("{}: ", path.display()))
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
