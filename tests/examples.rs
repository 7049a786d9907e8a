//! What the documentation shows must work: the example files load, and docs/metrics.md is what `pgvigil docs` prints,
//! docs/collectors.md names every collector. What the demonstration says to look at is there.

#[path = "../tools/demo/readers.rs"]
mod readers;

use std::{
    collections::BTreeSet,
    fs,
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
};

use expect_test::expect_file;
use pgvigil::{collector::catalogue::Catalogue, docs, settings::Settings};
use serde_json::Value;

use crate::support::{free_port, http};

#[test]
fn the_example_collectors_load_beside_the_shipped_ones() {
    let catalogue = Catalogue::load(Some(Path::new("examples/collectors")));
    let catalogue = catalogue.unwrap_or_else(|problems| panic!("{problems}"));
    assert!(catalogue.get("outbox").is_some());
}

#[test]
fn the_example_settings_fit_the_shipped_collectors() {
    let env = |name: &str| ["REGION", "ORDERS_PASSWORD"].contains(&name).then(|| "x".to_owned());
    let settings = Settings::load(Some(Path::new("examples/pgvigil.yaml")), &env);
    let adjusted = Catalogue::load(None).and_then(|catalogue| catalogue.adjust(settings));
    let (_, catalogue) = adjusted.unwrap_or_else(|problems| panic!("{problems}"));
    assert!(catalogue.get("buffers").is_none());
}

/// The file says of itself that it has.
#[test]
fn the_example_settings_have_every_key() {
    let text = fs::read_to_string("examples/pgvigil.yaml").expect("the example");
    let words: BTreeSet<_> = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    let schema = fs::read_to_string("docs/schema/settings.json").expect("the schema");
    let keys = keys(&serde_json::from_str(&schema).expect("JSON"));
    assert!(keys.len() > 50, "{keys:?}");
    let lacks: Vec<_> = keys.iter().filter(|key| !words.contains(key.as_str())).collect();
    assert!(lacks.is_empty(), "{lacks:?}");
}

/// Of each map that a schema tells of.
fn keys(schema: &Value) -> BTreeSet<String> {
    match schema {
        Value::Object(map) => {
            let own =
                map.get("properties").and_then(Value::as_object).into_iter().flat_map(|keys| keys.keys().cloned());
            own.chain(map.values().flat_map(keys)).collect()
        }
        Value::Array(items) => items.iter().flat_map(keys).collect(),
        _ => BTreeSet::new(),
    }
}

/// `UPDATE_EXPECT=1 cargo test docs` writes it.
#[test]
fn the_docs_list_every_shipped_metric() {
    let catalogue = Catalogue::load(None).unwrap_or_else(|problems| panic!("{problems}"));
    expect_file!["../docs/metrics.md"].assert_eq(&docs::markdown(&catalogue));
}

#[test]
fn the_docs_name_every_shipped_collector() {
    let tables = fs::read_to_string("docs/collectors.md").expect("docs/collectors.md");
    let catalogue = Catalogue::load(None).unwrap_or_else(|problems| panic!("{problems}"));
    for name in catalogue.collectors.iter().map(|collector| &collector.name) {
        assert!(tables.contains(&format!("\n| `{name}` |")), "docs/collectors.md: the tables lack `{name}`");
    }
}

#[test]
fn what_the_demo_says_to_look_at_is_there() {
    let free = |_: &str, wanted: SocketAddr| SocketAddr::new(wanted.ip(), free_port());
    let readers = readers::Readers::start("127.0.0.1:1".parse().expect("an address"), free);
    assert!(readers.alerts().is_some());
    let steps = readers.steps();
    assert_eq!(steps.len(), 4, "a graph, alerts, Alertmanager, Grafana: {steps:#?}");
    for (place, _) in &steps[..3] {
        if let Some(link) = place.strip_prefix("http://") {
            let (address, path) = link.split_once('/').expect("a path");
            let answer = http::get(address.parse().expect("an address"), &format!("/{path}"), &[]).expect("an answer");
            assert!(answer.status == 200 && !answer.text().contains("does not include"), "{place}");
        } else {
            let mut words = place.split(' ');
            let mut program = Command::new(words.next().expect("a program"));
            assert!(program.args(words).stdout(Stdio::null()).status().is_ok_and(|ended| ended.success()), "{place}");
        }
    }
}
