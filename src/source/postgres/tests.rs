//! The lanes of a server: what is asked again, cancelled, skipped or given up.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::source::postgres::fake_server::{Reply, collector, error, flag, listen, primary, texts};

const SQL: &str = "sql: [{since: 13, text: SELECT 7 AS n}], ";

/// Asks quick collectors twice of a server with this script; the events of both, and the number of logins.
async fn events(
    collectors: &[Arc<Collector>],
    script: impl Fn(&str, usize) -> Reply + Send + Sync + 'static,
) -> (Vec<String>, usize) {
    let logins = Arc::new(AtomicUsize::new(0));
    let count = logins.clone();
    let counted = move |sql: &str| {
        if sql == "LOGIN" {
            count.fetch_add(1, Ordering::Relaxed);
        }
        script(sql, count.load(Ordering::Relaxed))
    };
    let server = PostgresServer::new(listen(Arc::new(counted)).await, MemoryBudget::of(1 << 20));
    let found = Mutex::new(Vec::new());
    for _ in 0..2 {
        let sink = |event: Event| {
            if let Event::Collected(index, answers) = event {
                found.lock().extend(answers.iter().map(|answer| match answer {
                    Ok(answer) => format!("{index}: {} rows", answer.table.rows()),
                    Err(error) => format!("{index}: {}", error.reason.word()),
                }));
            }
        };
        let until = Instant::now() + Duration::from_millis(700);
        if let Err(error) = server.fetch_quick(collectors, false, until, &sink).await {
            found.lock().push(error.reason.word().to_owned());
        }
    }
    (found.into_inner(), logins.load(Ordering::Relaxed))
}

fn seven(sql: &str) -> Reply {
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
            "SELECT 7 AS n" if login <= lost => Reply::Disconnect,
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
    // It hangs when it is executed, after it was parsed and described; the role and the other one were answered before.
    let calls = AtomicUsize::new(0);
    let (found, logins) = events(&collectors, move |sql, _| match sql {
        "SELECT 8 AS n" if calls.fetch_add(1, Ordering::Relaxed) == 2 => Reply::Silence,
        "SELECT 8 AS n" => texts(["n"], &[["8"]]),
        sql => seven(sql),
    })
    .await;
    assert_eq!(
        (found, logins),
        (vec!["0: 1 rows".into(), "1: timeout".into(), "0: 1 rows".into(), "1: 1 rows".into()], 2)
    );
    let (found, _) = events(&collectors[..1], |sql, login| match sql {
        sql if sql.contains("AS replica") && login == 1 => Reply::Silence,
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
    // Each time the role and the query.
    assert_eq!((found, begun.load(Ordering::Relaxed)), (vec!["0: 1 rows".into(), "0: 1 rows".into()], 4));
}
