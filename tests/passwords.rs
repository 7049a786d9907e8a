//! Who gets the password: peers that ask for it in every way, beside real servers, near and far.

use std::{
    fs,
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    process::Command,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::{
    support::{Folder, PASSWORD, Pgvigil, Postgres, Redis, eventually, place::majors, postgres::encode, sample},
    tls::{certificates, seen},
};

const BINARY: &str = env!("CARGO_BIN_EXE_pgvigil");
const PATIENCE: Duration = Duration::from_secs(30);

/// An address of this machine that is none of the loopback's: whoever is there counts as far away.
fn far() -> IpAddr {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a socket");
    // Nothing is sent: the kernel only chooses from where it would be.
    let chosen = socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).and_then(|()| socket.local_addr());
    let address = chosen.expect("this test needs an address of this machine beside 127.0.0.1").ip();
    assert!(!address.is_loopback(), "this test needs an address of this machine beside 127.0.0.1");
    address
}

/// A peer that says `ask` to whoever starts a session, and keeps what it gets for that.
struct Asking {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Asking {
    fn start(address: IpAddr, certificates: Option<&Folder>, ask: &'static [u8]) -> Asking {
        let listener = TcpListener::bind((address, 0)).expect("a listener");
        let address = listener.local_addr().expect("an address");
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (config, kept) = (certificates.map(|folder| server_config(folder, "server")), heard.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, kept) = (config.clone(), kept.clone());
                thread::spawn(move || {
                    let said = converse(stream, config, ask).unwrap_or_default();
                    kept.lock().expect("a lock").push(said);
                });
            }
        });
        Asking { address, heard }
    }

    fn url(&self, parameters: &str) -> String {
        format!("postgresql://pgvigil:{}@{}/postgres?{parameters}", encode(PASSWORD), self.address)
    }
}

fn server_config(folder: &Folder, name: &str) -> Arc<ServerConfig> {
    let file = |end: &str| folder.path().join(format!("{name}.{end}"));
    let chain = vec![CertificateDer::from_pem_file(file("crt")).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_file(file("key")).expect("a key");
    let builder = ServerConfig::builder_with_provider(ring::default_provider().into());
    let builder = builder.with_safe_default_protocol_versions().expect("versions").with_no_client_auth();
    Arc::new(builder.with_single_cert(chain, key).expect("a configuration"))
}

fn converse(mut stream: TcpStream, config: Option<Arc<ServerConfig>>, ask: &[u8]) -> io::Result<Vec<u8>> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut start = message(&mut stream)?;
    if start[4..] == [0x04, 0xd2, 0x16, 0x2f] {
        stream.write_all(if config.is_some() { b"S" } else { b"N" })?;
        if let Some(config) = config {
            let connection = ServerConnection::new(config).map_err(io::Error::other)?;
            let mut stream = StreamOwned::new(connection, stream);
            message(&mut stream)?;
            return answer(&mut stream, ask);
        }
        start = message(&mut stream)?;
    }
    drop(start);
    answer(&mut stream, ask)
}

/// A message without a type, with its length.
fn message(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut message = vec![0; 4];
    stream.read_exact(&mut message)?;
    let length = u32::from_be_bytes([message[0], message[1], message[2], message[3]]) as usize;
    message.resize(length, 0);
    stream.read_exact(&mut message[4..])?;
    Ok(message)
}

/// What comes after the question: all, if the peer hangs up; at least a message, if it waits.
fn answer(stream: &mut (impl Read + Write), ask: &[u8]) -> io::Result<Vec<u8>> {
    stream.write_all(ask)?;
    stream.flush()?;
    let mut heard = vec![0; 1024];
    let length = stream.read(&mut heard)?;
    heard.truncate(length);
    Ok(heard)
}

const CLEAR: &[u8] = b"R\0\0\0\x08\0\0\0\x03";
const MD5: &[u8] = b"R\0\0\0\x0c\0\0\0\x05salt";
const LET_IN: &[u8] = b"R\0\0\0\x08\0\0\0\0";

/// Runs `pgvigil scrape` on a target that this variable names; what it logs.
fn scrape(variable: &str, url: &str) -> String {
    let mut command = Command::new(BINARY);
    command.args(["scrape", "--collector", "exporter"]).env_clear().env(variable, url);
    String::from_utf8_lossy(&command.output().expect("running pgvigil").stderr).into_owned()
}

#[test]
fn p27_nobody_gets_a_password_in_clear_who_is_neither_verified_nor_local() {
    let files = certificates();
    let (far, near) = (far(), IpAddr::from(Ipv4Addr::LOCALHOST));
    let ca = format!("sslrootcert={}", files.path().join("ca.crt").display());
    let verified = format!("sslmode=verify-ca&{ca}");
    for (address, has_tls, ask, parameters, gets) in [
        (far, false, CLEAR, "", ""),
        (far, false, CLEAR, "sslmode=disable", ""),
        (far, true, CLEAR, "", ""),
        (far, true, CLEAR, "sslmode=require", ""),
        (far, true, CLEAR, "sslmode=require&require_auth=!md5", ""),
        (far, true, CLEAR, &verified, PASSWORD),
        (far, true, CLEAR, &format!("sslmode=require&{ca}"), PASSWORD),
        (far, true, CLEAR, &format!("{verified}&require_auth=scram-sha-256"), ""),
        (far, false, CLEAR, "require_auth=password", PASSWORD),
        (far, false, CLEAR, "require_auth=scram-sha-256,password", PASSWORD),
        (near, false, CLEAR, "", PASSWORD),
        (near, false, CLEAR, "require_auth=!password", ""),
        (far, false, MD5, "", "md5"),
        (far, false, MD5, "require_auth=scram-sha-256", ""),
        (far, false, LET_IN, "require_auth=scram-sha-256", ""),
    ] {
        let kinds = ["PGVIGIL_POSTGRES_URL", "PGVIGIL_PGBOUNCER_URL"];
        for variable in kinds {
            let peer = Asking::start(address, has_tls.then_some(&files), ask);
            let log = scrape(variable, &peer.url(parameters));
            let case = format!("{variable} {address} {has_tls} {ask:?} {parameters}: {log}");
            eventually(PATIENCE, "the peer has heard us", || !peer.heard.lock().expect("a lock").is_empty());
            let heard = peer.heard.lock().expect("a lock").concat();
            let has = |text: &str| heard.windows(text.len()).any(|window| window == text.as_bytes());
            assert!(gets.is_empty() || has(gets), "{case}");
            assert!(gets == PASSWORD || !has(PASSWORD), "{case}");
            if gets.is_empty() {
                assert!(!heard.contains(&b'p'), "{case}");
                assert!(
                    log.contains("the server asks for") || ask == LET_IN && log.contains("without asking"),
                    "{case}"
                );
                let remedy = ["sslmode=verify-full", "require_auth"].iter().all(|word| log.contains(word));
                assert!(remedy || parameters.contains("require_auth"), "{case}");
            }
            assert!(!log.contains(PASSWORD), "{case}");
        }
    }
}

#[test]
fn p27_nor_does_a_probe_give_it() {
    let peer = Asking::start(far(), None, CLEAR);
    let pgvigil = Pgvigil::start(BINARY, &[], &[("PGVIGIL_PROBE_URL", &peer.url(""))]);
    eventually(PATIENCE, "the probe was there", || peer.heard.lock().expect("a lock").len() >= 3);
    let heard = peer.heard.lock().expect("a lock").concat();
    assert!(heard.is_empty(), "{heard:?}");
    let says_why =
        |line: &str| line.starts_with("pgvigil_probe_failures_total{") && line.contains("reason=\"authentication\"");
    eventually(PATIENCE, "it says why", || {
        pgvigil.scrape().lines().any(|line| says_why(line) && !line.ends_with(" 0"))
    });
}

/// A server that listens everywhere, and takes these methods from everywhere.
fn everywhere(major: u32, files: Option<&Folder>, method: &str, encryption: &str) -> Postgres {
    let mut builder = Postgres::builder(major)
        .config("listen_addresses = '*'")
        .config(&format!("password_encryption = '{encryption}'"));
    if let Some(files) = files {
        let path = |name: &str| files.path().join(name).display().to_string();
        builder = builder.config(&format!(
            "ssl = on\nssl_cert_file = '{}'\nssl_key_file = '{}'",
            path("server.crt"),
            path("server.key")
        ));
    }
    let server = builder.start();
    server.create_monitor_role();
    let rule = format!("host all all all {method}\nlocal all all trust\n");
    fs::write(server.data_dir().join("pg_hba.conf"), rule).expect("pg_hba.conf");
    server.sql("postgres", "SELECT pg_reload_conf()");
    server
}

fn far_url(server: &Postgres) -> String {
    server.url("pgvigil", "postgres").replace("@127.0.0.1:", &format!("@{}:", far()))
}

#[test]
fn how_one_is_let_in_is_said_once() {
    let files = certificates();
    let scram = everywhere(15, None, "scram-sha-256", "scram-sha-256");
    let md5 = everywhere(15, Some(&files), "md5", "md5");
    let clear = everywhere(15, None, "password", "scram-sha-256");
    let redis = Redis::start("--bind 0.0.0.0 --requirepass secret --protected-mode no");
    let far_redis = format!("redis://:secret@{}:{}", far(), redis.port());
    let allowed = format!("{}?require_auth=password", far_url(&clear));
    for (variable, url, labels, said) in [
        ("PGVIGIL_POSTGRES_URL", far_url(&scram), ["scram-sha-256", "none", "remote"], "sslmode=prefer"),
        ("PGVIGIL_POSTGRES_URL", scram.url("pgvigil", "postgres"), ["scram-sha-256", "none", "local"], ""),
        ("PGVIGIL_POSTGRES_URL", far_url(&md5), ["md5", "unverified", "remote"], "MD5"),
        ("PGVIGIL_POSTGRES_URL", allowed, ["password", "none", "remote"], "neither verified nor local"),
        ("PGVIGIL_REDIS_URL", far_redis, ["password", "none", "remote"], "neither verified nor local"),
    ] {
        let pgvigil = Pgvigil::start(BINARY, &[], &[(variable, &url)]);
        let [method, tls, peer] = labels;
        for _ in 0..3 {
            let page = pgvigil.scrape();
            let found = sample(&page, "pgvigil_login_info", &[("method", method), ("tls", tls), ("peer", peer)]);
            assert_eq!(found, Some(1.0), "{labels:?} {}", pgvigil.stderr());
        }
        let log = pgvigil.stderr();
        let count = if said.is_empty() { log.matches("sslmode").count() } else { log.matches(said).count() };
        assert_eq!(count, usize::from(!said.is_empty()), "{log}");
    }
}

#[test]
fn a_login_is_bound_to_the_server_s_certificate() {
    let files = certificates();
    for major in majors() {
        let server = everywhere(major, Some(&files), "scram-sha-256", "scram-sha-256");
        let url = server.url("pgvigil", "postgres");
        for binding in ["require", "prefer", "disable"] {
            assert_eq!(seen(&url, &format!("sslmode=require&channel_binding={binding}")), Ok("unverified".to_owned()));
        }
        // Over nothing that it could be bound to.
        let plain = seen(
            &server
                .url("pgvigil", "postgres")
                .replace("127.0.0.1", &server.socket_dir().display().to_string().replace('/', "%2F")),
            "channel_binding=require",
        );
        assert!(plain.as_ref().is_err_and(|why| why.contains("channel_binding=require")), "{plain:?}");
        // In between somebody whose certificate is another: who speaks TLS to the server himself, or does not.
        for speaks_tls in [true, false] {
            let between = Between::start(server.port(), &files, speaks_tls);
            let url = url.replace(&format!(":{}/", server.port()), &format!(":{}/", between.port));
            let through = |binding: &str| seen(&url, &format!("sslmode=require&channel_binding={binding}"));
            assert_eq!(through("disable"), Ok("unverified".to_owned()), "{major}");
            assert!(
                through("require").is_err_and(|why| why.contains("channel binding") || why.contains("channel_binding"))
            );
            assert_eq!(through("prefer").is_ok(), !speaks_tls, "as with libpq, only who hides it altogether gets by");
        }
    }
}

/// A man in the middle, with the client's certificate as a server's.
struct Between {
    port: u16,
    _runtime: tokio::runtime::Runtime,
}

impl Between {
    fn start(to: u16, files: &Folder, speaks_tls: bool) -> Between {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let acceptor = tokio_rustls::TlsAcceptor::from(server_config(files, "client"));
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(files.path().join("ca.crt")).expect("a certificate")).expect("a root");
        let builder = rustls::ClientConfig::builder_with_provider(ring::default_provider().into());
        let config = builder.with_safe_default_protocol_versions().expect("versions").with_root_certificates(roots);
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config.with_no_client_auth()));
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a listener");
        let port = listener.local_addr().expect("an address").port();
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (acceptor, connector) = (acceptor.clone(), connector.clone());
                tokio::spawn(async move { pass_on(client, acceptor, speaks_tls.then_some(connector), to).await });
            }
        });
        Between { port, _runtime: runtime }
    }
}

async fn pass_on(
    mut client: tokio::net::TcpStream,
    acceptor: tokio_rustls::TlsAcceptor,
    connector: Option<tokio_rustls::TlsConnector>,
    to: u16,
) -> io::Result<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
    let mut request = [0; 8];
    client.read_exact(&mut request).await?;
    client.write_all(b"S").await?;
    let mut client = acceptor.accept(client).await?;
    let mut server = tokio::net::TcpStream::connect(("127.0.0.1", to)).await?;
    if let Some(connector) = connector {
        server.write_all(&request).await?;
        server.read_exact(&mut [0]).await?;
        let name = rustls::pki_types::ServerName::try_from("localhost").map_err(io::Error::other)?;
        let mut server = connector.connect(name, server).await?;
        copy_bidirectional(&mut client, &mut server).await?;
    } else {
        copy_bidirectional(&mut client, &mut server).await?;
    }
    Ok(())
}

#[test]
fn certificates_on_a_filesystem_that_hangs_keep_nobody_else_waiting() {
    let files = certificates();
    let server = everywhere(15, Some(&files), "scram-sha-256", "scram-sha-256");
    // A pipe into which nobody writes: opening it never returns.
    let made = files.command("mkfifo").arg("hangs.crt").status().expect("running mkfifo");
    assert!(made.success());
    let hangs = format!(
        "{}?sslmode=verify-ca&sslrootcert={}",
        server.url("pgvigil", "postgres"),
        files.path().join("hangs.crt").display()
    );
    let settings = files.write(
        "pgvigil.yaml",
        &format!(
            "targets:\n  - {{name: hangs, postgres: {{url: \"{hangs}\"}}}}\n  - {{name: works, postgres: {{url: \"{}\"}}}}\n",
            server.url("pgvigil", "postgres")
        ),
    );
    let pgvigil = Pgvigil::start(BINARY, &["--config", &settings.display().to_string()], &[]);
    let threads = || fs::read_dir(format!("/proc/{}/task", pgvigil.pid())).expect("threads").count();
    let mut before = 0;
    for round in 0..4 {
        let answer = pgvigil.get("/metrics", &[("X-Prometheus-Scrape-Timeout-Seconds", "7")]);
        let page = answer.text();
        assert_eq!(sample(&page, "pg_up", &[("target", "works")]), Some(1.0), "{page}");
        assert_eq!(sample(&page, "pg_up", &[("target", "hangs")]), Some(0.0));
        if round == 0 {
            before = threads();
        }
    }
    assert!(threads() <= before + 1, "{before} threads, then {}", threads());
    assert!(pgvigil.stderr().contains("could not be read within"), "{}", pgvigil.stderr());
}
