//! What the protocols read from: a socket that refuses a message longer than its kind may be, whatever length the peer
//! claims, before anything is allocated, and a peer that does not stop saying what nobody asked for.

mod parameter_limit;
pub mod redis_framing;

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::settings::connection::login::{LoginMethod, LoginMethods};
use crate::source::net::login_guard::{LoginGuard, LoginInfo, Way};
use crate::source::net::session_limit::Open;
use crate::source::net::socket::Socket;
use crate::source::net::stream::parameter_limit::ParameterLimit;
use crate::source::net::stream::redis_framing::RedisFraming;
use crate::source::postgres::type_oids::TypeOidRewriter;

/// The longest row a server may send: one of a monitoring query is a thousand times shorter.
pub const ROW_LIMIT: u32 = 4 << 20;

/// The longest of all other messages: an error with its context, a notice, a description of rows, which has room for 800 columns with the
/// longest of names, and is kept with each statement.
const WORD_LIMIT: u32 = 64 << 10;

/// How much a server may say unasked (notices, changed parameters) while a session lasts: the client keeps such things,
/// each with so many bytes beside it.
const UNASKED_LIMIT: usize = 2 << 20;
const UNASKED_EACH: usize = 64;

/// How much of that each answered question takes off again.
const FORGIVEN: usize = 512;

/// A socket on which what comes in is measured as it passes. Dropped, it is counted until the server closes it.
pub struct ServerStream {
    /// There until it is dropped.
    socket: Option<Socket>,
    measure: MessageMeter,
    /// What has come and cannot be measured before more does.
    held: Vec<u8>,
    /// What has been measured, and nobody has taken.
    passed: VecDeque<u8>,
    open: Option<Open>,
    way: Way,
    fallback: Option<Arc<str>>,
    end_point: Option<Vec<u8>>,
}

/// What the dialler has reached.
pub struct Reached {
    pub socket: Socket,
    pub way: Way,
    /// Why it is not encrypted though that was preferred.
    pub fallback: Option<Arc<str>>,
    /// The server's end of the connection, to which SCRAM binds a login.
    pub end_point: Option<Vec<u8>>,
}

/// How what comes in is measured.
enum MessageMeter {
    /// PostgreSQL's protocol, message by message.
    Messages(Box<Frames>),
    /// Redis' protocol, answer by answer.
    Answers(RedisFraming),
}

impl ServerStream {
    /// Speaks PostgreSQL's protocol; the server may ask for these methods only. `open` counts the session; a connection that is no
    /// session has none.
    pub fn new(reached: Reached, open: Option<Open>, methods: LoginMethods) -> Self {
        let frames = Frames { guard: Some(LoginGuard::new(methods, reached.way)), ..Frames::default() };
        ServerStream::measured(reached, open, MessageMeter::Messages(frames.into()))
    }

    /// Speaks Redis' protocol: whatever it says to a request is at most [`redis_framing::ANSWER_LIMIT`].
    pub fn of_answers(reached: Reached, open: Option<Open>) -> Self {
        ServerStream::measured(reached, open, MessageMeter::Answers(RedisFraming::default()))
    }

    fn measured(reached: Reached, open: Option<Open>, measure: MessageMeter) -> Self {
        let Reached { socket, way, fallback, end_point } = reached;
        ServerStream {
            socket: Some(socket),
            measure,
            held: Vec::new(),
            passed: VecDeque::new(),
            open,
            way,
            fallback,
            end_point,
        }
    }

    /// The server's end of the connection (`tls-server-end-point`), where it has one.
    pub fn end_point(&self) -> Option<&[u8]> {
        self.end_point.as_deref()
    }

    /// The server has let us in by this method.
    pub fn let_in(&self, method: LoginMethod) {
        if let Some(open) = &self.open {
            open.sessions().note(LoginInfo { method, way: self.way, fallback: self.fallback.clone() });
        }
    }

    fn socket(&mut self) -> io::Result<Pin<&mut Socket>> {
        self.socket.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Measures these bytes, as they may change; returns how many at their end cannot be measured yet.
    fn pass(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let (held, method) = self.measure.pass(bytes)?;
        if let Some(method) = method {
            self.let_in(method);
        }
        Ok(held)
    }

    /// Reads what is missing to what is held; false at the end.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut more = [0; 4];
        let mut more = ReadBuf::new(&mut more);
        ready!(self.socket()?.poll_read(cx, &mut more))?;
        let mut bytes = std::mem::take(&mut self.held);
        bytes.extend_from_slice(more.filled());
        let held = self.pass(&mut bytes)?;
        self.held = bytes.split_off(bytes.len() - held);
        self.passed.extend(bytes);
        Poll::Ready(Ok(!more.filled().is_empty()))
    }
}

impl Drop for ServerStream {
    fn drop(&mut self) {
        if let (Some(socket), Some(open)) = (self.socket.take(), self.open.take()) {
            open.linger(socket);
        }
    }
}

impl AsyncRead for ServerStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        while self.passed.is_empty() && !self.held.is_empty() {
            if !ready!(self.poll_rest(cx))? {
                return Poll::Ready(Ok(()));
            }
        }
        if !self.passed.is_empty() {
            let taken = self.passed.len().min(buf.remaining());
            self.passed.drain(..taken).for_each(|byte| buf.put_slice(&[byte]));
            return Poll::Ready(Ok(()));
        }
        loop {
            ready!(self.socket()?.poll_read(cx, buf))?;
            let bytes = &mut buf.filled_mut()[before..];
            let is_end = bytes.is_empty();
            let held = self.pass(bytes)?;
            let kept = bytes.len() - held;
            self.held = bytes[kept..].to_vec();
            buf.set_filled(before + kept);
            if is_end || kept > 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for ServerStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let MessageMeter::Answers(answers) = &mut self.measure {
            answers.asked();
        }
        self.socket()?.poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket()?.poll_shutdown(cx)
    }
}

impl MessageMeter {
    /// How many bytes at their end must come again with the next, and the method by which the server has let us in, if it just did.
    fn pass(&mut self, bytes: &mut [u8]) -> io::Result<(usize, Option<LoginMethod>)> {
        match self {
            MessageMeter::Messages(frames) => frames.measure(bytes).map(|held| (held, frames.let_in.take())),
            MessageMeter::Answers(answers) => answers.measure(bytes).map(|()| (0, None)),
        }
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
    /// Who listens to messages about the login, until the server is ready for queries.
    guard: Option<LoginGuard>,
    /// Of such a message: its code, and how much of that is still to come.
    code: u32,
    code_left: usize,
    /// We were let in by this method, and nobody has been told.
    let_in: Option<LoginMethod>,
    columns: TypeOidRewriter,
    parameters: ParameterLimit,
}

impl Frames {
    /// Follows these bytes; returns how many at their end must come again, before what comes next.
    fn measure(&mut self, mut bytes: &mut [u8]) -> io::Result<usize> {
        while let Some(first) = bytes.first().copied() {
            if self.body > 0 {
                let step = if self.code_left > 0 { 1 } else { self.body.min(bytes.len()) };
                self.listen(first)?;
                self.parameters.pass(&bytes[..step])?;
                let held = self.columns.pass(&mut bytes[..step]);
                // A message that ends within a type is the client's to complain of.
                if held > 0 && self.body > step {
                    self.body -= step - held;
                    return Ok(held);
                }
                self.body -= step;
                bytes = &mut bytes[step..];
                continue;
            }
            self.head[self.have] = first;
            self.have += 1;
            bytes = &mut bytes[1..];
            if self.have == self.head.len() {
                self.have = 0;
                self.body = body_length(self.head)?;
                self.count_unasked()?;
                self.expect_code()?;
                self.columns.begin(self.head[0]);
                self.parameters.begin(self.head[0]);
            }
        }
        Ok(0)
    }

    /// A message about the login begins with a code of four bytes, of which the guard hears before the client does.
    fn expect_code(&mut self) -> io::Result<()> {
        match (self.head[0], self.body) {
            (b'Z', _) => self.guard = None,
            (b'R', 4..) if self.guard.is_some() => (self.code, self.code_left) = (0, 4),
            (b'R', _) if self.guard.is_some() => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a message about the login without its code"));
            }
            _ => (),
        }
        Ok(())
    }

    fn listen(&mut self, byte: u8) -> io::Result<()> {
        if self.code_left == 0 {
            return Ok(());
        }
        self.code = self.code << 8 | u32::from(byte);
        self.code_left -= 1;
        if self.code_left == 0
            && let Some(guard) = &mut self.guard
        {
            self.let_in = guard.heard(self.code)?;
        }
        Ok(())
    }

    /// NoticeResponse, ParameterStatus and NotificationResponse count, and at the login everything; each ReadyForQuery, of which there is one for
    /// each question, takes a little off again: in pooled mode PostgreSQL 18 tells `search_path` twice with every query.
    fn count_unasked(&mut self) -> io::Result<()> {
        match self.head[0] {
            b'N' | b'S' | b'A' => self.unasked += UNASKED_EACH + self.body,
            kind if kind != b'Z' && self.guard.is_some() => self.unasked += UNASKED_EACH + self.body,
            b'Z' => self.unasked = self.unasked.saturating_sub(FORGIVEN),
            _ => (),
        }
        match self.unasked {
            ..=UNASKED_LIMIT => Ok(()),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "notices and parameters without end")),
        }
    }
}

fn body_length([kind, a, b, c, d]: [u8; 5]) -> io::Result<usize> {
    let (what, limit) = match kind {
        b'D' => ("a row", ROW_LIMIT),
        b'T' => ("a description of rows", WORD_LIMIT),
        b'E' => ("an error", WORD_LIMIT),
        _ => ("a message", WORD_LIMIT),
    };
    match u32::from_be_bytes([a, b, c, d]) {
        length if (4..=limit).contains(&length) => Ok(length as usize - 4),
        length => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{what} of {length} bytes was announced, {limit} is the limit: not a PostgreSQL server?"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measure(chunks: &[&[u8]]) -> io::Result<()> {
        let mut frames = Frames::default();
        chunks.iter().try_for_each(|chunk| frames.measure(&mut chunk.to_vec()).map(|_| ()))
    }

    #[test]
    fn messages_are_measured_however_they_are_cut() {
        let good = b"Z\0\0\0\x05IC\0\0\0\x04";
        assert!(measure(&[good]).is_ok());
        assert!(measure(&good.chunks(1).collect::<Vec<_>>()).is_ok());
        assert!(measure(&good.chunks(4).collect::<Vec<_>>()).is_ok());
        assert!(measure(&[b"D\0\x40\0\0", b"T\0\x01\0\0"]).is_ok());
        for bad in [
            &b"HTTP/1.1 400 Bad Request"[..],
            b"D\x7f\xff\xff\xff",
            b"D\0\x40\0\x01",
            b"T\0\x01\0\x01",
            b"E\0\x01\0\x01",
            b"N\0\x01\0\x01",
            b"Z\0\0\0\x05ID\0\0\0\x03",
        ] {
            let error = measure(&[bad]).unwrap_err().to_string();
            assert!(error.contains("bytes was announced"), "{error}");
        }
    }

    #[test]
    fn a_password_that_may_not_be_asked_for_is_refused_before_the_client_hears_of_it() {
        use crate::source::net::login_guard::Encryption;
        let way = Way { is_local: false, encryption: Encryption::None };
        let frames = || Frames { guard: Some(LoginGuard::new(LoginMethods::default(), way)), ..Frames::default() };
        for (message, passes) in [
            (&b"R\0\0\0\x08\0\0\0\x03"[..], false),
            (b"R\0\0\0\x0c\0\0\0\x05salt", true),
            (b"R\0\0\0\x0c\0\0\0\x05saltR\0\0\0\x08\0\0\0\x03", false),
            (b"R\0\0\0\x06\0\0", false),
            (b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05IR\0\0\0\x08\0\0\0\x03", true),
        ] {
            for step in [1, 3, 100] {
                let mut frames = frames();
                let heard = message.chunks(step).try_for_each(|chunk| frames.measure(&mut chunk.to_vec()).map(|_| ()));
                assert_eq!(heard.is_ok(), passes, "{message:?} by {step}");
            }
        }
    }

    #[test]
    fn what_nobody_asked_for_ends() {
        let mut frames = Frames::default();
        let mut said = |message: &[u8]| {
            (0..UNASKED_LIMIT / UNASKED_EACH).try_for_each(|_| frames.measure(&mut message.to_vec()).map(|_| ()))
        };
        assert!(said(b"Z\0\0\0\x05I").is_ok() && said(b"D\0\0\0\x04").is_ok() && said(b"S\0\0\0\x04").is_ok());
        assert!(said(b"N\0\0\0\x04").is_err());
    }
}
