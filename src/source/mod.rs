//! Sources: each fetches tables from one kind of server, tool or machine.

pub mod backup;
pub mod blocking_pool;
pub mod charset;
pub mod disk;
pub mod fetch;
#[cfg(test)]
pub mod fixture;
pub mod kept_session;
pub mod net;
pub mod pending_login;
pub mod pgbouncer;
pub mod postgres;
pub mod redis;
pub mod remedy;
pub mod sections;
pub mod statements;

use std::sync::Arc;

use crate::memory_budget::MemoryBudget;
use crate::settings::Endpoint;
use crate::settings::probe::ProbeSettings;
use crate::source::backup::BackupSource;
use crate::source::disk::DiskSource;
use crate::source::kept_session::KeptSession;
use crate::source::pgbouncer::Console;
use crate::source::postgres::PostgresServer;
use crate::source::redis::RedisServer;
pub use crate::source::sections::Source;

/// The source of this endpoint. The rows of a PostgreSQL server take their memory from `budget`; the layer above, which
/// has the probes, passes `start_probe`.
pub fn of_endpoint(
    endpoint: &Endpoint,
    budget: MemoryBudget,
    start_probe: impl FnOnce(&ProbeSettings) -> Arc<dyn Source>,
) -> Arc<dyn Source> {
    match endpoint.clone() {
        Endpoint::Postgres(settings) => Arc::new(PostgresServer::new(settings, budget)),
        Endpoint::PgBouncer(settings) => Arc::new(KeptSession::new(Console::new(settings))),
        Endpoint::Redis(settings) => Arc::new(KeptSession::new(RedisServer::new(settings))),
        Endpoint::Backup(settings) => Arc::new(BackupSource::new(settings)),
        Endpoint::Disk(settings) => Arc::new(DiskSource::new(settings)),
        Endpoint::Probe(settings) => start_probe(&settings),
    }
}
