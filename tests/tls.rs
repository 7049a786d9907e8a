//! TLS towards PostgreSQL: every `sslmode`, with right and wrong certificates, on a real server.

use std::{fs, process::Command};

use crate::support::{Folder, Postgres};

const BINARY: &str = env!("CARGO_BIN_EXE_pgvigil");

/// Two authorities, a server's certificate for `localhost` and a client's for the role pgvigil, both by the first.
pub fn certificates() -> Folder {
    let folder = Folder::for_server("tls", "TERM");
    let openssl = |arguments: &str| {
        let output = folder.command("openssl").args(arguments.split(' ')).output().expect("running openssl");
        assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    };
    for authority in ["ca", "other"] {
        openssl(&format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN={authority} -keyout {authority}.key -out {authority}.crt"
        ));
    }
    for (name, subject) in [("server", "localhost"), ("client", "pgvigil")] {
        folder.write(&format!("{name}.ext"), &format!("subjectAltName=DNS:{subject}\n"));
        openssl(&format!(
            "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN={subject} -keyout {name}.key -out {name}.csr"
        ));
        openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile {name}.ext -out {name}.crt"
        ));
    }
    folder
}

/// Scrapes once with these parameters behind the URL; what the page says is wrong, if the server is down.
fn reason(url: &str, parameters: &str) -> Option<String> {
    let mut command = Command::new(BINARY);
    command.args(["scrape", "--collector", "exporter", "--log-level", "off"]).env_clear();
    let output = command.env("PGVIGIL_POSTGRES_URL", format!("{url}?{parameters}")).output().expect("running pgvigil");
    let page = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(page.contains("pg_up{"), "{parameters}: {}", String::from_utf8_lossy(&output.stderr));
    let line = page.lines().find(|line| line.starts_with("pgvigil_target_down{"));
    line.and_then(|line| Some(line.split_once("reason=\"")?.1.split('"').next()?.to_owned()))
}

/// Scrapes once with these parameters behind the URL: how far the server is verified, by the page's own word, or why it is down. A
/// server that is up, but not by TLS, counts as down.
pub fn seen(url: &str, parameters: &str) -> Result<String, String> {
    seen_each(url, &[parameters.to_owned()]).remove(0)
}

/// The same with each of these parameters, as targets of one pgvigil.
pub fn seen_each(url: &str, parameters: &[String]) -> Vec<Result<String, String>> {
    let folder = Folder::new("tls", "TERM");
    let target = |(nth, own): (usize, &String)| format!("  - {{name: t{nth}, postgres: {{url: \"{url}?{own}\"}}}}\n");
    let targets: String = parameters.iter().enumerate().map(target).collect();
    let file = folder.write("pgvigil.yaml", &format!("targets:\n{targets}"));
    let mut command = Command::new(BINARY);
    command.args(["scrape", "--collector", "exporter", "--log-level", "warn", "--config"]).arg(file).env_clear();
    let output = command.output().expect("running pgvigil");
    let (page, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let seen = |nth| {
        let of = format!("target=\"t{nth}\"");
        let line = page.lines().find(|line| line.starts_with("pgvigil_login_info{") && line.contains(&of));
        let line = line.filter(|_| page.contains(&format!("pg_up{{{of}}} 1")));
        let tls = line.and_then(|line| Some(line.split_once("tls=\"")?.1.split('"').next()?.to_owned()));
        let is_of_it = |line: &&str| line.contains(&of) || !line.contains("target=");
        let told = || log.lines().filter(is_of_it).collect::<Vec<_>>().join("\n");
        tls.filter(|tls| tls != "none").ok_or_else(told)
    };
    (0..parameters.len()).map(seen).collect()
}

#[test]
fn p21_each_sslmode_believes_what_it_should() {
    let files = certificates();
    let path = |name: &str| files.path().join(name).display().to_string();
    let plain = Postgres::builder(15).start();
    let server = Postgres::builder(15)
        .config("ssl = on")
        .config(&format!("ssl_cert_file = '{}'", path("server.crt")))
        .config(&format!("ssl_key_file = '{}'", path("server.key")))
        .config(&format!("ssl_ca_file = '{}'", path("ca.crt")))
        .start();
    for server in [&plain, &server] {
        server.create_monitor_role();
    }
    let by_address = |server: &Postgres| server.url("pgvigil", "postgres");
    let by_name = |server: &Postgres| by_address(server).replace("@127.0.0.1:", "@localhost:");
    let (ca, other) = (path("ca.crt"), path("other.crt"));
    for (url, parameters, expected) in [
        (by_address(&server), "sslmode=disable".into(), None),
        (by_address(&server), "sslmode=prefer".into(), None),
        (by_address(&server), "sslmode=require".into(), None),
        (by_address(&server), format!("sslmode=require&sslrootcert={ca}"), None),
        (by_address(&server), format!("sslmode=require&sslrootcert={other}"), Some("tls")),
        (by_address(&server), format!("sslmode=verify-ca&sslrootcert={ca}"), None),
        (by_address(&server), format!("sslmode=verify-ca&sslrootcert={other}"), Some("tls")),
        (by_address(&server), format!("sslmode=verify-full&sslrootcert={ca}"), Some("tls")),
        (by_name(&server), format!("sslmode=verify-full&sslrootcert={ca}"), None),
        (by_name(&server), format!("sslmode=verify-full&sslrootcert={other}"), Some("tls")),
        (by_name(&server), "sslmode=verify-full&sslrootcert=/nowhere.crt".into(), Some("tls")),
        (by_address(&plain), "sslmode=prefer".into(), None),
        (by_address(&plain), "sslmode=require".into(), Some("tls")),
        (by_name(&plain), format!("sslmode=verify-full&sslrootcert={ca}"), Some("tls")),
    ] {
        assert_eq!(reason(&url, &parameters).as_deref(), expected, "{parameters}");
    }
    // With a certificate asked for, only the client's own opens.
    fs::write(server.data_dir().join("pg_hba.conf"), "hostssl all all all cert\nlocal all all trust\n")
        .expect("pg_hba.conf");
    server.sql("postgres", "SELECT pg_reload_conf()");
    let own = format!("&sslcert={}&sslkey={}", path("client.crt"), path("client.key"));
    let certified = format!("sslmode=verify-full&sslrootcert={ca}");
    assert_ne!(reason(&by_name(&server), &certified), None);
    assert_eq!(reason(&by_name(&server), &(certified + &own)), None);
    assert_eq!(reason(&by_address(&server), "sslmode=disable").as_deref(), Some("authentication"));
}

#[test]
fn prefer_is_encrypted_where_it_can_be() {
    let files = certificates();
    let server = Postgres::builder(15)
        .config("ssl = on")
        .config(&format!("ssl_cert_file = '{}'", files.path().join("server.crt").display()))
        .config(&format!("ssl_key_file = '{}'", files.path().join("server.key").display()))
        .start();
    server.create_monitor_role();
    let pgvigil = crate::support::Pgvigil::start(BINARY, &[], &[("DATABASE_URL", &server.url("pgvigil", "postgres"))]);
    pgvigil.scrape();
    let encrypted = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'pgvigil'";
    assert_eq!(server.sql("postgres", encrypted), "t");
}

#[test]
fn a_probe_sees_the_handshake_and_when_the_certificate_ends() {
    let files = certificates();
    let server = Postgres::builder(15)
        .config("ssl = on")
        .config(&format!("ssl_cert_file = '{}'", files.path().join("server.crt").display()))
        .config(&format!("ssl_key_file = '{}'", files.path().join("server.key").display()))
        .start();
    server.create_role("pgvigil_probe", "");
    let url = server.url("pgvigil_probe", "postgres") + "?sslmode=require";
    let pgvigil = crate::support::Pgvigil::start(BINARY, &[], &[("PGVIGIL_PROBE_URL", &url)]);
    let mut page = String::new();
    let shakes = [("path", "direct"), ("phase", "tls")];
    crate::support::eventually(std::time::Duration::from_secs(20), "a handshake", || {
        page = pgvigil.scrape();
        crate::support::sample(&page, "pgvigil_probe_duration_seconds_count", &shakes).is_some_and(|count| count >= 1.0)
    });
    let name = "pgvigil_probe_certificate_expiry_timestamp_seconds";
    let ends = crate::support::sample(&page, name, &[("path", "direct")]).expect("an end");
    let mut asked = files.command("openssl");
    let told = asked.args(["x509", "-enddate", "-noout", "-dateopt", "iso_8601", "-in", "server.crt"]).output();
    let told = String::from_utf8(told.expect("running openssl").stdout).expect("text");
    let told = told.trim().trim_start_matches("notAfter=").replace(' ', "T");
    let told = humantime::parse_rfc3339(&told).unwrap_or_else(|error| panic!("{told}: {error}"));
    let told = told.duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs_f64();
    assert_eq!(ends, told);
}
