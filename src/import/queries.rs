//! A file of queries, as postgres_exporter reads it, with keys that CloudNativePG added.

use strum::{EnumString, VariantNames};

use crate::declare;
use crate::schema::form::Form;
use crate::schema::problem::Problems;
use crate::schema::reader::{Entry, Keys, Reader, Schema};
use crate::schema::values::{entries, flag, list, number, text, whole};
use crate::schema::words;
use crate::schema::yaml;
use crate::schema::yaml::NodeValue;

/// What postgres_exporter makes of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, VariantNames)]
#[strum(serialize_all = "UPPERCASE")]
pub enum Usage {
    Label,
    Gauge,
    Counter,
    /// A gauge whose name ends in `_milliseconds`.
    Duration,
    /// A gauge of texts that are mapped to numbers.
    MappedMetric,
    /// Arrays of bounds and, in `..._bucket`, of cumulative counts; `..._sum` and `..._count` beside them.
    Histogram,
    Discard,
}

declare! {
    #[derive(Clone, Debug)]
    pub struct ColumnKeys: "a column" {
        /// A word of [`Usage`]; without one it is discarded.
        usage: String = text().or(String::new()),
        /// The metric's help.
        description: String = text().or(String::new()),
        /// Texts and their numbers.
        metric_mapping: Vec<Entry<f64>> = entries("", |_| Ok(()), number()).or(Vec::new()),
    }
}

declare! {
    #[derive(Debug)]
    pub struct NamespaceKeys: "a namespace" {
        /// Without one, postgres_exporter runs nothing.
        query: String = text().or(String::new()),
        /// The columns of the query.
        metrics: Vec<Vec<Entry<Lenient<ColumnKeys>>>> = list(entries("", |_| Ok(()), lenient())).or(Vec::new()),
        /// Only in the database of the URL, not in those that are discovered.
        master: bool = flag().or(false),
        /// How long a result is kept.
        cache_seconds: u32 = whole(0..=2_592_000).or(0),
        /// A range of versions.
        runonserver: String = text().or(String::new()),
        /// CloudNativePG: instead of the namespace in the names of metrics.
        name: Option<String> = text().optional(),
        /// CloudNativePG: only on primaries.
        primary: bool = flag().or(false),
        /// CloudNativePG: in these databases.
        target_databases: Vec<String> = list(text()).or(Vec::new()),
    }
}

/// A map whose unknown keys are not mistakes: postgres_exporter does not read them.
#[derive(Clone, Debug)]
pub struct Lenient<K> {
    pub keys: K,
    /// Comments on the unknown keys.
    pub notes: Vec<String>,
}

fn lenient<K: Keys>() -> Schema<Lenient<K>> {
    Schema::new(Form::Map(K::shape), |node, _, reader| {
        let (shape, names) = (K::shape(), words::listed(K::shape().names()));
        if !matches!(node.value, NodeValue::Map(_)) {
            reader.problems.add(&node.place, format!("{} is a map of {names}: indent them below it", shape.what));
            return None;
        }
        let known = |key: &&str| shape.keys.iter().any(|known| known.name == *key);
        let unknown = node.entries().iter().map(|(key, _)| key.text.as_str()).filter(|key| !known(key));
        let notes =
            unknown.map(|key| format!("TODO: `{key}` is not carried over; postgres_exporter does not know it."));
        Some(Lenient { notes: notes.collect(), keys: K::read_keys(node, reader)? })
    })
}

/// Reads all namespaces, and reports every problem.
pub fn read(file: &str, text: &str, problems: &mut Problems) -> Option<Vec<Entry<Lenient<NamespaceKeys>>>> {
    let root = yaml::parse(file, text, problems)?;
    if let Some(node) = root.get("apiVersion") {
        problems
            .add(&node.place, "this is a Kubernetes object: save the text of its queries as a file, and import that");
        return None;
    }
    entries("", |_| Ok(()), lenient()).read(&root, "the file", &mut Reader::new(problems))
}
