//! Serving: the accept loop with its limits, and what happens to connections at shutdown.

mod answer;
mod gate;
mod landing;
pub mod listen;
pub mod negotiate;
mod unsent;

use std::{convert::Infallible, error::Error, sync::Arc, time::Duration};

use futures_util::future::join_all;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{Semaphore, watch},
    time::{sleep, timeout},
};
use tracing::{debug, warn};

pub use answer::App;

use self::listen::{Listener, Stream};

/// Connections at a time. More wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 4096;

/// A request's head must have come within this time, and its bytes must fit into this buffer.
const HEAD_LIMIT: Duration = Duration::from_secs(30);
const HEAD_BYTES: usize = 64 << 10;

/// An answer must have been taken within this time, however slowly: until then its connection has one of the places above.
const TAKE_LIMIT: Duration = Duration::from_secs(60);

/// A client must have shaken hands within this time.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// At shutdown, how long scrapes in flight may wait for their servers, and how long then to be sent. Without any, nobody else is waited
/// for longer than that: half a request is none.
const FINISH_LIMIT: Duration = Duration::from_secs(3);
const SEND_LIMIT: Duration = Duration::from_secs(1);

/// Answers until `shutdown`, then lets the requests in flight finish.
pub async fn serve(listeners: Vec<Listener>, app: Arc<App>, shutdown: impl Future<Output = ()>) {
    let connections = GracefulShutdown::new();
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let answering = watch::Sender::new(0);
    let accepting = join_all(listeners.iter().map(|listener| async {
        loop {
            let Some((stream, permit)) = accept(listener, &permits).await else { continue };
            let (app, answering, watcher) = (app.clone(), answering.clone(), connections.watcher());
            let connection = Connection { app, answering, watcher };
            tokio::spawn(async move {
                if let Err(error) = connection.serve(stream).await {
                    debug!("connection: {error}");
                }
                drop(permit);
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
struct Connection {
    app: Arc<App>,
    answering: watch::Sender<usize>,
    watcher: Watcher,
}

impl Connection {
    /// In clear on the machine itself: who may open a unix socket is the file's affair.
    async fn serve(self, stream: Stream) -> Result<(), Box<dyn Error + Send + Sync>> {
        match (stream, self.app.tls()) {
            (Stream::Unix(stream), _) => self.speak(stream).await,
            (Stream::Tcp(stream), None) => self.speak(stream).await,
            (Stream::Tcp(stream), Some(tls)) => {
                let stream = timeout(HANDSHAKE_LIMIT, tls.accept(stream)).await??;
                self.speak(stream).await
            }
        }
    }

    async fn speak(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let busy = watch::Sender::new(0);
        let service = service_fn(|request| {
            let counted = [&self.answering, &busy].map(|requests| Answering::new(requests.clone()));
            let app = self.app.clone();
            async move {
                let answer = app.answer(request).await;
                drop(counted);
                Ok::<_, Infallible>(answer)
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_LIMIT)
            .max_buf_size(HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), service);
        tokio::select! {
            served = self.watcher.watch(connection) => Ok(served?),
            () = untaken(busy.subscribe()) => Err(format!("an answer was not taken within {TAKE_LIMIT:?}").into()),
        }
    }
}

/// Ends when nothing has been asked for so long after an answer was given. Who has taken it and is idle is cut before, as one whose
/// head does not come.
async fn untaken(mut busy: watch::Receiver<usize>) {
    while busy.wait_for(|requests| *requests == 0).await.is_ok() {
        if timeout(TAKE_LIMIT, busy.changed()).await.is_err() {
            return;
        }
    }
}

/// A request that is being answered.
struct Answering(watch::Sender<usize>);

impl Answering {
    fn new(requests: watch::Sender<usize>) -> Self {
        requests.send_modify(|requests| *requests += 1);
        Answering(requests)
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.send_modify(|requests| *requests -= 1);
    }
}

type Permit = tokio::sync::OwnedSemaphorePermit;

/// The next connection. Out of descriptors, it waits a moment instead of spinning.
async fn accept(listener: &Listener, permits: &Arc<Semaphore>) -> Option<(Stream, Permit)> {
    let permit = permits.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok(stream) => Some((stream, permit)),
        Err(error) => {
            warn!("accept: {error}");
            sleep(Duration::from_millis(100)).await;
            None
        }
    }
}
