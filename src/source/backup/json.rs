//! A tool's JSON, read into structs tolerantly: what is not there is absent, what is there and odd is absent and counted.

use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    source::backup::{
        problem::{BackupProblem, BackupReason},
        time,
    },
    truncate,
};

/// The most memory that the values of a document may take, by what stands between them, and with it and its texts: 6,000 backups take as much in the JSON
/// of pgBackRest.
const MOST_MEMORY: usize = 40 << 20;
const MOST_TOGETHER: usize = 56 << 20;

/// The longest text, which is there several times while it is read.
const LONGEST_TEXT: usize = 1 << 20;

/// More bytes that are not UTF-8 are more than a name or two: each becomes three.
const MOST_BROKEN: usize = 64 << 10;

/// What a value takes; a list, which has room for four; and a map, which has room for eleven, with their names.
const VALUE: usize = 32;
const LIST: usize = 4 * VALUE + 16;
const MAP: usize = 11 * (VALUE + 24) + 24;

/// Reads a document. Bytes that are not UTF-8 are odd, and nothing worse.
///
/// # Errors
/// It is not JSON, or more than anybody has.
pub fn parse<T: DeserializeOwned>(bytes: &[u8], odd: &mut Malformed) -> Result<T, BackupProblem> {
    let too_large = |message: String| Err(BackupProblem::new(BackupReason::TooLarge, message));
    let Needs { structure, longest } = Needs::of(bytes);
    let broken: usize = bytes.utf8_chunks().map(|chunk| chunk.invalid().len()).sum();
    // The bytes, their texts as values, and all of them with bad bytes replaced.
    let copies = if broken > 0 { 3 } else { 2 };
    if structure > MOST_MEMORY || copies * bytes.len() + structure > MOST_TOGETHER {
        let [values, together] = [MOST_MEMORY, MOST_TOGETHER].map(|limit| limit >> 20);
        return too_large(format!(
            "its values would take more than {values} MiB of memory, or {together} MiB with it and its texts"
        ));
    }
    if longest > LONGEST_TEXT {
        return too_large(format!("a text in it is longer than {} MiB", LONGEST_TEXT >> 20));
    }
    match broken {
        0 => (),
        1..=MOST_BROKEN => odd.0 += 1,
        _ => return Err(BackupProblem::new(BackupReason::Garbage, "this is not a text: too much of it is not UTF-8")),
    }
    let text = String::from_utf8_lossy(bytes);
    serde_json::from_str(&text).map_err(|error| {
        let begin: String = text.trim().chars().take(80).collect();
        BackupProblem::new(BackupReason::Garbage, format!("this is not JSON ({error}): {begin:?}"))
    })
}

/// What stands at a key. `null` is absent.
#[derive(Debug, Default, PartialEq)]
pub enum Lenient<T> {
    #[default]
    Absent,
    /// Something else than should be there.
    Odd,
    Known(T),
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Value::deserialize(deserializer)? {
            Value::Null => Lenient::Absent,
            value => read(value).map_or(Lenient::Odd, Lenient::Known),
        })
    }
}

/// Structs would be read from lists too, in the order of their fields.
fn read<T: DeserializeOwned>(value: Value) -> Option<T> {
    if value.is_array() { None } else { T::deserialize(value).ok() }
}

impl<T> Lenient<T> {
    pub fn known(&self) -> Option<&T> {
        if let Lenient::Known(value) = self { Some(value) } else { None }
    }

    fn into_known(self) -> Option<T> {
        if let Lenient::Known(value) = self { Some(value) } else { None }
    }
}

/// For a field that is a map: where it is something else or absent, so is all that is in it.
///
/// # Errors
/// The document is not JSON.
pub fn map<'de, T: DeserializeOwned + Default, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Lenient::deserialize(deserializer)?.into_known().unwrap_or_default())
}

/// The items of a list that could be read.
#[derive(Debug)]
pub struct LenientList<T> {
    /// There is a list.
    pub is_there: bool,
    pub items: Vec<T>,
    /// How many items could not be read; 1 where something else is than a list.
    pub odd: usize,
}

impl<T> Default for LenientList<T> {
    fn default() -> Self {
        LenientList { is_there: false, items: Vec::new(), odd: 0 }
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for LenientList<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut list = LenientList::default();
        match Value::deserialize(deserializer)? {
            Value::Null => {}
            Value::Array(values) => {
                (list.is_there, list.odd) = (true, values.len());
                list.items.extend(values.into_iter().filter_map(read));
                list.odd -= list.items.len();
            }
            _ => list.odd = 1,
        }
        Ok(list)
    }
}

/// How many values were odd.
#[derive(Debug, Default, PartialEq)]
pub struct Malformed(pub u64);

impl Malformed {
    /// The value, if it is as it should be.
    pub fn read<T: Clone>(&mut self, value: &Lenient<T>) -> Option<T> {
        if matches!(value, Lenient::Odd) {
            self.0 += 1;
        }
        value.known().cloned()
    }

    pub fn number(&mut self, value: &Lenient<LenientNumber>) -> Option<f64> {
        self.read(value).map(|LenientNumber(number)| number)
    }

    pub fn text(&mut self, value: &Lenient<Text>) -> Option<String> {
        self.read(value).map(|Text(text)| text)
    }

    pub fn digits(&mut self, value: &Lenient<Digits>) -> Option<String> {
        self.read(value).map(|Digits(digits)| digits)
    }

    /// Unix seconds.
    pub fn time(&mut self, value: &Lenient<Time>) -> Option<f64> {
        self.time_in(value, None)
    }

    /// The same, where clocks are known to be so many seconds ahead of UTC; if that is not known, a time on them is odd.
    pub fn time_in(&mut self, value: &Lenient<Time>, ahead: Option<f64>) -> Option<f64> {
        match self.read(value)? {
            Time::Unix(seconds) => Some(seconds),
            Time::Wall(seconds) => self.needed(ahead.map(|ahead| seconds - ahead)),
            Time::Unset => None,
        }
    }

    /// The items of a list; none where there is no list.
    pub fn list<'l, T>(&mut self, list: &'l LenientList<T>) -> &'l [T] {
        self.0 += list.odd as u64;
        &list.items
    }

    /// What must be there: that it is not is odd.
    pub fn needed<T>(&mut self, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.0 += 1;
        }
        value
    }
}

/// A number that is not negative; in quotes too.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(try_from = "Value")]
pub struct LenientNumber(pub f64);

impl TryFrom<Value> for LenientNumber {
    type Error = &'static str;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        let number = value.as_f64().or_else(|| value.as_str()?.parse().ok());
        number.filter(|number| number.is_finite() && *number >= 0.0).map(LenientNumber).ok_or("not a number")
    }
}

/// A text, no longer than that of a label; a number is taken as its digits.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(try_from = "Value")]
pub struct Text(pub String);

impl TryFrom<Value> for Text {
    type Error = &'static str;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        match value {
            Value::String(text) => Ok(Text(truncate::label(&text).into_owned())),
            Value::Number(number) => Ok(Text(number.to_string())),
            _ => Err("not a text"),
        }
    }
}

/// A text of digits, such as a system identifier; a number is taken as its digits.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(try_from = "Text")]
pub struct Digits(pub String);

impl TryFrom<Text> for Digits {
    type Error = &'static str;

    fn try_from(Text(text): Text) -> Result<Self, Self::Error> {
        let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        is_digits.then_some(Digits(text)).ok_or("not digits")
    }
}

/// A time, in seconds.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(try_from = "Value")]
pub enum Time {
    /// Unix seconds, as a number or of a text.
    Unix(f64),
    /// On somebody's clock, whose zone is not told.
    Wall(f64),
    /// What Go writes for a time that is not set.
    Unset,
}

impl TryFrom<Value> for Time {
    type Error = &'static str;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        let of_text = |text: &str| match text.starts_with("0001-01-01") {
            true => Some(Time::Unset),
            false => time::parse(text).map(Time::Unix).or_else(|| time::on_the_wall(text).map(Time::Wall)),
        };
        let of_number = value.as_f64().and_then(time::sensible).map(Time::Unix);
        of_number.or_else(|| of_text(value.as_str()?)).ok_or("not a time")
    }
}

impl Time {
    pub fn wall(self) -> Option<f64> {
        if let Time::Wall(seconds) = self { Some(seconds) } else { None }
    }
}

/// What it takes to read a document, as far as it is one.
#[derive(Default)]
struct Needs {
    /// The memory of its values, but for their texts.
    structure: usize,
    /// The bytes of the longest text, as it is written.
    longest: usize,
}

impl Needs {
    fn of(bytes: &[u8]) -> Needs {
        let (mut needs, mut text, mut is_escaped) = (Needs::default(), None, false);
        for (at, byte) in bytes.iter().enumerate() {
            match (text, byte) {
                (Some(_), _) if is_escaped => is_escaped = false,
                (Some(_), b'\\') => is_escaped = true,
                (Some(begin), b'"') => {
                    needs.longest = needs.longest.max(at - begin);
                    text = None;
                }
                (None, b'"') => text = Some(at),
                (None, b',') => needs.structure += VALUE,
                (None, b'[') => needs.structure += LIST,
                (None, b'{') => needs.structure += MAP,
                _ => (),
            }
        }
        needs.longest = needs.longest.max(text.map_or(0, |begin| bytes.len() - begin));
        needs
    }
}
