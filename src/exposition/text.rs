//! The text formats: Prometheus' 0.0.4 and OpenMetrics 1.0.

use std::borrow::Cow;
use std::io::Write;

use crate::collector::Query;
use crate::collector::metric::{MetricDef, MetricKind};
use crate::exposition::block::{Block, by_query};
use crate::exposition::format::Format;
use crate::exposition::labels::push_label;
use crate::exposition::row_labels::{LabelSyntax, LabelledFamilies};
use crate::map::Sample;
use crate::table::Number;

/// Bytes that a page is expected to take at least.
const PAGE: usize = 64 << 10;

/// From this expected size on, a page is large.
const LARGE: usize = 8 << 20;

/// The most bytes reserved for a page at once.
const MAX_RESERVED: usize = 64 << 20;

const LABELS: LabelSyntax = LabelSyntax { separator: b",", push: push_label, bytes_of_a_row: 32 };

/// Writes a page in one of the text formats. Blocks of the same query must stand together.
pub fn render(blocks: &[Block], format: Format) -> Vec<u8> {
    let mut out = Vec::with_capacity(expected_bytes(blocks));
    for (query, blocks) in by_query(blocks) {
        write_query(&mut out, query, blocks, format);
    }
    if format == Format::OpenMetrics {
        out.extend_from_slice(b"# EOF\n");
    }
    out
}

/// The bytes that a large page may take, or as many of them as are reserved at once: a buffer that grows is copied,
/// so it exists twice for a moment. Reserved memory that is never written to costs nothing. Most pages are small.
fn expected_bytes(blocks: &[Block]) -> usize {
    let mut bytes = 0;
    for block in blocks {
        if let Some(query) = block.collector.queries.get(block.query) {
            bytes += block.mapped.size_at_most(query, block.labels.text().len()).bytes;
        }
    }
    if bytes < LARGE { PAGE } else { bytes.min(MAX_RESERVED) }
}

fn write_query(out: &mut Vec<u8>, query: &Query, blocks: &[Block], format: Format) {
    let mut blocks: Vec<_> = blocks
        .iter()
        .map(|block| LabelledFamilies::new(block.mapped.families(query).collect(), &block.labels, &LABELS))
        .collect();
    for (index, metric) in query.metrics.iter().enumerate() {
        let mut has_head = false;
        for block in &mut blocks {
            // `for_each` compiles to a plain loop here; `for` takes a third more time for each sample.
            block.samples(index).for_each(|(labels, sample)| {
                if !has_head {
                    write_head(out, &metric.def, format);
                    has_head = true;
                }
                write_sample(out, &metric.def, labels, &sample);
            });
        }
    }
}

fn write_head(out: &mut Vec<u8>, def: &MetricDef, format: Format) {
    let name = family_name(def, format);
    let kind = match (def.kind, format) {
        // OpenMetrics has counters with names that end in _total only, and infos with names that end in _info only.
        (MetricKind::Counter, Format::OpenMetrics) if !def.name.ends_with("_total") => "unknown",
        (MetricKind::Info, Format::OpenMetrics) if !def.name.ends_with("_info") => "gauge",
        (MetricKind::Info, Format::Text) => "gauge",
        (kind, _) => kind.into_str(),
    };
    // Only OpenMetrics escapes quotes here. Other characters that would need it are refused when the file is loaded.
    let help = match format {
        Format::OpenMetrics => Cow::Owned(def.help.replace('"', "\\\"")),
        _ => Cow::Borrowed(&def.help),
    };
    for part in ["# HELP ", name, " ", &help, "\n# TYPE ", name, " ", kind, "\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// The name in the head: in OpenMetrics without the suffix that the samples carry.
pub fn family_name(def: &MetricDef, format: Format) -> &str {
    let suffix = match (def.kind, format) {
        (MetricKind::Counter, Format::OpenMetrics) => "_total",
        (MetricKind::Info, Format::OpenMetrics) => "_info",
        _ => return &def.name,
    };
    def.name.strip_suffix(suffix).unwrap_or(&def.name)
}

fn write_sample(out: &mut Vec<u8>, def: &MetricDef, labels: &[u8], sample: &Sample) {
    match sample {
        Sample::Value(value) => write_line(out, &def.name, "", labels, None, *value),
        Sample::Histogram { buckets, sum, count, native: _ } => {
            for (le, value) in buckets {
                write_line(out, &def.name, "_bucket", labels, Some(*le), *value);
            }
            if let Some(sum) = sum {
                write_line(out, &def.name, "_sum", labels, None, *sum);
            }
            write_line(out, &def.name, "_count", labels, None, *count);
        }
    }
}

fn write_line(out: &mut Vec<u8>, name: &str, suffix: &str, labels: &[u8], le: Option<f64>, value: Number) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(suffix.as_bytes());
    if !labels.is_empty() || le.is_some() {
        out.push(b'{');
        out.extend_from_slice(labels);
        if let Some(le) = le {
            out.extend_from_slice(if labels.is_empty() { b"le=\"" } else { b",le=\"" });
            push_bound(out, le);
            out.push(b'"');
        }
        out.push(b'}');
    }
    out.push(b' ');
    value.push_to(out);
    out.push(b'\n');
}

/// Writes a bound as Prometheus does when it reads protobuf, so that all formats name the same series: `1.0`, `2e-05`,
/// `1.5e+06`, `+Inf`.
pub fn push_bound(out: &mut Vec<u8>, le: f64) {
    let (size, is_negative) = (le.abs(), le < 0.0);
    _ = match size {
        f64::INFINITY => write!(out, "{}", Number::Float(le)),
        // An exponent has a sign and two digits at least.
        size if size >= 1e6 || (size > 0.0 && size < 1e-4) => {
            let text = format!("{size:e}");
            let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
            write!(out, "{}{digits}e{sign}{exponent:0>2}", if is_negative { "-" } else { "" })
        }
        _ => write!(out, "{le:?}"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_written_as_prometheus_does() {
        for (bound, written) in [
            (0.0, "0.0"),
            (1.0, "1.0"),
            (-0.25, "-0.25"),
            (0.0001, "0.0001"),
            (0.00009, "9e-05"),
            (-1e-7, "-1e-07"),
            (2.5e-300, "2.5e-300"),
            (999_999.0, "999999.0"),
            (1e6, "1e+06"),
            (-1.5e6, "-1.5e+06"),
            (1e300, "1e+300"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            let mut out = Vec::new();
            push_bound(&mut out, bound);
            assert_eq!(str::from_utf8(&out), Ok(written));
        }
    }
}
