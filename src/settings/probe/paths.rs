//! YAML -> the paths of a probe.

use crate::{
    schema::{fields::Fields, problem::Problems, shape::Shape, words, yaml::Node},
    settings::{
        connection::{dsn::Dsn, keys, postgres, redis},
        interpolate::Env,
        probe::{
            CacheSettings, Path, PathKind, WRITE,
            shapes::{CACHED, PATH, PGBOUNCER, POOLED, SERVER},
        },
        targets::target_name,
    },
};

/// How each kind of path is read.
pub const KINDS: [(&str, PathReader); 5] =
    [("direct", direct), ("pooled", pooled), ("cached", cached), ("pgbouncer", pgbouncer), ("replica", replica)];

type PathReader = fn(&Node, &Dsn, &Env<'_>, &mut Problems) -> Option<PathKind>;

pub const POOL_SIZE: usize = 5;
pub const LARGEST_POOL: usize = 10;

/// What a connection of a PgBouncer goes to where nothing is said.
const PGBOUNCER_PORT: &str = "6432";

/// How a second path of a PgBouncer is called.
const NEW: &str = "-new";

/// The paths; what a path does not say, `base` does.
pub fn paths(fields: &mut Fields<'_, '_>, base: &Dsn, env: &Env<'_>) -> Vec<Path> {
    if fields.node("paths").is_some_and(Node::is_empty_list) {
        fields.tell("paths", "there is no path: list at least one, such as `- direct: {}`");
    }
    let mut seen = vec![WRITE.to_owned()];
    let paths = fields.each("paths", |node, problems| {
        let path = path(node, base, env, problems)?;
        if seen.contains(&path.name) {
            let place = &node.get("name").unwrap_or(node).place;
            problems.add(place, "a second path of this name: give one of the two another `name`");
        }
        if matches!(path.kind, PathKind::PgBouncer(_)) {
            seen.push(format!("{}{NEW}", path.name));
        }
        seen.push(path.name.clone());
        Some(path)
    });
    let mut paths = paths;
    find_pools(fields, &mut paths);
    // What a pooler is like over a kept connection and over new ones are two things.
    let both = |path: Path| {
        let new = match &path.kind {
            PathKind::PgBouncer(server) => {
                Some(Path { name: format!("{}{NEW}", path.name), kind: PathKind::PgBouncerNew(server.clone()) })
            }
            _ => None,
        };
        std::iter::once(path).chain(new)
    };
    paths.into_iter().flat_map(both).collect()
}

fn path(node: &Node, base: &Dsn, env: &Env<'_>, problems: &mut Problems) -> Option<Path> {
    let mut fields = Fields::open(node, &PATH, problems)?;
    let name = fields.checked("name", target_name);
    let given: Vec<_> = KINDS.iter().filter(|(key, _)| node.get(key).is_some()).collect();
    for (key, _) in given.iter().skip(1) {
        fields.tell(key, format!("a path is one thing: `{}` is given too, make this a path of its own", given[0].0));
    }
    let Some((key, read)) = given.first() else {
        let kinds = words::either(KINDS.iter().map(|(key, _)| *key));
        fields.problems.add(&fields.here(), format!("a path needs one of {kinds}"));
        return None;
    };
    let kind = read(node.get(key)?, base, env, fields.problems)?;
    Some(Path { name: name.unwrap_or_else(|| (*key).to_owned()), kind })
}

fn direct(node: &Node, base: &Dsn, env: &Env<'_>, problems: &mut Problems) -> Option<PathKind> {
    let mut fields = Fields::open(node, &SERVER, problems)?;
    let dsn = postgres::dsn(&mut fields, env)?.or(base);
    keys::meaning(&mut fields, postgres::resolve(&dsn)).map(PathKind::Direct)
}

fn pooled(node: &Node, base: &Dsn, env: &Env<'_>, problems: &mut Problems) -> Option<PathKind> {
    let mut fields = Fields::open(node, &POOLED, problems)?;
    let size = fields.whole("size", 1..=LARGEST_POOL).unwrap_or(POOL_SIZE);
    let dsn = postgres::dsn(&mut fields, env)?.or(base);
    Some(PathKind::Pooled { server: keys::meaning(&mut fields, postgres::resolve(&dsn))?, size })
}

fn cached(node: &Node, base: &Dsn, env: &Env<'_>, problems: &mut Problems) -> Option<PathKind> {
    let mut fields = Fields::open(node, &CACHED, problems)?;
    let through = fields.text("through").unwrap_or_default();
    let mut cache = CacheSettings::default();
    cache.entries = fields.whole("entries", 1..=1_000_000).unwrap_or(cache.entries);
    cache.ttl = fields.duration("ttl").unwrap_or(cache.ttl);
    if let Some(node) = fields.node("redis") {
        cache.redis = Some(redis::redis(node, env, fields.problems)?);
    }
    // Which server that is, its pool says.
    Some(PathKind::Cached { through, server: postgres::resolve(base).ok()?, cache })
}

/// Each cache is in front of a pool: the one it names, or the only one there is.
fn find_pools(fields: &mut Fields<'_, '_>, paths: &mut [Path]) {
    let pools = paths.iter().filter_map(|path| match &path.kind {
        PathKind::Pooled { server, .. } => Some((path.name.clone(), server.clone())),
        _ => None,
    });
    let pools: Vec<_> = pools.collect();
    for path in paths {
        let PathKind::Cached { through, server, .. } = &mut path.kind else { continue };
        let named = |(name, _): &&(String, _)| if through.is_empty() { pools.len() == 1 } else { name == through };
        match pools.iter().find(named) {
            Some((name, of_pool)) => (*through, *server) = (name.clone(), of_pool.clone()),
            None => {
                let message = "a cache is in front of a pool: name a `pooled` path in its `through`";
                fields.tell("paths", format!("path `{}`: {message}", path.name));
            }
        }
    }
}

fn pgbouncer(node: &Node, base: &Dsn, env: &Env<'_>, problems: &mut Problems) -> Option<PathKind> {
    let (mut dsn, mut fields) = elsewhere(&PGBOUNCER, node, env, problems)?;
    if dsn.port.is_none() {
        dsn.set("port", PGBOUNCER_PORT);
    }
    keys::meaning(&mut fields, postgres::resolve(&dsn.or(base))).map(PathKind::PgBouncer)
}

fn replica(node: &Node, base: &Dsn, env: &Env<'_>, problems: &mut Problems) -> Option<PathKind> {
    let (dsn, mut fields) = elsewhere(&SERVER, node, env, problems)?;
    keys::meaning(&mut fields, postgres::resolve(&dsn.or(base))).map(PathKind::Replica)
}

/// What is not the primary must say where it is.
fn elsewhere<'n, 'p>(
    shape: &Shape,
    node: &'n Node,
    env: &Env<'_>,
    problems: &'p mut Problems,
) -> Option<(Dsn, Fields<'n, 'p>)> {
    let mut fields = Fields::open(node, shape, problems)?;
    let dsn = postgres::dsn(&mut fields, env)?;
    if dsn.host.is_none() && dsn.port.is_none() {
        fields.problems.add(&fields.here(), "without `host` or `port` this would be the primary: say where it is");
    }
    Some((dsn, fields))
}
