//! Tests of collectors with a `ttl`: shown from the cache, and refreshed in the background.

use crate::scrape::engine::tests::*;
use crate::source::fetch::Reason;
use crate::source::fixture::{Login, fails};

#[tokio::test(start_paused = true)]
async fn the_first_scrape_waits_and_later_ones_serve() {
    let world = World::new();
    world.server.change(|server| _ = server.delays.insert("slow", seconds(3.0)));
    let began = Instant::now();
    world.scrape().await.expect("slow=1 success.slow=1 age.slow=0");
    assert_eq!(began.elapsed(), seconds(3.0));
    for age in [15, 30, 45] {
        pause(15.0).await;
        world.scrape().await.expect(&format!("slow=1 success.slow=1 age.slow={age}"));
    }
    assert_eq!(world.server.asked("slow"), 1);
}

#[tokio::test(start_paused = true)]
async fn an_old_result_is_served_while_one_refresh_runs() {
    let world = World::new();
    world.scrape().await.expect("slow=1");
    world.server.change(|server| _ = server.delays.insert("slow", seconds(3.0)));
    pause(60.0).await;
    for _ in 0..3 {
        let began = Instant::now();
        world.scrape().await.expect("slow=1");
        assert_eq!(began.elapsed(), Duration::ZERO, "nobody waits for a refresh");
        assert_eq!(world.server.asked("slow"), 2, "one at a time");
        pause(0.5).await;
    }
    pause(2.0).await;
    world.scrape().await.expect("slow=2 success.slow=1");
}

#[tokio::test(start_paused = true)]
async fn what_comes_after_its_scrape_is_served_from_then_on() {
    let world = World::new();
    world.server.change(|server| _ = server.delays.insert("slow", seconds(3.0)));
    world.scrape_within(seconds(1.0)).await.expect("slow=- quick=1 up=1");
    pause(14.0).await;
    for age in [12, 27, 42] {
        world.scrape().await.expect(&format!("slow=1 age.slow={age}"));
        pause(15.0).await;
    }
}

/// A scrape during the first fetch waits for it too, until its own deadline.
#[tokio::test(start_paused = true)]
async fn a_scrape_with_nothing_to_show_waits_for_the_fetch_in_flight() {
    let world = World::new();
    world.server.change(|server| _ = server.delays.insert("slow", seconds(4.0)));
    world.scrape_within(seconds(1.0)).await.expect("slow=-");
    world.scrape_within(seconds(1.0)).await.expect("slow=-");
    world.scrape_within(seconds(5.0)).await.expect("slow=1");
    assert_eq!(world.server.asked("slow"), 1);
}

#[tokio::test(start_paused = true)]
async fn after_a_timeout_the_last_result_stands_for_three_ttl() {
    for reason in [Reason::Timeout, Reason::LockTimeout] {
        let world = World::new();
        world.scrape().await.expect("slow=1 success.slow=1");
        world.server.change(|server| _ = server.answers.insert("slow", fails(reason)));
        pause(60.0).await;
        world.scrape().await;
        for age in [75, 120, 165, 180] {
            let wanted = format!("slow=1 success.slow=0 age.slow={age} skipped.slow.{}=-", reason.into_str());
            pause_until(&world, age).await.expect(&wanted);
        }
        pause_until(&world, 181).await.expect("slow=- success.slow=0 age.slow=- up=1 quick=7");
        world.server.change(|server| server.answers.clear());
        pause(60.0).await;
        world.scrape().await;
        pause(1.0).await;
        world.scrape().await.expect("success.slow=1 age.slow=1");
    }
}

/// Scrapes when this collector's first result has this age in seconds.
async fn pause_until(world: &World, age: u64) -> Page {
    tokio::time::sleep_until(world.server.seen().began + Duration::from_secs(age)).await;
    world.scrape().await
}

#[tokio::test(start_paused = true)]
async fn any_other_failure_drops_the_last_result() {
    use Reason::*;
    for reason in
        [Query, Columns, TooLarge, Lost, LoginPending, Role, Version, Extension, Undefined, Privilege, Setting]
    {
        let world = World::new();
        world.scrape().await.expect("slow=1");
        world.server.change(|server| {
            server.delays.insert("slow", seconds(0.5));
            server.answers.insert("slow", fails(reason));
        });
        pause(60.0).await;
        world.scrape().await.expect("slow=1");
        pause(1.0).await;
        let page = world.scrape().await;
        let (skip, word) = (reason.is_skip(), reason.into_str());
        page.expect(&format!("slow=- success.slow={} quick=3 up=1", u8::from(skip)));
        page.expect(&format!("skipped.slow.{word}={}", if skip { "1" } else { "-" }));
        page.expect(&format!("failures.slow.{word}={}", if skip { "-" } else { "1" }));
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_tried_again_after_the_ttl_or_a_minute() {
    for (ttl, pace) in [("10s", 10.0), ("60s", 60.0), ("1h", 60.0)] {
        let world = World::with(catalogue(&[("slow", ttl)]));
        world.server.change(|server| _ = server.answers.insert("slow", fails(Reason::Query)));
        expect_pace(&world, pace).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_skipped_is_tried_again_after_the_ttl_or_five_minutes() {
    for (ttl, pace) in [("60s", 60.0), ("10m", 300.0), ("1h", 300.0)] {
        let world = World::with(catalogue(&[("slow", ttl)]));
        world.server.change(|server| _ = server.answers.insert("slow", fails(Reason::Extension)));
        expect_pace(&world, pace).await;
    }
}

/// At any scrape interval, the slow collector is asked once in `pace` seconds.
async fn expect_pace(world: &World, pace: f64) {
    for times in 1..4 {
        world.scrape().await;
        assert_eq!(world.server.asked("slow"), times);
        pause(pace - 1.0).await;
        world.scrape().await;
        assert_eq!(world.server.asked("slow"), times);
        pause(1.0).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_skipped_is_tried_again_on_a_new_connection() {
    let world = World::with(catalogue(&[("slow", "1h"), ("fine", "1h")]));
    world.server.change(|server| _ = server.answers.insert("slow", fails(Reason::Privilege)));
    world.scrape().await.expect("slow=- skipped.slow.privilege=1 fine=1");
    world.server.change(|server| server.answers.clear());
    pause(15.0).await;
    world.scrape().await.expect("slow=- skipped.slow.privilege=1");
    world.server.end_session();
    pause(15.0).await;
    world.scrape().await.expect("slow=2 skipped.slow.privilege=- fine=1");
}

#[tokio::test(start_paused = true)]
async fn a_target_that_was_down_is_asked_anew() {
    let world = World::with(catalogue(&[("slow", "1h")]));
    world.scrape().await.expect("slow=1");
    world.server.end_session();
    world.server.change(|server| server.login = Login::Fails(Reason::Unreachable));
    pause(15.0).await;
    world.scrape().await.expect("slow=- up=0");
    world.server.change(|server| server.login = Login::default());
    world.server.change(|server| _ = server.delays.insert("slow", seconds(2.0)));
    pause(1.0).await;
    let began = Instant::now();
    world.scrape().await.expect("slow=2 up=1");
    assert_eq!(began.elapsed(), seconds(2.0));
}

#[tokio::test(start_paused = true)]
async fn a_change_of_role_drops_what_was_found_before() {
    let world = World::with(catalogue(&[("slow", "1h")]));
    world.scrape().await.expect("slow=1");
    world.server.change(|server| server.replica = true);
    pause(15.0).await;
    world.scrape().await.expect("slow=- quick=2 up=1");
    pause(15.0).await;
    world.scrape().await.expect("slow=2 quick=3");
    pause(15.0).await;
    world.scrape().await.expect("slow=2");
}

/// A fetch that began under the old role must not come back after the change.
#[tokio::test(start_paused = true)]
async fn a_change_of_role_drops_what_is_under_way() {
    let world = World::with(catalogue(&[("slow", "60s")]));
    world.scrape().await.expect("slow=1");
    world.server.change(|server| _ = server.delays.insert("slow", seconds(3.0)));
    pause(60.0).await;
    world.scrape().await.expect("slow=1");
    world.server.change(|server| server.replica = true);
    pause(1.0).await;
    world.scrape_within(seconds(1.0)).await.expect("slow=-");
    pause(5.0).await;
    world.scrape().await.expect("slow=3");
}

/// At any scrape interval, and after any gap, each page has the collector's series.
#[tokio::test(start_paused = true)]
async fn at_every_interval_each_page_has_it() {
    for interval in [15.0, 60.0, 120.0, 180.0, 181.0, 300.0, 3600.0] {
        let world = World::new();
        world.server.change(|server| _ = server.delays.insert("slow", seconds(3.0)));
        for _ in 0..10 {
            let page = world.scrape().await;
            page.expect("success.slow=1 up=1");
            assert!(page.get("slow").is_some(), "every {interval} s");
            pause(interval).await;
        }
        pause(86_400.0).await;
        world.scrape().await.expect("success.slow=1 age.slow=0");
    }
}

/// A scrape without a result counts as a timeout of the collector.
#[tokio::test(start_paused = true)]
async fn a_result_that_comes_too_late_is_a_timeout() {
    let world = World::new();
    world.scrape().await.expect("slow=1 success.slow=1 failures.slow.timeout=-");
    world.server.change(|server| _ = server.delays.insert("slow", seconds(4.0)));
    pause(600.0).await;
    world.scrape_within(seconds(1.0)).await.expect("slow=- success.slow=0 failures.slow.timeout=1 up=1 quick=2");
    world.scrape_within(seconds(1.0)).await.expect("slow=- success.slow=0 failures.slow.timeout=2");
    world.scrape().await.expect("slow=2 success.slow=1 failures.slow.timeout=2");
}

/// A collector that keeps failing does not delay frequent scrapes.
#[tokio::test(start_paused = true)]
async fn frequent_scrapes_do_not_wait_for_what_fails() {
    let world = World::new();
    world.server.change(|server| {
        server.delays.insert("slow", seconds(3.0));
        server.answers.insert("slow", fails(Reason::Query));
    });
    world.scrape().await.expect("slow=- success.slow=0");
    for _ in 0..20 {
        pause(15.0).await;
        let began = Instant::now();
        world.scrape().await.expect("slow=- success.slow=0");
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
