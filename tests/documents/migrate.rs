//! docs/migrate/: each page is short, its settings are right, and every metric that it names is one of ours or of the other exporter's.

use std::{collections::BTreeSet, fs, path::Path};

use pgvigil::{collector::catalogue::Catalogue, settings::Settings};

use super::blocks;
use crate::support::Folder;

const MOST_LINES: usize = 120;

/// What begins like a metric and is something else, or a metric that is in nobody's list.
const OTHER_WORDS: &[&str] = &[
    "pg_catalog",
    "pg_monitor",
    "pgbackrest_exporter",
    "pgbouncer_exporter",
    "pgbouncer_process_*",
    "redis_config",
    "redis_exporter",
    "pg_xlog_position_bytes",
];

/// The pages: file name and text.
fn pages() -> Vec<(String, String)> {
    let files = fs::read_dir("docs/migrate").expect("the folder").map(|entry| entry.expect("an entry").path());
    let read = |path: &Path| (path.display().to_string(), fs::read_to_string(path).expect("a page"));
    files.map(|path| read(&path)).collect()
}

#[test]
fn the_pages_are_short() {
    let pages = pages();
    assert!(pages.len() >= 6, "{} pages", pages.len());
    for (path, text) in pages {
        assert!(text.lines().count() <= MOST_LINES, "{path} has more than {MOST_LINES} lines");
    }
}

#[test]
fn their_settings_are_right() {
    let folder = Folder::new("migrate", "TERM");
    for secret in ["app", "cache", "orders", "pool"] {
        folder.write(secret, "secret");
    }
    let secrets = format!("{}/", folder.path().display());
    for (path, text) in pages() {
        let settings = blocks(&text).filter(|(word, block)| *word == "yaml" && block.contains("targets:\n  - name"));
        let mut count = 0;
        for (_, block) in settings {
            let file = folder.write("pgvigil.yaml", &block.replace("/run/secrets/", &secrets));
            let settings = Settings::load(Some(&file), &|_| Some("secret".to_owned()));
            let adjusted = Catalogue::load(None).and_then(|catalogue| catalogue.adjust(settings));
            adjusted.unwrap_or_else(|problems| panic!("{path}: {problems}"));
            count += 1;
        }
        assert!(count > 0, "{path} has no settings");
    }
}

#[test]
fn every_metric_they_name_is_known() {
    let catalogue = Catalogue::load(None).unwrap_or_else(|problems| panic!("{problems}"));
    let queries = catalogue.collectors.iter().flat_map(|collector| &collector.queries);
    let ours = queries.flat_map(|query| &query.metrics).map(|metric| metric.def.name.as_str());
    let ecosystem = fs::read_to_string("docs/ecosystem/metrics.tsv").expect("the metrics of other exporters");
    let theirs = ecosystem.lines().filter_map(|line| line.split('\t').nth(1));
    let known: BTreeSet<&str> = ours.chain(theirs).chain(OTHER_WORDS.iter().copied()).collect();
    let is_known = |word: &str| match word.strip_suffix('*') {
        Some(stem) => known.iter().any(|name| name.starts_with(stem)),
        None => known.contains(word),
    };
    let begins = |word: &str| {
        let (first, rest) = word.split_once('_').unwrap_or_default();
        ["pg", "pgbouncer", "redis", "pgbackrest", "pgvigil"].contains(&first) && !rest.is_empty()
    };
    for (path, text) in pages() {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && !"_*".contains(c));
        let lost: Vec<_> = words.filter(|word| begins(word) && !is_known(word)).collect();
        assert!(lost.is_empty(), "{path}: {lost:?}");
    }
}
