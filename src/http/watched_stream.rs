//! Wraps a client's stream and reports to the connection's permit: bytes that arrive, writes that block, and the client
//! closing its side.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::http::connections::ConnectionPermit;

pub struct WatchedStream<S> {
    stream: S,
    permit: Arc<ConnectionPermit>,
    /// hyper's reader, while the end of the stream is hidden from it.
    deferred_end: Option<Waker>,
}

impl<S: Unpin> WatchedStream<S> {
    pub fn new(stream: S, permit: Arc<ConnectionPermit>) -> Self {
        WatchedStream { stream, permit, deferred_end: None }
    }

    fn stream(&mut self) -> Pin<&mut S> {
        Pin::new(&mut self.stream)
    }

    fn written<T>(&mut self, result: Poll<T>) -> Poll<T> {
        self.permit.set_write_blocked(result.is_pending());
        if !self.permit.has_response_pending()
            && let Some(reader) = self.deferred_end.take()
        {
            reader.wake();
        }
        result
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WatchedStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(self.stream().poll_read(cx, buf))?;
        let received = &buf.filled()[before..];
        let has_response_pending = self.permit.has_response_pending();
        if !received.is_empty() {
            if has_response_pending || goes_on_behind_a_head(received) {
                self.permit.half_closed();
            }
            self.permit.bytes_received();
        } else if has_response_pending {
            // hyper would also end the response if it saw the end of the stream now: it sees it once the response is
            // sent.
            self.permit.half_closed();
            self.deferred_end = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

/// Returns whether more bytes follow a request. hyper does not read on before that is answered, so it would not see
/// the client close.
fn goes_on_behind_a_head(bytes: &[u8]) -> bool {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    end.is_some_and(|end| end + 4 < bytes.len())
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WatchedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = self.stream().poll_write(cx, bytes);
        self.written(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = self.stream().poll_write_vectored(cx, pieces);
        self.written(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = self.stream().poll_flush(cx);
        self.written(result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(cx)
    }
}
