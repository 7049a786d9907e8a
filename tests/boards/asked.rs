//! What every expression of a dashboard must be: understood, and about what there is. Where the rules of Grafana's
//! dashboard-linter are stricter than ours, the reason stands beside ours.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use pgvigil::{
    collector::{Collector, catalogue::Catalogue, metric::MetricKind},
    settings::thresholds,
};
use serde_json::json;

use super::files::{self, each, text};
use crate::{
    rules::{known, used::Used},
    support::{Folder, place::system_program},
};

/// Counters whose value counts: a wrong checksum is bad news whenever it was found, and an index that was ever scanned is used.
const EVER: [&str; 2] = ["pg_stat_database_checksum_failures_total", "pg_index_replica_scans_total"];

/// Prometheus's own series.
const OF_PROMETHEUS: [&str; 4] = ["up", "scrape_samples_scraped", "ALERTS", "ALERTS_FOR_STATE"];

/// Labels of these, of thresholds, and those that say where an alert leads.
const THEIR_LABELS: [&str; 6] = ["alertname", "alertstate", "severity", "about", "board", "variable"];

/// The linter wants `instance` where we have `target`: one pgvigil, which is one instance, watches many targets. It also
/// wants `job` in each; we do, but for alerts, which may have none.
#[test]
fn every_selector_follows_the_choices() {
    each(|dashboard, wrong| {
        for (at, expr) in dashboard.expressions() {
            for selector in Used::by(&files::chosen(dashboard, expr)).selectors {
                let has = |label: &str| selector.matchers.matchers.iter().any(|matcher| matcher.name == label);
                if !has("job") {
                    wrong.push(format!("{at}: {} is not chosen by job", selector.name.unwrap_or_default()));
                }
            }
        }
    });
}

#[test]
fn boards_speak_of_what_there_is() {
    let catalogue = Catalogue::load(None).unwrap_or_else(|problems| panic!("{problems}"));
    let strange = |expr: &str| known::strange(&catalogue, &Used::by(expr), &OF_PROMETHEUS, &THEIR_LABELS);
    each(|dashboard, wrong| {
        for (at, expr) in dashboard.expressions() {
            let strange = strange(&files::chosen(dashboard, expr));
            wrong.extend(strange.into_iter().map(|strange| format!("{at}: {strange}")));
        }
        for variable in dashboard.variables() {
            let query = files::chosen(dashboard, text(&variable["definition"]));
            let (series, label) = files::label_values(&query).expect("label_values(SERIES, LABEL)");
            let aggregated = format!("count by ({label}) ({series})");
            wrong.extend(strange(&aggregated).into_iter().map(|strange| format!("{}: {strange}", variable["name"])));
        }
    });
}

#[test]
fn lines_and_verdicts_are_of_thresholds_that_there_are() {
    let shipped = thresholds::shipped().unwrap_or_else(|problems| panic!("{problems}"));
    let names: BTreeSet<_> = shipped.iter().map(|shipped| shipped.name.as_str()).collect();
    let begin = "pgvigil_threshold{";
    each(|dashboard, wrong| {
        for (at, expr) in dashboard.expressions() {
            let of = expr
                .match_indices(begin)
                .filter_map(|(found, _)| expr[found..].split("name=\"").nth(1)?.split('"').next());
            wrong.extend(of.filter(|name| !names.contains(name)).map(|name| format!("{at}: no threshold {name}")));
        }
    });
}

/// A rate over a fixed window shows nothing when one scrapes rarely, or hides spikes when often. Where events are few, a
/// fixed window of `increase`, or the time that is shown, is meant.
#[test]
fn rates_are_over_what_grafana_thinks_fit() {
    each(|dashboard, wrong| {
        for (at, expr) in dashboard.expressions() {
            let fixed = expr.match_indices("rate(").filter(|(found, _)| {
                let window = expr[*found..].split(['[', ']']).nth(1).unwrap_or_default();
                !["$__rate_interval", "$__range"].contains(&window)
            });
            if fixed.count() > 0 || expr.contains("irate(") {
                wrong.push(format!("{at}: a rate over something else than $__rate_interval"));
            }
        }
    });
}

/// The value of a counter says nothing: it began at any time.
#[test]
fn counters_are_read_as_rates_or_increases() {
    let catalogue = Catalogue::load(None).unwrap_or_else(|problems| panic!("{problems}"));
    let queries = catalogue.collectors.iter().flat_map(|collector| &collector.queries);
    let metrics = queries.flat_map(|query| &query.metrics).filter(|metric| metric.def.kind == MetricKind::Counter);
    let counters: BTreeSet<_> = metrics.map(|metric| metric.def.name.as_str()).collect();
    each(|dashboard, wrong| {
        for (at, expr) in dashboard.expressions() {
            let now = Used::by(&files::chosen(dashboard, expr)).now;
            let names = now.into_iter().filter_map(|selector| selector.name);
            let wrongly = names.filter(|name| counters.contains(name.as_str()) && !EVER.contains(&name.as_str()));
            wrong.extend(wrongly.map(|name| format!("{at}: {name} is a counter")));
        }
    });
}

/// Grafana's `$__rate_interval` is at least four steps. Between two readings of a slow collector a counter stands still.
#[test]
fn what_has_rates_of_slow_collectors_has_their_step() {
    let catalogue = Catalogue::load(None).unwrap_or_else(|problems| panic!("{problems}"));
    let mut stepped = 0;
    each(|dashboard, wrong| {
        for target in dashboard.panels().flat_map(|panel| files::items(&panel["targets"])) {
            let expr = text(&target["expr"]);
            let used = Used::by(&files::chosen(dashboard, expr));
            let is_rated = |name: &String| !used.now.iter().any(|selector| selector.name.as_ref() == Some(name));
            let rated = used.selectors.iter().filter_map(|selector| selector.name.clone()).filter(is_rated);
            let rated = rated.filter(|name| expr.contains(&format!("{name}{{")) && expr.contains("$__rate_interval"));
            let Some(slowest) = rated.filter_map(|name| ttl(&catalogue, &name)).max() else { continue };
            let wanted = format!("{}s", slowest.as_secs());
            match slowest.is_zero() {
                true if target.get("interval").is_some() => wrong.push(format!("{expr}: has a step for nothing")),
                false if text(&target["interval"]) != wanted => {
                    wrong.push(format!("{expr}: has not the step {wanted}"))
                }
                _ => (),
            }
        }
    });
    for dashboard in files::dashboards() {
        let targets = dashboard.panels().flat_map(|panel| files::items(&panel["targets"]));
        stepped += targets.filter(|target| target.get("interval").is_some()).count();
    }
    assert!(stepped > 30, "{stepped} queries have a step");
}

/// How often the collector of a sample is asked.
fn ttl(catalogue: &Catalogue, sample: &str) -> Option<Duration> {
    let has = |collector: &&Arc<Collector>| {
        let metrics = collector.queries.iter().flat_map(|query| &query.metrics);
        metrics.into_iter().any(|metric| known::is_of(metric, sample))
    };
    catalogue.collectors.iter().find(has).map(|collector| collector.ttl)
}

#[test]
fn prometheus_can_read_every_expression() {
    let folder = Folder::new("boards", "TERM");
    let mut rules = Vec::new();
    for dashboard in files::dashboards() {
        for (_, expr) in dashboard.expressions() {
            rules.push(json!({"record": format!("x{}", rules.len()), "expr": files::chosen(&dashboard, expr)}));
        }
    }
    let path = folder.write("rules.json", &json!({"groups": [{"name": "x", "rules": rules}]}).to_string());
    let output = std::process::Command::new(system_program("promtool")).args(["check", "rules"]).arg(path).output();
    let output = output.expect("running promtool");
    assert!(output.status.success() && rules.len() > 100, "{}", String::from_utf8_lossy(&output.stderr));
}
