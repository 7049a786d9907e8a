//! One login to a PostgreSQL server: connect, start up, apply our settings, and read what the server is.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_postgres::Client;
use tracing::debug;

use crate::secret;
use crate::source::fetch::FetchError;
use crate::source::net::dial;
use crate::source::postgres::error::{self, PostgresError};
use crate::source::postgres::server_info::initialize_session;
use crate::source::postgres::session::{Session, SessionContext};
use crate::source::postgres::session_settings::startup_options;
use crate::source::postgres::startup;

/// A login to make.
pub struct LoginRequest {
    pub context: SessionContext,
    /// The login is to the target's own database, not to another one of its server.
    pub is_own_database: bool,
    pub options_refusal: Arc<OptionsRefusal>,
}

/// When a pooler last refused our settings in the startup packet: it logs each refusal.
#[derive(Default)]
pub struct OptionsRefusal(Mutex<Option<Instant>>);

/// After this long the settings are sent again: another pooler may be behind the address by then, or none.
const REFUSAL_LIFETIME: Duration = Duration::from_secs(3600);

impl OptionsRefusal {
    fn is_recent(&self) -> bool {
        self.0.lock().is_some_and(|at| at.elapsed() < REFUSAL_LIFETIME)
    }

    fn record(&self) {
        *self.0.lock() = Some(Instant::now());
    }
}

/// A connection whose login the server accepted.
struct StartedConnection {
    client: Client,
    task: JoinHandle<()>,
    /// The server's major version as the startup reports it; 0 if it does not.
    major: u32,
}

/// Logs in.
///
/// # Errors
/// The server was not reached, refused the login, or did not report its version and role.
pub async fn log_in(request: LoginRequest) -> Result<Session, FetchError> {
    let LoginRequest { context, is_own_database, options_refusal } = request;
    let mut started = start_up(&context, !options_refusal.is_recent()).await;
    // A transaction pooler refuses settings that it cannot keep for each client: we log in without them then.
    if let Err(PostgresError::Driver(error)) = &started
        && error::is_refused_option(error)
    {
        options_refusal.record();
        started = start_up(&context, false).await;
    }
    let StartedConnection { client, task, major } = started.map_err(|error| match error {
        PostgresError::Fetch(error) => error,
        PostgresError::Driver(error) if is_own_database => error::from_login(&error),
        PostgresError::Driver(error) => error::from_database_login(&error),
    })?;
    let initialized = initialize_session(&client, major, &context.marker, &context.settings.database).await;
    let server_info = initialized.inspect_err(|_| task.abort())?;
    Ok(Session::new(client, task, context, server_info))
}

/// Connects and starts up, with or without our settings in the startup packet.
async fn start_up(context: &SessionContext, with_settings: bool) -> Result<StartedConnection, PostgresError> {
    let password = secret::resolve(context.settings.password.as_ref()).await.map_err(FetchError::password)?;
    let stream = dial::postgres(&context.settings, &context.sessions).await?;
    let mut config = startup::config(&context.settings, password.as_ref(), "pgvigil");
    if with_settings {
        config.options(startup_options(&context.marker));
    }
    let (client, connection) = startup::start(&config, stream).await?;
    let major = major_version(connection.parameter("server_version").unwrap_or_default());
    let task = tokio::spawn(async move {
        if let Err(error) = connection.await {
            debug!("connection ended: {}", error::from_query(&error));
        }
    });
    Ok(StartedConnection { client, task, major })
}

/// The 15 of `15.18 (Debian 15.18-1)`, the 19 of `19beta1`.
fn major_version(version: &str) -> u32 {
    let digits = version.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(version.len());
    version[..digits].parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_the_first_number() {
        for (version, major) in
            [("15.18 (Debian 15.18-1)", 15), ("19beta1", 19), ("13", 13), ("", 0), ("PostgreSQL", 0), ("9.6.24", 9)]
        {
            assert_eq!(major_version(version), major, "{version}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn refused_options_are_sent_again_after_an_hour() {
        let refusal = OptionsRefusal::default();
        assert!(!refusal.is_recent());
        refusal.record();
        tokio::time::advance(Duration::from_secs(3599)).await;
        assert!(refusal.is_recent());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!refusal.is_recent());
    }
}
