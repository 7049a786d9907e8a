//! `pgvigil serve`: configure, listen, serve, drain.

use std::net::SocketAddr;

use anyhow::Context;
use clap::{Args, builder::BoolishValueParser};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tracing::info;

use super::{ConfigArguments, Failure, LogArguments, WebArguments, run_to_end};
use crate::{
    http::{self, App},
    live::{Files, Live},
};

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    config: ConfigArguments,
    /// The address to serve on; without a host (`:9878`) on all
    #[arg(long, value_name = "HOST:PORT", env = "PGVIGIL_LISTEN", default_value = "0.0.0.0:9878")]
    listen: String,
    #[command(flatten)]
    web: WebArguments,
    /// Allow `POST /-/reload`
    #[arg(long = "web.enable-lifecycle", env = "PGVIGIL_WEB_ENABLE_LIFECYCLE", value_parser = BoolishValueParser::new())]
    enable_lifecycle: bool,
    #[command(flatten)]
    log: LogArguments,
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    arguments.log.start();
    run_to_end(serve(arguments))
}

async fn serve(arguments: Arguments) -> Result<(), Failure> {
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let live = Live::start(Files { web: arguments.web.web_config, ..arguments.config.into() })?;
    let (listener, address) = listen(&arguments.listen).await?;
    let scheme = if live.web().tls.is_some() { "https" } else { "http" };
    info!("serving on {scheme}://{address}/ ({} targets)", live.engine().targets.len());
    let reloads = async {
        while hang_up.recv().await.is_some() {
            // What went wrong has been logged.
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
        () = http::serve(listener, app.into(), shutdown) => Ok(()),
        () = live.clone().watch() => Ok(()),
        // It ends only with the program.
        () = async { reloads.await; std::future::pending().await } => Ok(()),
    }
}

async fn listen(address: &str) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let full = if address.starts_with(':') { format!("0.0.0.0{address}") } else { address.to_owned() };
    let listener = TcpListener::bind(&full).await.with_context(|| format!("cannot listen on {address}"))?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}
