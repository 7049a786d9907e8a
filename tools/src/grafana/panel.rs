//! Writes a Panel as JSON, without its position.

use serde_json::{Value, json};

use super::{datasource, table};
use crate::board::{BoardQuery, Kind, Panel, State};

/// Keeps the reader's time range and choices.
const KEEP: &str = "${__url_time_range}&${__all_variables}";

pub fn json(panel: &Panel) -> Value {
    let mut json = json!({
        "datasource": datasource(),
        "description": panel.options.about,
        "fieldConfig": {"defaults": defaults(panel), "overrides": overrides(panel)},
        "links": panel.options.opens.iter().map(|uid| link(uid)).collect::<Vec<_>>(),
        "options": options(panel),
        "targets": targets(panel),
        "title": panel.options.title,
        "type": kind(panel.options.kind),
    });
    if panel.options.kind == Kind::Table {
        json["transformations"] = table::transformations(panel);
    }
    json
}

/// Grafana's name of the kind.
fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Stat => "stat",
        Kind::Graph | Kind::Stack => "timeseries",
        Kind::Table => "table",
        Kind::Timeline => "state-timeline",
        Kind::Bars => "bargauge",
        Kind::Heatmap => "heatmap",
    }
}

fn link(uid: &str) -> Value {
    json!({"title": format!("More: {uid}"), "url": format!("/d/{uid}?{KEEP}")})
}

fn targets(panel: &Panel) -> Vec<Value> {
    let queries = panel.queries.iter().chain(&panel.lines);
    queries.zip('A'..='Z').map(|(query, id)| target(panel.options.kind, query, id)).collect()
}

/// Graphs query a range, the others the current value.
fn target(kind: Kind, query: &BoardQuery, id: char) -> Value {
    let is_range = matches!(kind, Kind::Graph | Kind::Stack | Kind::Timeline | Kind::Heatmap);
    let format = match kind {
        Kind::Table => "table",
        Kind::Heatmap => "heatmap",
        _ => "time_series",
    };
    let mut json = json!({
        "datasource": datasource(), "editorMode": "code", "expr": query.expr, "format": format, "instant": !is_range,
        "legendFormat": query.legend, "range": is_range, "refId": id.to_string(),
    });
    // Grafana's "Min step", of which `$__rate_interval` is at least four.
    if let Some(step) = query.step {
        json["interval"] = json!(format!("{}s", step.as_secs()));
    }
    json
}

fn defaults(panel: &Panel) -> Value {
    let mut defaults = json!({
        "color": {"mode": if panel.states.is_empty() { usual_color(panel.options.kind) } else { "thresholds" }},
        "custom": custom(panel.options.kind),
        "mappings": mappings(&panel.states),
        "thresholds": {"mode": "absolute", "steps": steps(panel)},
        "unit": panel.options.unit,
    });
    if let Some(empty) = &panel.options.empty {
        defaults["noValue"] = json!(empty);
    }
    if let Some(max) = panel.options.max {
        defaults["max"] = json!(max);
    }
    if matches!(panel.options.kind, Kind::Graph | Kind::Stack | Kind::Bars) {
        defaults["min"] = json!(0);
    }
    defaults
}

fn usual_color(kind: Kind) -> &'static str {
    match kind {
        Kind::Graph | Kind::Stack => "palette-classic",
        _ => "thresholds",
    }
}

/// Values that are neither good nor bad get a neutral color.
fn steps(panel: &Panel) -> Value {
    match (panel.options.bad, panel.options.kind) {
        (Some(bad), _) => json!([{"color": "green", "value": null}, {"color": "red", "value": bad}]),
        (None, Kind::Bars) => json!([{"color": "blue", "value": null}]),
        (None, _) => json!([{"color": "text", "value": null}]),
    }
}

/// The meanings of values, each with its color.
pub fn mappings(states: &[State]) -> Value {
    let meaning = |(index, state): (usize, &State)| {
        (state.value.clone(), json!({"color": state.color, "index": index, "text": state.says}))
    };
    let options: serde_json::Map<_, _> = states.iter().enumerate().map(meaning).collect();
    if options.is_empty() { json!([]) } else { json!([{"options": options, "type": "value"}]) }
}

fn custom(kind: Kind) -> Value {
    let is_stack = kind == Kind::Stack;
    match kind {
        Kind::Graph | Kind::Stack => json!({
            "axisSoftMin": 0, "drawStyle": "line", "fillOpacity": if is_stack { 40 } else { 8 }, "lineInterpolation": "linear",
            "lineWidth": 1, "showPoints": "auto", "spanNulls": false,
            "stacking": {"group": "A", "mode": if is_stack { "normal" } else { "none" }},
        }),
        Kind::Timeline => json!({"fillOpacity": 80, "lineWidth": 0}),
        Kind::Table => json!({"align": "auto", "cellOptions": {"type": "auto"}, "filterable": true}),
        _ => json!({}),
    }
}

fn overrides(panel: &Panel) -> Vec<Value> {
    match panel.options.kind {
        Kind::Table => table::overrides(panel),
        _ => {
            let dashed = panel.queries.iter().zip('A'..='Z').filter(|(query, _)| query.is_dashed);
            dashed.map(|(_, id)| dash(id)).chain(panel.lines.iter().map(line)).collect()
        }
    }
}

/// The style of a query for another time.
fn dash(id: char) -> Value {
    json!({
        "matcher": {"id": "byFrameRefID", "options": id.to_string()},
        "properties": [
            {"id": "custom.lineStyle", "value": {"dash": [4, 6], "fill": "dash"}},
            {"id": "custom.fillOpacity", "value": 0},
            {"id": "custom.stacking", "value": {"group": "C", "mode": "none"}},
        ],
    })
}

/// The style of a threshold's line, whose legend is the severity. It comes and goes with the data near it, so gaps are spanned.
fn line(query: &BoardQuery) -> Value {
    let color = if query.legend == "warning" { "orange" } else { "red" };
    json!({
        "matcher": {"id": "byName", "options": query.legend},
        "properties": [
            {"id": "color", "value": {"fixedColor": color, "mode": "fixed"}},
            {"id": "custom.lineStyle", "value": {"dash": [8, 8], "fill": "dash"}},
            {"id": "custom.fillOpacity", "value": 0},
            {"id": "custom.spanNulls", "value": true},
            {"id": "custom.stacking", "value": {"group": "B", "mode": "none"}},
        ],
    })
}

fn options(panel: &Panel) -> Value {
    let last = json!({"calcs": ["lastNotNull"], "fields": "", "values": false});
    match panel.options.kind {
        Kind::Stat => json!({
            "colorMode": if panel.states.is_empty() && panel.options.bad.is_none() { "value" } else { "background" }, "graphMode": "none",
            "justifyMode": "auto", "orientation": "auto", "reduceOptions": last, "textMode": "auto", "wideLayout": true,
        }),
        Kind::Graph | Kind::Stack => json!({
            "legend": {"calcs": ["lastNotNull", "max"], "displayMode": "table", "placement": "bottom", "showLegend": true},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }),
        Kind::Table => table::options(panel),
        Kind::Timeline => json!({
            "alignValue": "left", "legend": {"displayMode": "list", "placement": "bottom", "showLegend": false},
            "mergeValues": true, "rowHeight": 0.85, "showValue": "auto", "tooltip": {"mode": "single", "sort": "none"},
        }),
        Kind::Bars => json!({
            "displayMode": "basic", "orientation": "horizontal", "reduceOptions": last, "showUnfilled": true,
            "valueMode": "color",
        }),
        Kind::Heatmap => json!({
            "calculate": false, "cellGap": 1, "color": {"exponent": 0.5, "mode": "scheme", "scheme": "Oranges", "steps": 64},
            "legend": {"show": true}, "rowsFrame": {"layout": "auto"}, "tooltip": {"mode": "single", "yHistogram": true},
            "yAxis": {"axisPlacement": "left", "unit": panel.options.unit},
        }),
    }
}
