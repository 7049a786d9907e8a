//! Tests of freshness: the next scrape shares a result that is fresh enough.

use crate::scrape::engine::tests::*;
use crate::scrape::target::refresh::MAX_SHARED_AGE;
use crate::source::fetch::Reason;
use crate::source::fixture::Login;

/// The longest pause after which a result is still fresh, and the shortest after which it is not.
const JUST: Duration = Duration::from_millis(250);
const OVER: Duration = Duration::from_millis(251);

#[tokio::test(start_paused = true)]
async fn scrapes_shortly_after_one_another_cost_one_refresh() {
    assert_eq!(MAX_SHARED_AGE, JUST);
    let world = World::new();
    world.scrape().await.expect("quick=1 other=1 slow=1 up=1");
    sleep(JUST).await;
    world.scrape().await.expect("quick=1 other=1 slow=1 up=1 age.quick=0.25 success.quick=1");
    assert_eq!(world.server.seen().fetches, 1);
    sleep(OVER - JUST).await;
    world.scrape().await.expect("quick=2 other=2 slow=1 up=1");
    assert_eq!(world.server.seen().fetches, 2);
}

/// A scrape every 100 ms never shows a result older than the maximum.
#[tokio::test(start_paused = true)]
async fn a_shared_result_does_not_get_younger() {
    let world = World::new();
    for round in 0..30 {
        world.scrape().await.expect(&format!("quick={} up=1", round / 3 + 1));
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_not_fetched_is_fetched() {
    let world = World::new();
    world.scrape_of(&["quick"], DEADLINE).await.expect("quick=1 other=- up=1");
    world.scrape_of(&["other"], DEADLINE).await.expect("quick=- other=1 up=1");
    world.scrape_of(&["quick"], DEADLINE).await.expect("quick=1 up=1");
    world.scrape().await.expect("quick=1 other=1 slow=1 up=1");
    assert_eq!((world.server.asked("quick"), world.server.asked("other")), (1, 1));
}

/// A scrape that has to fetch, and gets no answer, does not count an earlier one.
#[tokio::test(start_paused = true)]
async fn a_scrape_that_has_to_fetch_takes_no_old_answer() {
    let world = World::new();
    world.scrape_of(&["quick"], DEADLINE).await.expect("quick=1 up=1");
    pause(0.1).await;
    world.server.change(|server| server.silent = true);
    world.scrape().await.expect("up=0 quick=- other=- down.timeout=1");
}

/// A failure is retried at once: the first scrape after a recovery reports up.
#[tokio::test(start_paused = true)]
async fn a_failure_is_not_shared() {
    let world = World::new();
    world.scrape().await.expect("up=1 quick=1");
    world.server.end_session();
    world.server.change(|server| server.login = Login::Fails(Reason::Unreachable));
    pause(1.0).await;
    world.scrape().await.expect("up=0 quick=-");
    pause(0.1).await;
    world.server.change(|server| server.login = Login::default());
    world.scrape().await.expect("up=1 quick=2 other=2");
}

/// After a reload the next scrape shows its changes.
#[tokio::test(start_paused = true)]
async fn a_reload_requires_a_refresh() {
    let world = World::new();
    world.scrape().await.expect("quick=1");
    pause(0.1).await;
    let Engine { settings, catalogue, process, .. } = &*world.engine;
    let again = Engine::new(settings.clone(), catalogue.clone(), process.clone(), Some(&world.engine));
    scrape(&again, &Selection::default(), DEADLINE).await.expect("quick=2 slow=1 up=1");
}

/// /health asks the target.
#[tokio::test(start_paused = true)]
async fn health_takes_no_old_answer() {
    let world = World::new();
    world.scrape().await.expect("up=1");
    pause(0.1).await;
    world.server.change(|server| server.silent = true);
    let pinged = world.engine.ping(Instant::now() + seconds(2.0)).await;
    assert!(pinged.iter().all(|(_, report)| !report.up));
}
