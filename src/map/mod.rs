//! Rows to families: which rows of a Table make the samples of which metric. Pure; samples borrow from the Table.

mod distinct;
mod layout;
mod size;
#[cfg(test)]
mod tests;

use std::{collections::HashSet, sync::Arc};

pub use crate::map::size::Size;
use crate::{
    collector::{Query, metric::MetricDef},
    map::{
        distinct::{distinct_rows, same_labels, upper_bound},
        layout::{Layout, NativeColumn, ValueColumns},
    },
    table::{Cell, Number, Table, native::NativeBuckets},
    truncate,
};

/// A query's table, and the rows in it that become samples.
#[derive(Clone, Debug)]
pub struct Mapped {
    table: Arc<Table>,
    layout: Arc<Layout>,
    /// Which of `series` each metric of the query has, in order.
    series_of: Vec<usize>,
    series: Vec<Series>,
    /// Rows whose labels an earlier row had already.
    pub duplicates: u64,
    /// Values that are not numbers, and texts that are not native buckets.
    pub invalid: u64,
    /// Texts of labels that were too long.
    pub cut: u64,
}

/// The distinct rows for one choice of label columns; metrics with the same labels share it.
#[derive(Clone, Debug)]
struct Series {
    /// Which of the layout's `labels`.
    labels: usize,
    rows: Vec<u32>,
}

/// One metric of one table: what the exposition writes.
#[derive(Clone, Copy)]
pub struct Family<'a> {
    pub def: &'a MetricDef,
    pub label_names: &'a [String],
    /// Families of one table with the same `series` have the same rows and labels.
    pub series: usize,
    mapped: &'a Mapped,
    value: &'a ValueColumns,
    has_native: bool,
}

/// A value, or a histogram's parts.
pub enum Sample {
    Value(Number),
    Histogram {
        /// Bounds, and how many are at or below each; the last is +Inf.
        buckets: Vec<(f64, Number)>,
        sum: Option<Number>,
        count: Number,
        native: Option<NativeBuckets>,
    },
}

/// Maps a table. Columns that are missing (a result without rows may come without columns) give no samples.
pub fn map(query: &Query, table: Table) -> Mapped {
    map_next(query, table.into(), None)
}

/// Maps another table of a query: where its columns stand need not be looked for again if they are those of the one `before`, which was mapped for the
/// same query.
pub fn map_next(query: &Query, table: Arc<Table>, before: Option<&Mapped>) -> Mapped {
    let same = before.filter(|before| before.table.has_columns_of(&table));
    let layout = same.map_or_else(|| Layout::new(query, &table).into(), |before| before.layout.clone());
    let series_of = vec![0; layout.values.len()];
    let mut mapped = Mapped { table, layout, series_of, series: Vec::new(), duplicates: 0, invalid: 0, cut: 0 };
    mapped.find_series();
    mapped.invalid = mapped.count_invalid();
    if mapped.table.has_cut() {
        mapped.cut = mapped.count_cut();
    }
    mapped
}

impl Mapped {
    fn find_series(&mut self) {
        let mut dropped = HashSet::new();
        for (index, labels) in self.layout.labels.iter().enumerate() {
            let distinct = |metrics: &[usize]| {
                let values = || metrics.iter().map(|metric| &self.layout.values[*metric]);
                distinct_rows(&self.table, labels, |row| {
                    values().any(|value| value.is_in(&self.table, row, &labels.columns))
                })
            };
            let (rows, repeated) = distinct(&labels.metrics);
            if repeated.is_empty() {
                labels.metrics.iter().for_each(|metric| self.series_of[*metric] = self.series.len());
                self.series.push(Series { labels: index, rows });
                continue;
            }
            // What repeats the labels of another row may still say something else: each metric sees for itself.
            for metric in &labels.metrics {
                let (rows, repeated) = distinct(&[*metric]);
                dropped.extend(repeated);
                self.series_of[*metric] = self.series.len();
                self.series.push(Series { labels: index, rows });
            }
        }
        self.duplicates = dropped.len() as u64;
    }

    fn count_invalid(&self) -> u64 {
        let mut invalid = 0;
        for (value, series) in self.layout.values.iter().zip(&self.series_of) {
            for row in &self.series[*series].rows {
                let is_invalid = |column: &usize| self.table.cell(*row as usize, *column).number().is_err();
                invalid += value.numbers().into_iter().flatten().filter(is_invalid).count() as u64;
                let native = value.native().map(|native| self.table.cell(*row as usize, native.column));
                if native.is_some_and(|cell| !is_native(cell)) {
                    invalid += 1;
                }
            }
        }
        invalid
    }

    fn count_cut(&self) -> u64 {
        let is_cut = |cell: Cell<'_>| matches!(cell, Cell::Text(text) if truncate::is_cut(text));
        let of_row = |columns: &[usize], row: u32| {
            columns.iter().filter(|column| is_cut(self.table.cell(row as usize, **column))).count() as u64
        };
        // Metrics with the same labels have the same texts, whether or not they have the same rows.
        let mut seen = HashSet::new();
        let mut cut = 0;
        for series in &self.series {
            let rows = series.rows.iter().filter(|row| seen.insert((series.labels, **row)));
            cut += rows.map(|row| of_row(&self.layout.labels[series.labels].columns, *row)).sum::<u64>();
        }
        cut
    }

    /// The families of the query this table was mapped for, in the order of its metrics.
    pub fn families<'a>(&'a self, query: &'a Query) -> impl Iterator<Item = Family<'a>> {
        let places = self.series_of.iter().zip(&self.layout.values);
        query.metrics.iter().zip(places).map(|(metric, (series, value))| Family {
            def: &metric.def,
            label_names: query.labels_of(metric),
            series: *series,
            mapped: self,
            value,
            has_native: false,
        })
    }

    /// Without the rows whose text in this label is not fit; `None` if all are.
    pub fn only(&self, label: &str, is_fit: &dyn Fn(&str) -> bool) -> Option<Mapped> {
        let column = self.table.column(label)?;
        let fits = |row: &u32| match self.table.cell(*row as usize, column) {
            Cell::Text(text) => is_fit(text),
            _ => true,
        };
        let layout = self.layout.clone();
        let concerned = |series: &Series| layout.labels[series.labels].columns.contains(&column);
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

impl<'a> Family<'a> {
    /// Its histograms come with their native buckets. The text formats, which cannot show them, do not read them either.
    pub fn with_native(self) -> Self {
        Family { has_native: true, ..self }
    }

    /// The cells of a row's labels, in the order of `label_names`.
    pub fn labels(&self, row: u32) -> impl Iterator<Item = Cell<'a>> {
        let mapped = self.mapped;
        self.label_columns().iter().map(move |column| mapped.table.cell(row as usize, *column))
    }

    /// The rows that may give a sample. A histogram has one for each series: its first.
    pub fn rows(&self) -> impl Iterator<Item = (usize, u32)> {
        let rows = &self.mapped.series[self.series].rows;
        rows.iter().copied().enumerate().filter(move |(at, row)| match self.value {
            ValueColumns::Histogram { .. } => *at == 0 || !self.same_series(rows[at - 1], *row),
            _ => true,
        })
    }

    /// The sample that begins at this place of [`Family::rows`]; `None` where the value is absent or no number.
    pub fn sample(&self, (at, row): (usize, u32)) -> Option<Sample> {
        match self.value {
            ValueColumns::Nothing => None,
            ValueColumns::One => Some(Sample::Value(Number::Int(1))),
            ValueColumns::Value { column, scale } => {
                let number = self.number(row, *column)?;
                Some(Sample::Value(if *scale == 1.0 { number } else { Number::Float(number.as_f64() * scale) }))
            }
            ValueColumns::Histogram { le, bucket, sum, count, native } => {
                let rows = self.mapped.series[self.series].rows[at..].iter().take_while(|r| self.same_series(row, **r));
                let rows: Vec<u32> = rows.copied().collect();
                let total = rows.iter().find_map(|row| self.number(*row, *count))?;
                let mut buckets: Vec<(f64, Number)> = rows
                    .iter()
                    .filter_map(|row| Some((upper_bound(self.cell(*row, *le))?, self.number(*row, *bucket)?)))
                    .collect();
                if buckets.last().is_none_or(|(le, _)| *le < f64::INFINITY) {
                    buckets.push((f64::INFINITY, total));
                }
                let sum = rows.iter().find_map(|row| self.number(*row, *sum));
                let native = native.filter(|_| self.has_native);
                let native = native.and_then(|native| self.native(&rows, native, total));
                Some(Sample::Histogram { buckets, sum, count: total, native })
            }
        }
    }

    /// The native buckets of a series; none that do not add up to its count, because some of them would be missing, or are more than 63 bits can count:
    /// Prometheus would take nothing of such a page.
    fn native(&self, rows: &[u32], native: NativeColumn, total: Number) -> Option<NativeBuckets> {
        let found = rows.iter().find_map(|row| match self.cell(*row, native.column) {
            Cell::Buckets(buckets) => Some(NativeBuckets::of(native.schema, buckets)),
            Cell::Text(text) => NativeBuckets::parse(native.schema, text),
            Cell::Absent | Cell::Int(_) | Cell::Float(_) => None,
        })?;
        let total = match total {
            Number::Int(total) => total,
            Number::Float(total) => Some(total as i64).filter(|whole| *whole as f64 == total && *whole < i64::MAX)?,
        };
        (found.count().and_then(|count| i64::try_from(count).ok()) == Some(total)).then_some(found)
    }

    fn cell(&self, row: u32, column: usize) -> Cell<'a> {
        self.mapped.table.cell(row as usize, column)
    }

    fn number(&self, row: u32, column: usize) -> Option<Number> {
        self.cell(row, column).number().ok().flatten()
    }

    fn same_series(&self, a: u32, b: u32) -> bool {
        same_labels(&self.mapped.table, self.label_columns(), a, b)
    }

    fn label_columns(&self) -> &'a [usize] {
        &self.mapped.layout.labels[self.mapped.series[self.series].labels].columns
    }
}

/// Whether a cell holds native buckets, or nothing.
fn is_native(cell: Cell<'_>) -> bool {
    match cell {
        Cell::Absent | Cell::Buckets(_) => true,
        Cell::Text(text) => NativeBuckets::parse(0, text).is_some(),
        Cell::Int(_) | Cell::Float(_) => false,
    }
}
