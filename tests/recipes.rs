//! docs/writing-collectors.md: its statements and complete files work on real servers, whose pages then have the series that it shows.

use std::{fs, time::Duration};

use crate::documents::blocks;
use crate::support::{Folder, Pgvigil, Postgres, eventually, majors, page, sample};

const BINARY: &str = env!("CARGO_BIN_EXE_pgvigil");

const DROPPED: [&str; 3] =
    ["pgvigil_rows_dropped_total", "pgvigil_rows_duplicate_total", "pgvigil_values_invalid_total"];

/// The collectors that are there as a whole: name and text.
fn collectors(document: &str) -> Vec<(&str, &str)> {
    let whole = blocks(document).filter(|(word, text)| *word == "yaml" && text.contains("\nqueries:"));
    whole
        .filter_map(|(_, text)| Some((text.lines().find_map(|line| line.strip_prefix("collector: "))?, text)))
        .collect()
}

/// Whether the page has a line that the document shows; when something happened is different each time.
fn has(page: &str, shown: &str) -> bool {
    let (series, _) = shown.rsplit_once(' ').expect("a series and its value");
    let is_time = series.contains("_timestamp_seconds{");
    page.lines().any(|line| line == shown || is_time && line.rsplit_once(' ').is_some_and(|(found, _)| found == series))
}

/// With these collectors, in a folder that must stay.
fn watch(server: &Postgres, collectors: &[(&str, &str)]) -> (Folder, Pgvigil) {
    let folder = Folder::new("collectors", "TERM");
    for (name, text) in collectors {
        folder.write(&format!("{name}.yaml"), text);
    }
    let (own, url) = (folder.path().display().to_string(), server.url("pgvigil", "shop"));
    (folder, Pgvigil::start(BINARY, &["--collectors", &own], &[("PGVIGIL_POSTGRES_URL", &url)]))
}

#[test]
fn every_recipe_gives_what_it_shows() {
    let document = fs::read_to_string("docs/writing-collectors.md").expect("the document");
    let statements: String = blocks(&document).filter(|(word, _)| *word == "sql").map(|(_, text)| text).collect();
    let collectors = collectors(&document);
    let shown = blocks(&document).filter(|(word, _)| ["text", "console"].contains(word));
    let shown: Vec<_> =
        shown.flat_map(|(_, text)| text.lines()).filter(|line| line.contains("{target=\"postgres\"")).collect();
    assert!(collectors.len() >= 7 && shown.len() >= 14, "{collectors:?} {shown:?}");
    for major in majors() {
        let server = Postgres::builder(major).start();
        server.create_monitor_role();
        server.sql("postgres", "CREATE DATABASE shop");
        server.sql("shop", &statements);
        let (_folder, pgvigil) = watch(&server, &collectors);
        let mut text = String::new();
        eventually(Duration::from_secs(60), &format!("{major}: the page has {shown:?}"), || {
            text = pgvigil.scrape();
            shown.iter().all(|line| has(&text, line))
        });
        for (name, _) in &collectors {
            let own = [("collector", *name)];
            let is_skipped = sample(&text, "pgvigil_collector_skipped", &own).is_some();
            // In the database that has no outbox.
            assert_eq!(is_skipped, *name == "outboxes", "{major} {name}\n{}", pgvigil.stderr());
            for dropped in DROPPED {
                let counts = page::samples(&text, dropped, &own);
                assert!(counts.iter().all(|count| *count == 0.0), "{major} {name}: {dropped}");
            }
        }
    }
}
