//! Selects the SQL of a query that fits a server, or says why none does.

use std::borrow::Cow;

use crate::collector::extension::Extension;
use crate::collector::{Collector, EXTENSION_SCHEMA, OWN_FUNCTIONS, Query, Role, Rows, Variant};
use crate::source::fetch::{FetchError, Reason};
use crate::source::postgres::server_info::{InstalledExtension, ServerInfo};
use crate::source::remedy::Remedy;

/// This extension works only if the server has loaded its library when it started.
const PRELOADED: &str = "pg_stat_statements";

impl ServerInfo {
    /// The SQL for this server, or why there is none. The extensions are those of the `database`.
    pub fn applicable<'a>(
        &self,
        collector: &Collector,
        query: &'a Query,
        database: &str,
    ) -> Result<(&'a Variant, Cow<'a, str>), FetchError> {
        let wrong_role = |message| Err(FetchError::new(Reason::Role, message));
        match (collector.role, self.replica) {
            (Role::Primary, true) => return wrong_role("asked on a primary only; this is a replica"),
            (Role::Replica, false) => return wrong_role("asked on a replica only; this is a primary"),
            _ => (),
        }
        let variant = query.variant(self.major).ok_or_else(|| self.no_variant(query))?;
        let Some(wanted) = &query.requires else { return Ok((variant, Cow::Borrowed(&variant.text))) };
        let installed = self.installed(wanted, database)?;
        Ok((variant, Cow::Owned(variant.text.replace(EXTENSION_SCHEMA, &installed.schema))))
    }

    fn no_variant(&self, query: &Query) -> FetchError {
        let Rows::Sql(variants) = &query.rows else { return FetchError::new(Reason::Version, "has no SQL") };
        let fits = match variants.iter().filter(|variant| variant.since > self.major).map(|v| v.since).min() {
            Some(since) => format!("needs PostgreSQL {since} or later"),
            None => "is for an older PostgreSQL".to_owned(),
        };
        FetchError::new(Reason::Version, format!("{fits}; this is {}", self.major))
    }

    fn installed(&self, wanted: &Extension, database: &str) -> Result<&InstalledExtension, FetchError> {
        let extensions = self.extensions.as_ref().map_err(Clone::clone)?;
        let name = &wanted.name;
        let (problem, statement) = match extensions.iter().find(|extension| extension.name == *name) {
            Some(installed) if installed.version_numbers() >= wanted.version => return Ok(installed),
            Some(InstalledExtension { version, .. }) => {
                (format!("extension {name} is too old ({version})"), format!("ALTER EXTENSION {name} UPDATE;"))
            }
            None if name == OWN_FUNCTIONS => {
                ("the functions of pgvigil are not installed".into(), "the SQL of `pgvigil export grants`".into())
            }
            None if name == PRELOADED => (
                format!(
                    "extension {name} is not installed: its library must be in shared_preload_libraries (a restart)"
                ),
                format!("CREATE EXTENSION {name};"),
            ),
            None => (format!("extension {name} is not installed"), format!("CREATE EXTENSION {name};")),
        };
        let remedy = Remedy::InDatabase { statement, database: database.to_owned() };
        Err(FetchError::new(Reason::Extension, problem).with_remedy(Some(remedy)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::source::postgres::fake_server::{self, primary};
    use crate::source::postgres::server_info::read_server_info;
    use crate::source::postgres::session_settings::SessionMarker;

    #[tokio::test]
    async fn queries_fit_the_server_or_are_skipped() {
        let client = fake_server::client(Arc::new(primary)).await.expect("the login works");
        let primary = read_server_info(&client, 18, &SessionMarker::default()).await.expect("it answers");
        let replica = ServerInfo { replica: true, ..primary.clone() };
        let none = ServerInfo { extensions: Ok(Vec::new()), ..primary.clone() };
        let locked = ServerInfo { extensions: Err(FetchError::new(Reason::LockTimeout, "locked")), ..primary.clone() };
        let sql = "sql: [{since: 15, text: SELECT 1 AS n}]";
        let ext = |version: &str| {
            format!(
                "requires: {{extension: ext, version: {version}}}, sql: [{{since: 13, text: SELECT @extschema@.n() AS n}}]"
            )
        };
        for (info, more, query, expected) in [
            (&primary, "", sql, Ok("SELECT 1 AS n")),
            (&primary, "role: primary\n", sql, Ok("SELECT 1 AS n")),
            (&replica, "role: replica\n", sql, Ok("SELECT 1 AS n")),
            (&replica, "role: primary\n", sql, Err("asked on a primary only; this is a replica (role)")),
            (&primary, "role: replica\n", sql, Err("asked on a replica only; this is a primary (role)")),
            (
                &ServerInfo { major: 14, ..primary.clone() },
                "",
                sql,
                Err("needs PostgreSQL 15 or later; this is 14 (version)"),
            ),
            (
                &primary,
                "",
                "sql: [{since: 13, until: 18, text: SELECT 1 AS n}]",
                Err("is for an older PostgreSQL; this is 18 (version)"),
            ),
            (&primary, "", &ext("'1.10'"), Ok("SELECT public.n() AS n")),
            (&primary, "", &ext("1.9"), Ok("SELECT public.n() AS n")),
            (
                &primary,
                "",
                &ext("1.11"),
                Err("extension ext is too old (1.10) (extension); run ALTER EXTENSION ext UPDATE; in database app"),
            ),
            (
                &none,
                "",
                &ext("1.9"),
                Err("extension ext is not installed (extension); run CREATE EXTENSION ext; in database app"),
            ),
            (
                &none,
                "",
                &ext("1.9").replace("ext,", "pgvigil,"),
                Err(
                    "the functions of pgvigil are not installed (extension); run the SQL of `pgvigil export grants` in database app",
                ),
            ),
            (&locked, "", &ext("1.9"), Err("locked (lock_timeout)")),
        ] {
            let collector = fake_server::collector(more, &format!("{query}, "));
            let found = info.applicable(&collector, &collector.queries[0], "app");
            let found = found.map(|(_, sql)| sql.into_owned()).map_err(|error| error.with_advice("me"));
            assert_eq!(found.as_deref().map_err(String::as_str), expected, "{more}{query}");
        }
    }
}
