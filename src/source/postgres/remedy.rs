//! Remedies for the refusals of a PostgreSQL server or a pooler, by SQLSTATE and message.

use crate::collector::OWN_FUNCTIONS;
use crate::source::remedy::Remedy;

const ENCODING: &str = "a statement text of another database cannot be converted to this database's encoding: log in to a database with \
     encoding UTF8; if this one has it, the text is from a SQL_ASCII database: run pg_stat_statements_reset(0, OID) with that database's oid";

const PRELOAD: &str = "add it to shared_preload_libraries in postgresql.conf, and restart the server";

const SLOW: &str = "a collector without `ttl` has 1 s: give it a `ttl`, or, if it has one, a longer `timeout`";

/// The known remedy for an error with this SQLSTATE and message.
pub fn find(code: &str, message: &str) -> Option<Remedy> {
    match code {
        "42501" => missing_right(message),
        "42P01" | "42704" | "42883" if let Some(name) = bare_name(message) => {
            let advice = format!("only pg_catalog is searched: put the schema before the name, as in public.{name}");
            Some(Remedy::Advice(advice.into()))
        }
        "28P01" => Some(Remedy::Password),
        "28000" if message.contains("pg_hba.conf") => Some(Remedy::HostRule),
        "3D000" => Some(Remedy::Advice("name a database that exists, such as postgres, in `dbname`".into())),
        "55000" if message.contains("shared_preload_libraries") => Some(Remedy::Advice(PRELOAD.into())),
        "57014" if message.contains("statement timeout") => Some(Remedy::Advice(SLOW.into())),
        "22P05" | "22021" => Some(Remedy::Advice(ENCODING.into())),
        "42883" if message.starts_with("default conversion function") => Some(Remedy::Advice(ENCODING.into())),
        "53400" if message.contains("temp_file_limit") => Some(Remedy::Reset("temp_file_limit")),
        "54001" => Some(Remedy::Reset("max_stack_depth")),
        // A pooler repeats a server's message with its own code.
        _ if message.contains("authentication failed") => Some(Remedy::Password),
        _ if message.contains("in a read-only transaction") => Some(Remedy::WritingLogin),
        _ if message == "not allowed" => Some(Remedy::StatsUser),
        _ if message.contains("statement pooling mode") => Some(Remedy::PoolMode),
        _ => None,
    }
}

fn missing_right(message: &str) -> Option<Remedy> {
    let (_, denied) = message.split_once("permission denied for ")?;
    let kinds = ["function", "schema", "table", "view", "materialized view", "foreign table"];
    let (kind, name) = kinds.iter().find_map(|kind| Some((*kind, denied.strip_prefix(kind)?.strip_prefix(' ')?)))?;
    Some(match kind {
        "function" if name.starts_with("pg_") => Remedy::grant("pg_monitor"),
        "function" => Remedy::grant(format!("EXECUTE ON FUNCTION {name}")),
        "schema" if name == OWN_FUNCTIONS => {
            Remedy::Grant(vec![format!("USAGE ON SCHEMA {name}"), format!("EXECUTE ON ALL FUNCTIONS IN SCHEMA {name}")])
        }
        "schema" => Remedy::grant(format!("USAGE ON SCHEMA {name}")),
        _ => Remedy::grant(format!("SELECT ON {name}")),
    })
}

/// The name that was not found, if it has no schema and may be one of the user's.
fn bare_name(message: &str) -> Option<&str> {
    let (what, _) = message.split_once(" does not exist")?;
    let name = ["relation \"", "type \"", "function "].iter().find_map(|kind| what.strip_prefix(kind))?;
    let name = &name[..name.find(['"', '(']).unwrap_or(name.len())];
    (!name.contains('.') && !name.starts_with("pg_")).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        for (code, message, expected) in [
            ("42P01", "relation \"outbox\" does not exist", "put the schema before the name, as in public.outbox"),
            ("42883", "function f(integer) does not exist", "as in public.f"),
            ("42P01", "relation \"public.outbox\" does not exist", ""),
            ("42P01", "relation \"pg_new_view\" does not exist", ""),
            ("42703", "column \"x\" does not exist", ""),
            ("42501", "permission denied for table outbox", "run GRANT SELECT ON outbox TO \"me\";"),
            ("42501", "permission denied for table Out Box", "run GRANT SELECT ON Out Box TO \"me\";"),
            ("42501", "permission denied for materialized view m", "run GRANT SELECT ON m TO \"me\";"),
            ("42501", "permission denied for schema shop", "run GRANT USAGE ON SCHEMA shop TO \"me\";"),
            (
                "42501",
                "permission denied for schema pgvigil",
                "run GRANT USAGE ON SCHEMA pgvigil TO \"me\"; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA pgvigil TO \"me\";",
            ),
            ("42501", "permission denied for function pg_ls_waldir", "run GRANT pg_monitor TO \"me\";"),
            ("42501", "permission denied for database shop", ""),
            ("28P01", "password authentication failed for user \"me\"", "in psql with \\password me"),
            ("08P01", "password authentication failed", "in psql with \\password me"),
            ("28000", "no pg_hba.conf entry for host \"10.0.0.7\"", "from this machine, and reload the server"),
            ("28000", "role \"me\" does not exist", ""),
            ("3D000", "database \"shopp\" does not exist", "such as postgres, in `dbname`"),
            ("55000", "x must be loaded via shared_preload_libraries", PRELOAD),
            ("57014", "canceling statement due to statement timeout", SLOW),
            ("57014", "canceling statement due to user request", ""),
            ("08P01", "not allowed", "add me to `stats_users` in pgbouncer.ini, and RELOAD"),
            (
                "53400",
                "temporary file size exceeds temp_file_limit (0kB)",
                "run ALTER ROLE \"me\" RESET temp_file_limit;",
            ),
            ("54001", "stack depth limit exceeded", "run ALTER ROLE \"me\" RESET max_stack_depth;"),
            (
                "08P01",
                "server login failed: cannot execute INSERT in a read-only transaction",
                "a login trigger writes: run ALTER ROLE \"me\" RESET default_transaction_read_only;",
            ),
            ("42883", "default conversion function for encoding \"A\" to \"B\" does not exist", ENCODING),
        ] {
            let text = find(code, message).map_or(String::new(), |remedy| remedy.text("me"));
            assert!(text.ends_with(expected) && text.is_empty() == expected.is_empty(), "{message}: {text}");
        }
        assert_eq!(Remedy::grant("pg_monitor").text("a\"b"), "run GRANT pg_monitor TO \"a\"\"b\";");
    }
}
