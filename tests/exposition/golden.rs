//! Small collectors and their rows beside the pages they make; `UPDATE_EXPECT=1` writes the pages.
//!
//! `NAME.yaml` is a collector, `NAME.json` the rows of its targets (without it: its example). `NAME.prom` and `NAME.om`
//! are the pages; `catalogue` is the examples of all collectors that are shipped.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
};

use pgvigil::{
    collector::Query,
    table::{Cell, Table},
};
use serde_json::{Map, Value};

use super::*;
use crate::support::promtool_check_metrics;

/// A collector beside its tables, and the name of its file.
struct Input {
    path: PathBuf,
    collector: Arc<Collector>,
    tables: Vec<(TargetLabels, Table)>,
}

fn inputs() -> Vec<Input> {
    let files = fs::read_dir("tests/golden").expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "yaml")).collect();
    files.sort();
    assert!(files.len() > 4, "{files:?}");
    let input = |path: PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let collector = collector(&name, &fs::read_to_string(&path).expect("a readable file"));
        let tables = match fs::read_to_string(path.with_extension("json")) {
            Ok(json) => tables(&json),
            Err(_) => vec![(TargetLabels::new([("target", "one")]), collector.queries[0].example.clone())],
        };
        Input { path, collector, tables }
    };
    files.into_iter().map(input).collect()
}

/// The examples of all collectors that are shipped.
fn examples(catalogue: &Catalogue) -> Vec<Block> {
    let of_collector = |collector: &Arc<Collector>| {
        let block = |(index, query): (usize, &Query)| {
            let mapped = Arc::new(map::map(query, query.example.clone()));
            Block {
                collector: collector.clone(),
                query: index,
                labels: TargetLabels::new([("target", "orders")]),
                mapped,
            }
        };
        collector.queries.iter().enumerate().map(block).collect::<Vec<_>>()
    };
    catalogue.collectors.iter().flat_map(of_collector).collect()
}

fn shipped() -> Catalogue {
    Catalogue::load(None).unwrap_or_else(|problems| panic!("{problems}"))
}

/// One page of all inputs and all examples.
pub fn everything(format: Format) -> Vec<u8> {
    let of_input = |input: &Input| blocks(&input.collector, &input.tables);
    let mut blocks: Vec<Block> = inputs().iter().flat_map(of_input).collect();
    blocks.extend(examples(&shipped()));
    exposition::render(&blocks, format)
}

#[test]
fn pages_are_what_they_were() {
    let mut wrong = Vec::new();
    for Input { path, collector, tables } in inputs() {
        let render = |format| page(&collector, &tables, format);
        compare(&path, &render, &ecosystem([&collector]), &mut wrong);
    }
    assert!(wrong.is_empty(), "UPDATE_EXPECT=1 rewrites what is expected\n\n{}", wrong.join("\n"));
}

#[test]
fn the_catalogue_is_what_it_was() {
    let (catalogue, mut wrong) = (shipped(), Vec::new());
    let render = |format| exposition::render(&examples(&catalogue), format);
    let names = ecosystem(catalogue.collectors.iter());
    compare(Path::new("tests/golden/catalogue"), &render, &names, &mut wrong);
    let text = String::from_utf8(render(Format::Text)).expect("text");
    for metric in catalogue.collectors.iter().flat_map(|c| &c.queries).flat_map(|query| &query.metrics) {
        assert!(text.contains(&format!("# TYPE {} ", metric.def.name)), "{} is not shown", metric.def.name);
    }
    assert!(wrong.is_empty(), "UPDATE_EXPECT=1 rewrites what is expected\n\n{}", wrong.join("\n"));
}

/// Checks all pages, and compares those in text with their files. Whatever the format, the series and their values are the same.
fn compare(path: &Path, render: &dyn Fn(Format) -> Vec<u8>, ecosystem: &BTreeSet<String>, wrong: &mut Vec<String>) {
    let mut series = Vec::new();
    for format in FORMATS {
        let page = render(format);
        match check::check(&page, format) {
            Ok(found) => series.push(found),
            Err(told) => wrong.push(format!("{}: {format:?}: {told}", path.display())),
        }
        let golden = match format {
            Format::Text => path.with_extension("prom"),
            Format::OpenMetrics => path.with_extension("om"),
            Format::Protobuf => continue,
        };
        if env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&golden, &page).expect("the folder can be written");
        }
        if fs::read(&golden).ok().as_ref() != Some(&page) {
            wrong.push(format!("{} is not\n{}", golden.display(), String::from_utf8_lossy(&page)));
        }
    }
    if series.windows(2).any(|both| both[0] != both[1]) {
        wrong.push(format!("{}: the formats show different series", path.display()));
    }
    lint(path, &String::from_utf8_lossy(&render(Format::Text)), ecosystem, wrong);
}

/// promtool reads the page, and complains of no name but those that are other exporters'.
fn lint(path: &Path, page: &str, ecosystem: &BTreeSet<String>, wrong: &mut Vec<String>) {
    let output = promtool_check_metrics(page);
    let told = String::from_utf8_lossy(&output.stderr);
    let is_known = |line: &&str| line.split_whitespace().next().is_some_and(|name| ecosystem.contains(name));
    let lines: Vec<_> = told.lines().filter(|line| !line.is_empty() && !is_known(line)).collect();
    // 3: it has read everything and does not like some names.
    if !lines.is_empty() || !matches!(output.status.code(), Some(0 | 3)) {
        wrong.push(format!("{}: promtool says {}", path.display(), lines.join("\n")));
    }
}

fn ecosystem<'a>(collectors: impl IntoIterator<Item = &'a Arc<Collector>>) -> BTreeSet<String> {
    let queries = collectors.into_iter().flat_map(|collector| &collector.queries);
    let metrics = queries.flat_map(|query| &query.metrics);
    metrics.filter(|metric| metric.def.ecosystem).map(|metric| metric.def.name.clone()).collect()
}

/// The tables in a file of rows, with the labels of their targets.
fn tables(json: &str) -> Vec<(TargetLabels, Table)> {
    let targets: Vec<Map<String, Value>> = serde_json::from_str(json).expect("a list of targets");
    targets.iter().map(|target| (target_labels(target), table(&target["rows"]))).collect()
}

fn target_labels(target: &Map<String, Value>) -> TargetLabels {
    let own = target.get("labels").and_then(Value::as_object).into_iter().flatten();
    let own = own.map(|(name, value)| (name.as_str(), value.as_str().expect("a text")));
    let name = target["target"].as_str().expect("a name");
    TargetLabels::new(std::iter::once(("target", name)).chain(own))
}

fn table(rows: &Value) -> Table {
    let rows: Vec<_> = rows.as_array().expect("rows").iter().map(|row| row.as_object().expect("a row")).collect();
    let columns: BTreeSet<&String> = rows.iter().flat_map(|row| row.keys()).collect();
    let mut table = Table::new(columns.iter().map(|column| column.as_str()));
    for row in rows {
        table.push_row(columns.iter().map(|column| cell(row.get(column.as_str()))));
    }
    table
}

/// `{"float": "NaN"}` is a float that JSON has no word for.
fn cell(value: Option<&Value>) -> Cell<'_> {
    match value {
        Some(Value::String(text)) => Cell::Text(text),
        Some(Value::Number(number)) => {
            number.as_i64().map(Cell::Int).or_else(|| number.as_f64().map(Cell::Float)).expect("a number")
        }
        Some(Value::Object(float)) => Cell::Float(float["float"].as_str().expect("a text").parse().expect("a float")),
        _ => Cell::Absent,
    }
}
