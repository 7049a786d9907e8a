//! A collector file for a namespace: its queries, with metrics named as postgres_exporter names them, and comments on what needs a look.

use strum::VariantNames;

use crate::collector::DATABASE_LABEL;
use crate::collector::metric::MetricKind;
use crate::collector::naming_rules::{MetricNames, help_problem, name_problem};
use crate::import::queries::{ColumnKeys, Lenient, NamespaceKeys, Usage};
use crate::import::sql::Statement;
use crate::import::versions;
use crate::import::versions::Majors;
use crate::schema::problem::Problems;
use crate::schema::reader::{Entry, Placed};
use crate::schema::words;

/// Labels that are often addresses or boolean, beside `is_...` and `has_...`.
const NO_TEXTS: [&str; 7] = ["client_addr", "server_addr", "active", "granted", "temporary", "enabled", "in_recovery"];

/// A column as it is declared.
type DeclaredColumn = Entry<Lenient<ColumnKeys>>;

/// A column that a query gives: its name, and the SQL of it if it is not just the original's column.
type Given = (String, Option<String>);

/// A query to be.
struct QueryText {
    name: String,
    columns: Vec<Given>,
    /// What follows the original query in `FROM`.
    beside: String,
    /// Lines, comments included.
    metrics: Vec<String>,
}

/// The collector's file, or why there is none; `file` is where the namespace is from.
pub fn collector(
    namespace: &Entry<Lenient<NamespaceKeys>>,
    name: &str,
    file: &str,
    names: &mut MetricNames,
) -> Result<String, String> {
    let (keys, prefix) = (&namespace.value.keys, namespace.value.keys.name.as_ref().unwrap_or(&namespace.key));
    if keys.query.trim().is_empty() {
        return Err("it has no `query`, so postgres_exporter runs nothing".to_owned());
    }
    let versions = versions::majors(&keys.runonserver);
    let majors = versions.unwrap_or(versions::ALL);
    if majors.until.is_some_and(|until| until <= majors.since) {
        return Err("`runonserver` has no version that pgvigil supports".to_owned());
    }
    let in_databases = !keys.target_databases.is_empty();
    let mut statement = Statement::of(&keys.query);
    let all: Vec<_> = keys.metrics.iter().flatten().collect();
    // Of a column that is declared again, the last declaration counts, as in postgres_exporter.
    let is_last = |nth: usize| all[nth + 1..].iter().all(|later| later.key != all[nth].key);
    let last = (0..all.len()).filter(|nth| is_last(*nth)).map(|nth| all[nth]);
    let columns: Vec<_> = last.map(|column| (usage(column), column)).collect();
    let labels = columns.iter().filter(|(usage, _)| *usage == Some(Usage::Label)).map(|(_, column)| &column.key);
    // In every database, pgvigil adds that one.
    let labels = labels.filter(|label| !in_databases || *label != DATABASE_LABEL);
    let labels = unlike(labels.map(|label| self::label(label, &mut statement.notes)));
    let queries = queries(&columns, prefix, name, names)?;
    let ttl = if in_databases { keys.cache_seconds.max(60) } else { keys.cache_seconds };
    let queries: String = queries.iter().map(|query| query.text(majors, &statement, &labels)).collect();
    let notes = namespace.value.notes.iter().cloned().chain(notes(keys, versions));
    let text = [
        lines([format!("`{}` of {file}, a file of postgres_exporter.", namespace.key)], "# "),
        format!("collector: {name}\nsource: postgres\n{}", lines(notes, "# ")),
        when(in_databases, "scope: database\n"),
        when(keys.primary, "role: primary\n"),
        when(ttl > 0, &format!("ttl: {ttl}s\n")),
        format!("queries:\n{queries}"),
    ]
    .concat();
    // A YAML file cannot hold these as they are.
    let is_odd = |c: char| c.is_control() && !"\n\t".contains(c) || "\u{feff}\u{fffe}\u{ffff}".contains(c);
    match text.contains(is_odd) {
        true => Err("it has a control character in its query, a description or a name".to_owned()),
        false => Ok(text),
    }
}

/// Each name once: `a.b` and `a-b` get the same.
fn unlike(columns: impl Iterator<Item = Given>) -> Vec<Given> {
    let mut unlike: Vec<Given> = Vec::new();
    for column in columns {
        if unlike.iter().all(|(name, _)| *name != column.0) {
            unlike.push(column);
        }
    }
    unlike
}

/// Comments on the keys of a namespace.
fn notes(keys: &NamespaceKeys, versions: Option<Majors>) -> impl Iterator<Item = String> {
    let master =
        "Note: `master: true` means the database of the URL only, as here. For primaries only: `role: primary`.";
    let databases = "Note: `databases` in the settings says which ones; pgvigil adds the label `datname`.";
    let range = match versions {
        Some(_) => "Note: `runonserver` counts here, by major version; postgres_exporter does not use it.".to_owned(),
        None => format!("TODO: `runonserver: {}` is not carried over: write `since` and `until`.", keys.runonserver),
    };
    let notes = [
        (keys.master, master.to_owned()),
        (!keys.target_databases.is_empty(), databases.to_owned()),
        (!keys.runonserver.is_empty(), range),
    ];
    notes.into_iter().filter(|(is_so, _)| *is_so).map(|(_, note)| note)
}

fn usage(column: &DeclaredColumn) -> Option<Usage> {
    column.value.keys.usage.parse().ok()
}

/// A label; a comment says what is done to it.
fn label(name: &str, notes: &mut Vec<String>) -> Given {
    let original = original(name);
    if words::label(name).is_err() {
        let renamed = format!("exported_{}", snake(name).trim_start_matches('_'));
        notes.push(format!("TODO: the label `{name}` is called `{renamed}` here: adapt rules and dashboards."));
        (renamed, Some(original))
    } else if NO_TEXTS.contains(&name) || name.starts_with("is_") || name.starts_with("has_") {
        let (text, is_address) = (format!("{original}::text"), name.ends_with("_addr"));
        let why = if is_address { "an address is no label" } else { "a boolean label would be 1 or 0" };
        notes.push(format!("Note: `{name}` is cast to text: {why} here."));
        let text = if is_address { format!("regexp_replace({text}, '/(32|128)$', '')") } else { text };
        (name.to_owned(), Some(text))
    } else {
        (name.to_owned(), None)
    }
}

/// One query for all gauges and counters, and one for each histogram; or why there is none.
fn queries(
    columns: &[(Option<Usage>, &DeclaredColumn)],
    prefix: &str,
    name: &str,
    names: &mut MetricNames,
) -> Result<Vec<QueryText>, String> {
    let (mut numbers, mut queries, mut lines) = (Vec::new(), Vec::new(), Vec::new());
    for (usage, column) in columns {
        let notes = column.value.notes.iter().cloned().chain(note(*usage, column));
        lines.extend(notes.map(|note| format!("# {note}")));
        let Some(usage) = usage.filter(|usage| ![Usage::Label, Usage::Discard].contains(usage)) else { continue };
        match metric(usage, column, prefix, names) {
            Err(problem) => lines.push(format!("# TODO: `{}` is left out: {problem}", column.key)),
            Ok(metric) if usage == Usage::Histogram => queries.push(histogram(&column.key, metric)),
            Ok(metric) => {
                lines.push(metric);
                numbers.push((column.key.clone(), mapped(column).filter(|_| usage == Usage::MappedMetric)));
            }
        }
    }
    if !numbers.is_empty() {
        queries.insert(0, QueryText { name: name.to_owned(), columns: numbers, beside: String::new(), metrics: lines });
    } else if let Some(first) = queries.first_mut() {
        first.metrics.splice(0..0, lines);
    } else {
        let reason = lines.first().map_or(String::new(), |line: &String| line.replacen("# TODO", "", 1));
        let more = when(lines.len() > 1, &format!("; and {} more", lines.len().saturating_sub(1)));
        return Err(format!("no column of it becomes a metric{reason}{more}"));
    }
    Ok(queries)
}

/// The line of a metric, or why there is none.
fn metric(usage: Usage, column: &DeclaredColumn, prefix: &str, names: &mut MetricNames) -> Result<String, String> {
    let kind = match usage {
        Usage::Counter => MetricKind::Counter,
        Usage::Histogram => MetricKind::Histogram,
        _ => MetricKind::Gauge,
    };
    let name = format!("{prefix}_{}{}", column.key, when(usage == Usage::Duration, "_milliseconds"));
    if let Some(problem) = name_problem(&name, kind, true, false) {
        return Err(format!("`{name}`: {problem}"));
    }
    let mut problems = Problems::default();
    names.claim(&Placed { value: name.clone(), place: column.place.clone() }, kind, &mut problems);
    let advice = |problem: String| problem.replace("rename one of the two", "give it another name if you need it");
    problems.unless_any(()).map_err(|problems| advice(problems.to_string()))?;
    let keys = if usage == Usage::Histogram { &PARTS[..] } else { &[("value", "")] };
    let values: Vec<_> =
        keys.iter().map(|(key, end)| format!("{key}: {}", word(&format!("{}{end}", column.key)))).collect();
    let ecosystem = when(name_problem(&name, kind, false, false).is_some(), ", ecosystem: true");
    let help = column.value.keys.description.split_whitespace().collect::<Vec<_>>().join(" ").replace('\\', "/");
    let help = if help_problem(&help).is_some() { format!("{} of {prefix}.", column.key) } else { help };
    let (values, help) = (values.join(", "), quoted(&help, '\\'));
    Ok(format!("- {{name: {}, type: {}, {values}{ecosystem}, help: {help}}}", word(&name), kind.into_str()))
}

/// A comment on how a column differs.
fn note(usage: Option<Usage>, column: &DeclaredColumn) -> Option<String> {
    let keys = &column.value.keys;
    let note = match usage {
        None => {
            let usages = Usage::VARIANTS.iter().copied();
            let problem = match keys.usage.as_str() {
                "" => "it has no `usage`".to_owned(),
                word => words::unknown("no usage", word, "there are", usages),
            };
            return Some(format!("TODO: `{}` is left out, as in postgres_exporter: {problem}", column.key));
        }
        Some(Usage::Duration) => {
            "Note: a number of milliseconds. Text such as '5s' gives no sample, here and in postgres_exporter; \
             with an interval add `scale: 1000`."
        }
        Some(Usage::MappedMetric) if keys.metric_mapping.is_empty() => {
            "TODO: there is no `metric_mapping`: if the column is text, make it a number in the SQL, by CASE."
        }
        Some(Usage::MappedMetric) => "Note: the SQL maps this column; postgres_exporter ignores `metric_mapping`.",
        _ => return None,
    };
    Some(note.to_owned())
}

/// The SQL that maps texts to numbers.
fn mapped(column: &DeclaredColumn) -> Option<String> {
    let pair = |entry: &Entry<f64>| format!(" WHEN '{}' THEN {}", entry.key.replace('\'', "''"), entry.value);
    let whens: String = column.value.keys.metric_mapping.iter().map(pair).collect();
    (!whens.is_empty()).then(|| format!("CASE {}::text{whens} END", original(&column.key)))
}

/// The keys of a histogram, and how the names of their columns end.
const PARTS: [(&str, &str); 4] = [("le", ""), ("value", "_bucket"), ("sum", "_sum"), ("count", "_count")];

/// The arrays of a histogram as rows.
fn histogram(name: &str, metric: String) -> QueryText {
    let bounds = format!("{}, {}", original(name), original(&format!("{name}_bucket")));
    let given = |(key, end): (&str, &str)| {
        let is_array = ["le", "value"].contains(&key);
        (format!("{name}{end}"), is_array.then(|| format!("bucket.{key}")))
    };
    QueryText {
        name: name.to_owned(),
        columns: PARTS.map(given).into(),
        beside: format!(", unnest({bounds}) AS bucket (le, value)"),
        metrics: vec![metric],
    }
}

impl QueryText {
    fn text(&self, majors: Majors, statement: &Statement, labels: &[Given]) -> String {
        let names: Vec<_> = labels.iter().map(|(label, _)| word(label)).collect();
        let examples = names.iter().map(|name| format!("{name}: example"));
        let cells = examples.chain(self.columns.iter().map(|(column, _)| format!("{}: 1", word(column))));
        let (extension, until) = (statement.extension.unwrap_or_default(), majors.until);
        [
            format!("  - name: {}\n", query_name(&self.name)),
            when(!extension.is_empty(), &format!("    requires: {{extension: {extension}}}\n")),
            format!("    sql:\n{}", lines(&statement.notes, "      # ")),
            format!("      - since: {}\n", majors.since),
            until.map_or(String::new(), |until| format!("        until: {until}\n")),
            format!("        text: |\n{}", lines(self.sql(statement, labels).lines(), "          ")),
            when(!names.is_empty(), &format!("    labels: [{}]\n", names.join(", "))),
            format!("    metrics:\n{}", lines(&self.metrics, "      ")),
            format!("    example:\n      - {{{}}}\n", cells.collect::<Vec<_>>().join(", ")),
        ]
        .concat()
    }

    /// The original query, within another if that must give other columns.
    fn sql(&self, statement: &Statement, labels: &[Given]) -> String {
        let given = || labels.iter().chain(&self.columns);
        if given().all(|(_, expression)| expression.is_none()) {
            return statement.text.clone();
        }
        let column = |(name, expression): &Given| match expression {
            Some(expression) => format!("{expression} AS {}", quoted(name, '"')),
            None => original(name),
        };
        let columns = given().map(column).collect::<Vec<_>>().join(",\n       ");
        format!("SELECT {columns}\n  FROM (\n{}\n) original{}", statement.text, self.beside)
    }
}

/// A column of the original query.
fn original(name: &str) -> String {
    format!("original.{}", quoted(name, '"'))
}

/// In double quotes; `escape` stands before a quote within, as `"` does in SQL and `\` in YAML.
fn quoted(text: &str, escape: char) -> String {
    let escaped = if escape == '\\' { text.replace('\\', r"\\") } else { text.to_owned() };
    format!("\"{}\"", escaped.replace('"', &format!("{escape}\"")))
}

/// Each of these lines, with this before it.
fn lines(lines: impl IntoIterator<Item = impl AsRef<str>>, before: &str) -> String {
    let line = |line: &str| format!("{before}{}", line.replace(['\n', '\r'], " ")).trim_end().to_owned() + "\n";
    lines.into_iter().map(|one| line(one.as_ref())).collect()
}

fn when(is_so: bool, text: &str) -> String {
    if is_so { text.to_owned() } else { String::new() }
}

fn snake(name: &str) -> String {
    name.to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "_")
}

/// A name that collectors and queries may have.
pub fn query_name(name: &str) -> String {
    let name = snake(name);
    if words::snake(&name).is_ok() { name } else { format!("query_{name}") }
}

/// A name as YAML takes it.
fn word(name: &str) -> String {
    let is_plain = words::is_identifier(name) && !name.eq_ignore_ascii_case("null");
    if is_plain { name.to_owned() } else { quoted(name, '\\') }
}
