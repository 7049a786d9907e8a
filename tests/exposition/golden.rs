//! Small collectors and their rows beside the pages they make; `UPDATE_EXPECT=1` writes the pages.
//!
//! `NAME.yaml` is a collector, `NAME.json` the rows of its targets (without it: its example). `NAME.prom` and `NAME.om`
//! are the pages; `catalogue` is the examples of all collectors that are shipped.

use std::{collections::BTreeSet, env, fs, path::Path};

use pgvigil::{
    config::catalogue::Catalogue,
    exposition::labels,
    table::{Cell, Table},
};
use serde_json::{Map, Value};

use super::*;
use crate::support::promtool_check_metrics;

#[test]
fn pages_are_what_they_were() {
    let mut wrong = Vec::new();
    let mut inputs: Vec<_> =
        fs::read_dir("tests/golden").expect("a folder").map(|e| e.expect("an entry").path()).collect();
    inputs.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    assert!(inputs.len() > 4, "{inputs:?}");
    for input in inputs {
        let name = input.file_name().unwrap_or_default().to_string_lossy();
        let collector = collector(&name, &fs::read_to_string(&input).expect("a readable file"));
        let tables = match fs::read_to_string(input.with_extension("json")) {
            Ok(json) => tables(&json),
            Err(_) => vec![(labels([("target", "one")]), collector.queries[0].example.clone())],
        };
        let render = |format| page(&collector, &tables, format);
        compare(&input, &render, &ecosystem([&collector]), &mut wrong);
    }
    assert!(wrong.is_empty(), "UPDATE_EXPECT=1 rewrites what is expected\n\n{}", wrong.join("\n"));
}

#[test]
fn the_catalogue_is_what_it_was() {
    let catalogue = Catalogue::load(None).unwrap_or_else(|problems| panic!("{problems}"));
    let mut wrong = Vec::new();
    let render = |format| {
        let mut blocks = Vec::new();
        for collector in &catalogue.collectors {
            for (index, query) in collector.queries.iter().enumerate() {
                let mapped = Arc::new(map::map(query, query.example.clone()));
                let labels = labels([("target", "orders")]).into();
                blocks.push(Block { collector: collector.clone(), query: index, labels, mapped });
            }
        }
        exposition::render(&blocks, format)
    };
    let names = ecosystem(catalogue.collectors.iter());
    compare(Path::new("tests/golden/catalogue"), &render, &names, &mut wrong);
    let text = render(Format::Text);
    for metric in catalogue.collectors.iter().flat_map(|c| &c.queries).flat_map(|query| &query.metrics) {
        assert!(text.contains(&format!("# TYPE {} ", metric.def.name)), "{} is not shown", metric.def.name);
    }
    assert!(wrong.is_empty(), "UPDATE_EXPECT=1 rewrites what is expected\n\n{}", wrong.join("\n"));
}

/// Checks both pages, and compares each with its file.
fn compare(path: &Path, render: &dyn Fn(Format) -> String, ecosystem: &BTreeSet<String>, wrong: &mut Vec<String>) {
    let mut series = Vec::new();
    for (format, extension) in FORMATS {
        let (page, golden) = (render(format), path.with_extension(extension));
        match check::check(&page, format) {
            Ok(found) => series.push(found),
            Err(told) => wrong.push(format!("{}: {told}", golden.display())),
        }
        if env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&golden, &page).expect("the folder can be written");
        }
        if fs::read_to_string(&golden).ok().as_deref() != Some(&page) {
            wrong.push(format!("{} is not\n{page}", golden.display()));
        }
    }
    if series.windows(2).any(|both| both[0] != both[1]) {
        wrong.push(format!("{}: the formats show different series", path.display()));
    }
    lint(path, &render(Format::Text), ecosystem, wrong);
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
fn tables(json: &str) -> Vec<(String, Table)> {
    let targets: Vec<Map<String, Value>> = serde_json::from_str(json).expect("a list of targets");
    targets.iter().map(|target| (target_labels(target), table(&target["rows"]))).collect()
}

fn target_labels(target: &Map<String, Value>) -> String {
    let own = target.get("labels").and_then(Value::as_object).into_iter().flatten();
    let own = own.map(|(name, value)| (name.as_str(), value.as_str().expect("a text")));
    let name = target["target"].as_str().expect("a name");
    labels(std::iter::once(("target", name)).chain(own))
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
