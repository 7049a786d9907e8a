//! The layout of a query's table: the columns of each metric's labels and value. Pure.

use crate::collector::{Query, ValueSource};
use crate::table::{Cell, Table};

#[derive(Debug)]
pub struct Layout {
    /// By metric, in order; `None` where a column is missing.
    pub values: Vec<Option<ValueColumns>>,
    /// The different choices of label columns.
    pub labels: Vec<LabelColumns>,
}

/// The columns of a metric's value, by their places in the table.
pub type ValueColumns = ValueSource<usize>;

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
            let value = metric.value.with_columns(|name| table.column(name));
            let (columns, value) = labels.zip(value).unzip();
            let columns = columns.unwrap_or_default();
            let le = match value {
                Some(ValueSource::Histogram { le, .. }) => Some(le),
                _ => None,
            };
            layout.values.push(value);
            match layout.labels.iter_mut().find(|labels| labels.columns == columns && labels.le == le) {
                Some(labels) => labels.metrics.push(index),
                None => layout.labels.push(LabelColumns { columns, le, metrics: vec![index] }),
            }
        }
        layout
    }
}

impl ValueColumns {
    /// Whether a row has something for a metric with this value. A query may stack the results of several questions,
    /// each with columns of its own; the rows of one are not duplicates for the metrics of another.
    pub fn is_in(&self, table: &Table, row: usize, labels: &[usize]) -> bool {
        let is_there = |column: &usize| table.cell(row, *column) != Cell::Absent;
        match self {
            ValueSource::One => labels.is_empty() || labels.iter().any(is_there),
            ValueSource::Column { column, .. } => is_there(column),
            ValueSource::Histogram { bucket, sum, count, .. } => [bucket, sum, count].into_iter().any(is_there),
        }
    }
}
