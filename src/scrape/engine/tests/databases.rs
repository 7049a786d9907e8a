//! Tests of collectors that are asked in each database, while databases appear and disappear.

use crate::scrape::engine::tests::*;
use crate::source::fetch::Reason;
use crate::source::fixture;
use crate::source::fixture::Login;

fn world() -> World {
    let world = World::with(catalogue(&[("sizes", "1h\nscope: database"), ("slow", "1h")]));
    world.server.change(|server| server.databases = vec!["app", "billing"]);
    world
}

#[tokio::test(start_paused = true)]
async fn the_first_scrape_waits_for_all_and_later_ones_serve() {
    let world = world();
    world.server.change(|server| _ = server.delays.insert("sizes", seconds(3.0)));
    let began = Instant::now();
    world.scrape().await.expect("sizes.app=1 sizes.billing=2 quick=1 success.sizes=1");
    assert_eq!(began.elapsed(), seconds(3.0));
    pause(15.0).await;
    world.scrape().await.expect("sizes.app=1 sizes.billing=2 quick=2 age.sizes=15");
    assert_eq!(world.server.asked("sizes"), 2);
    pause(3600.0).await;
    let began = Instant::now();
    world.scrape().await.expect("sizes.app=1 sizes.billing=2");
    assert_eq!(began.elapsed(), Duration::ZERO, "nobody waits for a refresh");
    pause(15.0).await;
    world.scrape().await.expect("sizes.app=3 sizes.billing=4 age.sizes=12");
}

#[tokio::test(start_paused = true)]
async fn a_database_that_is_gone_vanishes_and_a_new_one_is_asked_at_once() {
    let world = world();
    world.scrape().await.expect("sizes.app=1 sizes.billing=2");
    world.server.change(|server| server.databases = vec!["billing", "customers"]);
    pause(15.0).await;
    world.scrape().await.expect("sizes.app=- sizes.billing=2 sizes.customers=3");
    world.server.change(|server| server.databases = vec!["app"]);
    pause(15.0).await;
    world.scrape().await.expect("sizes.app=4 sizes.billing=- sizes.customers=-");
    world.server.change(|server| server.databases = vec![]);
    pause(15.0).await;
    world.scrape_of(&["quick"], DEADLINE).await.expect("quick=4 success.sizes=-");
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_down_or_has_another_role_drops_what_was_found() {
    let world = world();
    world.scrape().await.expect("sizes.app=1 sizes.billing=2");
    world.server.end_session();
    world.server.change(|server| server.login = Login::Fails(Reason::Unreachable));
    pause(15.0).await;
    world.scrape().await.expect("up=0 sizes.app=- sizes.billing=-");
    world.server.change(|server| server.login = Login::default());
    pause(15.0).await;
    world.scrape().await.expect("up=1 sizes.app=3 sizes.billing=4");
    world.server.change(|server| server.replica = true);
    pause(15.0).await;
    // The role is known before anything is fetched in the databases.
    world.scrape().await.expect("sizes.app=5 sizes.billing=6 slow=-");
}

/// A database that refuses logins is skipped, which is not a failure, and tried again every five minutes at most.
#[tokio::test(start_paused = true)]
async fn a_database_that_refuses_logins_is_skipped_with_its_reason() {
    let world = world();
    world.server.change(|server| {
        server.closed = vec!["half_dropped"];
        server.refusing = vec!["app"];
    });
    for _ in 0..41 {
        let page = world.scrape().await;
        page.expect("sizes.app=- sizes.billing=1 success.sizes=1 skipped.sizes.closed=1");
        page.expect("closed.half_dropped.invalid=1 closed.app.refused=1 closed.billing.refused=-");
        pause(15.0).await;
    }
    assert_eq!(world.server.seen().refused, 3, "in 10 minutes");
    world.server.change(|server| server.refusing = vec![]);
    pause(300.0).await;
    world.scrape().await;
    world.scrape().await.expect("sizes.app=2 closed.app.refused=-");
}

/// `max_rows` is for the whole target.
#[tokio::test(start_paused = true)]
async fn databases_share_out_the_rows() {
    for (databases, rows) in [(vec!["a"], 9), (vec!["a", "b"], 5), (vec!["a", "b", "c", "d"], 3)] {
        let world = World::with(catalogue(&[("sizes", "1h\nscope: database\nmax_rows: 9")]));
        let answer = fixture::rows(["n"], (0..20).map(|n| [n.to_string()]));
        world.server.change(|server| {
            server.databases = databases.clone();
            server.answers.insert("sizes", answer);
        });
        let cut = databases.len() * (20 - rows);
        world.scrape().await.expect(&format!("sizes.a=0 cut.sizes={cut}"));
    }
}
