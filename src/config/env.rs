//! The environment: `${NAME}` in the settings' texts, and the targets of a start without a settings file.

use super::{
    dsn::Dsn,
    endpoint,
    problem::{Place, Problems},
    settings::{Endpoint, Target},
};

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
            expanded.push_str(&env(name).ok_or_else(missing)?);
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

/// The variables with the server's URL, and with its replicas'; of each pair the first that is set counts.
const PRIMARY: [&str; 2] = ["PGVIGIL_POSTGRES_URL", "DATABASE_URL"];
const REPLICAS: [&str; 2] = ["PGVIGIL_REPLICA_URLS", "DATABASE_READ_URLS"];

fn first_set(names: [&'static str; 2], env: &Env<'_>) -> Option<(&'static str, String)> {
    names.into_iter().find_map(|name| Some((name, env(name).filter(|value| !value.trim().is_empty())?)))
}

/// Whether any variable names a target.
pub fn names_targets(env: &Env<'_>) -> bool {
    first_set(PRIMARY, env).or_else(|| first_set(REPLICAS, env)).is_some()
}

/// The targets that variables name: `postgres`, `replica-1`, `replica-2` and so on.
pub fn targets(env: &Env<'_>, problems: &mut Problems) -> Vec<Target> {
    let primary = first_set(PRIMARY, env);
    let replicas = first_set(REPLICAS, env);
    if primary.is_none() && replicas.is_none() {
        let message =
            "no target: give a settings file with `--config`, or set PGVIGIL_POSTGRES_URL to the server's URL";
        problems.add(&Place::whole("settings"), message);
    }
    let mut targets = Vec::new();
    if let Some((variable, url)) = &primary {
        targets.extend(target("postgres".into(), variable, url, problems));
    }
    if let Some((variable, urls)) = &replicas {
        let urls = urls.split(',').filter(|url| !url.trim().is_empty()).enumerate();
        targets.extend(urls.filter_map(|(n, url)| target(format!("replica-{}", n + 1), variable, url, problems)));
    }
    targets
}

fn target(name: String, variable: &str, url: &str, problems: &mut Problems) -> Option<Target> {
    match Dsn::parse(url).map_err(|wrong| vec![wrong]).and_then(|dsn| endpoint::resolve(&dsn)) {
        Ok(postgres) => {
            Some(Target { name, labels: Vec::new(), endpoint: Endpoint::Postgres(postgres), thresholds: Vec::new() })
        }
        Err(wrongs) => {
            for wrong in wrongs {
                problems.add(&Place::whole(variable), format!("target `{name}`: {wrong}"));
            }
            None
        }
    }
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
