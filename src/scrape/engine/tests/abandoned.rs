//! Tests of abandoned pages, whose requests have all gone, and of the limit on pages in flight.

use std::future::Future;

use futures_util::future::join_all;
use tokio::task::JoinHandle;

use crate::scrape::coalescer::{Busy, Coalescer, PageKey};
use crate::scrape::engine::tests::*;
use crate::source::fixture::Login;

/// Requests a page with this timeout in seconds: another timeout makes another page.
fn ask(pages: &Arc<Coalescer>, world: &World, timeout: u64) -> JoinHandle<Option<Page>> {
    ask_within(pages, world, Duration::from_secs(timeout))
}

fn ask_within(pages: &Arc<Coalescer>, world: &World, timeout: Duration) -> JoinHandle<Option<Page>> {
    let key = PageKey { selection: Selection::default(), format: Format::Text, gzip: false, timeout };
    let (pages, engine) = (pages.clone(), world.engine.clone());
    tokio::spawn(async move {
        let page = pages.get(&engine, key).await.ok()?;
        Some(Page::of(std::str::from_utf8(&page).expect("text")))
    })
}

/// The requests for these pages hang up.
async fn abandon(asked: impl IntoIterator<Item = JoinHandle<Option<Page>>>) {
    pause(0.01).await;
    asked.into_iter().for_each(|request| request.abort());
    pause(0.01).await;
}

fn pages() -> Arc<Coalescer> {
    Arc::new(Coalescer::default())
}

#[tokio::test(start_paused = true)]
async fn a_page_that_nobody_waits_for_is_abandoned() {
    let (world, pages) = (World::new(), pages());
    world.server.change(|server| server.login = Login::Hangs);
    for round in 0..20 {
        abandon((0..500).map(|n| ask(&pages, &world, 100 + 500 * round + n))).await;
        assert!(pages.is_idle(), "nothing is made for nobody");
    }
    world.server.change(|server| server.login = Login::default());
    let (began, scrapes) = (Instant::now(), world.engine.process.clone());
    ask(&pages, &world, 9).await.expect("a request").expect("a page").expect("up=1 quick=1");
    assert!(began.elapsed() < seconds(0.1), "{:?}", began.elapsed());
    assert_eq!(world.server.seen().logins, 1, "the login was waited for, not repeated");
    assert!(format!("{scrapes:?}").contains("scrapes: 1,"), "one page was written: {scrapes:?}");
}

/// One of several requests that wait for a page, or for a refresh, may leave.
#[tokio::test(start_paused = true)]
async fn what_is_shared_goes_on_for_the_others() {
    let (world, pages) = (World::new(), pages());
    world.server.change(|server| _ = server.delays.insert("quick", seconds(3.0)));
    let (first, same, other) = (ask(&pages, &world, 9), ask(&pages, &world, 9), ask(&pages, &world, 8));
    abandon([first]).await;
    for page in [same, other] {
        page.await.expect("a request").expect("a page").expect("quick=1 other=1 up=1");
    }
    assert_eq!(world.server.seen().fetches, 1);
}

/// A refresh that has started runs to its end, and the next scrape has its results.
#[tokio::test(start_paused = true)]
async fn a_refresh_that_has_started_comes_to_its_end() {
    let (world, pages) = (World::new(), pages());
    world.server.change(|server| _ = server.delays.insert("quick", seconds(3.0)));
    abandon([ask(&pages, &world, 9)]).await;
    pause(1.0).await;
    ask(&pages, &world, 9).await.expect("a request").expect("a page").expect("quick=1 up=1");
    assert_eq!((world.server.seen().fetches, world.server.asked("quick"), world.server.seen().logins), (2, 1, 1));
}

/// A request that joins at the very moment when the last one leaves is not forgotten.
#[tokio::test(start_paused = true)]
async fn a_request_that_comes_when_the_last_one_goes_is_answered() {
    let (world, pages) = (World::new(), pages());
    world.server.change(|server| _ = server.delays.insert("quick", seconds(1.0)));
    let first = ask(&pages, &world, 9);
    pause(0.01).await;
    first.abort();
    ask(&pages, &world, 9).await.expect("a request").expect("a page").expect("quick=1 up=1");
}

/// Beyond a thousand pages only requests that join a page are accepted. A place is free again when a request leaves.
#[tokio::test(start_paused = true)]
async fn a_thousand_pages_are_made_at_a_time() {
    let (world, pages) = (World::new(), pages());
    world.server.change(|server| server.login = Login::Hangs);
    // With one target, that many can be in flight.
    let asked: Vec<_> = (0..1065).map(|n| ask(&pages, &world, 1000 + n)).collect();
    pause(0.01).await;
    assert!(asked.iter().all(|page| !page.is_finished()), "there is room for all of them");
    assert!(ask(&pages, &world, 9).await.expect("a request").is_none(), "there is no room for another page");
    assert!(
        ask(&pages, &World::new(), 1000).await.expect("a request").is_none(),
        "nor for one of another configuration"
    );
    pause(1.0).await;
    let joined = ask(&pages, &world, 1000);
    abandon(asked).await;
    world.server.change(|server| server.login = Login::default());
    let all = [joined, ask(&pages, &world, 9)];
    for page in join_all(all).await {
        page.expect("a request").expect("room for it").expect("up=1 quick=1");
    }
    assert!(pages.is_idle());
}

/// Others wait for a hanging server, and have time; a page with less time does not wait for them.
#[tokio::test(start_paused = true)]
async fn a_page_that_has_less_time_need_not_wait_for_those_with_more() {
    let (a, b, pages) = (Fixture::default(), Fixture::default(), pages());
    let engine = engine(catalogue(&[]), &[("a", &a), ("b", &b)]);
    a.change(|server| server.login = Login::Hangs);
    let world = World { engine, server: a };
    let _asked: Vec<_> = (0..500).map(|n| ask(&pages, &world, 1000 + n)).collect();
    pause(1.0).await;
    ask(&pages, &world, 8).await.expect("a request").expect("room for it").expect("up=0 up.b=1 quick.b=2");
}

/// The same holds where so many hang that pages wait for their turn.
#[tokio::test(start_paused = true)]
async fn a_page_in_a_hurry_is_made_out_of_turn() {
    let hung: Vec<_> = (0..20).map(|n| (format!("h{n}"), Fixture::default())).collect();
    let (b, pages) = (Fixture::default(), pages());
    hung.iter().for_each(|(_, server)| server.change(|server| server.login = Login::Hangs));
    let named = hung.iter().map(|(name, server)| (name.as_str(), server));
    let named: Vec<_> = named.chain([("b", &b)]).collect();
    let world = World { engine: engine(catalogue(&[]), &named), server: b.clone() };
    // Together they would wait for 10,000 targets.
    let _asked: Vec<_> = (0..500).map(|n| ask(&pages, &world, 1000 + n)).collect();
    pause(1.0).await;
    ask(&pages, &world, 8).await.expect("a request").expect("room for it").expect("up.h0=0 up.b=1");
}

/// Any number of short requests for a hanging server does not keep a healthy one from being asked.
#[tokio::test(start_paused = true)]
async fn requests_for_a_server_that_hangs_keep_nobody_from_another() {
    let (a, b, pages) = (Fixture::default(), Fixture::default(), pages());
    let engine = engine(catalogue(&[]), &[("a", &a), ("b", &b)]);
    a.change(|server| server.login = Login::Hangs);
    let world = World { engine, server: a };
    let mut flood = Vec::new();
    for nth in 0..2400 {
        flood.push(ask_within(&pages, &world, Duration::from_micros(9_000_000 + nth)));
        pause(0.01).await;
        if nth % 200 == 100 {
            ask(&pages, &world, 2).await.expect("a request").expect("room for it").expect("up=0 up.b=1");
        }
    }
    let page = ask(&pages, &world, 9).await.expect("a request").expect("room for it");
    page.expect("up=0 up.b=1");
    assert!(page.get("quick b").is_some(), "{page:?}");
}

/// Requests that wait while a refresh finds the server hanging need not each find out for themselves.
#[tokio::test(start_paused = true)]
async fn many_pages_of_a_server_that_hangs_take_as_long_as_two() {
    let (world, pages) = (World::new(), pages());
    world.server.change(|server| server.login = Login::Hangs);
    let began = Instant::now();
    for page in join_all((0..60).map(|n| ask(&pages, &world, 1000 + n))).await {
        page.expect("a request").expect("room for it").expect("up=0 down.login_pending=1");
    }
    assert_eq!((began.elapsed(), world.server.seen().logins), (seconds(10.0), 1));
}

/// At shutdown, pages in flight and new ones show the results already there.
#[tokio::test(start_paused = true)]
async fn no_page_waits_at_shutdown() {
    let (world, pages) = (World::new(), pages());
    world.server.change(|server| server.login = Login::Hangs);
    let (began, page) = (Instant::now(), ask(&pages, &world, 9));
    pause(1.0).await;
    assert!(!page.is_finished());
    pages.stop_waiting();
    for page in [page, ask(&pages, &world, 8)] {
        page.await.expect("a request").expect("a page").expect("up=0 down.login_pending=1");
    }
    assert_eq!(began.elapsed(), seconds(1.0));
}

/// As many pages as there are targets are made at once, whatever the others do.
#[tokio::test(start_paused = true)]
async fn each_target_may_be_scraped_by_itself_at_once() {
    let servers: Vec<_> = (0..300).map(|n| (format!("t{n}"), Fixture::default())).collect();
    let named: Vec<_> = servers.iter().map(|(name, server)| (name.as_str(), server)).collect();
    let (engine, pages) = (engine(catalogue(&[]), &named), pages());
    servers.iter().for_each(|(_, server)| server.change(|server| _ = server.delays.insert("quick", seconds(3.0))));
    let began = Instant::now();
    let all = join_all(servers.iter().map(|(name, _)| scrape_of(&pages, &engine, name))).await;
    for (page, (name, _)) in all.into_iter().zip(&servers) {
        Page::of(&page.expect("room for it")).expect(&format!("up.{name}=1 quick.{name}=1"));
    }
    assert_eq!(began.elapsed(), seconds(3.0));
}

fn scrape_of(pages: &Arc<Coalescer>, engine: &Arc<Engine>, target: &str) -> impl Future<Output = Result<String, Busy>> {
    let key = PageKey { selection: select(&[target], &[]), format: Format::Text, gzip: false, timeout: DEADLINE };
    let (pages, engine) = (pages.clone(), engine.clone());
    async move { Ok(String::from_utf8(pages.get(&engine, key).await?.to_vec()).expect("text")) }
}
