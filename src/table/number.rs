//! Numbers: the values of samples, and how they are written.

use std::fmt;
use std::io::Write;

/// A number. Whole ones stay exact.
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

    /// The number as a count; `None` if it is negative, not whole, or above 64 bits.
    pub fn as_count(self) -> Option<u64> {
        match self {
            Number::Int(value) => u64::try_from(value).ok(),
            Number::Float(value) => Some(value as u64).filter(|whole| *whole as f64 == value && *whole < u64::MAX),
        }
    }

    /// Writes the same as [`Number::fmt`]. Whole numbers and short fractions, which are most of a page's values, are
    /// several times faster.
    pub fn push_to(self, out: &mut Vec<u8>) {
        let whole = match self {
            Number::Int(value) => Some(value),
            // All but the negative zero, and what is written with an exponent.
            Number::Float(value) => {
                Some(value as i64).filter(|whole| value.abs() < 1e16 && (*whole as f64).to_bits() == value.to_bits())
            }
        };
        match (whole, self) {
            (Some(value), _) => out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes()),
            (None, Number::Float(value)) if push_decimal(value, out) => (),
            // Writing to memory does not fail.
            (None, _) => _ = write!(out, "{self}"),
        }
    }
}

/// Writes a fraction with at most six digits behind the point and 15 in all; false for others. No other decimal as
/// short reads as the same value, so this is the shortest one that does.
fn push_decimal(value: f64, out: &mut Vec<u8>) -> bool {
    let millionths = (value.abs() * 1e6).round();
    // Smaller ones are written with an exponent.
    let is_short = (10.0..1e15).contains(&millionths) && millionths / 1e6 == value.abs();
    if is_short {
        let (whole, fraction) = (millionths as u64 / 1_000_000, millionths as u64 % 1_000_000);
        let mut digits = itoa::Buffer::new();
        out.extend_from_slice(if value < 0.0 { b"-" } else { b"" });
        out.extend_from_slice(digits.format(whole).as_bytes());
        out.push(b'.');
        // The 1 in front keeps the zeros that begin the fraction.
        out.extend_from_slice(digits.format(1_000_000 + fraction)[1..].trim_end_matches('0').as_bytes());
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
            let mut out = Vec::new();
            number.push_to(&mut out);
            assert_eq!(str::from_utf8(&out), Ok(&*number.to_string()));
        }
    }

    #[test]
    fn numbers_are_as_short_as_they_can_be() {
        for (number, written) in [
            (Number::Int(-7), "-7"),
            (Number::Float(0.0), "0"),
            (Number::Float(-0.0), "-0"),
            (Number::Float(1.5), "1.5"),
            (Number::Float(-0.001_25), "-0.00125"),
            (Number::Float(1e-5), "0.00001"),
            (Number::Float(9e-6), "9e-6"),
            (Number::Float(1e15), "1000000000000000"),
            (Number::Float(1e16), "1e16"),
            (Number::Float(f64::INFINITY), "+Inf"),
            (Number::Float(f64::NEG_INFINITY), "-Inf"),
        ] {
            let mut out = b"x".to_vec();
            number.push_to(&mut out);
            assert_eq!(str::from_utf8(&out), Ok(&*format!("x{written}")));
        }
        assert_eq!([Number::Int(3).as_f64(), Number::Float(-2.5).as_f64()], [3.0, -2.5]);
    }

    /// The quick way must take all that it is for: the test above would not see it take none.
    #[test]
    fn short_fractions_are_written_the_quick_way() {
        for (value, is_short) in [
            (0.5, true),
            (-123_456.789_012, true),
            (0.000_01, true),
            (0.000_009, false),
            (0.123_456_7, false),
            (999_999_999.999_999, true),
            (1_000_000_000.000_001, false),
            (1.0 / 3.0, false),
            (f64::INFINITY, false),
        ] {
            assert_eq!(push_decimal(value, &mut Vec::new()), is_short, "{value}");
        }
    }
}
