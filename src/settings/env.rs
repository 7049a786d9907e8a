//! The targets that environment variables name if there is no settings file.

use zeroize::Zeroizing;

use crate::schema::problem::{Place, Problems};
use crate::schema::reader::Env;
use crate::settings::connection::dsn::Dsn;
use crate::settings::connection::postgres::{resolve, resolve_console};
use crate::settings::connection::problem::ConnectionProblem;
use crate::settings::connection::redis;
use crate::settings::probe;
use crate::settings::targets::{Endpoint, RowLimits, TargetSettings};

type EnvSettings = Result<Endpoint, Vec<ConnectionProblem>>;

/// A target's name, the variables with its URL (the first that is set counts), how the URL is read, and what it means.
type EnvTarget =
    (&'static str, &'static [&'static str], fn(&str) -> Result<Dsn, ConnectionProblem>, fn(Dsn) -> EnvSettings);

/// All targets. The variable of `replica` holds a list of URLs, separated by commas, each of which becomes a target.
const TARGETS: [EnvTarget; 5] = [
    ("postgres", &["PGVIGIL_POSTGRES_URL", "DATABASE_URL"], Dsn::parse, |dsn| resolve(&dsn).map(Endpoint::Postgres)),
    (REPLICA, &["PGVIGIL_REPLICA_URLS", "DATABASE_READ_URLS"], Dsn::parse, |dsn| resolve(&dsn).map(Endpoint::Postgres)),
    ("pgbouncer", &["PGVIGIL_PGBOUNCER_URL"], Dsn::parse, |dsn| resolve_console(dsn).map(Endpoint::PgBouncer)),
    ("redis", &["PGVIGIL_REDIS_URL", "REDIS_URL"], redis::parse, |dsn| redis::resolve(&dsn).map(Endpoint::Redis)),
    ("probe", &["PGVIGIL_PROBE_URL"], Dsn::parse, |dsn| probe::from_url(&dsn).map(Endpoint::Probe)),
];

const REPLICA: &str = "replica";

fn first_set(names: &[&'static str], env: &Env<'_>) -> Option<(&'static str, Zeroizing<String>)> {
    let set = |name| env(name).map(Zeroizing::new).filter(|value| !value.trim().is_empty());
    names.iter().find_map(|name| Some((*name, set(name)?)))
}

/// Whether any variable names a target.
pub fn names_targets(env: &Env<'_>) -> bool {
    TARGETS.iter().any(|(_, variables, ..)| first_set(variables, env).is_some())
}

/// The targets that variables name: `postgres`, `replica-1`, `replica-2` and so on, `pgbouncer`, `redis`, `probe`.
pub fn targets(env: &Env<'_>, problems: &mut Problems) -> Vec<TargetSettings> {
    if !names_targets(env) {
        let message =
            "no target: give a settings file with `--config`, or set PGVIGIL_POSTGRES_URL to the server's URL";
        problems.add(&Place::whole("settings"), message);
    }
    let mut targets = Vec::new();
    for (name, variables, parse, resolve) in TARGETS {
        let Some((variable, value)) = first_set(variables, env) else { continue };
        let read = |url| parse(url).map_err(|wrong| vec![wrong]).and_then(resolve);
        if name != REPLICA {
            targets.extend(target(name.to_owned(), variable, read(&value), problems));
            continue;
        }
        for (nth, url) in value.split(',').filter(|url| !url.trim().is_empty()).enumerate() {
            targets.extend(target(format!("{name}-{}", nth + 1), variable, read(url), problems));
        }
    }
    targets
}

fn target(name: String, variable: &str, endpoint: EnvSettings, problems: &mut Problems) -> Option<TargetSettings> {
    let report = |wrong: Vec<ConnectionProblem>| {
        for wrong in wrong {
            problems.add(&Place::whole(variable), format!("target `{name}`: {wrong}"));
        }
    };
    let endpoint = endpoint.map_err(report).ok()?;
    Some(TargetSettings { name, labels: Vec::new(), endpoint, most: RowLimits::default(), thresholds: Vec::new() })
}
