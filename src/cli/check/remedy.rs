//! What would give what is missing, read off the server's words.

use crate::collector::OWN_FUNCTIONS;

const ENCODING: &str = "a statement text of another database cannot be converted to this database's encoding: log in to a database with \
     encoding UTF8; if this one has it, the text is from a SQL_ASCII database: run pg_stat_statements_reset(0, OID) with that database's oid";

/// Words of a server or pooler, and what would help.
const SETTLED: [(&str, &str); 8] = [
    ("not allowed [", "add @user@ to `stats_users` in pgbouncer.ini, and RELOAD"),
    (
        "statement pooling mode",
        "pgvigil needs transactions: in pgbouncer.ini set `pool_mode = transaction` for the user @user@ (section [users]), and RELOAD",
    ),
    (
        "in a read-only transaction",
        "a login trigger writes: run ALTER ROLE @role@ RESET default_transaction_read_only;",
    ),
    ("[54001]", "run ALTER ROLE @role@ RESET max_stack_depth;"),
    ("temp_file_limit", "run ALTER ROLE @role@ RESET temp_file_limit;"),
    ("[22P05]", ENCODING),
    ("[22021]", ENCODING),
    ("default conversion function", ENCODING),
];

/// The words to add to what the server said, empty where nothing is known to help.
pub fn remedy(message: &str, user: &str) -> String {
    if let Some(name) = bare_name(message) {
        return format!("; only pg_catalog is searched: put the schema before the name, as in public.{name}");
    }
    if let Some((_, what)) = SETTLED.iter().find(|(words, _)| message.contains(words)) {
        return format!("; {}", what.replace("@role@", &quoted(user)).replace("@user@", user));
    }
    if let Some((_, rule)) = message.split_once(" needs ").filter(|_| message.contains(": NOPERM")) {
        return format!("; run ACL SETUSER {user} {}", rule.split(':').next().unwrap_or_default());
    }
    let Some((_, denied)) = message.split_once("permission denied for ") else { return String::new() };
    let Some((kind, name)) = kind_and_name(denied) else { return String::new() };
    let right = match kind {
        "function" if name.starts_with("pg_") => return format!("; run {}", grant("pg_monitor", user)),
        "function" => format!("EXECUTE ON FUNCTION {name}"),
        "schema" if name == OWN_FUNCTIONS => {
            let execute = grant(&format!("EXECUTE ON ALL FUNCTIONS IN SCHEMA {name}"), user);
            return format!("; run {} {execute}", grant(&format!("USAGE ON SCHEMA {name}"), user));
        }
        "schema" => format!("USAGE ON SCHEMA {name}"),
        _ => format!("SELECT ON {name}"),
    };
    format!("; run {}", grant(&right, user))
}

/// The statement that grants it.
pub fn grant(right: &str, user: &str) -> String {
    format!("GRANT {right} TO {};", quoted(user))
}

/// As SQL writes it.
pub fn quoted(user: &str) -> String {
    format!("\"{}\"", user.replace('"', "\"\""))
}

/// A name may hold spaces; the error's code ends the message.
fn kind_and_name(denied: &str) -> Option<(&'static str, &str)> {
    let denied = denied.rfind(" [").map_or(denied, |end| &denied[..end]);
    let kinds = ["function", "schema", "table", "view", "materialized view", "foreign table"];
    kinds.into_iter().find_map(|kind| Some((kind, denied.strip_prefix(kind)?.strip_prefix(' ')?)))
}

/// The name that was not found, if it was written without a schema and may be one of the user's.
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
        for (message, expected) in [
            ("relation \"outbox\" does not exist [42P01]", "put the schema before the name, as in public.outbox"),
            ("function f(integer) does not exist [42883]", "as in public.f"),
            ("relation \"public.outbox\" does not exist [42P01]", ""),
            ("relation \"pg_new_view\" does not exist [42P01]", ""),
            ("column \"x\" does not exist [42703]", ""),
            ("permission denied for table outbox [42501]", "run GRANT SELECT ON outbox TO \"me\";"),
            ("permission denied for table Out Box [42501]", "run GRANT SELECT ON Out Box TO \"me\";"),
            ("permission denied for materialized view m [42501]", "run GRANT SELECT ON m TO \"me\";"),
            ("permission denied for schema shop [42501]", "run GRANT USAGE ON SCHEMA shop TO \"me\";"),
            (
                "permission denied for schema pgvigil [42501]",
                "run GRANT USAGE ON SCHEMA pgvigil TO \"me\"; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA pgvigil TO \"me\";",
            ),
            ("permission denied for function pg_ls_waldir [42501]", "run GRANT pg_monitor TO \"me\";"),
            ("permission denied for database shop [42501]", ""),
            ("not allowed [08P01]", "add me to `stats_users` in pgbouncer.ini, and RELOAD"),
            (
                "temporary file size exceeds temp_file_limit (0kB) [53400]",
                "run ALTER ROLE \"me\" RESET temp_file_limit;",
            ),
            ("stack depth limit exceeded [54001]", "run ALTER ROLE \"me\" RESET max_stack_depth;"),
            ("CONFIG GET needs +config|get: NOPERM this user: no", "run ACL SETUSER me +config|get"),
            ("CONFIG GET does not exist here: ERR unknown command", ""),
        ] {
            let told = remedy(message, "me");
            assert!(told.ends_with(expected) && told.is_empty() == expected.is_empty(), "{message}: {told}");
        }
        assert_eq!(grant("pg_monitor", "a\"b"), "GRANT pg_monitor TO \"a\"\"b\";");
    }
}
