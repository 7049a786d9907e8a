//! Reading a tool's JSON tolerantly: what is not there is absent, what is there and odd is absent and counted.

use serde_json::Value;

use super::{
    problem::{Problem, Why},
    time,
};

/// The most memory that the values of a document may take, by what stands between them: 6,000 backups take as much in the JSON of pgBackRest.
const MOST_MEMORY: usize = 40 << 20;

/// What a value takes; a list, which has room for four; and a map, which has room for eleven, with their names.
const VALUE: usize = 32;
const LIST: usize = 4 * VALUE + 16;
const MAP: usize = 11 * (VALUE + 24) + 24;

/// A document being read; counts what is odd in it.
#[derive(Default)]
pub struct Json {
    pub odd: u64,
}

impl Json {
    /// The document. Bytes that are no UTF-8 are odd, and nothing worse.
    ///
    /// # Errors
    /// It is no JSON, or more than anybody has.
    pub fn parse(&mut self, bytes: &[u8]) -> Result<Value, Problem> {
        if memory(bytes) > MOST_MEMORY {
            let message = format!("its values would take more than {} MiB of memory", MOST_MEMORY >> 20);
            return Err(Problem::new(Why::TooLarge, message));
        }
        let text = String::from_utf8_lossy(bytes);
        self.odd += u64::from(matches!(text, std::borrow::Cow::Owned(_)));
        serde_json::from_str(&text).map_err(|error| {
            let begin: String = text.trim().chars().take(80).collect();
            Problem::new(Why::Garbage, format!("this is no JSON ({error}): {begin:?}"))
        })
    }

    /// A number that is not negative.
    pub fn number(&mut self, of: &Value, key: &str) -> Option<f64> {
        let value = present(of, key)?;
        self.or_odd(value.as_f64().filter(|number| number.is_finite() && *number >= 0.0))
    }

    /// Unix seconds, or a time as text.
    pub fn time(&mut self, of: &Value, key: &str) -> Option<f64> {
        self.time_as(of, key, time::parse)
    }

    /// Unix seconds, or a text that is read like this.
    pub fn time_as(&mut self, of: &Value, key: &str, read: impl Fn(&str) -> Option<f64>) -> Option<f64> {
        let value = present(of, key)?;
        // What Go writes for a time that is not set.
        if value.as_str().is_some_and(|text| text.starts_with("0001-01-01")) {
            return None;
        }
        let time = value.as_f64().and_then(time::sensible).or_else(|| value.as_str().and_then(read));
        self.or_odd(time)
    }

    /// A text; a number is taken as its digits.
    pub fn text(&mut self, of: &Value, key: &str) -> Option<String> {
        let text = match present(of, key)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        self.or_odd(text)
    }

    /// A text of digits, such as a system identifier; a number is taken as its digits.
    pub fn digits(&mut self, of: &Value, key: &str) -> Option<String> {
        let text = self.text(of, key)?;
        self.or_odd(Some(text).filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())))
    }

    pub fn flag(&mut self, of: &Value, key: &str) -> Option<bool> {
        let value = present(of, key)?;
        self.or_odd(value.as_bool())
    }

    /// The items of a list; none where there is none.
    pub fn list<'v>(&mut self, of: &'v Value, key: &str) -> &'v [Value] {
        let items = present(of, key).and_then(|value| self.or_odd(value.as_array()));
        items.map_or(&[], Vec::as_slice)
    }

    /// What was asked for, or one more that is odd.
    pub fn or_odd<T>(&mut self, value: Option<T>) -> Option<T> {
        self.odd += u64::from(value.is_none());
        value
    }
}

/// What the values of a document take once they are read, but for their texts.
fn memory(bytes: &[u8]) -> usize {
    let of = |byte: &u8| match byte {
        b',' => VALUE,
        b'[' => LIST,
        b'{' => MAP,
        _ => 0,
    };
    bytes.iter().map(of).sum()
}

fn present<'v>(of: &'v Value, key: &str) -> Option<&'v Value> {
    of.get(key).filter(|value| !value.is_null())
}
