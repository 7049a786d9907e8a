//! A query's table with the rows that become samples, and the families that the exposition reads from it.

use std::collections::HashSet;
use std::sync::Arc;

use crate::collector::metric::MetricDef;
use crate::collector::{NativeSpec, Query, ValueSource};
use crate::map::distinct::{DistinctRows, distinct_rows, same_labels, upper_bound};
use crate::map::layout::{LabelColumns, Layout, ValueColumns};
use crate::table::native::NativeBuckets;
use crate::table::{Cell, Number, Table};
use crate::truncate;

/// A query's table, and the rows in it that become samples.
#[derive(Clone, Debug)]
pub struct Mapped {
    pub(super) table: Arc<Table>,
    layout: Arc<Layout>,
    /// The index in `series` of each metric of the query, in order.
    series_of: Vec<usize>,
    pub(super) series: Vec<Series>,
    /// Rows whose labels an earlier row had already.
    pub duplicates: u64,
    /// Values that are not numbers, and texts that are not native buckets.
    pub invalid: u64,
    /// Label values that were too long.
    pub cut: u64,
}

/// The distinct rows for one choice of label columns; metrics with the same labels share it.
#[derive(Clone, Debug)]
pub(super) struct Series {
    /// An index in the layout's `labels`.
    labels: usize,
    pub(super) rows: Vec<u32>,
}

/// One metric of one table: what the exposition writes.
#[derive(Clone, Copy)]
pub struct Family<'a> {
    pub def: &'a MetricDef,
    pub label_names: &'a [String],
    /// Families of one table with the same `series` have the same rows and labels.
    pub series: usize,
    mapped: &'a Mapped,
    value: Option<&'a ValueColumns>,
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

/// Maps another table of a query. If its columns are those of the table `before`, which was mapped for the same query,
/// their layout is used again.
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
        let layout = self.layout.clone();
        let mut dropped = HashSet::new();
        for (index, labels) in layout.labels.iter().enumerate() {
            let all = self.distinct_rows(labels, &labels.metrics);
            if all.repeated.is_empty() {
                self.add_series(index, &labels.metrics, all.rows);
                continue;
            }
            // A row that repeats the labels of another may still have a value for other metrics: each metric chooses
            // for itself.
            for metric in &labels.metrics {
                let distinct = self.distinct_rows(labels, &[*metric]);
                dropped.extend(distinct.repeated);
                self.add_series(index, &[*metric], distinct.rows);
            }
        }
        self.duplicates = dropped.len() as u64;
    }

    fn distinct_rows(&self, labels: &LabelColumns, metrics: &[usize]) -> DistinctRows {
        let values: Vec<_> = metrics.iter().filter_map(|metric| self.layout.values[*metric].as_ref()).collect();
        distinct_rows(&self.table, labels, |row| {
            values.iter().any(|value| value.is_in(&self.table, row, &labels.columns))
        })
    }

    fn add_series(&mut self, labels: usize, metrics: &[usize], rows: Vec<u32>) {
        for metric in metrics {
            self.series_of[*metric] = self.series.len();
        }
        self.series.push(Series { labels, rows });
    }

    fn count_invalid(&self) -> u64 {
        let mut invalid = 0;
        for (value, series) in self.layout.values.iter().zip(&self.series_of) {
            let Some(value) = value else { continue };
            let rows = &self.series[*series].rows;
            let cells = |column: usize| rows.iter().map(move |row| self.table.cell(*row as usize, column));
            for (_, column) in value.numbers() {
                invalid += cells(*column).filter(|cell| cell.number().is_err()).count();
            }
            if let Some(native) = value.native() {
                invalid += cells(native.buckets).filter(|cell| !is_native(*cell)).count();
            }
        }
        invalid as u64
    }

    fn count_cut(&self) -> u64 {
        // Metrics with the same labels have the same texts, whether or not they have the same rows.
        let mut seen = HashSet::new();
        let mut cut = 0;
        for series in &self.series {
            let columns = &self.layout.labels[series.labels].columns;
            for row in series.rows.iter().filter(|row| seen.insert((series.labels, **row))) {
                let cells = columns.iter().map(|column| self.table.cell(*row as usize, *column));
                cut += cells.filter(|cell| matches!(cell, Cell::Text(text) if truncate::is_cut(text))).count();
            }
        }
        cut as u64
    }

    /// The families of the query this table was mapped for, in the order of its metrics.
    pub fn families<'a>(&'a self, query: &'a Query) -> impl Iterator<Item = Family<'a>> {
        let places = self.series_of.iter().zip(&self.layout.values);
        query.metrics.iter().zip(places).map(|(metric, (series, value))| Family {
            def: &metric.def,
            label_names: query.labels_of(metric),
            series: *series,
            mapped: self,
            value: value.as_ref(),
            has_native: false,
        })
    }

    /// Without the rows whose text in this label is unfit; `None` if all are fit.
    pub fn only(&self, label: &str, is_fit: &dyn Fn(&str) -> bool) -> Option<Mapped> {
        let column = self.table.column(label)?;
        let keeps = |row: &u32| match self.table.cell(*row as usize, column) {
            Cell::Text(text) => is_fit(text),
            _ => true,
        };
        let mut filtered = None;
        for (index, series) in self.series.iter().enumerate() {
            let has_label = self.layout.labels[series.labels].columns.contains(&column);
            if has_label && !series.rows.iter().all(keeps) {
                filtered.get_or_insert_with(|| self.clone()).series[index].rows.retain(keeps);
            }
        }
        filtered
    }

    /// Rows of the table, as far as `max_rows` let them in.
    pub fn rows(&self) -> usize {
        self.table.rows()
    }
}

impl<'a> Family<'a> {
    /// With the native buckets of its histograms. The text formats cannot show them, and so do not read them.
    pub fn with_native(self) -> Self {
        Family { has_native: true, ..self }
    }

    /// The cells of a row's labels, in the order of `label_names`.
    pub fn labels(&self, row: u32) -> impl Iterator<Item = Cell<'a>> {
        let mapped = self.mapped;
        self.label_columns().iter().map(move |column| mapped.table.cell(row as usize, *column))
    }

    /// The rows that may give a sample, with their positions. Of a histogram, the first row of each series.
    pub fn rows(&self) -> impl Iterator<Item = (usize, u32)> {
        let rows = &self.mapped.series[self.series].rows;
        let begins_series = move |at: usize, row: u32| at == 0 || !self.same_series(rows[at - 1], row);
        let positions = rows.iter().copied().enumerate();
        positions.filter(move |(at, row)| !self.is_histogram() || begins_series(*at, *row))
    }

    /// The sample that begins at this place of [`Family::rows`]; `None` where the value is absent or not a number.
    pub fn sample(&self, (at, row): (usize, u32)) -> Option<Sample> {
        match self.value? {
            ValueSource::One => Some(Sample::Value(Number::Int(1))),
            ValueSource::Column { column, scale } => {
                let number = self.number(row, *column)?;
                Some(Sample::Value(if *scale == 1.0 { number } else { Number::Float(number.as_f64() * scale) }))
            }
            ValueSource::Histogram { le, bucket, sum, count, native } => {
                let rows = &self.mapped.series[self.series].rows[at..];
                let end = rows.iter().position(|other| !self.same_series(row, *other)).unwrap_or(rows.len());
                let rows = &rows[..end];
                let first = |column: usize| rows.iter().find_map(|row| self.number(*row, column));
                let (sum, count) = (first(*sum), first(*count)?);
                let mut buckets = Vec::with_capacity(rows.len() + 1);
                for row in rows {
                    let bound = upper_bound(self.cell(*row, *le));
                    buckets.extend(bound.zip(self.number(*row, *bucket)));
                }
                if buckets.last().is_none_or(|(le, _)| *le < f64::INFINITY) {
                    buckets.push((f64::INFINITY, count));
                }
                let native = native.as_ref().filter(|_| self.has_native);
                let native = native.and_then(|native| self.native(rows, native, count));
                Some(Sample::Histogram { buckets, sum, count, native })
            }
        }
    }

    /// The native buckets of a series. `None` if they do not add up to its count, or the count takes more than 63 bits:
    /// Prometheus would refuse the whole page.
    fn native(&self, rows: &[u32], native: &NativeSpec<usize>, count: Number) -> Option<NativeBuckets> {
        let found = rows.iter().find_map(|row| match self.cell(*row, native.buckets) {
            Cell::Buckets(buckets) => Some(NativeBuckets::of(native.schema, buckets)),
            Cell::Text(text) => NativeBuckets::parse(native.schema, text),
            Cell::Absent | Cell::Int(_) | Cell::Float(_) => None,
        })?;
        let sum = found.count().filter(|sum| i64::try_from(*sum).is_ok())?;
        (count.as_count() == Some(sum)).then_some(found)
    }

    pub(super) fn is_histogram(&self) -> bool {
        matches!(self.value, Some(ValueSource::Histogram { .. }))
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
