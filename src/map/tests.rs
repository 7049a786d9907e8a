//! Which rows make which samples.

use std::sync::Arc;

use crate::collector::catalogue::Catalogue;
use crate::collector::{Collector, Query};
use crate::map::distinct::upper_bound;
use crate::map::*;
use crate::table::native::{NativeBuckets, ZERO};
use crate::table::{Cell, Number, Table};
use crate::truncate;

const FILE: &str = "collector: c\nsource: postgres\nqueries:\n  - name: q\n    sql: [{since: 13, text: SELECT 1}]\n    labels: [a]\n    \
                    metrics: [{name: pg_n_total, type: counter, value: n, help: h}]\n    example: [{a: x, n: 1}]\n";

fn collector(text: &str) -> Arc<Collector> {
    Catalogue::from_files([("c.yaml", text)]).expect("a valid collector").collectors[0].clone()
}

/// Each sample's label and value.
fn samples(mapped: &Mapped, query: &Query) -> Vec<(String, f64)> {
    let family = mapped.families(query).next().expect("a metric");
    let value = |at| match family.sample(at) {
        Some(Sample::Value(value)) => Some(value.as_f64()),
        _ => None,
    };
    family.rows().filter_map(|at| Some((format!("{:?}", family.labels(at.1).next()?), value(at)?))).collect()
}

const HISTOGRAM: &str = "collector: c\nsource: postgres\nqueries:\n  - name: q\n    sql: [{since: 13, text: SELECT 1}]\n    labels: [a]\n    \
                         metrics: [{name: pg_n_seconds, type: histogram, le: le, value: n, sum: sum, count: count, native: \
                         {schema: 2, buckets: native}, help: h}]\n    \
                         example: [{a: x, le: 1, n: 1, sum: 1, count: 1, native: \"0:1\"}]\n";

/// Each series has two rows. The classic buckets are there, whatever is wrong with the native ones.
#[test]
fn native_buckets_are_those_of_their_series_and_as_many_as_it_has_values() {
    let collector = collector(HISTOGRAM);
    let query = &collector.queries[0];
    let buckets =
        |zero_count, buckets: &[(i32, u64)]| Some(NativeBuckets { schema: 2, zero_count, buckets: buckets.to_vec() });
    let cases = [
        (Cell::Text("-2:1 0:2"), buckets(0, &[(-2, 1), (0, 2)])),
        (Cell::Text("zero:2 -2:1"), buckets(2, &[(-2, 1)])),
        (Cell::Buckets(&[(ZERO, 1), (-2, 0), (0, 2)]), buckets(1, &[(0, 2)])),
        (Cell::Buckets(&[]), None),
        (Cell::Absent, None),
        (Cell::Text("-2:1"), None),
        (Cell::Text("-2:1 0:3"), None),
        (Cell::Text("0:2 -2:1"), None),
        (Cell::Int(3), None),
    ];
    let mut table = Table::new(["a", "le", "n", "sum", "count", "native"]);
    for (nth, (native, _)) in (0..).zip(&cases) {
        table.push_row([Cell::Int(nth), Cell::Float(1.0), Cell::Int(2), Cell::Absent, Cell::Absent, *native]);
    }
    for nth in 0..cases.len() as i64 {
        let le = Cell::Float(f64::INFINITY);
        table.push_row([Cell::Int(nth), le, Cell::Int(3), Cell::Float(2.5), Cell::Int(3), Cell::Absent]);
    }
    let mapped = map(query, table);
    assert_eq!((mapped.duplicates, mapped.invalid), (0, 2));
    let found = |family: Family<'_>| -> Vec<_> {
        let samples = family.rows().filter_map(|at| family.sample(at));
        let native = samples.map(|sample| match sample {
            Sample::Histogram { native, buckets, .. } if buckets.len() == 2 => native,
            _ => panic!("no histogram of two buckets"),
        });
        native.collect()
    };
    let family = mapped.families(query).next().expect("a metric");
    assert_eq!(found(family), vec![None; cases.len()], "not asked for");
    let wanted: Vec<_> = cases.into_iter().map(|(_, wanted)| wanted).collect();
    assert_eq!(found(family.with_native()), wanted);
}

/// Prometheus takes nothing of a page with a native histogram whose buckets are not exactly as many as its count.
#[test]
fn native_buckets_are_exactly_as_many_as_the_count_however_large() {
    let collector = collector(HISTOGRAM);
    let query = &collector.queries[0];
    let exact = 1_i64 << 53;
    for (count, bucket, is_there) in [
        (Cell::Int(exact + 1), exact as u64 + 1, true),
        (Cell::Int(exact + 1), exact as u64, false),
        (Cell::Float(exact as f64), exact as u64, true),
        (Cell::Float(0.5), 0, false),
        (Cell::Int(i64::MAX), i64::MAX as u64, true),
        (Cell::Int(i64::MAX), 1 << 63, false),
        (Cell::Float(9_223_372_036_854_775_808.0), 1 << 63, false),
        (Cell::Float(9_223_372_036_854_775_808.0), i64::MAX as u64, false),
        (Cell::Float(f64::INFINITY), i64::MAX as u64, false),
    ] {
        let mut table = Table::new(["a", "le", "n", "sum", "count", "native"]);
        let le = Cell::Float(f64::INFINITY);
        table.push_row([Cell::Int(1), le, count, Cell::Float(2.5), count, Cell::Buckets(&[(3, bucket)])]);
        let mapped = map(query, table);
        let family = mapped.families(query).next().expect("a metric").with_native();
        let sample = family.rows().find_map(|at| family.sample(at));
        let Some(Sample::Histogram { native, .. }) = sample else { panic!("no histogram") };
        assert_eq!(native.is_some(), is_there, "{count:?} {bucket}");
    }
}

/// Only one of the formats has them. They count with the most that they can take there.
#[test]
fn native_buckets_have_a_size() {
    let collector = collector(HISTOGRAM);
    let query = &collector.queries[0];
    let size = |native| {
        let mut table = Table::new(["a", "le", "n", "sum", "count", "native"]);
        table.push_row([Cell::Int(1), Cell::Float(1.0), Cell::Int(300), Cell::Int(1), Cell::Int(300), native]);
        let mapped = map(query, table);
        (mapped.size(query, 0), mapped.size_at_most(query, 0))
    };
    let buckets: Vec<_> = (0..300).map(|index| (2 * index, 1)).collect();
    let ((without, _), (with, most)) = (size(Cell::Absent), size(Cell::Buckets(&buckets)));
    assert_eq!((with.samples, with.bytes), (without.samples, without.bytes + 300 * 22));
    assert!(most.bytes >= with.bytes, "{most:?}");
}

#[test]
fn columns_may_move_go_and_come_back() {
    let collector = collector(FILE);
    let query = &collector.queries[0];
    let expected = ["x", "y"].map(|label| (format!("{:?}", Cell::Text(label)), 7.0));
    let mut before: Option<Mapped> = None;
    for columns in [&["a", "n"][..], &["a", "n"], &["n", "a"], &["a"], &[], &["b", "a", "n"], &["a", "n"]] {
        let mut table = Table::new(columns);
        for label in ["x", "y", "x"] {
            table.push_row(columns.iter().map(|column| match *column {
                "n" => Cell::Int(7),
                "a" => Cell::Text(label),
                _ => Cell::Absent,
            }));
        }
        let mapped = map_next(query, table.into(), before.as_ref());
        let is_whole = columns.contains(&"n");
        assert_eq!(samples(&mapped, query), if is_whole { &expected[..] } else { &[] }, "{columns:?}");
        assert_eq!(mapped.duplicates, u64::from(is_whole), "{columns:?}");
        before = Some(mapped);
    }
}

/// A series' first row, its bounds and counts, its sum and its count.
type Histogram = (u32, Vec<(f64, f64)>, Option<f64>, f64);

fn histograms(mapped: &Mapped, query: &Query) -> Vec<Histogram> {
    let family = mapped.families(query).next().expect("a metric");
    let mut found = Vec::new();
    for (at, row) in family.rows() {
        let Some(sample) = family.sample((at, row)) else { continue };
        let Sample::Histogram { buckets, sum, count, .. } = sample else { panic!("not a histogram") };
        let buckets = buckets.into_iter().map(|(le, count)| (le, count.as_f64())).collect();
        found.push((row, buckets, sum.map(Number::as_f64), count.as_f64()));
    }
    found
}

/// The rows of a series may stand anywhere, in any order, and may lack anything but the count.
#[test]
fn a_histogram_is_made_of_the_rows_of_its_series() {
    let collector = collector(HISTOGRAM);
    let (inf, none) = (f64::INFINITY, Cell::Absent);
    let rows = [
        [Cell::Text("x"), Cell::Float(inf), Cell::Int(5), none, Cell::Int(5), none],
        [Cell::Text("y"), Cell::Float(0.5), Cell::Int(1), Cell::Float(1.5), Cell::Int(2), none],
        [Cell::Text("x"), Cell::Text("-1"), Cell::Int(2), Cell::Float(2.5), none, none],
        [Cell::Text("z"), Cell::Int(1), none, none, Cell::Int(7), none],
        [Cell::Text("no count"), Cell::Int(1), Cell::Int(1), Cell::Int(1), none, none],
        [Cell::Text("y"), Cell::Float(0.25), Cell::Int(0), none, none, none],
        [Cell::Text("nothing"), Cell::Int(1), none, none, none, none],
        [Cell::Text("x"), Cell::Float(-1.0), Cell::Int(9), none, none, none],
        [Cell::Text("x"), Cell::Text("wide"), Cell::Int(9), none, none, Cell::Int(1)],
    ];
    let mut table = Table::new(["a", "le", "n", "sum", "count", "native"]);
    for row in rows {
        table.push_row(row);
    }
    let mapped = map(&collector.queries[0], table);
    let expected: [Histogram; 3] = [
        (2, vec![(-1.0, 2.0), (inf, 5.0)], Some(2.5), 5.0),
        (5, vec![(0.25, 0.0), (0.5, 1.0), (inf, 2.0)], Some(1.5), 2.0),
        (3, vec![(inf, 7.0)], None, 7.0),
    ];
    assert_eq!(histograms(&mapped, &collector.queries[0]), expected);
    // The bound that comes twice; the bound that is not a number, and a native bucket that is none.
    assert_eq!((mapped.duplicates, mapped.invalid, mapped.rows()), (1, 2, 9));
}

const SCALED: &str = "collector: c\nsource: postgres\nqueries:\n  - name: q\n    sql: [{since: 13, text: SELECT 1}]\n    labels: [a, b]\n    \
                      metrics:\n      - {name: pg_n_seconds, type: gauge, value: n, scale: 0.25, help: h}\n      \
                      - {name: pg_m_bytes, type: gauge, value: m, labels: [a], help: h}\n      \
                      - {name: pg_c_info, type: info, help: h}\n    example: [{a: x, b: y, n: 1, m: 1}]\n";

fn values(mapped: &Mapped, query: &Query, metric: usize) -> Vec<(u32, f64)> {
    let family = mapped.families(query).nth(metric).expect("a metric");
    let value = |at| match family.sample(at) {
        Some(Sample::Value(value)) => Some((at.1, value.as_f64())),
        _ => None,
    };
    family.rows().filter_map(value).collect()
}

/// Values that are absent, repeated or not numbers; and rows that only other metrics have something in.
#[test]
fn each_metric_has_the_rows_with_a_value_for_it() {
    let collector = collector(SCALED);
    let query = &collector.queries[0];
    let long = "x".repeat(truncate::LONGEST + 1);
    let text = Cell::Text;
    let mut table = Table::new(["a", "b", "n", "m"]);
    for row in [
        [text("x"), text("1"), Cell::Int(8), Cell::Absent],
        [text("x"), text("1"), Cell::Absent, Cell::Int(3)],
        [text("x"), Cell::Int(1), Cell::Float(2.0), Cell::Absent],
        [text("x"), text("2"), text("many"), Cell::Int(4)],
        [text(&long), Cell::Absent, Cell::Float(-0.5), text("5")],
        [Cell::Absent, Cell::Absent, text("6"), Cell::Absent],
    ] {
        table.push_row(row);
    }
    let mapped = map(query, table);
    assert_eq!(values(&mapped, query, 0), [(0, 2.0), (4, -0.125), (5, 1.5)]);
    assert_eq!(values(&mapped, query, 1), [(1, 3.0), (4, 5.0)]);
    assert_eq!(values(&mapped, query, 2), [(0, 1.0), (3, 1.0), (4, 1.0)]);
    // Rows 1 and 2 of the first and third metric, row 3 of the second; `many`; the long text in both choices of labels.
    assert_eq!((mapped.duplicates, mapped.invalid, mapped.cut), (3, 1, 2));
    let families: Vec<_> = mapped.families(query).collect();
    assert_eq!(families[1].label_names, ["a"]);
    assert_eq!(families[0].labels(5).collect::<Vec<_>>(), [Cell::Absent; 2]);
    assert_eq!(families[0].labels(2).collect::<Vec<_>>(), [text("x"), Cell::Int(1)]);
}

#[test]
fn rows_are_filtered_by_a_label() {
    let collector = collector(SCALED);
    let query = &collector.queries[0];
    let mut table = Table::new(["a", "b", "n", "m"]);
    for (nth, (a, b)) in (0..).zip([("x", "1"), ("y", "2"), ("z", "1")]) {
        table.push_row([Cell::Text(a), Cell::Text(b), Cell::Int(4 * nth), Cell::Int(nth)]);
    }
    table.push_row([Cell::Int(5), Cell::Int(2), Cell::Int(12), Cell::Int(3)]);
    let mapped = map(query, table);
    assert!(mapped.only("c", &|_| false).is_none() && mapped.only("a", &|_| true).is_none());
    let filtered = mapped.only("b", &|text| text == "1").expect("some are unfit");
    assert_eq!(values(&filtered, query, 0), [(0, 0.0), (2, 2.0), (3, 3.0)], "only texts are judged");
    assert_eq!(values(&filtered, query, 1).len(), 4, "it does not have the label");
    let filtered = mapped.only("a", &|text| text != "y").expect("some are unfit");
    assert_eq!([0, 1].map(|metric| values(&filtered, query, metric).len()), [3, 3]);
}

/// By hand: name, target's labels, each label's name with quotes and the longest number, and around them; twice the
/// text.
#[test]
fn sizes_at_most() {
    let (scaled, histogram) = (collector(SCALED), collector(HISTOGRAM));
    let mut table = Table::new(["a", "b", "n", "m"]);
    let mut buckets = Table::new(["a", "le", "n", "sum", "count", "native"]);
    assert_eq!(map(&scaled.queries[0], table.clone()).size_at_most(&scaled.queries[0], 10).samples, 0);
    for label in ["x", "yy"] {
        table.push_row([Cell::Text(label), Cell::Absent, Cell::Int(1), Cell::Int(2)]);
        let native = Cell::Buckets(&[(1, 1), (2, 1)]);
        buckets.push_row([Cell::Text(label), Cell::Int(1), Cell::Int(1), Cell::Int(2), Cell::Int(2), native]);
    }
    let label = 1 + 4 + 24;
    let around = "_bucket".len() + "{} \n".len() + 24 + ",le=\"\"".len() + 24;
    let line = |name: &str, labels: usize| name.len() + 10 + labels * label + around;
    let text = 2 * "xyy".len();
    let scaled_bytes = 2 * (line("pg_n_seconds", 2) + line("pg_m_bytes", 1) + line("pg_c_info", 2)) + 3 * text;
    let most = map(&scaled.queries[0], table).size_at_most(&scaled.queries[0], 10);
    assert_eq!(most, Size { bytes: scaled_bytes, samples: 6 });
    let histogram_bytes = 4 * (2 * line("pg_n_seconds", 1) + text) + 4 * 22;
    let mapped = map(&histogram.queries[0], buckets);
    assert_eq!(mapped.size_at_most(&histogram.queries[0], 10), Size { bytes: histogram_bytes, samples: 8 });
}

#[test]
fn a_bound_is_a_number_and_has_one_zero() {
    for (cell, bound) in [
        (Cell::Text("0.5"), Some(0.5)),
        (Cell::Int(-3), Some(-3.0)),
        (Cell::Float(f64::INFINITY), Some(f64::INFINITY)),
        (Cell::Float(f64::NAN), None),
        (Cell::Absent, None),
        (Cell::Text("x"), None),
    ] {
        assert_eq!(upper_bound(cell), bound, "{cell:?}");
    }
    assert_eq!(upper_bound(Cell::Float(-0.0)).map(f64::to_bits), Some(0));
}
