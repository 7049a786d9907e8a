//! Families to pages, in each format that a scraper can ask for. Pure.

mod block;
mod format;
mod labels;
mod protobuf;
mod row_labels;
#[cfg(test)]
mod tests;
mod text;

pub use crate::exposition::block::Block;
pub use crate::exposition::format::Format;
pub use crate::exposition::labels::TargetLabels;
pub use crate::exposition::text::family_name;

/// Writes a page. Blocks of the same query must stand together.
pub fn render(blocks: &[Block], format: Format) -> Vec<u8> {
    match format {
        Format::Text | Format::OpenMetrics => text::render(blocks, format),
        Format::Protobuf => protobuf::render(blocks),
    }
}

/// The same in the text format, as a string.
pub fn text(blocks: &[Block]) -> String {
    String::from_utf8_lossy(&text::render(blocks, Format::Text)).into_owned()
}
