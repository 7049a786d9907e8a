//! Runs the cases: each becomes a test of promtool, of either generation, with the one rule it is about, the shipped thresholds (all, or
//! those of a kind of target), and a target named `orders`.

use std::sync::Mutex;

use pgvigil::settings::thresholds;
use serde_json::{Value, json};

use super::{
    files::{self, Case, Rule},
    used::Used,
};
use crate::support::{Folder, Generation, is_long, together};

/// The labels of every series of the target; `up`, which Prometheus makes, has no `target`.
const OWN: [(&str, &str); 3] = [("job", "pgvigil"), ("instance", "vigil:9878"), ("target", "orders")];

/// Files of tests that a promtool is given, which keeps all their series in memory.
const AT_ONCE: usize = 32;

#[test]
fn every_alert_fires_and_stays_silent() {
    let rules = files::rules();
    let folder = Folder::new("rules", "TERM");
    let mut tests = Vec::new();
    for (number, case) in files::cases().iter().enumerate() {
        let rule = rule_of(&rules, case);
        let group: Vec<_> = recorded_for(&rules, rule).chain([rule]).map(|rule| rule.json.clone()).collect();
        let file = format!("rule{number}.json");
        folder.write(
            &file,
            &json!({"groups": [{"name": "x", "interval": step(case, rule), "rules": group}]}).to_string(),
        );
        let name = format!("test{number}.json");
        let exprs: Vec<_> = recorded_for(&rules, rule).chain([rule]).map(|rule| rule.expr.as_str()).collect();
        folder.write(&name, &promtool_test(&file, case, rule, &exprs).to_string());
        tests.push((name, format!("{} {} ({})", case.alert, case.severity, case.file)));
    }
    let found = Mutex::new(Vec::new());
    let parts =
        Generation::tested().iter().flat_map(|generation| tests.chunks(AT_ONCE).map(|part| (part, *generation)));
    together(parts, |(part, generation)| {
        let wrong = wrong(&folder, part, generation);
        found.lock().expect("no panic while held").extend(wrong);
    });
    let wrong = found.into_inner().expect("no panic while held");
    assert!(wrong.is_empty(), "{} wrong, of {} cases:\n{}", wrong.len(), tests.len(), wrong.join("\n"));
}

/// What goes wrong with a generation's promtool, by test: files, and which cases they are. Those that fail are looked for by halves.
fn wrong(folder: &Folder, tests: &[(String, String)], generation: Generation) -> Vec<String> {
    let names: Vec<_> = tests.iter().map(|(name, _)| name.as_str()).collect();
    match (promtool(folder, generation, &names), tests) {
        (Ok(()), _) => Vec::new(),
        (Err(said), [(_, what)]) => vec![format!("{what}, {generation:?} Prometheus\n{said}")],
        (Err(_), _) => {
            let (one, other) = tests.split_at(tests.len() / 2);
            [wrong(folder, one, generation), wrong(folder, other, generation)].concat()
        }
    }
}

/// Runs files of tests.
fn promtool(folder: &Folder, generation: Generation, tests: &[&str]) -> Result<(), String> {
    let mut command = folder.command(generation.program("promtool"));
    // It would collect garbage for a third of its time.
    command.env("GOGC", "400");
    let output = command.args(["test", "rules"]).args(tests).output().expect("running promtool");
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))),
    }
}

fn rule_of<'r>(rules: &'r [Rule], case: &Case) -> &'r Rule {
    let is_it = |rule: &&Rule| rule.alert.as_ref() == Some(&case.alert) && rule.severity == case.severity;
    rules.iter().find(is_it).unwrap_or_else(|| panic!("{}: no {} alert {}", case.file, case.severity, case.alert))
}

/// The recording rules that a rule reads.
fn recorded_for<'r>(rules: &'r [Rule], rule: &Rule) -> impl Iterator<Item = &'r Rule> {
    let read: Vec<_> = Used::by(&rule.expr).selectors.into_iter().filter_map(|selector| selector.name).collect();
    rules.iter().filter(move |rule| rule.record.as_ref().is_some_and(|name| read.contains(name)))
}

/// One firing test and a silent one for each near miss.
fn promtool_test(file: &str, case: &Case, rule: &Rule, exprs: &[&str]) -> Value {
    let at = at(case, rule);
    let test = |series: Vec<(String, String)>, expected: Value| {
        json!({
            "interval": "1m",
            "input_series": series.iter().map(|(series, values)| input(series, values, at)).collect::<Vec<_>>(),
            "alert_rule_test": [{"eval_time": format!("{at}m"), "alertname": case.alert, "exp_alerts": expected}],
        })
    };
    let with = |own: &[(String, String)]| {
        let mut series = own.to_vec();
        series.extend(case.given.iter().filter(|(name, _)| !own.iter().any(|(other, _)| other == name)).cloned());
        series.extend(shipped_thresholds(case.kind.as_deref(), exprs, &series));
        series
    };
    let mut tests = vec![test(with(&case.fires), json!([expected(case, rule)]))];
    tests.extend(case.silent.iter().map(|silent| test(with(silent), json!([]))));
    json!({"rule_files": [file], "evaluation_interval": step(case, rule), "tests": tests})
}

/// When the alert is looked at, in minutes.
fn at(case: &Case, rule: &Rule) -> u64 {
    case.at.unwrap_or(rule.wait + 5)
}

/// How often rules are evaluated: days of minutes take minutes, and of hours seconds.
fn step(case: &Case, rule: &Rule) -> &'static str {
    let (at, longest) = (at(case, rule), if is_long() { 24 * 60 } else { 3 * 60 });
    match at {
        at if !is_long() && at > 48 * 60 && at.is_multiple_of(60) => "1h",
        at if at > longest && at.is_multiple_of(10) => "10m",
        _ => "1m",
    }
}

/// The shipped thresholds of this kind of target, or of all, that the expressions read, but those that the case gives itself.
fn shipped_thresholds(kind: Option<&str>, exprs: &[&str], given: &[(String, String)]) -> Vec<(String, String)> {
    let mut shipped = thresholds::shipped().unwrap_or_else(|problems| panic!("{problems}"));
    shipped.retain(|shipped| kind.is_none_or(|kind| shipped.kinds.iter().any(|own| own == kind)));
    let reads_all = exprs.iter().any(|expr| expr.contains("(pgvigil_threshold"));
    shipped.retain(|shipped| {
        let name = format!("pgvigil_threshold{{name=\"{}\"", shipped.name);
        reads_all || exprs.iter().any(|expr| expr.contains(&name))
    });
    let series = shipped.iter().filter_map(|shipped| {
        let name = format!("pgvigil_threshold{{name=\"{}\",severity=\"{}\"}}", shipped.name, shipped.severity);
        Some((name, shipped.value?.to_string()))
    });
    series.filter(|(name, _)| !given.iter().any(|(other, _)| other == name)).collect()
}

/// A series with the target's labels; a single number stands at each minute.
fn input(series: &str, values: &str, at: u64) -> Value {
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let has = |label: &str| labels.starts_with(&format!("{label}=")) || labels.contains(&format!(",{label}="));
    let own = OWN.iter().filter(|(label, _)| !(has(label) || name == "up" && *label == "target"));
    let own: Vec<_> = own.map(|(label, value)| format!("{label}=\"{value}\"")).collect();
    let comma = if labels == "}" || own.is_empty() { "" } else { "," };
    let values = if values.parse::<f64>().is_ok() { format!("{values}x{at}") } else { values.to_owned() };
    json!({"series": format!("{name}{{{}{comma}{labels}", own.join(",")), "values": values})
}

/// The alert as it must come.
fn expected(case: &Case, rule: &Rule) -> Value {
    let mut labels: serde_json::Map<String, Value> = serde_json::Map::new();
    let own = OWN.map(|(name, value)| (name.to_owned(), value.to_owned()));
    for (name, value) in own.iter().chain(&case.labels) {
        match value.is_empty() {
            true => labels.remove(name),
            false => labels.insert(name.clone(), value.clone().into()),
        };
    }
    labels.insert("severity".into(), case.severity.clone().into());
    let links = ["runbook_url", "dashboard_url", "role"].map(|key| (key.to_owned(), linked(rule, key, &labels)));
    // Only rules about PostgreSQL servers have a role.
    let links = links.into_iter().filter(|(_, text)| text != "");
    let words = [("summary", &case.summary), ("description", &case.description)];
    let words = words.map(|(key, text)| (key.to_owned(), Value::from(text.as_str())));
    let annotations: serde_json::Map<String, Value> = links.chain(words).collect();
    json!({"exp_labels": labels, "exp_annotations": annotations})
}

/// A link with the labels put in.
fn linked(rule: &Rule, key: &str, labels: &serde_json::Map<String, Value>) -> Value {
    let text = rule.annotations.iter().find(|(name, _)| name == key).map_or("", |(_, text)| text);
    let put = |text: String, (name, value): (&String, &Value)| {
        text.replace(&format!("{{{{ $labels.{name} }}}}"), value.as_str().unwrap_or_default())
    };
    labels.iter().fold(text.to_owned(), put).into()
}
