//! Writes the parts that only tables have: one row per set of labels, a column for each query, links to other boards.

use serde_json::{Map, Value, json};

use super::panel::mappings;
use crate::board::{BoardQuery, Column, Panel};

/// The choices that a link keeps: the label's own variable takes the clicked value.
const KEEP: &str = "${__url_time_range}&${datasource:queryparam}&${job:queryparam}&${cluster:queryparam}";

/// Joins the queries' answers, without fields that the panel does not name.
pub fn transformations(panel: &Panel) -> Value {
    let shown: Vec<&str> = columns(panel).map(|(title, _)| title).collect();
    let order: Map<_, _> = shown.iter().enumerate().map(|(at, title)| ((*title).to_owned(), json!(at))).collect();
    json!([
        {"id": "merge", "options": {}},
        {"id": "organize", "options": {"excludeByName": {}, "indexByName": {}, "renameByName": renamed(panel)}},
        {"id": "filterFieldsByName", "options": {"include": {"names": shown}}},
        {"id": "organize", "options": {"excludeByName": {}, "indexByName": order, "renameByName": {}}},
    ])
}

/// Titles, with the fields' original names: a label's name, or `Value #A`.
fn columns(panel: &Panel) -> impl Iterator<Item = (&str, String)> {
    let labels = panel.options.columns.iter().map(|column| (column.title.as_str(), column.label.clone()));
    labels.chain(panel.queries.iter().zip('A'..='Z').map(|(query, id)| (query.legend.as_str(), format!("Value #{id}"))))
}

/// If only one query has an answer, its field is called `Value`: most likely that of the first.
fn renamed(panel: &Panel) -> Map<String, Value> {
    let only = panel.queries.first().map(|query| (query.legend.as_str(), "Value".to_owned()));
    columns(panel).chain(only).map(|(title, field)| (field, json!(title))).collect()
}

pub fn overrides(panel: &Panel) -> Vec<Value> {
    panel.options.columns.iter().map(label).chain(panel.queries.iter().filter_map(own)).collect()
}

/// A label is text, whatever the unit of the panel.
fn label(column: &Column) -> Value {
    let mut properties: Vec<_> = link(column).iter().map(|link| json!({"id": "links", "value": [link]})).collect();
    properties.push(json!({"id": "unit", "value": "string"}));
    if column.is_hidden {
        properties.push(json!({"id": "custom.hidden", "value": true}));
    }
    json!({"matcher": {"id": "byName", "options": column.title}, "properties": properties})
}

/// A link to another board, or to the column's own address.
fn link(column: &Column) -> Option<Value> {
    match (column.opens.as_ref().zip(column.variable.as_ref()), &column.url) {
        (Some((uid, variable)), _) => {
            let url = format!("/d/{uid}?{KEEP}&var-{variable}=${{__value.raw}}");
            Some(json!({"title": format!("Open {uid}"), "url": url}))
        }
        (None, Some(url)) => Some(json!({"title": format!("{}: ${{__value.raw}}", column.title), "url": url})),
        (None, None) => None,
    }
}

/// The properties of a query's column that differ from the panel's.
fn own(query: &BoardQuery) -> Option<Value> {
    let mut properties: Vec<_> = query.unit.iter().map(|unit| json!({"id": "unit", "value": unit})).collect();
    if !query.states.is_empty() {
        properties.push(json!({"id": "mappings", "value": mappings(&query.states)}));
        properties.push(json!({"id": "custom.cellOptions", "value": {"mode": "basic", "type": "color-background"}}));
    }
    if query.is_hidden {
        properties.push(json!({"id": "custom.hidden", "value": true}));
    }
    let matcher = json!({"id": "byName", "options": query.legend});
    (!properties.is_empty()).then(|| json!({"matcher": matcher, "properties": properties}))
}

pub fn options(panel: &Panel) -> Value {
    let sort: Vec<_> =
        panel.options.worst.iter().map(|worst| json!({"desc": true, "displayName": worst.value})).collect();
    json!({"cellHeight": "sm", "footer": {"show": false}, "showHeader": true, "sortBy": sort})
}
