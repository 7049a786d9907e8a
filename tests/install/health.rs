//! `pgvigil check --health`, as a container's health check runs it.

use std::{
    net::{SocketAddr, TcpListener},
    process::{Command, Output},
    time::{Duration, Instant},
};

use crate::{
    support::{Pgvigil, eventually, free_port, process::Process},
    tls::certificates,
};

const BINARY: &str = env!("CARGO_BIN_EXE_pgvigil");

/// Nobody listens on this address of the target.
const NOBODY: [(&str, &str); 1] = [("PGVIGIL_POSTGRES_URL", "postgresql://pgvigil@127.0.0.1:1/postgres")];

fn check(arguments: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = Command::new(BINARY);
    command.args(["check", "--health"]).args(arguments).env_clear().envs(env.iter().copied());
    command.output().expect("running pgvigil")
}

/// How it ends, and what it says.
fn told(arguments: &[&str], env: &[(&str, &str)]) -> (i32, String) {
    let output = check(arguments, env);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().expect("an exit code"), text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn one_that_serves_is_healthy_whatever_it_watches() {
    let pgvigil = Pgvigil::start(BINARY, &[], &NOBODY);
    let address = pgvigil.address().to_string();
    let url = format!("http://{address}");
    assert_eq!(told(&[&url], &[]), (0, format!("{url}: 200 OK\n")));
    // As in a container: by the variable that it was started with.
    assert_eq!(told(&[], &[("PGVIGIL_LISTEN", &address)]).0, 0);
    assert_eq!(told(&[], &[("PGVIGIL_LISTEN", &format!(":{}", pgvigil.address().port()))]).0, 0);
    assert_eq!(told(&[&format!("{url}/readyz")], &[]).0, 0);
    let (code, says) = told(&[&format!("{url}/health")], &[]);
    assert!(code == 1 && says.contains("503"), "{code} {says}");
    let (code, says) = told(&[&format!("{url}/nothing")], &[]);
    assert!(code == 1 && says.contains("404"), "{code} {says}");
    let (code, says) = told(&[&format!("https://{address}")], &[]);
    assert!(code == 1 && says.contains("TLS"), "{code} {says}");
    assert!(pgvigil.stop().success());
    let (code, says) = told(&[&url], &[]);
    assert!(code == 1 && says.contains("cannot connect"), "{code} {says}");
}

#[test]
fn one_that_hangs_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let start = Instant::now();
    let (code, says) = told(&[&format!("http://{address}")], &[]);
    assert!(code == 1 && says.contains("no answer within 2s"), "{code} {says}");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn an_encrypted_one_is_asked_too() {
    let files = certificates();
    let port = free_port();
    let mut server = files.command("openssl");
    server.args(["s_server", "-quiet", "-www", "-cert", "server.crt", "-key", "server.key", "-accept"]);
    let _server = Process::start(server.arg(port.to_string()));
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    eventually(Duration::from_secs(20), "openssl listens", || std::net::TcpStream::connect(address).is_ok());
    assert_eq!(told(&[&format!("https://{address}/")], &[]).0, 0);
    assert_eq!(told(&[&format!("http://{address}/")], &[]).0, 1);
}

#[test]
fn an_address_that_is_none_is_bad_usage() {
    for url in ["127.0.0.1:9878", "ftp://127.0.0.1", "http://", "http://user:secret@127.0.0.1", "http://127.0.0.1:port"]
    {
        let (code, says) = told(&[url], &[]);
        assert!(code == 2 && says.contains("--health"), "{url}: {code} {says}");
    }
}
