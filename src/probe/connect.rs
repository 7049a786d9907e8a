//! A connection of the probe: dialled, logged in and timed step by step, with the session limits that an application
//! should have.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    task::JoinHandle,
    time::{Instant, timeout_at},
};
use tokio_postgres::{Client, Config};

use crate::{
    probe::attempt::{AttemptError, FailureReason, Phase, Trace},
    secret,
    secret::Secret,
    settings::connection::model::{Address, PostgresSettings},
    source::{
        fetch::{FetchError, Reason},
        net::{dial, dial::DialSteps, session_limit::SessionLimit},
        postgres::{error, startup},
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
    pub server: Arc<PostgresSettings>,
    /// A pooler refuses settings at the start of a session; there those of the role hold.
    options: bool,
    pub sessions: SessionLimit,
}

/// A session. Dropped, it is closed.
pub struct ProbeConnection {
    pub client: Client,
    task: JoinHandle<()>,
    /// Nothing is under way on it, so the server is told that it ends, as an application does.
    pub is_idle: bool,
}

impl Drop for ProbeConnection {
    fn drop(&mut self) {
        // The task ends by itself once the client is gone; but not before everything is answered.
        if !self.is_idle {
            self.task.abort();
        }
    }
}

impl Connector {
    pub fn new(server: PostgresSettings, options: bool) -> Self {
        Connector { server: server.into(), options, sessions: SessionLimit::default() }
    }

    /// Connects within the limit, and by `until` at the latest.
    pub async fn connect(&self, until: Instant, trace: &mut Trace) -> Result<ProbeConnection, AttemptError> {
        let until = until.min(Instant::now() + CONNECT_LIMIT);
        let mut steps = DialSteps::default();
        let server = &self.server;
        let password = timeout_at(until, secret::resolve(server.password.as_ref())).await;
        let password = password.map_err(|_| late(Phase::Authentication))?;
        let password = password.map_err(|error| login_failed(FetchError::password(error)))?;
        let dialled = timeout_at(until, dial::timed(server, &self.sessions, &mut steps)).await;
        trace.dialled(&steps);
        let stream = match dialled {
            Ok(dialled) => dialled.map_err(|error| self.refused(error, &steps))?,
            Err(_) => return Err(late(self.dialling(&steps))),
        };
        let began = Instant::now();
        let config = self.config(password.as_ref());
        let (client, connection) = match timeout_at(until, startup::start(&config, stream)).await {
            Ok(connected) => connected.map_err(|error| login_failed(error::from_login(&error)))?,
            Err(_) => return Err(late(Phase::Authentication)),
        };
        trace.ended(Phase::Authentication, began);
        // What ends it shows in the next query.
        let task = tokio::spawn(async move { _ = connection.await });
        Ok(ProbeConnection { client, task, is_idle: false })
    }

    fn config(&self, password: Option<&Secret>) -> Config {
        let mut config = startup::config(&self.server, password, "pgvigil_probe");
        if self.options {
            config.options(OPTIONS);
        }
        config
    }

    /// How far the dialler has come.
    fn dialling(&self, steps: &DialSteps) -> Phase {
        match (steps.resolve, steps.connect, &self.server.address) {
            (_, Some(_), _) => Phase::Tls,
            (None, _, Address::Tcp { .. }) => Phase::Resolve,
            _ => Phase::Connect,
        }
    }

    fn refused(&self, error: FetchError, steps: &DialSteps) -> AttemptError {
        let phase = self.dialling(steps);
        let reason = match (error.reason, steps.refused) {
            (Reason::SessionsNotEnding, _) => FailureReason::SessionsNotEnding,
            (Reason::Tls, _) => FailureReason::Tls,
            (Reason::Lost, _) => FailureReason::Lost,
            (_, Some(io::ErrorKind::TimedOut)) => FailureReason::Timeout,
            (_, Some(_)) if phase == Phase::Resolve => FailureReason::Resolve,
            (_, Some(_)) => FailureReason::Refused,
            _ => FailureReason::Error,
        };
        AttemptError::new(reason, phase, &*error.message)
    }
}

/// Nothing came by the time it was waited for.
pub fn late(phase: Phase) -> AttemptError {
    AttemptError::new(FailureReason::Timeout, phase, format!("no answer in time ({})", phase.word()))
}

fn login_failed(error: FetchError) -> AttemptError {
    let reason = match error.reason {
        Reason::Authentication => FailureReason::Authentication,
        Reason::ConnectionsExhausted => FailureReason::TooManyConnections,
        // As PgBouncer says it (max_client_conn).
        _ if error.message.contains("no more connections allowed") => FailureReason::TooManyConnections,
        Reason::Starting => FailureReason::Starting,
        Reason::Lost => FailureReason::Lost,
        _ => FailureReason::Error,
    };
    AttemptError::new(reason, Phase::Authentication, &*error.message)
}
