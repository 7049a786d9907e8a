//! The layout of a query's table: the columns of each metric's labels and value. Pure.

use crate::collector::{Query, ValueSource};
use crate::table::{Cell, Table};

#[derive(Debug)]
pub struct Layout {
    /// By metric, in order.
    pub values: Vec<ValueColumns>,
    /// The different choices of label columns.
    pub labels: Vec<LabelColumns>,
}

/// The columns of a metric's value.
#[derive(Clone, Copy, Debug)]
pub enum ValueColumns {
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
        native: Option<NativeColumn>,
    },
}

/// The column of native buckets, and what their indexes mean.
#[derive(Clone, Copy, Debug)]
pub struct NativeColumn {
    pub column: usize,
    pub schema: i32,
}

/// Label columns, and the metrics that have them.
#[derive(Debug)]
pub struct LabelColumns {
    pub columns: Vec<usize>,
    /// For histograms: the column of the upper bounds, which distinguishes rows but is not a label of the series.
    pub le: Option<usize>,
    pub metrics: Vec<usize>,
}

impl Layout {
    pub fn new(query: &Query, table: &Table) -> Self {
        let mut layout = Layout { values: Vec::with_capacity(query.metrics.len()), labels: Vec::new() };
        for (index, metric) in query.metrics.iter().enumerate() {
            let labels: Option<Vec<usize>> = query.labels_of(metric).iter().map(|label| table.column(label)).collect();
            let (columns, value) =
                labels.zip(value(&metric.value, table)).unwrap_or((Vec::new(), ValueColumns::Nothing));
            let le = value.le();
            layout.values.push(value);
            match layout.labels.iter_mut().find(|labels| labels.columns == columns && labels.le == le) {
                Some(labels) => labels.metrics.push(index),
                None => layout.labels.push(LabelColumns { columns, le, metrics: vec![index] }),
            }
        }
        layout
    }
}

fn value(value: &ValueSource, table: &Table) -> Option<ValueColumns> {
    Some(match value {
        ValueSource::One => ValueColumns::One,
        ValueSource::Column { column, scale } => ValueColumns::Value { column: table.column(column)?, scale: *scale },
        ValueSource::Histogram { le, bucket, sum, count, native } => ValueColumns::Histogram {
            le: table.column(le)?,
            bucket: table.column(bucket)?,
            sum: table.column(sum)?,
            count: table.column(count)?,
            native: native.as_ref().and_then(|native| {
                Some(NativeColumn { column: table.column(&native.buckets)?, schema: native.schema })
            }),
        },
    })
}

impl ValueColumns {
    fn le(&self) -> Option<usize> {
        match self {
            ValueColumns::Histogram { le, .. } => Some(*le),
            _ => None,
        }
    }

    /// The columns that must hold numbers.
    pub fn numbers(&self) -> [Option<usize>; 4] {
        match *self {
            ValueColumns::Value { column, .. } => [Some(column), None, None, None],
            ValueColumns::Histogram { le, bucket, sum, count, .. } => [le, bucket, sum, count].map(Some),
            ValueColumns::One | ValueColumns::Nothing => [None; 4],
        }
    }

    /// The column of native buckets, if it has them.
    pub fn native(&self) -> Option<NativeColumn> {
        match self {
            ValueColumns::Histogram { native, .. } => *native,
            _ => None,
        }
    }

    /// Whether a row has something for a metric with this value. A query may stack the results of several questions,
    /// each with columns of its own; the rows of one are not duplicates for the metrics of another.
    pub fn is_in(&self, table: &Table, row: usize, labels: &[usize]) -> bool {
        let is_there = |column: &usize| table.cell(row, *column) != Cell::Absent;
        match self {
            ValueColumns::Nothing => false,
            ValueColumns::One => labels.is_empty() || labels.iter().any(is_there),
            ValueColumns::Value { column, .. } => is_there(column),
            ValueColumns::Histogram { bucket, sum, count, .. } => [bucket, sum, count].into_iter().any(is_there),
        }
    }
}
