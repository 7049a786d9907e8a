//! What rules read is on live pages of the oldest and the newest version, with its labels: of a system in health, and of one where
//! much is unusual.

// It waits for real processes, on a thread of its own.
#![allow(clippy::disallowed_methods)]

use std::{collections::BTreeMap, path::Path, time::Duration};

use serde_json::Value;

use super::{
    files,
    systems::{System, postgres, watch},
    used::Used,
};
use crate::support::{Folder, PgBouncer, Pgvigil, Postgres, Redis, Session, is_long, majors, psql};

/// Oddities: what alerts warn of, and can be made here.
const SQL: &str = "
CREATE TABLE t AS SELECT n AS a, n AS b FROM generate_series(1, 100) n;
CREATE INDEX ON t (a); CREATE INDEX ON t (a); CREATE INDEX ON t (b); CREATE INDEX ON t (b, a);
CREATE INDEX broken ON t (a, b);
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'broken'::regclass;
CREATE TABLE p (at timestamptz) PARTITION BY RANGE (at);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE p2 PARTITION OF p DEFAULT;
CREATE SEQUENCE s;
SELECT nextval('s');
SELECT pg_create_physical_replication_slot('kept', true), pg_create_logical_replication_slot('read', 'pgoutput');
CREATE SUBSCRIPTION s CONNECTION 'dbname=none' PUBLICATION p WITH (connect = false);
SELECT pg_switch_wal(), pg_stat_reset();
BEGIN; SELECT txid_current(); PREPARE TRANSACTION 'left'";

/// A table that is due, and that autovacuum is at work on for minutes.
const BEING_VACUUMED: [&str; 3] =
    ["CREATE TABLE v AS SELECT n AS a FROM generate_series(1, 50000) n", "VACUUM ANALYZE v", "UPDATE v SET a = a + 1"];

/// A server, a pooler, caches, a disk and a backup with something the matter.
struct Odd {
    pgvigil: Pgvigil,
    _settings: Folder,
    _sessions: [Session; 2],
    _others: (PgBouncer, Redis, Redis, Redis),
    _server: Postgres,
}

impl Odd {
    fn start(major: u32) -> Odd {
        let server = Postgres::builder(major)
            .config("archive_mode = on\narchive_command = 'false'\nwal_level = logical\nmax_prepared_transactions = 2")
            .config("max_slot_wal_keep_size = 1GB\nautovacuum_naptime = 1\nautovacuum_vacuum_cost_delay = 100\nautovacuum_vacuum_cost_limit = 1")
            .start();
        server.create_monitor_role();
        server.create_role("app", "VALID UNTIL '2031-01-01 00:00+00'");
        server.sql("postgres", SQL);
        BEING_VACUUMED.iter().for_each(|sql| _ = server.sql("postgres", sql));
        let (mut reader, mut builder) = (server.session("postgres"), server.session("postgres"));
        reader.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM t;");
        server.sql("postgres", "SELECT txid_current()");
        builder.send("CREATE INDEX CONCURRENTLY ON t (a);");
        // The index waits, and archiving fails.
        server.until("postgres", "SELECT count(*) > 0 FROM pg_stat_progress_create_index", "t");
        server.until("postgres", "SELECT failed_count > 0 FROM pg_stat_archiver", "t");
        let pooler = PgBouncer::start(&server, "transaction", "max_db_connections = 50");
        psql::run(&mut pooler.psql("app", "postgres"), "SELECT 1").expect("a query through the pooler");
        let cache = Redis::start("--maxmemory 1gb");
        cache.run("NONSENSE");
        let (follower, cluster) = (cache.replica(""), Redis::start("--cluster-enabled yes"));
        let settings = Folder::new("odd", "TERM");
        settings.write("verified", "");
        let pool = pooler.url("pgvigil", "pgbouncer");
        let mut targets = postgres("server", &server, "")
            + &format!("  - {{name: pooler, labels: {{cluster: odd}}, pgbouncer: {{url: \"{pool}\"}}}}\n");
        for (name, redis) in [("cache", cache.url()), ("follower", follower.url()), ("cluster", cluster.url())] {
            targets += &format!("  - {{name: {name}, redis: {{url: \"{redis}\"}}}}\n");
        }
        let folder = settings.path().display();
        targets += &format!(
            "  - {{name: gone, postgres: {{url: \"postgresql://me@127.0.0.1:1/db\"}}}}\n  \
             - {{name: disk, disk: {{paths: [{{name: none, path: {folder}/none}}]}}}}\n  \
             - {{name: backups, labels: {{cluster: odd}}, backup: {{repositories: [{{name: dumps, tool: files, pattern: \"{folder}/none/*\", verified: {folder}/verified}}]}}}}\n"
        );
        let pgvigil = watch(&settings, &targets);
        let others = (pooler, cache, follower, cluster);
        Odd { pgvigil, _settings: settings, _sessions: [reader, builder], _others: others, _server: server }
    }
}

/// What no page has, with the reason, or the version that brought it.
fn absent(major: u32) -> BTreeMap<String, String> {
    let tree = files::tree(Path::new("tests/rules/absent.yaml"));
    let entries = tree.as_object().expect("metrics and reasons").iter();
    let holds = entries.filter(|(_, why)| why["since"].as_u64().is_none_or(|since| u64::from(major) < since));
    holds.map(|(metric, why): (&String, &Value)| (metric.clone(), why.to_string())).collect()
}

#[test]
fn what_rules_read_is_on_live_pages() {
    let newest = *majors().last().expect("at least one version");
    for major in if is_long() { vec![13, 18] } else { vec![newest] } {
        let (working, odd) = (System::working(major), Odd::start(major));
        let (mut pages, mut wrong) = (Vec::new(), Vec::new());
        // Some things need two looks, some a while.
        for look in 1..=20 {
            pages.extend([working.pgvigil.scrape(), odd.pgvigil.scrape()]);
            wrong = differences(&pages, &absent(major));
            if look > 1 && wrong.is_empty() {
                break;
            }
            std::thread::sleep(Duration::from_secs(2));
        }
        assert!(wrong.is_empty(), "PostgreSQL {major}, beside tests/rules/absent.yaml:\n{}", wrong.join("\n"));
    }
}

/// What is on none of the pages, or is there though nobody expects it.
fn differences(pages: &[String], absent: &BTreeMap<String, String>) -> Vec<String> {
    let mut wrong = Vec::new();
    for selector in files::rules().iter().flat_map(|rule| Used::by(&rule.expr).selectors) {
        let name = selector.name.unwrap_or_default();
        // Prometheus makes the one, rules the others.
        if name == "up" || name.contains(':') {
            continue;
        }
        let labels = selector.matchers.matchers.iter().map(|matcher| matcher.name.as_str());
        let labels: Vec<_> = labels.filter(|label| !["__name__", "job", "instance"].contains(label)).collect();
        let is_there = pages.iter().flat_map(|page| page.lines()).any(|line| has(line, &name, &labels));
        if is_there == absent.contains_key(&name) {
            wrong.push(format!("{name} {labels:?}: {}", if is_there { "is there" } else { "is on no page" }));
        }
    }
    wrong.sort();
    wrong.dedup();
    wrong
}

/// Whether a line is a sample of this name with these labels.
fn has(line: &str, name: &str, labels: &[&str]) -> bool {
    let Some(rest) = line.strip_prefix(name).filter(|rest| rest.starts_with(['{', ' '])) else { return false };
    labels.iter().all(|label| rest.contains(&format!("{{{label}=\"")) || rest.contains(&format!(",{label}=\"")))
}
