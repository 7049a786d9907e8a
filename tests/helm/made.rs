//! What is made from values.yaml: the chart's README.md and values.schema.json. `UPDATE_EXPECT=1 cargo test helm` writes them.

use std::fs;

use expect_test::expect_file;
use pgvigil::cli::export::FileKind;
use serde_json::{Map, Value, json};

use super::{
    CHART,
    values::{Key, at, defaults, is_group, keys},
};

/// Between these lines of README.md is the table.
const BEGIN: &str = "<!-- Made from values.yaml. -->\n";
const END: &str = "<!-- End of what is made. -->\n";

#[test]
fn the_readme_lists_every_key() {
    let path = format!("{CHART}/README.md");
    let text = fs::read_to_string(&path).expect("README.md");
    let (before, rest) = text.split_once(BEGIN).expect("the table's beginning");
    let (_, after) = rest.split_once(END).expect("the table's end");
    expect_file![format!("../../{path}")].assert_eq(&format!("{before}{BEGIN}{}{END}{after}", table()));
}

fn table() -> String {
    let (keys, defaults) = (keys(), defaults());
    let mut table = "| key | default | what it is for |\n|---|---|---|\n".to_owned();
    for key in &keys {
        let default = if is_group(&keys, &key.path) { String::new() } else { code(at(&defaults, &key.path)) };
        table.push_str(&format!("| `{}` | {default} | {} |\n", key.path.join("."), key.about.replace('|', "\\|")));
    }
    table
}

fn code(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) if text.is_empty() => String::new(),
        Value::String(text) => format!("`{text}`"),
        _ => format!("`{value}`"),
    }
}

#[test]
fn the_schema_knows_every_key() {
    let keys = keys();
    let mut schema = of_group(&defaults(), &mut Vec::new(), &keys);
    schema["$schema"] = "http://json-schema.org/draft-07/schema#".into();
    schema["definitions"] = json!({"settings": of_program(&FileKind::Settings.json_schema()), "web": of_program(&FileKind::Web.json_schema()), "alert": alert(), "change": closed(change())});
    let text = serde_json::to_string_pretty(&schema).expect("JSON") + "\n";
    expect_file![format!("../../{CHART}/values.schema.json")].assert_eq(&text);
}

/// The schema of a map whose keys are all known.
fn of_group(value: &Value, path: &mut Vec<String>, keys: &[Key]) -> Value {
    let mut properties = Map::new();
    for (name, inner) in value.as_object().into_iter().flatten() {
        path.push(name.clone());
        let key = keys.iter().find(|key| key.path == *path);
        let mut schema = if is_group(keys, path) { of_group(inner, path, keys) } else { of_value(inner) };
        if let (Some(key), Value::Object(schema)) = (key, &mut schema) {
            schema.insert("description".to_owned(), key.about.clone().into());
            schema.extend(key.schema.clone());
        }
        properties.insert(name.clone(), schema);
        path.pop();
    }
    closed(Value::Object(properties))
}

fn closed(properties: Value) -> Value {
    json!({"type": "object", "additionalProperties": false, "properties": properties})
}

/// What a default says of its type.
fn of_value(default: &Value) -> Value {
    match default {
        Value::Null => json!({}),
        Value::Bool(_) => json!({"type": "boolean"}),
        Value::Number(_) => json!({"type": "integer"}),
        Value::String(_) => json!({"type": "string"}),
        Value::Array(_) => json!({"type": "array"}),
        Value::Object(_) => json!({"type": "object"}),
    }
}

/// What may differ of an alert, in general and by severity.
fn alert() -> Value {
    let mut properties = change();
    for severity in ["critical", "warning", "info", "none"] {
        properties[severity] = json!({"$ref": "#/definitions/change"});
    }
    closed(properties)
}

fn change() -> Value {
    let duration = json!({"type": "string", "pattern": "^([0-9]+(ms|s|m|h|d|w|y))+$"});
    let texts = json!({"type": "object", "additionalProperties": {"type": "string"}});
    json!({
        "enabled": {"type": "boolean"}, "for": duration, "keepFiringFor": duration,
        "severity": {"type": "string", "minLength": 1}, "labels": texts, "annotations": texts,
    })
}

/// A schema of the program's, for the Helms: templates stand for any text, and patterns may not look ahead.
fn of_program(text: &str) -> Value {
    let mut schema: Value = serde_json::from_str(text).expect("JSON");
    for key in ["$schema", "title", "required"] {
        schema.as_object_mut().expect("a map").remove(key);
    }
    loosen(&mut schema);
    schema
}

fn loosen(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(loosen),
        Value::Object(entries) => {
            if let Some(Value::String(pattern)) = entries.get_mut("pattern") {
                *pattern = match pattern.contains("(?!") {
                    true => String::new(),
                    false => format!(r"{pattern}|\{{\{{"),
                };
            }
            entries.values_mut().for_each(loosen);
        }
        _ => {}
    }
}
