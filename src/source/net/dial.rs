//! The dialler: every byte that comes from a server comes in here. Resolve, connect, TLS; then a [`ServerStream`], which
//! trusts no length.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::{Instant, timeout};

use crate::settings::connection::model::{Address, PostgresSettings, TlsMode, TlsSettings};
use crate::source::blocking_pool::BlockingPool;
use crate::source::fetch::{FetchError, Reason};
use crate::source::net::login_guard::{Encryption, Way};
use crate::source::net::session_limit::SessionLimit;
use crate::source::net::socket::Socket;
use crate::source::net::stream::{Reached, ServerStream};
use crate::source::net::tls;

/// How long resolving may take, and connecting. A login behind them has all the time it needs.
const DIAL_LIMIT: Duration = Duration::from_secs(5);

/// PostgreSQL's request for TLS: a message of 8 bytes with the code 80877103.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// How long each step took, as far as it came.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DialSteps {
    pub resolve: Option<Duration>,
    pub connect: Option<Duration>,
    /// With the question whether the server has TLS; absent where that is not asked.
    pub tls: Option<Duration>,
    /// When the server's certificate ends.
    pub expires: Option<SystemTime>,
    /// Why there is no connection, if there is none.
    pub refused: Option<io::ErrorKind>,
}

/// Connects to a PostgreSQL server (or pooler) for a session, which is counted, and negotiates TLS as its settings ask.
///
/// With `sslmode=prefer` a server without TLS, or whose TLS fails, is spoken to in clear, as libpq does. Who is not to get the
/// password in clear does not get it: see [`crate::source::net::login_guard`].
pub async fn postgres(server: &PostgresSettings, sessions: &SessionLimit) -> Result<ServerStream, FetchError> {
    timed(server, sessions, &mut DialSteps::default()).await
}

/// The same, and how long each step took: also of a connection that fails, or is given up.
pub async fn timed(
    server: &PostgresSettings,
    sessions: &SessionLimit,
    steps: &mut DialSteps,
) -> Result<ServerStream, FetchError> {
    let open = sessions.open()?;
    let reached = negotiate(server, sessions.files(), steps).await?;
    Ok(ServerStream::new(reached, Some(open), server.methods.clone()))
}

/// The same for a connection that is not a session: to cancel what another one runs.
pub async fn uncounted(server: &PostgresSettings, sessions: &SessionLimit) -> Result<ServerStream, FetchError> {
    let reached = negotiate(server, sessions.files(), &mut DialSteps::default()).await?;
    Ok(ServerStream::new(reached, None, server.methods.clone()))
}

async fn negotiate(
    server: &PostgresSettings,
    files: &BlockingPool,
    steps: &mut DialSteps,
) -> Result<Reached, FetchError> {
    let (address, tls) = (&server.address, &server.tls);
    let socket = connect(address, steps).await?;
    if tls.mode == TlsMode::Disable || matches!(address, Address::Unix(_)) {
        return Ok(reached(socket, tls));
    }
    // How long this takes is the login's affair: a server that is slow to answer is neither without TLS nor asked anew.
    let began = Instant::now();
    let encrypted = encrypt(socket, address, tls, files, steps).await;
    if encrypted.is_ok() {
        steps.tls = Some(began.elapsed());
    }
    let prefers = tls.mode == TlsMode::Prefer;
    match encrypted {
        Ok(socket) if matches!(socket, Socket::Tls(_)) => Ok(reached(socket, tls)),
        Ok(socket) if prefers => {
            Ok(Reached { fallback: Some("the server offers no TLS".into()), ..reached(socket, tls) })
        }
        Ok(_) => Err(FetchError::new(Reason::Tls, "the server offers no TLS, and sslmode asks for it")),
        Err(error) if error.reason == Reason::Tls && prefers => {
            let socket = connect(address, steps).await?;
            Ok(Reached { fallback: Some(error.message), ..reached(socket, tls) })
        }
        Err(error) => Err(error),
    }
}

fn reached(socket: Socket, tls: &TlsSettings) -> Reached {
    let (encryption, end_point) = match &socket {
        Socket::Tls(socket) if tls::is_verified(tls) => (Encryption::Verified, tls::end_point(socket)),
        Socket::Tls(socket) => (Encryption::Unverified, tls::end_point(socket)),
        _ => (Encryption::None, None),
    };
    Reached { way: Way { is_local: socket.is_local(), encryption }, socket, fallback: None, end_point }
}

/// Connects to a Redis server. Its TLS begins at once or not at all: there is nothing to negotiate.
pub async fn redis(address: &Address, tls: &TlsSettings, sessions: &SessionLimit) -> Result<ServerStream, FetchError> {
    let open = sessions.open()?;
    let encrypted = (tls.mode != TlsMode::Disable).then_some(tls);
    let socket = direct(address, encrypted, sessions.files()).await?;
    Ok(ServerStream::of_answers(reached(socket, tls), Some(open)))
}

/// Connects to a server that speaks TLS from its first byte, or none at all.
pub async fn direct(address: &Address, tls: Option<&TlsSettings>, files: &BlockingPool) -> Result<Socket, FetchError> {
    let socket = connect(address, &mut DialSteps::default()).await?;
    match tls {
        Some(tls) => Ok(Socket::Tls(Box::new(tls::handshake(socket, address, tls, files).await?))),
        None => Ok(socket),
    }
}

async fn connect(address: &Address, steps: &mut DialSteps) -> Result<Socket, FetchError> {
    open(address, steps).await.map_err(|error| {
        steps.refused = Some(error.kind());
        FetchError::new(Reason::Unreachable, format!("cannot connect: {error}"))
    })
}

async fn open(address: &Address, steps: &mut DialSteps) -> io::Result<Socket> {
    let began = Instant::now();
    let socket = match address {
        Address::Unix(path) => Socket::Unix(UnixStream::connect(path).await?),
        Address::Tcp { host, port } => {
            let late = |_| io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {DIAL_LIMIT:?}"));
            let found = timeout(DIAL_LIMIT, lookup_host((host.as_str(), *port))).await.map_err(late)??;
            steps.resolve = Some(began.elapsed());
            let stream = connect_to_any(found.collect()).await?;
            keep_alive(&stream)?;
            Socket::Tcp(stream)
        }
    };
    steps.connect = Some(began.elapsed() - steps.resolve.unwrap_or_default());
    Ok(socket)
}

/// One after the other, each with its share of the time: the first may be one that nothing answers at.
async fn connect_to_any(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let share = DIAL_LIMIT / addresses.len().clamp(1, 5) as u32;
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failed = error,
            Err(_) => failed = io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {share:?}")),
        }
    }
    Err(failed)
}

/// A peer that is gone without a word is noticed within half a minute, also by a login that waits.
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

/// Asks for TLS and shakes hands; gives the socket back in clear if the server has no TLS.
async fn encrypt(
    mut socket: Socket,
    address: &Address,
    tls: &TlsSettings,
    files: &BlockingPool,
    steps: &mut DialSteps,
) -> Result<Socket, FetchError> {
    // A server that hangs up on the question has said nothing of TLS.
    let broken = |error: io::Error| FetchError::new(Reason::Lost, format!("asking for TLS: {error}"));
    socket.write_all(&SSL_REQUEST).await.map_err(broken)?;
    let mut reply = [0];
    socket.read_exact(&mut reply).await.map_err(broken)?;
    match reply {
        [b'S'] => {
            let socket = tls::handshake(socket, address, tls, files).await?;
            steps.expires = tls::expires(&socket);
            Ok(Socket::Tls(Box::new(socket)))
        }
        [b'N'] => Ok(socket),
        _ => Err(FetchError::new(Reason::Unreachable, "the peer does not speak PostgreSQL's protocol")),
    }
}
