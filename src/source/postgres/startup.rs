//! Starts a session for all sources that speak PostgreSQL's protocol, over a stream that is connected and encrypted
//! already, with channel binding to its TLS end point.

use std::convert::Infallible;
use std::future::{Ready, ready};

use tokio_postgres::config::{ChannelBinding as ClientBinding, SslMode, SslNegotiation};
use tokio_postgres::tls::{self, TlsConnect};
use tokio_postgres::{Client, Config, Connection, Error};

use crate::secret::Secret;
use crate::settings::connection::login::ChannelBinding;
use crate::settings::connection::model::PostgresSettings;
use crate::source::net::stream::ServerStream;

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

/// Logs in on the stream.
///
/// # Errors
/// The server refuses the login, or asks for a password in a form that we refuse.
pub async fn start(
    config: &Config,
    stream: ServerStream,
) -> Result<(Client, Connection<ServerStream, ServerStream>), Error> {
    config.connect_raw(stream, PassThroughTls).await
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
