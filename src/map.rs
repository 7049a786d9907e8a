//! Rows to families: which rows of a Table make the samples of which metric. Pure; samples borrow from the Table.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use crate::{
    config::collector::{Metric, Query, Value},
    metric::MetricDef,
    table::{Cell, Number, Table},
};

/// A query's table, and the rows in it that become samples.
#[derive(Clone, Debug)]
pub struct Mapped {
    table: Table,
    /// One for each metric of the query, in order.
    plans: Vec<Plan>,
    series: Vec<Series>,
    /// Rows whose labels an earlier row had already.
    pub duplicates: u64,
    /// Values that are no number.
    pub invalid: u64,
}

/// Where one metric finds its labels and its value.
#[derive(Clone, Debug)]
struct Plan {
    series: usize,
    value: Columns,
}

#[derive(Clone, Copy, Debug)]
enum Columns {
    /// A column is missing.
    Nothing,
    One,
    Value {
        column: usize,
        scale: f64,
    },
    Histogram {
        le: usize,
        bucket: usize,
        sum: usize,
        count: usize,
    },
}

/// The distinct rows for one choice of label columns; metrics with the same labels share it.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// The label columns' places in the table.
    pub columns: Vec<usize>,
    /// For a histogram: the column of the upper bounds, which distinguishes rows but is no label of the series.
    le: Option<usize>,
    rows: Vec<u32>,
    /// By all metrics with these labels.
    shared: bool,
}

/// One metric of one table: what the exposition writes.
#[derive(Clone, Copy)]
pub struct Family<'a> {
    pub def: &'a MetricDef,
    pub label_names: &'a [String],
    /// Families of one table with the same `series` have the same rows and labels.
    pub series: usize,
    mapped: &'a Mapped,
    value: &'a Columns,
}

/// A value, or a histogram's parts.
pub enum Sample {
    Value(Number),
    Histogram { buckets: Vec<(f64, Number)>, sum: Option<Number>, count: Number },
}

/// Maps a table. Columns that are missing (a result without rows may come without columns) give no samples.
pub fn map(query: &Query, table: Table) -> Mapped {
    let mut mapped = Mapped { table, plans: Vec::new(), series: Vec::new(), duplicates: 0, invalid: 0 };
    let plans: Vec<_> = query.metrics.iter().map(|metric| resolve(query, metric, &mapped.table)).collect();
    let mut dropped = HashSet::new();
    for (labels, value) in &plans {
        mapped.add(labels, value, &plans, &mut dropped);
    }
    mapped.duplicates = dropped.len() as u64;
    mapped
}

/// The places of a metric's label columns, and of its value's.
type Resolved = (Vec<usize>, Columns);

fn resolve(query: &Query, metric: &Metric, table: &Table) -> Resolved {
    let labels: Option<Vec<usize>> = query.labels_of(metric).iter().map(|label| table.column(label)).collect();
    labels.zip(columns(metric, table)).unwrap_or((Vec::new(), Columns::Nothing))
}

fn columns(metric: &Metric, table: &Table) -> Option<Columns> {
    Some(match &metric.value {
        Value::One => Columns::One,
        Value::Column { column, scale } => Columns::Value { column: table.column(column)?, scale: *scale },
        Value::Histogram { le, bucket, sum, count } => Columns::Histogram {
            le: table.column(le)?,
            bucket: table.column(bucket)?,
            sum: table.column(sum)?,
            count: table.column(count)?,
        },
    })
}

impl Mapped {
    fn add(&mut self, labels: &[usize], value: &Columns, all: &[Resolved], dropped: &mut HashSet<u32>) {
        let le = value.le();
        let is_same = |series: &Series| series.shared && series.columns == labels && series.le == le;
        let series = self.series.iter().position(is_same).unwrap_or_else(|| {
            let alike = all.iter().filter(|(others, other)| others == labels && other.le() == le);
            let values: Vec<&Columns> = alike.map(|(_, other)| other).collect();
            let (mut rows, repeated) = distinct_rows(&self.table, labels, le, &values);
            let shared = repeated.is_empty();
            if !shared {
                // What repeats the labels of another row may still say something else: each metric sees for itself.
                let of_this = distinct_rows(&self.table, labels, le, &[value]);
                rows = of_this.0;
                dropped.extend(of_this.1);
            }
            self.series.push(Series { columns: labels.to_vec(), le, rows, shared });
            self.series.len() - 1
        });
        for row in &self.series[series].rows {
            let invalid = |column: &usize| self.table.cell(*row as usize, *column).number().is_err();
            self.invalid += value.numbers().into_iter().flatten().filter(invalid).count() as u64;
        }
        self.plans.push(Plan { series, value: *value });
    }

    /// The families of the query this table was mapped for, in the order of its metrics.
    pub fn families<'a>(&'a self, query: &'a Query) -> impl Iterator<Item = Family<'a>> {
        query.metrics.iter().zip(&self.plans).map(|(metric, plan)| Family {
            def: &metric.def,
            label_names: query.labels_of(metric),
            series: plan.series,
            mapped: self,
            value: &plan.value,
        })
    }

    /// Without the rows whose text in this label is not fit; `None` if all are.
    pub fn only(&self, label: &str, is_fit: &dyn Fn(&str) -> bool) -> Option<Mapped> {
        let column = self.table.column(label)?;
        let fits = |row: &u32| match self.table.cell(*row as usize, column) {
            Cell::Text(text) => is_fit(text),
            _ => true,
        };
        let concerned = |series: &Series| series.columns.contains(&column);
        if self.series.iter().filter(|series| concerned(series)).all(|series| series.rows.iter().all(fits)) {
            return None;
        }
        let mut mapped = self.clone();
        mapped.series.iter_mut().filter(|series| concerned(series)).for_each(|series| series.rows.retain(fits));
        Some(mapped)
    }

    /// How many rows the source gave (and `max_rows` left).
    pub fn rows(&self) -> usize {
        self.table.rows()
    }
}

impl Columns {
    fn le(&self) -> Option<usize> {
        match self {
            Columns::Histogram { le, .. } => Some(*le),
            _ => None,
        }
    }

    /// The columns that must hold numbers.
    fn numbers(&self) -> [Option<usize>; 4] {
        match *self {
            Columns::Value { column, .. } => [Some(column), None, None, None],
            Columns::Histogram { le, bucket, sum, count } => [le, bucket, sum, count].map(Some),
            Columns::One | Columns::Nothing => [None; 4],
        }
    }

    /// Whether a row says anything to a metric with this value. A query may stack answers to several questions,
    /// each with its own columns; the rows of one are no duplicates to the metrics of another.
    fn is_in(&self, table: &Table, row: usize, labels: &[usize]) -> bool {
        let there = |column: usize| table.cell(row, column) != Cell::Absent;
        match self {
            Columns::Nothing => false,
            Columns::One => labels.is_empty() || labels.iter().any(|column| there(*column)),
            Columns::Value { column, .. } => there(*column),
            Columns::Histogram { bucket, sum, count, .. } => [bucket, sum, count].into_iter().any(|c| there(*c)),
        }
    }
}

/// The first row for each choice of labels, and those that came after. A histogram's rows come series by series,
/// each with rising bounds.
fn distinct_rows(table: &Table, labels: &[usize], le: Option<usize>, values: &[&Columns]) -> (Vec<u32>, Vec<u32>) {
    let key = |row: usize| labels.iter().map(|column| written(table.cell(row, *column))).collect::<Vec<_>>();
    let bound = |row: usize| le.and_then(|le| upper_bound(table.cell(row, le)));
    let filled = |row: &usize| values.iter().any(|value| value.is_in(table, *row, labels));
    let candidates: Vec<u32> = (0..table.rows()).filter(filled).map(|row| row as u32).collect();
    // A server's own numbers are one row, which needs no comparing.
    if candidates.len() < 2 {
        return (candidates, Vec::new());
    }
    let mut seen = HashSet::with_capacity(candidates.len());
    let distinct = |row: &u32| seen.insert((key(*row as usize), bound(*row as usize).map(f64::to_bits)));
    let mut rows: Vec<u32> = candidates.iter().copied().filter(distinct).collect();
    let repeated = candidates.into_iter().filter(|row| rows.binary_search(row).is_err()).collect();
    if le.is_some() {
        let mut order = HashMap::new();
        for row in &rows {
            let next = order.len();
            order.entry(key(*row as usize)).or_insert(next);
        }
        rows.sort_by(|a, b| {
            let (a, b) = (*a as usize, *b as usize);
            // A bound that is none comes last: it is no bucket.
            let by_bound = bound(a).unwrap_or(f64::NAN).total_cmp(&bound(b).unwrap_or(f64::NAN));
            order[&key(a)].cmp(&order[&key(b)]).then(by_bound)
        });
    }
    (rows, repeated)
}

/// A label's value as it is written and so as it is compared: the number 1 and the text "1" are the same.
fn written(cell: Cell<'_>) -> Cow<'_, str> {
    match cell {
        Cell::Text(text) => text.into(),
        Cell::Absent => "".into(),
        Cell::Int(value) => Number::Int(value).to_string().into(),
        Cell::Float(value) => Number::Float(value).to_string().into(),
    }
}

/// A bucket's bound. The negative zero is the other one.
fn upper_bound(cell: Cell<'_>) -> Option<f64> {
    cell.number().ok().flatten().map(|number| number.as_f64() + 0.0)
}

impl<'a> Family<'a> {
    /// The cells of a row's labels, in the order of `label_names`.
    pub fn labels(&self, row: u32) -> impl Iterator<Item = Cell<'a>> {
        let mapped = self.mapped;
        mapped.series[self.series].columns.iter().map(move |column| mapped.table.cell(row as usize, *column))
    }

    /// The rows that may give a sample. A histogram has one for each series: its first.
    pub fn rows(&self) -> impl Iterator<Item = (usize, u32)> {
        let rows = &self.mapped.series[self.series].rows;
        rows.iter().copied().enumerate().filter(move |(at, row)| match self.value {
            Columns::Histogram { .. } => *at == 0 || !self.same_series(rows[at - 1], *row),
            _ => true,
        })
    }

    /// The sample that begins at this place of [`Family::rows`]; `None` where the value is absent or no number.
    pub fn sample(&self, (at, row): (usize, u32)) -> Option<Sample> {
        match self.value {
            Columns::Nothing => None,
            Columns::One => Some(Sample::Value(Number::Int(1))),
            Columns::Value { column, scale } => {
                let number = self.number(row, *column)?;
                Some(Sample::Value(if *scale == 1.0 { number } else { Number::Float(number.as_f64() * scale) }))
            }
            Columns::Histogram { le, bucket, sum, count } => {
                let rows = self.mapped.series[self.series].rows[at..].iter().take_while(|r| self.same_series(row, **r));
                let rows: Vec<u32> = rows.copied().collect();
                let total = rows.iter().find_map(|row| self.number(*row, *count))?;
                let mut buckets: Vec<(f64, Number)> = rows
                    .iter()
                    .filter_map(|row| Some((upper_bound(self.cell(*row, *le))?, self.number(*row, *bucket)?)))
                    .collect();
                if buckets.last().is_none_or(|(le, _)| le.is_finite()) {
                    buckets.push((f64::INFINITY, total));
                }
                let sum = rows.iter().find_map(|row| self.number(*row, *sum));
                Some(Sample::Histogram { buckets, sum, count: total })
            }
        }
    }

    fn cell(&self, row: u32, column: usize) -> Cell<'a> {
        self.mapped.table.cell(row as usize, column)
    }

    fn number(&self, row: u32, column: usize) -> Option<Number> {
        self.cell(row, column).number().ok().flatten()
    }

    fn same_series(&self, a: u32, b: u32) -> bool {
        a == b || self.labels(a).map(written).eq(self.labels(b).map(written))
    }
}
