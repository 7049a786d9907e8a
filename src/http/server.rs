//! The server accepts connections until shutdown, and then lets the requests in flight finish.
//!
//! ```text
//!  listener ──accept──> permit ──(TLS handshake)──> hyper reads a head ──> App::respond ──> hyper sends the body ──┐
//!      ^                  |                                ^                                                      |
//!      |                  |                                └───────────── keep-alive: the next request ───────────┘
//!      └── next accept    └── the connection ends when its permit says so: `ConnectionPermit::timed_out`
//! ```
//!
//! A connection is accepted only once there is a permit for it, so the kernel's queue holds the rest. The task of a
//! connection is a race between hyper, which serves it, and its permit, which knows the current phase and its time
//! limit. hyper does not know the permit: these places report to it what happens.
//!
//! - [`WatchedStream`] sees arriving bytes, writes that the client does not take, and the client closing its side.
//! - The service below sees a request begin and its response become ready.
//! - [`Body`](crate::http::body_budget::Body) sees when hyper drops it: sent, or given up.
//!
//! hyper's own timer for request heads is off, because it would run between requests as well.
//!
//! Shutdown has three steps. No further connection is accepted, and idle ones close at once. Scrapes in flight may wait
//! [`FINISH_TIMEOUT`] for their servers; then they are answered with the results already there. [`SEND_TIMEOUT`] later
//! the connections still open are cut, including those with half a request.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::sleep;
use tracing::{debug, warn};

use crate::http::connections::{ConnectionPermit, Connections};
use crate::http::listen::{ClientStream, Listener};
use crate::http::routes::App;
use crate::http::watched_stream::WatchedStream;

/// A request's head must fit into this buffer.
const HEAD_BYTES: usize = 64 << 10;

/// At shutdown, how long scrapes in flight may wait for their servers, and how long sending their pages may then take.
const FINISH_TIMEOUT: Duration = Duration::from_secs(3);
const SEND_TIMEOUT: Duration = Duration::from_secs(1);

/// The pause in accepting after an error, for example if no file descriptor is free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `shutdown`, then lets the requests in flight finish. The process may open `max_files` files.
pub async fn serve(listeners: Vec<Listener>, app: Arc<App>, max_files: usize, shutdown: impl Future<Output = ()>) {
    let server = Server { app, connections: Connections::new(max_files), graceful: GracefulShutdown::new() };
    let accepting = join_all(listeners.iter().map(|listener| server.accept_all(listener)));
    tokio::select! {
        // Accepting never ends by itself.
        _ = accepting => (),
        () = shutdown => (),
    }
    drop(listeners);
    server.drain().await;
}

struct Server {
    app: Arc<App>,
    connections: Arc<Connections>,
    graceful: GracefulShutdown,
}

impl Server {
    async fn accept_all(&self, listener: &Listener) {
        loop {
            let permit = self.connections.acquire().await;
            match listener.accept().await {
                Ok((stream, peer)) => self.spawn(stream, self.connections.open(peer, permit)),
                Err(error) => {
                    warn!("accept: {error}");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn spawn(&self, stream: ClientStream, permit: ConnectionPermit) {
        let permit = Arc::new(permit);
        let connection =
            ClientConnection { app: self.app.clone(), watcher: self.graceful.watcher(), permit: permit.clone() };
        tokio::spawn(async move {
            let ended = tokio::select! {
                served = connection.serve(stream) => served,
                reason = permit.timed_out() => Err(io::Error::other(reason)),
            };
            if let Err(error) = ended {
                debug!("connection: {error}");
            }
        });
    }

    async fn drain(self) {
        let cut = async {
            self.app.drain(FINISH_TIMEOUT).await;
            sleep(SEND_TIMEOUT).await;
        };
        tokio::select! {
            () = self.graceful.shutdown() => (),
            () = cut => warn!("connections still open are cut"),
        }
    }
}

/// A connection, with everything needed to serve it.
struct ClientConnection {
    app: Arc<App>,
    watcher: Watcher,
    permit: Arc<ConnectionPermit>,
}

impl ClientConnection {
    /// A unix socket is not encrypted: the mode of its file controls access.
    async fn serve(self, stream: ClientStream) -> io::Result<()> {
        match (stream, self.app.tls()) {
            (ClientStream::Unix(stream), _) => self.serve_http(stream).await,
            (ClientStream::Tcp(stream), None) => self.serve_http(stream).await,
            (ClientStream::Tcp(stream), Some(tls)) => {
                self.permit.handshake_started();
                let stream = tls.accept(stream).await?;
                self.permit.handshake_done();
                self.serve_http(stream).await
            }
        }
    }

    async fn serve_http(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> io::Result<()> {
        let service = service_fn(|request| {
            self.permit.request_received();
            let (app, permit) = (self.app.clone(), self.permit.clone());
            async move {
                let response = app.respond(request).await;
                permit.response_ready();
                Ok::<_, Infallible>(response.map(|body| body.with_permit(permit)))
            }
        });
        let connection = http1::Builder::new()
            .header_read_timeout(None)
            .max_buf_size(HEAD_BYTES)
            .serve_connection(TokioIo::new(WatchedStream::new(stream, self.permit.clone())), service);
        self.watcher.watch(connection).await.map_err(io::Error::other)
    }
}
