//! Starts a session for all sources that speak PostgreSQL's protocol, over a stream that is connected and encrypted
//! already, with channel binding to its TLS end point.

use std::convert::Infallible;
use std::future::{Ready, ready};

use tokio::task::JoinHandle;
use tokio_postgres::config::{ChannelBinding as ClientBinding, SslMode, SslNegotiation};
use tokio_postgres::tls::{self, TlsConnect};
use tokio_postgres::{Client, Config};
use tracing::debug;

use crate::secret;
use crate::secret::Secret;
use crate::settings::connection::login::ChannelBinding;
use crate::settings::connection::model::PostgresSettings;
use crate::source::fetch::FetchError;
use crate::source::net::dial;
use crate::source::net::session_limit::SessionLimit;
use crate::source::net::stream::ServerStream;
use crate::source::postgres::error::{self, PostgresError};

/// A connection whose login the server accepted.
pub struct StartedConnection {
    pub client: Client,
    pub task: JoinHandle<()>,
    /// The server's major version as the startup reports it; 0 if it does not.
    pub major: u32,
    /// It is the console of a PgBouncer, which speaks another language.
    pub is_console: bool,
}

/// Connects and logs in, with these `options` in the startup packet.
///
/// # Errors
/// The server was not reached, or refused the login.
pub async fn open(
    server: &PostgresSettings,
    sessions: &SessionLimit,
    options: Option<String>,
) -> Result<StartedConnection, PostgresError> {
    let password = secret::resolve(server.password.as_ref()).await.map_err(FetchError::password)?;
    let stream = dial::postgres(server, sessions).await?;
    let mut config = config(server, password.as_ref(), "pgvigil");
    if let Some(options) = options {
        config.options(options);
    }
    let started = config.connect_raw(stream, PassThroughTls).await;
    let (client, connection) = started.map_err(|error| match empty_file(server, password.as_ref()) {
        Some(file) if error::asks_for_password(&error) => FetchError::password(format!("{file} is empty")).into(),
        _ => PostgresError::Driver(error),
    })?;
    let version = connection.parameter("server_version").unwrap_or_default();
    let (major, is_console) = (major_version(version), version.ends_with("/bouncer"));
    let task = tokio::spawn(async move {
        if let Err(error) = connection.await {
            debug!("connection ended: {}", error::from_query(&error));
        }
    });
    Ok(StartedConnection { client, task, major, is_console })
}

/// The file that should hold the password and is empty.
fn empty_file(server: &PostgresSettings, password: Option<&Secret>) -> Option<String> {
    let file = server.password.as_ref()?.file()?;
    password.is_none().then(|| file.display().to_string())
}

/// The 15 of `15.18 (Debian 15.18-1)`, the 19 of `19beta1`.
fn major_version(version: &str) -> u32 {
    let digits = version.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(version.len());
    version[..digits].parse().unwrap_or_default()
}

/// The driver's configuration: user, database, password, and the name under which the server shows the session.
pub fn config(server: &PostgresSettings, password: Option<&Secret>, application: &str) -> Config {
    let mut config = Config::new();
    config.user(&server.user).dbname(&server.database).application_name(application);
    if let Some(password) = password {
        config.password(password.expose());
    }
    config.channel_binding(match server.binding {
        ChannelBinding::Disable => ClientBinding::Disable,
        ChannelBinding::Prefer => ClientBinding::Prefer,
        ChannelBinding::Require => ClientBinding::Require,
    });
    // The stream is encrypted already where it should be: the driver must not negotiate.
    config.ssl_mode(SslMode::Require).ssl_negotiation(SslNegotiation::Direct);
    config
}

/// A TLS connector that passes the stream through. The driver asks it for the end point, as it would a TLS stream.
pub struct PassThroughTls;

impl TlsConnect<ServerStream> for PassThroughTls {
    type Stream = ServerStream;
    type Error = Infallible;
    type Future = Ready<Result<ServerStream, Infallible>>;

    fn connect(self, stream: ServerStream) -> Self::Future {
        ready(Ok(stream))
    }
}

impl tls::TlsStream for ServerStream {
    fn channel_binding(&self) -> tls::ChannelBinding {
        let end_point = self.end_point().map(<[u8]>::to_vec);
        end_point.map_or_else(tls::ChannelBinding::none, tls::ChannelBinding::tls_server_end_point)
    }
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
}
