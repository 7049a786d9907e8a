//! The collectors slow_queries, statement_texts and statement_histogram: exact counts, whose statements, which are kept, what texts tell.

use std::collections::BTreeSet;

use crate::support::{Pgvigil, Postgres, eventually, majors, majors_where, psql, sample};

use super::{BINARY, PATIENCE, expect, look, server, watch};

fn with_statements(major: u32, config: &str) -> Postgres {
    let server = server(major, config);
    server.sql("postgres", "CREATE EXTENSION pg_stat_statements; CREATE DATABASE app");
    server.create_role("app", "");
    server
}

fn run_as(server: &Postgres, user: &str, sql: &str) {
    psql::run(&mut psql::psql("127.0.0.1", server.port(), user, "app"), sql).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn counts_are_exact_and_monitoring_is_left_out() {
    for major in majors() {
        let server = with_statements(major, "track_io_timing = on\npg_stat_statements.track_planning = on");
        run_as(&server, "app", &"SELECT count(*) FROM generate_series(1, 100000) g GROUP BY g % 7;\n".repeat(3));
        run_as(
            &server,
            "app",
            "SET work_mem = '64kB'; SELECT g FROM generate_series(1, 100000) g ORDER BY -g LIMIT 1 OFFSET 99999",
        );
        run_as(&server, "pgvigil_probe", &"SELECT 'probed';\n".repeat(50));
        let id = |pattern: &str| {
            let sql = format!(
                "SELECT queryid FROM pg_stat_statements WHERE query LIKE '{pattern}' AND userid = 'app'::regrole"
            );
            server.sql("postgres", &sql)
        };
        let (counted, sorted) = (id("SELECT count(*) FROM generate_series%"), id("%ORDER BY -g%"));
        // Looking is a statement too, so the sums are compared while nothing but monitoring is counted.
        server.sql("postgres", "ALTER SYSTEM SET pg_stat_statements.track = 'none'; SELECT pg_reload_conf()");
        let others = "FROM pg_stat_statements WHERE userid NOT IN ('pgvigil'::regrole, 'pgvigil_probe'::regrole)";
        eventually(PATIENCE, "nothing is counted any more", || {
            let calls = || server.sql("postgres", &format!("SELECT sum(calls) {others}"));
            calls() == calls()
        });
        let sum = |column: &str| server.sql("postgres", &format!("SELECT sum({column}) {others}"));
        let (calls, rows, milliseconds) = (sum("calls"), sum("rows"), sum("total_exec_time"));
        let seconds = milliseconds.parse::<f64>().expect("a number") / 1000.0;
        let lines = format!(
            "pg_stat_statements_calls_total{{queryid={counted},user=app,datname=app}} = 3
             pg_stat_statements_rows_total{{queryid={counted}}} = 21
             pg_stat_statements_seconds_total{{queryid={counted}}} >= 0.001
             pg_stat_statements_plan_seconds_total{{queryid={counted}}} >= 0.000001
             pg_stat_statements_temp_blocks_written_total{{queryid={sorted}}} >= 10
             15+ pg_stat_statements_temp_write_seconds_total{{queryid={sorted}}} >= 0.000001
             15+ pg_stat_statements_jit_functions_total{{queryid={counted}}} = 0
             -15 pg_stat_statements_jit_functions_total absent
             18+ pg_stat_statements_parallel_workers_launched_total{{queryid={counted}}} = 0
             pg_stat_statements_calls_total{{user=pgvigil}} absent
             pg_stat_statements_calls_total{{user=pgvigil_probe}} absent
             pg_stat_statements_all_calls = {calls}
             pg_stat_statements_all_rows = {rows}
             pg_stat_statements_all_seconds = {seconds}
             pg_stat_statements_max_entries = 5000
             14+ pg_stat_statements_evictions_total = 0
             14+ pg_stat_statements_stats_reset_timestamp_seconds recent"
        );
        expect(&server, &["slow_queries"], &lines);
    }
}

#[test]
fn evictions_are_counted() {
    for major in majors_where(|major| major >= 14) {
        let server = with_statements(major, "pg_stat_statements.max = 100");
        let many: String = (0..150).map(|nth| format!("SELECT 1{};\n", ", 1".repeat(nth))).collect();
        run_as(&server, "app", &many);
        expect(
            &server,
            &["slow_queries"],
            "pg_stat_statements_evictions_total >= 1\npg_stat_statements_max_entries = 100",
        );
    }
}

/// What took a little more than another does not take its place; what took far more does.
#[test]
fn who_is_shown_does_not_change_for_little() {
    let server = with_statements(*majors().last().expect("a version"), "");
    let naps = |which: &mut dyn Iterator<Item = usize>, seconds: &str| {
        let sql: String = which.map(|nth| format!("SELECT pg_sleep({seconds}){};\n", ", 1".repeat(nth))).collect();
        run_as(&server, "app", &sql);
    };
    naps(&mut (0..110), "0.04");
    let names = || -> Vec<(String, usize)> {
        let sql = "SELECT queryid, length(query) - length(replace(query, ',', '')) FROM pg_stat_statements WHERE query LIKE 'SELECT pg_sleep%'";
        let rows = server.sql("postgres", sql);
        let of = |line: &str| line.split_once('|').map(|(id, nth)| (id.to_owned(), nth.parse().expect("a number")));
        rows.lines().filter_map(of).collect()
    };
    let shown = || -> BTreeSet<usize> {
        let text = look(&server, &["slow_queries"]);
        let is_shown = |id: &str| sample(&text, "pg_stat_statements_calls_total", &[("queryid", id)]).is_some();
        names().into_iter().filter(|(id, _)| is_shown(id)).map(|(_, nth)| nth).collect()
    };
    let before = shown();
    let left_out: Vec<usize> = (0..110).filter(|nth| !before.contains(nth)).collect();
    assert!((1..=20).contains(&left_out.len()), "{left_out:?}");
    naps(&mut left_out.iter().copied(), "0.005");
    assert_eq!(shown(), before);
    naps(&mut left_out.iter().copied().take(1), "0.5");
    assert!(shown().contains(&left_out[0]));
}

#[test]
fn texts_are_off_until_turned_on_and_tell_no_constants() {
    for major in majors() {
        let server = with_statements(major, "");
        server.sql("postgres", "ALTER ROLE app PASSWORD 'hush1'; /* a */ ALTER ROLE app PASSWORD 'hush2' /* b */; DO $$BEGIN PERFORM 'hush3'; END$$");
        server.sql("postgres", "SELECT 'hush4' AS greeting");
        server.sql("postgres", "/* route=/pay */ SELECT 'hush5',\n\n  2 AS paid");
        server.sql("postgres", "/* x /* */ select */ ALTER ROLE app PASSWORD 'hush6'");
        server.sql("postgres", &format!("SELECT {} AS long", "1 + ".repeat(200) + "1"));
        let pgvigil = Pgvigil::start(BINARY, &[], &[("PGVIGIL_POSTGRES_URL", &server.url("pgvigil", "postgres"))]);
        assert_eq!(pgvigil.get("/metrics?collector=statement_texts", &[]).status, 400);
        assert!(!pgvigil.scrape().contains("greeting"));
        let text = look(&server, &["statement_texts"]);
        let has = |query: &str| sample(&text, "pg_stat_statements_query_info", &[("query", query)]) == Some(1.0);
        // Not all versions keep a comment before a statement.
        for end in ["\"SELECT $1 AS greeting\"", "SELECT $1, $2 AS paid\"", "\"ALTER ROLE\""] {
            assert!(text.contains(&format!("{end}}} 1")), "{major} {end}:\n{text}");
        }
        assert!(has("SELECT $1 AS greeting"), "{major}");
        assert!(!text.contains("hush"), "{major}:\n{text}");
        let longest =
            text.lines().filter_map(|line| line.split("query=\"").nth(1)?.split('"').next()).map(str::len).max();
        assert_eq!(longest, Some(200), "{major}");
    }
}

/// All in UTF8, which is what pgvigil's database has.
#[test]
fn texts_of_databases_with_other_encodings_are_converted() {
    for major in majors() {
        let server = with_statements(major, "");
        for (name, encoding, column) in
            [("west", "LATIN1", "prix_é"), ("east", "EUC_JP", "売上"), ("south", "UTF8", "ціна")]
        {
            let locale = "LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0";
            server.sql("postgres", &format!("CREATE DATABASE {name} ENCODING '{encoding}' {locale}"));
            server.sql(name, &format!("SELECT 1 AS \"{column}\""));
            let query = format!("SELECT $1 AS \\\"{column}\\\"");
            let text = look(&server, &["statement_texts"]);
            assert!(text.contains(&query), "{major} {query}:\n{text}");
        }
    }
}

#[test]
fn the_histogram_leaves_out_the_probe() {
    let server = with_statements(*majors().last().expect("a version"), "");
    let pgvigil = watch(&server);
    pgvigil.scrape();
    run_as(&server, "pgvigil_probe", &"SELECT 'probed';\n".repeat(50));
    run_as(&server, "app", &"SELECT 'asked';\n".repeat(3));
    let count = || sample(&pgvigil.scrape(), "pg_stat_statements_duration_seconds_count", &[("datname", "app")]);
    eventually(PATIENCE, "the application's are counted", || count() == Some(3.0));
}
