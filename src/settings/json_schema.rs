//! The shapes as JSON Schema, for editors: what completes keys, explains them and marks what is wrong.
//!
//! Never stricter than the loader, but for two things: a key with nothing after it is marked, and so is a name that
//! looks like a number and is not quoted. What a schema cannot say (that a column is in the example, that two names are
//! the same) is left to `pgvigil check`.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::{
    schema::shape::{Is, KeySpec, Shape},
    settings::{load, web},
};

/// A duration as humantime reads it; how long it is, a pattern cannot say.
const DURATION: &str = "^0$|^\\s*([0-9][0-9\\s]*(nsec|ns|usec|us|\u{b5}s|msec|ms|seconds|second|secs|sec|s|minutes|minute|mins|\
    min|m|hours|hour|hrs|hr|h|days|day|d|weeks|week|wks|wk|w|months|month|M|years|year|yrs|yr|y)\\s*)+$";

/// A finite number in quotes.
const NUMBER: &str = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$";

/// Of a collector file.
pub fn collector() -> String {
    document("A collector of pgvigil", &crate::collector::load::COLLECTOR)
}

/// Of the settings file.
pub fn settings() -> String {
    document("The settings of pgvigil", &load::SETTINGS)
}

/// Of the web configuration.
pub fn web() -> String {
    document("The web configuration of pgvigil", &web::WEB)
}

fn document(title: &str, shape: &Shape) -> String {
    let mut schema = map(shape);
    schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    schema["title"] = json!(title);
    format!("{schema:#}\n")
}

fn map(shape: &Shape) -> Value {
    let properties: Map<_, _> =
        shape.needs.iter().chain(shape.may).map(|key| (key.name.to_owned(), described(key))).collect();
    let needs: Vec<_> = shape.needs.iter().map(|key| key.name).collect();
    json!({"type": "object", "additionalProperties": false, "required": needs, "properties": properties})
}

fn described(key: &KeySpec) -> Value {
    let mut schema = value(&key.is);
    schema["description"] = json!(key.about);
    schema
}

/// A value is typed by what is expected of it: numbers may be quoted, and a text may look like a number.
fn value(is: &Is) -> Value {
    match is {
        Is::Text => json!({"type": ["string", "number", "boolean"]}),
        Is::Form(form) => json!({"type": "string", "pattern": form}),
        Is::Whole(least, most) => {
            let quoted = if *least == 0 { r"^\+?[0-9]+$" } else { r"^\+?0*[1-9][0-9]*$" };
            json!({"type": ["integer", "string"], "minimum": least, "maximum": most, "pattern": quoted})
        }
        Is::Signed(least, most) => {
            let up_to = |most: i32| (0..=most).map(|number| number.to_string()).collect::<Vec<_>>().join("|");
            let quoted = format!(r"^(\+?0*({})|-0*({}))$", up_to(*most), up_to(-*least));
            json!({"type": ["integer", "string"], "minimum": least, "maximum": most, "pattern": quoted})
        }
        Is::Number => json!({"type": ["number", "string"], "pattern": NUMBER}),
        Is::Flag => json!({"type": ["boolean", "string"], "pattern": "^(true|false)$"}),
        Is::Duration => json!({"type": ["string", "integer"], "pattern": DURATION, "minimum": 0, "maximum": 0}),
        Is::Word(words) => json!({"enum": words}),
        Is::Name(names) => json!({"enum": names().into_iter().collect::<BTreeSet<_>>()}),
        Is::Cell => json!({"type": ["string", "number", "boolean", "null"]}),
        Is::Map(shape) => map(shape),
        Is::OneOf(shape, keys) => {
            let mut schema = map(shape);
            schema["oneOf"] = keys.iter().map(|key| json!({"required": [key]})).collect();
            schema
        }
        Is::List(least, item) => json!({"type": "array", "minItems": least, "items": value(item)}),
        Is::Entries(least, form, item) => json!({
            "type": "object", "minProperties": least, "propertyNames": {"pattern": form}, "additionalProperties": value(item)
        }),
        Is::Either(all) => json!({"anyOf": all.iter().map(value).collect::<Vec<_>>()}),
    }
}
