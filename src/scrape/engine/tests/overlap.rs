//! Tests of overlapping scrapes: one refresh, and one rendering of the same page.

use futures_util::future::join_all;
use hyper::body::Bytes;

use crate::scrape::coalescer::{Coalescer, PageKey};
use crate::scrape::engine::tests::*;
use crate::source::fetch::Reason;
use crate::source::fixture::Login;

fn key(format: Format, gzip: bool, timeout: Duration, collectors: &[&str]) -> PageKey {
    PageKey { selection: select(&[], collectors), format, gzip, timeout }
}

async fn page(pages: &Arc<Coalescer>, world: &World, key: PageKey) -> Bytes {
    pages.get(&world.engine, key).await.expect("room for it")
}

#[tokio::test(start_paused = true)]
async fn a_hundred_scrapes_of_one_page_are_one() {
    let (world, pages) = (World::new(), Arc::new(Coalescer::default()));
    world.server.change(|server| _ = server.delays.insert("quick", seconds(1.0)));
    for round in 1..3 {
        let get = || page(&pages, &world, key(Format::Text, false, DEADLINE, &[]));
        let all = join_all((0..100).map(|_| get())).await;
        assert!(all.iter().all(|page| page.as_ptr() == all[0].as_ptr()), "the same bytes, not equal ones");
        let page = Page::of(std::str::from_utf8(&all[0]).expect("text"));
        page.expect(&format!("quick={round} slow=1 up=1"));
        let seen = world.server.seen();
        assert_eq!((seen.fetches, world.server.asked("quick"), world.server.asked("slow")), (round, round, 1));
        pause(15.0).await;
    }
}

/// Format, encoding, deadline and filter make another page, but not another refresh.
#[tokio::test(start_paused = true)]
async fn different_pages_share_the_refresh() {
    let (world, pages) = (World::new(), Arc::new(Coalescer::default()));
    world.server.change(|server| _ = server.delays.insert("quick", seconds(2.0)));
    let keys = [
        key(Format::Text, false, DEADLINE, &[]),
        key(Format::OpenMetrics, false, DEADLINE, &[]),
        key(Format::Text, true, DEADLINE, &[]),
        key(Format::Text, false, seconds(5.0), &[]),
        key(Format::Text, false, DEADLINE, &["quick"]),
        key(Format::Text, false, DEADLINE, &["other"]),
    ];
    let all = join_all(keys.map(|key| page(&pages, &world, key))).await;
    let seen = world.server.seen();
    assert_eq!((seen.fetches, world.server.asked("quick"), world.server.asked("other")), (1, 1, 1));
    let text = |page: usize| std::str::from_utf8(&all[page]).expect("text");
    assert!(text(1).ends_with("# EOF\n") && all[2].starts_with(&[0x1f, 0x8b]));
    for (page, wanted) in [
        (0, "quick=1 other=1 slow=1 up=1"),
        (3, "quick=1 other=1 slow=1 up=1"),
        (4, "quick=1 other=- slow=- up=1"),
        (5, "quick=- other=1 slow=- up=1"),
    ] {
        Page::of(text(page)).expect(wanted);
    }
}

/// A page that has waited long for one target has old results of the others: a new request does not join it.
#[tokio::test(start_paused = true)]
async fn a_page_that_waits_for_one_target_is_no_news_of_another() {
    let (a, b, pages) = (Fixture::default(), Fixture::default(), Arc::new(Coalescer::default()));
    let engine = engine(catalogue(&[]), &[("a", &a), ("b", &b)]);
    a.change(|server| server.login = Login::Hangs);
    for (now, later, wanted) in [
        (Login::default(), Login::Fails(Reason::Unreachable), 0),
        (Login::Fails(Reason::Unreachable), Login::default(), 1),
    ] {
        b.change(|server| server.login = now);
        let get = || async { pages.get(&engine, key(Format::Text, false, DEADLINE, &[])).await.expect("room for it") };
        let second = async {
            pause(5.0).await;
            b.end_session();
            b.change(|server| server.login = later);
            get().await
        };
        let (_, second) = tokio::join!(get(), second);
        let page = Page::of(std::str::from_utf8(&second).expect("text"));
        page.expect(&format!("up=0 up.b={wanted}"));
        assert_eq!(page.get("quick b").is_some(), wanted == 1, "{page:?}");
        pause(60.0).await;
    }
}

/// A request does not join a page of the earlier configuration.
#[tokio::test(start_paused = true)]
async fn after_a_reload_nobody_joins_a_page_of_before() {
    let (before, after, pages) = (World::new(), World::new(), Arc::new(Coalescer::default()));
    before.server.change(|server| server.login = Login::Hangs);
    let full = || key(Format::Text, false, DEADLINE, &[]);
    let second = async {
        pause(0.1).await;
        let (began, page) = (Instant::now(), page(&pages, &after, full()).await);
        Page::of(std::str::from_utf8(&page).expect("text")).expect("up=1 quick=1");
        assert_eq!(began.elapsed(), Duration::ZERO);
    };
    let (first, ()) = tokio::join!(page(&pages, &before, full()), second);
    Page::of(std::str::from_utf8(&first).expect("text")).expect("up=0");
    assert!(pages.is_idle());
}

#[tokio::test(start_paused = true)]
async fn each_scrape_has_its_own_deadline() {
    let world = World::new();
    world.server.change(|server| _ = server.delays.insert("quick", seconds(3.0)));
    let (short, long) = (world.start(seconds(1.0)), world.start(DEADLINE));
    short.await.expect("a page").expect("quick=- other=1 up=1");
    long.await.expect("a page").expect("quick=1 other=1 up=1");
    assert_eq!(world.server.seen().fetches, 1);
}

/// A scrape that joins takes the refresh's results, and fetches only the rest.
#[tokio::test(start_paused = true)]
async fn a_scrape_that_joins_takes_what_the_refresh_brings() {
    let world = World::new();
    world.server.change(|server| _ = server.delays.insert("quick", seconds(3.0)));
    let first = world.start(DEADLINE);
    pause(1.0).await;
    let began = Instant::now();
    world.scrape().await.expect("quick=1 other=2 up=1");
    assert_eq!(began.elapsed(), seconds(2.0));
    first.await.expect("a page").expect("quick=1 up=1");
}

/// The server is answering: it is not down because a scrape ends before its answer is complete.
#[tokio::test(start_paused = true)]
async fn a_scrape_that_joins_for_a_moment_finds_the_target_up() {
    let world = World::new();
    world.server.change(|server| _ = server.delays.insert("quick", seconds(3.0)));
    let first = world.start(DEADLINE);
    pause(0.5).await;
    world.scrape_within(seconds(1.0)).await.expect("up=1 other=1 slow=1 quick=- down.timeout=-");
    world.scrape_within(seconds(1.0)).await.expect("up=0 down.timeout=1");
    first.await.expect("a page").expect("quick=1 other=1 up=1");
}

/// A refresh waits for its turn no longer than its scrape: scrapes of a hanging target do not pile up.
#[tokio::test(start_paused = true)]
async fn scrapes_of_a_target_that_hangs_do_not_pile_up() {
    let world = World::new();
    world.server.change(|server| server.login = Login::Hangs);
    let scrapes: Vec<_> = (1..=100).map(|n| world.start(seconds(5.0) + Duration::from_millis(n))).collect();
    for page in join_all(scrapes).await {
        page.expect("a page").expect("up=0");
    }
    // The hundred are one refresh of 10 s, and so one failure.
    pause(100.0).await;
    assert_eq!(world.server.seen().logins, 1);
    world.server.change(|server| server.login = Login::default());
    world.scrape_within(seconds(0.5)).await.expect("up=1 quick=1 trips=0");
}

/// A scrape that waited while the target failed tries again itself, and asks for everything.
#[tokio::test(start_paused = true)]
async fn a_scrape_that_saw_a_failure_sees_the_recovery() {
    let world = World::new();
    world.server.change(|server| server.login = Login::Hangs);
    let first = world.start(DEADLINE);
    pause(5.0).await;
    let second = world.start(DEADLINE);
    pause(6.0).await;
    world.server.change(|server| server.login = Login::default());
    first.await.expect("a page").expect("up=0");
    second.await.expect("a page").expect("up=1 quick=1 other=1 slow=1");
}

/// No request waits for a page whose task panics (here, because of a time beyond the clock's range): neither those
/// that joined it nor later ones.
#[tokio::test(start_paused = true)]
async fn a_page_that_fails_keeps_nobody_waiting() {
    let (world, pages) = (World::new(), Arc::new(Coalescer::default()));
    for _ in 0..2 {
        let get = || page(&pages, &world, key(Format::Text, false, Duration::MAX, &[]));
        let all = join_all((0..3).map(|_| get())).await;
        assert!(all.iter().all(|page| page.is_empty()));
        assert!(pages.is_idle(), "it is under way no more");
    }
    let page = page(&pages, &world, key(Format::Text, false, DEADLINE, &[])).await;
    Page::of(std::str::from_utf8(&page).expect("text")).expect("quick=1 up=1");
}
