//! Tests: small pages, byte for byte, in each format, and their estimated sizes.

use std::sync::Arc;

use crate::collector::Collector;
use crate::collector::catalogue::Catalogue;
use crate::exposition::*;
use crate::map;
use crate::table::{Cell, Table};

const KINDS: &str = include_str!("../../tests/golden/kinds.yaml");

const WAITS: &str = "
collector: waits
source: postgres
queries:
  - name: modes
    sql: [{since: 13, text: SELECT}]
    labels: [mode]
    metrics:
      - {name: pg_rows, type: gauge, value: rows, help: R.}
      - {name: pg_wait_seconds, type: histogram, le: le, value: n, sum: sum, count: count, native: {schema: 1, buckets: native}, help: W.}
    example: [{mode: a, rows: 1, le: 1, n: 1, sum: 1, count: 1, native: 1:1}]
  - name: version
    sql: [{since: 13, text: SELECT}]
    metrics:
      - {name: pg_version, type: gauge, value: version, help: V.}
    example: [{version: 18}]
";

fn collector(name: &str, text: &str) -> Arc<Collector> {
    Catalogue::from_files([(name, text)]).expect("a valid collector").collectors[0].clone()
}

/// Two targets, the first with a label that must be escaped; and a query without labels.
fn waits() -> Vec<Block> {
    let collector = collector("waits.yaml", WAITS);
    let mut modes = Table::new(["mode", "rows", "le", "n", "sum", "count", "native"]);
    let absent = [Cell::Absent; 4];
    let whole = [Cell::Int(1), Cell::Float(2.5), Cell::Int(3), Cell::Text("0:3")];
    let loose = [Cell::Int(5), Cell::Absent, Cell::Int(4), Cell::Absent];
    for (mode, rows, le, [n, sum, count, native]) in [
        (Cell::Text("a\"b"), Cell::Int(2), Cell::Float(1e-5), whole),
        (Cell::Int(7), Cell::Float(-0.5), Cell::Absent, absent),
        (Cell::Text("loose"), Cell::Absent, Cell::Int(1), loose),
    ] {
        modes.push_row([mode, rows, le, n, sum, count, native]);
    }
    let mut version = Table::new(["version"]);
    version.push_row([Cell::Int(18)]);
    let (one, two) = (TargetLabels::new([]), TargetLabels::new([("target", "x\\y"), ("zone", "z")]));
    let mut blocks = Vec::new();
    for (query, labels, table) in [(0, &one, &modes), (0, &two, &modes), (1, &two, &version)] {
        let mapped = Arc::new(map::map(&collector.queries[query], table.clone()));
        blocks.push(Block { collector: collector.clone(), query, labels: labels.clone(), mapped });
    }
    blocks
}

#[test]
fn every_kind_of_metric_has_its_head() {
    let collector = collector("kinds.yaml", KINDS);
    let mapped = Arc::new(map::map(&collector.queries[0], collector.queries[0].example.clone()));
    let block = [Block { collector, query: 0, labels: TargetLabels::new([("target", "one")]), mapped }];
    assert_eq!(text(&block), include_str!("../../tests/golden/kinds.prom"));
    let page = String::from_utf8(render(&block, Format::OpenMetrics)).expect("text");
    assert_eq!(page, include_str!("../../tests/golden/kinds.om"));
}

#[test]
fn a_metric_is_one_block_of_all_targets() {
    let page = "\
# HELP pg_rows R.
# TYPE pg_rows gauge
pg_rows{mode=\"a\\\"b\"} 2
pg_rows{mode=\"7\"} -0.5
pg_rows{target=\"x\\\\y\",zone=\"z\",mode=\"a\\\"b\"} 2
pg_rows{target=\"x\\\\y\",zone=\"z\",mode=\"7\"} -0.5
# HELP pg_wait_seconds W.
# TYPE pg_wait_seconds histogram
pg_wait_seconds_bucket{mode=\"a\\\"b\",le=\"1e-05\"} 1
pg_wait_seconds_bucket{mode=\"a\\\"b\",le=\"+Inf\"} 3
pg_wait_seconds_sum{mode=\"a\\\"b\"} 2.5
pg_wait_seconds_count{mode=\"a\\\"b\"} 3
pg_wait_seconds_bucket{mode=\"loose\",le=\"1.0\"} 5
pg_wait_seconds_bucket{mode=\"loose\",le=\"+Inf\"} 4
pg_wait_seconds_count{mode=\"loose\"} 4
pg_wait_seconds_bucket{target=\"x\\\\y\",zone=\"z\",mode=\"a\\\"b\",le=\"1e-05\"} 1
pg_wait_seconds_bucket{target=\"x\\\\y\",zone=\"z\",mode=\"a\\\"b\",le=\"+Inf\"} 3
pg_wait_seconds_sum{target=\"x\\\\y\",zone=\"z\",mode=\"a\\\"b\"} 2.5
pg_wait_seconds_count{target=\"x\\\\y\",zone=\"z\",mode=\"a\\\"b\"} 3
pg_wait_seconds_bucket{target=\"x\\\\y\",zone=\"z\",mode=\"loose\",le=\"1.0\"} 5
pg_wait_seconds_bucket{target=\"x\\\\y\",zone=\"z\",mode=\"loose\",le=\"+Inf\"} 4
pg_wait_seconds_count{target=\"x\\\\y\",zone=\"z\",mode=\"loose\"} 4
# HELP pg_version V.
# TYPE pg_version gauge
pg_version{target=\"x\\\\y\",zone=\"z\"} 18
";
    assert_eq!(text(&waits()), page);
    assert_eq!(render(&waits(), Format::Text), page.as_bytes());
    assert_eq!(render(&waits(), Format::OpenMetrics), [page.as_bytes(), b"# EOF\n"].concat());
}

/// Field by field. A histogram that protobuf cannot hold follows its family, as families of its own.
#[test]
fn the_page_in_protobuf() {
    let page = render(&waits(), Format::Protobuf).escape_ascii().to_string();
    assert_eq!(page, PROTOBUF.replace('\n', ""));
}

const PROTOBUF: &str = r#"
\xa7\x01\n\x07pg_rows\x12\x02R.\x18\x01
\"\x18\n\x0b\n\x04mode\x12\x03a\"b\x12\t\t\x00\x00\x00\x00\x00\x00\x00@
\"\x16\n\t\n\x04mode\x12\x017\x12\t\t\x00\x00\x00\x00\x00\x00\xe0\xbf
\"2\n\r\n\x06target\x12\x03x\\y\n\t\n\x04zone\x12\x01z\n\x0b\n\x04mode\x12\x03a\"b\x12\t\t\x00\x00\x00\x00\x00\x00
\x00@
\"0\n\r\n\x06target\x12\x03x\\y\n\t\n\x04zone\x12\x01z\n\t\n\x04mode\x12\x017\x12\t\t\x00\x00\x00\x00\x00\x00\xe0
\xbf
\xaf\x01\n\x0fpg_wait_seconds\x12\x02W.\x18\x04
\"=\n\x0b\n\x04mode\x12\x03a\"b:.\x08\x03\x11\x00\x00\x00\x00\x00\x00\x04@\x1a\x0b\x08\x01\x11\xf1h\xe3\x88\xb5
\xf8\xe4>\x1a\x0b\x08\x03\x11\x00\x00\x00\x00\x00\x00\xf0\x7f(\x02b\x02\x10\x01j\x01\x06
\"W\n\r\n\x06target\x12\x03x\\y\n\t\n\x04zone\x12\x01z\n\x0b\n\x04mode\x12\x03a\"b:.\x08\x03\x11\x00\x00\x00\x00
\x00\x00\x04@\x1a\x0b\x08\x01\x11\xf1h\xe3\x88\xb5\xf8\xe4>\x1a\x0b\x08\x03\x11\x00\x00\x00\x00\x00\x00\xf0\x7f(
\x02b\x02\x10\x01j\x01\x06
\xee\x01\n\x16pg_wait_seconds_bucket\x12\x02W.
\"%\n\r\n\x04mode\x12\x05loose\n\t\n\x02le\x12\x031.0\x1a\t\t\x00\x00\x00\x00\x00\x00\x14@
\"&\n\r\n\x04mode\x12\x05loose\n\n\n\x02le\x12\x04+Inf\x1a\t\t\x00\x00\x00\x00\x00\x00\x10@
\"?\n\r\n\x06target\x12\x03x\\y\n\t\n\x04zone\x12\x01z\n\r\n\x04mode\x12\x05loose\n\t\n\x02le\x12\x031.0\x1a\t\t
\x00\x00\x00\x00\x00\x00\x14@
\"@\n\r\n\x06target\x12\x03x\\y\n\t\n\x04zone\x12\x01z\n\r\n\x04mode\x12\x05loose\n\n\n\x02le\x12\x04+Inf\x1a\t\t
\x00\x00\x00\x00\x00\x00\x10@
m\n\x15pg_wait_seconds_count\x12\x02W.
\"\x1a\n\r\n\x04mode\x12\x05loose\x1a\t\t\x00\x00\x00\x00\x00\x00\x10@
\"4\n\r\n\x06target\x12\x03x\\y\n\t\n\x04zone\x12\x01z\n\r\n\x04mode\x12\x05loose\x1a\t\t\x00\x00\x00\x00\x00\x00
\x10@
9\n\npg_version\x12\x02V.\x18\x01
\"%\n\r\n\x06target\x12\x03x\\y\n\t\n\x04zone\x12\x01z\x12\t\t\x00\x00\x00\x00\x00\x002@
"#;

/// The size of a table is the length of its lines, but bounds and numbers in labels count as the longest number, and
/// native buckets come on top.
#[test]
fn a_block_takes_as_much_as_was_estimated() {
    for block in waits() {
        let query = &block.collector.queries[block.query];
        let (size, most) = {
            let target_labels = block.labels.text().len();
            (block.mapped.size(query, target_labels), block.mapped.size_at_most(query, target_labels))
        };
        let page = text(std::slice::from_ref(&block));
        let (mut bytes, mut samples) = (0, 0);
        for line in page.lines().filter(|line| !line.starts_with('#')) {
            let bound = line.split_once("le=\"").map_or(24, |(_, bound)| bound.find('"').expect("an end"));
            let number = if line.contains("mode=\"7\"") { 1 } else { 24 };
            bytes += line.len() + 1 + (24 - bound) + (24 - number);
            samples += 1;
        }
        // Without labels the braces are left out, and without the target's a comma.
        bytes += page.lines().filter(|line| block.labels.text().is_empty() && line.starts_with("pg_")).count();
        let native_buckets = if query.name == "modes" { 1 } else { 0 };
        assert_eq!((size.bytes, size.samples), (bytes + 22 * native_buckets, samples), "{page}");
        assert!(most.bytes >= size.bytes && most.samples >= samples, "{most:?}");
    }
}
