//! Writes a Board as JSON that Grafana imports: through its web form, from a folder, or from a ConfigMap.
//!
//! The same board gives the same bytes. The JSON names no data source: the variable `datasource` selects one.

mod grid;
mod panel;
mod table;

use serde_json::{Value, json};

use crate::board::{Annotation, Board, Variable};

/// The tag of every board, by which their links find each other.
pub const TAG: &str = "pgvigil";

/// Grafana's version of the format, which 10.3 and later read.
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

/// The Prometheus that the reader selects.
fn datasource() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

fn datasources() -> Value {
    json!({
        "current": {}, "hide": 0, "includeAll": false, "label": "Data source", "multi": false, "name": "datasource", "options": [],
        "query": "prometheus", "refresh": 1, "regex": "", "skipUrlSync": false, "type": "datasource",
    })
}

/// A variable, whose values are queried again when the time range changes.
fn variable(variable: &Variable) -> Value {
    json!({
        "allValue": variable.all, "current": {"selected": true, "text": ["All"], "value": ["$__all"]},
        "datasource": datasource(), "definition": variable.query, "hide": 0, "includeAll": true, "label": variable.label,
        "multi": true, "name": variable.name, "options": [],
        "query": {"query": variable.query, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
        "refresh": 2, "regex": "", "skipUrlSync": false, "sort": 1, "type": "query",
    })
}

/// Annotations that people write into graphs.
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

/// Links to all other boards, for the same time and with the same choices.
fn links() -> Value {
    json!({
        "asDropdown": false, "icon": "external link", "includeVars": true, "keepTime": true, "tags": [TAG],
        "targetBlank": false, "title": "pgvigil", "tooltip": "", "type": "dashboards", "url": "",
    })
}
