//! What a sample costs between the server's answer and the page: mapping and writing, without the network.
//!
//! `cargo bench --bench page` prints nanoseconds per sample, the best of ten.

use std::{fmt::Write, sync::Arc, time::Instant};

use pgvigil::{
    config::catalogue::Catalogue,
    exposition::{self, Block, Format},
    map,
    table::{Cell, Table},
};

const ROWS: usize = 10_000;
const METRICS: usize = 26;

/// A collector like `tables`: three labels, many counters.
fn collector_file() -> String {
    let mut metrics = String::new();
    let mut example = String::new();
    for metric in 0..METRICS {
        _ = writeln!(
            metrics,
            "      - {{name: pg_bench_{metric}_total, type: counter, value: c{metric}, help: \"h\"}}"
        );
        _ = write!(example, ", c{metric}: \"1\"");
    }
    format!(
        "collector: bench\nsource: postgres\nqueries:\n  - name: rows\n    sql: [{{since: 13, text: SELECT 1}}]\n    \
         labels: [schemaname, relname]\n    metrics:\n{metrics}    example: [{{schemaname: public, relname: t{example}}}]\n"
    )
}

fn table() -> Table {
    let counters = (0..METRICS).map(|metric| format!("c{metric}"));
    let mut table = Table::new(["schemaname", "relname"].map(str::to_owned).into_iter().chain(counters));
    for row in 0..ROWS {
        table.push(Cell::Text("public"));
        table.push(Cell::Text(&format!("app_table_{row}")));
        (0..METRICS).for_each(|metric| table.push(Cell::Int((row * metric * 997) as i64)));
    }
    table
}

fn main() {
    let file = collector_file();
    let catalogue = Catalogue::from_files([("bench.yaml", file.as_str())]).expect("a valid collector");
    let collector = catalogue.collectors[0].clone();
    let table = table();
    let samples = (ROWS * METRICS) as u128;
    let (mut mapping, mut writing, mut bytes) = (u128::MAX, u128::MAX, 0);
    for _ in 0..10 {
        let copy = table.clone();
        let begun = Instant::now();
        let mapped = map::map(&collector.queries[0], copy);
        mapping = mapping.min(begun.elapsed().as_nanos());
        let labels = "target=\"orders\",cluster=\"eu\",datname=\"app\"".into();
        let block = Block { collector: collector.clone(), query: 0, labels, mapped: Arc::new(mapped) };
        let begun = Instant::now();
        bytes = exposition::render(&[block], Format::Text).len();
        writing = writing.min(begun.elapsed().as_nanos());
    }
    println!(
        "{samples} samples, {bytes} bytes: mapped {} ns, written {} ns per sample",
        mapping / samples,
        writing / samples
    );
}
