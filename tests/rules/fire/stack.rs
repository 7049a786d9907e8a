//! The whole of it: servers, a pooler, caches, backups and a disk; pgvigil on them, Prometheus with the shipped rules, Alertmanager with
//! the example's routes, and a webhook at the end.

use std::{collections::BTreeMap, env, path::Path, sync::Mutex};

use pgvigil::collector::{Scope, catalogue::Catalogue};
use serde_json::{Map, Value, json};

use super::{
    super::files::{tree, trees},
    round::Round,
    shorter,
    webhook::Webhook,
};
use crate::support::{
    Folder, Generation, PgBackRest, PgBouncer, Pgvigil, Postgres, Prometheus, Redis, alertmanager::Alertmanager, psql,
};

const BINARY: &str = env!("CARGO_BIN_EXE_pgvigil");

/// One scrape each 2 s: in the shortest range, 5 s, are two at least.
const JOB: &str = "job_name: pgvigil, scrape_interval: 2s, scrape_timeout: 2s";

/// Dropped from the first field on: who watches goes before who is watched.
pub struct Stack {
    pub prometheus: Prometheus,
    pub pgvigil: Pgvigil,
    pub alertmanager: Alertmanager,
    pub webhook: Webhook,
    pub watched: Watched,
    /// With pgvigil's settings, the rules, and what a round writes there.
    pub folder: Folder,
}

/// The targets, by their names.
#[derive(Default)]
pub struct Watched {
    pub pooler: Option<Mutex<PgBouncer>>,
    pub servers: BTreeMap<String, Postgres>,
    pub caches: BTreeMap<String, Redis>,
    pub repository: Option<PgBackRest>,
}

impl Stack {
    pub fn start(round: &Round, major: u32, generation: Generation) -> Stack {
        let folder = Folder::new("fire", "TERM");
        let watched = Watched::start(round, major);
        let webhook = Webhook::start();
        let routes = shorter::routes(tree(Path::new("rules/alertmanager.yaml")), &webhook.url());
        let alertmanager = Alertmanager::start(&routes);
        let names = watched.names(&folder);
        write_own(&folder, round);
        let file = folder.write("pgvigil.json", &put(&settings(round, &watched).to_string(), &names));
        let own = folder.path().join("own").display().to_string();
        let path = env::var("PATH").unwrap_or_default();
        let program = program(&folder, round);
        let args = ["--config", &file.display().to_string(), "--collectors", &own];
        let pgvigil = Pgvigil::start(program, &args, &[("PATH", &path)]);
        let prometheus = prometheus(generation, &folder, round, &pgvigil, &alertmanager);
        Stack { prometheus, pgvigil, alertmanager, webhook, watched, folder }
    }

    /// A text with `${NAME}` replaced by what the name stands for.
    pub fn put(&self, text: &str) -> String {
        let mut names = self.watched.names(&self.folder);
        names.insert("PGVIGIL_PID".to_owned(), self.pgvigil.pid().to_string());
        put(text, &names)
    }
}

impl Watched {
    fn start(round: &Round, major: u32) -> Watched {
        let has = |part: &str| round.parts.iter().any(|other| other == part);
        let mut watched = Watched::default();
        if has("primary") {
            watched.servers(round, major);
        }
        if let Some(primary) = watched.servers.get("primary").filter(|_| has("pooler")) {
            let (databases, lines): (Vec<_>, Vec<_>) = round.pooler.iter().partition(|entry| entry.contains(": "));
            let entry = |entry: &&String| {
                let (name, rest) = entry.split_once(": ").expect("a name and settings");
                format!("{name} = host=127.0.0.1 port={} dbname=shop {rest}\n", primary.port())
            };
            let databases: String = databases.iter().map(entry).collect();
            let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
            let pooler = PgBouncer::start(primary, "transaction", &format!("{lines}[databases]\n{databases}"));
            watched.pooler = Some(Mutex::new(pooler));
        }
        if has("cache") {
            let cache = Redis::start("--enable-debug-command yes --repl-diskless-sync-delay 0 --repl-timeout 600");
            if has("cache-replica") {
                watched.caches.insert("cache-replica".to_owned(), cache.replica(""));
            }
            watched.caches.insert("cache".to_owned(), cache);
        }
        for part in round.parts.iter().filter(|part| part.starts_with("node-")) {
            let node = Redis::start("--cluster-enabled yes --cluster-node-timeout 1000");
            watched.caches.insert(part.clone(), node);
        }
        watched
    }

    fn servers(&mut self, round: &Round, major: u32) {
        let has = |part: &str| round.parts.iter().any(|other| other == part);
        // A client that goes is noticed whatever its statement does.
        let notice = if major < 14 { "" } else { "client_connection_check_interval = 100ms\n" };
        let lines = format!("{notice}{}", round.server);
        let builder = || lines.lines().fold(Postgres::builder(major), |builder, line| builder.config(line));
        let repository = has("backups").then(PgBackRest::new);
        let primary = match &repository {
            Some(repository) => repository.archived(builder()).start(),
            None => builder().start(),
        };
        if let Some(repository) = &repository {
            repository.create(&primary);
        }
        furnish(&primary);
        if has("replica") {
            self.servers.insert("replica".to_owned(), primary.replica());
        }
        if has("subscriber") {
            let subscriber = builder().start();
            furnish(&subscriber);
            self.servers.insert("subscriber".to_owned(), subscriber);
        }
        self.servers.insert("primary".to_owned(), primary);
        self.repository = repository;
    }

    /// How psql gets to `[USER@]PART[/DATABASE]`: by default the superuser, in the database `postgres`.
    pub fn psql(&self, on: &str) -> impl Fn() -> std::process::Command + Send + 'static {
        let (user, rest) = on.split_once('@').unwrap_or(("postgres", on));
        let (part, db) = rest.split_once('/').unwrap_or((rest, "postgres"));
        let (host, port) = match (self.servers.get(part), &self.pooler) {
            // Over the socket nobody needs a password, and over TCP everybody.
            (Some(server), _) if user == "postgres" => (server.socket_dir().display().to_string(), server.port()),
            (Some(server), _) => ("127.0.0.1".to_owned(), server.port()),
            (None, Some(pooler)) if part == "pooler" => {
                ("127.0.0.1".to_owned(), pooler.lock().expect("no panic").port())
            }
            _ => panic!("{on}: there is no such part"),
        };
        let (user, db) = (user.to_owned(), db.to_owned());
        move || psql::psql(&host, port, &user, &db)
    }

    /// What `${NAME}` stands for.
    fn names(&self, folder: &Folder) -> BTreeMap<String, String> {
        let mut names = BTreeMap::from([("FOLDER".to_owned(), folder.path().display().to_string())]);
        names.insert("PGVIGIL".to_owned(), BINARY.to_owned());
        let mut add = |part: &str, what: &str, value: String| {
            names.insert(format!("{}_{what}", part.to_uppercase().replace('-', "_")), value);
        };
        for (part, server) in &self.servers {
            add(part, "PORT", server.port().to_string());
            add(part, "URL", server.url("pgvigil_probe", "shop"));
            add(part, "ADMIN", server.url("postgres", ""));
            add(part, "DATA", server.data_dir().display().to_string());
            add(part, "SOCKET", server.socket_dir().display().to_string());
        }
        for (part, cache) in &self.caches {
            add(part, "PORT", cache.port().to_string());
            add(part, "URL", cache.url());
            add(part, "SOCKET", cache.socket().display().to_string());
            add(part, "FOLDER", cache.folder().path().display().to_string());
        }
        if let Some(pooler) = &self.pooler {
            add("pooler", "URL", pooler.lock().expect("no panic").url("pgvigil_probe", "way"));
        }
        if let Some(repository) = &self.repository {
            add("pgbackrest", "CONFIG", repository.config().display().to_string());
            add("pgbackrest", "ARCHIVE", repository.archive().display().to_string());
        }
        names
    }
}

/// What is on every server: our roles, one of an application, and its database.
fn furnish(server: &Postgres) {
    server.create_monitor_role();
    server.create_role("app", "");
    server.sql("postgres", "CREATE DATABASE shop OWNER app");
}

pub fn put(text: &str, names: &BTreeMap<String, String>) -> String {
    names.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("${{{name}}}"), value))
}

fn write_own(folder: &Folder, round: &Round) {
    std::fs::create_dir(folder.path().join("own")).expect("a folder");
    for (name, text) in &round.own {
        folder.write(&format!("own/{name}.yaml"), text);
    }
}

/// pgvigil; where there is a disk, in a namespace of its own with a small filesystem, which is gone with it.
fn program(folder: &Folder, round: &Round) -> std::path::PathBuf {
    if !round.parts.iter().any(|part| part == "disk") {
        return BINARY.into();
    }
    std::fs::create_dir(folder.path().join("disk")).expect("a folder");
    let at = folder.path().join("disk");
    let mount = format!("mount -t tmpfs -o size=16m,nr_inodes=1000 none {} && exec \"$0\" \"$@\"", at.display());
    let script = format!("#!/bin/sh\nexec unshare --user --map-root-user --mount sh -c '{mount}' {BINARY} \"$@\"\n");
    let file = folder.write("pgvigil.sh", &script);
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("permissions");
    file
}

/// Results are never older than they must be.
fn settings(round: &Round, watched: &Watched) -> Value {
    let mut targets = Vec::new();
    let mut add = |name: &str, key: &str, what: Value| {
        let mut target = json!({"name": name, key: what});
        if !["subscriber", "disk"].contains(&name) {
            target["labels"] = json!({"cluster": "shop"});
        }
        let mut thresholds = round.thresholds.clone();
        if key == "postgres" {
            // Where the backups of the servers are is not what rounds are about.
            thresholds["backups_elsewhere"] = json!({"warning": 1});
        }
        if thresholds.is_object() {
            target["thresholds"] = thresholds;
        }
        targets.push(target);
    };
    for (name, server) in &watched.servers {
        add(name, "postgres", json!({"url": server.url("pgvigil", "postgres")}));
    }
    if let Some(pooler) = &watched.pooler {
        add("pooler", "pgbouncer", json!({"url": pooler.lock().expect("no panic").url("pgvigil", "pgbouncer")}));
    }
    for (name, cache) in &watched.caches {
        add(name, "redis", json!({"url": cache.url()}));
    }
    if round.repositories.is_array() {
        add("backups", "backup", json!({"repositories": round.repositories}));
    }
    if round.disks.is_array() {
        add("disk", "disk", json!({"paths": round.disks}));
    }
    if round.probe.is_object() {
        add("way", "probe", round.probe.clone());
    }
    json!({"targets": targets, "collectors": paces("1s")})
}

/// All slow collectors, asked as often as may be.
pub fn paces(often: &str) -> Map<String, Value> {
    let catalogue = Catalogue::load(None).unwrap_or_else(|problems| panic!("{problems}"));
    let slow = catalogue.collectors.iter().filter(|collector| !collector.ttl.is_zero());
    let pace = |scope| if scope == Scope::Database { "60s" } else { often };
    slow.map(|collector| (collector.name.clone(), json!({"ttl": pace(collector.scope)}))).collect()
}

fn prometheus(
    generation: Generation,
    folder: &Folder,
    round: &Round,
    pgvigil: &Pgvigil,
    alertmanager: &Alertmanager,
) -> Prometheus {
    let write = |(file, root): (String, Value)| folder.write(&file, &shorter::rules(root, round.factor).to_string());
    let files: Vec<_> = trees("rules").into_iter().map(write).map(|path| path.display().to_string()).collect();
    // How long a series without an end is believed: 5 minutes, on our clock and a little more for busy machines.
    let config = format!(
        "  - {{{JOB}, static_configs: [{{targets: [\"{}\"]}}]}}\nrule_files: [{}]\n\
         alerting: {{alertmanagers: [{{static_configs: [{{targets: [\"{}\"]}}]}}]}}",
        pgvigil.address(),
        files.join(", "),
        alertmanager.address()
    );
    Prometheus::start_with(generation, &["--query.lookback-delta=10s"], &config)
}
