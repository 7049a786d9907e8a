//! A connection of the probe: dialled, logged in and timed step by step, with the session limits that an application
//! should have.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    task::JoinHandle,
    time::{Instant, timeout_at},
};
use tokio_postgres::{Client, Config};

use super::attempt::{Failure, Phase, Reason, Trace};
use crate::{
    config::settings::{Address, Postgres},
    secret::Secret,
    source::{
        self, FetchError,
        dial::{self, Steps},
        postgres::{error, startup},
        secret,
        sessions::Sessions,
    },
};

/// How long a connection may take, with its login.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);

/// The session's settings: what an application should have, and that a replica answers: it refuses what is serializable. A login trigger may write;
/// what we ask only reads, and the user's own queries are in a transaction that can do nothing else.
const OPTIONS: &str = "-c statement_timeout=5s -c lock_timeout=3s -c idle_in_transaction_session_timeout=10s \
                       -c default_transaction_read_only=off -c default_transaction_isolation=read\\ committed \
                       -c default_transaction_deferrable=off -c search_path=pg_catalog,pg_temp";

/// A place to connect to.
pub struct Connector {
    pub server: Arc<Postgres>,
    /// A pooler refuses settings at the start of a session; there those of the role hold.
    options: bool,
    pub sessions: Sessions,
}

/// A session. Dropped, it is closed.
pub struct Connection {
    pub client: Client,
    task: JoinHandle<()>,
    /// Nothing is under way on it, so the server is told that it ends, as an application does.
    pub is_idle: bool,
}

impl Drop for Connection {
    fn drop(&mut self) {
        // The task ends by itself once the client is gone; but not before everything is answered.
        if !self.is_idle {
            self.task.abort();
        }
    }
}

impl Connector {
    pub fn new(server: Postgres, options: bool) -> Self {
        Connector { server: server.into(), options, sessions: Sessions::default() }
    }

    /// Connects within the limit, and by `until` at the latest.
    pub async fn connect(&self, until: Instant, trace: &mut Trace) -> Result<Connection, Failure> {
        let until = until.min(Instant::now() + CONNECT_LIMIT);
        let mut steps = Steps::default();
        let server = &self.server;
        let password = timeout_at(until, secret::now(server.password.as_ref())).await;
        let password = password.map_err(|_| late(Phase::Authentication))?.map_err(login_failed)?;
        let dialled = timeout_at(until, dial::timed(server, &self.sessions, &mut steps)).await;
        trace.dialled(&steps);
        let stream = match dialled {
            Ok(dialled) => dialled.map_err(|error| self.refused(error, &steps))?,
            Err(_) => return Err(late(self.dialling(&steps))),
        };
        let began = Instant::now();
        let config = self.config(password.as_ref());
        let (client, connection) = match timeout_at(until, startup::start(&config, stream)).await {
            Ok(connected) => connected.map_err(|error| login_failed(error::of_login(&error)))?,
            Err(_) => return Err(late(Phase::Authentication)),
        };
        trace.ended(Phase::Authentication, began);
        // What ends it shows in the next query.
        let task = tokio::spawn(async move { _ = connection.await });
        Ok(Connection { client, task, is_idle: false })
    }

    fn config(&self, password: Option<&Secret>) -> Config {
        let mut config = startup::config(&self.server, password, "pgvigil_probe");
        if self.options {
            config.options(OPTIONS);
        }
        config
    }

    /// How far the dialler has come.
    fn dialling(&self, steps: &Steps) -> Phase {
        match (steps.resolve, steps.connect, &self.server.address) {
            (_, Some(_), _) => Phase::Tls,
            (None, _, Address::Tcp { .. }) => Phase::Resolve,
            _ => Phase::Connect,
        }
    }

    fn refused(&self, error: FetchError, steps: &Steps) -> Failure {
        let phase = self.dialling(steps);
        let reason = match (error.reason, steps.refused) {
            (source::Reason::SessionsNotEnding, _) => Reason::SessionsNotEnding,
            (source::Reason::Tls, _) => Reason::Tls,
            (source::Reason::Lost, _) => Reason::Lost,
            (_, Some(io::ErrorKind::TimedOut)) => Reason::Timeout,
            (_, Some(_)) if phase == Phase::Resolve => Reason::Resolve,
            (_, Some(_)) => Reason::Refused,
            _ => Reason::Error,
        };
        Failure::new(reason, phase, &*error.message)
    }
}

/// Nothing came by the time it was waited for.
pub fn late(phase: Phase) -> Failure {
    Failure::new(Reason::Timeout, phase, format!("no answer in time ({})", phase.word()))
}

fn login_failed(error: FetchError) -> Failure {
    let reason = match error.reason {
        source::Reason::Authentication => Reason::Authentication,
        source::Reason::ConnectionsExhausted => Reason::TooManyConnections,
        // As PgBouncer says it (max_client_conn).
        _ if error.message.contains("no more connections allowed") => Reason::TooManyConnections,
        source::Reason::Starting => Reason::Starting,
        source::Reason::Lost => Reason::Lost,
        _ => Reason::Error,
    };
    Failure::new(reason, Phase::Authentication, &*error.message)
}
