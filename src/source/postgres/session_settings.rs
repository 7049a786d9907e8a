//! The settings of our sessions, so that no setting of a server, database or role changes what our SQL means or whether it runs.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// One setting, as SQL sets it.
struct Setting {
    name: &'static str,
    value: &'static str,
    /// The first major version that has it.
    since: u32,
}

const fn setting(name: &'static str, value: &'static str) -> Setting {
    Setting { name, value, since: 0 }
}

/// All settings of a session. `tests/surroundings.rs` tries each setting that a user can change, and finds those
/// missing here.
const SETTINGS: [Setting; 20] = [
    // First, because it ends a transaction that takes longer, this one included.
    Setting { since: 17, ..setting("transaction_timeout", "0") },
    setting("statement_timeout", "1s"),
    setting("lock_timeout", "100ms"),
    setting("idle_in_transaction_session_timeout", "10s"),
    Setting { since: 14, ..setting("idle_session_timeout", "0") },
    // With pg_temp not named last, temporary tables, which a pooler's other clients may leave, would come first.
    setting("search_path", "pg_catalog, pg_temp"),
    setting("default_transaction_read_only", "on"),
    // A replica refuses all statements of a serializable transaction; a deferrable one waits until no writer is active.
    setting("default_transaction_isolation", "read committed"),
    setting("default_transaction_deferrable", "off"),
    // How SQL is read.
    setting("standard_conforming_strings", "on"),
    setting("transform_null_equals", "off"),
    // How SQL converts values to text.
    setting("quote_all_identifiers", "off"),
    setting("extra_float_digits", "1"),
    setting("DateStyle", "ISO, MDY"),
    setting("IntervalStyle", "postgres"),
    // A skipped query is an error on the server first.
    setting("exit_on_error", "off"),
    setting("client_min_messages", "error"),
    setting("jit", "off"),
    // The applications need the workers of parallel queries.
    setting("max_parallel_workers_per_gather", "0"),
    // With less, pg_stat_statements spills 7 MB to disk at 20,000 entries.
    setting("work_mem", "32MB"),
];

/// The name of the marker: a setting that means nothing to the server, and that no pooler keeps for its clients. Where
/// it has the value from our startup packet, the server's session is ours alone.
const MARKER: &str = "pgvigil.session";

/// The value of the marker. It is random, so that no setting of a database or role can equal it.
#[derive(Clone, Debug)]
pub struct SessionMarker(Arc<str>);

impl Default for SessionMarker {
    fn default() -> Self {
        // The operating system seeds the state.
        SessionMarker(format!("{:016x}", RandomState::new().hash_one(SystemTime::now())).into())
    }
}

impl SessionMarker {
    /// The SQL condition that the session has the marker.
    pub fn sql_condition(&self) -> String {
        format!("pg_catalog.current_setting('{MARKER}', true) OPERATOR(pg_catalog.=) '{}'", self.0)
    }
}

/// The settings of the startup packet, beside the marker: those that a login itself needs. It reads catalogues, and may
/// run a login trigger that writes, which a role with `default_transaction_read_only = on` could not. All others are
/// applied once the session is known to be ours, since the startup packet hides the server's own values, which the
/// collector `settings` reports.
const STARTUP: [(&str, &str); 2] = [("lock_timeout", "100ms"), ("default_transaction_read_only", "off")];

/// Begins a transaction independently of the session's defaults.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED, READ ONLY, NOT DEFERRABLE";

/// The startup packet's `options`.
pub fn startup_options(marker: &SessionMarker) -> String {
    let options = STARTUP.map(|(name, value)| format!(" -c {name}={value}"));
    format!("-c {MARKER}={}{}", marker.0, options.concat())
}

/// The encoding in which the server and we exchange texts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ClientEncoding {
    /// The server converts.
    Utf8,
    /// The database's bytes, unconverted.
    SqlAscii,
}

/// The SQL that begins a transaction with all settings, which end with it.
pub fn begin_sql(major: u32, statement_timeout: Duration, encoding: ClientEncoding) -> String {
    let set = settings(major).filter(|setting| !setting.name.starts_with("default_transaction_"));
    let set = set.map(|setting| match setting.name {
        // A list: quoted, it would be one name.
        "search_path" | "DateStyle" => format!("SET LOCAL {} = {}", setting.name, setting.value),
        "statement_timeout" => format!("SET LOCAL statement_timeout = {}", statement_timeout.as_millis()),
        name => format!("SET LOCAL {name} = '{}'", setting.value),
    });
    let encoding = match encoding {
        ClientEncoding::Utf8 => "UTF8",
        ClientEncoding::SqlAscii => "SQL_ASCII",
    };
    let encoding = format!("SET LOCAL client_encoding = '{encoding}'");
    [BEGIN.to_owned()].into_iter().chain(set).chain([encoding]).collect::<Vec<_>>().join("; ")
}

/// The SQL that applies all settings to the session if it is ours, and then returns a row. Every name is qualified,
/// because `search_path` is not known yet.
pub fn apply_sql(major: u32, marker: &SessionMarker) -> String {
    let remaining = settings(major).filter(|setting| !STARTUP.contains(&(setting.name, setting.value)));
    let set = remaining.map(|Setting { name, value, .. }| format!("pg_catalog.set_config('{name}', '{value}', false)"));
    // Texts that are not UTF-8 are not converted.
    let raw = "CASE WHEN pg_catalog.current_setting('server_encoding') OPERATOR(pg_catalog.<>) 'UTF8' \
               THEN pg_catalog.set_config('client_encoding', 'SQL_ASCII', false) END";
    format!("SELECT {}, {raw} WHERE {}", set.collect::<Vec<_>>().join(", "), marker.sql_condition())
}

fn settings(major: u32) -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().filter(move |setting| setting.since <= major)
}
