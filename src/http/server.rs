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
//! - [`WatchedBody`] sees when hyper drops a response's body: sent, or given up.
//!
//! hyper's own timer for request heads is off, because it would run between requests as well.
//!
//! Shutdown has three steps. No further connection is accepted, and idle ones close at once. Scrapes in flight may wait
//! [`FINISH_TIMEOUT`] for their servers; then they are answered with the results already there. [`SEND_TIMEOUT`] later
//! the connections still open are cut, including those with half a request.

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use crate::http::connections::{ConnectionPermit, Connections};
use crate::http::listen::{ClientStream, Listener};
use crate::http::routes::App;
use crate::http::watched_body::WatchedBody;
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
    let server = Server {
        app,
        connections: Connections::new(max_files),
        in_flight: watch::Sender::new(0),
        graceful: GracefulShutdown::new(),
    };
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
    /// The number of requests being answered.
    in_flight: watch::Sender<usize>,
    graceful: GracefulShutdown,
}

impl Server {
    async fn accept_all(&self, listener: &Listener) {
        loop {
            let permit = self.connections.acquire().await;
            match listener.accept().await {
                Ok((stream, peer)) => self.spawn(stream, permit.assign(peer)),
                Err(error) => {
                    warn!("accept: {error}");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn spawn(&self, stream: ClientStream, permit: ConnectionPermit) {
        let permit = Arc::new(permit);
        let connection = ClientConnection {
            app: self.app.clone(),
            in_flight: self.in_flight.clone(),
            watcher: self.graceful.watcher(),
            permit: permit.clone(),
        };
        tokio::spawn(async move {
            let ended = tokio::select! {
                served = connection.serve(stream) => served,
                reason = permit.timed_out() => Err(reason.into()),
            };
            if let Err(error) = ended {
                debug!("connection: {error}");
            }
        });
    }

    async fn drain(self) {
        self.app.drain();
        let mut in_flight = self.in_flight.subscribe();
        let cut = async {
            if timeout(FINISH_TIMEOUT, in_flight.wait_for(|requests| *requests == 0)).await.is_err() {
                self.app.hurry();
            }
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
    in_flight: watch::Sender<usize>,
    watcher: Watcher,
    permit: Arc<ConnectionPermit>,
}

impl ClientConnection {
    /// A unix socket is not encrypted: the mode of its file controls access.
    async fn serve(self, stream: ClientStream) -> Result<(), Box<dyn Error + Send + Sync>> {
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

    async fn serve_http(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let service = service_fn(|request| {
            self.permit.request_received();
            let (app, permit, in_flight) = (self.app.clone(), self.permit.clone(), InFlight::new(&self.in_flight));
            async move {
                let response = app.respond(request).await;
                permit.response_ready();
                drop(in_flight);
                Ok::<_, Infallible>(response.map(|body| WatchedBody::new(body, permit)))
            }
        });
        let connection = http1::Builder::new()
            .header_read_timeout(None)
            .max_buf_size(HEAD_BYTES)
            .serve_connection(TokioIo::new(WatchedStream::new(stream, self.permit.clone())), service);
        Ok(self.watcher.watch(connection).await?)
    }
}

/// Counts a request while it is being answered.
struct InFlight(watch::Sender<usize>);

impl InFlight {
    fn new(requests: &watch::Sender<usize>) -> Self {
        requests.send_modify(|requests| *requests += 1);
        InFlight(requests.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.send_modify(|requests| *requests -= 1);
    }
}
