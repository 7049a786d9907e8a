//! Where pgvigil listens: several addresses, unix sockets, the sockets of systemd.

// They wait for real processes, on threads of their own.
#![allow(clippy::disallowed_methods)]

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    os::{
        fd::OwnedFd,
        unix::{
            fs::PermissionsExt,
            net::{UnixListener, UnixStream},
        },
    },
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use crate::support::{Folder, Pgvigil, eventually, free_port, http, process::Process};

const BINARY: &str = env!("CARGO_BIN_EXE_pgvigil");

/// Nobody is there.
const NOWHERE: [(&str, &str); 1] = [("PGVIGIL_POSTGRES_URL", "postgresql://pgvigil@127.0.0.1:1/postgres")];

/// The status of `/readyz` over a unix socket, if there is an answer.
fn status(path: &Path) -> Option<u16> {
    let stream = UnixStream::connect(path).ok()?;
    http::exchange(stream, "localhost", "GET", "/readyz", &[]).ok().map(|answer| answer.status)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("a socket").permissions().mode() & 0o777
}

/// How `serve` ends that cannot listen on this, and what it says.
fn refused(place: &str) -> (Option<i32>, String) {
    let mut command = Command::new(BINARY);
    let output =
        command.args(["serve", "--listen", place]).env_clear().envs(NOWHERE).output().expect("running pgvigil");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn several_addresses() {
    let [second, third] = [free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let more = format!("{second},{third}");
    let pgvigil = Pgvigil::start(BINARY, &["--listen", &more], &NOWHERE);
    for address in [pgvigil.address(), second, third] {
        assert_eq!(http::get(address, "/metrics", &[]).expect("an answer").status, 200, "{address}");
    }
    let taken = refused(&format!("127.0.0.1:0,{second}"));
    assert!(taken.0 == Some(1) && taken.1.contains(&second.to_string()), "{taken:?}");
    assert!(pgvigil.stop().success());
}

#[test]
fn a_unix_socket_comes_and_goes_with_us() {
    let folder = Folder::new("socket", "TERM");
    let path = folder.path().join("pgvigil.sock");
    let place = format!("unix:{}", path.display());
    // What a process that was killed left behind is replaced.
    drop(UnixListener::bind(&path).expect("a socket"));
    let pgvigil = Pgvigil::start(BINARY, &["--listen", &place], &NOWHERE);
    assert_eq!((status(&path), mode(&path)), (Some(200), 0o660));
    let (code, says) = refused(&place);
    assert!(code == Some(1) && says.contains("another process listens there"), "{says}");
    assert_eq!(status(&path), Some(200), "it is still there");
    assert!(pgvigil.stop().success());
    assert!(!path.exists());

    let pgvigil = Pgvigil::start(BINARY, &["--listen", &format!("{place}?mode=0600")], &NOWHERE);
    assert_eq!((status(&path), mode(&path)), (Some(200), 0o600));
    // Another's file in our place is not ours to remove.
    fs::remove_file(&path).expect("a socket");
    folder.write("pgvigil.sock", "mine");
    assert!(pgvigil.stop().success());
    assert_eq!(fs::read_to_string(&path).expect("a file"), "mine");

    let (code, says) = refused(&place);
    assert!(code == Some(1) && says.contains("a file that is not a socket"), "{says}");
    let (code, says) = refused(&format!("{place}?mode=rw"));
    assert!(code == Some(1) && says.contains("octal"), "{says}");
}

/// Whoever may open the socket asks in clear; users hold there too, and who asks for a password is healthy.
#[test]
fn a_health_check_goes_by_the_socket_or_by_tls() {
    let files = crate::tls::certificates();
    let path = files.path().join("pgvigil.sock");
    let hash = bcrypt::hash("s3cret", 4).expect("a hash");
    let tls = "tls_server_config: {cert_file: server.crt, key_file: server.key";
    for (keys, users, answer, by_tls) in [
        ("}", false, 200, 0),
        ("}", true, 401, 0),
        (", client_ca_file: ca.crt, client_auth_type: RequireAndVerifyClientCert}", false, 200, 1),
    ] {
        let users = if users { format!("basic_auth_users: {{a: '{hash}'}}\n") } else { String::new() };
        let web = files.write("web.yaml", &format!("{tls}{keys}\n{users}")).display().to_string();
        let place = format!("unix:{}", path.display());
        let args = ["--web.config.file", &web, "--listen", &place];
        let pgvigil = Pgvigil::start_closed(BINARY, &args, &NOWHERE);
        assert_eq!(status(&path), Some(answer), "{keys}{users}");
        let healthy = |listen: &str| {
            let mut check = Command::new(BINARY);
            check.args(["check", "--health", "--web.config.file", &web]).env_clear().env("PGVIGIL_LISTEN", listen);
            check.output().expect("running pgvigil").status.code()
        };
        let address = pgvigil.address().to_string();
        assert_eq!(healthy(&address), Some(by_tls), "{keys}{users}");
        assert_eq!(healthy(&format!("{address},{place}")), Some(0), "{keys}{users}");
        assert!(pgvigil.stop().success());
        assert_eq!(healthy(&format!("{address},{place}")), Some(1), "nobody is there");
    }
}

/// Starts as systemd does, with one socket.
fn activated(folder: &Folder, socket: OwnedFd, fds: &str) -> Process {
    let mut command = folder.logged_command("/bin/sh");
    let script = format!("exec 3<&0 </dev/null; LISTEN_FDS={fds} LISTEN_PID=$$ exec \"$0\" serve --listen systemd");
    command.args(["-c", &script, BINARY]).env_clear().envs(NOWHERE).stdin(Stdio::from(socket));
    Process::start(&mut command)
}

#[test]
fn systemd_opens_the_socket() {
    let folder = Folder::new("systemd", "TERM");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let process = activated(&folder, listener.into(), "1");
    // It listens before pgvigil does, so the first answer is only late.
    assert_eq!(http::get(address, "/readyz", &[]).expect("an answer").status, 200, "{}", folder.log());
    drop(process);
    let path = folder.path().join("a.sock");
    let listener = UnixListener::bind(&path).expect("a socket");
    let mut process = activated(&folder, listener.into(), "1");
    eventually(Duration::from_secs(20), "an answer", || status(&path) == Some(200));
    process.signal("TERM");
    assert!(process.wait(Duration::from_secs(10)).is_some_and(|status| status.success()), "{}", folder.log());
    assert!(path.exists(), "the socket is systemd's");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut none = activated(&folder, listener.into(), "0");
    assert_eq!(none.wait(Duration::from_secs(20)).and_then(|status| status.code()), Some(1));
    assert!(folder.log().contains("systemd has passed no socket"), "{}", folder.log());
}
