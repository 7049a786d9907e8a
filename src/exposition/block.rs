//! Blocks: what a page is made of.

use std::sync::Arc;

use crate::collector::{Collector, Query};
use crate::exposition::labels::TargetLabels;
use crate::map::Mapped;

/// One mapped table on a page.
pub struct Block {
    pub collector: Arc<Collector>,
    /// The index of the query in its collector.
    pub query: usize,
    /// The target's own; none for what concerns the whole program.
    pub labels: TargetLabels,
    pub mapped: Arc<Mapped>,
}

impl Block {
    fn is_of_the_same_query(&self, other: &Block) -> bool {
        Arc::ptr_eq(&self.collector, &other.collector) && self.query == other.query
    }
}

/// The blocks of each query, in their order.
pub fn by_query(blocks: &[Block]) -> impl Iterator<Item = (&Query, &[Block])> {
    blocks.chunk_by(Block::is_of_the_same_query).filter_map(|blocks| {
        let block = blocks.first()?;
        Some((block.collector.queries.get(block.query)?, blocks))
    })
}
