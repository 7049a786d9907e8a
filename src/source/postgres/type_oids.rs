//! Replaces the type OIDs in column descriptions as they pass: a type that is not built in gets the OID of one that is.
//! For other types the driver would ask the server, once for each component type, and cache all answers: a malicious
//! server could keep it asking for ever.

use tokio_postgres::types::Type;

/// Stands for all types that are not built in. An enum's values are texts; other values are told apart by their bytes.
const SUBSTITUTE: &Type = &Type::ANYENUM;

const OID_BYTES: usize = 4;

/// The position in a stream of messages.
#[derive(Debug, Default)]
pub struct TypeOidRewriter {
    position: MessagePosition,
    layout: FieldLayout,
}

#[derive(Debug, Default)]
enum MessagePosition {
    /// In a message without descriptions.
    #[default]
    Elsewhere,
    /// In the number of fields, this many bytes before its end.
    Count(usize),
    Name,
    /// This many bytes after the name.
    AfterName(usize),
}

/// The layout of one column's or parameter's description.
#[derive(Clone, Copy, Debug, Default)]
struct FieldLayout {
    has_name: bool,
    /// The number of bytes after the name.
    width: usize,
    /// The offset of the OID in them.
    oid_offset: usize,
}

const COLUMN: FieldLayout = FieldLayout { has_name: true, width: 18, oid_offset: 6 };
const PARAMETER: FieldLayout = FieldLayout { has_name: false, width: OID_BYTES, oid_offset: 0 };

impl TypeOidRewriter {
    /// Starts a message with this tag.
    pub fn begin(&mut self, tag: u8) {
        (self.layout, self.position) = match tag {
            b'T' => (COLUMN, MessagePosition::Count(2)),
            b't' => (PARAMETER, MessagePosition::Count(2)),
            _ => (COLUMN, MessagePosition::Elsewhere),
        };
    }

    /// Follows the next bytes of the message, and rewrites the OIDs in them. If they end within an OID, returns the
    /// number of its bytes: these must be passed again with the rest of it.
    pub fn pass(&mut self, bytes: &mut [u8]) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &mut bytes[at..];
            at += match self.position {
                MessagePosition::Elsewhere => return 0,
                MessagePosition::Count(left) => {
                    self.position = if left > 1 { MessagePosition::Count(left - 1) } else { self.field_start() };
                    1
                }
                MessagePosition::Name => match rest.iter().position(|byte| *byte == 0) {
                    None => return 0,
                    Some(end) => {
                        self.position = MessagePosition::AfterName(0);
                        end + 1
                    }
                },
                MessagePosition::AfterName(before) if before == self.layout.oid_offset => {
                    let Some(oid) = rest.first_chunk_mut::<OID_BYTES>() else { return rest.len() };
                    if Type::from_oid(u32::from_be_bytes(*oid)).is_none() {
                        *oid = SUBSTITUTE.oid().to_be_bytes();
                    }
                    self.position = self.after_name(before + OID_BYTES);
                    OID_BYTES
                }
                MessagePosition::AfterName(before) => {
                    self.position = self.after_name(before + 1);
                    1
                }
            };
        }
        0
    }

    fn field_start(&self) -> MessagePosition {
        if self.layout.has_name { MessagePosition::Name } else { MessagePosition::AfterName(0) }
    }

    fn after_name(&self, bytes: usize) -> MessagePosition {
        if bytes < self.layout.width { MessagePosition::AfterName(bytes) } else { self.field_start() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, number: u32) -> Vec<u8> {
        [name.as_bytes(), &[0; 7], &number.to_be_bytes(), &[0xff; 8]].concat()
    }

    #[test]
    fn oids_that_are_not_built_in_are_replaced_however_the_bytes_are_cut() {
        let (substitute, array) = (SUBSTITUTE.oid(), Type::INT4_ARRAY.oid());
        let columns = |numbers: [u32; 4]| {
            let columns = ["a", "", "ccc", "d"].iter().zip(numbers).flat_map(|(name, number)| column(name, number));
            [0, 4].into_iter().chain(columns).collect::<Vec<_>>()
        };
        let parameters = |numbers: [u32; 2]| {
            [0, 2].into_iter().chain(numbers.iter().flat_map(|number| number.to_be_bytes())).collect::<Vec<_>>()
        };
        for (tag, original, expected) in [
            (b'T', columns([25, 70_000, array, u32::MAX]), columns([25, substitute, array, substitute])),
            (b't', parameters([23, 16_384]), parameters([23, substitute])),
            (b'D', columns([70_000; 4]), columns([70_000; 4])),
        ] {
            for step in 1..=original.len() {
                let (mut passing, mut passed, mut held) = (TypeOidRewriter::default(), Vec::new(), Vec::new());
                passing.begin(tag);
                for chunk in original.chunks(step) {
                    held.extend_from_slice(chunk);
                    let cut = passing.pass(&mut held);
                    let rest = held.split_off(held.len() - cut);
                    passed.append(&mut held);
                    held = rest;
                }
                assert_eq!((passed, held.len()), (expected.clone(), 0), "{tag} by {step}");
            }
        }
    }
}
