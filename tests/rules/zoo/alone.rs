//! Servers that stand alone: what is odd about them is of the whole server.

use std::{fmt::Write, process::Stdio};

use super::part::{Part, client, known_to_clients, load, server};
use crate::support::{Folder, PASSWORD, PgBouncer, Postgres, Process, Stop, place::client_program, psql::Session};

/// A crash before anybody watched: from PostgreSQL 15 on the statistics of tables are gone.
pub fn crashed(major: u32) -> Part {
    let server = server(major, "");
    server.sql("postgres", LARGE);
    server.sql("postgres", "VACUUM ANALYZE large");
    server.stop(Stop::Immediate);
    server.start();
    server.sql("postgres", "UPDATE large SET n = 0 WHERE id <= 12000");
    alone("crashed", server, ())
}

/// A table that autovacuum leaves alone until a fifth of it has changed.
pub const LARGE: &str = "CREATE TABLE large (id int PRIMARY KEY, n int); \
     INSERT INTO large SELECT i, i FROM generate_series(1, 150000) i; CHECKPOINT";

/// Somebody looks at rows with a tool that opens a transaction for it, and goes to lunch.
pub fn developer(major: u32) -> Part {
    let server = server(major, "");
    let mut session = server.session("postgres");
    session.run("SET application_name = 'workbench'; BEGIN; SELECT count(*) FROM pg_class;");
    alone("developer", server, session)
}

/// pg_dump whose reader is slow: hours in one transaction, and in one COPY.
pub fn dumped(major: u32) -> Part {
    let server = server(known_to_clients(major), "");
    server.sql("postgres", "CREATE TABLE pages AS SELECT i AS id, repeat(md5(i::text), 30) AS text FROM generate_series(1, 30000) i; ALTER TABLE pages ADD PRIMARY KEY (id); VACUUM ANALYZE");
    let folder = Folder::new("dump", "TERM");
    let mut dump = client(&folder, "pg_dump", &server);
    let dump = Process::start(dump.arg("postgres").stdout(Stdio::piped()));
    alone("dumped", server, (dump, folder))
}

/// A job of the weekend: one statement for hours.
pub fn batch(major: u32) -> Part {
    let server = server(major, "");
    server.sql("postgres", "CREATE TABLE totals (day date PRIMARY KEY, total int)");
    let mut session = server.session("postgres");
    session.run("SET application_name = 'weekly';");
    session.send("INSERT INTO totals SELECT current_date, count(*) FROM pg_class, pg_sleep(7200);");
    alone("batch", server, session)
}

/// Databases come and go, and nothing needs to survive.
pub fn integration(major: u32) -> Part {
    let server = Postgres::builder(major).of_its_own().start();
    server.create_monitor_role();
    let mut part = Part::default();
    part.watch_as("ci", &server, "pgvigil", "");
    part.act(move |page| {
        if page % 3 == 0 {
            server.sql("postgres", &format!("DROP DATABASE IF EXISTS job_{}", page.saturating_sub(3)));
            server.sql("postgres", &format!("CREATE DATABASE job_{page}"));
            server.sql(&format!("job_{page}"), "CREATE TABLE t (id int); INSERT INTO t VALUES (1)");
        }
    });
    part
}

/// Nobody has used it yet. One that pgvigil may see little of: its role is in no other. Passwords that never end, and one that ended long ago.
pub fn fresh(major: u32) -> Part {
    let server = Postgres::builder(major).of_its_own().start();
    server.create_monitor_role();
    let roles = Postgres::builder(major).of_its_own().start();
    roles.create_monitor_role();
    roles.create_role("bare", "");
    roles.create_role("for_ever", "VALID UNTIL 'infinity'");
    roles.create_role("left_in_2020", "VALID UNTIL '2020-01-01'");
    let mut part = Part::default();
    part.watch("fresh", &server, "");
    part.watch("roles", &roles, "");
    part.watch_as("bare", &roles, "bare", "");
    part.keep((server, roles));
    part
}

/// A database for each customer.
pub fn customers(major: u32) -> Part {
    let server = server(major, "");
    let mut made = String::new();
    for nth in 0..30 {
        writeln!(made, "CREATE DATABASE customer_{nth};").expect("text");
    }
    server.sql("postgres", &made);
    alone("customers", server, ())
}

/// Autovacuum has to freeze all the time.
pub fn freezing(major: u32) -> Part {
    let server = server(
        major,
        "autovacuum_freeze_max_age = 100000\nautovacuum_vacuum_cost_delay = 100ms\nautovacuum_vacuum_cost_limit = 10\nautovacuum_max_workers = 10\nautovacuum_naptime = 1min",
    );
    server.sql(
        "postgres",
        "CREATE TABLE old AS SELECT generate_series(1, 300000) AS id; ALTER TABLE old ADD PRIMARY KEY (id);",
    );
    server.sql("postgres", "VACUUM ANALYZE old");
    let used = "DO $$ BEGIN FOR i IN 1..101000 LOOP PERFORM txid_current(); COMMIT; END LOOP; END $$";
    server.sql("postgres", &format!("SET synchronous_commit = off; {used}"));
    let commits = load(&server, "postgres", "SELECT txid_current();", "10");
    alone("freezing", server, commits)
}

/// Two poolers: one gives each client a server connection of its own, as many as there are; one is well used, and nobody waits.
pub fn pooled(major: u32) -> Part {
    let server = server(major, "");
    server.create_role("app", "");
    let session = PgBouncer::start(&server, "session", "default_pool_size = 5\nmax_client_conn = 100");
    let transaction = PgBouncer::start(&server, "transaction", "default_pool_size = 5\nmax_client_conn = 100");
    let mut clients = Vec::new();
    for _ in 0..5 {
        let mut idle = Session::open(&mut session.psql("app", "postgres"));
        idle.run("SELECT 1;");
        clients.push(idle);
    }
    let busy = pool_load(&transaction);
    let mut part = Part::default();
    part.watch("pooled", &server, "");
    part.watch_other("session_pool", "pgbouncer", &session.url("pgvigil", "pgbouncer"));
    part.watch_other("busy_pool", "pgbouncer", &transaction.url("pgvigil", "pgbouncer"));
    part.keep((clients, busy, session, transaction, server));
    part
}

/// Five clients whose transactions take their time.
fn pool_load(pooler: &PgBouncer) -> (Process, Folder) {
    let folder = Folder::new("load", "TERM");
    let file = folder.write("script.sql", "BEGIN;\n\\sleep 400 ms\nSELECT 1;\nCOMMIT;");
    let mut command = folder.logged_command(client_program("pgbench"));
    command.env("PGPASSWORD", PASSWORD).args(["-n", "-h", "127.0.0.1", "-U", "app", "-c", "5", "-T", "7200"]);
    command.args(["-p", &pooler.port().to_string(), "-f"]).arg(file).arg("postgres");
    (Process::start(&mut command), folder)
}

fn alone(name: &str, server: Postgres, work: impl std::any::Any + Send) -> Part {
    let mut part = Part::default();
    part.watch(name, &server, "");
    part.keep((work, server));
    part
}
