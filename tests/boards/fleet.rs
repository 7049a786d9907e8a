//! A hundred servers: no panel has more lines or rows than can be read, and none takes long.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::Value;

use super::{
    files::{self, Dashboard, items, text},
    stack::Stack,
};
use crate::support::{Prometheus, eventually, postgres::encode, process::cpu_ticks};

/// The stack has three servers.
const COPIES: usize = 35;

/// Lines of a graph, or rows of a table.
const MOST: usize = 60;

/// The table of thresholds has a row for each that there is, however many targets.
const AS_MANY_AS_THERE_ARE: [&str; 1] = ["Thresholds"];

/// What is told of a panel that costs more.
const MANY_SECONDS: f64 = 1.0;

/// What all queries of a board may cost Prometheus, in seconds of a processor, with what it scrapes meanwhile.
const MOST_SECONDS: f64 = 20.0;

#[test]
#[ignore = "long: make test-all"]
fn a_hundred_servers_can_be_read() {
    let stack = Stack::start(15);
    let prometheus = stack.many(COPIES);
    let scrapes = || prometheus.value("min(count_over_time(pg_up{target=~\"replica.*\"}[10m]))").unwrap_or_default();
    eventually(Duration::from_secs(600), "eight scrapes of each", || scrapes() >= 8.0);
    let servers = prometheus.value("count(pg_up)").unwrap_or_default();
    println!("{servers} servers, {} series", prometheus.value("count({__name__=~\".+\"})").unwrap_or_default());
    let moment = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let mut wrong = Vec::new();
    for dashboard in files::dashboards() {
        let (begun, mut most) = (spent(&prometheus), (0, ""));
        for panel in dashboard.panels() {
            let before = spent(&prometheus);
            let count = shown(&prometheus, &dashboard, panel, moment);
            let cost = spent(&prometheus) - before;
            if cost > MANY_SECONDS {
                println!("    {}: {cost:.1} s", text(&panel["title"]));
            }
            most = most.max((count, text(&panel["title"])));
            if count > MOST && !AS_MANY_AS_THERE_ARE.contains(&text(&panel["title"])) {
                wrong.push(format!("{}: {} shows {count}", dashboard.file, panel["title"]));
            }
        }
        let cost = spent(&prometheus) - begun;
        println!("{}: {cost:.1} s, most in {}: {}", dashboard.file, most.1, most.0);
        if cost > MOST_SECONDS {
            wrong.push(format!("{} costs {cost:.1} s", dashboard.file));
        }
    }
    assert!(wrong.is_empty(), "with {servers} servers\n{}", wrong.join("\n"));
}

/// Seconds of a processor that Prometheus has used: a clock would measure what else the machine does.
fn spent(prometheus: &Prometheus) -> f64 {
    cpu_ticks(prometheus.pid()) as f64 / 100.0
}

/// The lines of a graph, the values of a stat, the rows of a table.
fn shown(prometheus: &Prometheus, dashboard: &Dashboard, panel: &Value, moment: u64) -> usize {
    let answers: Vec<_> =
        items(&panel["targets"]).iter().map(|target| answer(prometheus, dashboard, target, moment)).collect();
    match text(&panel["type"]) {
        "table" => rows(&answers),
        // One series for each bound.
        "heatmap" => 0,
        _ => answers.iter().map(Vec::len).sum(),
    }
}

/// The labels of the series that a query gives, as Grafana asks it for the last 10 minutes.
fn answer(prometheus: &Prometheus, dashboard: &Dashboard, target: &Value, moment: u64) -> Vec<Value> {
    let step = text(&target["interval"]).trim_end_matches('s').parse().unwrap_or(15);
    let expr = text(&target["expr"]).replace("$__range", "10m").replace("$__interval", &format!("{step}s"));
    let expr = expr.replace("$__rate_interval", &format!("{}s", 4 * step));
    let expr = encode(&files::chosen(dashboard, &expr));
    let answer = match target["range"] == true {
        false => prometheus.get(&format!("/api/v1/query?query={expr}&time={moment}")),
        true => {
            prometheus.get(&format!("/api/v1/query_range?query={expr}&start={}&end={moment}&step={step}", moment - 600))
        }
    };
    assert_eq!(answer["status"], "success", "{}: {answer}", text(&target["expr"]));
    items(&answer["data"]["result"]).iter().map(|series| series["metric"].clone()).collect()
}

/// As Grafana merges them: answers have a row in common where the labels that all have are the same.
fn rows(answers: &[Vec<Value>]) -> usize {
    let labels = |series: &Value| series.as_object().map(|all| all.keys().cloned().collect::<BTreeSet<_>>());
    let with_any = || answers.iter().filter(|answer| !answer.is_empty());
    let common = with_any()
        .map(|answer| answer.iter().filter_map(labels).flatten().collect::<BTreeSet<_>>())
        .reduce(|one, other| &one & &other)
        .unwrap_or_default();
    let key = |series: &Value| common.iter().map(|label| text(&series[label]).to_owned()).collect::<Vec<_>>();
    let mut most: BTreeMap<Vec<String>, usize> = BTreeMap::new();
    for answer in with_any() {
        let mut counts: BTreeMap<Vec<String>, usize> = BTreeMap::new();
        answer.iter().for_each(|series| *counts.entry(key(series)).or_default() += 1);
        for (key, count) in counts {
            let known = most.entry(key).or_default();
            *known = (*known).max(count);
        }
    }
    most.values().sum()
}
