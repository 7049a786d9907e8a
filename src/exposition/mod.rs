//! Families to pages, in each format that a scraper can ask for. Pure.

mod labels;
mod protobuf;
mod text;

use std::sync::Arc;

pub use crate::exposition::{labels::TargetLabels, text::family_name};
use crate::{
    collector::{Collector, Query},
    map::Mapped,
};

/// The formats a scraper can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// `text/plain; version=0.0.4`
    Text,
    /// `application/openmetrics-text; version=1.0.0`
    OpenMetrics,
    /// `application/vnd.google.protobuf`: messages `io.prometheus.client.MetricFamily`, each behind its length.
    Protobuf,
}

impl Format {
    /// The header of a page in this format.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        }
    }
}

/// One mapped table on a page.
pub struct Block {
    pub collector: Arc<Collector>,
    /// The index of the query in its collector.
    pub query: usize,
    /// The target's own; none for what concerns the whole program.
    pub labels: TargetLabels,
    pub mapped: Arc<Mapped>,
}

/// What a page is expected to take at least.
const PAGE: usize = 64 << 10;

/// Writes a page. Blocks of the same query must stand together.
pub fn render(blocks: &[Block], format: Format) -> Vec<u8> {
    match format {
        Format::Text | Format::OpenMetrics => text::render(blocks, format).into_bytes(),
        Format::Protobuf => protobuf::render(blocks),
    }
}

/// The same in the text format, for who reads it here.
pub fn text(blocks: &[Block]) -> String {
    text::render(blocks, Format::Text)
}

/// Labels of a target.
pub fn labels<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> TargetLabels {
    TargetLabels::new(pairs)
}

/// The blocks of each query, in their order.
fn by_query(blocks: &[Block]) -> impl Iterator<Item = (&Query, &[Block])> {
    let same_query = |a: &Block, b: &Block| Arc::ptr_eq(&a.collector, &b.collector) && a.query == b.query;
    blocks.chunk_by(same_query).filter_map(|blocks| {
        let block = blocks.first()?;
        Some((block.collector.queries.get(block.query)?, blocks))
    })
}
