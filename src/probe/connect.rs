//! Opens the probe's connections: dials and logs in, times each step, and sets the session limits that an application
//! should have.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::Client;

use crate::probe::attempt::{AttemptError, AttemptResult, FailureReason, Phase, Trace};
use crate::probe::check::ProbeCheck;
use crate::secret;
use crate::settings::connection::model::{Address, PostgresSettings};
use crate::source::fetch::FetchError;
use crate::source::net::dial;
use crate::source::net::dial::DialSteps;
use crate::source::net::session_limit::SessionLimit;
use crate::source::postgres::startup::PassThroughTls;
use crate::source::postgres::{error, startup};

/// The time limit of connecting and logging in.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);

/// The settings of a session: those that an application should have, and no serializable transactions, which a replica
/// refuses. A login trigger may write; the probe's own queries only read, and the user's run in a read-only
/// transaction.
const OPTIONS: &str = "-c statement_timeout=5s -c lock_timeout=3s -c idle_in_transaction_session_timeout=10s \
                       -c default_transaction_read_only=off -c default_transaction_isolation=read\\ committed \
                       -c default_transaction_deferrable=off -c search_path=pg_catalog,pg_temp";

/// Opens connections to one server.
pub struct Connector {
    server: PostgresSettings,
    /// False for a pooler, which refuses settings at the start of a session: the settings of the role apply.
    sends_options: bool,
    pub sessions: SessionLimit,
}

/// A session. Dropped, it is closed.
pub struct ProbeConnection {
    pub client: Client,
    task: JoinHandle<()>,
    /// No query is running on it: it can be used again, and sends Terminate when it is dropped.
    pub is_idle: bool,
}

impl Drop for ProbeConnection {
    fn drop(&mut self) {
        // Without the client the task ends by itself, but only after all answers have arrived.
        if !self.is_idle {
            self.task.abort();
        }
    }
}

impl ProbeConnection {
    pub async fn run(&mut self, check: &ProbeCheck, until: Instant, trace: &mut Trace) -> AttemptResult {
        self.is_idle = false;
        let answer = check.run(&self.client, until, trace).await;
        self.is_idle = !answer.as_ref().is_err_and(AttemptError::breaks_connection);
        answer
    }
}

/// The connection of a path without a pool: persistent, or a new one for each query.
pub struct PathConnection {
    connector: Arc<Connector>,
    is_persistent: bool,
    kept: Mutex<Option<ProbeConnection>>,
}

impl PathConnection {
    pub fn new(connector: Arc<Connector>, is_persistent: bool) -> Self {
        PathConnection { connector, is_persistent, kept: Mutex::default() }
    }

    pub async fn run(&self, check: &ProbeCheck, until: Instant, trace: &mut Trace) -> AttemptResult {
        let kept = self.kept.lock().take().filter(|kept| !kept.client.is_closed());
        let mut connection = match kept {
            Some(kept) => kept,
            None => self.connector.connect(until, trace).await?,
        };
        let answer = connection.run(check, until, trace).await;
        if self.is_persistent && connection.is_idle {
            *self.kept.lock() = Some(connection);
        }
        answer
    }
}

impl Connector {
    pub fn new(server: PostgresSettings, sends_options: bool) -> Self {
        Connector { server, sends_options, sessions: SessionLimit::default() }
    }

    /// Connects within the limit, and by `until` at the latest.
    pub async fn connect(&self, until: Instant, trace: &mut Trace) -> Result<ProbeConnection, AttemptError> {
        let until = until.min(Instant::now() + CONNECT_LIMIT);
        let mut steps = DialSteps::default();
        let server = &self.server;
        let password = timeout_at(until, secret::resolve(server.password.as_ref())).await;
        let password = password.map_err(|_| AttemptError::timeout(Phase::Authentication))?;
        let password = password.map_err(|error| login_error(&FetchError::password(error)))?;
        let stream = timeout_at(until, dial::postgres_timed(server, &self.sessions, &mut steps)).await;
        trace.record_dial(&steps);
        let stream = stream.map_err(|_| AttemptError::timeout(self.dial_phase(&steps)))?;
        let stream = stream.map_err(|error| self.dial_error(&error, &steps))?;
        let began = Instant::now();
        let mut config = startup::config(&self.server, password.as_ref(), "pgvigil_probe");
        if self.sends_options {
            config.options(OPTIONS);
        }
        let connected = timeout_at(until, config.connect_raw(stream, PassThroughTls)).await;
        let connected = connected.map_err(|_| AttemptError::timeout(Phase::Authentication))?;
        let (client, connection) = connected.map_err(|error| login_error(&error::from_login(&error)))?;
        trace.record(Phase::Authentication, began);
        // The next query shows why it ended.
        let task = tokio::spawn(async move { _ = connection.await });
        Ok(ProbeConnection { client, task, is_idle: false })
    }

    /// The phase that the dialler reached.
    fn dial_phase(&self, steps: &DialSteps) -> Phase {
        match (steps.resolve, steps.connect, &self.server.address) {
            (_, Some(_), _) => Phase::Tls,
            (None, _, Address::Tcp { .. }) => Phase::Resolve,
            _ => Phase::Connect,
        }
    }

    fn dial_error(&self, error: &FetchError, steps: &DialSteps) -> AttemptError {
        let phase = self.dial_phase(steps);
        let reason = match (error.reason.into(), steps.refused) {
            (FailureReason::Error, Some(io::ErrorKind::TimedOut)) => FailureReason::Timeout,
            (FailureReason::Error, Some(_)) if phase == Phase::Resolve => FailureReason::Resolve,
            (FailureReason::Error, Some(_)) => FailureReason::Refused,
            (reason, _) => reason,
        };
        AttemptError::new(reason, phase, &*error.message)
    }
}

fn login_error(error: &FetchError) -> AttemptError {
    AttemptError::new(error.reason.into(), Phase::Authentication, &*error.message)
}
