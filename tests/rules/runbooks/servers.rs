//! The servers that the statements of runbooks run on: a primary and its replica, on which there is one of everything, since what is asked of
//! no row cannot fail.

use std::{path::PathBuf, sync::Mutex};

use super::{
    fixtures::{DATABASE, OWN_DATABASE},
    place::Role,
};
use crate::{
    rules::systems::{self, install_probe},
    support::{Postgres, Session},
};

const OBJECTS: &str = "CREATE TABLE stays (number serial PRIMARY KEY, at timestamptz NOT NULL DEFAULT now()); \
    CREATE TABLE stays_too (number integer REFERENCES stays, again integer REFERENCES stays); \
    CREATE TABLE stays_parted (number integer, at timestamptz NOT NULL) PARTITION BY RANGE (at); \
    CREATE TABLE stays_part PARTITION OF stays_parted FOR VALUES FROM ('2020-01-01') TO ('2020-02-01'); \
    CREATE TABLE stays_rest PARTITION OF stays_parted DEFAULT; \
    INSERT INTO stays DEFAULT VALUES; INSERT INTO stays_too VALUES (1, 1); INSERT INTO stays_parted VALUES (1, now())";

pub struct Servers {
    /// Of each server one that holds a lock, idle in its transaction, and one that waits for it.
    _sessions: Mutex<Vec<Session>>,
    pub primary: Postgres,
    pub replica: Postgres,
}

impl Servers {
    pub fn start(major: u32) -> Servers {
        let primary = Postgres::builder(major)
            .config("wal_level = logical\nmax_prepared_transactions = 10\nmax_replication_slots = 20\narchive_mode = on\narchive_command = 'true'\nstatement_timeout = 120s")
            .start();
        primary.create_monitor_role();
        primary.sql(OWN_DATABASE, "CREATE EXTENSION pg_stat_statements");
        primary.sql(OWN_DATABASE, &format!("CREATE DATABASE {DATABASE}"));
        primary.sql(OWN_DATABASE, "GRANT CREATE ON DATABASE postgres TO pgvigil_probe");
        let probe = format!(
            "  - {{name: probe, probe: {{primary: {{url: \"{}\"}}, paths: [{{direct: {{}}}}]}}}}\n",
            primary.url("pgvigil_probe", OWN_DATABASE)
        );
        install_probe(&primary, &(systems::postgres("server", &primary, "") + &probe));
        let replica = primary.replica();
        primary.sql(DATABASE, OBJECTS);
        primary.sql(DATABASE, "SELECT pg_create_logical_replication_slot('stays_logical', 'pgoutput')");
        subscribe(&primary, "stays_subscribed");
        for server in [&primary, &replica] {
            server.sql(OWN_DATABASE, "SELECT pg_create_physical_replication_slot('stays', true)");
        }
        let servers = Servers { _sessions: Mutex::default(), primary, replica };
        servers.wait_for_replay();
        let sessions = [Role::Primary, Role::Replica].map(|role| block(servers.on(role)));
        Servers { _sessions: Mutex::new(sessions.into_iter().flatten().collect()), ..servers }
    }

    pub fn on(&self, role: Role) -> &Postgres {
        match role {
            Role::Primary => &self.primary,
            Role::Replica => &self.replica,
        }
    }

    /// What ALTER SYSTEM writes.
    pub fn settings_of(&self, role: Role) -> PathBuf {
        self.on(role).data_dir().join("postgresql.auto.conf")
    }

    /// As the primary knows its replica.
    pub fn standby(&self) -> String {
        format!("replica_{}", self.replica.port())
    }

    /// Until the replica has all that the primary has written.
    pub fn wait_for_replay(&self) {
        let written = self.primary.sql(DATABASE, "SELECT pg_current_wal_lsn()");
        let replayed = format!("SELECT pg_last_wal_replay_lsn() >= '{written}'");
        self.replica.until(OWN_DATABASE, &replayed, "t");
    }

    /// Extensions that a runbook has made in the database of the application.
    pub fn drop_extensions(&self) {
        let made = self.primary.sql(DATABASE, "SELECT extname FROM pg_extension WHERE extname <> 'plpgsql'");
        for extension in made.lines() {
            self.primary.sql(DATABASE, &format!("DROP EXTENSION {extension}"));
        }
    }
}

/// Makes a subscription to what the same server's other database publishes, which is nothing.
pub fn subscribe(server: &Postgres, name: &str) {
    if server.sql(OWN_DATABASE, "SELECT count(*) FROM pg_publication") == "0" {
        server.sql(OWN_DATABASE, "CREATE PUBLICATION thing_publication");
    }
    server.sql(OWN_DATABASE, &format!("SELECT pg_create_logical_replication_slot('{name}', 'pgoutput')"));
    let publisher =
        format!("host={} port={} user=postgres dbname={OWN_DATABASE}", server.socket_dir().display(), server.port());
    server.sql(
        DATABASE,
        &format!(
            "CREATE SUBSCRIPTION {name} CONNECTION '{publisher}' PUBLICATION thing_publication WITH (create_slot = false)"
        ),
    );
}

/// A lock of no table, so that nothing else waits for it; in another database, since making an index waits for who has a snapshot.
fn block(server: &Postgres) -> [Session; 2] {
    let [mut holds, mut waits] = [server.session(OWN_DATABASE), server.session(OWN_DATABASE)];
    holds.run("BEGIN; SELECT pg_advisory_lock(1);");
    waits.send("SELECT pg_advisory_lock(1);");
    [holds, waits]
}
