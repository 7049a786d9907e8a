//! The environment: the targets of a start without a settings file.

use super::{
    dsn::Dsn,
    endpoint,
    expand::Env,
    problem::{Place, Problems},
    settings::{Endpoint, Target},
};

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
