//! A real Prometheus scrapes as the chart's objects say, written as the operator would: each target once, in one of the shards.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::Duration,
};

use serde_json::{Value, json};

use super::{
    CHART, ci,
    mounted::{list, text},
    object, objects,
};
use crate::support::{Folder, Pgvigil, Prometheus, eventually, yaml};

const TARGETS: usize = 12;
const SHARDS: usize = 3;

/// A pgvigil with many targets, none of which needs a server, most of them in clusters of two, and the objects of a chart with the same settings.
fn fleet(values: &str, more: &[&str]) -> (Folder, Pgvigil, Vec<Value>) {
    let target = |n: usize| {
        let labels = if n < 8 { json!({"cluster": format!("shop-{}", n / 2)}) } else { json!({}) };
        json!({"name": format!("db-{n}"), "labels": labels, "disk": {"paths": [{"path": "/"}]}})
    };
    let targets: Vec<_> = (0..TARGETS).map(target).collect();
    let config = format!("config={}", json!({"targets": targets}));
    let objects = objects(&ci(values), &[&["--set-json", &config], more].concat());
    let secret = object(&objects, "Secret", "shop-metrics-pgvigil");
    let folder = Folder::new("fleet", "TERM");
    let file = folder.write("pgvigil.yaml", text(&secret["stringData"]["pgvigil.yaml"])).display().to_string();
    let pgvigil = Pgvigil::start(env!("CARGO_BIN_EXE_pgvigil"), &["--config", &file], &[]);
    (folder, pgvigil, objects)
}

/// The same with a shard's rules behind its own, as the operator adds them.
fn in_shard(mut job: Value, number: usize, shard: usize) -> Value {
    job["job_name"] = format!("job-{number}-shard-{shard}").into();
    let mut rules = list(&job["relabel_configs"]).to_vec();
    rules.extend([
        json!({"source_labels": ["__address__", "__tmp_hash"], "target_label": "__tmp_hash", "regex": "(.+);"}),
        json!({"source_labels": ["__tmp_hash"], "target_label": "__tmp_hash", "modulus": SHARDS, "action": "hashmod"}),
        json!({"source_labels": ["__tmp_hash"], "regex": shard.to_string(), "action": "keep"}),
    ]);
    job["relabel_configs"] = rules.into();
    job
}

/// A rule as Prometheus itself writes it.
fn rule(operators: &Value) -> Value {
    let keys = [("sourceLabels", "source_labels"), ("targetLabel", "target_label"), ("replacement", "replacement")];
    let given = keys.iter().filter(|(theirs, _)| !operators[*theirs].is_null());
    given.map(|(theirs, own)| ((*own).to_owned(), operators[*theirs].clone())).collect()
}

/// Waits until each target is scraped in one job alone, by its own name; the targets are not all in one shard.
fn expect_shared_out(jobs: &[Value]) {
    let lines: Vec<_> = jobs.iter().map(|job| format!("- {job}")).collect();
    let prometheus = Prometheus::start(&lines.join("\n"));
    let mut seen = BTreeMap::new();
    eventually(Duration::from_secs(60), "all targets are scraped", || {
        let samples = prometheus.query("count by (job, instance, target, cluster) (pgvigil_threshold)");
        seen = list(&samples).iter().map(|s| (text(&s["metric"]["target"]).to_owned(), s["metric"].clone())).collect();
        assert!(list(&samples).len() == seen.len(), "a target is scraped twice: {samples}");
        seen.len() == TARGETS
    });
    assert!(seen.values().all(|labels| labels["instance"] == labels["target"]), "{seen:?}");
    let shard = |target: &str| text(&seen[target]["job"]).split('-').next_back().unwrap_or_default().to_owned();
    let shards: BTreeSet<_> = seen.keys().map(|target| shard(target)).collect();
    assert_eq!(shards.len(), SHARDS, "{seen:?}");
    for n in [0, 2, 4, 6] {
        let [one, other] = [n, n + 1].map(|n| shard(&format!("db-{n}")));
        assert_eq!(one, other, "db-{n} and the next are of one cluster: {seen:?}");
    }
}

#[test]
#[ignore = "long: make test-all"]
fn the_shards_of_an_operators_prometheus_share_the_targets() {
    let (_folder, pgvigil, objects) =
        fleet("minimal", &["--set", "serviceMonitor.enabled=true,serviceMonitor.multipleTargets=true"]);
    let monitor = object(&objects, "ServiceMonitor", "shop-metrics-pgvigil");
    let job = |endpoint: &Value| {
        json!({
            "params": endpoint["params"], "static_configs": [{"targets": [pgvigil.address().to_string()]}],
            "relabel_configs": list(&endpoint["relabelings"]).iter().map(rule).collect::<Vec<_>>(),
        })
    };
    let jobs: Vec<_> = list(&monitor["spec"]["endpoints"]).iter().map(job).enumerate().collect();
    let jobs =
        (0..SHARDS).flat_map(|shard| jobs.iter().map(move |(number, job)| in_shard(job.clone(), *number, shard)));
    expect_shared_out(&jobs.collect::<Vec<_>>());
}

#[test]
#[ignore = "long: make test-all"]
fn the_shards_of_a_scrape_config_share_the_targets() {
    let (_folder, pgvigil, objects) = fleet("sharded", &[]);
    let spec = &object(&objects, "ScrapeConfig", "shop-metrics-pgvigil")["spec"];
    let url = text(&spec["httpSDConfigs"][0]["url"]);
    assert_eq!(url, "http://shop-metrics-pgvigil.shop:9878/sd");
    let job = json!({
        "http_sd_configs": [{"url": format!("http://{}/sd", pgvigil.address())}],
        "relabel_configs": list(&spec["relabelings"]).iter().map(rule).collect::<Vec<_>>(),
    });
    expect_shared_out(&(0..SHARDS).map(|shard| in_shard(job.clone(), 0, shard)).collect::<Vec<_>>());
}

#[test]
#[ignore = "long: make test-all"]
fn the_shards_of_the_readme_share_the_targets() {
    let (_folder, pgvigil, _) = fleet("minimal", &[]);
    let readme = fs::read_to_string(format!("{CHART}/README.md")).expect("README.md");
    let (_, begin) = readme.split_once("```yaml\nscrape_configs:").expect("scrape_configs");
    let written = format!("scrape_configs:{}", begin.split("```").next().unwrap_or_default());
    let job = &yaml::parse(&written).expect("YAML")["scrape_configs"][0];
    let of_shard = |shard: usize| {
        let mut job = job.clone();
        job["job_name"] = format!("pgvigil-{shard}").into();
        job["http_sd_configs"][0]["url"] = format!("http://{}/sd", pgvigil.address()).into();
        job["relabel_configs"][1]["regex"] = shard.to_string().into();
        job
    };
    expect_shared_out(&(0..SHARDS).map(of_shard).collect::<Vec<_>>());
}
