//! One login to a PostgreSQL server: dial, start up, set what our sessions set, and learn what the server is.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{task::JoinHandle, time::Instant};
use tokio_postgres::Client;
use tracing::debug;

use crate::{
    memory_budget::MemoryBudget,
    secret,
    settings::connection::model::PostgresSettings,
    source::{
        fetch::FetchError,
        net::{dial, session_limit::SessionLimit},
        postgres::{
            error,
            server_info::settle,
            session::Session,
            session_settings::{Mark, startup_options},
            startup,
        },
    },
};

/// Where a login leads to, and what is known of it before.
#[derive(Clone)]
pub struct Destination {
    pub settings: Arc<PostgresSettings>,
    /// The target's own database, not one that is visited.
    pub is_own: bool,
    pub sessions: SessionLimit,
    pub mark: Mark,
    pub refusal: Arc<StartupRefusal>,
    /// Where the session's rows have their memory.
    pub room: MemoryBudget,
}

/// Whether a pooler in front refuses our settings in the startup packet: each time it does, it writes so to its log.
#[derive(Default)]
pub struct StartupRefusal(Mutex<Option<Instant>>);

/// So long nothing else is tried: there may be another pooler behind the address by then, or none.
const REFUSED_FOR: Duration = Duration::from_secs(3600);

impl StartupRefusal {
    fn holds(&self) -> bool {
        self.0.lock().is_some_and(|at| at.elapsed() < REFUSED_FOR)
    }
}

/// Logs in.
///
/// # Errors
/// Nobody was reached, or we were not let in, or learned nothing of the server.
pub async fn log_in(to: Destination) -> Result<Session, FetchError> {
    let meaning = |error| if to.is_own { error::of_login(&error) } else { error::of_visit(&error) };
    let connected = match start_up(&to, !to.refusal.holds()).await? {
        // A transaction pooler refuses what it cannot keep per server connection; it is asked without.
        Err(error) if error::is_refused_option(&error) => {
            *to.refusal.0.lock() = Some(Instant::now());
            start_up(&to, false).await?
        }
        connected => connected,
    };
    let Connected { client, task, major } = connected.map_err(meaning)?;
    let facts = settle(&client, major, &to.mark, &to.settings.database).await.inspect_err(|_| task.abort())?;
    Ok(Session::new(client, task, to, facts))
}

struct Connected {
    client: Client,
    task: JoinHandle<()>,
    /// As the startup's answer says it; 0 if it does not.
    major: u32,
}

/// Dials and starts up, with or without our settings in the startup packet.
async fn start_up(
    to: &Destination,
    with_settings: bool,
) -> Result<Result<Connected, tokio_postgres::Error>, FetchError> {
    let password = secret::resolve(to.settings.password.as_ref()).await.map_err(FetchError::password)?;
    let stream = dial::postgres(&to.settings, &to.sessions).await?;
    let mut config = startup::config(&to.settings, password.as_ref(), "pgvigil");
    if with_settings {
        config.options(startup_options(&to.mark));
    }
    Ok(startup::start(&config, stream).await.map(|(client, connection)| {
        let major = major_of(connection.parameter("server_version").unwrap_or_default());
        let task = tokio::spawn(async move {
            if let Err(error) = connection.await {
                debug!("connection ended: {}", error::of_query(&error));
            }
        });
        Connected { client, task, major }
    }))
}

/// Of `15.18 (Debian 15.18-1)` or `19beta1`.
fn major_of(version: &str) -> u32 {
    let digits = version.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(version.len());
    version[..digits].parse().unwrap_or_default()
}
