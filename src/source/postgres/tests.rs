//! The lanes of a server: which queries are asked again, cancelled, skipped or given up.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::source::postgres::fake_server::{FakeReply, collector, error, flag, listen, primary, texts};

const SQL: &str = "sql: [{since: 13, text: SELECT 7 AS n}], ";

/// A server that runs a script, and the requests it got.
struct Scripted {
    server: PostgresServer,
    asked: Arc<Mutex<Vec<String>>>,
    reported: Mutex<Vec<String>>,
    quick_deadline: Duration,
}

/// Long enough for every answer of the script.
const SHORT_DEADLINE: Duration = Duration::from_secs(2);

impl Scripted {
    /// The script gets the text and the number of logins so far.
    async fn new(script: impl Fn(&str, usize) -> FakeReply + Send + Sync + 'static) -> Scripted {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        let recorded = move |sql: &str| {
            let mut asked = log.lock();
            asked.push(sql.to_owned());
            script(sql, asked.iter().filter(|sql| *sql == "LOGIN").count())
        };
        let server = PostgresServer::new(listen(Arc::new(recorded)).await, MemoryBudget::of(1 << 20));
        Scripted { server, asked, reported: Mutex::default(), quick_deadline: Duration::from_secs(60) }
    }

    /// How often this was requested: each time an SQL text was parsed, described or executed.
    fn count(&self, part: &str) -> usize {
        self.asked.lock().iter().filter(|sql| sql.contains(part)).count()
    }

    fn report(&self, event: Event) {
        match event {
            Event::Collected(index, answers) => {
                self.reported.lock().extend(answers.iter().map(|answer| match answer {
                    Ok(answer) => format!("{index}: {} rows", answer.table.rows()),
                    Err(error) => format!("{index}: {}", error.reason.into_str()),
                }));
            }
            Event::Databases(databases) => self.reported.lock().push(format!("{} databases", databases.len())),
            Event::Answered | Event::TurnBegan => (),
        }
    }

    /// The reported answers, and the error.
    fn taken(&self, result: Result<(), FetchError>) -> Vec<String> {
        let error = result.err().map(|error| error.reason.into_str().to_owned());
        self.reported.lock().drain(..).chain(error).collect()
    }

    async fn quick(&self, collectors: &[Arc<Collector>], discover: bool) -> Vec<String> {
        let until = Instant::now() + self.quick_deadline;
        self.taken(self.server.fetch_quick(collectors, discover, until, &|event| self.report(event)).await)
    }

    async fn slow(&self, collector: &Arc<Collector>) -> Vec<String> {
        self.taken(self.server.fetch_slow(collector, &|event| self.report(event)).await)
    }

    async fn database(&self, database: &str, collectors: &[Arc<Collector>]) -> Vec<String> {
        self.taken(self.server.fetch_database(database, 1, collectors, &|event| self.report(event)).await)
    }
}

/// Asks quick collectors twice of a server with this script; returns the reports and the number of logins.
async fn events(
    collectors: &[Arc<Collector>],
    script: impl Fn(&str, usize) -> FakeReply + Send + Sync + 'static,
) -> (Vec<String>, usize) {
    let scripted = Scripted { quick_deadline: SHORT_DEADLINE, ..Scripted::new(script).await };
    let found = [scripted.quick(collectors, false).await, scripted.quick(collectors, false).await].concat();
    (found, scripted.count("LOGIN"))
}

fn seven(sql: &str) -> FakeReply {
    if sql == "SELECT 7 AS n" { texts(["n"], &[["7"]]) } else { primary(sql) }
}

#[tokio::test]
async fn a_session_is_kept_and_replaced_when_lost() {
    let collectors = [collector("", SQL)];
    assert_eq!(events(&collectors, |sql, _| seven(sql)).await, (vec!["0: 1 rows".into(), "0: 1 rows".into()], 1));
    for (lost, expected, logins) in [
        (1, ["0: 1 rows", "0: 1 rows"].as_slice(), 2),
        (2, &["0: 1 rows", "0: 1 rows"], 3),
        (3, &["0: lost", "lost", "0: 1 rows"], 4),
    ] {
        let found = events(&collectors, move |sql, login| match sql {
            "SELECT 7 AS n" if login <= lost => FakeReply::Disconnect,
            sql => seven(sql),
        });
        let (found, count) = found.await;
        assert_eq!(
            (&found[..], count),
            (&expected.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>()[..], logins)
        );
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_in_time_is_left() {
    let collectors = [collector("", SQL), collector("", "sql: [{since: 13, text: SELECT 8 AS n}], ")];
    // The query hangs on execution, after Parse and Describe; the role and the other query were answered before.
    let calls = AtomicUsize::new(0);
    let (found, logins) = events(&collectors, move |sql, _| match sql {
        "SELECT 8 AS n" if calls.fetch_add(1, Ordering::Relaxed) == 2 => FakeReply::Silence,
        "SELECT 8 AS n" => texts(["n"], &[["8"]]),
        sql => seven(sql),
    })
    .await;
    assert_eq!(
        (found, logins),
        (vec!["0: 1 rows".into(), "1: timeout".into(), "0: 1 rows".into(), "1: 1 rows".into()], 2)
    );
    let (found, _) = events(&collectors[..1], |sql, login| match sql {
        sql if sql.contains("AS replica") && login == 1 => FakeReply::Silence,
        sql => seven(sql),
    })
    .await;
    assert_eq!(found, ["0: timeout", "timeout", "0: 1 rows"]);
}

#[tokio::test]
async fn a_promoted_server_is_asked_again_under_its_new_role() {
    let (on_primary, on_replica) = (collector("role: primary\n", SQL), collector("role: replica\n", SQL));
    let promoted = |sql: &str, _| if sql.contains("AS replica") { flag("replica", true) } else { seven(sql) };
    let (found, _) = events(&[on_primary, on_replica], promoted).await;
    assert_eq!(found, ["0: role", "1: 1 rows", "0: role", "1: 1 rows"]);
}

#[tokio::test]
async fn an_undefined_table_is_asked_once_and_an_error_again() {
    for (code, reason, expected) in [("42P01", "0: undefined", 1), ("22012", "0: query", 2)] {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let (found, _) = events(&[collector("", SQL)], move |sql, _| match sql {
            "SELECT 7 AS n" => {
                count.fetch_add(1, Ordering::Relaxed);
                error(code, "failed")
            }
            sql => seven(sql),
        })
        .await;
        assert_eq!((found, asked.load(Ordering::Relaxed)), (vec![reason.to_owned(), reason.to_owned()], expected));
    }
}

#[tokio::test]
async fn a_pooled_session_asks_in_transactions() {
    let begun = Arc::new(AtomicUsize::new(0));
    let count = begun.clone();
    let (found, _) = events(&[collector("", SQL)], move |sql, _| {
        if sql.starts_with("BEGIN") && sql.contains("client_encoding = 'UTF8'") {
            count.fetch_add(1, Ordering::Relaxed);
        }
        if sql.contains("set_config('work_mem'") { texts(["x"], &[]) } else { seven(sql) }
    })
    .await;
    // The role and the query, each time.
    assert_eq!((found, begun.load(Ordering::Relaxed)), (vec!["0: 1 rows".into(), "0: 1 rows".into()], 4));
}

#[tokio::test]
async fn a_connection_is_made_once_and_described() {
    let scripted = Scripted::new(|sql, login| if login == 1 { FakeReply::Disconnect } else { seven(sql) }).await;
    let until = Instant::now() + Duration::from_secs(60);
    assert_eq!(scripted.server.connect(until).await, Ok(true));
    assert_eq!(scripted.server.connect(until).await, Ok(false));
    assert_eq!(scripted.count("LOGIN"), 2, "the first one was lost");
    assert_eq!(scripted.server.description(), "PostgreSQL 18, primary, prepared statements");
    let status = scripted.server.status();
    assert_eq!((status.replica, status.pooled, status.major, status.sessions), (Some(false), Some(false), Some(18), 1));
    assert_eq!(scripted.quick(&[], false).await, [""; 0]);
    assert_eq!(scripted.count("LOGIN"), 2);
    let pooled = Scripted::new(|sql, _| if sql.contains("set_config") { texts(["x"], &[]) } else { seven(sql) }).await;
    assert_eq!(pooled.server.connect(until).await, Ok(true));
    assert_eq!(pooled.server.description(), "PostgreSQL 18, primary, pooled mode: behind a transaction pooler");
    let refused = Scripted::new(|_, _| error("28P01", "password authentication failed")).await;
    assert!(refused.server.connect(until).await.is_err_and(|error| error.reason == Reason::Authentication));
    assert_eq!(refused.count("LOGIN"), 1);
}

#[tokio::test]
async fn a_late_session_is_cancelled_unless_it_is_pooled() {
    for (applied, cancels) in [(vec![["x"]], 1), (vec![], 0)] {
        let scripted = Scripted::new(move |sql, _| match sql {
            "SELECT 7 AS n" => FakeReply::Silence,
            sql if sql.contains("set_config('work_mem'") => texts(["x"], &applied),
            sql => seven(sql),
        });
        let scripted = Scripted { quick_deadline: SHORT_DEADLINE, ..scripted.await };
        scripted.quick(&[collector("", SQL)], false).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(scripted.count("CANCEL"), cancels);
    }
}

#[tokio::test]
async fn databases_are_asked_along_and_errors_of_the_session_end_it() {
    let databases = |rows: &[[&str; 2]]| texts(["datname", "closed"], rows);
    let reply = |code: &'static str| move || error(code, "failed");
    for (part, reply, expected) in [
        (
            "pg_database",
            Box::new(move || databases(&[["app", "template"]])) as Box<dyn Fn() -> FakeReply + Send + Sync>,
            ["1 databases", "0: 1 rows"].as_slice(),
        ),
        ("pg_database", Box::new(reply("22012")), &["0: 1 rows"]),
        ("pg_database", Box::new(reply("08006")), &["0: lost", "lost"]),
        ("AS replica", Box::new(reply("22012")), &["1 databases", "0: 1 rows"]),
        ("AS replica", Box::new(reply("08006")), &["0: lost", "lost"]),
    ] {
        let scripted = Scripted::new(move |sql, _| match sql {
            sql if sql.contains(part) => reply(),
            sql if sql.contains("pg_database") => databases(&[["app", "template"]]),
            sql => seven(sql),
        })
        .await;
        let mut found = scripted.quick(&[collector("", SQL)], true).await;
        found.sort_by_key(|text| !text.ends_with("databases"));
        assert_eq!(found, expected, "{part}");
    }
}

#[tokio::test]
async fn a_slow_collector_brings_its_timeout_and_reads_extensions_again() {
    let (quick, slow) = (collector("", SQL), collector("ttl: 1m\ntimeout: 3s\n", SQL));
    let scripted = Scripted::new(|sql, _| seven(sql)).await;
    scripted.quick(&[quick], false).await;
    for _ in 0..2 {
        assert_eq!(scripted.slow(&slow).await, ["0: 1 rows"]);
    }
    assert_eq!((scripted.count("SET statement_timeout = "), scripted.count("SET statement_timeout = 3000")), (1, 1));
    assert_eq!((scripted.count("LOGIN"), scripted.count("pg_extension")), (2, 6), "3 for each login");
    // Parsed twice, because it is prepared in each session; executed each time.
    assert_eq!(scripted.count("SELECT 7 AS n"), 2 * 2 + 3);
    let extension = collector("ttl: 1m\n", &format!("requires: {{extension: ext}}, {SQL}"));
    assert_eq!(scripted.slow(&extension).await, ["0: 1 rows"]);
    assert_eq!(scripted.count("pg_extension"), 6 + 3);
}

#[tokio::test]
async fn a_database_is_logged_in_to_once_for_all_its_collectors() {
    let due = [(); 2].map(|()| collector("scope: database\nttl: 60s\n", SQL));
    let closed = |sql: &str, _| if sql == "LOGIN" { error("3D000", "no such database") } else { seven(sql) };
    let failing = |code| move |sql: &str, _| if sql == "SELECT 7 AS n" { error(code, "failed") } else { seven(sql) };
    let rows = ["0: 1 rows", "1: 1 rows"].as_slice();
    for (script, expected, logins) in [
        (Box::new(|sql: &str, _| seven(sql)) as Box<dyn Fn(&str, usize) -> FakeReply + Send + Sync>, rows, 1),
        (Box::new(closed), &["0: closed", "1: closed", "closed"], 1),
        (Box::new(failing("22012")), &["0: query", "1: query"], 1),
        (Box::new(failing("08006")), &["0: lost", "1: lost", "lost"], 3),
    ] {
        let scripted = Scripted::new(script).await;
        assert_eq!(scripted.database("other", &due).await, expected);
        assert_eq!(scripted.count("LOGIN"), logins, "{expected:?}");
    }
    for (is_large, logins) in [(false, 1), (true, 2)] {
        let large = move |sql: &str, _| {
            if sql.contains("pg_relation_size") { flag("large", is_large) } else { seven(sql) }
        };
        let scripted = Scripted::new(large).await;
        assert_eq!(scripted.database("app", &due).await, rows, "the target's own, on the slow lane");
        assert_eq!(scripted.count("LOGIN"), logins, "{is_large}");
    }
}
