//! A sample's value, and how it is written.

use std::fmt::{self, Write};

/// A sample's value: whole numbers stay exact.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    Int(i64),
    Float(f64),
}

impl Number {
    /// The value as a float; whole numbers above 2^53 lose their last digits.
    pub fn as_f64(self) -> f64 {
        match self {
            Number::Int(value) => value as f64,
            Number::Float(value) => value,
        }
    }

    /// Writes it as [`Number::fmt`] does, whole numbers and short fractions several times faster: they are most of a page's values.
    pub fn push_to(self, out: &mut String) {
        let whole = match self {
            Number::Int(value) => Some(value),
            // All but the negative zero, and what is written with an exponent.
            Number::Float(value) => {
                Some(value as i64).filter(|whole| value.abs() < 1e16 && (*whole as f64).to_bits() == value.to_bits())
            }
        };
        match (whole, self) {
            (Some(value), _) => out.push_str(itoa::Buffer::new().format(value)),
            (None, Number::Float(value)) if push_decimal(value, out) => (),
            (None, _) => _ = write!(out, "{self}"),
        }
    }
}

/// Writes a fraction that has no more than six digits behind the point, and 15 in all: no other decimal as short reads as the same value, so
/// this is the shortest that does.
fn push_decimal(value: f64, out: &mut String) -> bool {
    let millionths = (value.abs() * 1e6).round();
    // What is smaller is written with an exponent.
    let is_short = (10.0..1e15).contains(&millionths) && millionths / 1e6 == value.abs();
    if is_short {
        let (whole, fraction) = (millionths as u64 / 1_000_000, millionths as u64 % 1_000_000);
        let mut digits = itoa::Buffer::new();
        out.push_str(if value < 0.0 { "-" } else { "" });
        out.push_str(digits.format(whole));
        out.push('.');
        // The one in front keeps the zeros that begin the fraction.
        out.push_str(digits.format(1_000_000 + fraction)[1..].trim_end_matches('0'));
    }
    is_short
}

/// As every format writes it, as a value and as a label: `1`, `0.5`, `1e16`, `+Inf`.
impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Number::Int(value) => write!(f, "{value}"),
            Number::Float(f64::INFINITY) => f.write_str("+Inf"),
            Number::Float(f64::NEG_INFINITY) => f.write_str("-Inf"),
            // Very large and very small numbers are shorter with an exponent.
            Number::Float(value) if value != 0.0 && !(1e-5..1e16).contains(&value.abs()) => write!(f, "{value:?}"),
            Number::Float(value) => write!(f, "{value}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_written_the_same_either_way() {
        let floats = [0.0, -0.0, 1.0, -7.0, 0.1, 1e-7, 1e15, 1e16, -1e16, 9_007_199_254_740_993.0, 1e19, f64::MAX]
            .into_iter()
            .chain([f64::INFINITY, f64::NEG_INFINITY, 1_767_225_600.5, 1e-5, 9e-6, -0.000_012, 999_999_999.999_999])
            .chain((0..10_000).flat_map(|n| [1e1, 1e3, 1e6, 1e7].map(|unit| f64::from(n * 7919) / unit)))
            .chain((1..10_000).flat_map(|n| [1.0 / f64::from(n), f64::from(n).sqrt() * 1e4]));
        let numbers = floats.map(Number::Float).chain([0, -1, i64::MIN, i64::MAX].map(Number::Int));
        for number in numbers {
            let mut out = String::new();
            number.push_to(&mut out);
            assert_eq!(out, number.to_string());
        }
    }
}
