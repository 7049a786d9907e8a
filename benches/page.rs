//! What a sample costs between the server's answer and the page, without the network: mapping it, and writing it in each format.
//!
//! `cargo bench --bench page` prints nanoseconds per sample, the best of ten, and the memory that one page takes at its peak.

use std::{
    env,
    fmt::Write,
    fs, io,
    process::{Command, ExitCode},
    sync::Arc,
    time::Instant,
};

use pgvigil::{
    config::{catalogue::Catalogue, collector::Collector},
    exposition::{self, Block, Format, labels},
    map,
    table::{Cell, Table},
};

/// Rows, and metrics made of each: a large page, one at the budget, and one on which no two samples share labels.
const SHAPES: [(usize, usize); 3] = [(10_000, 26), (2_308, 26), (60_000, 1)];

const FORMATS: [(&str, Format); 3] =
    [("text", Format::Text), ("OpenMetrics", Format::OpenMetrics), ("protobuf", Format::Protobuf)];

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
        (0..metrics).for_each(|metric| table.push(Cell::Int((row * metric * 997) as i64)));
    }
    table
}

fn block(shape: (usize, usize)) -> Block {
    let collector = collector(shape.1);
    let mapped = Arc::new(map::map(&collector.queries[0], table(shape)));
    let labels = labels([("target", "orders"), ("cluster", "eu"), ("datname", "app")]);
    Block { collector, query: 0, labels, mapped }
}

/// Nanoseconds of the fastest of ten.
fn best(mut work: impl FnMut()) -> u128 {
    let time = |()| {
        let begun = Instant::now();
        work();
        begun.elapsed().as_nanos()
    };
    [(); 10].map(time).into_iter().min().unwrap_or_default()
}

/// A line of `/proc/self/status`, in bytes.
fn memory(line: &str) -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let value = status.lines().find_map(|text| text.strip_prefix(line)?.split_whitespace().nth(1)?.parse::<u64>().ok());
    value.map(|kib| kib << 10).ok_or_else(|| io::Error::other(format!("no {line}")))
}

/// What the first page of a process takes more than there was before it.
fn peak(block: Block, format: Format) -> io::Result<u64> {
    // From here on the peak is counted anew.
    fs::write("/proc/self/clear_refs", "5")?;
    let before = memory("VmRSS")?;
    exposition::render(&[block], format);
    Ok(memory("VmHWM")?.saturating_sub(before))
}

fn print(shape: (usize, usize), name: &str, format: Format) -> io::Result<()> {
    let (block, samples) = (block(shape), (shape.0 * shape.1) as u128);
    let bytes = peak(block, format)? as u128;
    let blocks = [self::block(shape)];
    let page = exposition::render(&blocks, format).len() as u128;
    let writing = best(|| _ = exposition::render(&blocks, format));
    let (page, writing, bytes) = (page / samples, writing / samples, bytes / samples);
    println!("  {name}: written in {writing} ns, {page} bytes of page and {bytes} of memory per sample");
    Ok(())
}

/// Without arguments, all; else what one format costs, by its index, in a process of its own.
fn main() -> io::Result<ExitCode> {
    let indexes: Vec<usize> = env::args().filter_map(|argument| argument.parse().ok()).collect();
    if let [shape, format] = indexes[..] {
        let (name, format) = FORMATS[format];
        print(SHAPES[shape], name, format)?;
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
