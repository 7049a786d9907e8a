//! pg_replication_lag_seconds of states that no server can be brought to at will: clocks that differ, networks that are slow. The query is the one
//! that is shipped; the functions it asks tell what a table says.

use std::fmt::Write;

use pgvigil::collector::{Query, catalogue::Catalogue};

use crate::support::{Postgres, majors};

/// Positions are bytes; times are seconds from now.
struct State {
    what: &'static str,
    /// Replayed at the first look and at the second, received, and where the upstream's WAL ended (`None`: not streaming).
    replayed: [i64; 2],
    upstream: Option<[i64; 2]>,
    /// When the last replayed commit was made, by the primary's clock.
    committed: Option<f64>,
    /// When the upstream sent its last message, by its clock, and when that came, by ours.
    message: [f64; 2],
    waits_for: &'static str,
    delay: &'static str,
    /// What the session remembers: when the replica is known to have had everything, when that was looked at last, and where the upstream's WAL
    /// ended then.
    remembered: Option<(f64, f64, i64)>,
    lag: Option<f64>,
}

const STATE: State = State {
    what: "nothing is pending",
    replayed: [100, 100],
    upstream: Some([100, 100]),
    committed: Some(-600.0),
    message: [-1.0, -1.0],
    waits_for: "RecoveryWalStream",
    delay: "0",
    remembered: None,
    lag: Some(0.0),
};

const MB: i64 = 1 << 20;

const STATES: &[State] = &[
    STATE,
    State { what: "nothing ever came", upstream: Some([100, 0]), committed: None, ..STATE },
    State { what: "WAL ends within a record", upstream: Some([150, 150]), ..STATE },
    State { what: "an idle upstream", message: [-29.0, -29.0], ..STATE },
    State {
        what: "all that came is replayed, and the upstream is far ahead",
        upstream: Some([100, 900 * MB]),
        lag: Some(600.0),
        ..STATE
    },
    State {
        what: "the network is slower than replay",
        replayed: [MB, 2 * MB],
        upstream: Some([MB, 900 * MB]),
        lag: Some(600.0),
        ..STATE
    },
    State {
        what: "replay is about to catch up",
        replayed: [0, 10 * MB],
        upstream: Some([20 * MB, 20 * MB]),
        waits_for: "",
        lag: Some(0.2),
        ..STATE
    },
    State {
        what: "frequent commits",
        replayed: [0, 10 * MB],
        upstream: Some([20 * MB, 20 * MB]),
        committed: Some(-0.05),
        message: [-0.02, -0.02],
        waits_for: "",
        lag: Some(0.05),
        ..STATE
    },
    State {
        what: "replay is slow",
        replayed: [0, MB],
        upstream: Some([90 * MB, 90 * MB]),
        waits_for: "",
        lag: Some(600.0),
        ..STATE
    },
    State {
        what: "replay stands still",
        upstream: Some([150, 150]),
        waits_for: "RecoveryPause",
        lag: Some(600.0),
        ..STATE
    },
    State {
        what: "replay stands still, and no commit was replayed",
        upstream: Some([150, 150]),
        committed: None,
        waits_for: "RecoveryPause",
        lag: None,
        ..STATE
    },
    State {
        what: "a delayed commit after a quiet time",
        upstream: Some([150, 150]),
        waits_for: "RecoveryApplyDelay",
        delay: "5min",
        lag: Some(300.0),
        ..STATE
    },
    State {
        what: "a delayed commit in a busy time",
        upstream: Some([150, 150]),
        waits_for: "RecoveryApplyDelay",
        delay: "1h",
        lag: Some(600.0),
        ..STATE
    },
    State {
        what: "delayed and cut off",
        upstream: None,
        waits_for: "RecoveryApplyDelay",
        delay: "5min",
        lag: Some(300.0),
        ..STATE
    },
    State {
        what: "our clock is an hour behind",
        upstream: Some([150, 150]),
        committed: Some(3595.0),
        message: [3600.0, 0.0],
        waits_for: "RecoveryPause",
        lag: Some(5.0),
        ..STATE
    },
    State {
        what: "our clock is an hour ahead",
        upstream: Some([150, 150]),
        committed: Some(-3605.0),
        message: [-3600.0, 0.0],
        waits_for: "RecoveryPause",
        lag: Some(5.0),
        ..STATE
    },
    State {
        what: "the last message is old",
        upstream: Some([150, 150]),
        committed: Some(-30.0),
        message: [-20.0, -20.0],
        waits_for: "RecoveryPause",
        lag: Some(30.0),
        ..STATE
    },
    State {
        what: "paused after a quiet time, all replayed 10 s ago",
        upstream: Some([150, 150]),
        waits_for: "RecoveryPause",
        remembered: Some((-25.0, -10.0, 100)),
        lag: Some(10.0),
        ..STATE
    },
    State {
        what: "replay is slow, and has what there was a minute ago",
        replayed: [10 * MB, 11 * MB],
        upstream: Some([900 * MB, 900 * MB]),
        waits_for: "",
        remembered: Some((-75.0, -60.0, 5 * MB)),
        lag: Some(60.0),
        ..STATE
    },
    State {
        what: "replay is slow, and has not yet what there was a minute ago",
        replayed: [10 * MB, 11 * MB],
        upstream: Some([900 * MB, 900 * MB]),
        waits_for: "",
        remembered: Some((-75.0, -60.0, 500 * MB)),
        lag: Some(75.0),
        ..STATE
    },
    State {
        what: "the last commit is younger than what is remembered",
        upstream: Some([150, 150]),
        committed: Some(-30.0),
        waits_for: "RecoveryPause",
        remembered: Some((-75.0, -60.0, 150)),
        lag: Some(30.0),
        ..STATE
    },
    State {
        what: "what is remembered is of a time to come, as our clock was set back",
        upstream: Some([150, 150]),
        committed: Some(-30.0),
        waits_for: "RecoveryPause",
        remembered: Some((60.0, 90.0, 100)),
        lag: Some(30.0),
        ..STATE
    },
    State {
        what: "cut off a moment ago",
        upstream: None,
        remembered: Some((-5.0, -5.0, 100)),
        lag: Some(5.0),
        ..STATE
    },
    State { what: "cut off", upstream: None, lag: Some(600.0), ..STATE },
    State { what: "cut off, our clock behind", upstream: None, committed: Some(60.0), lag: None, ..STATE },
];

/// Functions of the same names that tell a made-up state; the second time replay is asked for, it may have moved.
const FUNCTIONS: &[(&str, &str, &str)] = &[
    ("pg_is_in_recovery", "", "bool AS 'SELECT true'"),
    (
        "pg_last_wal_replay_lsn",
        "",
        "pg_lsn AS 'SELECT CASE WHEN nextval(''made.looks'') = 1 THEN replayed ELSE again END FROM made.state'",
    ),
    ("pg_last_xact_replay_timestamp", "", "timestamptz AS 'SELECT committed FROM made.state'"),
    ("clock_timestamp", "", "timestamptz AS 'SELECT now()'"),
    ("current_setting", "text", "text AS 'SELECT delay FROM made.state'"),
    ("pg_sleep", "float8", "void AS 'SELECT'"),
    (
        "pg_stat_get_activity",
        "int",
        "TABLE (backend_type text, wait_event text) AS 'SELECT ''startup'', waits_for FROM made.state'",
    ),
    (
        "pg_stat_get_wal_receiver",
        "",
        "TABLE (status text, flushed_lsn pg_lsn, latest_end_lsn pg_lsn, last_msg_send_time timestamptz, last_msg_receipt_time timestamptz) \
         AS 'SELECT ''streaming'', received, ending, sent, receipt FROM made.state WHERE received IS NOT NULL'",
    ),
];

#[test]
fn what_follows_from_what_the_server_says() {
    let catalogue = Catalogue::load(None).unwrap_or_else(|problems| panic!("{problems}"));
    let queries = &catalogue.get("replication").expect("the collector").queries;
    let query = queries.iter().find(|query| query.name == "lag").expect("the query");
    for major in majors() {
        let server = Postgres::builder(major).start();
        let mut setup = "CREATE SCHEMA made; CREATE SEQUENCE made.looks;
            CREATE TABLE made.state (replayed pg_lsn, again pg_lsn, received pg_lsn, ending pg_lsn, committed timestamptz,
                                     sent timestamptz, receipt timestamptz, waits_for text, delay text);"
            .to_owned();
        let ours = "SELECT CASE $1 WHEN ''pgvigil.session'' THEN ''ours'' ELSE pg_catalog.current_setting($1, $2) END";
        _ = write!(
            setup,
            "CREATE FUNCTION made.current_setting(text, bool) RETURNS text LANGUAGE sql VOLATILE AS '{ours}';"
        );
        for (name, takes, gives) in FUNCTIONS {
            _ = write!(setup, "CREATE FUNCTION made.{name}({takes}) RETURNS {gives} LANGUAGE sql VOLATILE;");
        }
        server.sql("postgres", &setup);
        let wrong: Vec<_> = STATES.iter().filter_map(|state| state.wrong(&server, major, query)).collect();
        assert!(wrong.is_empty(), "PostgreSQL {major}: {wrong:#?}");
    }
}

impl State {
    /// What the query says instead of what it should.
    fn wrong(&self, server: &Postgres, major: u32, query: &Query) -> Option<String> {
        let text = FUNCTIONS.iter().fold(query.variant(major)?.text.clone(), |text, (name, ..)| {
            text.replace(&format!("{name}("), &format!("made.{name}("))
        });
        let answer = server.sql(
            "postgres",
            &format!("BEGIN; {}; SELECT coalesce(lag::text, 'absent') FROM ({text}) q; COMMIT", self.sql()),
        );
        let lag = answer.lines().last().unwrap_or_default().parse::<f64>().ok();
        let is = match (lag, self.lag) {
            (Some(is), Some(wanted)) => (is - wanted).abs() < 0.001,
            (is, wanted) => is == wanted,
        };
        (!is).then(|| format!("{}: {lag:?} instead of {:?}", self.what, self.lag))
    }

    fn sql(&self) -> String {
        let place = |at: i64| format!("'0/{at:X}'");
        // The server too says NULL where nothing was reported yet.
        let upstream = self.upstream.unwrap_or_default().map(|at| if at > 0 { place(at) } else { "NULL".to_owned() });
        let [received, ending] = upstream;
        let time = |seconds: Option<f64>| seconds.map_or("NULL".to_owned(), |it| format!("now() + '{it}s'"));
        let ([replayed, again], [sent, receipt]) = (self.replayed.map(place), self.message.map(|it| time(Some(it))));
        let remembered = self.remembered.map_or("''".to_owned(), |(has, since, upto)| {
            let time = |seconds: f64| format!("extract(epoch FROM now()) + {seconds}");
            format!("concat_ws(' ', {}, {}, '0/{upto:X}')", time(has), time(since))
        });
        format!(
            "SELECT set_config('pgvigil.replay', {remembered}, true); TRUNCATE made.state; SELECT setval('made.looks', 1, false); INSERT INTO made.state VALUES \
             ({replayed}, {again}, {received}, {ending}, {}, {sent}, {receipt}, '{}', '{}')",
            time(self.committed),
            self.waits_for,
            self.delay
        )
    }
}
