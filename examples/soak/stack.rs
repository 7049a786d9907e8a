//! What is watched: servers of a size, and pgvigil on all of them with everything it has.

use std::path::Path;

use crate::{
    Arguments,
    support::{Folder, PgBackRest, PgBouncer, Pgvigil, Postgres, Redis, size},
};

/// PostgreSQL's version.
const MAJOR: u32 = 15;

/// The database with the tables.
pub const SHOP: &str = "shop";

pub struct Stack {
    pub pgvigil: Pgvigil,
    pub pooler: PgBouncer,
    pub redis: Redis,
    pub replica: Postgres,
    pub primary: Postgres,
    _backups: PgBackRest,
    _settings: Folder,
}

impl Stack {
    pub fn start(arguments: &Arguments) -> Stack {
        let backups = PgBackRest::new();
        let primary = primary(arguments, &backups);
        backups.create(&primary);
        backups.backup("full");
        let replica = primary.replica();
        let pooler = PgBouncer::start(&primary, "transaction", "server_login_retry = 1");
        let redis = Redis::start("");
        let settings = Folder::new("soak", "TERM");
        let file = settings.write("pgvigil.yaml", &text(&primary, &replica, &pooler, &redis, &backups));
        install(&arguments.pgvigil, &file);
        let pgvigil = Pgvigil::start(&arguments.pgvigil, &["--config", &file.display().to_string()], &path());
        Stack { pgvigil, pooler, redis, replica, primary, _backups: backups, _settings: settings }
    }

    /// A little of what applications do, as far as the primary lets them.
    pub fn work(&self) {
        _ = self.primary.try_sql(SHOP, "INSERT INTO t1 SELECT 1000 + max(id) FROM t1; DELETE FROM t1 WHERE id > 5000");
        _ = self.redis.run("INCR soak\nGET soak");
    }
}

fn path() -> [(&'static str, &'static str); 1] {
    [("PATH", "/usr/local/bin:/usr/bin:/bin")]
}

fn primary(arguments: &Arguments, backups: &PgBackRest) -> Postgres {
    let statements = format!("pg_stat_statements.max = {}", arguments.statements + 20_000);
    let server =
        Postgres::builder(MAJOR).config(&statements).config("shared_buffers = 128MB").config("max_connections = 60");
    let primary = backups.archived(server).start();
    primary.create_monitor_role();
    // Two targets log in to it, one of them through the pooler.
    primary.sql("postgres", "ALTER ROLE pgvigil CONNECTION LIMIT 20");
    primary.sql("postgres", &format!("CREATE DATABASE {SHOP}"));
    primary.sql(SHOP, "CREATE EXTENSION pg_stat_statements; GRANT CREATE ON DATABASE shop TO pgvigil_probe");
    size::fill_tables(&primary, SHOP, arguments.tables, 3);
    size::fill_statements(&primary, SHOP, arguments.statements);
    (0..arguments.databases).for_each(|n| _ = primary.sql("postgres", &format!("CREATE DATABASE beside_{n}")));
    primary
}

fn text(primary: &Postgres, replica: &Postgres, pooler: &PgBouncer, redis: &Redis, backups: &PgBackRest) -> String {
    let (config, archive, data) = (backups.config(), backups.archive(), primary.data_dir());
    format!(
        "targets:
  - {{name: primary, postgres: {{url: \"{}\"}}}}
  - {{name: replica, postgres: {{url: \"{}\"}}}}
  - {{name: pooled, postgres: {{url: \"{}\"}}}}
  - {{name: pooler, pgbouncer: {{url: \"{}\"}}}}
  - {{name: cache, redis: {{url: \"{}\"}}}}
  - {{name: backups, backup: {{repositories: [{{name: main, tool: pgbackrest, config: {}, archive_path: {}}}]}}}}
  - {{name: disk, disk: {{paths: [{{name: data, path: {}}}]}}}}
  - name: probe
    probe:
      interval: 1s
      primary: {{url: \"{}\"}}
      paths: [{{direct: {{}}}}, {{pooled: {{}}}}, {{name: builtin, cached: {{}}}}]
collectors:
  backup: {{ttl: 10s, timeout: 8s}}
  statement_texts: {{enabled: true}}
",
        primary.url("pgvigil", SHOP),
        replica.url("pgvigil", SHOP),
        pooler.url("pgvigil", SHOP),
        pooler.url("pgvigil", "pgbouncer"),
        redis.url(),
        config.display(),
        archive.display(),
        data.display(),
        primary.url("pgvigil_probe", SHOP),
    )
}

/// The probe's tables.
fn install(program: &Path, settings: &Path) {
    let mut command = std::process::Command::new(program);
    let done =
        command.args(["probe", "--install", "--config"]).arg(settings).env_clear().output().expect("pgvigil runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}
