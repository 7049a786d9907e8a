//! Tests of a target's log lines: each change is logged once.

use std::fmt::Debug;

use parking_lot::Mutex;
use tracing::field::Field;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level, Metadata, Subscriber};

use crate::scrape::engine::tests::*;
use crate::source::fetch::Reason;
use crate::source::fixture::{Login, error, fails};

/// Collects the level and the message of this thread's log lines.
#[derive(Clone, Default)]
struct LogLines(Arc<Mutex<Vec<String>>>);

impl LogLines {
    fn collect() -> (LogLines, DefaultGuard) {
        let lines = LogLines::default();
        (lines.clone(), tracing::subscriber::set_default(lines))
    }

    /// The lines since the last call.
    #[track_caller]
    fn expect(&self, wanted: &[&str]) {
        assert_eq!(std::mem::take(&mut *self.0.lock()), wanted);
    }
}

impl Subscriber for LogLines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO && metadata.target().starts_with("pgvigil")
    }

    fn event(&self, event: &Event<'_>) {
        let level = event.metadata().level();
        event.record(&mut |field: &Field, value: &dyn Debug| {
            if field.name() == "message" {
                self.0.lock().push(format!("{level} {value:?}"));
            }
        });
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[tokio::test(start_paused = true)]
async fn a_target_that_goes_down_and_comes_back_is_logged_once() {
    let (lines, _guard) = LogLines::collect();
    let world = World::new();
    world.scrape().await;
    lines.expect(&[]);
    world.server.end_session();
    let steps: [(Login, &[&str]); 8] = [
        (Login::Fails(Reason::Unreachable), &["WARN down: as the test wants it (unreachable)"]),
        (Login::Fails(Reason::Unreachable), &[]),
        (Login::Fails(Reason::Tls), &["WARN down: as the test wants it (tls)"]),
        (Login::Fails(Reason::Tls), &[]),
        (Login::Fails(Reason::Tls), &["WARN circuit open after repeated failures: scrapes wait only briefly now"]),
        (Login::Fails(Reason::Tls), &[]),
        (Login::default(), &["INFO up again; it was down: as the test wants it (tls)"]),
        (Login::default(), &[]),
    ];
    for (login, wanted) in steps {
        world.server.change(|server| server.login = login);
        pause(15.0).await;
        world.scrape().await;
        lines.expect(wanted);
    }
    world.server.change(|server| server.replica = true);
    pause(15.0).await;
    world.scrape().await;
    lines.expect(&["INFO the server's role changed"]);
}

#[tokio::test(start_paused = true)]
async fn a_pooler_is_logged_when_it_is_found() {
    let (lines, _guard) = LogLines::collect();
    let world = World::new();
    let found = "INFO a pooler is in between: each query brings its own settings (pooled mode)";
    for (pooled, wanted) in [(false, &[][..]), (true, &[found]), (true, &[]), (false, &[]), (true, &[found])] {
        world.server.change(|server| server.pooled = Some(pooled));
        pause(61.0).await;
        world.scrape().await;
        lines.expect(wanted);
    }
}

/// A flapping target logs one line a minute; suppressed lines are counted.
#[tokio::test(start_paused = true)]
async fn a_line_that_was_held_back_is_counted() {
    let (lines, _guard) = LogLines::collect();
    let world = World::new();
    for wanted in [
        &[
            "WARN down: as the test wants it (unreachable)",
            "INFO up again; it was down: as the test wants it (unreachable)",
        ][..],
        &[],
    ] {
        for login in [Login::Fails(Reason::Unreachable), Login::default()] {
            world.server.end_session();
            world.server.change(|server| server.login = login);
            pause(1.0).await;
            world.scrape().await;
        }
        lines.expect(wanted);
    }
    pause(60.0).await;
    world.scrape().await;
    lines.expect(&["WARN 1 more like it (unreachable); `pgvigil check --connect` lists them"]);
}

/// An error of a query, or in a database, is logged when it is new; one of the whole target is logged for the target.
#[tokio::test(start_paused = true)]
async fn new_errors_of_queries_are_logged() {
    let (lines, _guard) = LogLines::collect();
    let world = World::with(catalogue(&[("sizes", "60s\nscope: database")]));
    world.server.change(|server| server.databases = vec!["app"]);
    let of_query = |reason| vec![Err(error(reason).in_query("q"))];
    let steps: [(&str, _, &[&str]); 11] = [
        ("quick", fails(Reason::Query), &[]),
        ("quick", of_query(Reason::Query), &["WARN query q: as the test wants it (query)"]),
        ("quick", of_query(Reason::Query), &[]),
        ("quick", of_query(Reason::Version), &[]),
        ("quick", of_query(Reason::Role), &[]),
        ("quick", of_query(Reason::Undefined), &["WARN query q: as the test wants it (undefined)"]),
        // What is optional is not a warning, and is logged once.
        ("quick", of_query(Reason::Extension), &["INFO query q: as the test wants it (extension)"]),
        ("quick", of_query(Reason::Role), &[]),
        ("quick", of_query(Reason::Extension), &[]),
        ("sizes", fails(Reason::Columns), &["WARN as the test wants it (columns)"]),
        ("sizes", fails(Reason::Columns), &[]),
    ];
    for (collector, answers, wanted) in steps {
        world.server.change(|server| _ = server.answers.insert(collector, answers));
        pause(61.0).await;
        world.scrape().await;
        pause(1.0).await;
        lines.expect(wanted);
    }
}

/// The server has answered before the connection is lost: the target is up.
#[tokio::test(start_paused = true)]
async fn a_refresh_that_is_cut_short_is_logged() {
    let (lines, _guard) = LogLines::collect();
    let world = World::new();
    world.server.change(|server| _ = server.delays.insert("quick", seconds(1.0)));
    for wanted in [&["WARN refresh cut short: as the test wants it (lost)"][..], &[]] {
        let page = world.start(DEADLINE);
        pause(0.5).await;
        world.server.change(|server| server.lost = Some(Reason::Lost));
        page.await.expect("a page").expect("up=1 circuit=0 down.lost=-");
        lines.expect(wanted);
        world.server.change(|server| server.lost = None);
        pause(15.0).await;
    }
}
