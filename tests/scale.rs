//! Many databases, many tables, many statements: what comes within the deadline, what is cut and counted, what it takes.
//!
//! Small here; `PGVIGIL_TEST_LONG=1` makes them as large as is promised.

use std::{
    fs,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use crate::support::{Folder, Pgvigil, Postgres, eventually, is_long, majors, page, process, sample, size};

const BINARY: &str = env!("CARGO_BIN_EXE_pgvigil");

/// The default of `scrape_timeout`.
const DEADLINE: Duration = Duration::from_secs(10);

/// How long servers and what does not fit into the first scrape may take, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Caps that cut nothing.
const RAISED: &str = "{tables: {max_rows: 1000000}, index_usage: {max_rows: 1000000}, table_sizes: {max_rows: 1000000}, \
                      vacuum_tables: {max_rows: 1000000}, index_verdicts: {max_rows: 1000000}}";

fn of_size(quick: usize, long: usize) -> usize {
    if is_long() { long } else { quick }
}

fn server(major: u32) -> Postgres {
    let config = "autovacuum = off\nlog_connections = on\npg_stat_statements.max = 30000\nshared_buffers = 128MB";
    let server = Postgres::builder(major).config(config).start();
    server.create_monitor_role();
    server.sql("postgres", "CREATE EXTENSION pg_stat_statements");
    server
}

fn newest() -> u32 {
    majors().into_iter().max().expect("a version")
}

/// pgvigil on this server alone; `collectors` is what the settings say of them.
fn watch(server: &Postgres, databases: &str, collectors: &str) -> Pgvigil {
    let folder = Folder::new("scale", "TERM");
    let url = server.url("pgvigil", "postgres");
    let settings = format!(
        "max_bytes: 268435456\nmax_samples: 5000000\ntargets:\n  - {{name: t, postgres: {{url: \"{url}\", databases: {databases}}}}}\ncollectors: {collectors}\n"
    );
    let file = folder.write("pgvigil.yaml", &settings);
    Pgvigil::start(BINARY, &["--config", &file.display().to_string()], &[])
}

/// A page and how long it took; panics when it is late.
fn scrape(pgvigil: &Pgvigil) -> (String, Duration) {
    pgvigil.rest();
    let began = Instant::now();
    let text = pgvigil.scrape();
    let took = began.elapsed();
    assert!(took < DEADLINE, "the page took {took:?}");
    assert_eq!(sample(&text, "pg_up", &[]), Some(1.0), "{}", pgvigil.stderr());
    (text, took)
}

fn of_collector(page: &str, metric: &str, collector: &str) -> f64 {
    sample(page, metric, &[("collector", collector)]).unwrap_or_default()
}

/// The samples of one metric that every table has.
fn tables(page: &str) -> usize {
    page::samples(page, "pg_stat_user_tables_n_tup_ins", &[]).len()
}

fn indexes(page: &str) -> usize {
    page::samples(page, "pg_stat_user_indexes_idx_scan_total", &[]).len()
}

fn expect_no_failure(page: &str) {
    let failed: Vec<_> = page.lines().filter(|line| line.starts_with("pgvigil_collector_failures_total")).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// Runs `work`, and says how many sessions pgvigil had at most meanwhile, and the private memory in MiB that one took.
fn with_sessions<T>(server: &Postgres, work: impl FnOnce() -> T) -> (T, usize, u64) {
    let (alive, over) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let watcher = scope.spawn(move || {
            let (mut most, mut memory) = (0, 0);
            // Until the other end is gone, be it by a panic.
            while over.recv_timeout(Duration::from_millis(2)) == Err(RecvTimeoutError::Timeout) {
                let backends: Vec<u32> = process::children(server.pid()).into_iter().filter(is_ours).collect();
                most = most.max(backends.len());
                memory = backends.into_iter().filter_map(process::private_kib).fold(memory, u64::max);
            }
            (most, memory / 1024)
        });
        let result = work();
        drop(alive);
        let (most, memory) = watcher.join().expect("the watcher");
        (result, most, memory)
    })
}

/// The server names its processes: `postgres: pgvigil shop 127.0.0.1(4711) SELECT`.
fn is_ours(pid: &u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|title| title.contains("postgres: pgvigil "))
}

/// Two lanes and two visits, and of each visit the session before may not have ended.
const MOST_SESSIONS: usize = 6;

#[test]
fn many_databases_by_default_and_whole() {
    let (databases, tables_each) = (of_size(12, 100), 20);
    let server = server(newest());
    size::fill_databases(&server, databases, tables_each, 3);
    server.sql("postgres", "CREATE DATABASE closed");
    server.sql("postgres", "REVOKE CONNECT ON DATABASE closed FROM PUBLIC");
    for (caps, collectors, of_tables) in [("default", "{}", 500 / databases), ("raised", RAISED, tables_each)] {
        let pgvigil = watch(&server, "{include: [\"d*\", closed]}", collectors);
        let (_, most, memory) = with_sessions(&server, || {
            let (page, took) = scrape(&pgvigil);
            let first = tables(&page);
            // What does not fit into the first scrape arrives by the next.
            let expected = databases * of_tables.min(tables_each);
            eventually(PATIENCE, "all databases are there", || tables(&scrape(&pgvigil).0) >= expected);
            println!("{databases} databases, {caps} caps: {first} of {expected} tables in {took:?}");
        });
        println!("  {most} sessions at most, {memory} MiB in one");
        assert!(most <= MOST_SESSIONS, "{most} sessions");
        let (page, _) = scrape(&pgvigil);
        expect_no_failure(&page);
        let cut = of_collector(&page, "pgvigil_rows_dropped_total", "tables");
        assert_eq!(cut == 0.0, of_tables >= tables_each, "{caps}: {cut} rows were cut");
    }
}

#[test]
fn each_database_is_visited_once_and_one_that_vanishes_takes_nothing_along() {
    let databases = of_size(12, 100);
    let server = server(newest());
    size::fill_databases(&server, databases, 20, 3);
    // Those after it in the alphabet are still to be visited when it goes.
    server.sql("postgres", "CREATE DATABASE d2_vanishes TEMPLATE d1");
    let pgvigil = watch(&server, "{include: [\"d*\"]}", RAISED);
    thread::scope(|scope| {
        scope.spawn(|| {
            let asked = "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = 'd2' AND usename = 'pgvigil'";
            let gone = Instant::now() + Duration::from_secs(5);
            while server.sql("postgres", asked) == "f" && Instant::now() < gone {}
            server.sql("postgres", "DROP DATABASE d2_vanishes WITH (FORCE)");
        });
        scrape(&pgvigil);
    });
    eventually(PATIENCE, "all others are there", || tables(&scrape(&pgvigil).0) == databases * 20);
    let (page, _) = scrape(&pgvigil);
    assert!(!page.contains("d2_vanishes"), "what is gone is shown");
    let log = server.log();
    let visits = |n: usize| log.matches(&format!("user=pgvigil database=d{n} ")).count();
    let visited: Vec<usize> = (1..=databases).map(visits).collect();
    // A slow machine may make a session long enough that another follows it.
    let again = visited.iter().filter(|visits| **visits != 1).count();
    println!("{databases} databases, visited more than once: {again}");
    assert!(visited.iter().all(|visits| *visits >= 1) && again * 4 <= databases, "{visited:?}");
}

#[test]
fn many_tables_by_default_and_whole() {
    let (count, each) = (of_size(600, 10_000), 3);
    for major in majors() {
        let server = server(major);
        size::fill_tables(&server, "postgres", count, each);
        for (caps, collectors, expected) in [("default", "{}", (500, 1000)), ("raised", RAISED, (count, count * each))]
        {
            let pgvigil = watch(&server, "{}", collectors);
            let ((), most, memory) = with_sessions(&server, || {
                let (page, took) = scrape(&pgvigil);
                println!("PostgreSQL {major}, {count} tables, {caps} caps: {} of them in {took:?}", tables(&page));
                let there = || {
                    let (page, _) = scrape(&pgvigil);
                    (tables(&page), indexes(&page)) == expected
                };
                eventually(PATIENCE, "all that is to come", there);
            });
            let (page, _) = scrape(&pgvigil);
            let megabytes = page.len() as u64 / 1_000_000;
            let resident = pgvigil.rss_kib() / 1024;
            println!("  page {megabytes} MB, resident {resident} MiB; {most} sessions at most, {memory} MiB in one");
            expect_no_failure(&page);
            for (collector, rows, kept) in
                [("index_usage", count * each, expected.1), ("table_sizes", count, expected.0)]
            {
                let cut = of_collector(&page, "pgvigil_rows_dropped_total", collector);
                assert_eq!(cut as usize, rows - kept, "{caps} caps: rows of {collector} that were cut");
            }
            assert!(most <= MOST_SESSIONS, "{most} sessions");
            // Large is long: what a small server's sessions take is the least of any. 30 MB is the aim; before 15 a session keeps a copy of
            // the statistics besides.
            let limit = of_size(24, if major < 15 { 40 } else { 27 }) as u64;
            assert!(memory <= limit, "one session took {memory} MiB");
            assert!(resident <= 2 * megabytes + 32, "{resident} MiB for a page of {megabytes} MB");
        }
    }
}

/// Names that come and go, 20 at a time, leave nothing behind: a page shows those of now.
#[test]
fn p14_names_that_change_leave_nothing_behind() {
    const SESSIONS: usize = 20;
    let rounds = of_size(25, 250);
    let server = server(newest());
    let pgvigil = watch(&server, "{}", "{}");
    let mut sessions: Vec<_> = (0..SESSIONS).map(|_| server.session("postgres")).collect();
    let mut round = |nth: usize| {
        for (session, number) in sessions.iter_mut().zip(0..) {
            let rest = "x".repeat(40);
            session.run(&format!("SET application_name = 'name_{nth}_{number}_{rest}';"));
        }
        scrape(&pgvigil).0
    };
    (0..10).for_each(|nth| _ = round(nth));
    let (before, series) = (pgvigil.rss_kib(), page::count(&round(10)));
    let last = (11..11 + rounds).map(&mut round).last().expect("a page");
    let more = pgvigil.rss_kib().saturating_sub(before);
    let named =
        last.lines().filter(|line| line.starts_with("pg_stat_activity_count{") && line.contains("name_")).count();
    println!("{} names: {more} KiB more, {series} series and {}", rounds * SESSIONS, page::count(&last));
    assert_eq!(named, SESSIONS, "{last}");
    assert!(page::count(&last) < series + 100 && more < 2048, "{more} KiB more");
}

#[test]
fn p14_by_default_page_and_memory_are_bounded() {
    let (count, statements) = (of_size(2_000, 20_000), of_size(2_000, 20_000));
    let server = server(newest());
    size::fill_tables(&server, "postgres", count, 3);
    size::fill_statements(&server, "postgres", statements);
    let entries = "SELECT count(*) FROM pg_stat_statements(false)";
    assert!(server.sql("postgres", entries).parse::<usize>().expect("a number") > statements);
    let pgvigil = watch(&server, "{}", "{}");
    // Its memory before it knows anything: nothing is asked without a scrape.
    let before = pgvigil.rss_kib() / 1024;
    let (mut page, took) = scrape(&pgvigil);
    for _ in 0..5 {
        page = scrape(&pgvigil).0;
    }
    let growth = (pgvigil.rss_kib() / 1024).saturating_sub(before);
    println!("{count} tables, {statements} statements: {took:?}, {} KB, {growth} MiB more", page.len() / 1000);
    expect_no_failure(&page);
    assert!(page.len() <= 10_000_000, "a page of {} bytes", page.len());
    assert!(growth <= 64, "{growth} MiB more");
    assert_eq!(tables(&page), 500);
    assert_eq!(of_collector(&page, "pgvigil_rows_dropped_total", "table_sizes") as usize, count - 500);
    assert!(sample(&page, "pg_stat_statements_entries", &[]).is_some_and(|entries| entries > statements as f64));
}
