//! Every way to log in: passwords, users, databases, sockets, TLS.

use super::*;
use crate::{support::system_program, tls::certificates};

/// Scrapes once; the reason why the server is down, or `None`.
fn down(url: &str) -> Option<String> {
    let mut command = Command::new(BINARY);
    command.args(["scrape", "--collector", "exporter", "--collector", "redis", "--log-level", "off"]).env_clear();
    let output = command.env("REDIS_URL", url).stdin(Stdio::null()).output().expect("running pgvigil");
    let page = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(page.contains("redis_up{"), "{url}: {}", String::from_utf8_lossy(&output.stderr));
    let reason = reason(&page);
    assert_eq!(reason.is_none(), page.contains("\nredis_uptime_in_seconds{"), "{page}");
    reason
}

fn expect(url: &str, reason: Option<&str>) {
    assert_eq!(down(url).as_deref(), reason, "{url}");
}

#[test]
fn passwords_users_databases_and_sockets() {
    let redis = Redis::start("");
    let socket = redis.socket().display().to_string();
    expect(&redis.url(), None);
    expect(&format!("{}/3", redis.url()), None);
    expect(&format!("{}/99", redis.url()), Some("refused"));
    expect(&format!("unix://{socket}?db=2"), None);
    expect(&format!("redis+unix://{socket}"), None);
    expect(&redis.url_as(""), Some("authentication"));
    set_user(&redis, "pgvigil", "+@all");
    expect(&redis.url_as("pgvigil"), None);
    expect(&redis.url().replace("redis://", "redis://pgvigil:wrong@"), Some("authentication"));
    expect(&redis.url().replace("redis://", "redis://pgvigil@"), Some("authentication"));
    assert_eq!(redis.run(&format!("CONFIG SET requirepass {}", quoted(""))), "OK");
    expect(&redis.url(), Some("authentication"));
    expect(&redis.url_as(""), None);
    expect(&redis.url_as("default"), None);
    expect(&redis.url_as("nobody"), Some("authentication"));
    let user_and_socket = redis.url_as("pgvigil").replace("redis://", "unix://");
    let (login, _) = user_and_socket.split_once("@127").expect("a login");
    expect(&format!("{login}@{socket}"), None);
    expect("redis://127.0.0.1:1", Some("unreachable"));
    expect("unix:///nowhere/redis.sock", Some("unreachable"));
}

#[test]
fn the_password_is_told_nowhere() {
    let token = "Tok3nOfThisTest";
    let redis = Redis::start(&format!("--requirepass {token} --rename-command AUTH hidden"));
    let port = redis.port();
    let folder = crate::support::Folder::new("secrets", "TERM");
    let file = folder.write("password", &format!("{token}\n")).display().to_string();
    let settings = |keys: String| format!("targets: [{{name: a, redis: {{{keys}}}}}]\n");
    for text in [
        settings(format!("url: 'redis://:{token}@127.0.0.1:{port}'")),
        settings(format!("url: 'redis://127.0.0.1:{port}?password={token}'")),
        settings(format!("host: 127.0.0.1, port: {port}, password: {token}")),
        settings(format!("host: 127.0.0.1, port: {port}, user: default, password_file: {file}")),
        settings(format!("url: 'redis://:{token}@127.0.0.1:{port}/{token}'")),
        settings(format!("url: 'redis://:{token}/@127.0.0.1:{port}'")),
        settings(format!("url: 'rediss:/:{token}@127.0.0.1:{port}'")),
        settings(format!("url: 'redis://127.0.0.1:{token}'")),
        settings(format!("url: 'redis://127.0.0.1?pasword={token}'")),
    ] {
        let config = folder.write("pgvigil.yaml", &text).display().to_string();
        for arguments in [&["check", "--connect"][..], &["scrape"]] {
            let mut command = Command::new(BINARY);
            command.args(arguments).args(["--config", &config, "--log-level", "trace"]).env_clear();
            let output = command.stdin(Stdio::null()).output().expect("running pgvigil");
            let said =
                [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
            assert!(!said.contains(token) && !said.is_empty(), "{text}: {said}");
        }
    }
}

#[test]
fn tls_verifies_what_it_says() {
    let files = certificates();
    let path = |name: &str| files.path().join(name).display().to_string();
    let options = format!(
        "--tls-cert-file {} --tls-key-file {} --tls-ca-cert-file {} --tls-auth-clients optional",
        path("server.crt"),
        path("server.key"),
        path("ca.crt")
    );
    let port = crate::support::free_port();
    let redis = Redis::start_as(&system_program("redis-server"), &format!("{options} --tls-port {port}"));
    let (ca, other) = (path("ca.crt"), path("other.crt"));
    let (by_name, by_address) = (format!("rediss://localhost:{port}"), format!("rediss://127.0.0.1:{port}"));
    for (url, parameters, reason) in [
        (&by_name, format!("sslrootcert={ca}"), None),
        (&by_name, format!("sslrootcert={other}"), Some("tls")),
        (&by_name, String::new(), Some("tls")),
        (&by_address, format!("sslrootcert={ca}"), Some("tls")),
        (&by_address, format!("sslmode=verify-ca&sslrootcert={ca}"), None),
        (&by_address, format!("sslmode=verify-ca&sslrootcert={other}"), Some("tls")),
        (&by_address, "sslmode=require".to_owned(), None),
        (&by_address, format!("sslmode=require&sslrootcert={other}"), Some("tls")),
    ] {
        expect(&format!("{url}?{parameters}"), reason);
    }
    // Neither side finds what it expects.
    expect(&format!("redis://localhost:{port}"), Some("lost"));
    expect(&redis.url().replace("redis:", "rediss:"), Some("login_pending"));
    redis.run("CONFIG SET tls-auth-clients yes");
    let client = format!("sslcert={}&sslkey={}", path("client.crt"), path("client.key"));
    expect(&format!("{by_name}?sslrootcert={ca}&{client}"), None);
    assert!(down(&format!("{by_name}?sslrootcert={ca}")).is_some());
}
