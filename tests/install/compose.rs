//! compose.yaml and what it mounts: each file is given to the program that will read it, and the servers' to real servers.

use std::{
    collections::BTreeMap,
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use expect_test::expect_file;
use serde_json::Value;

use super::succeeded;
use crate::{
    rules::files::{OTHERS, tree},
    support::{
        Folder, Postgres, Redis, eventually, free_port,
        place::{client_program, system_program},
        process::Process,
        redis_programs,
    },
};

const BINARY: &str = env!("CARGO_BIN_EXE_pgvigil");
const DEPLOY: &str = "deploy/compose";

/// PostgreSQL's version here; the image's is newer, and nothing of ours depends on it.
const MAJOR: u32 = 15;

fn services() -> Vec<(String, Value)> {
    let compose = tree(Path::new("compose.yaml"));
    compose["services"].as_object().cloned().expect("services").into_iter().collect()
}

fn items(value: &Value) -> impl Iterator<Item = &str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str)
}

fn read(name: &str) -> String {
    let path = Path::new(DEPLOY).join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn whom_others_wait_for_says_when_it_is_healthy() {
    let services = services();
    let image = fs::read_to_string("Dockerfile").expect("Dockerfile");
    let is_told = |name: &str| {
        let service = &services.iter().find(|(other, _)| other == name).unwrap_or_else(|| panic!("no {name}")).1;
        service.get("healthcheck").is_some() || service["build"] == "." && image.contains("\nHEALTHCHECK ")
    };
    let mut waits = 0;
    for (name, service) in &services {
        for (other, how) in service["depends_on"].as_object().into_iter().flatten() {
            assert!(how["condition"] == "service_healthy" && is_told(other), "{name} waits for {other}");
            waits += 1;
        }
    }
    assert!(waits > 8, "{waits}");
}

#[test]
fn what_is_mounted_is_there_and_nothing_is_open_to_others() {
    for (name, service) in services() {
        for volume in items(&service["volumes"]).filter(|volume| volume.starts_with('.')) {
            let file = volume.split(':').next().expect("a file");
            assert!(Path::new(file).exists(), "{name}: {file}");
            assert!(volume.ends_with(":ro"), "{name}: {volume}");
        }
        for port in items(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port}");
        }
    }
    let version = concat!("ghcr.io/pgvigil/pgvigil:", env!("CARGO_PKG_VERSION"));
    let pgvigil = services().into_iter().find(|(name, _)| name == "pgvigil").expect("pgvigil").1;
    assert_eq!(pgvigil["image"], version);
}

/// One password, the demonstration's, which no other file has.
#[test]
fn the_password_is_the_demonstrations() {
    let password = read("password");
    assert_eq!(password, "demo");
    let users = read("pgbouncer/users.txt");
    assert!(users.lines().all(|line| line.ends_with(&format!("\" \"{password}\""))), "{users}");
    assert!(read("redis/users.acl").contains(&format!("user pgvigil on >{password} ")));
    for name in ["pgvigil/pgvigil.yaml", "postgres/primary.sh", "postgres/replica.sh", "postgres/traffic.sh"] {
        assert!(!read(name).contains(&password), "{name}");
    }
}

/// `UPDATE_EXPECT=1 cargo test compose` writes what follows from `rules/` into these two files.
#[test]
fn prometheus_has_every_rule_file_and_alertmanager_every_inhibition() {
    let entries = fs::read_dir("rules").expect("rules/").map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<_> = entries.map(|name| name.into_string().expect("UTF-8")).collect();
    names.retain(|name| !OTHERS.contains(&name.as_str()));
    names.sort();
    let before = read("prometheus/prometheus.yml");
    let (head, rest) = before.split_once("\nrule_files:\n").expect("rule_files");
    let (_, tail) = rest.split_once("\nalerting:\n").expect("alerting");
    let list: Vec<_> = names.iter().map(|name| format!("  - /etc/prometheus/rules/{name}")).collect();
    let after = format!("{head}\nrule_files:\n{}\nalerting:\n{tail}", list.join("\n"));
    expect_file!["../../deploy/compose/prometheus/prometheus.yml"].assert_eq(&after);

    let rules = fs::read_to_string("rules/alertmanager.yaml").expect("rules/alertmanager.yaml");
    let inhibit = &rules[rules.find("inhibit_rules:").expect("inhibitions")..];
    let before = read("alertmanager/alertmanager.yml");
    let head = &before[..before.find("inhibit_rules:").expect("inhibitions")];
    expect_file!["../../deploy/compose/alertmanager/alertmanager.yml"].assert_eq(&format!("{head}{inhibit}"));
}

#[test]
fn prometheus_and_alertmanager_take_their_files() {
    let folder = Folder::new("compose", "TERM");
    let rules = fs::canonicalize("rules").expect("rules/");
    let config = read("prometheus/prometheus.yml").replace("/etc/prometheus/rules", &rules.display().to_string());
    let config = folder.write("prometheus.yml", &config);
    succeeded(Command::new(system_program("promtool")).args(["check", "config"]).arg(config));
    let alertmanager = Path::new(DEPLOY).join("alertmanager/alertmanager.yml");
    succeeded(Command::new(system_program("amtool")).arg("check-config").arg(alertmanager));
}

/// All but Grafana and the containers themselves: the servers as compose.yaml makes them, and pgvigil with its settings.
#[test]
fn pgvigil_sees_all_of_it() {
    let primary = primary();
    let replica = primary.replica();
    let (pooler, _pooler) = pooler(&primary);
    let cache = cache();
    customers(pooler);
    let folder = Folder::new("compose", "TERM");
    let at = |port: u16| format!("{{host: 127.0.0.1, port: {port}");
    let settings = read("pgvigil/pgvigil.yaml")
        .replace("{host: primary", &at(primary.port()))
        .replace("{host: replica", &at(replica.port()))
        .replace("{host: pooler", &at(pooler))
        .replace("{host: cache", &at(cache.port()))
        .replace("/run/secrets/password", &password().display().to_string());
    let settings = folder.write("pgvigil.yaml", &settings);
    let output = succeeded(Command::new(BINARY).args(["check", "--connect", "--config"]).arg(settings).env_clear());
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("targets: 5") && !said.contains("FAILED"), "{said}");
    for line in ["primary: PostgreSQL 15, primary", "replica: PostgreSQL 15, replica", "on         slow_queries"] {
        assert!(said.contains(line), "{line}\n{said}");
    }
}

fn password() -> PathBuf {
    fs::canonicalize(Path::new(DEPLOY).join("password")).expect("the password")
}

/// A new server on which is done what the image does with the files that are mounted for it, with the environment that it gives them.
fn primary() -> Postgres {
    let server = Postgres::builder(MAJOR).start();
    server.sql("postgres", "CREATE DATABASE shop");
    let (_, service) = services().into_iter().find(|(name, _)| name == "primary").expect("primary");
    let files = items(&service["volumes"]).filter_map(|volume| volume.split_once(":/docker-entrypoint-initdb.d/"));
    let mut files: Vec<_> = files.map(|(file, name)| (name, file)).collect();
    files.sort_unstable();
    assert_eq!(files.len(), 3);
    let environment = environment(&service);
    let bin = client_program("psql").parent().expect("a folder").display().to_string();
    for (_, file) in files {
        let mut command = match file.ends_with(".sql") {
            true => {
                let mut psql = Command::new(client_program("psql"));
                psql.args(["-v", "ON_ERROR_STOP=1", "--username", "postgres", "--no-password", "--no-psqlrc"]);
                psql.args(["--dbname", &environment["POSTGRES_DB"], "-f", file]);
                psql
            }
            false => Command::new(file),
        };
        command.env_clear().envs(&environment);
        command.env("PATH", format!("{bin}:{}", std::env::var("PATH").unwrap_or_default()));
        command.env("PGHOST", server.socket_dir()).env("PGPORT", server.port().to_string());
        succeeded(command.env("PGDATA", server.data_dir()));
    }
    server
}

/// As docker-entrypoint.sh of the image leaves it: of `NAME_FILE` only NAME is left, with what is in the file.
fn environment(service: &Value) -> BTreeMap<String, String> {
    let given = service["environment"].as_object().expect("an environment");
    let mut environment = BTreeMap::from([("POSTGRES_USER".to_owned(), "postgres".to_owned())]);
    for (name, value) in given {
        let value = value.as_str().expect("text");
        match name.strip_suffix("_FILE") {
            Some(name) => {
                let file = value.strip_prefix("/run/secrets/").expect("a secret");
                let secret = tree(Path::new("compose.yaml"))["secrets"][file]["file"].as_str().map(fs::read_to_string);
                let secret = secret.expect("it has a file").expect("the file is there");
                environment.insert(name.to_owned(), secret.trim_end_matches('\n').to_owned());
            }
            None => _ = environment.insert(name.clone(), value.to_owned()),
        }
    }
    environment.insert("PGPASSWORD".to_owned(), environment["POSTGRES_PASSWORD"].clone());
    environment
}

/// Its port, and what keeps it running.
fn pooler(server: &Postgres) -> (u16, (Folder, Process)) {
    let (folder, port) = (Folder::for_server("pooler", "TERM"), free_port());
    folder.write("users.txt", &read("pgbouncer/users.txt"));
    let config = read("pgbouncer/pgbouncer.ini")
        .replace("host=primary", &format!("host=127.0.0.1 port={}", server.port()))
        .replace("listen_port = 6432", &format!("listen_port = {port}"))
        .replace("/etc/pgbouncer/", "");
    folder.write("pgbouncer.ini", &config);
    let process = Process::start(folder.logged_command(system_program("pgbouncer")).arg("pgbouncer.ini"));
    eventually(Duration::from_secs(20), "the pooler listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    (port, (folder, process))
}

fn cache() -> Redis {
    let folder = Folder::for_server("cache", "TERM");
    folder.write("users.acl", &read("redis/users.acl"));
    Redis::start_in(folder, &redis_programs()[0], "--aclfile users.acl --maxmemory 64mb --maxmemory-policy allkeys-lru")
}

/// A few of the transactions of traffic.sh.
fn customers(pooler: u16) {
    let mut pgbench = Command::new(client_program("pgbench"));
    pgbench.args(["--host=127.0.0.1", &format!("--port={pooler}"), "--username=shop", "--no-vacuum", "--client=2"]);
    let output: Output = succeeded(pgbench.args(["--transactions=5", "shop"]).env("PGPASSWORD", read("password")));
    assert!(String::from_utf8_lossy(&output.stdout).contains("10/10"), "{output:?}");
}
