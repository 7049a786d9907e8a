//! YAML (or a URL) -> the settings of a probe.

use std::time::Duration;

use crate::{
    schema::{fields::Fields, problem::Problems, words, yaml::Node},
    settings::{
        connection::{dsn::Dsn, keys, model::PostgresSettings, postgres, problem::ConnectionProblem},
        interpolate::Env,
        probe::{
            CLASSES, CacheSettings, Path, PathKind, ProbeQuery, ProbeSettings, WRITE, paths,
            shapes::{PRIMARY, PROBE, QUERY},
        },
    },
};

const INTERVAL: Duration = Duration::from_secs(5);

/// More than the server's own limit on a statement (5 s), so that the server speaks first.
const TIMEOUT: Duration = Duration::from_secs(6);

/// The shortest interval: what a server feels of the probe stays small.
const SHORTEST: Duration = Duration::from_millis(100);

/// Reads `probe:`.
pub fn probe(node: &Node, env: &Env<'_>, problems: &mut Problems) -> Option<ProbeSettings> {
    let mut fields = Fields::open(node, &PROBE, problems)?;
    let interval = span(&mut fields, "interval", SHORTEST).unwrap_or(INTERVAL);
    let timeout = span(&mut fields, "timeout", SHORTEST).unwrap_or(TIMEOUT);
    let write = fields.flag("write").unwrap_or(false);
    let objectives = objectives(&mut fields);
    let (dsn, primary) = primary(&mut fields, env)?;
    let mut paths = paths::paths(&mut fields, &dsn, env);
    if write {
        paths.push(Path { name: WRITE.to_owned(), kind: PathKind::Write(primary.clone()) });
    }
    let queries = queries(&mut fields, &paths);
    Some(ProbeSettings { interval, timeout, primary, paths, objectives, queries, write })
}

/// What a URL means without a settings file: a new connection each time, a pool, and the built-in cache before it.
///
/// # Errors
/// Everything that is wrong with the URL.
pub fn from_url(dsn: &Dsn) -> Result<ProbeSettings, Vec<ConnectionProblem>> {
    let primary = postgres::resolve(dsn)?;
    let (through, server) = ("pooled".to_owned(), primary.clone());
    let path = |name: &str, kind| Path { name: name.to_owned(), kind };
    let paths = vec![
        path("direct", PathKind::Direct(primary.clone())),
        path("pooled", PathKind::Pooled { server: primary.clone(), size: paths::POOL_SIZE }),
        path("cached", PathKind::Cached { through, server, cache: CacheSettings::default() }),
    ];
    Ok(ProbeSettings {
        interval: INTERVAL,
        timeout: TIMEOUT,
        primary,
        paths,
        objectives: CLASSES.map(|(_, objective)| objective),
        queries: Vec::new(),
        write: false,
    })
}

fn span(fields: &mut Fields<'_, '_>, key: &str, least: Duration) -> Option<Duration> {
    let span = fields.duration(key)?;
    if span < least {
        fields.tell(key, format!("`{key}` must be at least {least:?}"));
    }
    Some(span)
}

fn primary(fields: &mut Fields<'_, '_>, env: &Env<'_>) -> Option<(Dsn, PostgresSettings)> {
    let node = fields.node("primary")?;
    let mut fields = Fields::open(node, &PRIMARY, fields.problems)?;
    let dsn = postgres::dsn(&mut fields, env)?;
    let primary = keys::meaning(&mut fields, postgres::resolve(&dsn))?;
    Some((dsn, primary))
}

fn objectives(fields: &mut Fields<'_, '_>) -> [Duration; CLASSES.len()] {
    let given = fields.entries("objectives", |name, place, node, problems| {
        if !CLASSES.iter().any(|(class, _)| *class == name) {
            let known = CLASSES.iter().map(|(class, _)| *class);
            problems.add(place, words::unknown("no class", name, "there are", known));
        }
        let objective = node.text().and_then(|text| humantime::parse_duration(text).ok()).filter(|d| !d.is_zero());
        if objective.is_none() {
            problems.add(&node.place, "an objective is a duration above 0s, such as 10ms");
        }
        Some((name, objective?))
    });
    let of = |(class, default)| given.iter().find(|(name, _)| *name == class).map_or(default, |(_, given)| *given);
    CLASSES.map(of)
}

fn queries(fields: &mut Fields<'_, '_>, paths: &[Path]) -> Vec<ProbeQuery> {
    let mut seen: Vec<String> = CLASSES.iter().map(|(class, _)| (*class).to_owned()).collect();
    fields.each("queries", |node, problems| {
        let mut fields = Fields::open(node, &QUERY, problems)?;
        let name = fields.checked("name", words::snake);
        if name.as_ref().is_some_and(|name| seen.contains(name)) {
            fields.tell("name", "a second query of this name, or a class of the probe's own: choose another");
        }
        seen.extend(name.clone());
        let objective = span(&mut fields, "objective", Duration::from_micros(1));
        let parameters = fields.texts("parameters").into_iter().map(|(text, _)| text).collect();
        let sql = sql(&mut fields);
        let on = on_paths(&mut fields, paths);
        Some(ProbeQuery { name: name?, sql: sql?, parameters, objective: objective?, paths: on })
    })
}

fn on_paths(fields: &mut Fields<'_, '_>, paths: &[Path]) -> Option<Vec<String>> {
    fields.has("paths").then(|| {
        let names = fields.texts("paths");
        for (name, place) in names.iter().filter(|(name, _)| !paths.iter().any(|path| path.name == *name)) {
            let known = paths.iter().map(|path| path.name.as_str());
            fields.problems.add(place, words::unknown("no path", name, "there are", known));
        }
        names.into_iter().map(|(name, _)| name).collect()
    })
}

/// What a reading statement begins with; the server refuses what writes all the same.
const READING: [&str; 4] = ["select", "with", "values", "table"];

fn sql(fields: &mut Fields<'_, '_>) -> Option<String> {
    let sql = fields.text("sql")?;
    let text = sql.trim();
    let first: String = text.chars().take_while(char::is_ascii_alphabetic).collect();
    if !READING.contains(&first.to_ascii_lowercase().as_str()) {
        fields.tell("sql", "refused: a probe only reads, so its SQL begins with SELECT, WITH, VALUES or TABLE");
    } else if text.ends_with(';') {
        fields.tell("sql", "the SQL ends in `;`: leave it out");
    }
    Some(text.to_owned())
}
