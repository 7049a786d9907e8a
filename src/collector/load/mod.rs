//! YAML -> a validated Collector. Every problem of the file is told, each with what would be right.

mod example;
mod metric;
mod section;
mod sql;

use std::time::Duration;

use crate::{
    collector::{
        Collector, DATABASE_LABEL, Query, Role, Rows, Scope, SourceKind, naming_rules::MetricNames, sections,
        sections::STATEMENTS,
    },
    schema::{
        fields::Fields,
        problem::Problems,
        shape::{Is, Shape, key},
        words, yaml,
        yaml::Node,
    },
};

/// The most rows a query may keep.
pub(crate) const MAX_ROWS: usize = 1_000_000;

/// The least `ttl` of what is asked in each database.
pub(crate) const IN_DATABASES_TTL: Duration = Duration::from_secs(60);

const SOURCES: [(&str, SourceKind); 8] = [
    ("postgres", SourceKind::Postgres),
    ("statements", SourceKind::Statements),
    ("self", SourceKind::Own),
    ("pgbouncer", SourceKind::PgBouncer),
    ("redis", SourceKind::Redis),
    ("backup", SourceKind::Backup),
    ("disk", SourceKind::Disk),
    ("probe", SourceKind::Probe),
];

/// Those that tell what pgvigil itself is or sees.
const OWN: [SourceKind; 4] = [SourceKind::Own, SourceKind::Backup, SourceKind::Disk, SourceKind::Probe];

const SCOPES: [(&str, Scope); 2] = [("instance", Scope::Instance), ("database", Scope::Database)];

const ROLES: [(&str, Role); 3] = [("any", Role::Any), ("primary", Role::Primary), ("replica", Role::Replica)];

const SOURCE_WORDS: [&str; SOURCES.len()] = words::of(&SOURCES);
const SCOPE_WORDS: [&str; SCOPES.len()] = words::of(&SCOPES);
const ROLE_WORDS: [&str; ROLES.len()] = words::of(&ROLES);

/// A collector file.
pub const COLLECTOR: Shape = Shape {
    what: "a collector",
    needs: &[
        key("collector", Is::Form(words::SNAKE), "The collector's name: that of the file without `.yaml`."),
        key(
            "source",
            Is::Word(&SOURCE_WORDS),
            "Where its rows come from: `postgres`, SQL on a server; `statements`, SQL that returns the statistics of \
             statements, made into a histogram; `self`, the program's own state. The others say what they have in named \
             sections.",
        ),
        key(
            "queries",
            Is::List(1, &Is::OneOf(&QUERY, &["sql", "section"])),
            "What is asked, and the metrics made from the answers. Each query fails by itself.",
        ),
    ],
    may: &[
        key("enabled", Is::Flag, "`false`: asked only where the settings say `enabled: true`."),
        key(
            "scope",
            Is::Word(&SCOPE_WORDS),
            "`instance` (if left out): asked once per target. `database`: asked in each database, whose name becomes \
             the label `datname`; needs a `ttl` of at least 60s.",
        ),
        key(
            "role",
            Is::Word(&ROLE_WORDS),
            "On which servers it is asked: `any` (if left out), `primary` or `replica`; elsewhere it is skipped.",
        ),
        key(
            "ttl",
            Is::Duration,
            "`0s` (if left out): quick, asked on each scrape. Above: slow, asked when a scrape finds the result older \
             than this; at most 30d.",
        ),
        key(
            "timeout",
            Is::Duration,
            "For slow collectors: the server's `statement_timeout` and the limit of the fetch; 5s if left out.",
        ),
        key(
            "remember",
            Is::Flag,
            "`true`: what was found last is shown from then on, also while the target is down, and an answer without rows \
             changes nothing. For slow collectors that tell what a target is.",
        ),
        key(
            "max_rows",
            Is::Whole(1, MAX_ROWS),
            "Rows kept of each query on a target; what is cut is counted. 500 if left out.",
        ),
    ],
    quiet: false,
};

const QUERY: Shape = Shape {
    what: "a query",
    needs: &[
        key("name", Is::Form(words::SNAKE), "The query's name, once in the collector; for messages."),
        key("metrics", metric::METRICS, "The metrics made from the rows."),
        key(
            "example",
            example::EXAMPLE,
            "Rows as the source would return them: the file's own test, and the docs' sample.",
        ),
    ],
    may: &[
        key(
            "requires",
            Is::Map(&sql::REQUIRES),
            "The extension the SQL needs. Where it is missing or too old, the query is skipped.",
        ),
        key("sql", sql::VARIANTS, "The SQL by server version. Needed with the sources `postgres` and `statements`."),
        key(
            "section",
            Is::Name(section_names),
            "Which of the source's tables the rows are. Needed where the source is not asked in SQL.",
        ),
        key("labels", metric::LABELS, "Columns that become labels of all its metrics."),
    ],
    quiet: false,
};

/// The names of all sections of all sources.
fn section_names() -> Vec<&'static str> {
    SOURCES.iter().flat_map(|(_, source)| sections::of(*source)).map(|section| section.name).collect()
}

/// Reads one file. `stem` is its name without folder and `.yaml`; `names` are those of the metrics of all files.
pub fn collector(
    file: &str,
    stem: &str,
    text: &str,
    names: &mut MetricNames,
    problems: &mut Problems,
) -> Option<Collector> {
    let root = yaml::parse(file, text, problems)?;
    let mut fields = Fields::open(&root, &COLLECTOR, problems)?;
    let name = fields.checked("collector", words::snake);
    if name.as_ref().is_some_and(|name| name != stem) {
        fields.tell("collector", format!("the file's name says `{stem}`: `collector` must be the same"));
    }
    let source = fields.word("source", &SOURCES);
    let enabled = fields.flag("enabled").unwrap_or(true);
    let scope = fields.word("scope", &SCOPES);
    let role = fields.word("role", &ROLES);
    let (ttl, timeout) = times(&mut fields);
    let remember = fields.flag("remember").unwrap_or(false);
    if remember && (ttl.is_zero() || scope == Some(Scope::Database)) {
        fields.tell("remember", "`remember` is for collectors of the whole server with a `ttl`: leave it out");
    }
    let max_rows = fields.whole("max_rows", 1..=MAX_ROWS);
    let queries = queries(&mut fields, source.unwrap_or(SourceKind::Postgres), remember, names);
    if scope == Some(Scope::Database) {
        check_in_databases(&mut fields, source, ttl, &queries);
    }
    Some(Collector {
        name: name?,
        about: about(text),
        source: source?,
        enabled,
        scope: scope.unwrap_or(Scope::Instance),
        role: role.unwrap_or(Role::Any),
        ttl,
        timeout,
        remember,
        max_rows: max_rows.unwrap_or(500),
        queries,
    })
}

/// What is asked in each database takes a login there, and its samples get the database's name.
fn check_in_databases(fields: &mut Fields<'_, '_>, source: Option<SourceKind>, ttl: Duration, queries: &[Query]) {
    if source.is_some_and(|source| source != SourceKind::Postgres) {
        fields.tell("scope", "`scope: database` is for `source: postgres`: leave it out");
    }
    if ttl < IN_DATABASES_TTL {
        fields.tell("ttl", "`scope: database` means a login to each database: give a `ttl` of at least 60s");
    }
    for query in queries.iter().filter(|query| query.has_label(DATABASE_LABEL)) {
        let message =
            format!("`scope: database` adds the label `datname`: query `{}` must not have it too", query.name);
        fields.tell("scope", message);
    }
}

/// The comment lines at the head of a file, without what tells editors of a schema.
pub fn about(text: &str) -> String {
    let lines = text.trim_start_matches('\u{feff}').lines().map_while(|line| line.strip_prefix('#'));
    let lines = lines.map(str::trim).filter(|line| !line.starts_with("yaml-language-server:"));
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}

fn times(fields: &mut Fields<'_, '_>) -> (Duration, Duration) {
    let ttl = fields.duration("ttl").unwrap_or_default();
    let timeout = fields.duration("timeout");
    if timeout.is_some() && ttl.is_zero() {
        fields.tell("timeout", "a `timeout` is for slow collectors: give a `ttl` above 0s, or leave it out");
    } else if timeout.is_some_and(|timeout| timeout.is_zero()) {
        fields.tell("timeout", "`timeout` must be above 0s");
    }
    (ttl, timeout.unwrap_or(Duration::from_secs(5)))
}

fn queries(fields: &mut Fields<'_, '_>, source: SourceKind, remember: bool, names: &mut MetricNames) -> Vec<Query> {
    if fields.node("queries").is_some_and(Node::is_empty_list) {
        fields.tell("queries", "a collector has at least one query");
    }
    let mut seen: Vec<String> = Vec::new();
    fields.each("queries", |node, problems| {
        let query = query(node, source, remember, names, problems)?;
        if seen.contains(&query.name) {
            let message = format!("a second query `{}`: rename one of the two", query.name);
            problems.add(&node.get("name").unwrap_or(node).place, message);
        }
        seen.push(query.name.clone());
        Some(query)
    })
}

fn query(
    node: &Node,
    source: SourceKind,
    remember: bool,
    names: &mut MetricNames,
    problems: &mut Problems,
) -> Option<Query> {
    let mut fields = Fields::open(node, &QUERY, problems)?;
    let name = fields.checked("name", words::snake);
    let requires = sql::requires(&mut fields);
    let rows = rows(&mut fields, source, requires.is_some());
    let labels = metric::labels(&mut fields);
    let metrics = metric::metrics(&mut fields, remember || OWN.contains(&source), names);
    let example = example::example(&mut fields);
    let section = match &rows {
        Some(Rows::Section(name)) => sections::section(source, name),
        Some(Rows::Sql(_)) if source == SourceKind::Statements => Some(&STATEMENTS),
        _ => None,
    };
    let fits = section.is_none_or(|section| section::check(section, &labels, &metrics, fields.problems));
    if let Some(example) = example.as_ref().filter(|_| fits) {
        example.check(&labels, &metrics, fields.problems);
    }
    Some(Query {
        name: name?,
        requires,
        rows: rows?,
        labels: labels.into_iter().map(|(label, _)| label).collect(),
        metrics: metrics.into_iter().map(|declared| declared.metric).collect(),
        example: example?.table,
    })
}

/// `sql` where the source is asked in SQL, `section` elsewhere.
fn rows(fields: &mut Fields<'_, '_>, source: SourceKind, has_extension: bool) -> Option<Rows> {
    let (wanted, other) = if source.is_sql() { ("sql", "section") } else { ("section", "sql") };
    if fields.has(other) {
        fields.tell(other, format!("`{other}` is not for `source: {}`: use `{wanted}`", word(source)));
    } else if !fields.has(wanted) {
        fields.problems.add(&fields.here(), format!("a query needs `{wanted}`"));
    }
    if source.is_sql() {
        return Some(Rows::Sql(sql::variants(fields, has_extension)));
    }
    if fields.has("requires") {
        fields.tell("requires", "`requires` is for `source: postgres`: leave it out");
    }
    section::section(fields, source).map(|section| Rows::Section(section.name.to_owned()))
}

/// What a collector file calls it.
fn word(source: SourceKind) -> &'static str {
    SOURCES.iter().find(|(_, kind)| *kind == source).map_or("postgres", |(word, _)| word)
}
