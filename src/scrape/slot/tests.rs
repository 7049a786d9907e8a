//! Tests of a slot, case by case: when it is due, shown and waited for, and what it counts.

use crate::collector::catalogue::Catalogue;
use crate::scrape::slot::*;
use crate::source::fixture::{error, fails, rows};
use crate::{exposition, truncate};

/// A slot whose collector has these queries, each with the label `l` or `datname`.
fn slot_of(head: &str, queries: &[&str]) -> Slot {
    let mut text = format!("collector: c\nsource: postgres\n{head}\nqueries:\n");
    for (nth, label) in queries.iter().enumerate() {
        text += &format!(
            "  - name: q{nth}\n    sql: [{{since: 13, text: SELECT}}]\n    labels: [{label}]\n    metrics: [{{name: m{nth}, type: gauge, value: \
             n, ecosystem: true, help: N.}}]\n    example: [{{{label}: a, n: 1}}]\n"
        );
    }
    let catalogue = Catalogue::from_files([("c.yaml", text.as_str())]).unwrap_or_else(|problems| panic!("{problems}"));
    Slot::new(catalogue.collectors[0].clone())
}

/// A slot with one query.
fn slot(head: &str) -> Slot {
    slot_of(head, &["l"])
}

fn after(start: Instant, seconds: f64) -> Instant {
    start + Duration::from_secs_f64(seconds)
}

/// One row.
fn one() -> Answers {
    rows(["l", "n"], [["a".to_owned(), "1".to_owned()]])
}

fn none() -> Answers {
    rows(["l", "n"], [])
}

/// The samples that it shows.
fn shown(slot: &Slot, scrape: Instant, now: Instant) -> Vec<String> {
    let text = exposition::text(&slot.show(&TargetLabels::default(), scrape, now));
    text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

fn is_shown(slot: &Slot, scrape: Instant, now: Instant) -> bool {
    !shown(slot, scrape, now).is_empty()
}

#[test]
fn a_slow_slot_is_due_after_its_ttl_and_sooner_after_a_failure() {
    let answers = [one(), fails(Reason::Query), fails(Reason::Timeout), fails(Reason::Undefined)];
    for (ttl, intervals) in
        [(10, [10, 10, 10, 10]), (100, [100, 60, 60, 100]), (300, [300, 60, 60, 300]), (1000, [1000, 60, 60, 300])]
    {
        for (answers, interval) in answers.iter().zip(intervals) {
            let (slot, start) = (slot(&format!("ttl: {ttl}s")), Instant::now());
            let fetch = slot.try_start(start).expect("never fetched");
            assert!(slot.try_start(start).is_none(), "one at a time");
            slot.store(answers.clone(), start, after(start, 2.0));
            drop(fetch);
            let ended = f64::from(interval) + 2.0;
            assert!(slot.try_start(after(start, ended - 0.1)).is_none(), "ttl {ttl}, {answers:?}");
            let again = slot.try_start(after(start, ended)).expect("due");
            assert!(slot.try_start(after(start, 10.0 * ended)).is_none(), "one at a time");
            drop(again);
            assert!(slot.try_start(after(start, ended)).is_some(), "what brought nothing is due again");
        }
    }
}

#[test]
fn dropped_results_are_due_at_once_and_so_is_what_was_skipped_on_a_new_connection() {
    for (answers, is_skip) in [(one(), false), (fails(Reason::Query), false), (fails(Reason::Privilege), true)] {
        let (slot, start) = (slot("ttl: 1h"), Instant::now());
        slot.store(answers, start, start);
        slot.retry_skipped();
        assert_eq!(slot.try_start(start).is_some(), is_skip);
        slot.store(one(), start, start);
        assert!(slot.try_start(start).is_none());
        slot.drop_results(start);
        assert!(slot.try_start(start).is_some());
        assert!(!is_shown(&slot, start, start));
    }
}

#[test]
fn a_quick_slot_is_due_to_each_scrape_that_began_after_its_last_fetch() {
    let (slot, start) = (slot(""), Instant::now());
    assert!(slot.is_due_since(start));
    slot.store(one(), start, after(start, 1.0));
    for (scrape, is_due) in [(0.0, false), (1.0, false), (1.1, true)] {
        assert_eq!(slot.is_due_since(after(start, scrape)), is_due, "{scrape}");
    }
    slot.drop_results(after(start, 1.0));
    assert!(slot.is_due_since(start));
}

/// Each case: the collector, when the second scrape began, when it looks; the table came at second 0.
#[test]
fn tables_are_shown_while_they_are_fresh() {
    for (head, scrape, now, wanted) in [
        // Shown at any time to the scrape that fetched it.
        ("", 0.0, 90.0, true),
        ("", -1.0, 0.0, true),
        // Late for a later scrape, and shown before.
        ("", 0.1, 0.2, false),
        ("ttl: 20s", 0.1, 0.2, true),
        ("ttl: 20s", 59.0, 60.0, true),
        ("ttl: 20s", 60.0, 60.1, false),
        ("ttl: 20s", 0.0, 60.1, true),
        ("ttl: 20s\nremember: true", 6000.0, 6000.0, true),
    ] {
        let (slot, start) = (slot(head), Instant::now() + Duration::from_secs(1));
        slot.store(one(), start, start);
        assert!(is_shown(&slot, start, start));
        let scrape = if scrape < 0.0 { start - Duration::from_secs(1) } else { after(start, scrape) };
        assert_eq!(is_shown(&slot, scrape, after(start, now)), wanted, "{head:?} {now}");
        let is_kept = head.is_empty() || now <= 60.0 || head.contains("remember");
        assert_eq!(slot.status(after(start, now)).rows, usize::from(is_kept), "{head:?} {now}");
    }
}

#[test]
fn a_late_quick_table_is_shown_once_within_a_minute() {
    for (now, wanted) in [(1.0, true), (60.0, true), (60.1, false)] {
        let (slot, start) = (slot(""), Instant::now());
        slot.store(one(), start, start);
        let now = after(start, now);
        assert_eq!((is_shown(&slot, now, now), is_shown(&slot, now, now)), (wanted, false));
    }
}

/// The last table after a failure.
#[test]
fn a_timeout_leaves_the_last_table_of_a_slow_slot_and_any_other_failure_drops_it() {
    for (head, reason, is_kept) in [
        ("", Reason::Timeout, false),
        ("ttl: 1m", Reason::Timeout, true),
        ("ttl: 1m", Reason::LockTimeout, true),
        ("ttl: 1m", Reason::Query, false),
        ("ttl: 1m", Reason::Undefined, false),
        ("ttl: 1m\nremember: true", Reason::Query, true),
        ("ttl: 1m\nremember: true", Reason::Undefined, true),
    ] {
        let (slot, start) = (slot(head), Instant::now());
        slot.store(one(), start, start);
        slot.store(fails(reason), start, start);
        assert_eq!(is_shown(&slot, start, start), is_kept, "{head:?} {reason:?}");
    }
}

/// Without rows a collector that remembers keeps the last ones.
#[test]
fn an_answer_without_rows_replaces_the_last_table_but_for_one_that_remembers() {
    for (head, is_kept) in [("", false), ("ttl: 1m", false), ("ttl: 1m\nremember: true", true)] {
        let (slot, start) = (slot(head), Instant::now());
        slot.store(none(), start, start);
        assert_eq!(slot.status(start).rows, 0);
        slot.store(one(), start, start);
        slot.store(none(), start, start);
        assert_eq!((is_shown(&slot, start, start), slot.status(start).rows), (is_kept, usize::from(is_kept)), "{head}");
        slot.store(rows(["l", "n"], [["b".to_owned(), "2".to_owned()]]), start, start);
        assert_eq!(shown(&slot, start, start), ["m0{l=\"b\"} 2"], "{head}");
    }
}

/// A fetch that began before the results were dropped describes the server as it was.
#[test]
fn a_fetch_from_before_the_drop_is_dropped_too() {
    for (head, began, is_kept, is_due) in [
        ("ttl: 1h", 0.0, false, true),
        ("ttl: 1h", 1.0, true, false),
        ("ttl: 1h", 2.0, true, false),
        ("ttl: 1h\nremember: true", 0.0, true, true),
    ] {
        let (slot, start) = (slot(head), Instant::now());
        slot.drop_results(after(start, 1.0));
        let ended = after(start, 3.0);
        slot.store(one(), after(start, began), ended);
        assert_eq!(is_shown(&slot, ended, ended), is_kept, "{head:?} {began}");
        assert_eq!(slot.try_start(ended).is_some(), is_due, "{head:?} {began}");
    }
}

#[test]
fn a_target_that_is_down_has_no_tables_and_one_error() {
    for (head, rows) in [("", 0), ("ttl: 1m", 0), ("ttl: 1m\nremember: true", 1)] {
        let (slot, start) = (slot(head), Instant::now());
        slot.store(one(), start, start);
        let now = after(start, 5.0);
        slot.mark_down(&error(Reason::Lost), now);
        let status = slot.status(now);
        assert_eq!(status.attempt, Some(Attempt { ended: now, took: Duration::ZERO, success: false }));
        assert_eq!((status.errors, status.rows), (vec![error(Reason::Lost)], rows), "{head:?}");
        assert!(slot.try_start(now).is_some(), "asked again at once");
    }
}

/// Scrapes do not wait for a fetch while there is something to show.
#[tokio::test(start_paused = true)]
async fn a_scrape_waits_for_the_fetch_in_flight_if_the_slot_is_empty_or_stale() {
    for (stored, waits) in [(None, true), (Some(30.0), false), (Some(30.1), true)] {
        let (slot, start) = (Arc::new(slot("ttl: 10s")), Instant::now());
        if let Some(age) = stored {
            slot.store(one(), start, start);
            tokio::time::advance(Duration::from_secs_f64(age)).await;
        }
        assert!(!slot.is_awaited(Instant::now()), "nothing is in flight");
        let fetch = slot.try_start(Instant::now()).expect("due");
        let (began, now) = (Instant::now(), Instant::now());
        assert_eq!((slot.is_awaited(now), slot.status(now).is_late), (waits, waits), "{stored:?}");
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(3)).await;
            drop(fetch);
        });
        slot.wait_for_fetch().await;
        assert_eq!(began.elapsed(), Duration::from_secs(if waits { 3 } else { 0 }), "{stored:?}");
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert!(!slot.is_awaited(Instant::now()), "it has ended");
    }
}

#[test]
fn what_is_left_out_is_counted_and_summed() {
    let (slot, start) = (slot(""), Instant::now());
    let [x, y] = ["x", "y"].map(|letter| truncate::label(&letter.repeat(5000)).into_owned());
    let texts = ["a", "a", "a", "b", "c", "d", "e", &x, &y];
    let numbers = ["1", "1", "1", "one", "two", "three", "four", "1", "1"];
    let cells = texts.into_iter().zip(numbers).map(|(text, number)| [text.to_owned(), number.to_owned()]);
    let answers: Answers = rows(["l", "n"], cells).into_iter().map(|a| a.map(|a| Answer { cut: 7, ..a })).collect();
    let expected = |times: u64| {
        let failures = [(Reason::Timeout, 3), (Reason::Query, 2)].map(|(reason, count)| (reason, count * times)).into();
        SlotCounts { cut: 7 * times, duplicates: 2 * times, invalid: 4 * times, texts: 2 * times, failures }
    };
    for times in 1..3 {
        slot.store(answers.clone(), start, start);
        for reason in [Reason::Timeout, Reason::Query, Reason::Undefined, Reason::Query, Reason::Timeout] {
            slot.store(fails(reason), start, start);
        }
        slot.count_timeout();
        assert_eq!(slot.status(start).counts, expected(times));
    }
    let status = slot.status(start);
    assert_eq!(status.clone().merge(status).counts, expected(4));
}

#[test]
fn only_new_errors_are_returned() {
    let (slot, start) = (slot_of("", &["l", "l"]), Instant::now());
    let [query, lost] = [Reason::Query, Reason::Lost].map(error);
    for (answers, new) in [
        (vec![Err(query.clone()), Err(query.clone())], vec![query.clone(), query.clone()]),
        (vec![Err(query.clone()), Err(lost.clone())], vec![lost.clone()]),
        (vec![Err(lost.clone()), Err(query.clone())], vec![]),
        ([one(), one()].concat(), vec![]),
        (vec![one().remove(0), Err(query.clone())], vec![query]),
    ] {
        assert_eq!(slot.store(answers, start, start), new);
    }
}

/// Success means that no query failed; the last success is the last attempt with an answer.
#[test]
fn success_and_its_time() {
    let (skip, fail) = (fails(Reason::Undefined), fails(Reason::Query));
    for (answers, success, has_time) in [
        ([one(), one()], true, true),
        ([one(), skip.clone()], true, true),
        ([skip.clone(), skip.clone()], true, false),
        ([none(), skip.clone()], true, true),
        ([one(), fail.clone()], false, false),
        ([fail, skip], false, false),
    ] {
        let (slot, start) = (slot_of("ttl: 1m", &["l", "l"]), Instant::now());
        let answers = answers.concat();
        slot.store(answers.clone(), start, after(start, 2.0));
        let status = slot.status(after(start, 5.0));
        let attempt = Attempt { ended: after(start, 2.0), took: Duration::from_secs(2), success };
        assert_eq!((status.attempt, status.last_success.is_some()), (Some(attempt), has_time), "{answers:?}");
    }
}

/// The oldest table counts, and all rows together.
#[test]
fn a_status_is_of_all_queries() {
    let (slot, start) = (slot_of("ttl: 100s", &["l", "l"]), Instant::now());
    let two = rows(["l", "n"], ["a", "b"].map(|label| [label.to_owned(), "1".to_owned()]));
    slot.store([two, one()].concat(), start, start);
    slot.store([fails(Reason::Timeout), one()].concat(), start, after(start, 100.0));
    for (now, age, rows) in [(150.0, 150, 3), (300.0, 300, 3), (301.0, 201, 1), (401.0, 0, 0)] {
        let status = slot.status(after(start, now));
        let wanted = (rows > 0).then_some(Duration::from_secs(age));
        assert_eq!((status.age, status.rows), (wanted, rows), "{now}");
    }
}

#[test]
fn two_databases_together_are_as_good_as_the_worse() {
    let start = Instant::now();
    let status = |seconds: u64, success: bool, is_late: bool, rows: usize| CollectorStatus {
        attempt: Some(Attempt { ended: after(start, seconds as f64), took: Duration::from_secs(seconds), success }),
        is_late,
        last_success: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)),
        age: Some(Duration::from_secs(seconds)),
        rows,
        errors: vec![error(Reason::Query); rows],
        counts: SlotCounts::default(),
    };
    let never = slot("").status(start);
    for (is_good, is_late) in [(true, true), (true, false), (false, true), (false, false)] {
        for (one, two) in [
            (status(2, true, false, 1), status(5, is_good, is_late, 3)),
            (status(5, is_good, is_late, 3), status(2, true, false, 1)),
        ] {
            let both = one.clone().merge(two);
            let attempt = Attempt { ended: after(start, 5.0), took: Duration::from_secs(7), success: is_good };
            assert_eq!((both.attempt, both.is_late), (Some(attempt), is_late));
            assert_eq!(both.last_success, status(2, true, true, 0).last_success);
            assert_eq!((both.age, both.rows, both.errors.len()), (Some(Duration::from_secs(5)), 4, 4));
            let with_never = one.clone().merge(never.clone());
            assert_eq!((with_never.attempt, with_never.last_success), (one.attempt, None), "one was never fetched");
        }
    }
}

/// Rows about dropped databases are not shown.
#[test]
fn rows_of_databases_that_are_gone_are_dropped() {
    for (head, labels, is_per_database, samples) in [
        ("ttl: 1m", ["l", "datname"], true, [3, 2]),
        ("ttl: 1m", ["datname", "l"], true, [2, 3]),
        ("ttl: 1m", ["l", "l"], false, [3, 3]),
        ("", ["datname", "datname"], false, [3, 3]),
    ] {
        let (slot, start) = (slot_of(head, &labels), Instant::now());
        let rows_of = |label| rows([label, "n"], ["kept", "gone", ""].map(|text| [text.to_owned(), "1".to_owned()]));
        slot.store(labels.map(rows_of).concat(), start, start);
        assert_eq!(slot.is_per_database(), is_per_database, "{labels:?}");
        slot.retain_databases(&HashSet::from(["kept", "other"]));
        let page = shown(&slot, start, start);
        let found = ["m0", "m1"].map(|name| page.iter().filter(|line| line.starts_with(name)).count());
        assert_eq!(found, samples, "{page:?}");
        assert_eq!(page.concat().contains("datname=\"gone\""), head.is_empty());
    }
}
