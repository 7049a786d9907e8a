//! The stack of `make demo`, in some trouble, scraped by a Prometheus that has the shipped rules.

#[path = "../../tools/demo/cache.rs"]
mod cache;
#[path = "../../tools/demo/probe.rs"]
mod probe;
#[path = "../../tools/demo/settings.rs"]
mod settings;
#[path = "../../tools/demo/traffic.rs"]
mod traffic;

use std::{fs, path::Path, time::Duration};

use self::{cache::Cache, traffic::Traffic};
use crate::{
    rules,
    support::{Folder, PgBackRest, PgBouncer, Pgvigil, Postgres, Prometheus, Redis, Session, eventually},
};

const BINARY: &str = env!("CARGO_BIN_EXE_pgvigil");

/// Settings of the servers that are needed for what is done to them.
const CONFIG: [&str; 9] = [
    "track_io_timing = on",
    "track_wal_io_timing = on",
    "pg_stat_statements.track_planning = on",
    "autovacuum_naptime = 1s",
    "archive_timeout = 5s",
    "wal_level = logical",
    "max_prepared_transactions = 2",
    "max_slot_wal_keep_size = 4GB",
    "hot_standby_feedback = on",
];

/// Slow collectors of the server, asked often.
const OFTEN: &str = "backup: {ttl: 5s}, settings: {ttl: 2s}, wal_files: {ttl: 2s}, database_size: {ttl: 2s}, roles: {ttl: 2s}, \
    slow_queries: {ttl: 2s}, statement_histogram: {ttl: 2s}, buffers: {ttl: 2s}, statement_texts: {enabled: true, ttl: 2s}";

/// Alerts that fire at once: which ones does not matter to the boards.
const RULES: &str = r#"{"groups": [{"name": "provoked", "rules": [
    {"alert": "Provoked", "expr": "pg_up == 0", "labels": {"severity": "critical"}},
    {"alert": "Provoked", "expr": "pg_up == 1", "labels": {"severity": "warning"}}]}]}"#;

/// Everything, until it is dropped; what uses a server before the server.
pub struct Stack {
    pub prometheus: Prometheus,
    _pgvigil: Pgvigil,
    _sessions: Vec<Session>,
    _traffic: Traffic,
    _pooler: PgBouncer,
    _caches: (Redis, Cache),
    _replica: Postgres,
    _primary: Postgres,
    _backups: PgBackRest,
    _folder: Folder,
}

impl Stack {
    /// Returns when it has been scraped for some time.
    pub fn start(major: u32) -> Stack {
        let (backups, folder) = (PgBackRest::new(), Folder::new("boards", "TERM"));
        let server = CONFIG.iter().fold(Postgres::builder(major), |server, line| server.config(line));
        // Debian's pgBackRest knows no later version.
        let primary = if major == 15 { backups.archived(server) } else { server }.start();
        if major == 15 {
            backups.create(&primary);
            backups.backup("full");
        }
        let replica = primary.replica();
        traffic::fill(&primary);
        trouble(&primary);
        let pooler = traffic::pooler(&primary);
        let traffic = Traffic::start(&primary, &replica, &pooler);
        let cache = Cache::start();
        let second = cache.redis.replica("");
        let repository = match major {
            15 => settings::repository(&backups, &format!(", verified: {}", backups.config().display())),
            _ => dumps(&folder),
        };
        let probe = probe::holds(&primary, &replica, &cache.redis.url());
        let settings = settings::write(
            &folder,
            &[
                ("primary", "postgres", settings::url(&primary.url("pgvigil", "demo"))),
                ("replica", "postgres", settings::url(&replica.url("pgvigil", "demo"))),
                ("gone", "postgres", settings::url("postgresql://pgvigil@127.0.0.1:1/demo")),
                ("pooler", "pgbouncer", settings::url(&pooler.url("pgvigil", "pgbouncer"))),
                ("cache", "redis", settings::url(&cache.redis.url())),
                ("cache-2", "redis", settings::url(&second.url())),
                ("backups", "backup", repository),
                ("disk", "disk", settings::paths(&[("data", primary.data_dir())])),
                (
                    "probe",
                    "probe",
                    probe.replace("paths: [", "interval: 1s, paths: [{name: gone, replica: {port: 1}}, "),
                ),
            ],
            OFTEN,
        );
        probe::install(&settings, &primary);
        let sessions = sessions(&primary);
        let pgvigil = Pgvigil::start(BINARY, &["--config", &settings.display().to_string()], &[]);
        let prometheus = scraped(&pgvigil, &folder);
        Stack {
            prometheus,
            _pgvigil: pgvigil,
            _sessions: sessions,
            _traffic: traffic,
            _pooler: pooler,
            _caches: (second, cache),
            _replica: replica,
            _primary: primary,
            _backups: backups,
            _folder: folder,
        }
    }
}

/// A repository of plain files.
fn dumps(folder: &Folder) -> String {
    folder.write_earlier("shop.dump", "a backup");
    let pattern = folder.path().join("*.dump");
    format!("{{repositories: [{{name: main, tool: files, pattern: \"{}\"}}]}}", pattern.display())
}

fn trouble(primary: &Postgres) {
    primary.sql("demo", include_str!("trouble.sql"));
    let broken = primary.try_sql("demo", "CREATE UNIQUE INDEX CONCURRENTLY keyless_ten ON keyless (ten)");
    assert!(broken.is_err(), "the index is not broken");
    primary.sql("postgres", "CREATE DATABASE branch");
    let socket = primary.socket_dir().display();
    primary.sql("branch", "CREATE TABLE stock (item bigint PRIMARY KEY, quantity bigint NOT NULL)");
    primary.sql(
        "branch",
        &format!(
            "CREATE SUBSCRIPTION shop CONNECTION 'host={socket} port={} user=postgres dbname=demo' PUBLICATION shop \
             WITH (create_slot = false, copy_data = false)",
            primary.port()
        ),
    );
}

/// What goes on as long as they live: a wait for a lock, a prepared transaction, a COPY, a vacuum, an index being
/// built.
fn sessions(primary: &Postgres) -> Vec<Session> {
    let mut sessions: Vec<_> = (0..6).map(|_| primary.session("demo")).collect();
    sessions[0].run("BEGIN; INSERT INTO scanned VALUES (0, 'prepared'); PREPARE TRANSACTION 'late';");
    sessions[1].run("BEGIN; LOCK TABLE keyless;");
    sessions[2].send("SELECT count(*) FROM keyless;");
    sessions[3].send("COPY bloated FROM STDIN;");
    sessions[4].send("SET vacuum_cost_delay = 100; SET vacuum_cost_limit = 1; VACUUM (DISABLE_PAGE_SKIPPING) orders;");
    sessions[5].send("CREATE INDEX CONCURRENTLY scanned_t ON scanned (t);");
    sessions
}

impl Stack {
    /// Another Prometheus, for which there are so many of this stack: it takes what the first has, under other names.
    pub fn many(&self, copies: usize) -> Prometheus {
        let address = self.prometheus.address();
        let copy = |nth| format!("{{targets: [\"{address}\"], labels: {{copy: \"{nth}\"}}}}");
        let copies: Vec<_> = (0..copies).map(copy).collect();
        let renamed = |label| {
            format!(
                "{{source_labels: [{label}, copy], separator: \";\", regex: \"(.+);(.+)\", target_label: {label}, replacement: \"$1-$2\"}}"
            )
        };
        Prometheus::start(&format!(
            "  - {{job_name: pgvigil, scrape_interval: 15s, scrape_timeout: 15s, metrics_path: /federate, honor_labels: true, \
             params: {{\"match[]\": ['{{job=\"pgvigil\"}}']}}, static_configs: [{}], \
             metric_relabel_configs: [{}, {}, {{regex: copy, action: labeldrop}}]}}",
            copies.join(", "),
            renamed("target"),
            renamed("instance"),
        ))
    }
}

fn scraped(pgvigil: &Pgvigil, folder: &Folder) -> Prometheus {
    let shipped = fs::canonicalize("rules").expect("rules");
    let named = rules::files::trees("rules").into_iter().map(|(file, _)| shipped.join(file));
    let files = named.chain([folder.write("provoked.json", RULES)]);
    let files: Vec<_> = files.map(|path: std::path::PathBuf| Path::display(&path).to_string()).collect();
    let jobs = format!(
        "  - {{job_name: pgvigil, scrape_interval: 2s, scrape_timeout: 2s, static_configs: [{{targets: [\"{}\"]}}]}}\n",
        pgvigil.address()
    );
    let prometheus = Prometheus::start(&format!("{jobs}rule_files: [{}]", files.join(", ")));
    let scrapes = || prometheus.value("count_over_time(pg_up{target=\"replica\"}[5m])").unwrap_or_default();
    eventually(Duration::from_secs(120), "ten scrapes", || scrapes() >= 10.0);
    prometheus
}
