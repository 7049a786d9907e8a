//! Tests of scrapes on a clock that the tests set, against scripted servers.
//!
//! The collectors are small: `quick` and `other` are asked on each scrape, `slow` when older than 60 s within 5 s.
//! Their series have their names, and the value counts how often the server was asked for them.

mod abandoned;
mod breaker;
mod databases;
mod freshness;
mod logged;
mod overlap;
mod quick;
mod self_metrics;
mod share;
mod slow;
mod targets;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::collector::catalogue::Catalogue;
use crate::exposition;
use crate::exposition::Format;
use crate::scrape::engine::{Engine, Selection};
use crate::scrape::self_metrics::Process;
use crate::scrape::target::Target;
use crate::settings::Settings;
use crate::source::fixture::Fixture;

/// A scrape's deadline unless a test chooses another.
const DEADLINE: Duration = Duration::from_millis(9500);

const OWN: &str = r#"
collector: own
source: self
queries:
  - name: target
    section: target
    metrics:
      - {name: up, type: gauge, value: up_postgres, ecosystem: true, help: Up.}
      - {name: circuit, type: gauge, value: circuit_state, ecosystem: true, help: Circuit.}
      - {name: trips, type: gauge, value: circuit_trips, ecosystem: true, help: Trips.}
    example: [{up_postgres: 1, circuit_state: 0, circuit_trips: 0}]
  - name: down
    section: down
    labels: [reason]
    metrics: [{name: down, type: gauge, value: down, ecosystem: true, help: Down.}]
    example: [{reason: lost, down: 1}]
  - name: collectors
    section: collectors
    labels: [collector]
    metrics:
      - {name: success, type: gauge, value: success, ecosystem: true, help: Success.}
      - {name: age, type: gauge, value: age_seconds, ecosystem: true, help: Age.}
      - {name: cut, type: gauge, value: cut, ecosystem: true, help: Cut.}
      - {name: duplicates, type: gauge, value: duplicates, ecosystem: true, help: Duplicates.}
      - {name: invalid, type: gauge, value: invalid, ecosystem: true, help: Invalid.}
    example: [{collector: c, success: 1, age_seconds: 0, cut: 0, duplicates: 0, invalid: 0}]
  - name: skipped
    section: skipped
    labels: [collector, reason]
    metrics: [{name: skipped, type: gauge, value: queries, ecosystem: true, help: Skipped.}]
    example: [{collector: c, reason: role, queries: 1}]
  - name: databases
    section: databases
    labels: [datname, reason]
    metrics: [{name: closed, type: gauge, value: skipped, ecosystem: true, help: Closed.}]
    example: [{datname: d, reason: invalid, skipped: 1}]
  - name: failures
    section: failures
    labels: [collector, reason]
    metrics: [{name: failures, type: gauge, value: count, ecosystem: true, help: Failures.}]
    example: [{collector: c, reason: timeout, count: 1}]
"#;

/// An engine on scripted servers.
struct World {
    engine: Arc<Engine>,
    server: Fixture,
}

/// A page's samples. The key is the name and the values of its labels; those of the target `a` are without the target's
/// name.
#[derive(Debug, PartialEq)]
struct Page(BTreeMap<String, String>);

impl World {
    /// One target, `a`.
    fn new() -> Self {
        World::with(catalogue(&[("slow", "60s")]))
    }

    fn with(catalogue: Catalogue) -> Self {
        let server = Fixture::default();
        World { engine: engine(catalogue, &[("a", &server)]), server }
    }

    async fn scrape(&self) -> Page {
        self.scrape_within(DEADLINE).await
    }

    async fn scrape_within(&self, timeout: Duration) -> Page {
        self.scrape_of(&[], timeout).await
    }

    async fn scrape_of(&self, collectors: &[&str], timeout: Duration) -> Page {
        scrape(&self.engine, &select(&[], collectors), timeout).await
    }

    /// Like [`World::scrape`], concurrently with the test.
    fn start(&self, timeout: Duration) -> tokio::task::JoinHandle<Page> {
        let engine = self.engine.clone();
        tokio::spawn(async move { scrape(&engine, &Selection::default(), timeout).await })
    }
}

impl Page {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Compares some of the page: `quick=1 up=1 slow=-` (no such series).
    #[track_caller]
    fn expect(&self, wanted: &str) {
        for wanted in wanted.split_whitespace() {
            let (key, value) = wanted.split_once('=').expect("key=value");
            let found = self.get(&key.replace('.', " ")).unwrap_or("-");
            assert_eq!(found, value, "{key} in {self:#?}");
        }
    }

    fn of(text: &str) -> Page {
        let samples = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
        let key = |series: &str| {
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let values: Vec<&str> = labels.split('"').skip(1).step_by(2).collect();
            let values = values.strip_prefix(&["a"]).unwrap_or(&values);
            [&[name], values].concat().join(" ")
        };
        Page(samples.map(|(series, value)| (key(series), value.to_owned())).collect())
    }
}

async fn scrape(engine: &Engine, selection: &Selection, timeout: Duration) -> Page {
    let began = Instant::now();
    let blocks = engine.scrape(selection, began + timeout).await;
    assert!(began.elapsed() <= timeout + Duration::from_millis(1), "the deadline holds");
    Page::of(&exposition::text(&blocks))
}

fn engine(catalogue: Catalogue, servers: &[(&str, &Fixture)]) -> Arc<Engine> {
    let settings = settings(servers.iter().map(|(name, _)| *name));
    let target = |(wanted, (_, server)): (&crate::settings::TargetSettings, &(&str, &Fixture))| {
        let source = Arc::new((*server).clone());
        Arc::new(Target::with_source(wanted.clone(), source, catalogue.collectors.iter()))
    };
    let targets = settings.targets.iter().zip(servers).map(target).collect();
    Arc::new(Engine { settings, catalogue, targets, process: Arc::new(Process::default()) })
}

fn settings<'a>(names: impl Iterator<Item = &'a str>) -> Settings {
    let targets: Vec<_> = names
        .map(|name| format!("  - {{name: {name}, postgres: {{url: \"postgres://u@127.0.0.1:1/d\"}}}}\n"))
        .collect();
    let text = format!("targets:\n{}", targets.concat());
    Settings::parse("test.yaml", &text, &|_| None).unwrap_or_else(|problems| panic!("{problems}"))
}

/// `quick` and `other`, the program's own series, and these slow collectors with their `ttl`.
fn catalogue(slow: &[(&str, &str)]) -> Catalogue {
    catalogue_with(slow, &[])
}

/// The same, and these files.
fn catalogue_with(slow: &[(&str, &str)], more: &[(&str, &str)]) -> Catalogue {
    let slow = slow.iter().map(|(name, ttl)| (*name, format!("{ttl}\ntimeout: 5s")));
    let all = ["quick", "other"].map(|name| (name, "0s".to_owned())).into_iter().chain(slow);
    let mut files: Vec<_> = all
        .map(|(name, ttl)| {
            let text = format!(
                "collector: {name}\nsource: postgres\nttl: {ttl}\nqueries:\n  - name: q\n    sql: [{{since: 13, text: \
                 SELECT}}]\n    metrics: [{{name: {name}, type: gauge, value: n, ecosystem: true, help: N.}}]\n    \
                 example: [{{n: 1}}]\n"
            );
            (format!("{name}.yaml"), text)
        })
        .collect();
    files.push(("own.yaml".to_owned(), OWN.to_owned()));
    let files = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).chain(more.iter().copied());
    Catalogue::from_files(files).unwrap_or_else(|problems| panic!("{problems}"))
}

fn select(targets: &[&str], collectors: &[&str]) -> Selection {
    // The program's own series are always wanted here.
    let own = (!collectors.is_empty()).then_some("own");
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let mut collectors = set(collectors);
    collectors.extend(own.map(str::to_owned));
    Selection { targets: set(targets), collectors }
}

async fn pause(seconds: f64) {
    sleep(Duration::from_secs_f64(seconds)).await;
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}
