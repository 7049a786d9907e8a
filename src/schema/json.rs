//! Forms as JSON Schema, with which editors complete and explain keys and mark mistakes.
//!
//! The schema is never stricter than the loader, with two exceptions: a key without a value is marked, and so is an unquoted name
//! that looks like a number. What a schema cannot express (a column is in the example, two names are the same) is left to
//! `pgvigil check`.

use serde_json::{Map, Value, json};

use crate::schema::form::{Form, KeySpec, Shape};
use crate::schema::reader::Keys;

/// A duration as humantime reads it. A pattern cannot limit its length.
const DURATION: &str = "^0$|^\\s*([0-9][0-9\\s]*(nsec|ns|usec|us|\u{b5}s|msec|ms|seconds|second|secs|sec|s|minutes|minute|mins|\
    min|m|hours|hour|hrs|hr|h|days|day|d|weeks|week|wks|wk|w|months|month|M|years|year|yrs|yr|y)\\s*)+$";

/// A finite number in quotes.
const NUMBER: &str = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$";

/// The schema of a whole file.
pub fn document<K: Keys>(title: &str) -> String {
    let mut schema = map(K::shape());
    schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    schema["title"] = json!(title);
    format!("{schema:#}\n")
}

fn map(shape: Shape) -> Value {
    let required: Vec<_> = shape.required().collect();
    let properties: Map<_, _> = shape.keys.iter().map(|key| (key.name.to_owned(), described(key))).collect();
    let mut schema =
        json!({"type": "object", "additionalProperties": false, "required": required, "properties": properties});
    if !shape.one_of.is_empty() {
        schema["oneOf"] = shape.one_of.iter().map(|key| json!({"required": [key]})).collect();
    }
    schema
}

fn described(key: &KeySpec) -> Value {
    let mut schema = value(&key.form);
    schema["description"] = json!(key.about);
    schema
}

/// The expected type decides how a value is read: numbers may be quoted, and a text may look like a number.
fn value(form: &Form) -> Value {
    match form {
        Form::Text => json!({"type": ["string", "number", "boolean"]}),
        Form::Pattern(pattern) => json!({"type": "string", "pattern": pattern}),
        Form::Whole(least, most) => {
            let up_to = |most: i64| (0..=most).map(|number| number.to_string()).collect::<Vec<_>>().join("|");
            let quoted = match least {
                0 => r"^\+?[0-9]+$".to_owned(),
                1.. => r"^\+?0*[1-9][0-9]*$".to_owned(),
                _ => format!(r"^(\+?0*({})|-0*({}))$", up_to(*most), up_to(-*least)),
            };
            json!({"type": ["integer", "string"], "minimum": least, "maximum": most, "pattern": quoted})
        }
        Form::Number => json!({"type": ["number", "string"], "pattern": NUMBER}),
        Form::Flag => json!({"type": ["boolean", "string"], "pattern": "^(true|false)$"}),
        Form::Duration => json!({"type": ["string", "integer"], "pattern": DURATION, "minimum": 0, "maximum": 0}),
        Form::Word(words) => json!({"enum": words}),
        Form::Cell => json!({"type": ["string", "number", "boolean", "null"]}),
        Form::Map(shape) => map(shape()),
        Form::List(least, item) => json!({"type": "array", "minItems": least, "items": value(item)}),
        Form::Entries(least, pattern, item) => json!({
            "type": "object", "minProperties": least, "propertyNames": {"pattern": pattern}, "additionalProperties": value(item)
        }),
        Form::Either(all) => json!({"anyOf": all.iter().map(value).collect::<Vec<_>>()}),
    }
}
