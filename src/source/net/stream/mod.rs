//! A connection to a server that passes bytes on to the protocol's reader only after their framing has been checked.
//!
//! ```text
//!   socket ──read, 8 KiB──► held + read ──framing──► passed ──► reader
//!                             ▲      │ │
//!                             └──────┘ └► error: the connection is of no use any more
//!                     incomplete message
//! ```
//!
//! - *framing*: refuses a message longer than its kind may be, by the length it claims, before anything is allocated
//!   for it; a peer that does not stop sending what nobody asked for; and a request for a password that it may not
//!   have. It replaces the OIDs of types that are not built in.
//! - *held*: the beginning of a message that can be judged only as a whole, which has at most 64 KiB.
//! - *passed*: taken by the reader before more is read.
//! - A dropped stream is counted as a session until the server has closed it too.

mod postgres_framing;
pub mod redis_framing;
mod type_oids;

use std::collections::VecDeque;
use std::mem::{MaybeUninit, replace, take};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{self, AsyncRead, AsyncWrite, ReadBuf};

use crate::settings::connection::login::{LoginMethod, LoginMethods};
use crate::source::net::login_guard::{LoginGuard, LoginInfo};
use crate::source::net::session_limit::OpenSession;
use crate::source::net::socket::PeerSocket;
use crate::source::net::stream::postgres_framing::PostgresFraming;
use crate::source::net::stream::redis_framing::RedisFraming;

/// How much is read at once.
const CHUNK: usize = 8 << 10;

/// A connection whose incoming bytes are checked.
pub struct ServerStream {
    peer: PeerSocket,
    framing: Framing,
    held: Vec<u8>,
    passed: VecDeque<u8>,
    session: Option<OpenSession>,
}

/// The protocol whose framing is checked.
enum Framing {
    Postgres(Box<PostgresFraming>),
    Redis(RedisFraming),
}

impl ServerStream {
    /// Speaks PostgreSQL's protocol; the server may ask for these login methods only. A connection that is not a
    /// session has no `session`.
    pub fn postgres(peer: PeerSocket, session: Option<OpenSession>, methods: LoginMethods) -> Self {
        let framing = PostgresFraming::new(LoginGuard::new(methods, peer.security));
        ServerStream::new(peer, session, Framing::Postgres(framing.into()))
    }

    /// Speaks Redis' protocol: an answer has at most [`redis_framing::ANSWER_LIMIT`] bytes.
    pub fn redis(peer: PeerSocket, session: OpenSession) -> Self {
        ServerStream::new(peer, Some(session), Framing::Redis(RedisFraming::default()))
    }

    fn new(peer: PeerSocket, session: Option<OpenSession>, framing: Framing) -> Self {
        ServerStream { peer, framing, held: Vec::new(), passed: VecDeque::new(), session }
    }

    /// The server's end of the connection (`tls-server-end-point`), where it has one.
    pub fn end_point(&self) -> Option<&[u8]> {
        self.peer.end_point.as_deref()
    }

    /// Notes that the login succeeded by this method.
    pub fn note_login(&self, method: LoginMethod) {
        if let Some(session) = &self.session {
            let (security, fallback) = (self.peer.security, self.peer.fallback.clone());
            session.note_login(LoginInfo { method, security, fallback });
        }
    }

    /// Checks what has been read, and passes on what is complete.
    fn check(&mut self, read: &[u8]) -> io::Result<()> {
        let mut bytes = take(&mut self.held);
        bytes.extend_from_slice(read);
        let incomplete = match &mut self.framing {
            Framing::Redis(framing) => framing.check(&bytes)?,
            Framing::Postgres(framing) => {
                let incomplete = framing.check(&mut bytes)?;
                if let Some(method) = framing.take_login() {
                    self.note_login(method);
                }
                incomplete
            }
        };
        self.held = bytes.split_off(bytes.len() - incomplete);
        self.passed = bytes.into();
        Ok(())
    }
}

impl Drop for ServerStream {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            session.linger(replace(&mut self.peer.socket, Box::new(io::empty())));
        }
    }
}

impl AsyncRead for ServerStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.passed.is_empty() {
            let mut chunk = [MaybeUninit::uninit(); CHUNK];
            let mut chunk = ReadBuf::uninit(&mut chunk);
            ready!(Pin::new(&mut self.peer.socket).poll_read(cx, &mut chunk))?;
            if chunk.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            self.check(chunk.filled())?;
        }
        let length = self.passed.len().min(buf.remaining());
        buf.put_slice(&self.passed.make_contiguous()[..length]);
        self.passed.drain(..length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ServerStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Framing::Redis(framing) = &mut self.framing {
            framing.begin_request();
        }
        Pin::new(&mut self.peer.socket).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.peer.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.peer.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;
    use crate::source::net::login_guard::{Encryption, TransportSecurity};

    #[tokio::test]
    async fn all_bytes_pass_however_they_come() {
        let row = [&b"D\0\0\x4e\x20"[..], &[b'x'; 20_000 - 4], b"Z\0\0\0\x05I"].concat();
        for (pieces, last) in [(1, &b""[..]), (7, b"D\0\0"), (CHUNK, b"Z"), (100_000, b"")] {
            let (socket, mut server) = duplex(pieces);
            let security = TransportSecurity { is_local: true, encryption: Encryption::None };
            let socket = Box::new(socket);
            let peer = PeerSocket { socket, security, fallback: None, end_point: None, expires: None };
            let mut stream = ServerStream::postgres(peer, None, LoginMethods::default());
            let sent = [&row[..], last].concat();
            let mut read = Vec::new();
            let (_, result) = tokio::join!(
                async move { server.write_all(&sent).await.expect("a reader") },
                stream.read_to_end(&mut read)
            );
            assert_eq!((result.expect("no error"), read == row), (row.len(), true), "by {pieces}");
        }
    }
}
