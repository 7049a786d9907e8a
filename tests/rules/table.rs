//! docs/alerts.md: every alert with its thresholds, what it reads, and how it is tested.

use std::{collections::BTreeMap, fmt::Write, path::Path, time::Duration};

use expect_test::expect_file;
use pgvigil::settings::{thresholds, thresholds::ShippedThreshold};

use super::{
    files::{self, Case, Rule},
    runbooks,
    used::Used,
};

const HEAD: &str = "# Alerts\n\nAn alert fired, or you want to know which can: all of `rules/`, with the shipped thresholds; a target's \
    settings can change them. Written from the rules, their cases in `tests/rules/cases/` and `tests/rules/live.yaml`; `make test` holds it to them. \
    [How to live with them](alerting.md) says who is told, and how to silence one.\n\n\
    Tests are of promtool: how often the alert must fire in them, and how often it must not. Live says whether a real fault on real servers brought it \
    through Prometheus and Alertmanager to a webhook, and its mending resolved it (`make live-fire`): with durations a sixtieth as long, and where it says so a threshold that is reached in seconds, or only as far as Alertmanager, where another one mutes it.\n";

const RECORDED: &str = "\n## Recorded\n\nSeries that rules make, because several alerts read them or they are much to read.\n\n| series | reads |\n|---|---|\n";

const COLUMNS: &str = "\n| alert | page, ticket or info: when, for how long | why | reads | dashboard | tests: fires, silent | live |\n|---|---|---|---|---|---|---|\n";

/// `UPDATE_EXPECT=1 cargo test --test all -- rules` writes it.
#[test]
fn the_docs_list_every_alert() {
    let shipped = thresholds::shipped().unwrap_or_else(|problems| panic!("{problems}"));
    let (cases, live) = (files::cases(), live());
    let mut text = HEAD.to_owned();
    let mut file = String::new();
    let all = files::rules();
    for rules in by_alert(&all) {
        if rules[0].file != file {
            file.clone_from(&rules[0].file);
            write!(text, "\n## {file}\n{COLUMNS}").expect("text");
        }
        text.push_str(&line(&rules, &cases, &live, &shipped));
    }
    text.push_str(RECORDED);
    for rule in &all {
        let Some(record) = &rule.record else { continue };
        writeln!(text, "| `{record}` | {} |", metrics(&[rule])).expect("text");
    }
    expect_file!["../../docs/alerts.md"].assert_eq(&text);
}

#[test]
fn live_names_alerts() {
    let rules = files::rules();
    let stray: Vec<_> =
        live().into_keys().filter(|name| !rules.iter().any(|rule| rule.alert.as_ref() == Some(name))).collect();
    assert!(stray.is_empty(), "tests/rules/live.yaml: no alert is called {stray:?}");
}

/// What is said of alerts that were seen to fire, or cannot be.
pub fn live() -> BTreeMap<String, String> {
    let tree = files::tree(Path::new("tests/rules/live.yaml"));
    let entries = tree.as_object().expect("alerts and words");
    entries.iter().map(|(alert, said)| (alert.clone(), said.as_str().expect("words").to_owned())).collect()
}

/// The rules of each alert, in the order of the files.
fn by_alert(rules: &[Rule]) -> Vec<Vec<&Rule>> {
    let mut all: Vec<Vec<&Rule>> = Vec::new();
    for rule in rules.iter().filter(|rule| rule.alert.is_some()) {
        match all.iter_mut().find(|of| of[0].alert == rule.alert) {
            Some(of) => of.push(rule),
            None => all.push(vec![rule]),
        }
    }
    all
}

fn line(rules: &[&Rule], cases: &[Case], live: &BTreeMap<String, String>, shipped: &[ShippedThreshold]) -> String {
    let alert = rules[0].alert.as_deref().unwrap_or_default();
    let of_this: Vec<_> = cases.iter().filter(|case| case.alert == alert).collect();
    let silent: usize = of_this.iter().map(|case| case.silent.len()).sum();
    let severities: Vec<_> = rules.iter().map(|rule| severity(rule, shipped)).collect();
    let why: Vec<_> = runbooks::reasons(alert).into_iter().map(|(_, reason)| reason).collect();
    let live = live.get(alert).map_or("not yet", String::as_str);
    format!(
        "| [{alert}](runbooks/{alert}.md) | {} | {} | {} | `{}` | {}, {silent} | {live} |\n",
        severities.join("<br>"),
        why.join("<br>"),
        metrics(rules),
        dashboard(rules[0]),
        of_this.len(),
    )
}

/// `ticket: above 70 % (connections_used_ratio), for 5m`.
fn severity(rule: &Rule, shipped: &[ShippedThreshold]) -> String {
    let mut parts: Vec<String> = compared(&rule.expr)
        .iter()
        .map(|(word, times, name)| {
            // An info has none of its own: it says which of the others it compares with.
            let of_this = |s: &&ShippedThreshold| {
                let compared = format!("{{name=\"{name}\", severity=\"{}\"}}", s.severity);
                s.name == *name && rule.expr.contains(&compared)
            };
            let threshold =
                shipped.iter().find(of_this).unwrap_or_else(|| panic!("no threshold {name} {}", rule.severity));
            match threshold.value {
                Some(value) => format!("{word} {times}{} (`{name}`)", human(value, &threshold.unit)),
                None => format!("{word} {times}`{name}`, where a target sets it"),
            }
        })
        .collect();
    parts.extend(rule.json.get("for").and_then(|wait| wait.as_str()).map(|wait| format!("for {wait}")));
    let word = runbooks::WORDS.iter().find(|(severity, _)| *severity == rule.severity);
    let word = word.map_or(rule.severity.clone(), |(_, word)| word.to_lowercase());
    if parts.is_empty() { word } else { format!("{word}: {}", parts.join(", ")) }
}

/// The thresholds an expression compares with, each once: above or below them, and what they are multiplied by (`14.4 * `).
pub fn compared(expr: &str) -> Vec<(&str, &str, &str)> {
    let mut all = Vec::new();
    for (at, begin) in expr.match_indices("pgvigil_threshold{name=\"") {
        let name = expr[at + begin.len()..].split('"').next().unwrap_or_default();
        let above = expr[..at].rfind(['>', '<']).is_some_and(|at| expr[at..].starts_with('>'));
        let times = expr[..at].rsplit(['(', '\n']).next().map(str::trim_start);
        let times = times.filter(|times| times.ends_with("* ")).unwrap_or_default();
        let one = (if above { "above" } else { "below" }, times, name);
        if !all.contains(&one) {
            all.push(one);
        }
    }
    all
}

/// A value as people say it.
fn human(value: f64, unit: &str) -> String {
    match unit {
        // Most are of a part to its whole.
        "ratio" if value <= 1.0 => format!("{} %", rounded(value * 100.0)),
        "ratio" => format!("{value} times"),
        "seconds" => humantime::format_duration(Duration::from_secs_f64(value)).to_string(),
        "bytes" | "bytes per second" => {
            let (value, prefix) = [(30, "Gi"), (20, "Mi"), (10, "Ki")]
                .into_iter()
                .map(|(power, prefix)| (value / 2_f64.powi(power), prefix))
                .find(|(value, _)| *value >= 1.0)
                .unwrap_or((value, ""));
            format!("{} {prefix}B{}", rounded(value), &unit["bytes".len()..])
        }
        _ => format!("{value} {unit}"),
    }
}

fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

fn metrics(rules: &[&Rule]) -> String {
    let mut names: Vec<String> = Vec::new();
    for selector in rules.iter().flat_map(|rule| Used::by(&rule.expr).selectors) {
        let name = selector.name.unwrap_or_default();
        if name != "pgvigil_threshold" && !names.contains(&name) {
            names.push(name);
        }
    }
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join("<br>")
}

fn dashboard(rule: &Rule) -> &str {
    let link = rule.annotations.iter().find(|(key, _)| key == "dashboard_url").map_or("", |(_, link)| link);
    link.trim_start_matches("/d/").split('?').next().unwrap_or_default()
}
