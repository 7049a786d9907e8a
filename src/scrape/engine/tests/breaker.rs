//! Tests of the circuit breaker: after five failures in a row a scrape waits briefly, and still notices a recovery.

use crate::scrape::engine::tests::*;
use crate::source::fetch::Reason;
use crate::source::fixture::Login;

/// How long an open breaker lets a scrape wait.
const MOMENT: Duration = Duration::from_millis(900);

/// A target whose breaker has just opened, because its logins hang.
async fn opened() -> World {
    let world = World::new();
    world.server.change(|server| server.login = Login::Hangs);
    for _ in 0..5 {
        world.scrape().await.expect("up=0 circuit=0 trips=0");
        pause(5.0).await;
    }
    world
}

#[tokio::test(start_paused = true)]
async fn five_failures_open_it_and_scrapes_wait_for_a_moment_only() {
    let world = opened().await;
    for _ in 0..3 {
        let began = Instant::now();
        world.scrape().await.expect("up=0 circuit=1 trips=1 down.login_pending=1 quick=-");
        assert_eq!(began.elapsed(), MOMENT);
        pause(15.0).await;
    }
    assert_eq!((world.server.seen().logins, world.server.seen().fetches), (1, 0), "one login, no queries");
}

#[tokio::test(start_paused = true)]
async fn the_scrape_whose_login_succeeds_goes_on() {
    let world = opened().await;
    world.scrape().await.expect("up=0 circuit=1");
    pause(15.0).await;
    world.server.change(|server| {
        server.login = Login::Takes(seconds(100.0));
        server.delays.insert("quick", seconds(3.0));
    });
    let pending = world.server.seen().pending.expect("a login");
    tokio::time::sleep_until(pending + seconds(99.5)).await;
    world.scrape().await.expect("up=1 circuit=0 trips=1 quick=1 slow=1 down.login_pending=-");
    assert_eq!(pending.elapsed(), seconds(103.0));
    assert_eq!(world.server.seen().logins, 1);
}

#[tokio::test(start_paused = true)]
async fn without_a_login_under_way_it_is_open() {
    let world = World::new();
    world.server.change(|server| server.login = Login::Fails(Reason::Unreachable));
    for failures in 1..8 {
        let circuit = if failures < 5 { "circuit=0 trips=0" } else { "circuit=2 trips=1" };
        world.scrape().await.expect(&format!("up=0 {circuit} down.unreachable=1"));
        pause(15.0).await;
    }
    assert_eq!(world.server.seen().logins, 7, "each scrape finds out");
    world.server.change(|server| server.login = Login::default());
    world.scrape().await.expect("up=1 circuit=0 trips=1 quick=1 slow=1");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_answers_nothing_opens_it_and_one_that_answers_closes_it() {
    let world = World::new();
    world.server.change(|server| server.lost = Some(Reason::Lost));
    for _ in 0..4 {
        world.scrape().await.expect("circuit=0");
        pause(15.0).await;
    }
    world.server.change(|server| server.lost = None);
    world.scrape().await.expect("up=1 circuit=0 trips=0");
    pause(15.0).await;
    world.server.change(|server| {
        server.answers.insert("quick", crate::source::fixture::fails(Reason::Timeout));
    });
    for _ in 0..6 {
        world.scrape().await.expect("up=1 circuit=0 success.quick=0");
        pause(15.0).await;
    }
}
