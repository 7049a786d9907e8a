//! The arguments shared by several commands: the configuration's files, serving, logging.

use std::io;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::scrape::reload::ConfigPaths;

/// The files of the configuration.
#[derive(Args, Clone, Debug)]
pub struct ConfigArguments {
    /// The settings file (pgvigil.yaml)
    #[arg(long, value_name = "FILE", env = "PGVIGIL_CONFIG")]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    pub collectors: CollectorFiles,
}

#[derive(Args, Clone, Debug)]
pub struct CollectorFiles {
    /// A folder of collector files of your own; one with the name of a shipped collector replaces it
    #[arg(long, value_name = "DIR", env = "PGVIGIL_COLLECTORS")]
    pub collectors: Option<PathBuf>,
}

impl From<ConfigArguments> for ConfigPaths {
    fn from(arguments: ConfigArguments) -> Self {
        ConfigPaths { settings: arguments.config, collectors: arguments.collectors.collectors, web: None }
    }
}

/// How our own pages are served.
#[derive(Args, Clone, Debug)]
pub struct WebArguments {
    /// TLS, users and headers of the pages, in the same format as for other exporters (docs/web.md)
    #[arg(long = "web.config.file", value_name = "FILE", env = "PGVIGIL_WEB_CONFIG_FILE")]
    pub web_config: Option<PathBuf>,
}

/// Logging, to standard error.
#[derive(Args, Clone, Debug)]
pub struct LogArguments {
    /// The log level: off, error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", env = "PGVIGIL_LOG_LEVEL", default_value = "info")]
    pub log_level: LevelFilter,
    /// The log format
    #[arg(long, value_name = "FORMAT", env = "PGVIGIL_LOG_FORMAT", default_value = "text")]
    pub log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

impl LogArguments {
    pub fn start(&self) {
        let ours = Targets::new().with_target("pgvigil", self.log_level);
        let layer = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_target(false);
        let registry = tracing_subscriber::registry().with(ours);
        // A second start in one process keeps the first one's logs.
        _ = match self.log_format {
            LogFormat::Text => registry.with(layer.with_ansi(io::IsTerminal::is_terminal(&io::stderr()))).try_init(),
            LogFormat::Json => registry.with(layer.json()).try_init(),
        };
    }
}
