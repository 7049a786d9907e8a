//! Whatever rows a server sends, the page is one that can be read.

use pgvigil::table::{Cell, Table};
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestRunner},
};

use super::*;

const COLUMNS: [&str; 6] = ["a", "b", "n", "le", "total", "extra"];

/// One of each kind, over the same rows with different labels.
const COLLECTOR: &str = "\
collector: hostile
source: postgres
queries:
  - name: first
    sql: [{since: 13, text: SELECT}]
    labels: [a, b]
    metrics:
      - {name: g, type: gauge, value: n, ecosystem: true, help: G.}
      - {name: c_total, type: counter, value: n, scale: 1e300, ecosystem: true, help: C.}
      - {name: u, type: counter, value: total, labels: [a], ecosystem: true, help: U.}
      - {name: i_info, type: info, labels: [b], ecosystem: true, help: I.}
      - {name: s, type: info, labels: [], ecosystem: true, help: S.}
      - {name: h, type: histogram, le: le, value: n, sum: total, count: n, ecosystem: true, help: H.}
      - {name: k, type: histogram, le: le, value: n, sum: total, count: n, labels: [], ecosystem: true, help: K.}
    example: [{a: x, b: y, n: 1, le: 1, total: 1}]
  - name: second
    sql: [{since: 13, text: SELECT}]
    labels: [extra]
    metrics: [{name: e, type: gauge, value: n, ecosystem: true, help: E.}]
    example: [{extra: x, n: 1}]
";

#[derive(Clone, Debug)]
enum Any {
    Absent,
    Int(i64),
    Float(f64),
    Text(String),
}

fn any_cell() -> impl Strategy<Value = Any> {
    prop_oneof![
        Just(Any::Absent),
        prop_oneof![any::<i64>(), -2..3_i64].prop_map(Any::Int),
        prop_oneof![any::<f64>(), (-2..3_i32).prop_map(f64::from), prop::num::f64::ANY].prop_map(Any::Float),
        // Often the same as another cell, or as the text of a number.
        prop_oneof!["\\PC*", "[ -~\n\r\\\\\"]{0,8}", "[01]", "[+-]?(inf|nan|1e16|0)"].prop_map(Any::Text),
    ]
}

/// A table with some of the columns, in any order.
fn any_table() -> impl Strategy<Value = Table> {
    let columns =
        Just(COLUMNS.to_vec()).prop_shuffle().prop_flat_map(|all| (4..=all.len()).prop_map(move |n| all[..n].to_vec()));
    columns.prop_flat_map(|columns| {
        vec(vec(any_cell(), columns.len()), 0..12).prop_map(move |rows| {
            let mut table = Table::new(columns.iter().copied());
            for row in &rows {
                table.push_row(row.iter().map(|cell| match cell {
                    Any::Absent => Cell::Absent,
                    Any::Int(value) => Cell::Int(*value),
                    Any::Float(value) => Cell::Float(*value),
                    Any::Text(text) => Cell::Text(text),
                }));
            }
            table
        })
    })
}

#[test]
fn whatever_comes_in_can_be_read() {
    let collector = collector("hostile.yaml", COLLECTOR);
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(300) });
    let read = |tables: &[(TargetLabels, Table)], format| {
        let page = page(&collector, tables, format);
        check::check(&page, format)
            .map_err(|wrong| TestCaseError::fail(format!("{format:?}: {wrong}\n{}", String::from_utf8_lossy(&page))))
    };
    let result = runner.run(&(any_table(), any_table(), "\\PC*"), |(one, two, name)| {
        let tables = [
            (TargetLabels::new([("target", "one")]), one),
            (TargetLabels::new([("target", "two"), ("name", &name)]), two),
        ];
        let text = read(&tables, Format::Text)?;
        prop_assert_eq!(&text, &read(&tables, Format::OpenMetrics)?);
        prop_assert_eq!(&text, &read(&tables, Format::Protobuf)?);
        Ok(())
    });
    result.unwrap_or_else(|wrong| panic!("{wrong}"));
}
