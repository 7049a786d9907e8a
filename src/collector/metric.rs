//! What a metric is: its name, kind and help, as a collector file declares it.

use strum::{EnumString, IntoStaticStr, VariantNames};

/// The kinds of metric a collector can declare, by their words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "lowercase", const_into_str)]
pub enum MetricKind {
    Gauge,
    Counter,
    /// One row per `le`, with the sum and the count beside.
    Histogram,
    /// The value is 1, the labels are what it says.
    Info,
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
