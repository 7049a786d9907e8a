//! Tests of several targets: selection, and what a reload keeps.

use crate::scrape::engine::tests::*;
use crate::source::fixture::Login;

fn pair() -> (Arc<Engine>, Fixture, Fixture) {
    let (a, b) = (Fixture::default(), Fixture::default());
    (engine(catalogue(&[("slow", "60s")]), &[("a", &a), ("b", &b)]), a, b)
}

#[tokio::test(start_paused = true)]
async fn targets_are_refreshed_together_and_one_does_not_harm_another() {
    let (engine, a, b) = pair();
    a.change(|server| _ = server.delays.insert("quick", seconds(3.0)));
    b.change(|server| _ = server.delays.insert("quick", seconds(3.0)));
    let began = Instant::now();
    scrape(&engine, &Selection::default(), DEADLINE).await.expect("quick=1 quick.b=1 slow=1 slow.b=1 up=1 up.b=1");
    assert_eq!(began.elapsed(), seconds(3.0));
    b.end_session();
    b.change(|server| server.login = Login::Hangs);
    pause(15.0).await;
    let page = scrape(&engine, &Selection::default(), DEADLINE).await;
    page.expect("quick=2 quick.b=- slow=1 slow.b=- up=1 up.b=0 down.b.login_pending=1");
}

#[tokio::test(start_paused = true)]
async fn only_what_is_selected_is_asked() {
    let (engine, a, b) = pair();
    let began = Instant::now();
    let page = scrape(&engine, &select(&["b"], &["quick", "slow"]), DEADLINE).await;
    page.expect("quick=- quick.b=1 slow.b=1 other.b=- up=- up.b=1");
    assert_eq!((a.seen().logins, b.asked("other")), (0, 0));
    let pinged = engine.ping(began + DEADLINE).await;
    let up: Vec<_> = pinged.iter().map(|(name, report)| (*name, report.up)).collect();
    assert_eq!((up, a.asked("quick"), a.seen().logins), (vec![("a", true), ("b", true)], 0, 1));
}

#[test]
fn unknown_names_are_errors() {
    let (engine, ..) = pair();
    for (selection, wrong) in [
        (Selection::default(), None),
        (select(&["a"], &["quick"]), None),
        (select(&["a", "c"], &[]), Some("no target \"c\"")),
        (select(&[], &["quick", "fast"]), Some("no collector \"fast\"")),
    ] {
        let error = engine.check(&selection).err();
        assert_eq!(error.as_deref().map(|error| error.split(';').next().unwrap_or_default()), wrong);
    }
}

/// Sessions and results of an unchanged target survive a reload; a new target starts empty.
#[tokio::test(start_paused = true)]
async fn a_reload_keeps_the_targets_that_did_not_change() {
    let (before, a, _) = pair();
    scrape(&before, &select(&["a"], &[]), DEADLINE).await.expect("slow=1");
    let reload = |names: &[&'static str], catalogue: &Catalogue| {
        Engine::new(settings(names.iter().copied()), catalogue.clone(), before.process.clone(), Some(&before))
    };
    let after = reload(&["c", "a"], &before.catalogue);
    assert_eq!(after.targets.iter().map(|target| target.name()).collect::<Vec<_>>(), ["c", "a"]);
    assert!(Arc::ptr_eq(&after.targets[1], &before.targets[0]));
    pause(15.0).await;
    scrape(&after, &select(&["a"], &[]), DEADLINE).await.expect("quick=2 slow=1 age.slow=15");
    assert_eq!(a.seen().logins, 1);
    let other = catalogue(&[("slow", "61s")]);
    assert!(!Arc::ptr_eq(&reload(&["a"], &other).targets[0], &before.targets[0]), "its slots are others now");
}

/// A reload adds a target: collectors of both targets appear on the page once, each with the samples of both.
#[tokio::test(start_paused = true)]
async fn a_page_has_each_metric_once_after_a_reload() {
    let (before, ..) = pair();
    let settings = settings(["a", "c"].into_iter());
    let after = Engine::new(settings, catalogue(&[("slow", "60s")]), before.process.clone(), Some(&before));
    for (old, new) in before.catalogue.collectors.iter().zip(&after.catalogue.collectors) {
        assert!(Arc::ptr_eq(old, new), "{}", new.name);
    }
    let changed =
        Engine::new(after.settings.clone(), catalogue(&[("slow", "61s")]), after.process.clone(), Some(&after));
    let same = after.catalogue.collectors.iter().zip(&changed.catalogue.collectors);
    let changed: Vec<_> = same.filter(|(old, new)| !Arc::ptr_eq(old, new)).map(|(_, new)| &new.name).collect();
    assert_eq!(changed, ["slow"]);
    let blocks = after.scrape(&Selection::default(), Instant::now() + DEADLINE).await;
    let text = exposition::text(&blocks);
    let headers: Vec<_> = text.lines().filter(|line| line.starts_with("# TYPE")).collect();
    let names: BTreeSet<_> = headers.iter().collect();
    assert_eq!((names.len(), headers.is_empty()), (headers.len(), false), "{text}");
}

#[test]
fn a_target_says_what_it_is() {
    for (labels, cluster) in [("cluster: eu", Some("eu")), ("cluster: \"\"", None), ("site: eu", None)] {
        let text =
            format!("targets: [{{name: a, postgres: {{url: \"postgres://u@127.0.0.1:1/d\"}}, labels: {{{labels}}}}}]");
        let settings = Settings::parse("test.yaml", &text, &|_| None).unwrap_or_else(|problems| panic!("{problems}"));
        let source = Arc::new(Fixture::default());
        let target = Target::with_source(settings.targets[0].clone(), source, [].iter());
        assert_eq!((target.name(), target.cluster()), ("a", cluster));
        assert!(target.probe.is_none());
        assert_eq!((target.source.description(), target.source.problems().len()), ("a fixture".to_owned(), 0));
    }
}
