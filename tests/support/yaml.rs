//! YAML as an editor sees it: a tree whose plain scalars are typed by how they look (YAML 1.2, core schema).

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value};

/// The one document of a text. `None`: it is no YAML, or has anchors and the like, which no schema sees.
pub fn parse(text: &str) -> Option<Value> {
    let mut events = Parser::new_from_str(text).map(|event| event.ok().map(|(event, _)| event));
    let mut node = None;
    while let Some(event) = events.next() {
        match event? {
            Event::StreamStart | Event::DocumentEnd | Event::StreamEnd => {}
            Event::DocumentStart(_) if node.is_none() => {
                let first = events.next()??;
                node = Some(value(first, &mut events)?);
            }
            _ => return None,
        }
    }
    node
}

fn value<'t>(event: Event<'t>, events: &mut impl Iterator<Item = Option<Event<'t>>>) -> Option<Value> {
    Some(match event {
        Event::Scalar(text, ScalarStyle::Plain, _, None) => plain(&text),
        Event::Scalar(text, _, _, None) => Value::String(text.into_owned()),
        Event::SequenceStart(_, None) => {
            let mut items = Vec::new();
            loop {
                match events.next()?? {
                    Event::SequenceEnd => return Some(Value::Array(items)),
                    item => items.push(value(item, events)?),
                }
            }
        }
        Event::MappingStart(_, None) => {
            let mut entries = Map::new();
            loop {
                let key = match events.next()?? {
                    Event::MappingEnd => return Some(Value::Object(entries)),
                    Event::Scalar(text, ..) => text.into_owned(),
                    _ => return None,
                };
                let entry = events.next()??;
                entries.insert(key, value(entry, events)?);
            }
        }
        _ => return None,
    })
}

fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ if text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) => number(text),
        _ => Value::String(text.to_owned()),
    }
}

/// Numbers that JSON does not have stay texts, as in editors.
fn number(text: &str) -> Value {
    let whole = text.parse::<i64>().ok().map(Value::from);
    let real = || text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::from);
    whole.or_else(real).unwrap_or_else(|| Value::String(text.to_owned()))
}
