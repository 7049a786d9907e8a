//! An answer's body that tells its place when it is sent, or given up.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use hyper::body::{Body, Frame, SizeHint};

use crate::http::connections::ConnectionPermit;

/// A body, and the place of the connection that it goes to.
pub struct WatchedBody<B> {
    body: B,
    place: Arc<ConnectionPermit>,
}

impl<B> WatchedBody<B> {
    pub fn new(body: B, place: Arc<ConnectionPermit>) -> Self {
        WatchedBody { body, place }
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
        self.place.sent();
    }
}
