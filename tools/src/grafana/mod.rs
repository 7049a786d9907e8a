//! A Board as the JSON that Grafana imports: by its web form, from a folder, from a ConfigMap.
//!
//! The same board gives the same bytes. No data source is named in it: the variable `datasource` chooses one.

mod grid;
mod panel;
mod table;

use serde_json::{Value, json};

use crate::board::{Annotation, Board, Variable};

/// On every board, so that their links find each other.
pub const TAG: &str = "pgvigil";

/// Grafana's version of the format: 10.3 and later read it.
const SCHEMA: u32 = 39;

/// The dashboard, as a JSON text.
pub fn json(board: &Board) -> String {
    let variables: Vec<_> = [datasources()].into_iter().chain(board.variables.iter().map(variable)).collect();
    let annotations: Vec<_> = [by_hand()].into_iter().chain(board.annotations.iter().map(annotation)).collect();
    let dashboard = json!({
        "annotations": {"list": annotations},
        "description": board.about,
        "editable": false,
        "fiscalYearStartMonth": 0,
        "graphTooltip": 1,
        "id": null,
        "links": [links()],
        "panels": grid::panels(board),
        "refresh": "30s",
        "schemaVersion": SCHEMA,
        "tags": [TAG],
        "templating": {"list": variables},
        "time": {"from": "now-1h", "to": "now"},
        "timepicker": {},
        "timezone": "browser",
        "title": board.title,
        "uid": board.uid,
        "weekStart": "",
    });
    format!("{dashboard:#}\n")
}

/// Whatever Prometheus the reader chooses.
fn datasource() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

fn datasources() -> Value {
    json!({
        "current": {}, "hide": 0, "includeAll": false, "label": "Data source", "multi": false, "name": "datasource", "options": [],
        "query": "prometheus", "refresh": 1, "regex": "", "skipUrlSync": false, "type": "datasource",
    })
}

/// Its choices are asked for again when the time range changes.
fn variable(variable: &Variable) -> Value {
    json!({
        "allValue": variable.all, "current": {"selected": true, "text": ["All"], "value": ["$__all"]},
        "datasource": datasource(), "definition": variable.query, "hide": 0, "includeAll": true, "label": variable.label,
        "multi": true, "name": variable.name, "options": [],
        "query": {"query": variable.query, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
        "refresh": 2, "regex": "", "skipUrlSync": false, "sort": 1, "type": "query",
    })
}

/// What people write into graphs.
fn by_hand() -> Value {
    json!({
        "builtIn": 1, "datasource": {"type": "grafana", "uid": "-- Grafana --"}, "enable": true, "hide": true,
        "iconColor": "rgba(0, 211, 255, 1)", "name": "Annotations & Alerts", "type": "dashboard",
    })
}

fn annotation(annotation: &Annotation) -> Value {
    json!({
        "datasource": datasource(), "enable": !annotation.is_off, "expr": annotation.expr, "hide": false, "iconColor": annotation.color,
        "name": annotation.title, "step": "", "tagKeys": "", "textFormat": annotation.text,
        "titleFormat": annotation.title, "useValueForTime": annotation.value_is_time,
    })
}

/// To all other boards, for the same time and with the same choices.
fn links() -> Value {
    json!({
        "asDropdown": false, "icon": "external link", "includeVars": true, "keepTime": true, "tags": [TAG],
        "targetBlank": false, "title": "pgvigil", "tooltip": "", "type": "dashboards", "url": "",
    })
}
