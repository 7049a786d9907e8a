//! Wraps a response's body and reports to the connection's permit when it is sent or abandoned.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::body::{Body, Frame, SizeHint};

use crate::http::connections::ConnectionPermit;

pub struct WatchedBody<B> {
    body: B,
    permit: Arc<ConnectionPermit>,
}

impl<B> WatchedBody<B> {
    pub fn new(body: B, permit: Arc<ConnectionPermit>) -> Self {
        WatchedBody { body, permit }
    }
}

impl<B: Body + Unpin> Body for WatchedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for WatchedBody<B> {
    fn drop(&mut self) {
        self.permit.response_done();
    }
}
