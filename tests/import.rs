//! Files of queries of every shape, and what `pgvigil import` makes of them; on a server, their numbers next to those of the queries themselves.

use std::{
    env, fs,
    path::PathBuf,
    process::{Command, Output},
};

use pgvigil::{
    collector::catalogue::{self, Catalogue},
    import::import,
    schema::{
        problem::Problems,
        yaml::{self, Node},
    },
};
use serde_json::Value;

use crate::support::{Folder, Pgvigil, Postgres, majors, sample};

const BINARY: &str = env!("CARGO_BIN_EXE_pgvigil");

/// What the queries of `live_*.yaml` read.
const TABLES: &str = "CREATE TABLE orders (state text, amount numeric);
    INSERT INTO orders VALUES ('new', 5), ('new', 7.5), ('paid', 120), ('paid', 300), (NULL, 1);
    CREATE TABLE customers (id int); INSERT INTO customers SELECT generate_series(1, 7);
    CREATE TABLE members (member text, state text, priority int);
    INSERT INTO members VALUES ('a', 'starting', 1), ('b', 'it''s running', 2), ('c', 'lost', 3), ('d', NULL, NULL);
    CREATE TABLE waits (queue text, seconds float8);
    INSERT INTO waits SELECT queue, n * n / 100.0 FROM generate_series(1, 40) n, unnest(ARRAY['mail', 'print']) queue;
    CREATE TABLE hosts (host text, address inet, active boolean, number int, lasted float8);
    INSERT INTO hosts VALUES ('one', '10.0.0.1', true, 1, 1500), ('two', '::1', false, 2, 0.5), ('three', NULL, NULL, 3, NULL);
    CREATE EXTENSION pg_stat_statements;
    GRANT SELECT ON ALL TABLES IN SCHEMA public TO pgvigil";

#[test]
fn files_become_collectors() {
    let shipped = Catalogue::load(None).unwrap_or_else(|problems| panic!("{problems}"));
    let (mut wrong, inputs) = (Vec::new(), inputs(""));
    assert!(inputs.len() > 25, "{inputs:?}");
    for input in &inputs {
        let name = input.file_name().expect("a name").to_string_lossy().into_owned();
        let text = fs::read_to_string(input).expect("a file");
        let made = match import(&name, &text, &shipped) {
            Ok(imported) => {
                let own = imported.files.iter().map(|(name, text)| (format!("{name}.yaml"), text.as_str()));
                let own: Vec<_> = own.collect();
                let mut files: Vec<(&str, &str)> = catalogue::shipped().collect();
                files.extend(own.iter().map(|(name, text)| (name.as_str(), *text)));
                if let Err(problems) = Catalogue::from_files(files) {
                    wrong.push(format!("{name}: pgvigil check would say\n{problems}"));
                }
                imported.as_text()
            }
            Err(problems) => format!("{problems}\n"),
        };
        let beside = input.with_extension("expected");
        if env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&beside, &made).expect("the folder can be written");
        }
        let wanted = fs::read_to_string(&beside).unwrap_or_default();
        if made != wanted {
            wrong.push(format!("{name}\n--- made\n{made}--- expected\n{wanted}"));
        }
    }
    assert!(wrong.is_empty(), "UPDATE_EXPECT=1 rewrites what is expected\n\n{}", wrong.join("\n"));
}

/// The files whose names begin so.
fn inputs(beginning: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir("tests/import").expect("a folder").map(|entry| entry.expect("an entry").path());
    let is_input = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(beginning) && name.ends_with(".yaml")
    };
    let mut inputs: Vec<_> = entries.filter(is_input).collect();
    inputs.sort();
    inputs
}

fn pgvigil(arguments: &[&str]) -> Output {
    Command::new(BINARY).args(arguments).env_clear().output().expect("pgvigil")
}

#[test]
fn files_are_written_once() {
    let folder = Folder::new("import", "TERM");
    let dir = folder.path().join("mine").display().to_string();
    let arguments = ["import", "tests/import/master.yaml", "--dir", &dir];
    let written = pgvigil(&arguments);
    let said = String::from_utf8_lossy(&written.stdout).into_owned();
    assert!(written.status.success() && said.starts_with("collectors: 2, in "), "{said}");
    let again = pgvigil(&arguments);
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(!again.status.success() && said.contains("app_slots.yaml is there already: move it"), "{said}");
    let checked = pgvigil(&["check", "--collectors", &dir]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    for (file, code, message) in [
        ("tests/import/broken_indent.yaml", 2, "broken_indent.yaml:4:"),
        ("tests/import/nothing.yaml", 1, "no collector came of tests/import/nothing.yaml"),
        ("tests/import/none.yaml", 2, "tests/import/none.yaml: the file cannot be read"),
    ] {
        let refused = pgvigil(&["import", file]);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(code) && said.contains(message), "{file}: {said}");
    }
}

#[test]
fn imported_collectors_give_the_numbers_of_their_queries() {
    let server = Postgres::builder(*majors().last().expect("a version")).start();
    server.create_monitor_role();
    server.sql("postgres", TABLES);
    let folder = Folder::new("imported", "TERM");
    let dir = folder.path().join("mine").display().to_string();
    for input in inputs("live_") {
        let imported = pgvigil(&["import", &input.display().to_string(), "--dir", &dir]);
        assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    }
    let url = server.url("pgvigil", "postgres");
    let file = folder.write("pgvigil.yaml", &format!("targets:\n  - {{name: db, postgres: {{url: \"{url}\"}}}}\n"));
    let arguments = ["--config", &file.display().to_string(), "--collectors", &dir];
    let page = Pgvigil::start(BINARY, &arguments, &[]).scrape();
    let page = page.lines().filter(|line| line.starts_with("imported_")).collect::<Vec<_>>().join("\n");
    let mut compared = 0;
    for input in inputs("live_") {
        let text = fs::read_to_string(&input).expect("a file");
        let root = yaml::parse("live", &text, &mut Problems::default()).expect("YAML");
        for (key, namespace) in root.entries() {
            compared += compare(&page, &server, &key.text, namespace);
        }
    }
    assert_eq!(compared, 34, "{page}");
}

/// Compares each number that the query gives with its sample on the page; returns how many there were.
fn compare(page: &str, server: &Postgres, namespace: &str, node: &Node) -> usize {
    let query = node.get("query").and_then(Node::text).expect("a query").trim().trim_end_matches(';');
    let rows = server.sql("postgres", &format!("SELECT row_to_json(original) FROM ({query}) original"));
    let columns: Vec<_> = node.get("metrics").expect("metrics").items().iter().flat_map(Node::entries).collect();
    let usage = |options: &Node| options.get("usage").and_then(Node::text).expect("a usage").to_owned();
    let mut compared = 0;
    for row in rows.lines() {
        let row: Value = serde_json::from_str(row).expect("JSON");
        let labels = columns.iter().filter(|(_, options)| usage(options) == "LABEL");
        let labels: Vec<_> = labels.map(|(key, _)| (shown(&key.text), as_label(&row[key.text.as_str()]))).collect();
        let labels: Vec<_> = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        for (key, options) in &columns {
            let (name, value) = (format!("{namespace}_{}", *key.text), &row[key.text.as_str()]);
            let name = if usage(options) == "DURATION" { name + "_milliseconds" } else { name };
            let expected = match usage(options).as_str() {
                "LABEL" => continue,
                "HISTOGRAM" => {
                    compared += compare_histogram(page, &name, &labels, &row, &key.text);
                    continue;
                }
                "MAPPEDMETRIC" => {
                    let mapped =
                        options.get("metric_mapping").and_then(|map| map.get(value.as_str().unwrap_or_default()));
                    mapped.and_then(Node::text).map(|number| number.parse().expect("a number"))
                }
                _ => value.as_bool().map(f64::from).or(value.as_f64()),
            };
            assert_eq!(sample(page, &name, &labels), expected, "{name} {labels:?}\n{page}");
            compared += 1;
        }
    }
    compared
}

fn compare_histogram(page: &str, name: &str, labels: &[(&str, &str)], row: &Value, column: &str) -> usize {
    let array = |end: &str| row[format!("{column}{end}")].as_array().expect("an array").clone();
    for (bound, count) in array("").iter().zip(array("_bucket")) {
        let bound = format!("{:?}", bound.as_f64().expect("a number"));
        let labels = [labels, &[("le", bound.as_str())]].concat();
        assert_eq!(sample(page, &format!("{name}_bucket"), &labels), count.as_f64(), "{name} {labels:?}\n{page}");
    }
    for end in ["_sum", "_count"] {
        let expected = row[format!("{column}{end}")].as_f64();
        assert_eq!(sample(page, &format!("{name}{end}"), labels), expected, "{name}{end} {labels:?}\n{page}");
    }
    array("").len()
}

/// The label of a column: ours is not free.
fn shown(column: &str) -> String {
    if column == "target" { "exported_target".to_owned() } else { column.to_owned() }
}

/// As postgres_exporter shows it.
fn as_label(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
