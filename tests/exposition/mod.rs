//! Rows to pages: golden files that promtool reads, and whatever rows a server could send.

pub mod check;
mod golden;
mod hostile;

use std::sync::Arc;

use pgvigil::{
    config::{catalogue::Catalogue, collector::Collector},
    exposition::{self, Block, Format},
    map,
    table::Table,
};

/// Both formats, and the ending of a golden file.
const FORMATS: [(Format, &str); 2] = [(Format::Text, "prom"), (Format::OpenMetrics, "om")];

/// The one collector in this text.
fn collector(name: &str, text: &str) -> Arc<Collector> {
    let catalogue = Catalogue::from_files([(name, text)]).unwrap_or_else(|problems| panic!("{problems}"));
    catalogue.collectors[0].clone()
}

/// The page that shows these tables of one collector, each with its target's labels. Each query reads all tables.
fn page(collector: &Arc<Collector>, tables: &[(String, Table)], format: Format) -> String {
    let block = |query: usize, (labels, table): &(String, Table)| {
        let mapped = Arc::new(map::map(&collector.queries[query], table.clone()));
        Block { collector: collector.clone(), query, labels: labels.as_str().into(), mapped }
    };
    let queries = 0..collector.queries.len();
    let blocks: Vec<_> = queries.flat_map(|query| tables.iter().map(move |table| block(query, table))).collect();
    exposition::render(&blocks, format)
}
