//! compose.yaml and what it mounts: each file is given to the program that will read it, and the servers' to real servers.
//! `scripts/check-compose` starts all of it, where there is Docker.

use std::{
    collections::BTreeMap,
    fs,
    net::TcpStream,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use expect_test::expect_file;
use serde_json::Value;

use super::succeeded;
use crate::{
    rules::files::{OTHERS, tree},
    support::{
        Folder, Postgres, Redis, Stop, eventually, free_port,
        place::{client_program, postgres_program, system_program},
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

fn service(name: &str) -> Value {
    services().into_iter().find(|(other, _)| other == name).unwrap_or_else(|| panic!("no {name}")).1
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
            let mode = fs::metadata(file).expect("it is there").mode();
            assert!(!file.ends_with(".sh") || mode & 0o111 == 0o111, "{name}: {file} cannot be run");
        }
        for port in items(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port}");
        }
    }
    let version = concat!("ghcr.io/pgvigil/pgvigil:", env!("CARGO_PKG_VERSION"));
    assert_eq!(service("pgvigil")["image"], version);
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
    let (replica, _replica) = replica(&primary);
    let (pooler, _pooler) = pooler(&primary);
    let cache = cache();
    let _traffic = traffic(pooler);
    primary.until("shop", "SELECT count(*) > 0 FROM pgbench_history", "t");
    is_healthy("primary", primary.port());
    is_healthy("replica", replica);
    is_healthy("pooler", pooler);
    is_healthy("cache", cache.port());
    let folder = Folder::new("compose", "TERM");
    let at = |port: u16| format!("{{host: 127.0.0.1, port: {port}");
    let settings = read("pgvigil/pgvigil.yaml")
        .replace("{host: primary", &at(primary.port()))
        .replace("{host: replica", &at(replica))
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

/// A copy of it where the user that runs the servers may read, which a checkout need not let him.
fn mounted_password(folder: &Folder) -> String {
    let text = fs::read_to_string(password()).expect("the password");
    folder.write("password", &text).display().to_string()
}

/// As Docker sees it, by the command that compose.yaml has for that.
fn is_healthy(name: &str, port: u16) {
    let service = service(name);
    let check: Vec<_> = items(&service["healthcheck"]["test"]).collect();
    let [_, program, arguments @ ..] = &check[..] else { panic!("{name}: {check:?}") };
    let (program, flag) = match *program {
        "pg_isready" => (client_program(program), "--port"),
        _ => (system_program(program), "-p"),
    };
    let arguments = arguments.iter().filter(|argument| !argument.starts_with("--port="));
    let mut check = Command::new(program);
    check.args([flag, &port.to_string()]).args(arguments).env_clear();
    eventually(Duration::from_secs(20), name, || check.output().is_ok_and(|output| output.status.success()));
}

/// A new server on which is done what the image does with the files that are mounted for it, with the environment that it gives them.
fn primary() -> Postgres {
    let server = Postgres::builder(MAJOR).start();
    server.sql("postgres", "CREATE DATABASE shop");
    let service = service("primary");
    let files = items(&service["volumes"]).filter_map(|volume| volume.split_once(":/docker-entrypoint-initdb.d/"));
    let mut files: Vec<_> = files.map(|(file, name)| (name, file)).collect();
    files.sort_unstable();
    assert_eq!(files.len(), 4);
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
    // The image's server for initialization has ended; who has a password is known by it alone.
    server.stop(Stop::Fast);
    server.start();
    let without = "SELECT string_agg(rolname, ' ') FROM pg_authid WHERE rolcanlogin AND rolpassword IS NULL";
    assert_eq!(server.sql("postgres", without), "");
    server
}

/// A copy of the primary, made by its script over the network; its port, and what keeps it running. Of the image's own programs the one that
/// changes the user does nothing, since the folder's user runs this, and the entrypoint does what it does where there is data.
fn replica(primary: &Postgres) -> (u16, (Folder, Process)) {
    let (folder, port) = (Folder::for_server("replica", "QUIT"), free_port());
    let script = read("postgres/replica.sh")
        .replace("--host primary", &format!("--host 127.0.0.1 --port {}", primary.port()))
        .replace("-o postgres -g postgres ", "")
        .replace("/run/secrets/password", &mounted_password(&folder));
    folder.write("replica.sh", &script);
    let socket = folder.path().display();
    for (name, text) in [
        ("gosu", "shift\nexec \"$@\"".to_owned()),
        ("docker-entrypoint.sh", format!("exec \"$@\" -p {port} -k {socket}")),
    ] {
        let program = folder.write(name, &format!("#!/bin/sh\n{text}\n"));
        fs::set_permissions(program, fs::Permissions::from_mode(0o755)).expect("making it executable");
    }
    let bin = postgres_program(MAJOR, "postgres").parent().expect("a folder").display().to_string();
    let mut bash = folder.logged_command("/bin/bash");
    bash.arg("replica.sh").args(items(&service("replica")["command"])).env("PGDATA", folder.path().join("data"));
    let process = Process::start(bash.env("PATH", format!("{socket}:{bin}:/usr/bin:/bin")));
    primary.until("postgres", "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'", "1");
    (port, (folder, process))
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
    let command = service("cache")["command"].clone();
    let arguments: Vec<_> = items(&command).skip(1).collect();
    Redis::start_in(folder, &redis_programs()[0], &arguments.join(" ").replace("/etc/redis/", ""))
}

/// The clients, by their script, as long as this is kept.
fn traffic(pooler: u16) -> (Folder, Process) {
    let folder = Folder::new("traffic", "TERM");
    let script = read("postgres/traffic.sh")
        .replace("--host pooler --port 6432", &format!("--host 127.0.0.1 --port {pooler}"))
        .replace("/run/secrets/password", &mounted_password(&folder));
    folder.write("traffic.sh", &script);
    let bin = client_program("pgbench").parent().expect("a folder").display().to_string();
    let mut bash = folder.logged_command("/bin/bash");
    let process = Process::start(bash.arg("traffic.sh").env("PATH", format!("{bin}:/usr/bin:/bin")));
    (folder, process)
}
