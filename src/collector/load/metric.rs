//! The metrics of a query: which column is the value, which are the labels.

use crate::collector::metric::{MetricDef, MetricKind};
use crate::collector::naming_rules::MetricNames;
use crate::collector::{Metric, NativeSpec, ValueSource, naming_rules};
use crate::declare;
use crate::schema::form::Form;
use crate::schema::problem::Problems;
use crate::schema::reader::{Placed, Schema};
use crate::schema::values::{by_word, flag, map, number, text, unique, whole, word};
use crate::schema::words;

declare! {
    /// The keys of every metric.
    pub struct MetricKeys: "a metric" {
        /// The metric's name: lower snake case, a base unit (`_seconds`, `_bytes`, `_ratio`), `_total` for a counter, `_info` for an info
        /// metric.
        name: Placed<String> = text().shown_as(Form::Pattern(words::METRIC)).placed(),
        /// One line: what is measured, and its unit.
        help: String = text()
            .check(|help| naming_rules::help_problem(help).map_or(Ok(()), |message| Err(message.to_owned())))
            .shown_as(Form::Pattern(r"^[^\\\x00-\x1f]*[^\\\s\x00-\x1f][^\\\x00-\x1f]*$")),
        /// Other exporters have a metric of this name and meaning: our naming rules are not for it.
        ecosystem: bool = flag().or(false),
        /// Columns that become its labels, instead of the query's; `[]` for none.
        labels: Option<Vec<Placed<String>>> = labels().optional(),
    }
}

declare! {
    pub struct NumberKeys: "a metric" {
        ..metric: MetricKeys,
        /// `gauge` or `counter` (`histogram` and `info` have other keys).
        r#type: MetricKind = kind(vec!["gauge", "counter"]),
        /// The column with the value.
        value: Placed<String> = text().placed(),
        /// The value times this, such as 1e-3; not 0. 1 if left out.
        scale: f64 = number().refuse_if("`scale` must not be 0: every value would be 0", |scale| *scale == 0.0).or(1.0),
    }
}

declare! {
    pub struct HistogramKeys: "a histogram" {
        ..metric: MetricKeys,
        /// `histogram`: one row for each bucket of a series.
        r#type: MetricKind = kind(vec!["histogram"]),
        /// The column with the upper bound of a bucket; NULL or infinite in the last.
        le: Placed<String> = text().placed(),
        /// The column with the cumulative count up to `le`.
        value: Placed<String> = text().placed(),
        /// The column with the sum of all values, the same or NULL on the other rows of a series.
        sum: Placed<String> = text().placed(),
        /// The column with their number, the same or NULL on the other rows of a series.
        count: Placed<String> = text().placed(),
        /// Its native buckets, beside the others. Only the protobuf format can show them.
        native: Option<NativeKeys> = map().optional(),
    }
}

declare! {
    pub struct NativeKeys: "`native`" {
        /// How fine they are: from one bound to the next it is `2^(2^-schema)` times as much. 3 is 9 % more, 0 twice.
        schema: i32 = whole(-4..=8),
        /// The column with all of a series, on any of its rows: `index:count` of each, rising and separated by spaces.
        buckets: Placed<String> = text().placed(),
    }
}

declare! {
    pub struct InfoKeys: "an info metric" {
        ..metric: MetricKeys,
        /// `info`: the value is 1, the labels are the message.
        r#type: MetricKind = kind(vec!["info"]),
    }
}

/// The type of a metric; the keys beside it are for these types only.
fn kind(words: Vec<&'static str>) -> Schema<MetricKind> {
    word().shown_as(Form::Word(words))
}

/// The schema of a metric, whose `type` decides which keys it has.
pub fn metric() -> Schema<MetricDeclaration> {
    let number = |keys: NumberKeys| {
        let value = ValueSource::Column { column: keys.value, scale: keys.scale };
        MetricDeclaration { keys: keys.metric, kind: keys.r#type, value }
    };
    let histogram = |keys: HistogramKeys| {
        let HistogramKeys { metric, r#type, le, value: bucket, sum, count, native } = keys;
        let native = native.map(|NativeKeys { schema, buckets }| NativeSpec { schema, buckets });
        let value = ValueSource::Histogram { le, bucket, sum, count, native };
        MetricDeclaration { keys: metric, kind: r#type, value }
    };
    let info = |keys: InfoKeys| MetricDeclaration { keys: keys.metric, kind: keys.r#type, value: ValueSource::One };
    by_word("type", vec![map().map(number), map().map(histogram), map().map(info)])
}

/// The schema of `labels` of a query or a metric: valid label names, none twice.
pub fn labels() -> Schema<Vec<Placed<String>>> {
    let label = text().check(|label| words::label(label)).shown_as(Form::Pattern(words::LABEL)).placed();
    unique(label, "", |label| vec![label.value.clone()], "the label `{}` is here twice: leave one out")
}

/// The key of a label in what [`columns_read`] returns.
pub const LABEL: &str = "label";

/// Every column that a query reads, with the key it is read for.
pub fn columns_read<'a>(
    labels: &'a [Placed<String>],
    metrics: &'a [MetricDeclaration],
) -> Vec<(&'static str, &'a Placed<String>)> {
    let labels = labels.iter().chain(metrics.iter().flat_map(|declared| declared.keys.labels.iter().flatten()));
    // A refused label will be renamed, so a missing column of its present name is not reported.
    let labels = labels.filter(|label| words::label(&label.value).is_ok()).map(|label| (LABEL, label));
    labels.chain(metrics.iter().flat_map(|declared| declared.value.columns())).collect()
}

/// A metric as it is declared, with the places that later checks need.
pub struct MetricDeclaration {
    keys: MetricKeys,
    kind: MetricKind,
    value: ValueSource<Placed<String>>,
}

impl MetricDeclaration {
    /// The metric; none of its columns is missing.
    pub fn metric(self) -> Option<Metric> {
        let MetricKeys { name, help, ecosystem, labels } = self.keys;
        let def = MetricDef { name: name.value, kind: self.kind, help, ecosystem };
        let labels = labels.map(|labels| labels.into_iter().map(|label| label.value).collect());
        Some(Metric { def, labels, value: self.value.with_columns(|column| Some(column.value.clone()))? })
    }
}

/// Checks a metric's name. `may_have_our_prefix`: it describes what pgvigil is, observes or remembers.
pub fn check_name(
    declared: &MetricDeclaration,
    may_have_our_prefix: bool,
    names: &mut MetricNames,
    problems: &mut Problems,
) {
    let MetricKeys { name, ecosystem, .. } = &declared.keys;
    match naming_rules::name_problem(&name.value, declared.kind, *ecosystem, may_have_our_prefix) {
        Some(message) => problems.add(&name.place, format!("`{}`: {message}", name.value)),
        None => names.claim(name, declared.kind, problems),
    }
}
