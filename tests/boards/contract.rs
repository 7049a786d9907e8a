//! What every dashboard must have to be imported by any way, to be read and to lead on.

use std::collections::{BTreeMap, BTreeSet};

use pgvigil_tools::{board::COLUMNS, grafana::TAG};
use serde_json::{Value, json};

use super::files::{self, Dashboard, each, items, text};
use crate::rules;

/// The boards that are promised.
const UIDS: [&str; 10] = [
    "pgvigil-backup",
    "pgvigil-cache",
    "pgvigil-connections",
    "pgvigil-overview",
    "pgvigil-own",
    "pgvigil-probe",
    "pgvigil-queries",
    "pgvigil-replication",
    "pgvigil-server",
    "pgvigil-tables",
];

/// Where an alert in a table leads: to its runbook, and to its board with its target chosen.
const RUNBOOK: &str = "https://github.com/pgvigil/pgvigil/blob/main/docs/runbooks/${__value.raw}.md";
const ALERTS_BOARD: &str = "/d/${__value.raw}?${__url_time_range}&${datasource:queryparam}&${job:queryparam}&${cluster:queryparam}\
    &${__data.fields.Chooses}=${__data.fields.Target}";

/// Variables that every board has; the tables' links take them along.
const EVERYWHERE: [&str; 2] = ["job", "cluster"];

/// Units of Grafana that the boards use. One that Grafana does not know would show as a word behind the number.
const UNITS: [&str; 16] = [
    "bytes",
    "Bps",
    "binBps",
    "dateTimeFromNow",
    "h",
    "none",
    "ops",
    "percent",
    "percentunit",
    "reqps",
    "s",
    "short",
    "string",
    "µs",
    "ms",
    "wps",
];

#[test]
fn all_boards_are_there() {
    let dashboards = files::dashboards();
    let uids: BTreeSet<_> = dashboards.iter().map(Dashboard::uid).collect();
    assert_eq!(uids, BTreeSet::from(UIDS));
    assert_eq!(uids.len(), dashboards.len(), "two boards of one uid");
}

#[test]
fn every_board_can_be_imported_everywhere() {
    each(|dashboard, wrong| {
        let json = &dashboard.json;
        if json["id"] != Value::Null || json.get("__inputs").is_some() || json.get("version").is_some() {
            wrong.push("has an id, a version or inputs, which only one way of importing understands".into());
        }
        if dashboard.uid().len() > 40 || !items(&json["tags"]).contains(&json!(TAG)) {
            wrong.push("has a long uid or lacks the tag".into());
        }
        if !(39..=41).contains(&json["schemaVersion"].as_u64().unwrap_or_default()) {
            wrong.push("has another version of the format than 39 to 41".into());
        }
        if text(&json["title"]).is_empty() || text(&json["description"]).is_empty() {
            wrong.push("lacks a title or a description".into());
        }
        // A ConfigMap holds 1 MiB, of all files in it together where they are put into one.
        if json.to_string().len() > 100_000 {
            wrong.push(format!("has {} bytes: ten do not fit a ConfigMap", json.to_string().len()));
        }
        let mut sources = Vec::new();
        find(json, "datasource", &mut sources);
        let chosen = json!({"type": "prometheus", "uid": "${datasource}"});
        let fixed: Vec<_> =
            sources.iter().filter(|source| ***source != chosen && source["uid"] != "-- Grafana --").collect();
        if sources.is_empty() || !fixed.is_empty() {
            wrong.push(format!("names data sources: {fixed:?}"));
        }
        let first = &json["templating"]["list"][0];
        if first["name"] != "datasource" || first["label"] != "Data source" || first["query"] != "prometheus" {
            wrong.push("its first variable is not the data source".into());
        }
    });
}

/// All values of a key, at any depth.
fn find<'v>(value: &'v Value, key: &str, found: &mut Vec<&'v Value>) {
    match value {
        Value::Object(entries) => {
            for (name, value) in entries {
                if name == key { found.push(value) } else { find(value, key, found) }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| find(item, key, found)),
        _ => {}
    }
}

#[test]
fn links_lead_somewhere_and_take_the_choices_along() {
    let dashboards = files::dashboards();
    let variables: BTreeMap<_, _> = dashboards.iter().map(|d| (d.uid(), d.variable_names())).collect();
    each(|dashboard, wrong| {
        let all = json!({"type": "dashboards", "tags": [TAG], "keepTime": true, "includeVars": true});
        let links = items(&dashboard.json["links"]);
        let has = |link: &Value| all.as_object().expect("a map").iter().all(|(key, value)| link[key] == *value);
        if !links.iter().any(has) {
            wrong.push("has no links to the others that keep time and choices".into());
        }
        let mut urls = Vec::new();
        find(&dashboard.json, "url", &mut urls);
        for url in urls.into_iter().map(text).filter(|url| !url.is_empty()) {
            let (path, query) = url.split_once('?').unwrap_or((url, ""));
            if url == RUNBOOK || url == ALERTS_BOARD {
                continue;
            }
            let Some(known) = path.strip_prefix("/d/").and_then(|uid| variables.get(uid)) else {
                wrong.push(format!("links to {path}, which is no board"));
                continue;
            };
            if !query.starts_with("${__url_time_range}&") {
                wrong.push(format!("{url} loses the time"));
            }
            wrong.extend(strangers(query, known).map(|name| format!("{path} has no variable {name}")));
            let own = query.split("${").skip(1).filter_map(|rest| rest.split_once(":queryparam}"));
            let unknown = own
                .map(|(name, _)| name)
                .filter(|name| *name != "datasource" && !dashboard.variable_names().contains(name));
            wrong.extend(unknown.map(|name| format!("{url} takes along {name}, which is no variable")));
        }
    });
}

/// The variables that a link sets and its board does not have.
fn strangers<'q>(query: &'q str, known: &BTreeSet<&str>) -> impl Iterator<Item = &'q str> {
    let set = query.split('&').filter_map(|part| part.strip_prefix("var-")?.split_once('='));
    set.map(|(name, _)| name).filter(|name| !known.contains(name))
}

#[test]
fn alerts_link_to_boards_and_variables_that_there_are() {
    let dashboards = files::dashboards();
    let mut wrong = Vec::new();
    for rule in rules::files::rules() {
        let Some(alert) = &rule.alert else { continue };
        let url = rule.annotations.iter().find(|(key, _)| key == "dashboard_url").map_or("", |(_, url)| url);
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        match dashboards.iter().find(|d| path.strip_prefix("/d/") == Some(d.uid())) {
            None => wrong.push(format!("{alert}: {path} is no board")),
            Some(dashboard) => {
                let strangers = strangers(query, &dashboard.variable_names()).map(str::to_owned).collect::<Vec<_>>();
                wrong.extend(strangers.iter().map(|name| format!("{alert}: {path} has no variable {name}")));
            }
        }
    }
    wrong.dedup();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// What the table of alerts says of each is what its rule says.
#[test]
fn the_table_of_alerts_leads_where_the_rules_do() {
    let overview = files::dashboards().into_iter().find(|d| d.uid() == "pgvigil-overview").expect("the overview");
    let panel = overview.panels().find(|panel| panel["title"] == "Alerts firing").expect("the table of alerts");
    let expr = text(&panel["targets"][0]["expr"]);
    let is_in = |label: &str, value: &str, alert: &str| {
        let begin = format!("\"{label}\", \"{value}\", \"alertname\", \"");
        let alerts = expr.split(&begin).nth(1).and_then(|rest| rest.split('"').next());
        alerts.is_some_and(|alerts| alerts.split('|').any(|known| known == alert))
    };
    for rule in rules::files::rules() {
        let Some(alert) = &rule.alert else { continue };
        let note = |name: &str| rule.annotations.iter().find(|(key, _)| key == name).map_or("", |(_, note)| note);
        assert_eq!(note("runbook_url"), RUNBOOK.replace("${__value.raw}", alert));
        let (path, query) = note("dashboard_url").split_once('?').unwrap_or((note("dashboard_url"), ""));
        assert!(is_in("board", path.trim_start_matches("/d/"), alert), "{alert} does not lead to {path}");
        let chosen = query.split('&').find_map(|part| part.strip_suffix("={{ $labels.target }}"));
        assert!(chosen.is_none_or(|name| is_in("variable", name, alert)), "{alert} does not choose by {chosen:?}");
    }
}

#[test]
fn the_grid_has_no_overlap_and_no_gap() {
    each(|dashboard, wrong| {
        let mut cells = BTreeSet::new();
        let mut ids = BTreeSet::new();
        for panel in dashboard.placed() {
            let at = |key: &str| panel["gridPos"][key].as_u64().expect("a number");
            for x in at("x")..at("x") + at("w") {
                let overlaps = (at("y")..at("y") + at("h")).any(|y| !cells.insert((y, x)));
                if overlaps || x >= u64::from(COLUMNS) {
                    wrong.push(format!("{} covers another panel, or leaves the board", panel["title"]));
                    break;
                }
            }
            if !ids.insert(panel["id"].as_u64().expect("an id")) {
                wrong.push(format!("{} has the id of another panel", panel["title"]));
            }
        }
        let lines = cells.last().map_or(0, |(y, _)| y + 1);
        let gaps: BTreeSet<_> =
            (0..lines).filter(|y| (0..u64::from(COLUMNS)).any(|x| !cells.contains(&(*y, x)))).collect();
        let by_gap = |panel: &&Value| gaps.contains(&panel["gridPos"]["y"].as_u64().expect("a number"));
        let titles: Vec<_> = dashboard.placed().iter().filter(by_gap).map(|panel| text(&panel["title"])).collect();
        if !gaps.is_empty() {
            wrong.push(format!("has gaps in lines {gaps:?}, by {titles:?}"));
        }
    });
}

#[test]
fn every_panel_says_what_it_is() {
    each(|dashboard, wrong| {
        let count = dashboard.panels().count();
        if !(12..=25).contains(&count) {
            wrong.push(format!("has {count} panels: 12 to 25 can be read"));
        }
        if dashboard.placed().first().is_none_or(|panel| panel["type"] != "row") {
            wrong.push("does not begin with a question".into());
        }
        let mut titles = BTreeSet::new();
        for panel in dashboard.panels() {
            let title = text(&panel["title"]);
            let unit = text(&panel["fieldConfig"]["defaults"]["unit"]);
            if title.is_empty() || !titles.insert(title) || text(&panel["description"]).len() < 20 {
                wrong.push(format!("{title}: another has this title, or it lacks a description"));
            }
            if !UNITS.contains(&unit) {
                wrong.push(format!("{title}: {unit:?} is no unit that we know"));
            }
            if items(&panel["targets"]).is_empty() || items(&panel["targets"]).len() > 26 {
                wrong.push(format!("{title}: asks nothing, or too much"));
            }
        }
    });
}

#[test]
fn every_variable_can_be_many_or_all_and_is_used() {
    each(|dashboard, wrong| {
        let all = dashboard.json.to_string();
        let names = dashboard.variable_names();
        wrong.extend(
            EVERYWHERE.iter().filter(|name| !names.contains(*name)).map(|name| format!("lacks the variable {name}")),
        );
        for variable in dashboard.variables() {
            let name = text(&variable["name"]);
            if variable["multi"] != true || variable["includeAll"] != true || variable["refresh"] != 2 {
                wrong.push(format!("{name}: not many, not all, or not asked again when the time changes"));
            }
            let uses = all.matches(&format!("=~\\\"${name}")).count();
            if uses < 2 {
                wrong.push(format!("{name} is used {uses} times"));
            }
        }
        for (at, expr) in dashboard.expressions() {
            let unknown = expr
                .split('$')
                .skip(1)
                .map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default());
            // `$1` belongs to label_replace.
            let own =
                |name: &&str| ["__rate_interval", "__range", "__interval", "1"].contains(name) || names.contains(*name);
            wrong.extend(unknown.filter(|name| !own(name)).map(|name| format!("{at}: ${name} is no variable")));
        }
    });
}
