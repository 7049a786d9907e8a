//! `pgvigil serve`: configure, listen, serve, drain.

use clap::Args;
use clap::builder::BoolishValueParser;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{debug, info};

use crate::cli::arguments::{ConfigArguments, LogArguments, WebArguments};
use crate::cli::run::{counted, run_to_end};
use crate::http;
use crate::http::listen::{Listener, Passed};
use crate::http::{App, listen};
use crate::scrape::reload::{ConfigPaths, LiveConfig};

#[derive(Args)]
pub struct ServeArguments {
    #[command(flatten)]
    config: ConfigArguments,
    /// Addresses to serve on: HOST:PORT (`:9878`: on all addresses), `unix:/path` (`?mode=0660`), or `systemd` for its
    /// sockets. Several: separated by commas, or the option again
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "PGVIGIL_LISTEN",
        default_value = "0.0.0.0:9878",
        value_delimiter = ',',
        verbatim_doc_comment
    )]
    listen: Vec<String>,
    #[command(flatten)]
    web: WebArguments,
    /// Allow `POST /-/reload`
    #[arg(long = "web.enable-lifecycle", env = "PGVIGIL_WEB_ENABLE_LIFECYCLE", value_parser = BoolishValueParser::new())]
    enable_lifecycle: bool,
    #[command(flatten)]
    log: LogArguments,
}

pub fn run(arguments: ServeArguments) -> anyhow::Result<()> {
    // It removes variables from the environment, so this comes before there is a second thread.
    let passed = Passed::from_env();
    arguments.log.start();
    let files = allow_many_files();
    forbid_core_dumps();
    run_to_end(serve(arguments, passed, files))
}

/// The most that macOS takes as a soft limit on open files, whatever the hard one is: setrlimit(2) there.
const OPEN_MAX: u64 = 10_240;

/// Raises the soft limit on open files, which is low for programs that use `select`, to the hard limit, and returns it.
fn allow_many_files() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let most =
        if cfg!(target_os = "macos") { limit.maximum.unwrap_or(u64::MAX).min(OPEN_MAX).into() } else { limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: most, ..limit }) {
        debug!("the limit on open files stays as it is: {error}");
    }
    getrlimit(Resource::Nofile).current.map_or(usize::MAX, |files| files.try_into().unwrap_or(usize::MAX))
}

/// A core dump would contain passwords.
fn forbid_core_dumps() {
    if let Err(error) = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }) {
        debug!("core dumps are not forbidden: {error}");
    }
}

async fn serve(arguments: ServeArguments, passed: Passed, files: usize) -> anyhow::Result<()> {
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let live = LiveConfig::start(ConfigPaths { web: arguments.web.web_config, ..arguments.config.into() })?;
    let listeners = listen::open(&arguments.listen, passed).await.map_err(anyhow::Error::msg)?;
    for listener in &listeners {
        let scheme = match listener {
            Listener::Unix(..) => "",
            Listener::Tcp(_) if live.web().tls.is_some() => "https://",
            Listener::Tcp(_) => "http://",
        };
        info!("serving on {scheme}{listener} ({})", counted(live.engine().targets.len(), "target"));
    }
    let engine = live.engine();
    tokio::spawn(async move { engine.log_first_status().await });
    let reloads = async {
        while hang_up.recv().await.is_some() {
            // The error has been logged.
            _ = live.reload().await;
        }
    };
    let shutdown = async {
        tokio::select! {
            _ = terminate.recv() => (),
            _ = interrupt.recv() => (),
        }
        info!("shutting down");
    };
    let app = App::new(live.clone(), arguments.enable_lifecycle);
    tokio::select! {
        () = http::serve(listeners, app.into(), files, shutdown) => Ok(()),
        () = live.clone().watch() => Ok(()),
        // Without further signals it runs as long as the program.
        () = async { reloads.await; std::future::pending().await } => Ok(()),
    }
}
