//! Decodes PostgreSQL's binary values into cells. Two different names stay different, whatever their bytes.

use std::error::Error;
use std::fmt::Write;

use tokio_postgres::types::{FromSql, Type};
use tokio_postgres::{Column, Row};

use crate::source::charset::Charset;
use crate::source::fetch::{FetchError, Reason};
use crate::table::native::NativeBuckets;
use crate::table::{Cell, Table};

/// PostgreSQL's times count from 2000-01-01.
const EPOCH_2000: f64 = 946_684_800.0;

/// How a column's bytes are read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Decoder {
    /// A whole number, or a flag as 0 or 1.
    Signed,
    Unsigned,
    Float,
    Numeric,
    Text(Charset),
    /// A type that is not built in: its bytes must look like text.
    NotBuiltIn(Charset),
    /// Native buckets in text form; any other text stays a text.
    Native(Charset),
    /// Seconds since 1970-01-01.
    Timestamp,
    /// Midnight, in seconds since 1970-01-01.
    Date,
    /// Seconds; a month is 30 days.
    Interval,
}

impl Decoder {
    /// The decoder of a column. Native buckets have their own: a plain text would be cut to the length of a label.
    ///
    /// # Errors
    /// The column's type must be cast.
    pub fn of(column: &Column, charset: Charset, is_native: bool) -> Result<Self, FetchError> {
        Ok(match *column.type_() {
            Type::BOOL | Type::INT2 | Type::INT4 | Type::INT8 => Decoder::Signed,
            Type::OID | Type::XID | Type::CID | Type::XID8 | Type::PG_LSN => Decoder::Unsigned,
            Type::FLOAT4 | Type::FLOAT8 => Decoder::Float,
            Type::NUMERIC => Decoder::Numeric,
            Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::CHAR | Type::UNKNOWN => match is_native {
                true => Decoder::Native(charset),
                false => Decoder::Text(charset),
            },
            Type::TIMESTAMP | Type::TIMESTAMPTZ => Decoder::Timestamp,
            Type::DATE => Decoder::Date,
            Type::INTERVAL => Decoder::Interval,
            // The stream substitutes it for all types that are not built in. A domain arrives as its base type.
            Type::ANYENUM => Decoder::NotBuiltIn(charset),
            ref kind => return Err(to_be_cast(column.name(), &format!("the type {kind}"))),
        })
    }
}

fn to_be_cast(column: &str, kind: &str) -> FetchError {
    let message = format!("column \"{column}\" has {kind}; cast it to text, a number or a timestamp");
    FetchError::new(Reason::Columns, message)
}

/// The bytes of a value.
pub struct RawValue<'a>(pub &'a [u8]);

impl<'a> FromSql<'a> for RawValue<'a> {
    fn from_sql(_: &Type, bytes: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(RawValue(bytes))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// Appends one row. A value of the wrong length, which no server sends, is absent.
///
/// # Errors
/// A value of a type that is not built in is not text.
pub fn push_row(table: &mut Table, row: &Row, decoders: &[(usize, Decoder)]) -> Result<(), FetchError> {
    for (index, decoder) in decoders {
        let Ok(Some(RawValue(bytes))) = row.try_get(*index) else {
            table.push(Cell::Absent);
            continue;
        };
        if matches!(decoder, Decoder::NotBuiltIn(_)) && bytes.iter().any(u8::is_ascii_control) {
            let column = row.columns().get(*index).map_or("", Column::name);
            return Err(to_be_cast(column, "a type that is not built in"));
        }
        push(table, bytes, *decoder);
    }
    Ok(())
}

fn push(table: &mut Table, bytes: &[u8], decoder: Decoder) {
    table.push(match decoder {
        Decoder::Text(charset) | Decoder::NotBuiltIn(charset) => return table.push(Cell::Text(&charset.text(bytes))),
        Decoder::Native(charset) => return push_native(table, &charset.text(bytes)),
        Decoder::Signed => signed(bytes).into(),
        Decoder::Unsigned => unsigned(bytes).into(),
        Decoder::Float => float(bytes).into(),
        Decoder::Numeric => numeric(bytes).into(),
        Decoder::Timestamp => timestamp(bytes).into(),
        Decoder::Date => date(bytes).into(),
        Decoder::Interval => interval(bytes).into(),
    });
}

fn push_native(table: &mut Table, text: &str) {
    match NativeBuckets::parse(0, text) {
        Some(native) => table.push(Cell::Buckets(&native.cell())),
        None => table.push(Cell::Text(text)),
    }
}

fn signed(bytes: &[u8]) -> Option<i64> {
    Some(match bytes.len() {
        1 => bytes[0] as i8 as i64,
        2 => i16::from_be_bytes(bytes.try_into().ok()?) as i64,
        4 => i32::from_be_bytes(bytes.try_into().ok()?) as i64,
        8 => i64::from_be_bytes(bytes.try_into().ok()?),
        _ => return None,
    })
}

fn unsigned(bytes: &[u8]) -> Option<Cell<'static>> {
    let value = match bytes.len() {
        4 => u32::from_be_bytes(bytes.try_into().ok()?) as u64,
        8 => u64::from_be_bytes(bytes.try_into().ok()?),
        _ => return None,
    };
    Some(i64::try_from(value).map_or(Cell::Float(value as f64), Cell::Int))
}

fn float(bytes: &[u8]) -> Option<f64> {
    match bytes.len() {
        4 => Some(f32::from_be_bytes(bytes.try_into().ok()?) as f64),
        8 => Some(f64::from_be_bytes(bytes.try_into().ok()?)),
        _ => None,
    }
}

/// `infinity` and `-infinity` are not points in time, so they are absent.
fn timestamp(bytes: &[u8]) -> Option<f64> {
    match signed(bytes)? {
        i64::MIN | i64::MAX => None,
        micros => Some(EPOCH_2000 + micros as f64 / 1e6),
    }
}

fn date(bytes: &[u8]) -> Option<f64> {
    match i32::try_from(signed(bytes)?).ok()? {
        i32::MIN | i32::MAX => None,
        days => Some(EPOCH_2000 + f64::from(days) * 86_400.0),
    }
}

fn interval(bytes: &[u8]) -> Option<f64> {
    let (micros, rest) = bytes.split_at_checked(8)?;
    let (days, months) = rest.split_at_checked(4)?;
    let (micros, days, months) = (signed(micros)?, signed(days)?, signed(months)?);
    // `infinity` and `-infinity`, from PostgreSQL 17 on.
    if [i64::MIN, i64::MAX].contains(&micros) && [i32::MIN.into(), i32::MAX.into()].contains(&days) {
        return None;
    }
    let days = days + 30 * months;
    Some(micros as f64 / 1e6 + days as f64 * 86_400.0)
}

/// The maximum of digit groups: further ones are beyond the precision of a number, and ignored.
const MAX_DIGITS: usize = 100;

/// Digits in base 10,000 with a weight, a sign and a scale; whole numbers stay exact where they fit.
fn numeric(bytes: &[u8]) -> Option<Cell<'static>> {
    let (head, digits) = bytes.split_at_checked(8)?;
    let field = |at: usize| i16::from_be_bytes([head[at], head[at + 1]]);
    let (weight, sign) = (field(2), field(4) as u16);
    match sign {
        0xC000 => return Some(Cell::Float(f64::NAN)),
        0xD000 => return Some(Cell::Float(f64::INFINITY)),
        0xF000 => return Some(Cell::Float(f64::NEG_INFINITY)),
        _ => (),
    }
    let mut text = String::from(if sign == 0x4000 { "-0" } else { "0" });
    let digits = digits.chunks_exact(2).take(MAX_DIGITS).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    // Mantissa and exponent: the last digit group stands for 10000^(weight - count + 1).
    let zeros = i32::from(weight) - digits.len() as i32 + 1;
    digits.for_each(|digit| _ = write!(text, "{digit:04}"));
    match zeros {
        0..=4 => text.push_str(&"0000".repeat(zeros as usize)),
        _ => _ = write!(text, "e{}", zeros * 4),
    }
    text.parse().map(Cell::Int).or_else(|_| text.parse().map(Cell::Float)).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::source::postgres::fake_server::{self, FakeReply};

    #[test]
    fn more_digits_than_a_number_has_are_left_out() {
        let digits = vec![1234; 30_000];
        for weight in [0, 5, i16::MAX] {
            let (long, short) = (numeric_bytes(weight, 0, &digits), numeric_bytes(weight, 0, &digits[..MAX_DIGITS]));
            assert_eq!(numeric(&long), numeric(&short), "{weight}");
        }
    }

    fn numeric_bytes(weight: i16, sign: u16, digits: &[i16]) -> Vec<u8> {
        let head = [digits.len() as i16, weight, sign as i16, 0];
        head.iter().chain(digits).flat_map(|field| field.to_be_bytes()).collect()
    }

    #[test]
    fn numerics() {
        for (weight, sign, digits, expected) in [
            (0, 0, &[][..], Cell::Int(0)),
            (0, 0, &[42], Cell::Int(42)),
            (0, 0x4000, &[42], Cell::Int(-42)),
            (1, 0, &[12, 3456], Cell::Int(123_456)),
            (2, 0, &[1], Cell::Int(100_000_000)),
            (0, 0, &[1, 5000], Cell::Float(1.5)),
            (-1, 0, &[25], Cell::Float(0.0025)),
            (4, 0, &[922, 3372, 368, 5477, 5807], Cell::Int(i64::MAX)),
            (4, 0, &[922, 3372, 368, 5477, 5808], Cell::Float(9223372036854775808.0)),
            (0, 0xD000, &[], Cell::Float(f64::INFINITY)),
            (0, 0xF000, &[], Cell::Float(f64::NEG_INFINITY)),
            (4, 0, &[1], Cell::Int(10_000_000_000_000_000)),
            (5, 0, &[1], Cell::Float(1e20)),
            (-2, 0x4000, &[5], Cell::Float(-5e-8)),
        ] {
            assert_eq!(numeric(&numeric_bytes(weight, sign, digits)), Some(expected));
        }
        assert!(matches!(numeric(&numeric_bytes(0, 0xC000, &[])), Some(Cell::Float(value)) if value.is_nan()));
    }

    #[test]
    fn native_buckets_are_as_long_as_there_are_buckets() {
        let text = (1..=300).map(|n| format!("{n}:{n}")).collect::<Vec<_>>().join(" ");
        let decoder = Decoder::Native(Charset::of("UTF8"));
        let mut table = Table::new(["n"]);
        for text in [&text, "zero:2 5:1", "", "many"] {
            push(&mut table, text.as_bytes(), decoder);
        }
        let Cell::Buckets(buckets) = table.cell(0, 0) else { panic!("{:?}", table.cell(0, 0)) };
        assert_eq!((buckets.len(), buckets[299]), (300, (300, 300)));
        let others = [1, 2, 3].map(|row| table.cell(row, 0));
        assert_eq!(
            others,
            [Cell::Buckets(&[(crate::table::native::ZERO, 2), (5, 1)]), Cell::Buckets(&[]), Cell::Text("many")]
        );
    }

    #[tokio::test]
    async fn values_of_each_type_become_cells() {
        const DAY: i64 = 86_400_000_000;
        let interval = |micros: i64, days: i32, months: i32| {
            [&micros.to_be_bytes()[..], &days.to_be_bytes(), &months.to_be_bytes()].concat()
        };
        let cases = [
            (Type::BOOL, vec![1], Cell::Int(1)),
            (Type::INT2, (-2_i16).to_be_bytes().into(), Cell::Int(-2)),
            (Type::INT4, (-3_i32).to_be_bytes().into(), Cell::Int(-3)),
            (Type::INT8, i64::MIN.to_be_bytes().into(), Cell::Int(i64::MIN)),
            (Type::INT8, vec![0; 3], Cell::Absent),
            (Type::OID, u32::MAX.to_be_bytes().into(), Cell::Int(4_294_967_295)),
            (Type::XID, 7_u32.to_be_bytes().into(), Cell::Int(7)),
            (Type::XID8, u64::MAX.to_be_bytes().into(), Cell::Float(18_446_744_073_709_551_615.0)),
            (Type::PG_LSN, 9_u64.to_be_bytes().into(), Cell::Int(9)),
            (Type::OID, vec![0; 3], Cell::Absent),
            (Type::FLOAT4, 1.5_f32.to_be_bytes().into(), Cell::Float(1.5)),
            (Type::FLOAT8, (-2.5_f64).to_be_bytes().into(), Cell::Float(-2.5)),
            (Type::FLOAT8, vec![0; 3], Cell::Absent),
            (Type::NUMERIC, numeric_bytes(0, 0, &[42]), Cell::Int(42)),
            (Type::NUMERIC, vec![0; 3], Cell::Absent),
            (Type::TEXT, "größe".into(), Cell::Text("größe")),
            (Type::NAME, "name\n".into(), Cell::Text("name\n")),
            (Type::ANYENUM, "state".into(), Cell::Text("state")),
            (Type::TIMESTAMPTZ, 1_500_000_i64.to_be_bytes().into(), Cell::Float(946_684_801.5)),
            (Type::TIMESTAMP, i64::MAX.to_be_bytes().into(), Cell::Absent),
            (Type::TIMESTAMP, i64::MIN.to_be_bytes().into(), Cell::Absent),
            (Type::DATE, 2_i32.to_be_bytes().into(), Cell::Float(946_857_600.0)),
            (Type::DATE, i32::MAX.to_be_bytes().into(), Cell::Absent),
            (Type::DATE, i32::MIN.to_be_bytes().into(), Cell::Absent),
            (Type::INTERVAL, interval(2_500_000, 3, 2), Cell::Float(2.5 + 63.0 * 86_400.0)),
            (Type::INTERVAL, interval(DAY, 0, 0), Cell::Float(86_400.0)),
            (Type::INTERVAL, interval(i64::MAX, i32::MAX, i32::MAX), Cell::Absent),
            (Type::INTERVAL, interval(i64::MIN, i32::MIN, i32::MIN), Cell::Absent),
            (Type::INTERVAL, interval(1_000_000, i32::MAX, 0), Cell::Float(1.0 + f64::from(i32::MAX) * 86_400.0)),
            (Type::INTERVAL, vec![0; 9], Cell::Absent),
        ];
        let (columns, values): (Vec<_>, Vec<_>) =
            cases.iter().map(|(kind, bytes, _)| (("c", kind.clone()), Some(bytes.clone()))).unzip();
        let (columns, values) = ([columns, vec![("c", Type::TEXT)]].concat(), [values, vec![None]].concat());
        let script = move |_: &str| FakeReply::Rows(columns.clone(), vec![values.clone()]);
        let client = fake_server::client(Arc::new(script)).await.expect("the login works");
        let rows = client.query("SELECT", &[]).await.expect("rows");
        let decoder = |column| Decoder::of(column, Charset::of("UTF8"), false).expect("all types are known");
        let decoders: Vec<_> = rows[0].columns().iter().map(decoder).enumerate().collect();
        let mut table = Table::new(vec!["c"; cases.len() + 1]);
        push_row(&mut table, &rows[0], &decoders).expect("all values are read");
        for (at, (kind, bytes, expected)) in cases.iter().enumerate() {
            assert_eq!(table.cell(0, at), *expected, "{kind} {bytes:?}");
        }
        assert_eq!(table.cell(0, cases.len()), Cell::Absent);
    }

    #[tokio::test]
    async fn types_that_are_not_built_in_must_be_texts() {
        let reply = |_: &str| {
            FakeReply::Rows(vec![("a", Type::INT4), ("b", Type::ANYENUM)], vec![vec![None, Some(vec![0, 1])]])
        };
        let client = fake_server::client(Arc::new(reply)).await.expect("the login works");
        let rows = client.query("SELECT", &[]).await.expect("rows");
        let decoder = Decoder::of(&rows[0].columns()[1], Charset::default(), false).expect("a known type");
        let decoders = [(1, decoder)];
        assert_eq!(decoders, [(1, Decoder::NotBuiltIn(Charset::default()))]);
        let error = push_row(&mut Table::new(["b"]), &rows[0], &decoders).expect_err("it is not a text").to_string();
        assert!(error.starts_with("column \"b\" has a type that is not built in"), "{error}");
    }
}
