//! What a server is, and which SQL of a collector fits it.

use std::borrow::Cow;

use tokio::time::Instant;

use crate::{
    config::collector::{Collector, Extension, Query, Role, Rows, Variant},
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
    /// The database's encoding is SQL_ASCII: a name may hold any bytes, and the server would refuse to call them UTF-8.
    pub any_bytes: bool,
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
        match (collector.role, self.replica) {
            (Role::Primary, true) => return Err(skip(Reason::Role, "asked on a primary only; this is a replica")),
            (Role::Replica, false) => return Err(skip(Reason::Role, "asked on a replica only; this is a primary")),
            _ => (),
        }
        let variant = query.variant(self.major).ok_or_else(|| self.no_variant(query))?;
        let Some(wanted) = &query.requires else { return Ok((variant, Cow::Borrowed(&variant.text))) };
        let installed = self.installed(wanted)?;
        Ok((variant, Cow::Owned(variant.text.replace(EXTENSION_SCHEMA, &installed.schema))))
    }

    fn no_variant(&self, query: &Query) -> FetchError {
        let Rows::Sql(variants) = &query.rows else { return skip(Reason::Version, "has no SQL") };
        let fits = match variants.iter().filter(|variant| variant.since > self.major).map(|v| v.since).min() {
            Some(since) => format!("needs PostgreSQL {since} or later"),
            None => "is for an older PostgreSQL".to_owned(),
        };
        skip(Reason::Version, format!("{fits}; this is {}", self.major))
    }

    fn installed(&self, wanted: &Extension) -> Result<&Installed, FetchError> {
        let (name, database) = (&wanted.name, &self.database);
        let Some(installed) = self.extensions.iter().find(|extension| extension.name == *name) else {
            let remedy = format!("run CREATE EXTENSION {name}; in database {database}");
            return Err(skip(Reason::Extension, format!("extension {name} is not installed; {remedy}")));
        };
        let have: Vec<u32> = installed.version.split('.').map_while(|part| part.parse().ok()).collect();
        if have < wanted.version {
            let remedy = format!("run ALTER EXTENSION {name} UPDATE; in database {database}");
            let has = &installed.version;
            return Err(skip(Reason::Extension, format!("extension {name} is too old ({has}); {remedy}")));
        }
        Ok(installed)
    }
}

fn skip(reason: Reason, message: impl Into<String>) -> FetchError {
    FetchError::new(reason, message)
}
