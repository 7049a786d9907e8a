//! One login to a PostgreSQL server: dial, start up, read back what took effect and what the server is.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, NoTls};
use tracing::debug;

use super::{
    error,
    facts::{ANY_BYTES, Facts, STARTUP_SETTINGS, settle},
    session::Session,
};
use crate::{
    config::settings,
    source::{
        FetchError, dial, secret,
        sessions::{Open, Sessions},
    },
};

/// Logs in.
pub async fn log_in(settings: Arc<settings::Postgres>, sessions: Sessions) -> Result<Session, FetchError> {
    let (client, connection) = match start_up(&settings, sessions.open()?, true).await? {
        Ok(connected) => connected,
        // A transaction pooler refuses what it cannot keep per server connection; it is asked without.
        Err(error) if error::is_refused_option(&error) => {
            start_up(&settings, sessions.open()?, false).await?.map_err(|error| error::of_login(&error))?
        }
        Err(error) => return Err(error::of_login(&error)),
    };
    let facts = take_in(&client, &settings.database).await.inspect_err(|_| connection.abort())?;
    Ok(Session::new(client, connection, settings, facts))
}

/// Learns what the server is, and adapts to it what the startup packet could not.
async fn take_in(client: &Client, database: &str) -> Result<Facts, FetchError> {
    let facts = settle(client, database).await?;
    if facts.any_bytes && !facts.pooled {
        client.batch_execute(&format!("SET {ANY_BYTES}")).await.map_err(|error| error::of_query(&error))?;
    }
    Ok(facts)
}

type Connected = (Client, JoinHandle<()>);

/// Dials and starts up, with or without our settings in the startup packet.
async fn start_up(
    settings: &settings::Postgres,
    open: Open,
    with_settings: bool,
) -> Result<Result<Connected, tokio_postgres::Error>, FetchError> {
    let password = secret::now(settings.password.as_ref()).await?;
    let stream = dial::postgres(&settings.address, &settings.tls, Some(open)).await?;
    let mut config = Config::new();
    config.user(&settings.user).dbname(&settings.database).application_name("pgvigil");
    if let Some(password) = &password {
        config.password(password.expose());
    }
    if with_settings {
        config.options(STARTUP_SETTINGS.map(|(name, value)| format!("-c {name}={value}")).join(" "));
    }
    Ok(config.connect_raw(stream, NoTls).await.map(|(client, connection)| {
        let task = tokio::spawn(async move {
            if let Err(error) = connection.await {
                debug!("connection ended: {}", error::of_query(&error));
            }
        });
        (client, task)
    }))
}
