//! The metrics of a query: which column is the value, which are the labels.

use std::ops::RangeInclusive;

use crate::{
    collector::{
        Metric, NativeSpec, ValueSource,
        metric::{MetricDef, MetricKind},
        naming_rules,
        naming_rules::MetricNames,
    },
    schema::{
        fields::Fields,
        problem::{Place, Problems},
        shape::{Is, KeySpec, Shape, key},
        words,
        yaml::Node,
    },
};

/// What `metrics` holds.
pub const METRICS: Is = Is::List(1, &Is::Either(&[Is::Map(&NUMBER), Is::Map(&HISTOGRAM), Is::Map(&INFO)]));

/// What `labels` holds, of a query and of a metric.
pub const LABELS: Is = Is::List(0, &Is::Form(words::LABEL));

const NAME: KeySpec = key(
    "name",
    Is::Form(words::METRIC),
    "The metric's name: lower snake case, a base unit (`_seconds`, `_bytes`, `_ratio`), `_total` for a counter, `_info` for an info metric.",
);
const HELP: KeySpec = key(
    "help",
    Is::Form(r"^[^\\\x00-\x1f]*[^\\\s\x00-\x1f][^\\\x00-\x1f]*$"),
    "One line: what is measured, and its unit.",
);
const VALUE: KeySpec = key("value", Is::Text, "The column with the value.");
const OWN_LABELS: KeySpec =
    key("labels", LABELS, "Columns that become its labels, instead of the query's; `[]` for none.");
const ECOSYSTEM: KeySpec = key(
    "ecosystem",
    Is::Flag,
    "Other exporters have a metric of this name and meaning: our naming rules are not for it.",
);

const NUMBER: Shape = Shape {
    what: "a metric",
    needs: &[
        NAME,
        key("type", Is::Word(&["gauge", "counter"]), "`gauge` or `counter` (`histogram` and `info` have other keys)."),
        HELP,
        VALUE,
    ],
    may: &[
        key("scale", Is::Number, "The value times this, such as 1e-3; not 0. 1 if left out."),
        ECOSYSTEM,
        OWN_LABELS,
    ],
    quiet: false,
};

const HISTOGRAM: Shape = Shape {
    what: "a histogram",
    needs: &[
        NAME,
        key("type", Is::Word(&["histogram"]), "`histogram`: one row for each bucket of a series."),
        HELP,
        key("le", Is::Text, "The column with the upper bound of a bucket; NULL or infinite in the last."),
        key("value", Is::Text, "The column with the cumulative count up to `le`."),
        key("sum", Is::Text, "The column with the sum of all values, the same or NULL on the other rows of a series."),
        key("count", Is::Text, "The column with their number, the same or NULL on the other rows of a series."),
    ],
    may: &[
        key(
            "native",
            Is::Map(&NATIVE),
            "Its native buckets, beside the others. Only the protobuf format can show them.",
        ),
        ECOSYSTEM,
        OWN_LABELS,
    ],
    quiet: false,
};

const NATIVE: Shape = Shape {
    what: "`native`",
    needs: &[
        key(
            "schema",
            Is::Signed(*SCHEMAS.start(), *SCHEMAS.end()),
            "How fine they are: from one bound to the next it is `2^(2^-schema)` times as much. 3 is 9 % more, 0 twice.",
        ),
        key(
            "buckets",
            Is::Text,
            "The column with all of a series, on any of its rows: `index:count` of each, rising and separated by spaces.",
        ),
    ],
    may: &[],
    quiet: false,
};

/// Those that Prometheus knows.
const SCHEMAS: RangeInclusive<i32> = -4..=8;

const INFO: Shape = Shape {
    what: "an info metric",
    needs: &[NAME, key("type", Is::Word(&["info"]), "`info`: the value is 1, the labels are the message."), HELP],
    may: &[ECOSYSTEM, OWN_LABELS],
    quiet: false,
};

const KINDS: [(&str, MetricKind); 4] = [
    ("gauge", MetricKind::Gauge),
    ("counter", MetricKind::Counter),
    ("histogram", MetricKind::Histogram),
    ("info", MetricKind::Info),
];

/// What [`MetricDeclaration::columns`] calls the column of native buckets.
pub const NATIVE_BUCKETS: &str = "native";

/// A metric, and the places of what other checks will speak of.
#[derive(Debug)]
pub struct MetricDeclaration {
    pub metric: Metric,
    /// Its own labels; empty where it takes the query's.
    pub labels: Vec<(String, Place)>,
    /// Each column that a value is made of: its key, its name, and where that stands.
    pub columns: Vec<(&'static str, String, Place)>,
}

/// The metrics of a query; `own`: of what pgvigil is, sees or remembers.
pub fn metrics(fields: &mut Fields<'_, '_>, own: bool, names: &mut MetricNames) -> Vec<MetricDeclaration> {
    if fields.node("metrics").is_some_and(Node::is_empty_list) {
        fields.tell("metrics", "a query has at least one metric");
    }
    fields.each("metrics", |node, problems| metric(node, own, names, problems))
}

/// The label columns of a query or of a metric: each a valid label name, none twice.
pub fn labels(fields: &mut Fields<'_, '_>) -> Vec<(String, Place)> {
    let labels = fields.texts("labels");
    for (nth, (label, place)) in labels.iter().enumerate() {
        if labels[..nth].iter().any(|(other, _)| other == label) {
            fields.problems.add(place, format!("the label `{label}` is here twice: leave one out"));
        }
        if let Err(message) = words::label(label) {
            fields.problems.add(place, message);
        }
    }
    labels
}

fn metric(node: &Node, own: bool, names: &mut MetricNames, problems: &mut Problems) -> Option<MetricDeclaration> {
    let kind = KINDS.iter().find(|(word, _)| node.get("type").and_then(Node::text) == Some(word)).map(|(_, k)| *k);
    let shape = match kind {
        Some(MetricKind::Histogram) => &HISTOGRAM,
        Some(MetricKind::Info) => &INFO,
        _ => &NUMBER,
    };
    let mut fields = Fields::open(node, shape, problems)?;
    fields.word("type", &KINDS);
    let name = fields.text("name");
    let help = fields.text("help");
    if let Some(message) = help.as_deref().and_then(naming_rules::help_problem) {
        fields.tell("help", message);
    }
    let ecosystem = fields.flag("ecosystem").unwrap_or(false);
    let own_labels = fields.has("labels");
    let labels = labels(&mut fields);
    let scale = scale(&mut fields);
    let mut columns = columns(&mut fields, kind?);
    let native = native(&mut fields, &mut columns);
    let def = MetricDef { name: name?, kind: kind?, help: help.unwrap_or_default(), ecosystem };
    check_name(&mut fields, &def, own, names);
    let metric = Metric {
        def,
        labels: own_labels.then(|| labels.iter().map(|(label, _)| label.clone()).collect()),
        value: value(kind?, &columns, scale, native)?,
    };
    Some(MetricDeclaration { metric, labels, columns })
}

fn check_name(fields: &mut Fields<'_, '_>, def: &MetricDef, own: bool, names: &mut MetricNames) {
    match naming_rules::name_problem(&def.name, def.kind, def.ecosystem, own) {
        Some(message) => fields.tell("name", format!("`{}`: {message}", def.name)),
        None => names.claim(def, &fields.place("name"), fields.problems),
    }
}

fn scale(fields: &mut Fields<'_, '_>) -> f64 {
    let scale = fields.number("scale").unwrap_or(1.0);
    if scale == 0.0 {
        fields.tell("scale", "`scale` must not be 0: every value would be 0");
    }
    scale
}

fn columns(fields: &mut Fields<'_, '_>, kind: MetricKind) -> Vec<(&'static str, String, Place)> {
    let keys: &[&'static str] = match kind {
        MetricKind::Gauge | MetricKind::Counter => &["value"],
        MetricKind::Histogram => &["le", "value", "sum", "count"],
        MetricKind::Info => &[],
    };
    let column = |key: &&'static str| Some((*key, fields.text(key)?, fields.place(key)));
    keys.iter().filter_map(column).collect()
}

/// A histogram's `native`. Its column joins the others.
fn native(fields: &mut Fields<'_, '_>, columns: &mut Vec<(&'static str, String, Place)>) -> Option<NativeSpec> {
    let mut fields = Fields::open(fields.node("native")?, &NATIVE, fields.problems)?;
    let schema = fields.whole("schema", SCHEMAS);
    let buckets = fields.text("buckets")?;
    columns.push((NATIVE_BUCKETS, buckets.clone(), fields.place("buckets")));
    Some(NativeSpec { schema: schema?, buckets })
}

fn value(
    kind: MetricKind,
    columns: &[(&'static str, String, Place)],
    scale: f64,
    native: Option<NativeSpec>,
) -> Option<ValueSource> {
    let column = |key| columns.iter().find(|(k, ..)| *k == key).map(|(_, column, _)| column.clone());
    Some(match kind {
        MetricKind::Gauge | MetricKind::Counter => ValueSource::Column { column: column("value")?, scale },
        MetricKind::Histogram => ValueSource::Histogram {
            le: column("le")?,
            bucket: column("value")?,
            sum: column("sum")?,
            count: column("count")?,
            native,
        },
        MetricKind::Info => ValueSource::One,
    })
}
