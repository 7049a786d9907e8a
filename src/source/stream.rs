//! What the protocols read from: a socket that refuses a message longer than its kind may be, whatever length the peer
//! claims, before anything is allocated, and a peer that does not stop saying what nobody asked for.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{sessions::Open, socket::Socket};

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

/// How much may come between two requests where the protocol has no frames: Redis' `INFO` is a hundred times shorter.
pub const ANSWER_LIMIT: usize = 1 << 20;

/// A socket on which what comes in is measured as it passes. Dropped, it is counted until the server closes it.
pub struct Stream {
    /// There until it is dropped.
    socket: Option<Socket>,
    measure: Measure,
    open: Option<Open>,
}

/// How what comes in is measured.
enum Measure {
    /// PostgreSQL's protocol, message by message.
    Messages(Frames),
    /// Bytes since the last request.
    Answers(usize),
}

impl Stream {
    /// Speaks PostgreSQL's protocol. `open` counts the session; a connection that is no session has none.
    pub fn new(socket: Socket, open: Option<Open>) -> Self {
        Stream { socket: Some(socket), measure: Measure::Messages(Frames::default()), open }
    }

    /// Speaks another: whatever it says to a request is at most [`ANSWER_LIMIT`].
    pub fn of_answers(socket: Socket, open: Option<Open>) -> Self {
        Stream { socket: Some(socket), measure: Measure::Answers(0), open }
    }

    fn socket(&mut self) -> io::Result<Pin<&mut Socket>> {
        self.socket.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let (Some(socket), Some(open)) = (self.socket.take(), self.open.take()) {
            open.linger(socket);
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(self.socket()?.poll_read(cx, buf))?;
        Poll::Ready(self.measure.pass(&buf.filled()[before..]))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Measure::Answers(bytes) = &mut self.measure {
            *bytes = 0;
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

impl Measure {
    fn pass(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Measure::Messages(frames) => frames.measure(bytes),
            Measure::Answers(before) => {
                *before += bytes.len();
                match *before {
                    ..=ANSWER_LIMIT => Ok(()),
                    _ => Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        format!("an answer of more than {ANSWER_LIMIT} bytes"),
                    )),
                }
            }
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

    /// NoticeResponse, ParameterStatus and NotificationResponse count; each ReadyForQuery, of which there is one for
    /// each question, takes a little off again: in pooled mode PostgreSQL 18 tells `search_path` twice with every query.
    fn count_unasked(&mut self) -> io::Result<()> {
        match self.head[0] {
            b'N' | b'S' | b'A' => self.unasked += UNASKED_EACH + self.body,
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
        chunks.iter().try_for_each(|chunk| frames.measure(chunk))
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
    fn what_nobody_asked_for_ends() {
        let mut frames = Frames::default();
        let mut said = |message: &[u8]| (0..UNASKED_LIMIT / UNASKED_EACH).try_for_each(|_| frames.measure(message));
        assert!(said(b"Z\0\0\0\x05I").is_ok() && said(b"D\0\0\0\x04").is_ok() && said(b"S\0\0\0\x04").is_ok());
        assert!(said(b"N\0\0\0\x04").is_err());
    }
}
