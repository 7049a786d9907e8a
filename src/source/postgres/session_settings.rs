//! The settings of our sessions, so that no setting of a server, database or role changes what our SQL means or whether it runs.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::time::Instant;

/// The name of a setting, its value as SQL sets it, and the first major version that has it.
type Setting = (&'static str, &'static str, u32);

/// All settings of a session. `tests/surroundings.rs` tries each setting that a user can change, and finds those
/// missing here.
const SETTINGS: [Setting; 20] = [
    // First, because it ends a transaction that takes longer, this one included.
    ("transaction_timeout", "0", 17),
    ("statement_timeout", "1s", 0),
    ("lock_timeout", "100ms", 0),
    ("idle_in_transaction_session_timeout", "10s", 0),
    ("idle_session_timeout", "0", 14),
    // With pg_temp not named last, temporary tables, which a pooler's other clients may leave, would come first.
    ("search_path", "pg_catalog, pg_temp", 0),
    ("default_transaction_read_only", "on", 0),
    // A replica refuses all statements of a serializable transaction; a deferrable one waits until no writer is active.
    ("default_transaction_isolation", "read committed", 0),
    ("default_transaction_deferrable", "off", 0),
    // How SQL is read.
    ("standard_conforming_strings", "on", 0),
    ("transform_null_equals", "off", 0),
    // How SQL converts values to text.
    ("quote_all_identifiers", "off", 0),
    ("extra_float_digits", "1", 0),
    ("DateStyle", "ISO, MDY", 0),
    ("IntervalStyle", "postgres", 0),
    // A skipped query is an error on the server first.
    ("exit_on_error", "off", 0),
    ("client_min_messages", "error", 0),
    ("jit", "off", 0),
    // The applications need the workers of parallel queries.
    ("max_parallel_workers_per_gather", "0", 0),
    // With less, pg_stat_statements spills 7 MB to disk at 20,000 entries.
    ("work_mem", "32MB", 0),
];

/// The name of the marker: a setting that means nothing to the server, and that no pooler keeps for its clients. Where
/// it has the value from our startup packet, the server's session is ours alone.
const MARKER: &str = "pgvigil.session";

/// The marker of a target's sessions.
#[derive(Clone)]
pub struct SessionMarker {
    /// It is random, so that no setting of a database or role can equal it.
    value: Arc<str>,
    /// When a pooler last refused our settings in the startup packet: it logs each refusal.
    refused: Arc<Mutex<Option<Instant>>>,
}

/// After this long the settings are sent again: another pooler may be behind the address by then, or none.
const REFUSAL_LIFETIME: Duration = Duration::from_secs(3600);

impl Default for SessionMarker {
    fn default() -> Self {
        // The operating system seeds the state.
        let value = format!("{:016x}", RandomState::new().hash_one(SystemTime::now()));
        SessionMarker { value: value.into(), refused: Arc::default() }
    }
}

impl SessionMarker {
    /// The SQL condition that the session has the marker.
    pub fn sql_condition(&self) -> String {
        format!("pg_catalog.current_setting('{MARKER}', true) OPERATOR(pg_catalog.=) '{}'", self.value)
    }

    /// The startup packet's `options`, unless a pooler refused them lately.
    pub fn startup_options(&self) -> Option<String> {
        let is_refused = self.refused.lock().is_some_and(|at| at.elapsed() < REFUSAL_LIFETIME);
        let options = STARTUP.map(|(name, value)| format!(" -c {name}={value}"));
        (!is_refused).then(|| format!("-c {MARKER}={}{}", self.value, options.concat()))
    }

    pub fn note_refusal(&self) {
        *self.refused.lock() = Some(Instant::now());
    }
}

/// The settings of the startup packet, beside the marker: those that a login itself needs. It reads catalogues, and may
/// run a login trigger that writes, which a role with `default_transaction_read_only = on` could not. All others are
/// applied once the session is known to be ours, since the startup packet hides the server's own values, which the
/// collector `settings` reports.
const STARTUP: [(&str, &str); 2] = [("lock_timeout", "100ms"), ("default_transaction_read_only", "off")];

/// Begins a transaction independently of the session's defaults.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED, READ ONLY, NOT DEFERRABLE";

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
    let set = settings(major).filter(|(name, ..)| !name.starts_with("default_transaction_"));
    let set = set.map(|(name, value, _)| match *name {
        // A list: quoted, it would be one name.
        "search_path" | "DateStyle" => format!("SET LOCAL {name} = {value}"),
        "statement_timeout" => format!("SET LOCAL statement_timeout = {}", statement_timeout.as_millis()),
        name => format!("SET LOCAL {name} = '{value}'"),
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
    let remaining = settings(major).filter(|(name, value, _)| !STARTUP.contains(&(*name, *value)));
    let set = remaining.map(|(name, value, _)| format!("pg_catalog.set_config('{name}', '{value}', false)"));
    // Texts that are not UTF-8 are not converted.
    let raw = "CASE WHEN pg_catalog.current_setting('server_encoding') OPERATOR(pg_catalog.<>) 'UTF8' \
               THEN pg_catalog.set_config('client_encoding', 'SQL_ASCII', false) END";
    format!("SELECT {}, {raw} WHERE {}", set.collect::<Vec<_>>().join(", "), marker.sql_condition())
}

fn settings(major: u32) -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().filter(move |setting| setting.2 <= major)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn refused_options_are_sent_again_after_an_hour() {
        let marker = SessionMarker::default();
        assert!(marker.startup_options().is_some());
        marker.note_refusal();
        tokio::time::advance(Duration::from_secs(3599)).await;
        assert!(marker.startup_options().is_none());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(marker.startup_options().is_some());
    }
}
