//! docs/versions.md: which query is asked where, and which metric is on which version; and that servers agree.
//!
//! A query says it by `since`, `until`, `role` and `requires`. A metric that fewer versions have says it in its help:
//! "(PostgreSQL 14 and later)", "(PostgreSQL 14 to 17)", "(before PostgreSQL 17)".

use std::{collections::BTreeSet, fmt::Write, ops::RangeInclusive};

use expect_test::expect_file;
use pgvigil::collector::{
    Collector, EXTENSION_SCHEMA, Metric, OWN_FUNCTIONS, Query, Role, Rows, Scope, ValueSource, catalogue::Catalogue,
};

use crate::support::{Postgres, majors};

/// The versions that are supported.
const SUPPORTED: RangeInclusive<u32> = 13..=18;

/// What `pgvigil export grants` prints.
const GRANTS: &str = include_str!("../../src/cli/grants.sql");

const HEAD: &str = "# Versions\n\nYou want to know what your version of PostgreSQL has: what is asked of which server (13 to 18). \
    Written from the files in `collectors/`; \
    `make test` holds it to them, and them to real servers.\n\n\
    ## Queries\n\nWhat does not fit a server is skipped there, and `pgvigil_collector_skipped` says why.\n\n\
    | collector | query | PostgreSQL | asked | needs |\n|---|---|---|---|---|\n";

const METRICS: &str = "\n## Metrics\n\nThese are not on every version that their query is asked on, or not on both a primary and a \
    replica. All others are, as soon as there is something to show.\n\n\
    | metric | collector | PostgreSQL | on |\n|---|---|---|---|\n";

fn catalogue() -> Catalogue {
    Catalogue::load(None).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The queries that are asked in SQL.
fn queries(catalogue: &Catalogue) -> impl Iterator<Item = (&Collector, &Query)> {
    let of = |collector| move |query| (collector, query);
    let all = catalogue.collectors.iter().flat_map(move |collector| collector.queries.iter().map(of(&**collector)));
    all.filter(|(_, query)| matches!(query.rows, Rows::Sql(_)))
}

fn versions_of_query(query: &Query) -> BTreeSet<u32> {
    SUPPORTED.filter(|major| query.variant(*major).is_some()).collect()
}

/// The versions that have a metric, by its query and its help.
///
/// # Errors
/// The help speaks of versions in other words than those above.
fn versions_of_metric(query: &Query, metric: &Metric) -> Result<BTreeSet<u32>, String> {
    let (least, below) = said(&metric.def.help).ok_or_else(|| format!("{}: {}", metric.def.name, metric.def.help))?;
    Ok(versions_of_query(query).into_iter().filter(|major| (least..below).contains(major)).collect())
}

/// The first version a help speaks of, and the first that is too new. `None`: it cannot be read.
fn said(help: &str) -> Option<(u32, u32)> {
    let number = |text: &str| text.get(..2)?.parse::<u32>().ok();
    if let Some((_, rest)) = help.split_once("(before PostgreSQL ") {
        return Some((0, number(rest)?));
    }
    let Some((_, rest)) = help.split_once("(PostgreSQL ") else {
        let speaks = help.split("PostgreSQL ").skip(1).any(|rest| number(rest).is_some());
        return (!speaks).then_some((0, 100));
    };
    let since = number(rest)?;
    match rest.get(2..)? {
        later if later.starts_with(" and later)") => Some((since, 100)),
        to if to.starts_with(" to ") => Some((since, number(&to[4..])? + 1)),
        _ => None,
    }
}

#[test]
fn helps_are_read() {
    for (help, versions) in [
        ("Sessions.", Some((0, 100))),
        ("Whether the PostgreSQL server answered.", Some((0, 100))),
        ("Sessions (PostgreSQL 14 and later); absent when none.", Some((14, 100))),
        ("Writes (PostgreSQL 14 to 17; from 18 on elsewhere).", Some((14, 18))),
        ("Buffers (before PostgreSQL 17).", Some((0, 17))),
        ("Sessions, since PostgreSQL 14.", None),
        ("Sessions (PostgreSQL 14).", None),
    ] {
        assert_eq!(said(help), versions, "{help}");
    }
}

/// `all`, `14 and later`, `13 to 16`.
fn in_words(versions: &BTreeSet<u32>) -> String {
    match (versions.first(), versions.last()) {
        (Some(first), Some(last)) if first == SUPPORTED.start() && last == SUPPORTED.end() => "all".to_owned(),
        (Some(first), Some(last)) if last == SUPPORTED.end() => format!("{first} and later"),
        (Some(first), Some(last)) if first == last => first.to_string(),
        (Some(first), Some(last)) => format!("{first} to {last}"),
        _ => "none".to_owned(),
    }
}

/// Where a metric is there, by the words of its help.
fn on(metric: &Metric) -> &'static str {
    let help = metric.def.help.to_lowercase();
    match (help.contains("absent on a primary"), help.contains("absent on a replica")) {
        (true, _) => "replicas",
        (_, true) => "primaries",
        _ => "both",
    }
}

fn markdown(catalogue: &Catalogue) -> String {
    let mut out = HEAD.to_owned();
    for (collector, query) in queries(catalogue) {
        let asked = match (collector.role, collector.scope) {
            (Role::Any, Scope::Instance) => "everywhere",
            (Role::Any, Scope::Database) => "in each database",
            (Role::Primary, Scope::Instance) => "on primaries",
            (Role::Primary, Scope::Database) => "in each database, on primaries",
            (Role::Replica, Scope::Instance) => "on replicas",
            (Role::Replica, Scope::Database) => "in each database, on replicas",
        };
        let (name, versions, needs) = (&collector.name, in_words(&versions_of_query(query)), needs(query));
        _ = writeln!(out, "| [{name}](metrics.md#{name}) | `{}` | {versions} | {asked} | {needs} |", query.name);
    }
    out.push_str(METRICS);
    for (collector, query) in queries(catalogue) {
        for metric in &query.metrics {
            let versions = versions_of_metric(query, metric).unwrap_or_else(|unread| panic!("{unread}"));
            if versions != versions_of_query(query) || on(metric) != "both" {
                let (name, versions, on) = (&metric.def.name, in_words(&versions), on(metric));
                _ = writeln!(out, "| `{name}` | {} | {versions} | {on} |", collector.name);
            }
        }
    }
    out
}

fn needs(query: &Query) -> String {
    let Some(extension) = &query.requires else { return String::new() };
    let version: Vec<_> = extension.version.iter().map(u32::to_string).collect();
    match extension.name.as_str() {
        OWN_FUNCTIONS => "the functions of `pgvigil export grants`".to_owned(),
        name => format!("the extension {name} {}", version.join(".")).trim_end().to_owned(),
    }
}

/// `UPDATE_EXPECT=1 cargo test documents` writes it.
#[test]
fn the_page_is_current() {
    expect_file!["../../docs/versions.md"].assert_eq(&markdown(&catalogue()));
}

/// A column that a version lacks stands in the SQL as NULL. So what the help says is asked of servers in two ways: no
/// metric has a value where it is said not to be; and with something else than NULL there, no metric that had no
/// value gets one, unless it is not on this version.
#[test]
fn servers_agree() {
    let catalogue = catalogue();
    let mut wrong = Vec::new();
    for major in majors() {
        let primary = busy(major);
        let replica = primary.replica();
        let _sessions = occupied(&primary);
        for (server, role, elsewhere) in [(&primary, Role::Primary, "replicas"), (&replica, Role::Replica, "primaries")]
        {
            let asked = |(collector, _): &(&Collector, &Query)| [Role::Any, role].contains(&collector.role);
            for (collector, query) in queries(&catalogue).filter(asked) {
                let differences = differences(server, major, query, elsewhere);
                wrong.extend(differences.map(|it| format!("{major} {role:?}: {it} ({})", collector.name)));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Where a server does not bear out what is said of a query's metrics.
fn differences(server: &Postgres, major: u32, query: &Query, elsewhere: &str) -> impl Iterator<Item = String> {
    let Some(variant) = query.variant(major) else { return Vec::new().into_iter() };
    let own = query.requires.as_ref().is_some_and(|extension| extension.name == OWN_FUNCTIONS);
    let text = variant.text.replace(EXTENSION_SCHEMA, if own { OWN_FUNCTIONS } else { "public" });
    let (real, filled) = (valued(server, &text), valued(server, &filled(&text)));
    let verdict = |metric: &Metric| {
        let ValueSource::Column { column, .. } = &metric.value else { return None };
        let versions = versions_of_metric(query, metric).unwrap_or_else(|unread| panic!("{unread}"));
        let is_said = versions.contains(&major) && on(metric) != elsewhere;
        match (is_said, real.contains(column), filled.contains(column)) {
            (false, true, _) => Some(format!("{} is there, its help says not", metric.def.name)),
            (true, false, true) => Some(format!("{} cannot be there, its help says not so", metric.def.name)),
            _ => None,
        }
    };
    query.metrics.iter().filter_map(verdict).collect::<Vec<_>>().into_iter()
}

/// A server on which most of what can happen has happened.
fn busy(major: u32) -> Postgres {
    let timings = [(13, "track_io_timing"), (14, "track_wal_io_timing"), (18, "track_cost_delay_timing")];
    let timings = timings.into_iter().filter(|(since, _)| *since <= major).map(|(_, name)| format!("{name} = on\n"));
    let config = timings.collect::<String>() + "wal_level = logical\nautovacuum = off";
    let server = Postgres::builder(major).config(&config).start();
    for extension in ["pg_stat_statements", "pg_buffercache", "pgstattuple"] {
        server.sql("postgres", &format!("CREATE EXTENSION {extension}"));
    }
    server.sql("postgres", GRANTS);
    server.sql(
        "postgres",
        "CREATE TABLE t AS SELECT n AS id, repeat('x', 500) AS filler FROM generate_series(1, 20000) n;
         CREATE INDEX ON t (id);
         CREATE TABLE locked (); CREATE SEQUENCE s;
         SELECT pg_create_logical_replication_slot('logical', 'test_decoding');
         SELECT pg_create_physical_replication_slot('physical', true);
         CREATE SUBSCRIPTION sub CONNECTION 'dbname=none' PUBLICATION p WITH (connect = false);
         DELETE FROM t WHERE id % 2 = 0;
         SELECT count(*) FROM t WHERE id < 100;
         CHECKPOINT",
    );
    server
}

/// Sessions in the middle of things: a lock that is waited for, a vacuum under way.
fn occupied(server: &Postgres) -> Vec<crate::support::Session> {
    let mut sessions: Vec<_> = (0..3).map(|_| server.session("postgres")).collect();
    sessions[0].run("BEGIN; LOCK TABLE locked;");
    sessions[1].send("BEGIN; LOCK TABLE locked;");
    sessions[2].run("SET vacuum_cost_delay = 100; SET vacuum_cost_limit = 1;");
    sessions[2].send("VACUUM t;");
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted";
    let vacuums = "SELECT count(*) FROM pg_stat_progress_vacuum";
    [waits, vacuums].iter().for_each(|question| server.until("postgres", question, "1"));
    sessions
}

/// The columns of which some row has a value.
fn valued(server: &Postgres, text: &str) -> BTreeSet<String> {
    let question = format!(
        "SET search_path = pg_catalog, pg_temp; SET jit = off;
         SELECT string_agg(DISTINCT key, ',') FROM (\n{text}\n) q CROSS JOIN LATERAL jsonb_each_text(to_jsonb(q)) e WHERE value IS NOT NULL;"
    );
    let answer = server.try_sql("postgres", &question).unwrap_or_else(|error| panic!("{error}\n{text}"));
    answer.split(',').map(str::to_owned).collect()
}

/// The SQL with a value instead of each NULL that stands for what a version may lack.
fn filled(text: &str) -> String {
    let mut out = text.to_owned();
    for (at, _) in text.match_indices("NULL::").collect::<Vec<_>>().into_iter().rev() {
        let kind: String = text[at + 6..].chars().take_while(char::is_ascii_alphanumeric).collect();
        let value = match kind.as_str() {
            "bool" => "true",
            "timestamptz" => "'2001-02-03'",
            "text" => "'something'",
            _ => "'7'",
        };
        if stands_in(text, at) && text[at + 6 + kind.len()..].starts_with(" AS ") {
            out.replace_range(at..at + 4, value);
        }
    }
    out
}

/// Whether a NULL is a column of the answer itself, or of a subquery called `later` or `either`.
fn stands_in(text: &str, at: usize) -> bool {
    let depth = |text: &str| text.matches('(').count() as i64 - text.matches(')').count() as i64;
    let end = (at..text.len()).filter(|end| text.is_char_boundary(*end)).find(|end| depth(&text[at..*end]) < 0);
    match end {
        Some(end) => [" later", " either"].iter().any(|name| text[end..].starts_with(name)),
        None => true,
    }
}
