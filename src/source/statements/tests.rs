//! The histograms from successive readings: integers never fall and count every call once, whatever the server does.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::memory_budget::MemoryBudget;
use crate::source::statements::History;
use crate::source::statements::histogram::{BOUNDS, EDGES};
use crate::source::statements::normal::standard_cdf;
use crate::table::native::NativeBuckets;
use crate::table::{Cell, Table};

/// A statement's whole history: the duration of each call.
pub type Durations = Vec<f64>;

const COLUMNS: [&str; 9] = ["datname", "server", "dbid", "queryid", "calls", "total", "stddev", "least", "most"];

/// A reading of run `server`: one database, and no statements yet.
fn empty(server: i64, datname: &str, dbid: i64) -> Table {
    let mut table = Table::new(COLUMNS);
    let database = [Cell::Text(datname), Cell::Int(server), Cell::Int(dbid)];
    table.push_row(database.into_iter().chain([Cell::Absent; 6]));
    table
}

fn push(table: &mut Table, dbid: i64, queryid: i64, calls: i64, numbers: [f64; 4]) {
    let statement = [Cell::Absent, Cell::Absent, Cell::Int(dbid), Cell::Int(queryid), Cell::Int(calls)];
    table.push_row(statement.into_iter().chain(numbers.map(Cell::Float)));
}

/// A reading as a server computes it, from each statement's durations.
pub fn reading(server: i64, statements: &[(i64, &Durations)]) -> Table {
    let mut table = empty(server, "app", 5);
    for (queryid, durations) in statements {
        let (calls, total) = (durations.len() as f64, durations.iter().sum::<f64>());
        let mean = total / calls;
        let variance = durations.iter().map(|d| (d - mean) * (d - mean)).sum::<f64>() / calls;
        let least = durations.iter().copied().fold(f64::INFINITY, f64::min);
        let most = durations.iter().copied().fold(0.0, f64::max);
        push(&mut table, 5, *queryid, calls as i64, [total, variance.sqrt(), least, most]);
    }
    table
}

/// The one histogram of a table: its buckets, the last of them all calls, and its sum.
pub fn histogram(table: &Table) -> (Vec<i64>, f64) {
    let column = |name| table.column(name).expect("a column of histograms");
    let bucket = |row| match table.cell(row, column("bucket")) {
        Cell::Int(count) => count,
        other => panic!("{other:?} is no integer"),
    };
    assert_eq!(table.rows(), BOUNDS.len() + 1);
    let Cell::Float(sum) = table.cell(BOUNDS.len(), column("sum")) else { panic!("no sum") };
    assert_eq!(table.cell(BOUNDS.len(), column("count")), table.cell(BOUNDS.len(), column("bucket")));
    ((0..table.rows()).map(bucket).collect(), sum)
}

/// The native buckets of the same.
pub fn native(table: &Table) -> NativeBuckets {
    let column = table.column("native").expect("a column of histograms");
    let Cell::Buckets(buckets) = table.cell(BOUNDS.len(), column) else { panic!("no native buckets") };
    NativeBuckets::of(1, buckets)
}

/// The number of calls in the native bucket of this index.
fn calls_in(native: &NativeBuckets, index: i32) -> u64 {
    native.buckets.iter().find(|(at, _)| *at == index).map_or(0, |(_, count)| *count)
}

pub fn unlimited() -> MemoryBudget {
    MemoryBudget::of(usize::MAX)
}

pub fn take(history: &mut History, table: &Table) -> (Vec<i64>, f64) {
    histogram(&history.update(table, true, &unlimited()).expect("all columns are there"))
}

fn total(history: &mut History, table: &Table) -> i64 {
    *take(history, table).0.last().expect("the last bucket")
}

#[test]
fn the_normal_distribution_is_right_in_its_tails() {
    for (z, share) in [
        (0.0, 0.5),
        (1.0, 0.8413447460685429),
        (-1.959963984540054, 0.025),
        (-6.0, 9.865876450376946e-10),
        (-8.0, 6.22096057427174e-16),
        (-10.0, 7.61985302416047e-24),
        (-40.0, 0.0),
        (40.0, 1.0),
    ] {
        assert!((standard_cdf(z) - share).abs() <= 1e-13 * share, "{z}: {} for {share}", standard_cdf(z));
    }
}

#[test]
fn the_first_reading_is_where_counting_begins() {
    let mut history = History::default();
    let (old, longer) = (vec![0.3; 1000], vec![0.3; 1007]);
    assert_eq!(take(&mut history, &reading(1, &[(1, &old)])), (vec![0; BOUNDS.len() + 1], 0.0));
    let (buckets, sum) = take(&mut history, &reading(1, &[(1, &longer), (2, &vec![0.003; 2])]));
    assert!((sum - 2.106).abs() < 1e-9, "{sum}");
    let expected: Vec<i64> =
        BOUNDS.iter().map(|le| 2 * i64::from(*le >= 0.003) + 7 * i64::from(*le >= 0.3)).chain([9]).collect();
    assert_eq!(buckets, expected);
}

#[test]
fn calls_are_spread_as_a_log_normal_of_their_mean_and_variance() {
    let mut history = History::default();
    take(&mut history, &reading(1, &[]));
    // The quantiles of a log-normal with the median 10 ms, so its share below 10 ms is a half, below 20 ms Phi(ln 2).
    let quantile = |n: i32| 0.01 * inverse_normal((f64::from(n) + 0.5) / 100_000.0).exp();
    let durations: Vec<f64> = (0..100_000).map(quantile).collect();
    let (buckets, _) = take(&mut history, &reading(1, &[(1, &durations)]));
    let at = |le: f64| buckets[BOUNDS.iter().position(|bound| *bound == le).expect("a bound")] as f64 / 1000.0;
    assert!((at(0.01) - 50.0).abs() < 0.3 && (at(0.02) - 75.59).abs() < 0.3, "{} {}", at(0.01), at(0.02));
}

/// By bisection.
pub fn inverse_normal(share: f64) -> f64 {
    let halve = |(low, high): (f64, f64), _| {
        let middle = (low + high) / 2.0;
        if standard_cdf(middle) < share { (middle, high) } else { (low, middle) }
    };
    (0..60).fold((-10.0, 10.0), halve).0
}

#[test]
fn what_began_again_counts_from_zero() {
    let mut history = History::default();
    let durations = |calls| vec![0.001; calls];
    let (ten, three, twelve) = (durations(10), durations(3), durations(12));
    assert_eq!(total(&mut history, &reading(1, &[(1, &ten)])), 0);
    assert_eq!(total(&mut history, &reading(1, &[(1, &three)])), 3, "reset: calls fell");
    assert_eq!(total(&mut history, &reading(1, &[])), 3, "evicted");
    assert_eq!(total(&mut history, &reading(1, &[(1, &three)])), 6, "it came back, and was called three times since");
    assert_eq!(total(&mut history, &reading(1, &[(1, &vec![0.0001; 20])])), 26, "reset: the time fell, calls did not");
    assert_eq!(total(&mut history, &reading(2, &[(1, &vec![0.001; 900])])), 26, "another server, or its next run");
    assert_eq!(total(&mut history, &reading(2, &[(1, &vec![0.001; 905]), (2, &twelve)])), 43);
}

#[test]
fn what_was_cut_is_not_taken_for_new() {
    let mut history = History::default();
    let durations = vec![0.001; 10];
    let take = |history: &mut History, statements: &[(i64, &Durations)], complete| {
        let table = history.update(&reading(1, statements), complete, &unlimited()).expect("all columns");
        *histogram(&table).0.last().expect("the last bucket")
    };
    assert_eq!(take(&mut history, &[(1, &durations), (2, &durations)], true), 0);
    assert_eq!(take(&mut history, &[(1, &durations)], false), 0, "2 was cut");
    assert_eq!(take(&mut history, &[(1, &durations), (2, &vec![0.001; 11])], true), 0, "2 is back");
    assert_eq!(take(&mut history, &[(1, &durations), (2, &vec![0.001; 14])], true), 3);
}

#[test]
fn what_cannot_be_seen_is_absent_and_begins_anew() {
    let mut history = History::default();
    let durations = vec![0.001; 10];
    take(&mut history, &reading(1, &[]));
    assert_eq!(history.update(&Table::default(), true, &unlimited()).expect("no rows").rows(), 0);
    assert_eq!(total(&mut history, &reading(1, &[(1, &durations)])), 0);
    assert!(history.update(&Table::new(["datname"]), true, &unlimited()).expect("no rows").rows() == 0);
    let mut other = Table::new(["datname"]);
    other.push_row([Cell::Text("app")]);
    let error = history.update(&other, true, &unlimited()).expect_err("columns are missing");
    assert_eq!(error.to_string(), "there is no column \"server\" (columns)");
}

#[test]
fn a_database_comes_and_goes_with_its_row() {
    let mut history = History::default();
    take(&mut history, &reading(1, &[]));
    let mut other = empty(1, "new", 6);
    for dbid in [6, 6, 5] {
        push(&mut other, dbid, 1, 4, [1.0, 0.0, 0.25, 0.25]);
    }
    let table = history.update(&other, true, &unlimited()).expect("all columns");
    assert_eq!((table.cell(0, 0), histogram(&table).0.last()), (Cell::Text("new"), Some(&4)), "once");
}

/// A fraction of a call is not lost: over many readings it adds up to a whole call.
#[test]
fn remainders_are_carried_over() {
    let mut history = History::default();
    take(&mut history, &reading(1, &[]));
    let mut buckets = Vec::new();
    let mut durations = Durations::new();
    for _ in 0..300 {
        durations.extend([0.001, 0.01, 0.04]);
        buckets = take(&mut history, &reading(1, &[(1, &durations)])).0;
    }
    let below = |le: f64| buckets[BOUNDS.iter().position(|bound| *bound == le).expect("a bound")];
    assert!((500..800).contains(&below(0.02)) && (200..450).contains(&below(0.005)), "{buckets:?}");
    assert_eq!(buckets.last(), Some(&900));
}

/// A single statement's call is in its bucket, in both kinds of buckets; calls beyond all bounds are in the last.
#[test]
fn a_call_is_in_its_native_bucket() {
    assert!(EDGES.is_sorted());
    for (seconds, index) in
        [(1e-9, -32), (0.003, -16), (0.25, -4), (0.2500001, -3), (1.0, 0), (1.5, 2), (1024.0, 20), (1e6, 21)]
    {
        let mut history = History::default();
        take(&mut history, &reading(1, &[]));
        let table =
            history.update(&reading(1, &[(1, &vec![seconds])]), true, &unlimited()).expect("all columns are there");
        assert_eq!(native(&table).buckets, [(index, 1)], "{seconds} s");
    }
}

/// An event of a statement between two readings.
#[derive(Clone, Debug)]
enum Happens {
    Called(Durations),
    Reset,
    Evicted,
}

fn happens() -> impl Strategy<Value = Happens> {
    let duration = (-14.0..7.0_f64).prop_map(f64::exp);
    prop_oneof![
        6 => vec(duration, 0..30).prop_map(Happens::Called),
        1 => Just(Happens::Reset),
        1 => Just(Happens::Evicted),
    ]
}

proptest! {
    #[test]
    fn counts_never_fall_and_every_call_is_counted(steps in vec(vec(happens(), 3), 1..12)) {
        let mut history = History::default();
        let mut statements = vec![Durations::new(); 3];
        let table = history.update(&reading(1, &[]), true, &unlimited()).expect("all columns");
        let ((mut last, mut last_sum), mut last_native) = (histogram(&table), native(&table));
        let (mut calls, mut seconds) = (0, 0.0);
        for step in steps {
            for (durations, happens) in statements.iter_mut().zip(step) {
                match happens {
                    Happens::Called(more) => {
                        calls += more.len() as i64;
                        seconds += more.iter().sum::<f64>();
                        durations.extend(more);
                    }
                    // Noticed only because it is read before it is called again.
                    Happens::Reset | Happens::Evicted => durations.clear(),
                }
            }
            let there: Vec<_> = (0..).zip(&statements).filter(|(_, durations)| !durations.is_empty()).collect();
            let table = history.update(&reading(1, &there), true, &unlimited()).expect("all columns");
            let ((buckets, sum), native) = (histogram(&table), native(&table));
            for (index, count) in &last_native.buckets {
                prop_assert!(calls_in(&native, *index) >= *count, "{:?} {:?}", last_native, native);
            }
            prop_assert_eq!(native.count(), u64::try_from(calls).ok());
            prop_assert!(buckets.is_sorted(), "{buckets:?}");
            prop_assert!(buckets.iter().zip(&last).all(|(now, before)| now >= before), "{last:?} {buckets:?}");
            prop_assert_eq!(buckets.last(), Some(&calls));
            prop_assert!(sum >= last_sum && (sum - seconds).abs() <= 1e-9 * seconds.max(1.0), "{} {}", sum, seconds);
            (last, last_sum, last_native) = (buckets, sum, native);
        }
    }

    /// The server may report anything.
    #[test]
    fn no_numbers_break_it(rows in vec(vec((any::<i64>(), any::<[f64; 4]>()), 1..4), 1..6)) {
        let mut history = History::default();
        let mut last = vec![0; BOUNDS.len() + 1];
        for rows in rows {
            let mut table = empty(1, "app", 5);
            for (queryid, (calls, numbers)) in (0..).zip(rows) {
                push(&mut table, 5, queryid, calls, numbers);
            }
            let (buckets, _) = take(&mut history, &table);
            prop_assert!(buckets.is_sorted(), "{buckets:?}");
            prop_assert!(buckets.iter().zip(&last).all(|(now, before)| now >= before), "{last:?} {buckets:?}");
            last = buckets;
        }
    }
}
