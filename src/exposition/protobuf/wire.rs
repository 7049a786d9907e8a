//! Protobuf as bytes, as far as joining the messages that the library has encoded takes it.
//!
//! A message is fields, one behind another: a number and a type in one byte (numbers up to 15), then a varint, or a
//! length and so many bytes.

use crate::table::Cell;

/// The types of fields that a family consists of.
const VARINT: u8 = 0;
const BYTES: u8 = 2;

/// The fields of `LabelPair`, and that of the labels in a `Metric`.
const NAME: u8 = 1;
const VALUE: u8 = 2;
const LABEL: u8 = 1;

/// The longest varint.
const LONGEST: u32 = 10;

/// A field of a message.
pub struct Field<'a> {
    pub number: u8,
    /// With its number, type and length.
    pub whole: &'a [u8],
    /// Without them; empty for a varint.
    pub content: &'a [u8],
}

/// The fields of a message, in order, up to the first that is cut off or of another type.
pub fn fields(mut message: &[u8]) -> impl Iterator<Item = Field<'_>> {
    std::iter::from_fn(move || {
        let (tag, mut rest) = message.split_first()?;
        let number = read_varint(&mut rest)?;
        let content = match tag & 7 {
            VARINT => &[],
            BYTES => rest.split_off(..usize::try_from(number).ok()?)?,
            _ => return None,
        };
        let whole = &message[..message.len() - rest.len()];
        message = rest;
        Some(Field { number: tag >> 3, whole, content })
    })
}

/// Takes a varint off the front.
pub fn read_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for place in 0..LONGEST {
        let byte = *bytes.split_off_first()?;
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// Writes seven bits a byte, the lowest first; all bytes but the last have the highest bit.
pub fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Writes the number, type and length of a field of bytes, which come next.
pub fn push_length(out: &mut Vec<u8>, number: u8, length: usize) {
    out.push(number << 3 | BYTES);
    push_varint(out, length as u64);
}

/// Writes a label of a `Metric`. An empty one is left out, which means the same.
pub fn push_label(out: &mut Vec<u8>, name: &str, value: Cell<'_>) {
    let (name, value) = (name.as_bytes(), value.written());
    if !value.is_empty() {
        push_length(out, LABEL, length_of(name) + length_of(&value));
        push_bytes(out, NAME, name);
        push_bytes(out, VALUE, &value);
    }
}

fn push_bytes(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    push_length(out, number, bytes.len());
    out.extend_from_slice(bytes);
}

/// The bytes that [`push_bytes`] writes.
fn length_of(bytes: &[u8]) -> usize {
    let bits = usize::BITS - (bytes.len() | 1).leading_zeros();
    1 + bits.div_ceil(7) as usize + bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_varint_is_read_as_it_was_written() {
        for value in [0, 1, 127, 128, 300, 16_383, 16_384, u64::from(u32::MAX), u64::MAX] {
            let mut out = Vec::new();
            push_varint(&mut out, value);
            assert_eq!(read_varint(&mut &*out), Some(value));
            assert_eq!(read_varint(&mut &out[..out.len() - 1]), None, "{value} cut off");
        }
        assert_eq!(read_varint(&mut &[0xff; 11][..]), None);
    }

    #[test]
    fn labels_have_their_lengths() {
        for length in [1, 100, 127, 128, 200, 16_383, 16_384] {
            let mut out = Vec::new();
            push_label(&mut out, "a", Cell::Text(&"x".repeat(length)));
            let label = fields(&out).next().expect("a label");
            let parts: Vec<_> = fields(label.content).map(|part| (part.number, part.content.len())).collect();
            assert_eq!((label.whole.len(), parts), (out.len(), vec![(NAME, 1), (VALUE, length)]));
        }
    }

    #[test]
    fn a_field_that_is_cut_off_is_not_read() {
        let mut out = Vec::new();
        push_label(&mut out, "a", Cell::Int(7));
        assert_eq!(fields(&out).count(), 1);
        for end in 0..out.len() {
            assert_eq!(fields(&out[..end]).count(), 0);
        }
    }
}
