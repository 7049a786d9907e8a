//! The text formats: Prometheus' 0.0.4 and OpenMetrics 1.0.
//!
//! A row's labels are written once and shared by all metrics made from that row, because labels are most of a page.

use std::{borrow::Cow, fmt::Write};

use crate::{
    collector::{
        Query,
        metric::{MetricDef, MetricKind},
    },
    exposition::{Block, Format, PAGE, by_query},
    map::{Family, Sample},
    table::{Cell, Number},
};

/// A page that may take so much is large.
const LARGE: usize = 8 << 20;

/// What is reserved for a page at most.
const MOST_EXPECTED: usize = 64 << 20;

/// Writes a page in one of the text formats. Blocks of the same query must stand together.
pub fn render(blocks: &[Block], format: Format) -> String {
    let mut out = String::with_capacity(expected(blocks));
    by_query(blocks).for_each(|(query, blocks)| write_query(&mut out, query, blocks, format));
    if format == Format::OpenMetrics {
        out.push_str("# EOF\n");
    }
    out
}

/// What a large page may take, or as much of it as is reserved at once: memory that grows by copying is there twice for a moment. What
/// is not written to is not taken. Most pages are small, and begin in memory that is at hand.
fn expected(blocks: &[Block]) -> usize {
    let of = |block: &Block| {
        let query = block.collector.queries.get(block.query)?;
        Some(block.mapped.size_at_most(query, block.labels.text().len()).bytes)
    };
    match blocks.iter().filter_map(of).sum::<usize>() {
        ..LARGE => PAGE,
        large => large.min(MOST_EXPECTED),
    }
}

/// Labels between braces, without them: `a="1",b="2"`.
pub fn labels(pairs: &[(String, String)]) -> String {
    let mut out = String::new();
    pairs.iter().for_each(|(name, value)| push_label(&mut out, name, Cell::Text(value)));
    out
}

/// A block's families, and what has been written of its rows' labels so far.
struct TextBlock<'a> {
    families: Vec<Family<'a>>,
    labels: Vec<Option<LabelTexts>>,
    of_target: &'a str,
}

/// What a row's own labels are expected to take.
const LABELS_OF_A_ROW: usize = 32;

/// The labels of each row of one series, back to back.
struct LabelTexts {
    text: String,
    ends: Vec<usize>,
}

fn write_query(out: &mut String, query: &Query, blocks: &[Block], format: Format) {
    let mut prepared: Vec<TextBlock> = blocks
        .iter()
        .map(|block| TextBlock {
            families: block.mapped.families(query).collect(),
            labels: Vec::new(),
            of_target: block.labels.text(),
        })
        .collect();
    for (index, metric) in query.metrics.iter().enumerate() {
        let mut headed = false;
        for block in &mut prepared {
            let Some(family) = block.families.get(index).copied() else { continue };
            let texts = block.texts(&family);
            for (row, at) in family.rows().enumerate() {
                let Some(sample) = family.sample(at) else { continue };
                if !std::mem::replace(&mut headed, true) {
                    write_head(out, &metric.def, format);
                }
                write_sample(out, &metric.def, texts.of(row), &sample);
            }
        }
    }
}

impl TextBlock<'_> {
    fn texts(&mut self, family: &Family<'_>) -> &LabelTexts {
        if self.labels.len() <= family.series {
            self.labels.resize_with(family.series + 1, || None);
        }
        self.labels[family.series].get_or_insert_with(|| LabelTexts::write(family, self.of_target))
    }
}

impl LabelTexts {
    fn write(family: &Family<'_>, of_target: &str) -> Self {
        let most = family.rows().size_hint().1.unwrap_or_default();
        let text = String::with_capacity(most * (of_target.len() + LABELS_OF_A_ROW));
        let mut texts = LabelTexts { text, ends: Vec::with_capacity(most) };
        for (_, row) in family.rows() {
            let start = texts.text.len();
            texts.text.push_str(of_target);
            for (name, cell) in family.label_names.iter().zip(family.labels(row)) {
                if texts.text.len() > start {
                    texts.text.push(',');
                }
                push_name_value(&mut texts.text, name, cell);
            }
            texts.ends.push(texts.text.len());
        }
        texts
    }

    fn of(&self, row: usize) -> &str {
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[row]]
    }
}

fn write_head(out: &mut String, def: &MetricDef, format: Format) {
    let name = family_name(def, format);
    let kind = match (def.kind, format) {
        // OpenMetrics calls a counter only what ends in _total, and an info only what ends in _info.
        (MetricKind::Counter, Format::OpenMetrics) if !def.name.ends_with("_total") => "unknown",
        (MetricKind::Info, Format::OpenMetrics) if !def.name.ends_with("_info") => "gauge",
        (MetricKind::Info, Format::Text) => "gauge",
        (kind, _) => kind.word(),
    };
    // Only OpenMetrics has quotes escaped here; what else would have to be is refused when the file is loaded.
    let help = match format {
        Format::OpenMetrics => Cow::Owned(def.help.replace('"', "\\\"")),
        _ => Cow::Borrowed(&def.help),
    };
    for part in ["# HELP ", name, " ", &help, "\n# TYPE ", name, " ", kind, "\n"] {
        out.push_str(part);
    }
}

/// The name in the head: OpenMetrics leaves off the suffix that the samples carry.
pub fn family_name(def: &MetricDef, format: Format) -> &str {
    let suffix = match (def.kind, format) {
        (MetricKind::Counter, Format::OpenMetrics) => "_total",
        (MetricKind::Info, Format::OpenMetrics) => "_info",
        _ => return &def.name,
    };
    def.name.strip_suffix(suffix).unwrap_or(&def.name)
}

fn write_sample(out: &mut String, def: &MetricDef, labels: &str, sample: &Sample) {
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

fn write_line(out: &mut String, name: &str, suffix: &str, labels: &str, le: Option<f64>, value: Number) {
    out.push_str(name);
    out.push_str(suffix);
    if !labels.is_empty() || le.is_some() {
        out.push('{');
        out.push_str(labels);
        if let Some(le) = le {
            out.push_str(if labels.is_empty() { "le=\"" } else { ",le=\"" });
            push_bound(out, le);
            out.push('"');
        }
        out.push('}');
    }
    out.push(' ');
    value.push_to(out);
    out.push('\n');
}

/// As Prometheus writes it when it reads protobuf, so that all formats name the same series: `1.0`, `2e-05`, `1.5e+06`, `+Inf`.
pub fn push_bound(out: &mut String, le: f64) {
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

fn push_label(out: &mut String, name: &str, value: Cell<'_>) {
    if !out.is_empty() {
        out.push(',');
    }
    push_name_value(out, name, value);
}

fn push_name_value(out: &mut String, name: &str, value: Cell<'_>) {
    out.push_str(name);
    out.push_str("=\"");
    match value {
        Cell::Absent | Cell::Buckets(_) => (),
        Cell::Int(value) => Number::Int(value).push_to(out),
        Cell::Float(value) => Number::Float(value).push_to(out),
        Cell::Text(text) => push_escaped(out, text),
    }
    out.push('"');
}

fn push_escaped(out: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| matches!(byte, b'\\' | b'"' | b'\n')) {
        out.push_str(&rest[..at]);
        out.push_str(match rest.as_bytes()[at] {
            b'\n' => "\\n",
            b'"' => "\\\"",
            _ => "\\\\",
        });
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
}
