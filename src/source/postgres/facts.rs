//! What a server is, and which SQL of a collector fits it.

use std::borrow::Cow;

use tokio::time::Instant;

use crate::{
    config::collector::{Collector, Query, Role, Variant},
    source::{FetchError, Reason},
};

/// Stands in a collector's SQL for the quoted schema of the extension it requires.
pub const EXTENSION_SCHEMA: &str = "@extschema@";

/// What a server is, as it said when last asked.
#[derive(Clone, Debug)]
pub struct Facts {
    pub major: u32,
    pub replica: bool,
    /// Our session settings did not take: a transaction pooler stands between.
    pub pooled: bool,
    /// Our role is a member of pg_monitor.
    pub monitor: bool,
    /// Where we are logged in, and where the extensions are.
    pub database: String,
    pub extensions: Vec<Installed>,
    pub read_at: Instant,
}

/// An installed extension; `schema` is quoted.
#[derive(Clone, Debug)]
pub struct Installed {
    pub name: String,
    pub version: String,
    pub schema: String,
}

impl Facts {
    /// The SQL for this server, or why there is none.
    pub fn applicable<'a>(
        &self,
        collector: &Collector,
        query: &'a Query,
    ) -> Result<(&'a Variant, Cow<'a, str>), FetchError> {
        let skip = |reason, message: String| Err(FetchError::new(reason, message));
        match (collector.role, self.replica) {
            (Role::Primary, true) => return skip(Reason::Role, "asked on a primary only; this is a replica".into()),
            (Role::Replica, false) => return skip(Reason::Role, "asked on a replica only; this is a primary".into()),
            _ => (),
        }
        let Some(variant) = query.variant(self.major) else {
            return skip(Reason::Version, format!("has no form for PostgreSQL {}", self.major));
        };
        let Some(wanted) = &query.requires else { return Ok((variant, Cow::Borrowed(&variant.text))) };
        let Some(installed) = self.extensions.iter().find(|e| e.name == wanted.name) else {
            let (name, database) = (&wanted.name, &self.database);
            return skip(
                Reason::Extension,
                format!("extension {name} is not installed; run CREATE EXTENSION {name}; in database {database}"),
            );
        };
        let have: Vec<u32> = installed.version.split('.').map_while(|part| part.parse().ok()).collect();
        if have < wanted.version {
            let (name, has) = (&wanted.name, &installed.version);
            return skip(
                Reason::Extension,
                format!("extension {name} is too old ({has}); run ALTER EXTENSION {name} UPDATE;"),
            );
        }
        Ok((variant, Cow::Owned(variant.text.replace(EXTENSION_SCHEMA, &installed.schema))))
    }
}
