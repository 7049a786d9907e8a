//! The servers that the statements of runbooks run on: a primary and its replica, with what everything needs.

use std::{path::PathBuf, time::Duration};

use super::{
    fixtures::{DATABASE, OWN_DATABASE},
    place::Role,
};
use crate::{
    rules::systems::{self, install_probe},
    support::{Postgres, eventually},
};

pub struct Servers {
    pub primary: Postgres,
    pub replica: Postgres,
}

impl Servers {
    pub fn start(major: u32) -> Servers {
        let primary = Postgres::builder(major)
            .config("wal_level = logical\nmax_prepared_transactions = 10\nmax_replication_slots = 20\narchive_mode = on\narchive_command = 'true'")
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
        Servers { primary, replica }
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
        let is_so = || self.replica.sql(OWN_DATABASE, &replayed) == "t";
        eventually(Duration::from_secs(30), "the replica has replayed", is_so);
    }

    /// Extensions that a runbook has made in the database of the application.
    pub fn drop_extensions(&self) {
        let made = self.primary.sql(DATABASE, "SELECT extname FROM pg_extension WHERE extname <> 'plpgsql'");
        for extension in made.lines() {
            self.primary.sql(DATABASE, &format!("DROP EXTENSION {extension}"));
        }
    }
}
