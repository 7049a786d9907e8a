//! What our sessions set for themselves, so that no setting of a server, database or role changes what our SQL means or whether it runs.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::{Duration, SystemTime},
};

/// One setting, in the words in which SQL sets it.
pub struct Setting {
    name: &'static str,
    value: &'static str,
    /// The first major version that has it.
    since: u32,
}

const fn setting(name: &'static str, value: &'static str) -> Setting {
    Setting { name, value, since: 0 }
}

/// Every one that a session of ours has. `tests/surroundings.rs` tries each setting that a user can change, and finds those that are missing here.
const SETTINGS: [Setting; 20] = [
    // First, because it ends a transaction that takes longer, this one too.
    Setting { since: 17, ..setting("transaction_timeout", "0") },
    setting("statement_timeout", "1s"),
    setting("lock_timeout", "100ms"),
    setting("idle_in_transaction_session_timeout", "10s"),
    Setting { since: 14, ..setting("idle_session_timeout", "0") },
    // Without pg_temp named last, temporary tables, which a pooler's other clients may leave, would come first.
    setting("search_path", "pg_catalog, pg_temp"),
    setting("default_transaction_read_only", "on"),
    // A replica refuses every statement of a serializable transaction; a deferrable one waits until no writer is under way.
    setting("default_transaction_isolation", "read committed"),
    setting("default_transaction_deferrable", "off"),
    // How SQL is read.
    setting("standard_conforming_strings", "on"),
    setting("transform_null_equals", "off"),
    // How values are written where SQL makes text of them.
    setting("quote_all_identifiers", "off"),
    setting("extra_float_digits", "1"),
    setting("DateStyle", "ISO, MDY"),
    setting("IntervalStyle", "postgres"),
    // What is skipped on a server is an error first.
    setting("exit_on_error", "off"),
    setting("client_min_messages", "error"),
    setting("jit", "off"),
    // The workers of parallel queries are the applications'.
    setting("max_parallel_workers_per_gather", "0"),
    // pg_stat_statements spills 7 MB to disk at 20,000 entries with less.
    setting("work_mem", "32MB"),
];

/// A setting that means nothing to the server, and no pooler keeps for its clients: where it has the value that a startup packet of ours gave it, the
/// server's session is ours alone.
const MARK: &str = "pgvigil.session";

/// The value of the mark: nobody else knows it, so no setting of a database or role can pass for it.
#[derive(Clone, Debug)]
pub struct Mark(Arc<str>);

impl Default for Mark {
    fn default() -> Self {
        // Keyed by the system's chance.
        Mark(format!("{:016x}", RandomState::new().hash_one(SystemTime::now())).into())
    }
}

impl Mark {
    /// As SQL asks whether the session has it.
    pub fn is_there(&self) -> String {
        format!("pg_catalog.current_setting('{MARK}', true) OPERATOR(pg_catalog.=) '{}'", self.0)
    }
}

/// What travels in the startup packet: the mark, and what a login itself needs. It reads catalogues, and may run a trigger, which may write: as a role
/// of ours would that `ALTER ROLE .. SET default_transaction_read_only = on` binds. All else is set once the session is known to be ours, since what the
/// startup packet sets hides what the server has, and the collector `settings` tells what the server has.
const STARTUP: [(&str, &str); 2] = [("lock_timeout", "100ms"), ("default_transaction_read_only", "off")];

/// How a transaction begins whatever the session's defaults are.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED, READ ONLY, NOT DEFERRABLE";

/// The startup packet's `options`.
pub fn startup_options(mark: &Mark) -> String {
    let options = STARTUP.map(|(name, value)| format!(" -c {name}={value}"));
    format!("-c {MARK}={}{}", mark.0, options.concat())
}

/// How texts pass between the server and us.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Texts {
    /// As UTF-8, whatever the database has.
    Converted,
    /// As the bytes that they are there.
    Raw,
}

impl Texts {
    fn encoding(self) -> &'static str {
        match self {
            Texts::Converted => "UTF8",
            Texts::Raw => "SQL_ASCII",
        }
    }
}

/// Begins a transaction with every setting of a session, for it alone. A server that speaks another encoding than UTF-8 is asked for its bytes
/// as they are, which the decoder makes sense of.
pub fn begin(major: u32, limit: Duration, texts: Texts) -> String {
    let set = of(major).filter(|setting| !setting.name.starts_with("default_transaction_"));
    let set = set.map(|setting| match setting.name {
        // A list: quoted, it would be one name.
        "search_path" | "DateStyle" => format!("SET LOCAL {} = {}", setting.name, setting.value),
        "statement_timeout" => format!("SET LOCAL statement_timeout = {}", limit.as_millis()),
        name => format!("SET LOCAL {name} = '{}'", setting.value),
    });
    let encoding = format!("SET LOCAL client_encoding = '{}'", texts.encoding());
    [BEGIN.to_owned()].into_iter().chain(set).chain([encoding]).collect::<Vec<_>>().join("; ")
}

/// Sets them for the session, if it is ours; a row comes back if it is. Every name is qualified: what `search_path` was is not known.
pub fn settle(major: u32, mark: &Mark) -> String {
    let late = of(major).filter(|setting| !STARTUP.contains(&(setting.name, setting.value)));
    let set = late.map(|Setting { name, value, .. }| format!("pg_catalog.set_config('{name}', '{value}', false)"));
    // Bytes as they are, where they are not UTF-8.
    let raw = "CASE WHEN pg_catalog.current_setting('server_encoding') OPERATOR(pg_catalog.<>) 'UTF8' \
               THEN pg_catalog.set_config('client_encoding', 'SQL_ASCII', false) END";
    format!("SELECT {}, {raw} WHERE {}", set.collect::<Vec<_>>().join(", "), mark.is_there())
}

fn of(major: u32) -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().filter(move |setting| setting.since <= major)
}
