//! On a live stack every query of every panel, annotation and variable gives data, at the range or instant that Grafana
//! would ask it for; or it is in `empty.yaml`, and then it does not.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::Value;

use super::{
    files::{self, Dashboard, items, text},
    stack::Stack,
};
use crate::support::{Prometheus, eventually, is_long, postgres::encode, yaml};

/// Queries that give nothing on the stack, by the reason.
const EMPTY: &str = "tests/boards/empty.yaml";

/// What a query is for, which says how it is asked.
#[derive(Clone, Copy, PartialEq)]
enum Asked {
    Now,
    Range,
}

/// A query, by its board, panel and legend.
struct Query {
    name: String,
    expr: String,
    asked: Asked,
    /// Of a threshold: it is drawn near the data only.
    is_line: bool,
}

/// Why a query gives nothing.
struct Excuse {
    /// On servers of this version only.
    on: Option<u64>,
    /// It may give something after all.
    by_chance: bool,
    queries: BTreeSet<String>,
}

#[test]
fn every_query_gives_data() {
    let majors: &[u32] = if is_long() { &[15, 18] } else { &[15] };
    for major in majors {
        let stack = Stack::start(*major);
        check(&stack.prometheus, u64::from(*major));
    }
}

/// When everything was scraped and the rules had seen it: on a busy machine a scrape may come too late, and its series pause.
fn moment(prometheus: &Prometheus) -> u64 {
    let mut moment = 0;
    eventually(Duration::from_secs(60), "a scrape and the alerts on it", || {
        moment = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let expr = encode("count(ALERTS{alertname=\"Provoked\"}) == count(pg_up) and on () count(redis_up) == 2");
        let answer = prometheus.get(&format!("/api/v1/query?query={expr}&time={moment}"));
        !items(&answer["data"]["result"]).is_empty()
    });
    moment
}

fn check(prometheus: &Prometheus, major: u64) {
    let moment = moment(prometheus);
    let excuses: Vec<_> = excuses().into_iter().filter(|excuse| excuse.on.is_none_or(|on| on == major)).collect();
    let mut wrong = Vec::new();
    let mut known = BTreeSet::new();
    for dashboard in files::dashboards() {
        let (mut full, mut all) = (0, 0);
        wrong.extend(lines_without_data(prometheus, &dashboard, moment));
        for query in queries(&dashboard).into_iter().filter(|query| !query.is_line) {
            let excuse = excuses.iter().find(|excuse| excuse.queries.contains(&query.name));
            let found = has_data(prometheus, &query, moment);
            (full, all) = (full + usize::from(found == Ok(true)), all + 1);
            match (found, excuse) {
                (Err(error), _) => wrong.push(format!("{}: {error}\n    {}", query.name, query.expr)),
                (Ok(false), None) => wrong.push(format!("{}: gives nothing\n    {}", query.name, query.expr)),
                (Ok(true), Some(excuse)) if !excuse.by_chance => {
                    wrong.push(format!("{}: gives data after all", query.name))
                }
                _ => {}
            }
            known.insert(query.name);
        }
        wrong.extend(one_target(prometheus, &dashboard, moment));
        println!("PostgreSQL {major}, {}: {full} of {all} queries give data", dashboard.file);
    }
    let named = excuses.iter().flat_map(|excuse| &excuse.queries);
    wrong.extend(named.filter(|name| !known.contains(*name)).map(|name| format!("{EMPTY}: there is no {name}")));
    assert!(wrong.is_empty(), "on PostgreSQL {major}, {}:\n{}", wrong.len(), wrong.join("\n"));
}

/// All that a board asks, with everything chosen.
fn queries(dashboard: &Dashboard) -> Vec<Query> {
    let board = dashboard.file.trim_end_matches(".json");
    let panels = dashboard.panels().flat_map(|panel| of_panel(dashboard, panel));
    let annotations = dashboard.annotations().map(|annotation| Query {
        name: format!("{board} / annotation / {}", text(&annotation["name"])),
        expr: files::chosen(dashboard, text(&annotation["expr"])),
        asked: Asked::Range,
        is_line: false,
    });
    let variables = dashboard.variables().map(|variable| {
        let query = files::chosen(dashboard, text(&variable["definition"]));
        let (series, label) = files::label_values(&query).expect("label_values(SERIES, LABEL)");
        let name = format!("{board} / variable / {}", text(&variable["name"]));
        Query { name, expr: format!("group by ({label}) ({series})"), asked: Asked::Now, is_line: false }
    });
    panels.chain(annotations).chain(variables).collect()
}

/// What a panel asks. The stack has not run for a week: what was before is asked of now.
fn of_panel(dashboard: &Dashboard, panel: &Value) -> Vec<Query> {
    let board = dashboard.file.trim_end_matches(".json");
    let query = |target: &Value| Query {
        name: format!("{board} / {} / {}", text(&panel["title"]), text(&target["legendFormat"])),
        expr: now(&files::chosen(dashboard, text(&target["expr"]))),
        asked: if target["range"] == true { Asked::Range } else { Asked::Now },
        is_line: panel["type"] == "timeseries" && ["warning", "critical"].contains(&text(&target["legendFormat"])),
    };
    items(&panel["targets"]).iter().map(query).collect()
}

/// The same of now.
fn now(expr: &str) -> String {
    ["7d", "1d", "6h", "1h"].iter().fold(expr.to_owned(), |expr, ago| expr.replace(&format!(" offset {ago}"), ""))
}

/// A line where there is nothing would hide that there is nothing.
fn lines_without_data(prometheus: &Prometheus, dashboard: &Dashboard, moment: u64) -> Vec<String> {
    let mut wrong = Vec::new();
    for panel in dashboard.panels() {
        let (lines, others): (Vec<_>, Vec<_>) = of_panel(dashboard, panel).into_iter().partition(|query| query.is_line);
        let has = |query: &Query| has_data(prometheus, query, moment);
        wrong.extend(lines.iter().filter_map(|line| has(line).err().map(|error| format!("{}: {error}", line.name))));
        let is_drawn = |query: &Query| has(query) == Ok(true);
        if lines.iter().any(is_drawn) && !others.iter().any(is_drawn) {
            wrong.push(format!("{}: a line and no data", text(&panel["title"])));
        }
    }
    wrong
}

/// The same with one value of each variable chosen, as after a click: Prometheus must understand it.
fn one_target(prometheus: &Prometheus, dashboard: &Dashboard, moment: u64) -> Vec<String> {
    let chosen: BTreeMap<&str, String> =
        [("target", "primary"), ("pooler", "pooler"), ("redis", "cache"), ("path", "direct"), ("query", "point")]
            .map(|(name, value)| (name, value.to_owned()))
            .into();
    let put = |expr: &str| {
        chosen
            .iter()
            .fold(expr.to_owned(), |e, (name, value)| e.replace(&format!("\"${name}\""), &format!("\"{value}\"")))
    };
    let mut wrong = Vec::new();
    for (at, expr) in dashboard.expressions() {
        let query = Query { name: at, expr: files::chosen(dashboard, &put(expr)), asked: Asked::Now, is_line: false };
        wrong.extend(has_data(prometheus, &query, moment).err().map(|error| format!("{}: {error}", query.name)));
    }
    wrong
}

/// Whether any number comes back; for the hour before, at every 15 s, or for the moment.
fn has_data(prometheus: &Prometheus, query: &Query, moment: u64) -> Result<bool, String> {
    let expr = encode(&query.expr);
    let answer = match query.asked {
        Asked::Now => prometheus.get(&format!("/api/v1/query?query={expr}&time={moment}")),
        Asked::Range => {
            let start = moment - 3600;
            prometheus.get(&format!("/api/v1/query_range?query={expr}&start={start}&end={moment}&step=15"))
        }
    };
    if answer["status"] != "success" {
        return Err(answer["error"].to_string());
    }
    let is_number = |point: &Value| point[1].as_str().is_some_and(|value| value != "NaN");
    let has_number = |series: &Value| is_number(&series["value"]) || items(&series["values"]).iter().any(is_number);
    Ok(items(&answer["data"]["result"]).iter().any(has_number))
}

fn excuses() -> Vec<Excuse> {
    let tree = yaml::parse(&fs::read_to_string(EMPTY).expect("the excuses")).expect("YAML");
    let excuse = |entry: &Value| {
        assert!(text(&entry["because"]).len() > 10, "{entry} lacks its reason");
        Excuse {
            on: entry["on"].as_u64(),
            by_chance: entry["by_chance"] == true,
            queries: items(&entry["queries"]).iter().map(|name| text(name).to_owned()).collect(),
        }
    };
    items(&tree).iter().map(excuse).collect()
}
