//! `${NAME}` in the settings' texts: replaced from the environment.

use zeroize::Zeroizing;

/// Reads an environment variable. It comes from outside, so that tests have their own environment.
pub type Env<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// Replaces each `${NAME}` by that variable; `$$` is a plain `$`, and so is a `$` before anything else.
///
/// # Errors
/// What is wrong. Of the text, only the name of a variable that is not set is repeated.
pub fn expand(text: &str, env: &Env<'_>) -> Result<String, String> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        rest = after;
        if let Some(after) = rest.strip_prefix('$') {
            expanded.push('$');
            rest = after;
        } else if let Some(braced) = rest.strip_prefix('{') {
            let (name, after) = braced.split_once('}').filter(|(name, _)| is_variable(name)).ok_or(
                "`${` must be followed by the name of an environment variable and `}`; write `$$` for a plain `$`",
            )?;
            let missing = || format!("the environment variable `{name}` is not set: set it, or write `$$` for a `$`");
            let value = Zeroizing::new(env(name).ok_or_else(missing)?);
            // With room for the rest: text that grows leaves a copy behind.
            expanded.reserve_exact(value.len() + after.len());
            expanded.push_str(&value);
            rest = after;
        } else {
            expanded.push('$');
        }
    }
    Ok(expanded + rest)
}

fn is_variable(name: &str) -> bool {
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    starts && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
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
