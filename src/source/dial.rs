//! The dialler: every byte that comes from a server comes in here. Resolve, connect, TLS; then a stream that
//! refuses a message longer than [`MESSAGE_LIMIT`], whatever length the peer claims, before anything is allocated, and
//! a peer that does not stop saying what nobody asked for.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::{TcpStream, UnixStream},
    time::timeout,
};
use tokio_rustls::client::TlsStream;

use super::{FetchError, Reason, tls};
use crate::config::settings::{Address, Tls, TlsMode};

/// The longest message a server may send: a row of a monitoring query is a thousand times shorter.
pub const MESSAGE_LIMIT: u32 = 4 << 20;

/// How much a server may say unasked (notices, changed parameters) while a session lasts: the client keeps such things,
/// each with so many bytes beside it. In pooled mode PostgreSQL 18 tells `search_path` twice with each query: a session
/// lasts for some thousand scrapes then.
const UNASKED_LIMIT: usize = 8 << 20;
const UNASKED_EACH: usize = 64;

/// How long resolving and connecting, and then TLS, may take. A login behind them has all the time it needs.
const DIAL_LIMIT: Duration = Duration::from_secs(5);

/// PostgreSQL's request for TLS: a message of 8 bytes with the code 80877103.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// Connects to a PostgreSQL server (or pooler) and negotiates TLS as its settings ask.
///
/// With `sslmode=prefer` a server without TLS, or whose TLS fails, is spoken to in clear, as libpq does.
pub async fn postgres(address: &Address, tls: &Tls) -> Result<Stream, FetchError> {
    let socket = connect(address).await?;
    if tls.mode == TlsMode::Disable || matches!(address, Address::Unix(_)) {
        return Ok(Stream::new(socket));
    }
    match limited("TLS", Reason::Tls, encrypt(socket, address, tls)).await {
        Ok(socket) if matches!(socket, Socket::Tls(_)) || tls.mode == TlsMode::Prefer => Ok(Stream::new(socket)),
        Ok(_) => Err(FetchError::new(Reason::Tls, "the server offers no TLS, and sslmode asks for it")),
        Err(error) if error.reason == Reason::Tls && tls.mode == TlsMode::Prefer => {
            Ok(Stream::new(connect(address).await?))
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

/// A connected socket, in clear or not.
pub enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream<Socket>>),
}

/// Calls the same method on whichever socket it is.
macro_rules! each_socket {
    ($self:ident, $socket:ident => $call:expr) => {
        match $self.get_mut() {
            Socket::Tcp($socket) => $call,
            Socket::Unix($socket) => $call,
            Socket::Tls($socket) => $call,
        }
    };
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        each_socket!(self, socket => Pin::new(socket).poll_read(cx, buf))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        each_socket!(self, socket => Pin::new(socket).poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each_socket!(self, socket => Pin::new(socket).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each_socket!(self, socket => Pin::new(socket).poll_shutdown(cx))
    }
}

/// A socket whose incoming messages are measured as they pass.
pub struct Stream {
    socket: Socket,
    frames: Frames,
}

impl Stream {
    fn new(socket: Socket) -> Self {
        Stream { socket, frames: Frames::default() }
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(cx, buf))?;
        Poll::Ready(self.frames.measure(&buf.filled()[before..]))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

/// Follows PostgreSQL's framing: a type byte, a length that counts itself, the rest.
#[derive(Default)]
struct Frames {
    head: [u8; 5],
    have: usize,
    /// Bytes of the present message's body still to come.
    body: usize,
    /// Bytes of messages that nobody asked for.
    unasked: usize,
}

impl Frames {
    fn measure(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            if self.body > 0 {
                let step = self.body.min(bytes.len());
                self.body -= step;
                bytes = &bytes[step..];
                continue;
            }
            self.head[self.have] = bytes[0];
            self.have += 1;
            bytes = &bytes[1..];
            if self.have == self.head.len() {
                self.have = 0;
                self.body = body_length(self.head)?;
                self.count_unasked()?;
            }
        }
        Ok(())
    }

    /// NoticeResponse, ParameterStatus and NotificationResponse.
    fn count_unasked(&mut self) -> io::Result<()> {
        if matches!(self.head[0], b'N' | b'S' | b'A') {
            self.unasked += UNASKED_EACH + self.body;
        }
        match self.unasked {
            ..=UNASKED_LIMIT => Ok(()),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "notices and parameters without end")),
        }
    }
}

fn body_length([_, a, b, c, d]: [u8; 5]) -> io::Result<usize> {
    match u32::from_be_bytes([a, b, c, d]) {
        length @ 4..=MESSAGE_LIMIT => Ok(length as usize - 4),
        length => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!(
                "a message of {length} bytes was announced, {MESSAGE_LIMIT} is the limit: not a PostgreSQL server?"
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measure(chunks: &[&[u8]]) -> io::Result<()> {
        let mut frames = Frames::default();
        chunks.iter().try_for_each(|chunk| frames.measure(chunk))
    }

    #[test]
    fn messages_are_measured_however_they_are_cut() {
        let good = b"Z\0\0\0\x05IC\0\0\0\x04";
        assert!(measure(&[good]).is_ok());
        assert!(measure(&good.chunks(1).collect::<Vec<_>>()).is_ok());
        assert!(measure(&good.chunks(4).collect::<Vec<_>>()).is_ok());
        for bad in [&b"HTTP/1.1 400 Bad Request"[..], b"D\x7f\xff\xff\xff", b"Z\0\0\0\x05ID\0\0\0\x03"] {
            let error = measure(&[bad]).unwrap_err().to_string();
            assert!(error.contains("bytes was announced"), "{error}");
        }
    }

    #[test]
    fn what_nobody_asked_for_ends() {
        let mut frames = Frames::default();
        let mut said = |message: &[u8]| (0..UNASKED_LIMIT / 5).try_for_each(|_| frames.measure(message));
        assert!(said(b"Z\0\0\0\x05I").is_ok() && said(b"D\0\0\0\x04").is_ok() && said(b"S\0\0\0\x04").is_ok());
        assert!(said(b"N\0\0\0\x04").is_err());
    }
}
