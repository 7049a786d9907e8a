//! Every statement of every runbook is run: on the versions and roles for which its block says it holds, by a superuser, in the database of
//! an application; what reads pg_stat_statements or the probe's tables where these are; what is for a PgBouncer on its console.

// It waits for real processes, on threads of its own.
#![allow(clippy::disallowed_methods)]

use std::{collections::BTreeSet, env, thread};

use super::{
    fixtures::{DATABASE, Fixtures, OWN_DATABASE},
    place::{Place, Role},
    servers::Servers,
    text::{self, Block, Runbook, Statement},
};
use crate::support::{PgBouncer, Postgres, Session, is_long, majors, psql};

/// What is not run, and why.
const NOT_RUN: [(&str, &str); 3] = [
    ("\\watch", "it goes on for ever"),
    ("SHUTDOWN", "the PgBouncer of the other statements would be gone"),
    ("FINALIZE", "it ends a DETACH that broke off"),
];

/// It would make of the replica something else: run at the very end.
const PROMOTES: &str = "pg_promote(";

#[test]
fn every_statement_runs() {
    let mut runbooks = text::all();
    if let Ok(names) = env::var("PGVIGIL_TEST_RUNBOOKS") {
        runbooks.retain(|runbook| names.split(',').any(|name| name == runbook.name));
        assert!(!runbooks.is_empty(), "PGVIGIL_TEST_RUNBOOKS={names} names no runbook");
    }
    runbooks.push(Runbook::parse("tests/rules/runbooks/sample", include_str!("sample.md")));
    let all = majors();
    let chosen =
        if is_long() { all.clone() } else { BTreeSet::from([all[0], all[all.len() - 1]]).into_iter().collect() };
    let newest = *all.last().expect("a version");
    let wrong: Vec<_> = thread::scope(|scope| {
        let runbooks = &runbooks;
        let on_servers = chosen.iter().map(|major| scope.spawn(move || on_servers(*major, runbooks)));
        let threads: Vec<_> = on_servers.chain([scope.spawn(move || on_pooler(newest, runbooks))]).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("statements are run to the end")).collect()
    });
    assert!(wrong.is_empty(), "{} blocks fail:\n{}", wrong.len(), wrong.join("\n"));
}

/// What fails on a version, as a primary and as a replica.
fn on_servers(major: u32, runbooks: &[Runbook]) -> Vec<String> {
    let servers = Servers::start(major);
    let mut promoting: BTreeSet<String> = BTreeSet::new();
    let mut wrong = Vec::new();
    let mut count = 0;
    for runbook in runbooks {
        for (block, place) in blocks(runbook) {
            for role in [Role::Primary, Role::Replica].into_iter().filter(|role| place.holds(major, *role)) {
                let (promotes, statements): (Vec<_>, Vec<_>) =
                    runnable(block).partition(|statement| statement.text.contains(PROMOTES) && role == Role::Replica);
                promoting.extend(promotes.into_iter().map(|statement| text::without_comments(&statement.text)));
                count += statements.len();
                let failed = run(&servers, role, block, &statements).err();
                wrong.extend(failed.map(|failed| format!("{}.md:{failed} [{major}, {role:?}]", runbook.name)));
            }
        }
        servers.drop_extensions();
    }
    println!("runbooks: {count} statements on PostgreSQL {major}");
    // More than one would need more than one replica.
    if let Some(statement) = promoting.iter().next() {
        wrong.extend(servers.replica.try_sql(DATABASE, statement).err());
    }
    wrong.extend((promoting.len() > 1).then(|| format!("one form of it is tried, not {promoting:?}")));
    wrong
}

/// The blocks in SQL that say where they hold.
fn blocks(runbook: &Runbook) -> impl Iterator<Item = (&Block, Place)> {
    let in_sql = runbook.blocks.iter().filter(|block| block.is("sql"));
    in_sql.filter_map(|block| Some((block, Place::parse(&block.info).ok()?)))
}

fn runnable(block: &Block) -> impl Iterator<Item = Statement> {
    let is_run = |statement: &Statement| !NOT_RUN.iter().any(|(text, _)| statement.text.contains(text));
    block.statements().into_iter().filter(is_run)
}

/// One after the other, in a session of its own, to the first that fails.
fn run(servers: &Servers, role: Role, block: &Block, statements: &[Statement]) -> Result<(), String> {
    let server = servers.on(role);
    let is_of_own = ["pg_stat_statements", "pgvigil_probe."].iter().any(|name| block.text.contains(name));
    let database = if is_of_own { OWN_DATABASE } else { DATABASE };
    let mut client = psql::psql(server.socket_dir(), server.port(), "postgres", database);
    let mut session = Session::open(client.env("PGOPTIONS", "-c statement_timeout=60s"));
    let mut fixtures = Fixtures::new(servers, role, &block.text);
    let result = statements.iter().try_for_each(|statement| {
        let text = fixtures.put_into(&text::without_comments(&statement.text));
        session.try_run(&text).map(drop).map_err(|error| told(statement, &error))
    });
    drop(session);
    fixtures.clean();
    result
}

fn told(statement: &Statement, error: &str) -> String {
    let first = error.lines().next().unwrap_or_default();
    format!("{}: {first}: {}", statement.line, statement.text.replace('\n', " "))
}

/// What fails on the console of a PgBouncer.
fn on_pooler(major: u32, runbooks: &[Runbook]) -> Vec<String> {
    let server = Postgres::builder(major).start();
    server.sql(OWN_DATABASE, &format!("CREATE DATABASE {DATABASE}"));
    let database = format!("[databases]\n{DATABASE} = host=127.0.0.1 port={}", server.port());
    let pooler = PgBouncer::start(&server, "transaction", &database);
    let console = |command: &str| psql::run(&mut pooler.psql("postgres", "pgbouncer"), command);
    let mut wrong = Vec::new();
    for runbook in runbooks {
        for (block, _) in blocks(runbook).filter(|(_, place)| place.is_pooler) {
            for statement in runnable(block) {
                let text = text::without_comments(&statement.text).trim().replace("<DATABASE>", DATABASE);
                let (verb, object) =
                    text.trim_end_matches(';').split_once(' ').unwrap_or((text.trim_end_matches(';'), ""));
                // What is resumed was paused.
                if verb == "RESUME" {
                    console(&format!("PAUSE {object};")).expect("PAUSE");
                }
                let failed = console(&text).err();
                wrong.extend(
                    failed.map(|error| format!("{}.md:{} [PgBouncer]", runbook.name, told(&statement, &error))),
                );
                match verb {
                    "PAUSE" | "KILL" | "SUSPEND" => drop(console(&format!("RESUME {object};"))),
                    "DISABLE" => drop(console(&format!("ENABLE {object};"))),
                    _ => (),
                }
            }
        }
    }
    wrong
}
