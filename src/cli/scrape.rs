//! `pgvigil scrape`: prints the page of one scrape.

use anyhow::ensure;
use clap::{Args, ValueEnum};
use tokio::time::Instant;

use crate::cli::arguments::{ConfigArguments, LogArguments};
use crate::cli::run::{print, run_to_end, usage};
use crate::exposition;
use crate::exposition::Format;
use crate::scrape::engine::Selection;
use crate::scrape::reload::{ConfigPaths, LiveConfig};

#[derive(Args)]
pub struct ScrapeArguments {
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

pub fn run(arguments: ScrapeArguments) -> anyhow::Result<()> {
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
    let files: ConfigPaths = arguments.config.into();
    run_to_end(async {
        let engine = LiveConfig::once(&files)?;
        engine.check(&selection).map_err(usage)?;
        let blocks = engine.scrape(&selection, Instant::now() + engine.settings.scrape_timeout).await;
        print(&exposition::render(&blocks, format))?;
        let down = engine.targets.iter().filter(|target| selection.has_target(target) && !target.last_status().up);
        let down: Vec<_> = down.map(|target| target.name()).collect();
        ensure!(down.is_empty(), "down: {}", down.join(", "));
        Ok(())
    })
}
