//! What the documentation shows must work: the example files load, and docs/metrics.md is what `pgvigil docs` prints,
//! docs/collectors.md names every collector.

use std::{fs, path::Path};

use expect_test::expect_file;
use pgvigil::{
    config::{catalogue::Catalogue, settings::Settings},
    docs,
};

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
    let settings = settings.unwrap_or_else(|problems| panic!("{problems}"));
    let catalogue = Catalogue::load(None).and_then(|catalogue| catalogue.adjust(&settings));
    assert!(catalogue.unwrap_or_else(|problems| panic!("{problems}")).get("buffers").is_none());
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
