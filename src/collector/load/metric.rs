//! The metrics of a query: which column is the value, which are the labels.

use crate::collector::metric::{MetricDef, MetricKind};
use crate::collector::naming_rules::MetricNames;
use crate::collector::{Metric, NativeSpec, ValueSource, naming_rules};
use crate::declare;
use crate::schema::form::Form;
use crate::schema::problem::{Place, Problems};
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
    by_word(
        "type",
        vec![
            map().map(NumberKeys::declaration),
            map().map(HistogramKeys::declaration),
            map().map(|keys: InfoKeys| keys.metric.declaration(keys.r#type, ValueSource::One, vec![])),
        ],
    )
}

/// The schema of `labels` of a query or a metric: valid label names, none twice.
pub fn labels() -> Schema<Vec<Placed<String>>> {
    let label = text().check(|label| words::label(label)).shown_as(Form::Pattern(words::LABEL)).placed();
    unique(label, "", |label| vec![label.value.clone()], "the label `{}` is here twice: leave one out")
}

/// The key of native buckets in [`ColumnsByKey`].
pub const NATIVE_BUCKETS: &str = "native";

/// The key of a label in what [`columns_read`] returns.
pub const LABEL: &str = "label";

/// Every column that a query reads, with the key it is read for.
pub fn columns_read<'a>(
    labels: &'a [Placed<String>],
    metrics: &'a [MetricDeclaration],
) -> Vec<(&'static str, &'a Placed<String>)> {
    let labels = labels.iter().chain(metrics.iter().flat_map(|declared| &declared.labels));
    // A refused label will be renamed, so a missing column of its present name is not reported.
    let labels = labels.filter(|label| words::label(&label.value).is_ok()).map(|label| (LABEL, label));
    let values = metrics.iter().flat_map(|declared| &declared.columns).map(|(key, column)| (*key, column));
    labels.chain(values).collect()
}

/// The columns that a value is made of, each with its key.
type ColumnsByKey = Vec<(&'static str, Placed<String>)>;

/// A metric, with the places that later checks need.
#[derive(Debug)]
pub struct MetricDeclaration {
    pub metric: Metric,
    /// That of its name.
    pub place: Place,
    /// Its own labels; empty if it has the query's.
    pub labels: Vec<Placed<String>>,
    pub columns: ColumnsByKey,
}

impl MetricKeys {
    fn declaration(self, kind: MetricKind, value: ValueSource, columns: ColumnsByKey) -> MetricDeclaration {
        let def = MetricDef { name: self.name.value, kind, help: self.help, ecosystem: self.ecosystem };
        let labels = self.labels.as_ref().map(|labels| labels.iter().map(|label| label.value.clone()).collect());
        MetricDeclaration {
            metric: Metric { def, labels, value },
            place: self.name.place,
            labels: self.labels.unwrap_or_default(),
            columns,
        }
    }
}

impl NumberKeys {
    fn declaration(self) -> MetricDeclaration {
        let value = ValueSource::Column { column: self.value.value.clone(), scale: self.scale };
        self.metric.declaration(self.r#type, value, vec![("value", self.value)])
    }
}

impl HistogramKeys {
    fn declaration(self) -> MetricDeclaration {
        let native = self.native.as_ref();
        let value = ValueSource::Histogram {
            le: self.le.value.clone(),
            bucket: self.value.value.clone(),
            sum: self.sum.value.clone(),
            count: self.count.value.clone(),
            native: native.map(|native| NativeSpec { schema: native.schema, buckets: native.buckets.value.clone() }),
        };
        let mut columns = vec![("le", self.le), ("value", self.value), ("sum", self.sum), ("count", self.count)];
        columns.extend(self.native.map(|native| (NATIVE_BUCKETS, native.buckets)));
        self.metric.declaration(self.r#type, value, columns)
    }
}

/// Checks a metric's name. `own`: it describes what pgvigil is, observes or remembers.
pub fn check_name(declared: &MetricDeclaration, own: bool, names: &mut MetricNames, problems: &mut Problems) {
    let def = &declared.metric.def;
    match naming_rules::name_problem(&def.name, def.kind, def.ecosystem, own) {
        Some(message) => problems.add(&declared.place, format!("`{}`: {message}", def.name)),
        None => names.claim(def, &declared.place, problems),
    }
}
