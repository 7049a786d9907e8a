//! Reads a tool's JSON leniently: a malformed value counts as absent, and is counted.

use serde_json::{Map, Value};

use crate::source::backup::problem::{BackupProblem, BackupReason};
use crate::source::backup::time;
use crate::truncate;

/// The most memory for the values of a document, without their texts, and with the texts and the document itself: 6,000
/// backups take that much in pgBackRest's JSON.
const MOST_MEMORY: usize = 40 << 20;
const MOST_TOGETHER: usize = 56 << 20;

/// The longest text. Several copies of it exist while it is read.
const LONGEST_TEXT: usize = 1 << 20;

/// A few names may not be UTF-8. More invalid bytes than this are not text, and each takes three when replaced.
const MOST_BROKEN: usize = 64 << 10;

/// The memory of a value; of a list, which has a capacity of four; and of a map, which has one of eleven, with their
/// names.
const VALUE: usize = 32;
const LIST: usize = 4 * VALUE + 16;
const MAP: usize = 11 * (VALUE + 24) + 24;

/// Go writes an unset time as this day.
const GO_UNSET_TIME: &str = "0001-01-01";

/// Reads a document, then its values one by one. A value is malformed if its type is wrong or it is impossible.
///
/// `document["info"]["size"]` is `null` if `info` is absent, or is not a map; `null` is absent everywhere.
#[derive(Debug, Default)]
pub struct JsonReader {
    /// The number of malformed values.
    pub malformed: u64,
}

impl JsonReader {
    /// Reads a document. Bytes that are not UTF-8 are replaced, and count as one malformed value.
    ///
    /// # Errors
    /// The text is not JSON, or larger than any tool's output.
    pub fn parse(&mut self, bytes: &[u8]) -> Result<Value, BackupProblem> {
        let broken: usize = bytes.utf8_chunks().map(|chunk| chunk.invalid().len()).sum();
        // The document, its texts as values, and the text with replaced bytes.
        check_size(bytes, if broken > 0 { 3 } else { 2 })?;
        match broken {
            0 => (),
            1..=MOST_BROKEN => self.malformed += 1,
            _ => return Err(BackupReason::Garbage.because("this is not text: too much of it is not UTF-8")),
        }
        let text = String::from_utf8_lossy(bytes);
        serde_json::from_str(&text).map_err(|error| {
            let begin: String = text.trim().chars().take(80).collect();
            BackupReason::Garbage.because(format!("this is not JSON ({error}): {begin:?}"))
        })
    }

    /// A non-negative number, also in quotes.
    pub fn number(&mut self, value: &Value) -> Option<f64> {
        let number = value.as_f64().or_else(|| value.as_str()?.parse().ok());
        self.checked(value, number.filter(|number| number.is_finite() && *number >= 0.0))
    }

    pub fn flag(&mut self, value: &Value) -> Option<bool> {
        self.checked(value, value.as_bool())
    }

    /// A text, cut to the length of a label; a number becomes its digits.
    pub fn text(&mut self, value: &Value) -> Option<String> {
        let text = match value {
            Value::String(text) => Some(truncate::label(text).into_owned()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        self.checked(value, text)
    }

    /// A text of digits, such as a system identifier.
    pub fn digits(&mut self, value: &Value) -> Option<String> {
        let text = self.text(value)?;
        let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        self.required(is_digits.then_some(text))
    }

    /// A time in Unix seconds, from a number or a text with its time zone.
    pub fn time(&mut self, value: &Value) -> Option<f64> {
        self.time_in(value, None)
    }

    /// The same; a text may lack a time zone if `ahead`, the seconds that the clock was ahead of UTC, is known.
    pub fn time_in(&mut self, value: &Value, ahead: Option<f64>) -> Option<f64> {
        let Some(text) = value.as_str() else {
            return self.checked(value, value.as_f64().and_then(time::sensible));
        };
        if text.starts_with(GO_UNSET_TIME) {
            return None;
        }
        let local = || Some(time::parse_local(text)? - ahead?);
        self.required(time::parse(text).or_else(local))
    }

    pub fn map<'v>(&mut self, value: &'v Value) -> Option<&'v Map<String, Value>> {
        self.checked(value, value.as_object())
    }

    pub fn list<'v>(&mut self, value: &'v Value) -> Option<&'v [Value]> {
        self.checked(value, value.as_array().map(Vec::as_slice))
    }

    /// The maps in a list; other items are malformed.
    pub fn maps<'v>(&mut self, value: &'v Value) -> Vec<&'v Value> {
        let items = self.list(value).unwrap_or_default();
        let maps: Vec<_> = items.iter().filter(|item| item.is_object()).collect();
        self.malformed += (items.len() - maps.len()) as u64;
        maps
    }

    /// A required value: if it is absent, that counts as malformed.
    pub fn required<T>(&mut self, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.malformed += 1;
        }
        value
    }

    /// Passes on the value that was read; `None` counts as malformed, unless the JSON value is `null`.
    fn checked<T>(&mut self, value: &Value, read: Option<T>) -> Option<T> {
        if value.is_null() { None } else { self.required(read) }
    }
}

/// Refuses a document that would take too much memory. `copies`: how many copies of its bytes exist at a time.
fn check_size(bytes: &[u8], copies: usize) -> Result<(), BackupProblem> {
    let (structure, longest) = needs(bytes);
    if structure > MOST_MEMORY || copies * bytes.len() + structure > MOST_TOGETHER {
        let [values, all] = [MOST_MEMORY, MOST_TOGETHER].map(|limit| limit >> 20);
        let message = format!("its values would take more than {values} MiB of memory, or {all} MiB with its texts");
        return Err(BackupReason::TooLarge.because(message));
    }
    if longest > LONGEST_TEXT {
        return Err(BackupReason::TooLarge.because(format!("a text in it is longer than {} MiB", LONGEST_TEXT >> 20)));
    }
    Ok(())
}

/// The memory that the values of a document need without their texts, if it is JSON; and its longest text's length.
fn needs(bytes: &[u8]) -> (usize, usize) {
    let (mut structure, mut longest, mut text, mut is_escaped) = (0, 0, None, false);
    for (at, byte) in bytes.iter().enumerate() {
        match (text, byte) {
            (Some(_), _) if is_escaped => is_escaped = false,
            (Some(_), b'\\') => is_escaped = true,
            (Some(begin), b'"') => {
                longest = longest.max(at - begin);
                text = None;
            }
            (None, b'"') => text = Some(at),
            (None, b',') => structure += VALUE,
            (None, b'[') => structure += LIST,
            (None, b'{') => structure += MAP,
            _ => (),
        }
    }
    (structure, longest.max(text.map_or(0, |begin| bytes.len() - begin)))
}
