//! The cost of a sample between the server's result and the page, without the network: mapping it, and writing it in
//! each format.
//!
//! `cargo bench --bench page` prints nanoseconds per sample, the best of ten, and the peak of the memory that one page
//! takes.

use std::fmt::{self, Write};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Instant;
use std::{env, fs, io};

use pgvigil::collector::Collector;
use pgvigil::collector::catalogue::Catalogue;
use pgvigil::exposition::{Block, Format, TargetLabels};
use pgvigil::map::{Family, Mapped, Sample};
use pgvigil::table::{Cell, Table};
use pgvigil::{exposition, map};
use prometheus_client::collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabel, EncodeLabelSet, LabelSetEncoder, NoLabelSet, prometheus_protobuf,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

/// Rows, and metrics of each row: a large page, one at the limit, and one on which no two samples share labels.
const SHAPES: [(usize, usize); 3] = [(10_000, 26), (2_308, 26), (60_000, 1)];

type Render = fn(&Block) -> Vec<u8>;

/// The formats, and protobuf as the library alone makes it of samples with labels.
const FORMATS: [(&str, Render); 4] = [
    ("text", |block| render(block, Format::Text)),
    ("OpenMetrics", |block| render(block, Format::OpenMetrics)),
    ("protobuf", |block| render(block, Format::Protobuf)),
    ("protobuf by the library alone", by_the_library),
];

fn render(block: &Block, format: Format) -> Vec<u8> {
    exposition::render(std::slice::from_ref(block), format)
}

fn by_the_library(block: &Block) -> Vec<u8> {
    let mut page = Vec::new();
    for metric in 0..block.collector.queries[block.query].metrics.len() {
        let (collector, labels, mapped) = (block.collector.clone(), block.labels.clone(), block.mapped.clone());
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Alone { collector, query: block.query, metric, labels, mapped }));
        page.extend(prometheus_protobuf::encode_to_vec(&registry).expect("memory takes all"));
    }
    page
}

/// One family of counters.
#[derive(Debug)]
struct Alone {
    collector: Arc<Collector>,
    query: usize,
    metric: usize,
    labels: TargetLabels,
    mapped: Arc<Mapped>,
}

/// The labels of one row.
struct RowLabels<'a>(&'a TargetLabels, &'a Family<'a>, u32);

impl EncodeLabelSet for RowLabels<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        self.0.pairs().try_for_each(|label| label.encode(encoder.encode_label()))?;
        let cells = self.1.label_names.iter().zip(self.1.labels(self.2));
        let mut texts = cells.filter_map(|(name, cell)| match cell {
            Cell::Text(text) => Some((name.as_str(), text)),
            _ => None,
        });
        texts.try_for_each(|label| label.encode(encoder.encode_label()))
    }
}

impl collector::Collector for Alone {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = self.mapped.families(&self.collector.queries[self.query]);
        let family = families.nth(self.metric).expect("a family");
        let name = family.def.name.trim_end_matches("_total");
        let mut metrics = encoder.encode_descriptor(name, &family.def.help, None, MetricType::Counter)?;
        for at in family.rows() {
            if let Some(Sample::Value(value)) = family.sample(at) {
                let labels = RowLabels(&self.labels, &family, at.1);
                metrics.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value.as_f64(), None)?;
            }
        }
        Ok(())
    }
}

/// A collector like `tables`: many counters, all with the same labels.
fn collector(metrics: usize) -> Arc<Collector> {
    let (mut declared, mut example) = (String::new(), String::new());
    for metric in 0..metrics {
        _ = writeln!(
            declared,
            "      - {{name: pg_bench_{metric}_total, type: counter, value: c{metric}, help: \"h\"}}"
        );
        _ = write!(example, ", c{metric}: \"1\"");
    }
    let file = format!(
        "collector: bench\nsource: postgres\nqueries:\n  - name: rows\n    sql: [{{since: 13, text: SELECT 1}}]\n    \
         labels: [schemaname, relname]\n    metrics:\n{declared}    example: [{{schemaname: public, relname: t{example}}}]\n"
    );
    let catalogue = Catalogue::from_files([("bench.yaml", file.as_str())]).expect("a valid collector");
    catalogue.collectors[0].clone()
}

fn table((rows, metrics): (usize, usize)) -> Table {
    let counters = (0..metrics).map(|metric| format!("c{metric}"));
    let mut table = Table::new(["schemaname", "relname"].map(str::to_owned).into_iter().chain(counters));
    for row in 0..rows {
        table.push(Cell::Text("public"));
        table.push(Cell::Text(&format!("app_table_{row}")));
        for metric in 0..metrics {
            table.push(Cell::Int((row * metric * 997) as i64));
        }
    }
    table
}

fn block(shape: (usize, usize)) -> Block {
    let collector = collector(shape.1);
    let mapped = Arc::new(map::map(&collector.queries[0], table(shape)));
    let labels = TargetLabels::new([("target", "orders"), ("cluster", "eu"), ("datname", "app")]);
    Block { collector, query: 0, labels, mapped }
}

/// Nanoseconds of the fastest of ten.
fn best(mut work: impl FnMut()) -> u128 {
    let mut best = u128::MAX;
    for _ in 0..10 {
        let begun = Instant::now();
        work();
        best = best.min(begun.elapsed().as_nanos());
    }
    best
}

/// A line of `/proc/self/status`, in bytes.
fn memory(line: &str) -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let value = status.lines().find_map(|text| text.strip_prefix(line)?.split_whitespace().nth(1)?.parse::<u64>().ok());
    value.map(|kib| kib << 10).ok_or_else(|| io::Error::other(format!("no {line}")))
}

/// The memory that the first page of a process takes.
fn peak(block: &Block, render: Render) -> io::Result<u64> {
    // Resets the peak.
    fs::write("/proc/self/clear_refs", "5")?;
    let before = memory("VmRSS")?;
    render(block);
    Ok(memory("VmHWM")?.saturating_sub(before))
}

fn print(shape: (usize, usize), name: &str, render: Render) -> io::Result<()> {
    let (block, samples) = (block(shape), (shape.0 * shape.1) as u128);
    let bytes = peak(&block, render)? as u128;
    let page = render(&block).len() as u128;
    let writing = best(|| _ = render(&block));
    let (page, writing, bytes) = (page / samples, writing / samples, bytes / samples);
    println!("  {name}: written in {writing} ns, {page} bytes of page and {bytes} of memory per sample");
    Ok(())
}

/// Without arguments, everything; with a shape's and a format's index, the cost of that format: each is measured in a
/// process of its own.
fn main() -> io::Result<ExitCode> {
    let indexes: Vec<usize> = env::args().filter_map(|argument| argument.parse().ok()).collect();
    if let [shape, format] = indexes[..] {
        let (name, render) = FORMATS[format];
        print(SHAPES[shape], name, render)?;
        return Ok(ExitCode::SUCCESS);
    }
    for (nth, shape) in SHAPES.into_iter().enumerate() {
        let (collector, table) = (collector(shape.1), table(shape));
        let copy = best(|| _ = table.clone());
        let mapping = best(|| _ = map::map(&collector.queries[0], table.clone())).saturating_sub(copy);
        println!(
            "{} rows of {} samples: mapped in {} ns per sample",
            shape.0,
            shape.1,
            mapping / (shape.0 * shape.1) as u128
        );
        for format in 0..FORMATS.len() {
            let status =
                Command::new(env::current_exe()?).args([nth, format].map(|index| index.to_string())).status()?;
            assert!(status.success(), "{status}");
        }
    }
    Ok(ExitCode::SUCCESS)
}
