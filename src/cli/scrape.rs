//! `pgvigil scrape`: one scrape to standard output.

use std::future::pending;

use anyhow::anyhow;
use clap::{Args, ValueEnum};
use tokio::time::Instant;

use super::{ConfigArguments, Failure, LogArguments, print, run_to_end};
use crate::{
    engine::Selection,
    exposition::{self, Format},
    live::{Files, Live},
};

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    config: ConfigArguments,
    /// Only this target (may be repeated)
    #[arg(long, value_name = "NAME")]
    target: Vec<String>,
    /// Only this collector (may be repeated)
    #[arg(long, value_name = "NAME")]
    collector: Vec<String>,
    /// The format of the page
    #[arg(long, default_value = "text")]
    format: PageFormat,
    #[command(flatten)]
    log: LogArguments,
}

#[derive(Clone, Copy, ValueEnum)]
enum PageFormat {
    Text,
    Openmetrics,
    Protobuf,
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    arguments.log.start();
    let selection = Selection {
        targets: arguments.target.into_iter().collect(),
        collectors: arguments.collector.into_iter().collect(),
    };
    let format = match arguments.format {
        PageFormat::Text => Format::Text,
        PageFormat::Openmetrics => Format::OpenMetrics,
        PageFormat::Protobuf => Format::Protobuf,
    };
    let files: Files = arguments.config.into();
    run_to_end(async {
        let engine = Live::once(&files)?;
        engine.check(&selection).map_err(Failure::Usage)?;
        let blocks = engine.scrape(&selection, Instant::now() + engine.settings.scrape_timeout, pending()).await;
        print(&exposition::render(&blocks, format))?;
        let down = engine.targets.iter().filter(|target| selection.has_target(target) && !target.last_report().up);
        let down: Vec<_> = down.map(|target| target.name()).collect();
        match down.is_empty() {
            true => Ok(()),
            false => Err(anyhow!("down: {}", down.join(", ")).into()),
        }
    })
}
