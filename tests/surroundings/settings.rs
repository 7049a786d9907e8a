//! Promise 23: what a server, database or role sets for our sessions changes neither what a page says nor whether it is there.
//!
//! Every setting that a session may change is tried: each word, each flag the other way, each number at its least and its most; on a primary, its
//! replica, and through a transaction pooler. The quick form sets one value of all settings at a time, the long form each by itself, and names it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    process::Command,
};

use crate::support::{Folder, PgBouncer, Postgres, is_long, majors_where};

use super::BINARY;

/// Texts, and numbers within their range, that are worth a try beside the extremes. Timeouts of a few milliseconds would hit the login itself.
const MORE: &str = "
    DateStyle=SQL, DMY  DateStyle=German  TimeZone=Asia/Kolkata  TimeZone=America/St_Johns  search_path=  search_path=\"$user\", public
    client_encoding=LATIN1  client_encoding=SQL_ASCII  lc_numeric=C  lc_time=C  default_tablespace=pg_default  temp_tablespaces=
    restrict_nonsystem_relation_kind=view  default_text_search_config=simple  application_name=other  lc_messages=C
    statement_timeout=30  lock_timeout=30  idle_in_transaction_session_timeout=30  idle_session_timeout=30  transaction_timeout=30
    log_statement=all  log_min_duration_statement=0  temp_file_limit=64  work_mem=64  vacuum_cost_delay=10";

/// Settings whose effect is what a page should show.
const EXCEPTIONS: [(&str, &str); 2] = [
    (
        "track_activities",
        "a superuser's; what our own sessions do is not tracked then, and they are counted as the server shows them",
    ),
    ("pg_stat_statements.track", "a superuser's; which statements are counted"),
];

/// What makes an application's queries slow, or ends them, the probe shall feel: plans, space to sort in, and behind a pooler, where the role's hold,
/// timeouts.
const FELT: [&str; 10] = [
    "enable_",
    "from_collapse",
    "join_collapse",
    "geqo",
    "jit",
    "debug_",
    "statement_timeout",
    "transaction_timeout",
    "idle_",
    "temp_file_limit",
];

/// Whose values are about sessions, statements and moments: which series there are changes by itself.
const OF_THE_MOMENT: [&str; 14] = [
    "pg_connections_used",
    "pg_long_running_transactions",
    "pg_stat_database_numbackends",
    "pg_stat_activity_",
    "pg_stat_statements_",
    "pg_locks_",
    "pgvigil_collector_duration_",
    "pgvigil_collector_last_success_",
    "pgvigil_collector_result_age_",
    "pgvigil_collector_rows",
    "pgvigil_sessions",
    "process_",
    "pg_buffercache_",
    "pg_stat_progress_",
];

/// A primary with something of all that pages tell, its replica, and a pooler.
struct World {
    primary: Postgres,
    replica: Postgres,
    pooler: PgBouncer,
    folder: Folder,
}

/// The samples of a page, by series.
type Samples = BTreeMap<String, String>;

impl World {
    fn new(major: u32) -> World {
        let config = "autovacuum = off\nsynchronous_standby_names = 'FIRST 1 (somebody)'\nsynchronous_commit = local";
        let primary = Postgres::builder(major).config(config).start();
        primary.create_monitor_role();
        // Our sessions must see to it themselves.
        primary.sql("postgres", "ALTER ROLE pgvigil RESET ALL");
        primary.sql("postgres", WHAT_PAGES_TELL);
        let replica = primary.replica();
        let pooler = PgBouncer::start(&primary, "transaction", "");
        let folder = Folder::new("surroundings", "TERM");
        let targets = [
            ("primary", primary.url("pgvigil", "postgres")),
            ("replica", replica.url("pgvigil", "postgres")),
            ("pooled", pooler.url("pgvigil", "postgres")),
        ];
        let mut settings =
            String::from("scrape_timeout: 60s\ncollectors: {statement_texts: {enabled: true}}\ntargets:\n");
        for (name, url) in targets {
            _ = writeln!(settings, "  - {{name: {name}, postgres: {{url: \"{url}\"}}}}");
        }
        folder.write("pgvigil.yaml", &settings);
        World { primary, replica, pooler, folder }
    }

    /// What changes can be made: `name=value`.
    fn changes(&self) -> Vec<(String, String)> {
        let listed = self.primary.sql("postgres", "SELECT name, value FROM changes() WHERE name NOT LIKE 'pgvigil%'");
        let more = MORE.split("  ").map(str::trim).filter_map(|pair| pair.split_once('='));
        let is_here = |name: &str| {
            self.primary.sql("postgres", &format!("SELECT count(*) FROM pg_settings WHERE name = '{name}'")) == "1"
        };
        let all = listed.lines().filter_map(|line| line.split_once('|')).chain(more.filter(|(name, _)| is_here(name)));
        let is_tried = |(name, _): &(&str, &str)| !EXCEPTIONS.iter().any(|(other, _)| other == name);
        all.filter(is_tried).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// Sets all of these for our role, as far as the server takes them, and sees that it holds everywhere.
    fn set(&self, role: &str, changes: &[(String, String)]) {
        let mut sql = format!("ALTER ROLE {role} RESET ALL;\n");
        for (name, value) in changes {
            let value = value.replace('\'', "''");
            _ = writeln!(sql, "SELECT try('{role}', '{name}', '{value}');");
        }
        self.primary.sql("postgres", &sql);
        let at = self.primary.sql("postgres", "SELECT pg_current_wal_insert_lsn()");
        let replayed = format!("SELECT pg_last_wal_replay_lsn() >= '{at}'");
        self.replica.until("postgres", &replayed, "t");
        // What the pooler has open was opened before.
        let end = format!("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = '{role}'");
        self.primary.until("postgres", &end, "0");
    }

    /// A page of a pgvigil of its own.
    fn look(&self) -> Samples {
        let file = self.folder.path().join("pgvigil.yaml");
        let output =
            Command::new(BINARY).arg("scrape").arg("--config").arg(file).env_clear().output().expect("running");
        let text = String::from_utf8_lossy(&output.stdout);
        let samples = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
        samples.map(|(series, value)| (series.to_owned(), value.to_owned())).collect()
    }
}

/// Objects of many kinds, and what lists and makes the changes.
const WHAT_PAGES_TELL: &str = r#"
    CREATE EXTENSION pg_stat_statements; CREATE EXTENSION pg_buffercache; CREATE DATABASE other;
    CREATE SCHEMA "Tenant.7"; CREATE TABLE "Tenant.7"."Some thing" (id serial PRIMARY KEY, a int, b text, c numeric DEFAULT 0);
    INSERT INTO "Tenant.7"."Some thing" (a, b) SELECT g, 'x' || g FROM generate_series(1, 20000) g;
    CREATE INDEX one ON "Tenant.7"."Some thing" (a); CREATE INDEX two ON "Tenant.7"."Some thing" (a);
    CREATE INDEX three ON "Tenant.7"."Some thing" (b) WHERE a IS NOT NULL;
    CREATE TABLE events (at timestamptz NOT NULL) PARTITION BY RANGE (at);
    CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
    CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM ('2026-02-01 05:30:00.25') TO ('2026-03-01');
    CREATE TABLE child (id int REFERENCES "Tenant.7"."Some thing"); VACUUM ANALYZE; CHECKPOINT; SELECT pg_switch_wal();
    CREATE FUNCTION try(role text, name text, value text) RETURNS bool LANGUAGE plpgsql AS $$
    BEGIN
      EXECUTE format(CASE WHEN name IN ('DateStyle', 'search_path', 'temp_tablespaces') AND value <> ''
                          THEN 'ALTER ROLE %I SET %I = ' || value ELSE 'ALTER ROLE %I SET %I = %L' END, role, name, value);
      RETURN true;
    EXCEPTION WHEN OTHERS THEN RETURN false; END $$;
    CREATE FUNCTION changes() RETURNS TABLE (name text, value text) LANGUAGE sql AS $$
      SELECT s.name, v.value FROM pg_settings s
       CROSS JOIN LATERAL unnest(CASE s.vartype WHEN 'bool' THEN ARRAY[CASE s.reset_val WHEN 'on' THEN 'off' ELSE 'on' END]
                                                WHEN 'enum' THEN s.enumvals ELSE ARRAY[s.min_val, s.max_val] END) v(value)
       WHERE s.context IN ('user', 'superuser') AND s.vartype <> 'string' ORDER BY s.name, v.value $$;
"#;

/// What pages say with nothing set: each series that is always there, its value if that stays, and the families that have always the same series.
struct Known {
    always: Samples,
    stays: BTreeSet<String>,
    ever: BTreeSet<String>,
}

impl Known {
    fn of(pages: &[Samples]) -> Known {
        let always = pages[0].iter().filter(|(series, _)| pages.iter().all(|page| page.contains_key(*series)));
        let always: Samples = always.map(|(series, value)| (series.clone(), value.clone())).collect();
        let stays = |(series, value): &(&String, &String)| pages.iter().all(|page| page.get(*series) == Some(value));
        Known {
            stays: always.iter().filter(stays).map(|(series, _)| series.clone()).collect(),
            ever: pages.iter().flat_map(|page| page.keys().cloned()).collect(),
            always,
        }
    }

    /// What this page says otherwise, when these settings were changed: their own series tell of the server, and are absent where the role brings another.
    fn differences(&self, page: &Samples, changes: &[(String, String)]) -> Vec<String> {
        let is_own = |series: &str| {
            let of = |(name, _): &(String, String)| {
                series.starts_with(&format!("pg_settings_{}", name.to_lowercase()))
                    || series.contains(&format!("name=\"{name}\""))
            };
            series.starts_with("pg_settings_") && (series.contains("changed_settings") || changes.iter().any(of))
        };
        let is_momentary = |series: &str| OF_THE_MOMENT.iter().any(|family| series.starts_with(family));
        let mut differences = Vec::new();
        for (series, value) in self.always.iter().filter(|(series, _)| !is_own(series)) {
            match page.get(series) {
                None if is_momentary(series) => (),
                None => differences.push(format!("- {series}")),
                Some(now) if self.stays.contains(series) && is_another(series, value, now) && !is_momentary(series) => {
                    differences.push(format!("~ {series}: {value} -> {now}"));
                }
                _ => (),
            }
        }
        let is_new = |series: &&String| !self.ever.contains(*series) && !is_momentary(series) && !is_own(series);
        differences.extend(page.keys().filter(is_new).map(|series| format!("+ {series}")));
        differences
    }
}

/// A value that differs, but for a counter that has gone on.
fn is_another(series: &str, before: &str, now: &str) -> bool {
    let number = |text: &str| text.parse::<f64>().unwrap_or(f64::NAN);
    let counts = series.split('{').next().is_some_and(|name| name.ends_with("_total"));
    before != now && !(counts && number(now) > number(before))
}

/// Rounds of changes: one value of every setting at a time.
fn rounds(changes: &[(String, String)]) -> Vec<Vec<(String, String)>> {
    let mut rounds: Vec<Vec<(String, String)>> = Vec::new();
    for change in changes {
        match rounds.iter_mut().find(|round| round.iter().all(|(name, _)| *name != change.0)) {
            Some(round) => round.push(change.clone()),
            None => rounds.push(vec![change.clone()]),
        }
    }
    rounds
}

/// In the long form on a few versions: it takes minutes for each.
fn versions() -> Vec<u32> {
    majors_where(|major| !is_long() || [13, 15, 18].contains(&major))
}

#[test]
fn p23_no_setting_changes_what_a_page_says() {
    for major in versions() {
        let world = World::new(major);
        let control = |pages: &mut Vec<Samples>| {
            world.set("pgvigil", &[]);
            pages.push(world.look());
        };
        let mut pages = Vec::new();
        (0..3).for_each(|_| control(&mut pages));
        let (changes, mut wrong) = (world.changes(), String::new());
        assert!(changes.len() > 200, "{major}: {changes:?}");
        let singly = || changes.iter().map(|change| vec![change.clone()]).collect();
        for round in if is_long() { singly() } else { rounds(&changes) } {
            // What differs by chance does not differ again, nor only with the change.
            let mut found = Vec::new();
            for _ in 0..3 {
                world.set("pgvigil", &round);
                found = Known::of(&pages).differences(&world.look(), &round);
                if found.is_empty() {
                    break;
                }
                control(&mut pages);
            }
            if !found.is_empty() {
                _ = writeln!(wrong, "{round:?}: {:#?}", &found[..found.len().min(12)]);
            }
        }
        assert!(wrong.is_empty(), "PostgreSQL {major}:\n{wrong}");
    }
}

/// Serializable and deferrable by default, with a writer under way: a replica refuses every statement of such a transaction, and a primary
/// lets it wait until no writer is left.
#[test]
fn p23_a_default_of_serializable_and_deferrable_keeps_nobody_waiting() {
    for major in versions() {
        let world = World::new(major);
        let defaults = "ALTER SYSTEM SET default_transaction_isolation = serializable; ALTER SYSTEM SET default_transaction_deferrable = on; \
                        SELECT pg_reload_conf()";
        [&world.primary, &world.replica].iter().for_each(|server| drop(server.sql("postgres", defaults)));
        let mut writer = world.primary.session("postgres");
        writer.run("BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT count(*) FROM child; INSERT INTO child VALUES (1);");
        let page = world.look();
        for target in ["primary", "replica", "pooled"] {
            let up = page.get(&format!("pg_up{{target=\"{target}\"}}"));
            assert_eq!(up.map(String::as_str), Some("1"), "PostgreSQL {major}: {target}");
        }
    }
}

/// What the probe feels is what applications feel that say nothing of their own; so it must not fail where they need not.
#[test]
fn p23_no_setting_makes_the_probe_fail() {
    for major in versions() {
        let world = World::new(major);
        let url = |server: &Postgres| server.url("pgvigil_probe", "postgres");
        let settings = format!(
            "targets:\n  - name: way\n    probe:\n      primary: {{url: \"{}\"}}\n      paths: [{{direct: {{}}}}, {{pgbouncer: {{port: {}}}}}, \
             {{name: replica, replica: {{port: {}}}}}]\n",
            url(&world.primary),
            world.pooler.port(),
            world.replica.port()
        );
        let file = world.folder.write("probe.yaml", &settings);
        let (folder, port) = (world.primary.socket_dir().display(), world.primary.port());
        let admin = format!("postgresql:///postgres?host={folder}&port={port}&user=postgres");
        let probe = |arguments: &[&str]| {
            let mut command = Command::new(BINARY);
            command.arg("probe").arg("--config").arg(&file).args(arguments).env_clear();
            command.env("PGVIGIL_PROBE_ADMIN_URL", &admin).output().expect("running pgvigil")
        };
        world.primary.sql("postgres", "ALTER ROLE pgvigil_probe RESET ALL");
        let made = probe(&["--install"]);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut wrong = String::new();
        let mut changes = world.changes();
        changes.retain(|(name, _)| !FELT.iter().any(|felt| name.starts_with(felt)));
        for round in rounds(&changes) {
            world.set("pgvigil_probe", &round);
            let told = probe(&["--rounds", "1", "--interval", "1s", "--json"]).stdout;
            let told: serde_json::Value = serde_json::from_slice(&told).unwrap_or_default();
            let results = told["results"].as_array().cloned().unwrap_or_default();
            // What a busy machine does not come to is not a failure of the setting.
            let failures = results.iter().flat_map(|line| line["failures"].as_array().cloned().unwrap_or_default());
            let failed: Vec<_> = failures.filter(|failure| failure["reason"] != "missed").collect();
            if results.is_empty() || !failed.is_empty() {
                _ = writeln!(wrong, "{round:?}: {failed:#?}");
            }
        }
        assert!(wrong.is_empty(), "PostgreSQL {major}:\n{wrong}");
    }
}
