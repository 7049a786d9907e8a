//! Tests of collectors that are asked on each scrape.

use crate::scrape::engine::tests::*;
use crate::source::fetch::Reason;
use crate::source::fixture::{Login, fails, rows};

#[tokio::test(start_paused = true)]
async fn each_scrape_asks_and_waits_for_the_answer() {
    let world = World::new();
    world.server.change(|server| _ = server.delays.insert("quick", seconds(3.0)));
    for times in 1..4 {
        let began = Instant::now();
        world.scrape().await.expect(&format!("quick={times} other={times} up=1 success.quick=1"));
        assert_eq!(began.elapsed(), seconds(3.0));
        pause(15.0).await;
    }
    assert_eq!(world.server.seen().logins, 1, "the session is kept");
}

#[tokio::test(start_paused = true)]
async fn at_the_deadline_the_page_has_what_is_there() {
    let world = World::new();
    world.server.change(|server| _ = server.delays.insert("quick", seconds(3.0)));
    world.scrape_within(seconds(1.0)).await.expect("quick=- other=1 slow=1 up=1");
}

/// A result too late for its scrape is shown once, with its age, while the next fetch is in flight.
#[tokio::test(start_paused = true)]
async fn a_late_result_is_shown_once() {
    let world = World::new();
    world.server.change(|server| _ = server.delays.insert("quick", seconds(3.0)));
    world.scrape_within(seconds(1.0)).await.expect("quick=-");
    pause(14.0).await;
    world.server.change(|server| _ = server.delays.insert("quick", seconds(9.0)));
    world.scrape_within(seconds(1.0)).await.expect("quick=1 age.quick=13 other=2 success.quick=1");
    assert_eq!(world.server.asked("quick"), 2);
    world.scrape_within(seconds(0.5)).await.expect("quick=- up=1");
    pause(10.0).await;
    world.scrape_within(seconds(1.0)).await.expect("quick=2");
    pause(100.0).await;
    world.scrape_within(seconds(1.0)).await.expect("quick=-");
    pause(100.0).await;
    world.scrape_within(seconds(9.5)).await.expect("quick=5");
}

#[tokio::test(start_paused = true)]
async fn a_failure_has_no_series_and_says_why() {
    use Reason::*;
    for reason in [Timeout, LockTimeout, Query, Columns, TooLarge] {
        let world = World::new();
        world.scrape().await.expect("quick=1 success.quick=1");
        world.server.change(|server| _ = server.answers.insert("quick", fails(reason)));
        for times in 1..3 {
            pause(15.0).await;
            let wanted =
                format!("quick=- success.quick=0 failures.quick.{0}={times} skipped.quick.{0}=-", reason.into_str());
            let page = world.scrape().await;
            page.expect(&wanted);
            page.expect("up=1 success.other=1 circuit=0");
            page.expect(&format!("other={}", times + 1));
        }
        world.server.change(|server| server.answers.clear());
        pause(15.0).await;
        world.scrape().await.expect("quick=4 success.quick=1");
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_asked_is_skipped_with_the_reason() {
    use Reason::*;
    for reason in [Role, Version, Extension, Undefined, Privilege, Setting] {
        let world = World::new();
        world.server.change(|server| _ = server.answers.insert("quick", fails(reason)));
        let page = world.scrape().await;
        page.expect(&format!("skipped.quick.{0}=1 failures.quick.{0}=-", reason.into_str()));
        page.expect("quick=- success.quick=1 other=1 up=1");
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_down_shows_only_that() {
    use Reason::*;
    for reason in [Unreachable, Tls, Authentication, ConnectionsExhausted, Starting, Refused, Lost] {
        let world = World::new();
        world.scrape().await.expect("quick=1 slow=1 up=1 down=-");
        world.server.end_session();
        world.server.change(|server| server.login = Login::Fails(reason));
        pause(15.0).await;
        let began = Instant::now();
        let page = world.scrape().await;
        page.expect(&format!("down.{}=1", reason.into_str()));
        page.expect("quick=- other=- slow=- up=0 success.quick=0 success.slow=0");
        assert_eq!(began.elapsed(), Duration::ZERO, "a refusal is not waited for");
        world.server.change(|server| server.login = Login::default());
        pause(15.0).await;
        let page = world.scrape().await;
        page.expect("up=1 quick=2 slow=2 success.quick=1 success.slow=1");
        page.expect(&format!("down.{}=-", reason.into_str()));
    }
}

/// A connection that is lost during a query, and lost again on the new session.
#[tokio::test(start_paused = true)]
async fn a_lost_connection_leaves_no_series() {
    let world = World::new();
    world.scrape().await.expect("quick=1 slow=1");
    world.server.change(|server| server.lost = Some(Reason::Lost));
    pause(15.0).await;
    world.scrape().await.expect("quick=- slow=- up=0 down.lost=1 success.quick=0");
}

#[tokio::test(start_paused = true)]
async fn a_target_that_hangs_is_down_at_the_deadline_and_says_so() {
    let world = World::new();
    world.scrape().await.expect("quick=1 slow=1 up=1");
    world.server.change(|server| server.silent = true);
    for reason in ["timeout", "timeout", "login_pending"] {
        pause(15.0).await;
        world.scrape().await.expect(&format!("up=0 quick=- slow=- down.{reason}=1"));
    }
    world.server.change(|server| server.silent = false);
    pause(15.0).await;
    world.scrape().await.expect("up=1 quick=4 slow=2 success.quick=1 down.login_pending=-");
}

#[tokio::test(start_paused = true)]
async fn a_login_that_hangs_is_pending() {
    let world = World::new();
    world.server.change(|server| server.login = Login::Hangs);
    for _ in 0..3 {
        world.scrape().await.expect("up=0 quick=- slow=- down.login_pending=1");
        pause(15.0).await;
    }
    assert_eq!(world.server.seen().logins, 1, "it is waited for, not repeated");
    world.server.change(|server| server.login = Login::default());
    world.scrape().await.expect("up=1 quick=1 slow=1 down.login_pending=-");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_a_sample_is_left_out_and_counted() {
    let world = World::new();
    let answer = rows(["n"], [["7".to_owned()], ["8".to_owned()]]);
    world.server.change(|server| _ = server.answers.insert("quick", answer));
    let answer = rows(["n"], [["many".to_owned()]]);
    world.server.change(|server| _ = server.answers.insert("other", answer));
    for times in 1..3 {
        let page = world.scrape().await;
        page.expect("quick=7 other=- success.quick=1 success.other=1");
        page.expect(&format!("duplicates.quick={times} invalid.other={times} invalid.quick=0"));
        pause(15.0).await;
    }
}
