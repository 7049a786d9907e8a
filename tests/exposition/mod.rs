//! Rows to pages: golden files that promtool reads, and whatever rows a server could send.

pub mod check;
pub mod golden;
mod hostile;

use std::sync::Arc;

use pgvigil::{
    collector::{Collector, catalogue::Catalogue},
    exposition,
    exposition::{Block, Format, TargetLabels},
    map,
    table::Table,
};

/// All formats.
pub const FORMATS: [Format; 3] = [Format::Text, Format::OpenMetrics, Format::Protobuf];

/// The one collector in this text.
fn collector(name: &str, text: &str) -> Arc<Collector> {
    let catalogue = Catalogue::from_files([(name, text)]).unwrap_or_else(|problems| panic!("{problems}"));
    catalogue.collectors[0].clone()
}

/// The page that shows these tables of one collector, each with its target's labels. Each query reads all tables.
fn page(collector: &Arc<Collector>, tables: &[(TargetLabels, Table)], format: Format) -> Vec<u8> {
    exposition::render(&blocks(collector, tables), format)
}

fn blocks(collector: &Arc<Collector>, tables: &[(TargetLabels, Table)]) -> Vec<Block> {
    let block = |query: usize, (labels, table): &(TargetLabels, Table)| {
        let mapped = Arc::new(map::map(&collector.queries[query], table.clone()));
        Block { collector: collector.clone(), query, labels: labels.clone(), mapped }
    };
    let queries = 0..collector.queries.len();
    queries.flat_map(|query| tables.iter().map(move |table| block(query, table))).collect()
}
