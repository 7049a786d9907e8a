//! The command line: arguments, logging, exit codes (0 done, 1 failed, 2 bad usage or input).

mod check;
pub mod export;
mod links;
mod probe;
mod scrape;
mod serve;
mod tip;

use std::{ffi::OsString, io, path::PathBuf, process::ExitCode, time::Duration};

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

use crate::{collector::catalogue::Catalogue, docs, schema::problem::Problems, scrape::reload::ConfigPaths};

/// Watches PostgreSQL servers and tells Prometheus the truth about them.
///
/// Without a command it serves. Targets come from a settings file (--config) or, without one, from
/// PGVIGIL_POSTGRES_URL (or DATABASE_URL) and PGVIGIL_REPLICA_URLS (or DATABASE_READ_URLS, comma-separated). PGVIGIL_PROBE_URL
/// makes a probe of the paths an application may take.
///
///   PGVIGIL_POSTGRES_URL=postgresql://pgvigil:secret@db1/postgres pgvigil
#[derive(Parser)]
#[command(name = "pgvigil", version, args_conflicts_with_subcommands = true, verbatim_doc_comment)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::ServeArguments,
}

#[derive(Subcommand)]
enum Command {
    /// Serve metrics over HTTP until SIGTERM (what happens without a command)
    Serve(serve::ServeArguments),
    /// Check settings and collectors; all problems at once, exit code 2 if there are any
    Check(check::CheckArguments),
    /// Scrape once and print the page
    Scrape(scrape::ScrapeArguments),
    /// Measure each path of a probe for some rounds, and say what a client would feel
    Probe(probe::ProbeArguments),
    /// Print every metric there is, as Markdown
    Docs(CollectorFiles),
    /// Print or write what pgvigil ships: collectors, rules, the role's SQL, the manual, completions of shells
    #[command(subcommand)]
    Export(export::Export),
}

/// Where the configuration is.
#[derive(Args, Clone, Debug)]
struct ConfigArguments {
    /// The settings file (pgvigil.yaml)
    #[arg(long, value_name = "FILE", env = "PGVIGIL_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    collectors: CollectorFiles,
}

#[derive(Args, Clone, Debug)]
struct CollectorFiles {
    /// A folder of collector files of your own; one with the name of a shipped collector replaces it
    #[arg(long, value_name = "DIR", env = "PGVIGIL_COLLECTORS")]
    collectors: Option<PathBuf>,
}

impl From<ConfigArguments> for ConfigPaths {
    fn from(arguments: ConfigArguments) -> Self {
        ConfigPaths { settings: arguments.config, collectors: arguments.collectors.collectors, web: None }
    }
}

/// How our own pages are served.
#[derive(Args, Clone, Debug)]
struct WebArguments {
    /// TLS, users and headers of the pages, as other exporters have them (docs/web.md)
    #[arg(long = "web.config.file", value_name = "FILE", env = "PGVIGIL_WEB_CONFIG_FILE")]
    web_config: Option<PathBuf>,
}

/// How to log. Logs go to standard error.
#[derive(Args, Clone, Debug)]
struct LogArguments {
    /// What to log: off, error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", env = "PGVIGIL_LOG_LEVEL", default_value = "info")]
    log_level: LevelFilter,
    /// How to log
    #[arg(long, value_name = "FORMAT", env = "PGVIGIL_LOG_FORMAT", default_value = "text")]
    log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

impl LogArguments {
    fn start(&self) {
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

/// Why a command ends with an exit code other than 0.
enum CommandError {
    /// Bad input: 2.
    Input(Problems),
    /// An argument that names nothing: 2.
    Usage(String),
    /// Anything else: 1.
    Failed(anyhow::Error),
}

impl From<Problems> for CommandError {
    fn from(problems: Problems) -> Self {
        CommandError::Input(problems)
    }
}

impl From<anyhow::Error> for CommandError {
    fn from(error: anyhow::Error) -> Self {
        CommandError::Failed(error)
    }
}

impl From<io::Error> for CommandError {
    fn from(error: io::Error) -> Self {
        CommandError::Failed(error.into())
    }
}

/// Runs the program with these arguments (the first is its name).
pub fn main(arguments: impl IntoIterator<Item = impl Into<OsString>>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(mut error) => {
            tip::add(&mut error, &Cli::command(), &arguments);
            // Help and version are "errors" of exit code 0. Nobody is left to tell if this cannot be printed.
            _ = error.print();
            return ExitCode::from(error.exit_code() as u8);
        }
    };
    let result = match cli.command {
        None => serve::run(cli.serve),
        Some(Command::Serve(arguments)) => serve::run(arguments),
        Some(Command::Check(arguments)) => check::run(arguments),
        Some(Command::Scrape(arguments)) => scrape::run(arguments),
        Some(Command::Probe(arguments)) => probe::run(arguments),
        Some(Command::Docs(files)) => print_docs(&files),
        Some(Command::Export(what)) => export::run(what),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(CommandError::Input(problems)) => {
            eprintln!("{problems}");
            ExitCode::from(2)
        }
        Err(CommandError::Usage(message)) => {
            eprintln!("pgvigil: {message}");
            ExitCode::from(2)
        }
        Err(CommandError::Failed(error)) => {
            eprintln!("pgvigil: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn print_docs(files: &CollectorFiles) -> Result<(), CommandError> {
    print(&docs::markdown(&Catalogue::load(files.collectors.as_deref())?))
}

/// To standard output; a reader that has gone (`| head`) is no failure.
fn print(text: &(impl AsRef<[u8]> + ?Sized)) -> Result<(), CommandError> {
    match io::Write::write_all(&mut io::stdout().lock(), text.as_ref()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Runs it, and ends soon after it: lookups of names and reads of files run in threads that cannot be stopped.
fn run_to_end(work: impl Future<Output = Result<(), CommandError>>) -> Result<(), CommandError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(work);
    // Sessions that ended with it say goodbye.
    runtime.block_on(tokio::task::yield_now());
    runtime.shutdown_timeout(Duration::from_millis(200));
    result
}
