//! The environment: the targets of a start without a settings file.

use zeroize::Zeroizing;

use crate::schema::problem::{Place, Problems};
use crate::schema::reader::Env;
use crate::settings::connection::dsn::Dsn;
use crate::settings::connection::problem::ConnectionProblem;
use crate::settings::connection::{postgres, redis};
use crate::settings::probe;
use crate::settings::targets::{Endpoint, RowLimits, TargetSettings};

/// The variables with the server's URL, and with its replicas'; of each pair the first that is set counts.
const PRIMARY: [&str; 2] = ["PGVIGIL_POSTGRES_URL", "DATABASE_URL"];
const REPLICAS: [&str; 2] = ["PGVIGIL_REPLICA_URLS", "DATABASE_READ_URLS"];

fn first_set(names: &[&'static str], env: &Env<'_>) -> Option<(&'static str, Zeroizing<String>)> {
    let set = |name| env(name).map(Zeroizing::new).filter(|value| !value.trim().is_empty());
    names.iter().find_map(|name| Some((*name, set(name)?)))
}

/// The variable with the URL of a PgBouncer's console.
const PGBOUNCER: &str = "PGVIGIL_PGBOUNCER_URL";

/// The variables with the URL of a Redis server; the first that is set counts.
const REDIS: [&str; 2] = ["PGVIGIL_REDIS_URL", "REDIS_URL"];

/// The variable with the URL of the primary as the probe logs in to it.
const PROBE: &str = "PGVIGIL_PROBE_URL";

/// Whether any variable names a target.
pub fn names_targets(env: &Env<'_>) -> bool {
    let all = [PRIMARY.as_slice(), &REPLICAS, &[PGBOUNCER], &REDIS, &[PROBE]];
    all.iter().any(|names| first_set(names, env).is_some())
}

/// The targets that variables name: `postgres`, `replica-1`, `replica-2` and so on, `pgbouncer`, `redis`, `probe`.
pub fn targets(env: &Env<'_>, problems: &mut Problems) -> Vec<TargetSettings> {
    if !names_targets(env) {
        let message =
            "no target: give a settings file with `--config`, or set PGVIGIL_POSTGRES_URL to the server's URL";
        problems.add(&Place::whole("settings"), message);
    }
    let mut targets = Vec::new();
    if let Some((variable, url)) = first_set(&PRIMARY, env) {
        targets.extend(target("postgres".into(), variable, postgres(&url), problems));
    }
    if let Some((variable, urls)) = first_set(&REPLICAS, env) {
        let urls = urls.split(',').filter(|url| !url.trim().is_empty()).enumerate();
        targets.extend(
            urls.filter_map(|(n, url)| target(format!("replica-{}", n + 1), variable, postgres(url), problems)),
        );
    }
    if let Some((variable, url)) = first_set(&[PGBOUNCER], env) {
        let console = Dsn::parse(&url).map_err(|wrong| vec![wrong]).and_then(postgres::resolve_console);
        targets.extend(target("pgbouncer".into(), variable, console.map(Endpoint::PgBouncer), problems));
    }
    if let Some((variable, url)) = first_set(&REDIS, env) {
        let server = redis::parse(&url).map_err(|wrong| vec![wrong]).and_then(|dsn| redis::resolve(&dsn));
        targets.extend(target("redis".into(), variable, server.map(Endpoint::Redis), problems));
    }
    if let Some((variable, url)) = first_set(&[PROBE], env) {
        let probe = Dsn::parse(&url).map_err(|wrong| vec![wrong]).and_then(|dsn| probe::from_url(&dsn));
        targets.extend(target("probe".into(), variable, probe.map(Endpoint::Probe), problems));
    }
    targets
}

type EnvSettings = Result<Endpoint, Vec<ConnectionProblem>>;

fn postgres(url: &str) -> EnvSettings {
    let dsn = Dsn::parse(url).map_err(|wrong| vec![wrong])?;
    postgres::resolve(&dsn).map(Endpoint::Postgres)
}

fn target(name: String, variable: &str, endpoint: EnvSettings, problems: &mut Problems) -> Option<TargetSettings> {
    let told = |wrongs: Vec<ConnectionProblem>| {
        for wrong in wrongs {
            problems.add(&Place::whole(variable), format!("target `{name}`: {wrong}"));
        }
    };
    let endpoint = endpoint.map_err(told).ok()?;
    Some(TargetSettings { name, labels: Vec::new(), endpoint, most: RowLimits::default(), thresholds: Vec::new() })
}
