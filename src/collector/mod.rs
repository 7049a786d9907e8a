//! A Collector: one file in `collectors/`, validated. It maps queries' rows and columns to metrics.

pub mod catalogue;
pub mod extension;
pub mod load;
pub mod metric;
pub mod naming_rules;
pub mod sections;

use std::time::Duration;

use strum::{EnumIter, EnumString, IntoStaticStr, VariantNames};

use crate::collector::extension::Extension;
use crate::collector::metric::MetricDef;
pub use crate::schema::problem::Place;
use crate::table::Table;

/// Stands in a collector's SQL for the quoted schema of the required extension.
pub const EXTENSION_SCHEMA: &str = "@extschema@";

/// Our own functions, required like an extension: `pgvigil export grants` installs them in a schema of this name.
pub const OWN_FUNCTIONS: &str = "pgvigil";

/// The label that names a database.
pub const DATABASE_LABEL: &str = "datname";

/// The columns that the SQL of `source: statements` must return, times in seconds. A row with a `datname` names a
/// database; all other rows are statements, identified by all other columns. So no name is sent with each statement.
pub const READING: [&str; 8] = ["datname", "server", "dbid", "calls", "total", "stddev", "least", "most"];

/// One collector file, validated.
#[derive(Clone, Debug, PartialEq)]
pub struct Collector {
    /// Equals the file's name without `.yaml`.
    pub name: String,
    /// The comment at the head of the file, for the docs.
    pub about: String,
    pub source: SourceKind,
    /// On unless the settings turn it off; otherwise off unless they turn it on.
    pub enabled: bool,
    pub scope: Scope,
    pub role: Role,
    /// Zero: quick, asked on each scrape. Otherwise slow: asked when a scrape finds the result older than this.
    pub ttl: Duration,
    /// Slow collectors: the server's `statement_timeout` and the limit of the fetch.
    pub timeout: Duration,
    /// The last rows are shown for ever, also while the target is down; an answer without rows changes nothing.
    pub remember: bool,
    /// Rows kept of each query; cut rows are counted.
    pub max_rows: usize,
    pub queries: Vec<Query>,
}

/// The origin of a collector's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, EnumString, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "lowercase", const_into_str)]
pub enum SourceKind {
    /// SQL on a PostgreSQL server.
    Postgres,
    /// SQL on a PostgreSQL server that returns the statistics of each statement; two readings make a histogram.
    Statements,
    /// The program's own state.
    #[strum(serialize = "self")]
    SelfMetrics,
    /// The admin console of a PgBouncer.
    PgBouncer,
    /// A Redis or Valkey server.
    Redis,
    /// Backup tools' output on their repositories.
    Backup,
    /// The filesystems where the program runs.
    Disk,
    /// The measurements of the probe.
    Probe,
}

impl SourceKind {
    /// Its collectors have SQL. The others' rows are in named sections.
    pub fn is_sql(self) -> bool {
        matches!(self, SourceKind::Postgres | SourceKind::Statements)
    }
}

/// Where a collector is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum Scope {
    /// Once, for the whole server.
    Instance,
    /// Once in each database; the program adds the label `datname`.
    Database,
}

/// On which servers a collector runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum Role {
    Any,
    Primary,
    Replica,
}

/// One question to the source, and the metrics made from the answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    pub name: String,
    pub requires: Option<Extension>,
    pub rows: Rows,
    /// Columns that become labels of every metric below that names none of its own.
    pub labels: Vec<String>,
    pub metrics: Vec<Metric>,
    /// Sample rows: the file's own test, and the docs' sample.
    pub example: Table,
}

/// The source of a query's rows.
#[derive(Clone, Debug, PartialEq)]
pub enum Rows {
    /// SQL by server version, lowest `since` first.
    Sql(Vec<Variant>),
    /// A named section of a source.
    Section(String),
}

/// SQL for servers of major version `since` and later, below `until`.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    pub since: u32,
    pub until: Option<u32>,
    pub text: String,
    /// Where the text starts; [`Place::within`] finds a position in it.
    pub place: Place,
}

/// One metric, and the columns of its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    pub def: MetricDef,
    /// Columns that become labels, if they differ from the query's.
    pub labels: Option<Vec<String>>,
    pub value: ValueSource,
}

/// The columns of a metric's value: their names, or what stands for them.
#[derive(Clone, Debug, PartialEq)]
pub enum ValueSource<C = String> {
    /// Gauge, counter: this column times `scale`.
    Column { column: C, scale: f64 },
    /// Histogram: one row per upper bound `le`, `bucket` the cumulative count up to it, `sum` and `count` the totals
    /// (the same on each row of a series, or absent on all but one).
    Histogram { le: C, bucket: C, sum: C, count: C, native: Option<NativeSpec<C>> },
    /// Info: always 1.
    One,
}

/// A histogram's native buckets: those of a series are in one cell, on any of its rows.
#[derive(Clone, Debug, PartialEq)]
pub struct NativeSpec<C = String> {
    /// Bucket `i` counts the values above `2^((i-1) * 2^-schema)`, up to `2^(i * 2^-schema)`.
    pub schema: i32,
    /// The column with that cell; [`crate::table::native::NativeBuckets::parse`] defines its text.
    pub buckets: C,
}

/// The key of native buckets among [`ValueSource::columns`].
pub const NATIVE_BUCKETS: &str = "native";

impl<C> ValueSource<C> {
    /// The columns that must hold numbers, each with the key it has in a collector file.
    pub fn numbers(&self) -> impl Iterator<Item = (&'static str, &C)> {
        let columns = match self {
            ValueSource::Column { column, .. } => [Some(("value", column)), None, None, None],
            ValueSource::Histogram { le, bucket, sum, count, .. } => {
                [("le", le), ("value", bucket), ("sum", sum), ("count", count)].map(Some)
            }
            ValueSource::One => [None; 4],
        };
        columns.into_iter().flatten()
    }

    /// All columns, each with its key.
    pub fn columns(&self) -> impl Iterator<Item = (&'static str, &C)> {
        self.numbers().chain(self.native().map(|native| (NATIVE_BUCKETS, &native.buckets)))
    }

    pub fn native(&self) -> Option<&NativeSpec<C>> {
        match self {
            ValueSource::Histogram { native, .. } => native.as_ref(),
            ValueSource::Column { .. } | ValueSource::One => None,
        }
    }

    /// The same of other columns; `None` if one of them is missing, other than that of native buckets.
    pub fn with_columns<D>(&self, other: impl Fn(&C) -> Option<D>) -> Option<ValueSource<D>> {
        Some(match self {
            ValueSource::One => ValueSource::One,
            ValueSource::Column { column, scale } => ValueSource::Column { column: other(column)?, scale: *scale },
            ValueSource::Histogram { le, bucket, sum, count, native } => ValueSource::Histogram {
                le: other(le)?,
                bucket: other(bucket)?,
                sum: other(sum)?,
                count: other(count)?,
                native: native.as_ref().and_then(|NativeSpec { schema, buckets }| {
                    Some(NativeSpec { schema: *schema, buckets: other(buckets)? })
                }),
            },
        })
    }
}

impl Query {
    /// The SQL for a server of this major version, if the query has any.
    pub fn variant(&self, major: u32) -> Option<&Variant> {
        let Rows::Sql(variants) = &self.rows else { return None };
        let best = variants.iter().filter(|v| v.since <= major).max_by_key(|v| v.since)?;
        best.until.is_none_or(|until| major < until).then_some(best)
    }

    /// Every column that its metrics need.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        let values = self.metrics.iter().flat_map(|metric| metric.value.columns()).map(|(_, column)| column);
        let labels = self.metrics.iter().flat_map(|metric| self.labels_of(metric));
        values.chain(labels).map(String::as_str)
    }

    /// The columns of native buckets that are not labels too.
    pub fn native_columns(&self) -> impl Iterator<Item = &str> {
        let native = self.metrics.iter().filter_map(|metric| metric.value.native());
        native.map(|native| native.buckets.as_str()).filter(|column| !self.has_label(column))
    }

    /// Every column that its SQL must return.
    pub fn asked_columns(&self, source: SourceKind) -> Vec<&str> {
        match source {
            SourceKind::Statements => READING.to_vec(),
            _ => self.columns().collect(),
        }
    }

    /// Returns whether any of its metrics has this label.
    pub fn has_label(&self, label: &str) -> bool {
        self.metrics.iter().any(|metric| self.labels_of(metric).iter().any(|own| own == label))
    }

    /// The label columns of one of its metrics.
    pub fn labels_of<'a>(&'a self, metric: &'a Metric) -> &'a [String] {
        metric.labels.as_deref().unwrap_or(&self.labels)
    }
}

impl Collector {
    /// Asked on each scrape.
    pub fn is_quick(&self) -> bool {
        self.ttl.is_zero()
    }
}
