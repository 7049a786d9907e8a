//! The command line: arguments, logging, exit codes (0 done, 1 failed, 2 bad usage or input).

mod arguments;
mod check;
pub mod export;
mod import;
mod links;
mod probe;
mod run;
mod scrape;
mod serve;
mod tip;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::cli::arguments::CollectorFiles;
use crate::cli::run::{print, report};
use crate::collector::catalogue::Catalogue;
use crate::docs;

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
    /// Serve metrics over HTTP until SIGTERM (the default command)
    Serve(serve::ServeArguments),
    /// Check settings and collectors, and report all problems at once; exit code 2 if there are any
    Check(check::CheckArguments),
    /// Scrape once and print the page
    Scrape(scrape::ScrapeArguments),
    /// Measure each path of a probe for some rounds, and report latencies and errors as a client sees them
    Probe(probe::ProbeArguments),
    /// Print all metrics, as Markdown
    Docs(CollectorFiles),
    /// Make collectors of a postgres_exporter's queries.yaml, with comments on what needs a look; runs no query
    Import(import::ImportArguments),
    /// Print or write the shipped files: collectors, rules, the role's SQL, the manual, shell completions
    #[command(subcommand)]
    Export(export::Export),
}

/// Runs the program with these arguments (the first is its name).
pub fn main(arguments: impl IntoIterator<Item = impl Into<OsString>>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(mut error) => {
            tip::add(&mut error, &Cli::command(), &arguments);
            // Help and version are "errors" of exit code 0. If they cannot be printed, there is nowhere to report it.
            _ = error.print();
            return ExitCode::from(error.exit_code() as u8);
        }
    };
    let result = match cli.command.unwrap_or(Command::Serve(cli.serve)) {
        Command::Serve(arguments) => serve::run(arguments),
        Command::Check(arguments) => check::run(arguments),
        Command::Scrape(arguments) => scrape::run(arguments),
        Command::Probe(arguments) => probe::run(arguments),
        Command::Docs(files) => print_docs(&files),
        Command::Import(arguments) => import::run(arguments),
        Command::Export(what) => export::run(what, Cli::command()),
    };
    result.map_or_else(report, |()| ExitCode::SUCCESS)
}

fn print_docs(files: &CollectorFiles) -> anyhow::Result<()> {
    print(&docs::markdown(&Catalogue::load(files.collectors.as_deref())?))
}
