//! Services take functions of the WAL away. Each costs the families that need it, and nothing else.

use std::{collections::BTreeSet, fmt::Write};

use pgvigil::collector::catalogue::Catalogue;

use super::{server, until};
use crate::support::{Postgres, Stop, majors};

const COLLECTORS: &[&str] = &["replication", "wal", "wal_files"];

/// A function, the queries that fail without it on a primary with slots and a replica, and on that replica, which has neither.
const REFUSED: &[(&str, &str, &str)] = &[
    ("pg_current_wal_lsn", "senders timeline retained position", ""),
    ("pg_walfile_name", "timeline", ""),
    ("pg_control_checkpoint", "", "timeline"),
    ("pg_control_recovery", "", "timeline"),
    ("pg_last_wal_receive_lsn", "", "replay"),
    ("pg_last_wal_replay_lsn", "", "lag replay position"),
    ("pg_last_xact_replay_timestamp", "", "lag replay"),
    ("pg_is_wal_replay_paused", "", "replay"),
    ("pg_stat_get_wal_receiver", "", "lag receiver"),
    ("pg_stat_get_wal_senders", "senders receivers", "senders receivers"),
    ("pg_get_replication_slots", "senders receivers slots retained decoding", "slots retained decoding"),
    ("pg_stat_get_wal", "written", "written"),
    ("pg_stat_get_archiver", "archiver", "archiver"),
    ("pg_ls_waldir", "directory", "directory"),
    ("pg_ls_archive_statusdir", "archive_queue", ""),
];

#[test]
fn a_function_that_is_refused_costs_what_needs_it() {
    for major in majors() {
        let primary = server(major, "wal_level = logical\nallow_system_table_mods = on");
        let replica = primary.replica();
        primary.sql("postgres", "SELECT pg_create_logical_replication_slot('reader', 'test_decoding')");
        let mut wrong = Vec::new();
        for (function, on_primary, on_replica) in REFUSED {
            if primary.sql("postgres", &format!("SELECT count(*) FROM pg_proc WHERE proname = '{function}'")) == "0" {
                continue;
            }
            let take_away = refusal(&primary, function);
            primary.sql("postgres", &take_away);
            let replaced = format!("SELECT prolang > 100 FROM pg_proc WHERE proname = '{function}'");
            until(&replica, &replaced);
            for (server, wanted) in [(&primary, on_primary), (&replica, on_replica)] {
                let wanted: BTreeSet<_> = wanted.split_whitespace().map(str::to_owned).collect();
                let failed = failures(server, major, function);
                let asked = |name: &String| major >= 14 || !["written", "decoding"].contains(&name.as_str());
                if failed != wanted.into_iter().filter(asked).collect() {
                    wrong.push(format!("{function}: {failed:?}"));
                }
            }
            primary.sql("postgres", &format!("ALTER FUNCTION pg_catalog.{function} RENAME TO gone_{function}"));
            primary.sql(
                "postgres",
                &format!("UPDATE pg_proc SET proname = '{function}' WHERE proname = 'kept_{function}'"),
            );
        }
        assert!(wrong.is_empty(), "PostgreSQL {major}: {wrong:#?}");
        replica.stop(Stop::Fast);
    }
}

/// Puts a function of the same name in the place of a built-in one.
fn refusal(server: &Postgres, function: &str) -> String {
    let signature = "SELECT pg_get_function_arguments(oid) || ') RETURNS ' || pg_get_function_result(oid) FROM pg_proc";
    let signature = server.sql("postgres", &format!("{signature} WHERE proname = '{function}'"));
    format!(
        "BEGIN; UPDATE pg_proc SET proname = 'kept_{function}' WHERE proname = '{function}';
         CREATE FUNCTION pg_catalog.{function}({signature} LANGUAGE plpgsql
         AS $$ BEGIN RAISE '{function}() is not supported' USING ERRCODE = '0A000'; END $$; COMMIT"
    )
}

/// The queries that the server refuses for want of the function.
fn failures(server: &Postgres, major: u32, function: &str) -> BTreeSet<String> {
    let catalogue = Catalogue::load(None).unwrap_or_else(|problems| panic!("{problems}"));
    let queries = COLLECTORS.iter().flat_map(|name| &catalogue.get(name).expect("a collector").queries);
    // All in one session, which says after each whether it failed, and why.
    let mut text = "\\set ON_ERROR_STOP 0\n\\o /dev/null\nSET search_path = pg_catalog, pg_temp;\n".to_owned();
    for query in queries {
        if let Some(variant) = query.variant(major) {
            _ = write!(text, "{};\n\\echo {}|:ERROR|:LAST_ERROR_MESSAGE\n", variant.text, query.name);
        }
    }
    let told = server.sql("postgres", &text);
    let failed = told.lines().filter_map(|line| {
        let (name, rest) = line.split_once('|')?;
        let error = rest.strip_prefix("true|")?;
        assert!(error.contains(&format!("{function}() is not supported")), "{name}: {error}");
        Some(name.to_owned())
    });
    failed.collect()
}
