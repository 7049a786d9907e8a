//! What every rule must have, and that it speaks only of what there is.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Command,
};

use pgvigil::{
    collector::catalogue::Catalogue,
    settings::{thresholds, thresholds::ShippedThreshold},
};
use promql_parser::parser::VectorSelector;

use super::{
    files::{self, Rule},
    known, runbooks,
    used::Used,
};
use crate::support::Generation;

/// The sections of a runbook.
const SECTIONS: [&str; 6] =
    ["## Meaning", "## Impact", "## Diagnosis", "## Mitigation", "## False alarm", "## When it is over"];

/// Rules of severity critical.
const MOST_PAGES: usize = 35;

const RUNBOOKS: &str = "https://github.com/pgvigil/pgvigil/blob/main/docs/runbooks/";

#[test]
fn promtool_takes_the_rule_files() {
    let names: BTreeSet<_> = files::rules().iter().map(|rule| format!("rules/{}", rule.file)).collect();
    for &generation in Generation::tested() {
        let mut promtool = Command::new(generation.program("promtool"));
        let output = promtool.args(["check", "rules", "--lint=all", "--lint-fatal"]).args(&names).output();
        let output = output.expect("running promtool");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !names.is_empty(), "{generation:?}: {said}");
    }
}

#[test]
fn every_alert_is_complete() {
    let boards = files::trees("dashboards/boards");
    let uids: BTreeSet<_> = boards.iter().filter_map(|(_, board)| board["uid"].as_str()).collect();
    each_alert(|rule, alert, wrong| {
        let annotation = |key: &str| rule.annotations.iter().find(|(name, _)| name == key).map_or("", |(_, text)| text);
        if !["warning", "critical", "info", "none"].contains(&rule.severity.as_str()) {
            wrong.push("has no severity".to_owned());
        }
        if annotation("summary").is_empty() || annotation("description").is_empty() {
            wrong.push("lacks a summary or a description".to_owned());
        }
        if annotation("runbook_url") != format!("{RUNBOOKS}{alert}.md") {
            wrong.push(format!("its runbook_url is not {RUNBOOKS}{alert}.md"));
        }
        let board = annotation("dashboard_url").strip_prefix("/d/").and_then(|rest| rest.split('?').next());
        if !board.is_some_and(|board| uids.contains(board)) {
            wrong.push(format!("its dashboard_url names none of the dashboards {uids:?}"));
        }
        let runbook = fs::read_to_string(format!("docs/runbooks/{alert}.md")).unwrap_or_default();
        let missing = SECTIONS.iter().filter(|section| !runbook.contains(*section));
        wrong.extend(missing.map(|section| format!("its runbook lacks {section}")));
        if !board.is_some_and(|board| runbook.contains("- **Board**: [") && runbook.contains(&format!("`/d/{board}`")))
        {
            wrong.push("its runbook does not link its board".to_owned());
        }
    });
}

/// Who is woken, told tomorrow, or finds it on a board, and why: each runbook says it of just the severities that its alert has.
#[test]
fn every_runbook_says_why_somebody_is_woken_or_not() {
    let mut severities: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for rule in files::rules() {
        let Some(alert) = rule.alert else { continue };
        severities.entry(alert).or_default().insert(rule.severity);
    }
    let mut wrong = Vec::new();
    for (alert, own) in severities {
        let told: BTreeSet<_> = runbooks::reasons(&alert).into_iter().map(|(severity, _)| severity).collect();
        if told != own {
            wrong.push(format!("{alert}: its rules are {own:?}, its runbook gives reasons for {told:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// An on-call who is woken for less mutes the pack.
#[test]
fn few_rules_page() {
    let pages = files::rules().iter().filter(|rule| rule.severity == "critical").count();
    assert!(pages <= MOST_PAGES, "{pages} rules of severity critical, of {MOST_PAGES} at most");
}

#[test]
fn every_runbook_is_of_an_alert() {
    let alerts: BTreeSet<_> = files::rules().into_iter().filter_map(|rule| rule.alert).collect();
    let entries = fs::read_dir("docs/runbooks").expect("runbooks");
    let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    let stray: Vec<_> = names.filter(|name| !alerts.contains(name.trim_end_matches(".md"))).collect();
    assert!(stray.is_empty(), "no alert is called {stray:?}");
}

/// promtool passes a test of an alert that does not exist, and one that expects nothing.
#[test]
fn every_alert_has_a_case_and_a_near_miss() {
    let cases = files::cases();
    each_alert(|rule, alert, wrong| {
        let of_this: Vec<_> = cases.iter().filter(|c| c.alert == alert && c.severity == rule.severity).collect();
        if of_this.is_empty() {
            wrong.push("has no case".to_owned());
        }
        // What always fires has no near miss.
        if rule.severity != "none" && of_this.iter().all(|case| case.silent.is_empty()) {
            wrong.push("has no near miss".to_owned());
        }
        for case in of_this {
            let known = |label: &str| {
                let given = case.labels.iter().find(|(name, _)| name == label);
                given.map_or(["job", "instance", "target"].contains(&label), |(_, value)| !value.is_empty())
            };
            for (key, text) in &rule.annotations {
                let unknown = mentioned_labels(text).into_iter().filter(|label| !known(label));
                wrong.extend(unknown.map(|label| format!("its {key} uses the label {label}, which its case has not")));
            }
        }
    });
}

/// The names after `$labels.`, but those after `with`, which may be absent.
fn mentioned_labels(text: &str) -> Vec<&str> {
    let needed = text.match_indices("$labels.").filter(|(at, _)| !text[..*at].ends_with("{{ with "));
    let rest = needed.map(|(at, begin)| &text[at + begin.len()..]);
    rest.map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default()).collect()
}

#[test]
fn rules_speak_of_what_there_is() {
    let catalogue = Catalogue::load(None).unwrap_or_else(|problems| panic!("{problems}"));
    let recorded = recorded();
    let mut wrong = Vec::new();
    for rule in files::rules() {
        let name = rule.alert.as_ref().or(rule.record.as_ref()).expect("a name");
        let mut used = Used::by(&rule.expr);
        used.selectors = used.selectors.iter().flat_map(|selector| behind(&recorded, selector)).cloned().collect();
        let strange = known::strange(&catalogue, &used, &["up"], &["severity"]);
        wrong.extend(strange.into_iter().map(|strange| format!("{name}: {strange}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What each recording rule reads, by itself or by those before it.
pub fn recorded() -> BTreeMap<String, Vec<VectorSelector>> {
    let mut all = BTreeMap::new();
    for rule in files::rules() {
        let Some(name) = rule.record else { continue };
        let selectors = Used::by(&rule.expr).selectors;
        let selectors = selectors.iter().flat_map(|selector| behind(&all, selector)).cloned().collect();
        all.insert(name, selectors);
    }
    all
}

/// What is read of collectors: this, or what it was recorded from.
pub fn behind<'s>(
    recorded: &'s BTreeMap<String, Vec<VectorSelector>>,
    selector: &'s VectorSelector,
) -> &'s [VectorSelector] {
    let name = selector.name.as_deref().unwrap_or_default();
    recorded.get(name).map_or(std::slice::from_ref(selector), Vec::as_slice)
}

#[test]
fn thresholds_and_alerts_fit() {
    let shipped = thresholds::shipped().unwrap_or_else(|problems| panic!("{problems}"));
    let shipped: BTreeSet<_> = shipped.into_iter().map(|s| (s.name, s.severity)).collect();
    let mut used = BTreeSet::new();
    for rule in files::rules() {
        for selector in Used::by(&rule.expr).selectors.iter().filter(|s| s.name.as_deref() == Some("pgvigil_threshold"))
        {
            let value =
                |label: &str| selector.matchers.matchers.iter().find(|m| m.name == label).map(|m| m.value.clone());
            used.extend(value("name").zip(value("severity")));
        }
    }
    let unused: Vec<_> = shipped.difference(&used).collect();
    let unknown: Vec<_> = used.difference(&shipped).collect();
    assert!(unused.is_empty() && unknown.is_empty(), "no alert uses {unused:?}; not shipped: {unknown:?}");
}

fn each_alert(check: impl Fn(&Rule, &str, &mut Vec<String>)) {
    let mut all = Vec::new();
    for rule in files::rules() {
        let Some(alert) = &rule.alert else { continue };
        let mut wrong = Vec::new();
        check(&rule, alert, &mut wrong);
        all.extend(wrong.into_iter().map(|wrong| format!("{} {alert} {}: {wrong}", rule.file, rule.severity)));
    }
    assert!(all.is_empty(), "\n{}", all.join("\n"));
}

/// Which series every target of a kind has.
const OF_KIND: [(&str, &str); 6] = [
    ("postgres", "pg_up"),
    ("pgbouncer", "pgbouncer_up"),
    ("redis", "redis_up"),
    ("backup", "pgvigil_backup_up"),
    ("disk", "(pgvigil_disk_size_bytes or pgvigil_disk_problem)"),
    ("probe", "pgvigil_probe_up"),
];

/// Fewer than are shipped for a kind of target, and alerts are blind; the alert that says so has to know how many there are.
#[test]
fn the_number_of_thresholds_is_known() {
    let shipped = thresholds::shipped().unwrap_or_else(|problems| panic!("{problems}"));
    let rules = files::rules();
    let rule = rules.iter().find(|rule| rule.alert.as_deref() == Some("PgvigilThresholdMissing")).expect("the alert");
    for (kind, series) in OF_KIND {
        let has = |s: &&ShippedThreshold| s.value.is_some() && s.kinds.iter().any(|own| own == kind);
        let count = shipped.iter().filter(has).count();
        let clause = format!("(pgvigil_threshold and on (job, instance, target) {series}) < {count}\n");
        assert!(rule.expr.contains(&clause), "{}\nlacks: {clause}", rule.expr);
    }
}
