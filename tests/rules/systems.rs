//! Healthy systems, each with a pgvigil that watches all of it: one that works lightly, and one that has nothing to do.

use std::{any::Any, process::Command};

use crate::support::{
    Folder, PASSWORD, PgBouncer, Pgvigil, Postgres, Redis, place::client_program, process::Process, psql,
};

const BINARY: &str = env!("CARGO_BIN_EXE_pgvigil");

/// The extensions that collectors use.
const EXTENSIONS: [&str; 3] = ["pg_stat_statements", "pg_buffercache", "pgstattuple"];

/// Fields end in this order: first what uses the others.
pub struct System {
    pub pgvigil: Pgvigil,
    /// Its settings: it would notice if they went.
    _settings: Folder,
    /// What goes on there beside pgbench.
    work: Option<Redis>,
    _parts: Box<dyn Any>,
}

impl System {
    /// A little work, which who watches must ask for now and then.
    pub fn work(&self) {
        if let Some(redis) = &self.work {
            redis.run("SET k 1 EX 60\nGET k\nGET k\nGET k\nDEL k");
        }
    }

    /// A server without replicas, a pooler and a cache, that nobody uses; backups, a filesystem.
    pub fn idle(major: u32) -> System {
        let server = Postgres::builder(major).start();
        server.create_monitor_role();
        let (pooler, redis) = (PgBouncer::start(&server, "transaction", ""), Redis::start(""));
        // What makes a pool with an idle server connection.
        psql::run(&mut pooler.psql("postgres", "postgres"), "SELECT 1").expect("a query through the pooler");
        let backups = backups();
        let mut targets = postgres("server", &server, "");
        targets += &others(&pooler, &redis, &backups);
        System::watched(&targets, None, Box::new((pooler, redis, backups, server)))
    }

    /// A primary and its replica, a pooler, a cache, a probe over every path, WAL archiving, and a light load.
    pub fn working(major: u32) -> System {
        let primary = Postgres::builder(major).config("archive_mode = on\narchive_command = 'true'").start();
        primary.create_monitor_role();
        for extension in EXTENSIONS {
            primary.sql("postgres", &format!("CREATE EXTENSION {extension}"));
        }
        primary.create_role("app", "CONNECTION LIMIT 50");
        primary.sql("postgres", "CREATE DATABASE shop OWNER app CONNECTION LIMIT 60");
        primary.sql(
            "shop",
            "CREATE TABLE places (id int PRIMARY KEY, town int); CREATE INDEX places_town ON places (town)",
        );
        let replica = primary.replica();
        // An index that only the replica's queries use.
        replica.sql("shop", "SET enable_seqscan = off; SELECT count(*) FROM places WHERE town = 1");
        let (pooler, redis) = (PgBouncer::start(&primary, "transaction", "max_client_conn = 100"), Redis::start(""));
        let backups = backups();
        let cluster = format!("cluster: c{major}");
        let mut targets = postgres("primary", &primary, &cluster) + &postgres("replica", &replica, &cluster);
        targets += &others(&pooler, &redis, &backups);
        targets += &probe(&primary, &replica, &pooler, &redis);
        install_probe(&primary, &targets);
        let load = Load::start(&primary, &pooler);
        System::watched(&targets, Some(redis), Box::new((load, pooler, backups, replica, primary)))
    }

    fn watched(targets: &str, work: Option<Redis>, parts: Box<dyn Any>) -> System {
        let settings = Folder::new("settings", "TERM");
        let pgvigil = watch(&settings, targets);
        System { pgvigil, _settings: settings, work, _parts: parts }
    }
}

/// A pgvigil on these targets; its settings are in a folder that has to stay.
pub fn watch(settings: &Folder, targets: &str) -> Pgvigil {
    let file = settings.write("pgvigil.yaml", &format!("targets:\n{targets}"));
    Pgvigil::start(BINARY, &["--config", &file.display().to_string()], &[])
}

/// A folder with a backup.
fn backups() -> Folder {
    let folder = Folder::new("backups", "TERM");
    folder.write_earlier("orders.dump", "a backup");
    folder
}

pub fn postgres(name: &str, server: &Postgres, labels: &str) -> String {
    format!(
        "  - {{name: {name}, labels: {{{labels}}}, thresholds: {{backups_elsewhere: {{warning: 1}}}}, postgres: {{url: \"{}\"}}}}\n",
        server.url("pgvigil", "postgres")
    )
}

/// The targets that every system has.
fn others(pooler: &PgBouncer, redis: &Redis, backups: &Folder) -> String {
    let dumps = backups.path().join("*.dump");
    format!(
        "  - {{name: pooler, pgbouncer: {{url: \"{}\"}}}}\n  - {{name: cache, redis: {{url: \"{}\"}}}}\n  \
         - {{name: disk, disk: {{paths: [{{name: memory, path: /dev/shm}}]}}}}\n  \
         - {{name: backups, backup: {{repositories: [{{name: dumps, tool: files, pattern: \"{}\"}}]}}}}\n",
        pooler.url("pgvigil", "pgbouncer"),
        redis.url(),
        dumps.display()
    )
}

fn probe(primary: &Postgres, replica: &Postgres, pooler: &PgBouncer, redis: &Redis) -> String {
    // A machine that runs tests is slower than a healthy one.
    format!(
        "  - name: probe\n    thresholds: {{probe_slow_budget_ratio: {{warning: 0.05, critical: 0.05}}}}\n    probe:\n      primary: {{url: \"{}\"}}\n      write: true\n      \
         objectives: {{round_trip: 1s, point: 1s, join: 1s, aggregate: 1s, complex: 2s}}\n      \
         paths: [{{direct: {{}}}}, {{pooled: {{}}}}, {{cached: {{redis: {{url: \"{}\"}}}}}}, \
         {{pgbouncer: {{port: {}}}}}, {{replica: {{port: {}}}}}]\n",
        primary.url("pgvigil_probe", "postgres"),
        redis.url(),
        pooler.port(),
        replica.port()
    )
}

/// Its role and tables, as `targets` have it.
pub fn install_probe(primary: &Postgres, targets: &str) {
    primary.sql("postgres", "GRANT CREATE ON DATABASE postgres TO pgvigil_probe");
    let folder = Folder::new("probe", "TERM");
    let file = folder.write("pgvigil.yaml", &format!("targets:\n{targets}"));
    let mut command = Command::new(BINARY);
    command.args(["probe", "--install", "--config"]).arg(file).env_clear();
    let output = command.output().expect("running pgvigil");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Ten transactions a second through the pooler, by four clients that stay.
struct Load {
    _pgbench: Process,
    _folder: Folder,
}

impl Load {
    fn start(primary: &Postgres, pooler: &PgBouncer) -> Load {
        let folder = Folder::new("load", "TERM");
        let pgbench = |port: u16, arguments: &[&str]| {
            let mut command = folder.logged_command(client_program("pgbench"));
            command.env("PGPASSWORD", PASSWORD).args(["-h", "127.0.0.1", "-U", "app", "-p", &port.to_string()]);
            command.args(arguments).arg("shop");
            command
        };
        let made = pgbench(primary.port(), &["-i", "-q", "-s", "1"]).status().expect("running pgbench");
        assert!(made.success(), "{}", folder.log());
        // What pgbench's own analyzed too early to count, autovacuum would read again, and from outside shared buffers.
        primary.sql("shop", "VACUUM ANALYZE");
        let mut command = pgbench(pooler.port(), &["-n", "-N", "-c", "4", "--rate=10", "-T", "7200"]);
        Load { _pgbench: Process::start(&mut command), _folder: folder }
    }
}
