//! Which rows make which samples.

use crate::{collector::catalogue::Catalogue, map::*, table::native::ZERO};

const FILE: &str = "collector: c\nsource: postgres\nqueries:\n  - name: q\n    sql: [{since: 13, text: SELECT 1}]\n    labels: [a]\n    \
                    metrics: [{name: pg_n_total, type: counter, value: n, help: h}]\n    example: [{a: x, n: 1}]\n";

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

/// Each series has two rows. Whatever is wrong with its native buckets, the classic ones are there.
#[test]
fn native_buckets_are_those_of_their_series_and_as_many_as_it_has_values() {
    let catalogue = Catalogue::from_files([("c.yaml", HISTOGRAM)]).expect("a valid collector");
    let query = &catalogue.collectors[0].queries[0];
    let buckets = |zero_count, buckets: &[(i32, u64)]| {
        Some(NativeBuckets { schema: 2, zero_threshold: 0.0, zero_count, buckets: buckets.to_vec() })
    };
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
    let catalogue = Catalogue::from_files([("c.yaml", HISTOGRAM)]).expect("a valid collector");
    let query = &catalogue.collectors[0].queries[0];
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

/// They are in one format only, and count for what they can take there.
#[test]
fn native_buckets_have_a_size() {
    let catalogue = Catalogue::from_files([("c.yaml", HISTOGRAM)]).expect("a valid collector");
    let query = &catalogue.collectors[0].queries[0];
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
    let catalogue = Catalogue::from_files([("c.yaml", FILE)]).expect("a valid collector");
    let query = &catalogue.collectors[0].queries[0];
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
