//! A client's stream that tells its place when something comes, when what is sent is not taken, and when the client closes its side.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::http::connections::ConnectionPermit;

pub struct WatchedStream<S> {
    stream: S,
    place: Arc<ConnectionPermit>,
    /// Who is not yet told that the client has closed its side.
    untold: Option<Waker>,
}

impl<S: Unpin> WatchedStream<S> {
    pub fn new(stream: S, place: Arc<ConnectionPermit>) -> Self {
        WatchedStream { stream, place, untold: None }
    }

    fn stream(&mut self) -> Pin<&mut S> {
        Pin::new(&mut self.stream)
    }

    fn told<T>(&mut self, sent: Poll<T>) -> Poll<T> {
        self.place.blocked(sent.is_pending());
        if let Some(untold) = self.untold.take_if(|_| !self.place.is_owed()) {
            untold.wake();
        }
        sent
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WatchedStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(self.stream().poll_read(cx, buf))?;
        let came = &buf.filled()[before..];
        if !came.is_empty() {
            if self.place.is_owed() || runs_on(came) {
                self.place.left();
            }
            self.place.heard();
        } else if self.place.is_owed() {
            // Said to hyper, it would be the end of the answer too: it is said when that is sent.
            self.place.left();
            self.untold = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

/// More comes behind a request. hyper reads no further until that is answered, so that it is not seen if the client goes meanwhile.
fn runs_on(bytes: &[u8]) -> bool {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    end.is_some_and(|end| end + 4 < bytes.len())
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WatchedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let sent = self.stream().poll_write(cx, bytes);
        self.told(sent)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let sent = self.stream().poll_write_vectored(cx, pieces);
        self.told(sent)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let sent = self.stream().poll_flush(cx);
        self.told(sent)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(cx)
    }
}
