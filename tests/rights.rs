//! What a role may see: nothing granted, `pg_monitor`, and what `pgvigil export grants` makes; and that this can be made, made
//! again and taken back.

use std::{collections::BTreeSet, fmt::Write, path::Path, process::Command, time::Duration};

use expect_test::expect_file;
use pgvigil::collector::catalogue::Catalogue;

use crate::support::{
    Folder, GRANTS, PROBE_GRANTS, Pgvigil, Postgres, Session, eventually, majors, place::client_program, psql, sample,
};

const BINARY: &str = env!("CARGO_BIN_EXE_pgvigil");

/// The table in the docs is of this version.
const SHOWN: u32 = 18;

/// As users run it: on the program's own words. What stands in the comments of how to take it back is run too.
#[test]
fn grants_can_be_made_again_and_taken_back() {
    assert_eq!(printed(&["export", "grants"]), GRANTS);
    assert_eq!(printed(&["export", "grants", "--probe"]), format!("{GRANTS}\n{PROBE_GRANTS}"));
    for major in majors() {
        let server = Postgres::builder(major).start();
        for database in ["postgres", "postgres", "template1", "template1"] {
            server.sql(database, GRANTS);
        }
        server.sql("postgres", "CREATE DATABASE later");
        for database in ["postgres", "later"] {
            assert_eq!(server.sql(database, FUNCTIONS), "2", "{major} {database}");
        }
        assert_eq!(server.sql("postgres", "SELECT rolname FROM pg_roles WHERE rolname ~ '^pgvigil'"), "pgvigil");
        (0..2).for_each(|_| _ = server.sql("postgres", PROBE_GRANTS));
        for text in [GRANTS, PROBE_GRANTS] {
            let commands: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("--   DROP ")).collect();
            let [in_each, once] = commands[..] else { panic!("{commands:?}") };
            for database in ["postgres", "template1", "later"] {
                server.sql(database, &format!("DROP {in_each}"));
            }
            server.sql("postgres", &format!("DROP {once}"));
        }
        server.sql("postgres", &format!("{GRANTS}\n{PROBE_GRANTS}"));
    }
}

fn printed(arguments: &[&str]) -> String {
    let printed = Command::new(BINARY).args(arguments).output().expect("running pgvigil");
    String::from_utf8(printed.stdout).expect("text")
}

/// How many functions of ours pgvigil may call in a database.
const FUNCTIONS: &str = "SELECT count(*) FROM pg_proc WHERE pronamespace = 'pgvigil'::regnamespace AND prosecdef \
                         AND proconfig = '{\"search_path=pg_catalog, pg_temp\"}' AND has_function_privilege('pgvigil', oid, 'EXECUTE')";

/// The commands at the head of the grants, where the user postgres needs no password: for one database, for all, and for those to come;
/// and a password that is out of the environment.
#[test]
fn the_commands_of_the_grants_do_what_they_say() {
    let commands: Vec<_> = GRANTS.lines().filter_map(|line| line.strip_prefix("--   $ ")).collect();
    let [on_its_machine, elsewhere, all @ ..] = &commands[..] else { panic!("{commands:?}") };
    assert!(elsewhere.ends_with("| psql -h db1 -U postgres"), "{elsewhere}");
    let server = Postgres::builder(SHOWN).start();
    server.sql("postgres", "CREATE DATABASE shop");
    server.sql("postgres", "CREATE DATABASE \"host=nowhere it's\"");
    let folder = Folder::new("grants", "TERM");
    let bin = |program: &Path| program.parent().expect("a folder").display().to_string();
    let path = format!("{}:{}:/usr/bin:/bin", bin(&client_program("psql")), bin(Path::new(BINARY)));
    let run = |script: &str| {
        let mut bash = folder.command("/bin/bash");
        bash.args(["-c", script]).env("PATH", &path).env("PGUSER", "postgres").env("PGVIGIL_PASSWORD", "it's");
        let ran = bash.env("PGHOST", server.socket_dir()).env("PGPORT", server.port().to_string()).output();
        let ran = ran.expect("running bash");
        let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success() && !said.contains("ERROR") && !said.contains("failed"), "{script}: {said}");
    };
    run(&on_its_machine.replace("sudo -u postgres ", ""));
    assert_eq!(server.sql("postgres", FUNCTIONS), "2");
    run(&all.join("\n"));
    server.sql("postgres", "CREATE DATABASE later");
    for database in ["shop", "host=nowhere it's", "later"] {
        let mut psql = folder.command(client_program("psql"));
        psql.args(["-At", "-U", "postgres", "-c", FUNCTIONS]).env("PGDATABASE", database);
        let ran = psql.env("PGHOST", server.socket_dir()).env("PGPORT", server.port().to_string()).output();
        assert_eq!(String::from_utf8_lossy(&ran.expect("running psql").stdout), "2\n", "{database}");
    }
    let mut psql = psql::psql("127.0.0.1", server.port(), "pgvigil", "shop");
    assert_eq!(psql::run(psql.env("PGPASSWORD", "it's"), "SELECT 1"), Ok("1".to_owned()));
}

/// The functions give their columns to the one role, and nobody else anything.
#[test]
fn the_functions_are_for_one_role_and_tell_little() {
    for major in majors() {
        let server = Postgres::builder(major).start();
        server.create_monitor_role();
        server.create_role("other", "IN ROLE pg_monitor");
        server.sql("postgres", "CREATE TABLE secret AS SELECT 'the word' AS word FROM generate_series(1, 9); ANALYZE secret; CREATE SEQUENCE s; SELECT nextval('s')");
        let ask = |user: &str, sql: &str| psql::run(&mut psql::psql("127.0.0.1", server.port(), user, "postgres"), sql);
        let functions = ["SELECT * FROM pgvigil.column_widths()", "SELECT * FROM pgvigil.sequence_values()"];
        for usage in [false, true] {
            if usage {
                server.sql("postgres", "GRANT USAGE ON SCHEMA pgvigil TO other");
            }
            for sql in functions {
                let refused = ask("other", sql).expect_err("not for others");
                assert!(
                    refused.contains(if usage {
                        "permission denied for function"
                    } else {
                        "permission denied for schema"
                    }),
                    "{refused}"
                );
            }
        }
        let secret = server.sql("postgres", "SELECT 'public.secret'::regclass::oid");
        let told = ask("pgvigil", &format!("SELECT * FROM pgvigil.column_widths() WHERE relid = {secret}"));
        assert_eq!(
            told,
            Ok(format!("{secret}|1|0|9|-0.11111111")),
            "{major}: relation, column, NULLs, width, distinct values"
        );
        assert_eq!(ask("pgvigil", "SELECT last_value FROM pgvigil.sequence_values()"), Ok("1".to_owned()), "{major}");
        assert_eq!(ask("pgvigil", "SELECT count(*) FROM pg_stats WHERE tablename = 'secret'"), Ok("0".to_owned()));
        for sql in
            ["TABLE public.secret", "SELECT nextval('public.s')", "CREATE TABLE pgvigil.x ()", "CREATE TEMP TABLE x ()"]
        {
            ask("pgvigil", sql).expect_err(sql);
        }
    }
}

/// A server on which every collector has something to say, and what must be held open for that.
fn server() -> (Postgres, Session) {
    let server = Postgres::builder(SHOWN).config("autovacuum = off").start();
    server.create_monitor_role();
    server.create_role("bare", "");
    server.create_role("monitor", "IN ROLE pg_monitor");
    server.sql(
        "postgres",
        "CREATE EXTENSION pg_stat_statements; CREATE EXTENSION pg_buffercache; CREATE EXTENSION pgstattuple;
         CREATE TABLE large AS SELECT n, repeat('x', 100) AS x FROM generate_series(1, 50000) n; CREATE INDEX large_n ON large (n);
         ANALYZE large; CREATE SEQUENCE numbers; SELECT nextval('numbers');
         UPDATE pg_class SET relpages = 20000 WHERE relname = 'large';
         CREATE TABLE events (at timestamptz) PARTITION BY RANGE (at);
         CREATE TABLE october PARTITION OF events FOR VALUES FROM ('2026-10-01') TO ('2026-11-01');
         SELECT pg_create_physical_replication_slot('slot', true)",
    );
    let mut session = server.session("postgres");
    session.run("BEGIN; INSERT INTO large VALUES (1); SELECT 1;");
    (server, session)
}

/// What a role gets of each collector: the names of its metrics, and why queries are skipped.
struct Seen {
    metrics: BTreeSet<String>,
    page: String,
}

/// A page with everything on it, as that role sees it.
fn see(server: &Postgres, role: &str) -> Seen {
    let folder = Folder::new("rights", "TERM");
    let url = server.url(role, "postgres");
    let file = folder.write("pgvigil.yaml", &format!("targets: [{{name: t, postgres: {{url: \"{url}\"}}}}]\n"));
    let pgvigil = Pgvigil::start(BINARY, &["--config", &file.display().to_string()], &[]);
    let mut page = String::new();
    eventually(Duration::from_secs(60), "every collector has answered", || {
        page = pgvigil.scrape();
        let succeeded = page.lines().filter(|line| line.starts_with("pgvigil_collector_success{"));
        let (all, well) = (succeeded.clone().count(), succeeded.filter(|line| line.ends_with(" 1")).count());
        // The second time, so that what compares two readings has two.
        all > 20 && all == well && sample(&page, "pgvigil_scrapes_total", &[]) >= Some(2.0)
    });
    let heads = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next().map(str::to_owned));
    Seen { metrics: heads.collect(), page }
}

impl Seen {
    fn skipped(&self, collector: &str) -> Vec<&'static str> {
        let is = |reason: &&str| {
            sample(&self.page, "pgvigil_collector_skipped", &[("collector", collector), ("reason", reason)]).is_some()
        };
        ["privilege", "extension"].into_iter().filter(is).collect()
    }
}

#[test]
fn p11_what_each_role_sees_is_what_the_docs_say() {
    let catalogue = Catalogue::load(None).expect("the shipped collectors are right");
    let (server, _session) = server();
    let all = see(&server, "pgvigil");
    let others = [see(&server, "bare"), see(&server, "monitor")];
    for (seen, granted) in [&all, &others[0], &others[1]].into_iter().zip([1.0, 0.0, 1.0]) {
        assert_eq!(sample(&seen.page, "pg_monitor_granted", &[]), Some(granted), "{}", seen.page);
    }
    let mut text = String::from(include_str!("rights.md"));
    for collector in catalogue.collectors.iter().filter(|collector| collector.source.is_sql()) {
        let own: BTreeSet<_> =
            collector.queries.iter().flat_map(|query| &query.metrics).map(|metric| metric.def.name.clone()).collect();
        let own: BTreeSet<_> = own.intersection(&all.metrics).cloned().collect();
        let name = &collector.name;
        assert_eq!(all.skipped(name), [""; 0], "{name}: the grants are enough");
        let cells = others.each_ref().map(|seen| {
            let missing: Vec<_> = own.difference(&seen.metrics).map(|name| format!("`{name}`")).collect();
            let reasons = seen.skipped(name);
            let why = if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) };
            match missing.len() {
                0 => format!("all{why}"),
                n if n == own.len() => format!("nothing{why}"),
                1..=6 => format!("all but {}{why}", missing.join(", ")),
                n => format!("all but {n} metrics{why}"),
            }
        });
        _ = writeln!(text, "| `{name}` | {} |", cells.join(" | "));
    }
    expect_file!["../docs/rights.md"].assert_eq(&text);
}

/// A role to which nothing is granted comes to see everything by doing what it is told.
#[test]
fn p11_what_check_connect_says_to_run_is_enough() {
    let (server, _session) = server();
    let check = || {
        let mut check = Command::new(BINARY);
        check.args(["check", "--connect"]).env_clear().env("PGVIGIL_POSTGRES_URL", server.url("bare", "postgres"));
        let output = check.output().expect("running check");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(0), "{said}");
        said
    };
    let mut said = check();
    for line in said.lines().filter(|line| line.contains("permission denied")) {
        assert!(line.contains("; run GRANT "), "no remedy: {line}");
    }
    for _ in 0..2 {
        let told: BTreeSet<_> =
            said.lines().filter_map(|line| Some(format!("GRANT {}", line.split_once("run GRANT ")?.1))).collect();
        told.iter().for_each(|statement| _ = server.sql("postgres", statement));
        said = check();
    }
    assert!(!said.contains("permission denied") && !said.contains("note "), "{said}");
}
