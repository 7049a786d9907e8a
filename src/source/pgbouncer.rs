//! The admin console of a PgBouncer: `SHOW` commands over the simple protocol, which is all that it speaks. An extended
//! query, even an empty one, ends the session.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, future::try_join_all};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage, SimpleQueryRow};
use tracing::debug;

use super::{
    FetchError, Reason, dial,
    kept::{Kept, Server, Tables},
    login::{Login, Session},
    postgres::error,
    sessions::Sessions,
};
use crate::{
    config::settings,
    table::{Cell, Table},
};

/// The most memory one section may take.
const TABLE_LIMIT: usize = 4 << 20;

/// A console, and the session kept on it.
pub type PgBouncer = Kept<Console>;

/// How to log in to one.
pub struct Console(Arc<settings::Postgres>);

/// A session. Dropped, it is closed.
pub struct Talk {
    client: Client,
    connection: JoinHandle<()>,
}

impl Console {
    pub fn new(settings: settings::Postgres) -> Self {
        Console(Arc::new(settings))
    }
}

impl Server for Console {
    type Session = Talk;

    fn about(&self) -> String {
        "PgBouncer".to_owned()
    }

    fn log_in(&self, sessions: &Sessions) -> Login<Talk> {
        Login::start(log_in(self.0.clone(), sessions.clone()))
    }

    async fn ask(session: &mut Talk, sections: &[&str]) -> Result<Tables, FetchError> {
        // All are sent before the first is answered.
        let shown = sections.iter().map(|section| show(&session.client, section));
        Ok(try_join_all(shown).await?.into_iter().collect())
    }
}

impl Session for Talk {
    fn is_closed(&self) -> bool {
        self.client.is_closed()
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

async fn log_in(settings: Arc<settings::Postgres>, sessions: Sessions) -> Result<Talk, FetchError> {
    let stream = dial::postgres(&settings.address, &settings.tls, Some(sessions.open()?)).await?;
    let mut config = Config::new();
    config.user(&settings.user).dbname(&settings.database).application_name("pgvigil");
    if let Some(password) = &settings.password {
        config.password(password.expose());
    }
    let (client, connection) = config.connect_raw(stream, NoTls).await.map_err(|error| error::of_login(&error))?;
    let connection = tokio::spawn(async move {
        if let Err(error) = connection.await {
            debug!("connection ended: {}", error::of_query(&error));
        }
    });
    Ok(Talk { client, connection })
}

/// One section. That this version has none of the kind is the section's own failure.
async fn show(client: &Client, section: &str) -> Result<(String, Result<Table, FetchError>), FetchError> {
    let read = read(client, section).await;
    match read {
        Err(error) if error.reason.is_connection() => Err(error),
        read => Ok((section.to_owned(), read)),
    }
}

async fn read(client: &Client, section: &str) -> Result<Table, FetchError> {
    let failed = |error| error::of_query(&error);
    let mut messages = client.simple_query_raw(&format!("SHOW {section}")).await.map_err(failed)?.boxed();
    let mut table = Table::default();
    while let Some(message) = messages.try_next().await.map_err(failed)? {
        match message {
            SimpleQueryMessage::RowDescription(columns) => table = Table::new(columns.iter().map(|c| c.name())),
            SimpleQueryMessage::Row(row) => push(&mut table, &row),
            _ => (),
        }
        if table.bytes() > TABLE_LIMIT {
            let message = format!("SHOW {section} gives more than {} MiB", TABLE_LIMIT >> 20);
            // What is still to come would be in the way of the next answer: the session ends.
            return Err(FetchError::new(Reason::Lost, message));
        }
    }
    Ok(table)
}

fn push(table: &mut Table, row: &SimpleQueryRow) {
    for column in 0..row.len() {
        // What is no text is left out.
        table.push(row.try_get(column).ok().flatten().map_or(Cell::Absent, Cell::Text));
    }
}
