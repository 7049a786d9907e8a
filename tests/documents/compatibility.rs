//! docs/compatibility.md: which names of other exporters are served, with what difference, and why the others are not.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs,
};

use expect_test::expect_file;
use pgvigil::collector::{Collector, Metric, Query, Scope, catalogue::Catalogue};
use serde_json::Value;

use crate::support::yaml;

/// A metric of another exporter.
struct Theirs {
    exporter: String,
    /// May end in `*`.
    name: String,
    kind: String,
    labels: BTreeSet<String>,
}

/// A metric of ours, by its name.
type Ours = BTreeMap<String, (String, BTreeSet<String>, String)>;

/// Why names are not served.
struct Reasons {
    complete: Vec<String>,
    reasons: Vec<(String, Vec<String>)>,
}

impl Reasons {
    fn read() -> Reasons {
        let text = fs::read_to_string("docs/ecosystem/reasons.yaml").expect("the reasons");
        let file = yaml::parse(&text).expect("YAML");
        let texts = |value: &Value| -> Vec<String> { serde_json::from_value(value.clone()).expect("a list of texts") };
        let reason = |entry: &Value| (entry["because"].as_str().expect("a text").to_owned(), texts(&entry["names"]));
        let reasons = file["reasons"].as_array().expect("a list").iter().map(reason).collect();
        Reasons { complete: texts(&file["complete"]), reasons }
    }

    fn of(&self, name: &str) -> Option<&str> {
        let fits = |pattern: &String| matches(pattern, name);
        self.reasons.iter().find(|(_, names)| names.iter().any(fits)).map(|(because, _)| because.as_str())
    }
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |stem| name.starts_with(stem))
}

fn theirs() -> Vec<Theirs> {
    let text = fs::read_to_string("docs/ecosystem/metrics.tsv").expect("the metrics of other exporters");
    let read = |line: &str| {
        let [exporter, name, kind, labels] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line:?}") };
        let labels = labels.split(',').filter(|label| !label.is_empty()).map(str::to_owned).collect();
        Theirs { exporter: exporter.into(), name: name.into(), kind: kind.into(), labels }
    };
    text.lines().skip(1).map(read).collect()
}

fn ours() -> Ours {
    let catalogue = Catalogue::load(None).unwrap_or_else(|problems| panic!("{problems}"));
    let of_query = |collector: &Collector, query: &Query| -> Vec<_> {
        let one = |metric: &Metric| {
            let mut labels: BTreeSet<_> = query.labels_of(metric).iter().cloned().collect();
            labels.extend((collector.scope == Scope::Database).then(|| "datname".to_owned()));
            (metric.def.name.clone(), (metric.def.kind.into_str().to_owned(), labels, collector.name.clone()))
        };
        query.metrics.iter().map(one).collect()
    };
    let collectors = catalogue.collectors.iter();
    collectors.flat_map(|collector| collector.queries.iter().flat_map(|query| of_query(collector, query))).collect()
}

/// What became of a name: the collector that serves it and what differs there, or nothing.
fn found(theirs: &Theirs, ours: &Ours) -> Option<(String, Vec<String>)> {
    if theirs.name.ends_with('*') {
        let (_, (_, _, collector)) = ours.iter().find(|(name, _)| matches(&theirs.name, name))?;
        return Some((collector.clone(), Vec::new()));
    }
    let (kind, labels, collector) = ours.get(&theirs.name)?;
    let listed = |labels: Vec<&String>| labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
    let mut differences = Vec::new();
    if *kind != theirs.kind {
        differences.push(format!("{kind}, not {}", theirs.kind));
    }
    let (more, less) = (labels.difference(&theirs.labels).collect(), theirs.labels.difference(labels).collect());
    for (word, labels) in [("with", listed(more)), ("without", listed(less))] {
        differences.extend((!labels.is_empty()).then(|| format!("{word} {labels}")));
    }
    Some((collector.clone(), differences))
}

const HEAD: &str = "# Compatibility\n\nYou have dashboards and rules for another exporter, and want to know which go on working: \
    which of its metrics pgvigil has under the same name. `make test` holds this page to the collectors; `docs/ecosystem/` has the other exporters' metrics, and why some are not served. Every sample of \
    ours also carries `target` and the target's own labels. For where ours mean something else on purpose, see \
    [the decision on names](adr/0004-metric-names.md).\n\n\
    | exporter | metrics | the same | other labels or type | not served | share served |\n|---|--:|--:|--:|--:|--:|\n";

fn markdown(theirs: &[Theirs], ours: &Ours, reasons: &Reasons) -> String {
    let mut exporters: Vec<&str> = Vec::new();
    for metric in theirs {
        if !exporters.contains(&metric.exporter.as_str()) {
            exporters.push(&metric.exporter);
        }
    }
    let (mut head, mut sections) = (HEAD.to_owned(), String::new());
    for exporter in exporters {
        let metrics: Vec<_> = theirs.iter().filter(|metric| metric.exporter == exporter).collect();
        let (served, missing): (Vec<_>, Vec<_>) =
            metrics.iter().map(|m| (m.name.as_str(), found(m, ours))).partition(|(_, found)| found.is_some());
        let served: Vec<_> = served.into_iter().filter_map(|(name, found)| Some((name, found?))).collect();
        let differing = served.iter().filter(|(_, (_, differences))| !differences.is_empty()).count();
        let (same, share) = (served.len() - differing, 100 * served.len() / metrics.len());
        _ = writeln!(head, "| {exporter} | {} | {same} | {differing} | {} | {share} % |", metrics.len(), missing.len());
        _ = write!(sections, "\n## {exporter}\n");
        push_served(&mut sections, &served);
        push_missing(&mut sections, missing.iter().map(|(name, _)| *name), reasons);
    }
    head + &sections
}

fn push_served(out: &mut String, served: &[(&str, (String, Vec<String>))]) {
    let mut same: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (name, (collector, _)) in served.iter().filter(|(_, (_, differences))| differences.is_empty()) {
        same.entry(collector).or_default().push(format!("`{name}`"));
    }
    if !same.is_empty() {
        out.push_str("\nThe same, with the same type and labels:\n\n| collector | metrics |\n|---|---|\n");
        same.iter().for_each(|(collector, names)| _ = writeln!(out, "| `{collector}` | {} |", names.join(", ")));
    }
    if served.iter().any(|(_, (_, differences))| !differences.is_empty()) {
        out.push_str("\nThe same name, with a difference:\n\n| metric | collector | ours |\n|---|---|---|\n");
    }
    for (name, (collector, differences)) in served.iter().filter(|(_, (_, differences))| !differences.is_empty()) {
        _ = writeln!(out, "| `{name}` | `{collector}` | {} |", differences.join("; "));
    }
}

fn push_missing<'a>(out: &mut String, names: impl Iterator<Item = &'a str>, reasons: &Reasons) {
    let mut by_reason: BTreeMap<Option<&str>, Vec<String>> = BTreeMap::new();
    for name in names {
        by_reason.entry(reasons.of(name)).or_default().push(format!("`{name}`"));
    }
    let explained = by_reason.iter().filter_map(|(because, names)| Some(((*because)?, names)));
    for (nth, (because, names)) in explained.enumerate() {
        out.push_str(if nth == 0 { "\nNot served, and why:\n\n| metrics | why |\n|---|---|\n" } else { "" });
        _ = writeln!(out, "| {} | {because} |", names.join(", "));
    }
    if let Some(names) = by_reason.get(&None) {
        let names: String = names.iter().map(|name| format!("- {name}\n")).collect();
        _ = write!(out, "\n<details><summary>Not served</summary>\n\n{names}\n</details>\n");
    }
}

/// `UPDATE_EXPECT=1 cargo test documents` writes it.
#[test]
fn the_page_is_current() {
    expect_file!["../../docs/compatibility.md"].assert_eq(&markdown(&theirs(), &ours(), &Reasons::read()));
}

#[test]
fn every_name_is_served_or_has_a_reason() {
    let (theirs, ours, reasons) = (theirs(), ours(), Reasons::read());
    let mut wrong = Vec::new();
    for metric in &theirs {
        match (found(metric, &ours), reasons.of(&metric.name)) {
            (Some((collector, _)), Some(_)) => {
                wrong.push(format!("{} is served by {collector}: take it out of the reasons", metric.name));
            }
            (None, None) if reasons.complete.contains(&metric.exporter) => {
                wrong.push(format!("{} ({}) is neither served nor has a reason", metric.name, metric.exporter));
            }
            _ => {}
        }
    }
    for pattern in reasons.reasons.iter().flat_map(|(_, names)| names) {
        if !theirs.iter().any(|metric| matches(pattern, &metric.name)) {
            wrong.push(format!("{pattern} has a reason, and no exporter has it"));
        }
    }
    for exporter in &reasons.complete {
        assert!(theirs.iter().any(|metric| metric.exporter == *exporter), "there are no metrics of {exporter}");
    }
    assert!(wrong.is_empty(), "docs/ecosystem/reasons.yaml:\n{}", wrong.join("\n"));
}

/// What the page says ours are called must be so.
#[test]
fn reasons_name_metrics_that_there_are() {
    let ours = ours();
    for (because, _) in &Reasons::read().reasons {
        for name in because.split('`').skip(1).step_by(2).filter(|name| name.contains('_')) {
            assert!(ours.keys().any(|own| matches(name, own)), "{name}: {because}");
        }
    }
}
