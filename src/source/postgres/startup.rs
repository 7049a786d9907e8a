//! The startup of a session, the same for all who speak PostgreSQL's protocol: over a stream that the dialler has brought, and
//! bound to the server's end of it.

use std::{
    convert::Infallible,
    future::{Ready, ready},
};

use tokio_postgres::{
    Client, Config, Connection, Error,
    config::{ChannelBinding as ClientBinding, SslMode, SslNegotiation},
    tls::{self, TlsConnect},
};

use crate::{
    secret::Secret,
    settings::connection::{login::ChannelBinding, model::PostgresSettings},
    source::net::stream::ServerStream,
};

/// Who logs in where, and under which name the session is shown.
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
    // Whether to encrypt was settled when the server was dialled: nothing is negotiated here.
    config.ssl_mode(SslMode::Require).ssl_negotiation(SslNegotiation::Direct);
    config
}

/// Logs in on the stream.
///
/// # Errors
/// The server does not let us in, or asks for what it may not have.
pub async fn start(
    config: &Config,
    stream: ServerStream,
) -> Result<(Client, Connection<ServerStream, ServerStream>), Error> {
    config.connect_raw(stream, Dialled).await
}

/// What the protocol's library takes for a TLS connector. The stream is what it should be already; as one of TLS, it is asked for its end.
pub struct Dialled;

impl TlsConnect<ServerStream> for Dialled {
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
