//! What a metric is: its name, kind and help, as a collector file declares it.

/// The kinds of metric a collector can declare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    Gauge,
    Counter,
    /// One row per `le`, with the sum and the count beside.
    Histogram,
    /// The value is 1, the labels are what it says.
    Info,
}

impl MetricKind {
    /// The word for it in a collector file.
    pub fn word(self) -> &'static str {
        match self {
            MetricKind::Gauge => "gauge",
            MetricKind::Counter => "counter",
            MetricKind::Histogram => "histogram",
            MetricKind::Info => "info",
        }
    }
}

/// One metric's declaration. `help` is one line without a backslash; names are checked when the file is loaded.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricDef {
    pub name: String,
    pub kind: MetricKind,
    pub help: String,
    /// The name is other exporters' and may break our naming rules.
    pub ecosystem: bool,
}
