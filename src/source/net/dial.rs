//! Connects to servers: resolves, connects, negotiates TLS, and hands out a [`ServerStream`], which checks every byte
//! that comes in.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::{Duration, SystemTime};

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::{Instant, timeout};

use crate::settings::connection::model::{Address, PostgresSettings, TlsMode, TlsSettings};
use crate::source::blocking_pool::BlockingPool;
use crate::source::fetch::{FetchError, Reason};
use crate::source::net::login_guard::{Encryption, TransportSecurity};
use crate::source::net::session_limit::SessionLimit;
use crate::source::net::socket::{PeerSocket, Socket};
use crate::source::net::stranger::{self, Stranger};
use crate::source::net::stream::ServerStream;
use crate::source::net::tls;
use crate::source::remedy::Remedy;

/// How long resolving may take, and connecting. The login that follows has no limit here.
const DIAL_LIMIT: Duration = Duration::from_secs(5);

/// PostgreSQL's request for TLS: a message of 8 bytes with the code 80877103.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// How long a server may take to answer that request before it is found out whether it is one of another kind; and how
/// long that may take.
const SILENCE: Duration = Duration::from_secs(1);

/// How long each step took, as far as the connection came.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DialSteps {
    pub resolve: Option<Duration>,
    pub connect: Option<Duration>,
    /// Includes the question whether the server has TLS; absent where that is not asked.
    pub tls: Option<Duration>,
    /// When the server's certificate expires.
    pub expires: Option<SystemTime>,
    /// Why the connection failed.
    pub refused: Option<io::ErrorKind>,
}

/// Connects to a PostgreSQL server (or pooler) for a session, which is counted, and negotiates TLS as the settings
/// demand.
///
/// With `sslmode=prefer` a server without TLS, or whose TLS fails, gets an unencrypted connection, as from libpq. It
/// does not get the password in clear: see [`crate::source::net::login_guard`].
pub async fn postgres(server: &PostgresSettings, sessions: &SessionLimit) -> Result<ServerStream, FetchError> {
    postgres_timed(server, sessions, &mut DialSteps::default()).await
}

/// The same; notes how long each step took, also if the connection fails or is given up.
pub async fn postgres_timed(
    server: &PostgresSettings,
    sessions: &SessionLimit,
    steps: &mut DialSteps,
) -> Result<ServerStream, FetchError> {
    let session = sessions.open()?;
    let peer = negotiate(server, sessions, steps).await?;
    Ok(ServerStream::postgres(peer, Some(session), server.methods.clone()))
}

/// The same for a connection that cancels a query. It is not a session, and not counted.
pub async fn postgres_cancel(server: &PostgresSettings, sessions: &SessionLimit) -> Result<ServerStream, FetchError> {
    let peer = negotiate(server, sessions, &mut DialSteps::default()).await?;
    Ok(ServerStream::postgres(peer, None, server.methods.clone()))
}

async fn negotiate(
    server: &PostgresSettings,
    sessions: &SessionLimit,
    steps: &mut DialSteps,
) -> Result<PeerSocket, FetchError> {
    let (address, tls) = (&server.address, &server.tls);
    let peer = connect(address, steps).await?;
    if tls.mode == TlsMode::Disable || matches!(address, Address::Unix(_)) {
        return Ok(peer);
    }
    match encrypt(peer, address, tls, sessions, steps).await {
        Err(error) if error.reason == Reason::Tls && tls.mode == TlsMode::Prefer => {
            let peer = connect(address, steps).await?;
            Ok(PeerSocket { fallback: Some(error.message), ..peer })
        }
        result => result,
    }
}

/// Asks for TLS and makes the handshake. Only the login's deadline limits the time: a slow server may still have TLS,
/// and would not answer a second question sooner.
async fn encrypt(
    mut peer: PeerSocket,
    address: &Address,
    tls: &TlsSettings,
    sessions: &SessionLimit,
    steps: &mut DialSteps,
) -> Result<PeerSocket, FetchError> {
    let began = Instant::now();
    // A server that hangs up on the question may have TLS all the same.
    let broken = |error: io::Error| FetchError::new(Reason::Lost, format!("asking for TLS: {error}"));
    peer.socket.write_all(&SSL_REQUEST).await.map_err(broken)?;
    match first_byte(&mut peer, address, sessions).await?.map_err(broken)? {
        b'S' => peer = tls::handshake(peer, address, tls, &sessions.files).await?,
        b'N' => peer.fallback = Some("the server offers no TLS".into()),
        first => return Err(not_postgres(&mut peer, address, first).await),
    }
    steps.tls = Some(began.elapsed());
    steps.expires = peer.expires;
    if peer.fallback.is_some() && tls.mode != TlsMode::Prefer {
        return Err(FetchError::new(Reason::Tls, "the server offers no TLS, and sslmode asks for it"));
    }
    Ok(peer)
}

/// The first byte of the answer to the request for TLS. Where none comes, it is found out whether a server of another
/// kind is there, which would wait for the rest of the request.
///
/// # Errors
/// There is one.
async fn first_byte(
    peer: &mut PeerSocket,
    address: &Address,
    sessions: &SessionLimit,
) -> Result<io::Result<u8>, FetchError> {
    let mut answer = pin!(peer.socket.read_u8());
    if let Ok(answer) = timeout(SILENCE, &mut answer).await {
        return Ok(answer);
    }
    if sessions.may_be_stranger() {
        if let Some(stranger) = stranger_at(address, stranger::QUESTION).await {
            return Err(is_there(address, stranger, "a PostgreSQL server"));
        }
        sessions.note_no_stranger();
    }
    Ok(answer.await)
}

/// What a server is whose answer to the request for TLS begins with this byte.
async fn not_postgres(peer: &mut PeerSocket, address: &Address, first: u8) -> FetchError {
    let mut sent = Vec::with_capacity(1024);
    sent.push(first);
    // Whatever comes in time may be enough.
    _ = timeout(SILENCE, peer.socket.read_buf(&mut sent)).await;
    match Stranger::of(&sent) {
        Some(stranger) => is_there(address, stranger, "a PostgreSQL server"),
        // So a postmaster answers that cannot start a process for the session.
        None if first == b'E' => {
            let said = String::from_utf8_lossy(&sent[1..]);
            let said = said.trim_end_matches(|c: char| c == '\0' || c.is_whitespace());
            FetchError::new(Reason::Refused, format!("the server at {address} refuses: {said}"))
        }
        None => FetchError::new(Reason::Unreachable, format!("what answers at {address} is not a PostgreSQL server")),
    }
}

/// A PostgreSQL server (or pooler) answers where a Redis server was expected, and says nothing to a client of Redis.
pub async fn postgres_instead_of_redis(address: &Address) -> Option<FetchError> {
    let stranger = stranger_at(address, &SSL_REQUEST).await?;
    // As any other peer that does not speak Redis' protocol.
    Some(FetchError { reason: Reason::Refused, ..is_there(address, stranger, "a Redis server") })
}

/// Asks on a connection of its own what is there; `None` if it does not say so in time.
async fn stranger_at(address: &Address, question: &[u8]) -> Option<Stranger> {
    let asked = async {
        let mut peer = connect(address, &mut DialSteps::default()).await.ok()?;
        peer.socket.write_all(question).await.ok()?;
        let mut sent = Vec::with_capacity(64);
        peer.socket.read_buf(&mut sent).await.ok()?;
        match sent.as_slice() {
            b"S" | b"N" => Some(Stranger::Postgres),
            sent => Stranger::of(sent),
        }
    };
    timeout(SILENCE, asked).await.ok()?
}

fn is_there(address: &Address, stranger: Stranger, wanted: &str) -> FetchError {
    let message = format!("{} answers at {address}, not {wanted}", stranger.name());
    FetchError::new(Reason::Unreachable, message).with_remedy(Some(Remedy::Advice(stranger.advice().into())))
}

/// Connects to a Redis server for a session. Its TLS begins at once or not at all: there is nothing to negotiate.
pub async fn redis(address: &Address, tls: &TlsSettings, sessions: &SessionLimit) -> Result<ServerStream, FetchError> {
    let session = sessions.open()?;
    let tls = (tls.mode != TlsMode::Disable).then_some(tls);
    Ok(ServerStream::redis(direct(address, tls, &sessions.files).await?, session))
}

/// Connects to a server that speaks TLS from its first byte, or not at all.
pub async fn direct(
    address: &Address,
    tls: Option<&TlsSettings>,
    files: &BlockingPool,
) -> Result<PeerSocket, FetchError> {
    let peer = connect(address, &mut DialSteps::default()).await?;
    match tls {
        Some(tls) => tls::handshake(peer, address, tls, files).await,
        None => Ok(peer),
    }
}

async fn connect(address: &Address, steps: &mut DialSteps) -> Result<PeerSocket, FetchError> {
    let result = open(address, steps).await;
    result.map_err(|error| {
        steps.refused = Some(error.kind());
        unreachable(address, &error, steps.resolve.is_some())
    })
}

/// Why a server cannot be reached: its name `is_found`, or is not known here.
fn unreachable(address: &Address, error: &io::Error, is_found: bool) -> FetchError {
    let text = error.to_string();
    // For people: without the system's number of the error.
    let why = text.split(" (os error").next().unwrap_or_default();
    let why = why.trim_start_matches("failed to lookup address information: ");
    let message = match address {
        Address::Tcp { host, .. } if !is_found => format!("cannot find the host {host}: {why}"),
        _ => format!("cannot connect to {address}: {why}"),
    };
    let advice = match (address, error.kind()) {
        (Address::Tcp { .. }, _) if !is_found => "is the name right, and is it known on this machine?",
        (Address::Tcp { .. }, io::ErrorKind::ConnectionRefused) => {
            "does the server run, listen there, and on this port?"
        }
        (Address::Tcp { .. }, io::ErrorKind::TimedOut) => "is the address right, and does a firewall let it through?",
        (Address::Unix(_), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            "does the server run, and is its socket there?"
        }
        _ => return FetchError::new(Reason::Unreachable, message),
    };
    FetchError::new(Reason::Unreachable, message).with_remedy(Some(Remedy::Advice(advice.into())))
}

async fn open(address: &Address, steps: &mut DialSteps) -> io::Result<PeerSocket> {
    let began = Instant::now();
    let (socket, is_local): (Box<dyn Socket>, bool) = match address {
        Address::Unix(path) => (Box::new(UnixStream::connect(path).await?), true),
        Address::Tcp { host, port } => {
            let found = within(DIAL_LIMIT, lookup_host((host.as_str(), *port))).await?;
            steps.resolve = Some(began.elapsed());
            let stream = connect_to_any(found.collect()).await?;
            keep_alive(&stream)?;
            let is_local = stream.peer_addr().is_ok_and(|peer| peer.ip().to_canonical().is_loopback());
            (Box::new(stream), is_local)
        }
    };
    steps.connect = Some(began.elapsed() - steps.resolve.unwrap_or_default());
    let security = TransportSecurity { is_local, encryption: Encryption::None };
    Ok(PeerSocket { socket, security, fallback: None, end_point: None, expires: None })
}

async fn within<T>(limit: Duration, step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {limit:?}"));
    timeout(limit, step).await.map_err(late)?
}

/// Tries one after the other, each for its share of the time: the first may never answer.
async fn connect_to_any(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let share = DIAL_LIMIT / addresses.len().clamp(1, 5) as u32;
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match within(share, TcpStream::connect(address)).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// A peer that disappears without closing is noticed within half a minute, also by a login that waits.
fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    let probes = TcpKeepalive::new().with_time(Duration::from_secs(10)).with_interval(Duration::from_secs(5));
    #[cfg(target_os = "linux")]
    let probes = probes.with_retries(3);
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&probes)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(Duration::from_secs(30)))?;
    stream.set_nodelay(true)
}
