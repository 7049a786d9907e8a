//! Serving: the accept loop with its limits, and what happens to connections at shutdown.

mod auth;
mod body_budget;
mod connections;
mod landing;
pub mod listen;
pub mod negotiate;
mod routes;
mod watched_body;
mod watched_stream;

use std::{convert::Infallible, error::Error, sync::Arc, time::Duration};

use futures_util::future::join_all;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::{
    rt::TokioIo,
    server::graceful::{GracefulShutdown, Watcher},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    time::{sleep, timeout},
};
use tracing::{debug, warn};

pub use crate::http::routes::App;
use crate::http::{
    connections::{ConnectionPermit, Connections, Free},
    listen::{ClientStream, Listener},
    watched_body::WatchedBody,
    watched_stream::WatchedStream,
};

/// A request's head must fit into this buffer.
const HEAD_BYTES: usize = 64 << 10;

/// At shutdown, how long scrapes in flight may wait for their servers, and how long then to be sent. Without any, nobody else is waited
/// for longer than that: half a request is none.
const FINISH_LIMIT: Duration = Duration::from_secs(3);
const SEND_LIMIT: Duration = Duration::from_secs(1);

/// Answers until `shutdown`, then lets the requests in flight finish. So many `files` may be open.
pub async fn serve(listeners: Vec<Listener>, app: Arc<App>, files: usize, shutdown: impl Future<Output = ()>) {
    let connections = GracefulShutdown::new();
    let places = Connections::new(files);
    let answering = watch::Sender::new(0);
    let accepting = join_all(listeners.iter().map(|listener| async {
        loop {
            let Some((stream, place)) = accept(listener, places.free().await).await else { continue };
            let (app, answering, watcher) = (app.clone(), answering.clone(), connections.watcher());
            let connection = ClientConnection { app, answering, watcher, place: place.into() };
            tokio::spawn(async move {
                let place = connection.place.clone();
                let ended = tokio::select! {
                    served = connection.serve(stream) => served,
                    why = place.overdue() => Err(why.into()),
                };
                if let Err(error) = ended {
                    debug!("connection: {error}");
                }
            });
        }
    }));
    tokio::select! {
        // It does not end.
        _ = accepting => (),
        () = shutdown => (),
    }
    app.drain();
    drop(listeners);
    let answered = async { _ = answering.subscribe().wait_for(|requests| *requests == 0).await };
    let finished = connections.shutdown();
    let in_flight = async {
        if timeout(FINISH_LIMIT, answered).await.is_err() {
            app.hurry();
        }
        sleep(SEND_LIMIT).await;
    };
    tokio::select! {
        () = finished => (),
        () = in_flight => warn!("connections still open are cut"),
    }
}

/// What one connection is served with.
struct ClientConnection {
    app: Arc<App>,
    answering: watch::Sender<usize>,
    watcher: Watcher,
    place: Arc<ConnectionPermit>,
}

impl ClientConnection {
    /// In clear on the machine itself: who may open a unix socket is the file's affair.
    async fn serve(self, stream: ClientStream) -> Result<(), Box<dyn Error + Send + Sync>> {
        match (stream, self.app.tls()) {
            (ClientStream::Unix(stream), _) => self.speak(stream).await,
            (ClientStream::Tcp(stream), None) => self.speak(stream).await,
            (ClientStream::Tcp(stream), Some(tls)) => {
                self.place.shakes();
                let stream = tls.accept(stream).await?;
                self.place.shaken();
                self.speak(stream).await
            }
        }
    }

    async fn speak(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let service = service_fn(|request| {
            self.place.asked();
            let (app, place, answering) = (self.app.clone(), self.place.clone(), ServedRequest::new(&self.answering));
            async move {
                let answer = app.answer(request).await;
                place.answered();
                drop(answering);
                Ok::<_, Infallible>(answer.map(|body| WatchedBody::new(body, place)))
            }
        });
        // What has how much time is the place's affair: hyper's one timer for a head runs between requests too.
        let connection = http1::Builder::new()
            .header_read_timeout(None)
            .max_buf_size(HEAD_BYTES)
            .serve_connection(TokioIo::new(WatchedStream::new(stream, self.place.clone())), service);
        Ok(self.watcher.watch(connection).await?)
    }
}

/// A request that is being answered.
struct ServedRequest(watch::Sender<usize>);

impl ServedRequest {
    fn new(requests: &watch::Sender<usize>) -> Self {
        requests.send_modify(|requests| *requests += 1);
        ServedRequest(requests.clone())
    }
}

impl Drop for ServedRequest {
    fn drop(&mut self) {
        self.0.send_modify(|requests| *requests -= 1);
    }
}

/// The next connection. Out of descriptors, it waits a moment instead of spinning.
async fn accept(listener: &Listener, place: Free) -> Option<(ClientStream, ConnectionPermit)> {
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, place.take(peer))),
        Err(error) => {
            warn!("accept: {error}");
            sleep(Duration::from_millis(100)).await;
            None
        }
    }
}
