//! What the placeholders of runbooks stand for: objects on real servers, there before each statement that names them, made anew where one
//! before it has consumed them, and gone after the block.

use std::{collections::BTreeSet, fs};

use super::{
    place::Role,
    servers::{Servers, subscribe},
    text,
};
use crate::support::Session;

/// Known in SQL: each of them is an object, or a value that fits them.
pub const NAMES: [&str; 21] = [
    "APPLICATION",
    "COLUMN",
    "CONSTRAINT",
    "DATABASE",
    "DATE",
    "FILENODE",
    "FROM",
    "GID",
    "INDEX",
    "LSN",
    "PARTITION",
    "PID",
    "QUERYID",
    "ROLE",
    "SCHEMA",
    "SEQUENCE",
    "SLOT",
    "STANDBY",
    "SUBSCRIPTION",
    "TABLE",
    "TO",
];

/// The database of an application, in which there is no extension; the one that pgvigil logs in to has pg_stat_statements and the probe's tables.
pub const DATABASE: &str = "things";
pub const OWN_DATABASE: &str = "postgres";

const TABLE: &str = "CREATE SEQUENCE IF NOT EXISTS thing_number AS integer; CREATE TABLE IF NOT EXISTS thing (number integer NOT NULL \
    DEFAULT nextval('thing_number') CONSTRAINT thing_check CHECK (number > 0), at timestamptz NOT NULL DEFAULT now()); \
    CREATE UNIQUE INDEX IF NOT EXISTS thing_index ON thing (number);";

/// What the placeholder of a table stands for in a block that speaks of a partition.
const PARTED: &str = "CREATE TABLE IF NOT EXISTS parted (number integer NOT NULL, at timestamptz NOT NULL) PARTITION BY RANGE (at); \
    CREATE TABLE IF NOT EXISTS part (number integer NOT NULL, at timestamptz NOT NULL);";

const ATTACH: &str = "ALTER TABLE parted ATTACH PARTITION part FOR VALUES FROM ('2020-01-01') TO ('2020-02-01');";
const DETACH: &str = "ALTER TABLE parted DETACH PARTITION part;";

const ROLE: &str = "DO 'BEGIN CREATE ROLE thing_role; EXCEPTION WHEN duplicate_object THEN END';";

const UNDO: [(&str, &str); 6] = [
    ("SEQUENCE", "DROP SEQUENCE IF EXISTS thing_number CASCADE;"),
    ("TABLE", "DROP TABLE IF EXISTS thing, parted, part CASCADE; DROP SEQUENCE IF EXISTS thing_number CASCADE;"),
    ("INDEX", "DROP INDEX IF EXISTS thing_index;"),
    ("PARTITION", "DROP TABLE IF EXISTS part;"),
    ("ROLE", "DROP ROLE IF EXISTS thing_role;"),
    ("SUBSCRIPTION", "DROP SUBSCRIPTION IF EXISTS thing_subscription;"),
];

/// Those of one block, on one server.
pub struct Fixtures<'s> {
    servers: &'s Servers,
    role: Role,
    block: &'s str,
    used: BTreeSet<&'static str>,
    /// Sessions that may be ended, the last one with its pid.
    sessions: Vec<Session>,
    pid: String,
    /// Of the server: what ALTER SYSTEM has written.
    settings: String,
}

impl Fixtures<'_> {
    pub fn new<'s>(servers: &'s Servers, role: Role, block: &'s str) -> Fixtures<'s> {
        let settings = fs::read_to_string(servers.settings_of(role)).expect("postgresql.auto.conf");
        let mut fixtures = Fixtures {
            servers,
            role,
            block,
            used: BTreeSet::new(),
            sessions: Vec::new(),
            pid: String::new(),
            settings,
        };
        // None stays: making a logical slot waits for its end.
        if block.contains("pg_prepared_xacts") {
            fixtures.used.insert("GID");
            fixtures.make_prepared();
        }
        fixtures
    }

    /// The statement with what its placeholders stand for, which is there then, but for what the statement makes.
    pub fn put_into(&mut self, statement: &str) -> String {
        let mut text = statement.to_owned();
        for name in text::placeholders(statement) {
            let Some(name) = NAMES.iter().find(|known| **known == name) else { continue };
            self.used.insert(name);
            let value = self.value(name, statement);
            text = text.replace(&format!("<{name}>"), &value);
        }
        made_by(statement).into_iter().for_each(|made| self.undo(made));
        if self.role == Role::Replica && text != statement {
            self.servers.wait_for_replay();
        }
        text
    }

    fn value(&mut self, name: &str, statement: &str) -> String {
        let is_parted = self.block.contains("<PARTITION>");
        match name {
            "TABLE" | "INDEX" | "COLUMN" | "SEQUENCE" | "CONSTRAINT" | "FILENODE" => {
                self.make(if is_parted { PARTED } else { TABLE });
            }
            "PARTITION" => self.make_partition(statement),
            "ROLE" => self.make(ROLE),
            "GID" => self.make_prepared(),
            "SLOT" => self.make_slot(),
            "SUBSCRIPTION" => self.make_subscription(),
            "PID" => self.make_session(),
            _ => (),
        }
        match name {
            "TABLE" if is_parted => "parted".to_owned(),
            "TABLE" => "thing".to_owned(),
            "INDEX" => "thing_index".to_owned(),
            "COLUMN" => "number".to_owned(),
            "CONSTRAINT" => "thing_check".to_owned(),
            "SEQUENCE" => "thing_number".to_owned(),
            "SCHEMA" => "public".to_owned(),
            "PARTITION" => "part".to_owned(),
            "FROM" => "2020-01-01".to_owned(),
            "TO" => "2020-02-01".to_owned(),
            "DATE" => "2100-01-01".to_owned(),
            "DATABASE" => DATABASE.to_owned(),
            "PID" => self.pid.clone(),
            "STANDBY" => self.servers.standby(),
            "FILENODE" => self.servers.primary.sql(DATABASE, "SELECT pg_relation_filenode('thing')"),
            "LSN" => self.servers.primary.sql(DATABASE, "SELECT pg_current_wal_lsn()"),
            "QUERYID" => self.servers.primary.sql(OWN_DATABASE, "SELECT max(queryid) FROM pg_stat_statements"),
            name => format!("thing_{}", name.to_lowercase()),
        }
    }

    fn make(&self, sql: &str) {
        self.servers.primary.sql(DATABASE, sql);
    }

    fn undo(&self, name: &str) {
        UNDO.iter().filter(|(of, _)| *of == name).for_each(|(_, sql)| self.make(sql));
        if name == "SLOT" {
            let drop =
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = 'thing_slot'";
            self.servers.on(self.role).sql(DATABASE, drop);
        }
    }

    /// Attached, unless the statement does that.
    fn make_partition(&self, statement: &str) {
        self.make(PARTED);
        let attached = self.servers.primary.sql(DATABASE, "SELECT relispartition FROM pg_class WHERE relname = 'part'");
        let is_attaching = statement.contains(" ATTACH PARTITION");
        match attached == "t" {
            true if is_attaching => self.make(DETACH),
            false if !is_attaching => self.make(ATTACH),
            _ => (),
        }
    }

    fn make_prepared(&self) {
        let known = "SELECT count(*) FROM pg_prepared_xacts WHERE gid = 'thing_gid'";
        if self.servers.primary.sql(DATABASE, known) == "0" {
            self.make("BEGIN; SELECT txid_current(); PREPARE TRANSACTION 'thing_gid';");
        }
    }

    /// On the server that the statement is for: replicas have slots of their own. A logical one if the block says so.
    fn make_slot(&self) {
        let server = self.servers.on(self.role);
        if server.sql(DATABASE, "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'thing_slot'") == "0" {
            let is_logical = self.role == Role::Primary && self.block.contains("logical");
            server.sql(
                DATABASE,
                match is_logical {
                    true => "SELECT pg_create_logical_replication_slot('thing_slot', 'pgoutput')",
                    false => "SELECT pg_create_physical_replication_slot('thing_slot', true)",
                },
            );
        }
    }

    fn make_subscription(&self) {
        let primary = &self.servers.primary;
        if primary.sql(DATABASE, "SELECT count(*) FROM pg_subscription WHERE subname = 'thing_subscription'") == "0" {
            drop_subscriptions_slot(self.servers);
            subscribe(primary, "thing_subscription");
        }
    }

    fn make_session(&mut self) {
        let server = self.servers.on(self.role);
        let known = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {}", self.pid);
        if self.pid.is_empty() || server.sql(DATABASE, &known) == "0" {
            let mut session = server.session(DATABASE);
            self.pid = session.run("BEGIN; SELECT pg_backend_pid();");
            self.sessions.push(session);
        }
    }

    /// As it was before the block.
    pub fn clean(mut self) {
        self.sessions.clear();
        if ["TABLE", "INDEX", "COLUMN", "SEQUENCE", "CONSTRAINT", "FILENODE", "PARTITION"]
            .iter()
            .any(|n| self.used.contains(n))
        {
            self.undo("TABLE");
        }
        let server = self.servers.on(self.role);
        if self.used.contains("GID") {
            self.make_prepared();
            self.make("ROLLBACK PREPARED 'thing_gid'");
        }
        if self.used.contains("SLOT") {
            self.undo("SLOT");
        }
        if self.used.contains("SUBSCRIPTION") {
            self.undo("SUBSCRIPTION");
            drop_subscriptions_slot(self.servers);
        }
        if self.used.contains("ROLE") {
            self.undo("ROLE");
        }
        if self.block.contains("ALTER DATABASE") {
            self.make("ALTER DATABASE things CONNECTION LIMIT -1; ALTER DATABASE things RESET ALL;");
        }
        if self.block.contains("pg_wal_replay_pause") && self.role == Role::Replica {
            server.sql(DATABASE, "SELECT pg_wal_replay_resume()");
        }
        if self.block.contains("ALTER SYSTEM") {
            fs::write(self.servers.settings_of(self.role), &self.settings).expect("writing postgresql.auto.conf");
            server.sql(DATABASE, "SELECT pg_reload_conf()");
        }
    }
}

/// A subscription that was parted from its slot leaves it behind.
fn drop_subscriptions_slot(servers: &Servers) {
    servers.primary.sql(
        OWN_DATABASE,
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = 'thing_subscription' AND NOT active",
    );
}

/// The placeholder that a statement makes: `CREATE UNIQUE INDEX CONCURRENTLY <INDEX> ON <TABLE> (<COLUMN>);`.
fn made_by(statement: &str) -> Option<&str> {
    let plain = statement.trim_start();
    if ["physical", "logical"].iter().any(|kind| plain.contains(&format!("pg_create_{kind}_replication_slot('<SLOT>'")))
    {
        return Some("SLOT");
    }
    let (before, rest) = plain.split_once('<')?;
    let is_head = before.split_whitespace().all(|word| word.chars().all(|c| c.is_ascii_uppercase()));
    // CREATE INDEX ON <TABLE> makes an index without a name.
    let is_made = plain.starts_with("CREATE ") && is_head && !before.ends_with(" ON ");
    is_made.then(|| rest.split('>').next().unwrap_or_default())
}

#[test]
fn what_a_statement_makes_is_known() {
    for (statement, made) in [
        ("CREATE UNIQUE INDEX CONCURRENTLY <INDEX> ON <TABLE> (<COLUMN>);", Some("INDEX")),
        ("CREATE TABLE IF NOT EXISTS <PARTITION> PARTITION OF <TABLE>;", Some("PARTITION")),
        ("CREATE INDEX CONCURRENTLY ON <TABLE> (<COLUMN>);", None),
        ("SELECT pg_create_physical_replication_slot('<SLOT>', true);", Some("SLOT")),
        ("DROP ROLE <ROLE>;", None),
    ] {
        assert_eq!(made_by(statement), made, "{statement}");
    }
}
