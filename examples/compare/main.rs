//! What pgvigil costs, and what other exporters cost that tell the same, on a server of a chosen size: `make bench`.
//!
//! docs/costs.md says how each figure comes about and how to read them.

// It waits for real processes, on threads of its own.
#![allow(clippy::disallowed_methods)]

mod clock;
mod exporters;
mod figures;
mod pool_and_cache;
mod report;
mod service;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::path::PathBuf;

use clap::Parser;

use self::{
    exporters::{DATABASE, Exporter, RAISED, find},
    figures::Figures,
    pool_and_cache::PoolAndCache,
    service::Service,
    support::{Postgres, size, template},
};

/// What `pgvigil export grants` prints.
const GRANTS: &str = include_str!("../../src/cli/grants.sql");

/// Compares exporters on a server of a chosen size.
#[derive(Parser)]
pub struct Arguments {
    /// Tables of each database.
    #[arg(long, default_value_t = 1000)]
    tables: usize,
    /// Indexes of each table.
    #[arg(long, default_value_t = 3)]
    indexes: usize,
    #[arg(long, default_value_t = 1)]
    databases: usize,
    /// Statements in pg_stat_statements.
    #[arg(long, default_value_t = 5000)]
    statements: usize,
    /// PostgreSQL's version.
    #[arg(long, default_value_t = 15)]
    postgres: u32,
    /// Scrapes of each exporter.
    #[arg(long, default_value_t = 10)]
    scrapes: usize,
    /// How long each exporter is scraped as in service, each of several times; 0: not at all.
    #[arg(long, default_value_t = 4)]
    minutes: u32,
    /// Where the other exporters' programs are, if not on the path.
    #[arg(long)]
    peers: Option<PathBuf>,
    #[arg(long, default_value = "target/release/pgvigil")]
    pgvigil: PathBuf,
}

fn main() {
    let arguments = Arguments::parse();
    let pgvigil = arguments.pgvigil.canonicalize().expect("pgvigil is built: cargo build --release");
    let server = server(&arguments);
    let default = Exporter::pgvigil("pgvigil, default caps", "pgvigil", &pgvigil, &server, "", false);
    let raised = Exporter::pgvigil("pgvigil, caps raised", "pgvigil_raised", &pgvigil, &server, RAISED, false);
    let peers = peers(&arguments, &server);
    let mut rows: Vec<Figures> = Vec::new();
    for exporter in [&default, &raised].into_iter().chain(&peers) {
        match figures::measure(exporter, &server, arguments.scrapes) {
            Ok(figures) => rows.push(figures),
            Err(why) => println!("not compared, because a scrape failed: {why}"),
        }
    }
    let pool_and_cache = PoolAndCache::measure(&pgvigil, &server);
    let service = (arguments.minutes > 0).then(|| Service::measure(&pgvigil, &server, arguments.minutes, &peers));
    report::print(
        &rows,
        &figures::Asked::new(&raised, &server),
        service.as_ref(),
        &pool_and_cache,
        arguments.tables * arguments.databases,
    );
    drop(server);
    template::clear();
}

/// A server with so much in it, a role for each exporter, and nothing else to do.
fn server(arguments: &Arguments) -> Postgres {
    let server = Postgres::builder(arguments.postgres)
        .config("autovacuum = off\ntrack_io_timing = on\nshared_buffers = 512MB\nmax_wal_size = 8GB")
        .config("max_connections = 600\npg_stat_statements.max = 30000")
        .start();
    let Arguments { databases, tables, indexes, statements, .. } = *arguments;
    println!("{databases} databases with {tables} tables of {indexes} indexes, {statements} statements");
    size::fill_databases(&server, databases, tables, indexes);
    server.sql(DATABASE, "CREATE EXTENSION pg_stat_statements");
    size::fill_statements(&server, DATABASE, statements);
    for role in ["pgvigil", "pgvigil_raised", "postgres_exporter", "exporter_in_rust"] {
        server.create_role(role, "IN ROLE pg_monitor");
    }
    server.sql(DATABASE, GRANTS);
    server.sql("postgres", "CHECKPOINT");
    server
}

/// Those that are installed. Of the others a line says how to get them.
fn peers(arguments: &Arguments, server: &Postgres) -> Vec<Exporter> {
    let found = |names: &[&str]| {
        let program = names.iter().find_map(|name| find(name, arguments.peers.as_deref()));
        if program.is_none() {
            println!("not compared, because it is not installed: {} (docs/costs.md)", names[0]);
        }
        program
    };
    let postgres_exporter = found(&["postgres_exporter", "prometheus-postgres-exporter"]);
    let pg_exporter = found(&["pg_exporter"]);
    let one = postgres_exporter.map(|program| Exporter::postgres_exporter(&program, server, arguments.databases));
    let other = pg_exporter.map(|program| Exporter::pg_exporter(&program, server));
    one.into_iter().chain(other).collect()
}
