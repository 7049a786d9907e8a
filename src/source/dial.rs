//! The dialler: every byte that comes from a server comes in here. Resolve, connect, TLS; then a [`Stream`], which
//! trusts no length.

use std::{io, time::Duration};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    time::timeout,
};

use super::{FetchError, Reason, sessions::Open, socket::Socket, stream::Stream, tls};
use crate::config::settings::{Address, Tls, TlsMode};

/// How long resolving and connecting, and then TLS, may take. A login behind them has all the time it needs.
const DIAL_LIMIT: Duration = Duration::from_secs(5);

/// PostgreSQL's request for TLS: a message of 8 bytes with the code 80877103.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// Connects to a PostgreSQL server (or pooler) and negotiates TLS as its settings ask.
///
/// `open` counts the session; a connection that is no session has none.
/// With `sslmode=prefer` a server without TLS, or whose TLS fails, is spoken to in clear, as libpq does.
pub async fn postgres(address: &Address, tls: &Tls, open: Option<Open>) -> Result<Stream, FetchError> {
    let socket = connect(address).await?;
    if tls.mode == TlsMode::Disable || matches!(address, Address::Unix(_)) {
        return Ok(Stream::new(socket, open));
    }
    match limited("TLS", Reason::Tls, encrypt(socket, address, tls)).await {
        Ok(socket) if matches!(socket, Socket::Tls(_)) || tls.mode == TlsMode::Prefer => Ok(Stream::new(socket, open)),
        Ok(_) => Err(FetchError::new(Reason::Tls, "the server offers no TLS, and sslmode asks for it")),
        Err(error) if error.reason == Reason::Tls && tls.mode == TlsMode::Prefer => {
            Ok(Stream::new(connect(address).await?, open))
        }
        Err(error) => Err(error),
    }
}

async fn limited<T>(
    what: &str,
    reason: Reason,
    step: impl Future<Output = Result<T, FetchError>>,
) -> Result<T, FetchError> {
    timeout(DIAL_LIMIT, step).await.unwrap_or_else(|_| {
        Err(FetchError::new(reason, format!("{what}: no answer within {} s", DIAL_LIMIT.as_secs())))
    })
}

async fn connect(address: &Address) -> Result<Socket, FetchError> {
    let unreachable = |error: io::Error| FetchError::new(Reason::Unreachable, format!("cannot connect: {error}"));
    limited("connect", Reason::Unreachable, async {
        match address {
            Address::Unix(path) => UnixStream::connect(path).await.map(Socket::Unix).map_err(unreachable),
            Address::Tcp { host, port } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(unreachable)?;
                keep_alive(&stream).map_err(unreachable)?;
                Ok(Socket::Tcp(stream))
            }
        }
    })
    .await
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
async fn encrypt(mut socket: Socket, address: &Address, tls: &Tls) -> Result<Socket, FetchError> {
    let broken = |error: io::Error| FetchError::new(Reason::Tls, format!("TLS: {error}"));
    socket.write_all(&SSL_REQUEST).await.map_err(broken)?;
    let mut reply = [0];
    socket.read_exact(&mut reply).await.map_err(broken)?;
    match reply {
        [b'S'] => Ok(Socket::Tls(Box::new(tls::handshake(socket, address, tls).await?))),
        [b'N'] => Ok(socket),
        _ => Err(FetchError::new(Reason::Unreachable, "the peer does not speak PostgreSQL's protocol")),
    }
}
