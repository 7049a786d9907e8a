//! YAML -> a validated Collector. All problems of the file are reported, each with what would be right instead.

mod example;
mod metric;
mod section;
mod sql;

use std::collections::BTreeSet;
use std::time::Duration;

use strum::IntoEnumIterator;

use crate::collector::extension::Extension;
use crate::collector::load::example::{Example, example};
use crate::collector::load::metric::{MetricDeclaration, check_name, columns_read, labels, metric};
use crate::collector::load::sql::variants;
use crate::collector::naming_rules::MetricNames;
use crate::collector::sections::STATEMENTS;
use crate::collector::{Collector, DATABASE_LABEL, Query, Role, Rows, Scope, SourceKind, Variant, sections};
use crate::schema::form::Form;
use crate::schema::problem::Problems;
use crate::schema::reader::{Placed, Reader};
use crate::schema::values::{duration, flag, list, map, snake, unique, whole, word};
use crate::schema::yaml;
use crate::schema::yaml::Node;
use crate::settings::load::MAX_ROWS;
use crate::{declare, declare_one_of};

/// The least `ttl` of a collector with `scope: database`.
pub(crate) const IN_DATABASES_TTL: Duration = Duration::from_secs(60);

/// The sources that describe pgvigil itself or what it observes: their metrics may be called `pgvigil_...`.
const WITH_OUR_PREFIX: [SourceKind; 4] =
    [SourceKind::SelfMetrics, SourceKind::Backup, SourceKind::Disk, SourceKind::Probe];

declare! {
    /// A collector file.
    pub struct CollectorKeys: "a collector" {
        /// The collector's name: that of the file without `.yaml`.
        collector: Option<String> = snake().tolerant(),
        /// Where its rows come from: `postgres`, SQL on a server; `statements`, SQL that returns the statistics of statements, made into a
        /// histogram; `self`, the program's own state. The others say what they have in named sections.
        source: Option<SourceKind> = word().tolerant(),
        /// What is asked, and the metrics made from the answers. Each query fails by itself.
        queries: Option<Vec<QueryKeys>> = unique(
            map(),
            "name",
            |query: &QueryKeys| query.name.iter().cloned().collect(),
            "a second query `{}`: rename one of the two",
        )
        .not_empty("a collector has at least one query")
        .tolerant(),
        /// `false`: asked only where the settings say `enabled: true`.
        enabled: bool = flag().or(true),
        /// `instance` (if left out): asked once per target. `database`: asked in each database, whose name becomes the label `datname`;
        /// needs a `ttl` of at least 60s.
        scope: Scope = word().or(Scope::Instance),
        /// On which servers it is asked: `any` (if left out), `primary` or `replica`; elsewhere it is skipped.
        role: Role = word().or(Role::Any),
        /// `0s` (if left out): quick, asked on each scrape. Above: slow, asked when a scrape finds the result older than this; at most 30d.
        ttl: Duration = duration().or(Duration::ZERO),
        /// For slow collectors: the server's `statement_timeout` and the limit of the fetch; 5s if left out.
        timeout: Option<Duration> = duration().optional(),
        /// `true`: what was found last is shown from then on, also while the target is down, and an answer without rows changes nothing.
        /// For slow collectors that tell what a target is.
        remember: bool = flag().or(false),
        /// Rows kept of each query on a target; what is cut is counted. 500 if left out.
        max_rows: usize = whole(1..=MAX_ROWS).or(500),
    }
}

declare! {
    pub struct QueryKeys: "a query" {
        /// The query's name, once in the collector; for messages.
        name: Option<String> = snake().tolerant(),
        /// The metrics made from the rows.
        metrics: Option<Vec<MetricDeclaration>> =
            list(metric()).not_empty("a query has at least one metric").tolerant(),
        /// Rows as the source would return them: the file's own test, and the docs' sample.
        example: Option<Example> = example().tolerant(),
        /// The extension the SQL needs. Where it is missing or too old, the query is skipped.
        requires: Option<Placed<Extension>> = map().placed().optional(),
        /// Columns that become labels of all its metrics.
        labels: Vec<Placed<String>> = labels().or(Vec::new()),
        ..rows: Option<RowsKeys>,
    }
}

declare_one_of! {
    pub enum RowsKeys: "a query" {
        /// The SQL by server version. Needed with the sources `postgres` and `statements`.
        Sql(Placed<Vec<Variant>>) as "sql" = variants().placed(),
        /// Which of the source's tables the rows are. Needed where the source is not asked in SQL.
        Section(Placed<String>) as "section" = snake().shown_as(Form::Word(section_names())).placed(),
    }
}

/// The names of all sections of all sources.
fn section_names() -> Vec<&'static str> {
    let sections = SourceKind::iter().flat_map(sections::of);
    let names: BTreeSet<_> = sections.map(|section| section.name).collect();
    names.into_iter().collect()
}

/// Reads one file. `stem` is its name without folder and `.yaml`; `names` has the metric names of all files.
pub fn collector(
    file: &str,
    stem: &str,
    text: &str,
    names: &mut MetricNames,
    problems: &mut Problems,
) -> Option<Collector> {
    let root = yaml::parse(file, text, problems)?;
    let reader = &mut Reader::new(problems);
    let mut keys: CollectorKeys = map().read(&root, "the file", reader)?;
    check_keys(&keys, stem, &root, reader);
    let queries = keys.queries.take().unwrap_or_default().into_iter();
    let source = keys.source.unwrap_or(SourceKind::Postgres);
    let may_have_our_prefix = keys.remember || WITH_OUR_PREFIX.contains(&source);
    let queries: Vec<_> =
        queries.filter_map(|query| query.query(source, may_have_our_prefix, names, reader.problems)).collect();
    if keys.scope == Scope::Database {
        check_in_databases(&keys, &queries, &root, reader);
    }
    Some(Collector {
        name: keys.collector?,
        about: about(text),
        source: keys.source?,
        enabled: keys.enabled,
        scope: keys.scope,
        role: keys.role,
        ttl: keys.ttl,
        timeout: keys.timeout.unwrap_or(Duration::from_secs(5)),
        remember: keys.remember,
        max_rows: keys.max_rows,
        queries,
    })
}

/// Checks how the keys of a collector fit each other and the file's name.
fn check_keys(keys: &CollectorKeys, stem: &str, root: &Node, reader: &mut Reader<'_>) {
    if keys.collector.as_ref().is_some_and(|name| name != stem) {
        let message = format!("the file's name says `{stem}`: `collector` must be the same");
        reader.refuse(root, "collector", message);
    }
    if keys.remember && (keys.ttl.is_zero() || keys.scope == Scope::Database) {
        let message = "`remember` is for collectors of the whole server with a `ttl`: leave it out";
        reader.refuse(root, "remember", message);
    }
    if keys.timeout.is_some() && keys.ttl.is_zero() {
        let message = "a `timeout` is for slow collectors: give a `ttl` above 0s, or leave it out";
        reader.refuse(root, "timeout", message);
    } else if keys.timeout.is_some_and(|timeout| timeout.is_zero()) {
        reader.refuse(root, "timeout", "`timeout` must be above 0s");
    }
}

/// Checks a collector with `scope: database`: it logs in to each database, whose name becomes a label of its samples.
fn check_in_databases(keys: &CollectorKeys, queries: &[Query], root: &Node, reader: &mut Reader<'_>) {
    if keys.source.is_some_and(|source| source != SourceKind::Postgres) {
        reader.refuse(root, "scope", "`scope: database` is for `source: postgres`: leave it out");
    }
    if keys.ttl < IN_DATABASES_TTL {
        let message = "`scope: database` means a login to each database: give a `ttl` of at least 60s";
        reader.refuse(root, "ttl", message);
    }
    for query in queries.iter().filter(|query| query.has_label(DATABASE_LABEL)) {
        let message =
            format!("`scope: database` adds the label `datname`: query `{}` must not have it too", query.name);
        reader.refuse(root, "scope", message);
    }
}

/// The comment lines at the head of a file, without the line that names a schema for editors.
pub fn about(text: &str) -> String {
    let lines = text.trim_start_matches('\u{feff}').lines().map_while(|line| line.strip_prefix('#'));
    let lines = lines.map(str::trim).filter(|line| !line.starts_with("yaml-language-server:"));
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}

impl QueryKeys {
    /// The query, checked against its source. `may_have_our_prefix`: its metrics describe what pgvigil is, observes or remembers. `None`: a problem has
    /// been reported.
    fn query(
        self,
        source: SourceKind,
        may_have_our_prefix: bool,
        names: &mut MetricNames,
        problems: &mut Problems,
    ) -> Option<Query> {
        let metrics = self.metrics.unwrap_or_default();
        for declared in &metrics {
            check_name(declared, may_have_our_prefix, names, problems);
        }
        if let Some(requires) = self.requires.as_ref().filter(|_| !source.is_sql()) {
            problems.add(&requires.place, "`requires` is for `source: postgres`: leave it out");
        }
        let rows = self.rows.and_then(|rows| rows.rows(source, self.requires.is_some(), problems));
        let section = match &rows {
            Some(Rows::Section(name)) => sections::section(source, name),
            Some(Rows::Sql(_)) if source == SourceKind::Statements => Some(&STATEMENTS),
            _ => None,
        };
        let read = columns_read(&self.labels, &metrics);
        let fits = section.is_none_or(|section| section::check(section, &read, problems));
        if let Some(example) = self.example.as_ref().filter(|_| fits) {
            example.check(&read, problems);
        }
        Some(Query {
            name: self.name?,
            requires: self.requires.map(|requires| requires.value),
            // If there are none, that has been reported, and the query can be checked all the same.
            rows: rows.unwrap_or(Rows::Sql(Vec::new())),
            labels: self.labels.into_iter().map(|label| label.value).collect(),
            metrics: metrics.into_iter().filter_map(MetricDeclaration::metric).collect(),
            example: self.example?.table,
        })
    }
}

impl RowsKeys {
    /// The rows: `sql` if the source takes SQL, otherwise `section`.
    fn rows(self, source: SourceKind, has_extension: bool, problems: &mut Problems) -> Option<Rows> {
        let (place, given, wanted) = match self {
            RowsKeys::Sql(variants) if source.is_sql() => {
                variants.value.iter().for_each(|variant| sql::check_substitutions(variant, has_extension, problems));
                return Some(Rows::Sql(variants.value));
            }
            RowsKeys::Section(name) if !source.is_sql() => {
                return section::section(&name, source, problems).map(|section| Rows::Section(section.name.to_owned()));
            }
            RowsKeys::Sql(variants) => (variants.place, "sql", "section"),
            RowsKeys::Section(name) => (name.place, "section", "sql"),
        };
        problems.add(&place, format!("`{given}` is not for `source: {}`: use `{wanted}`", source.into_str()));
        None
    }
}
