//! Follows the descriptions of columns as their bytes pass, and gives types that are not built in the number of one that is. Of others the client
//! would ask the server, once for each type that a type is made of, and keep whatever it is told: a server that lies has no end of that.

use tokio_postgres::types::Type;

/// What stands for them: any enum. An enum's values are texts; what else is not built in is seen by its values.
const OWN: &Type = &Type::ANYENUM;

/// The bytes of a type's number.
const NUMBER: usize = 4;

/// Where in such a message the bytes are.
#[derive(Debug, Default)]
pub struct RowDescriptions {
    place: MessagePosition,
    shape: TypeLayout,
}

#[derive(Debug, Default)]
enum MessagePosition {
    /// In another message.
    #[default]
    Elsewhere,
    /// In the number of columns, of which so many bytes are to come.
    Count(usize),
    Name,
    /// So far behind the name.
    Behind(usize),
}

/// What is said of each column or parameter.
#[derive(Clone, Copy, Debug, Default)]
struct TypeLayout {
    has_name: bool,
    /// How much stands behind its name, and where in that the type.
    width: usize,
    number: usize,
}

const COLUMN: TypeLayout = TypeLayout { has_name: true, width: 18, number: 6 };
const PARAMETER: TypeLayout = TypeLayout { has_name: false, width: NUMBER, number: 0 };

impl RowDescriptions {
    /// A message of this kind begins.
    pub fn begin(&mut self, kind: u8) {
        (self.shape, self.place) = match kind {
            b'T' => (COLUMN, MessagePosition::Count(2)),
            b't' => (PARAMETER, MessagePosition::Count(2)),
            _ => (COLUMN, MessagePosition::Elsewhere),
        };
    }

    /// Follows the next bytes of the message, and changes the types in them. Of a type that is cut off they end with, so many bytes are returned: they
    /// must come again, with the rest of it.
    pub fn pass(&mut self, bytes: &mut [u8]) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &mut bytes[at..];
            at += match self.place {
                MessagePosition::Elsewhere => return 0,
                MessagePosition::Count(left) => {
                    self.place = if left > 1 { MessagePosition::Count(left - 1) } else { self.first() };
                    1
                }
                MessagePosition::Name => match rest.iter().position(|byte| *byte == 0) {
                    None => return 0,
                    Some(end) => {
                        self.place = MessagePosition::Behind(0);
                        end + 1
                    }
                },
                MessagePosition::Behind(before) if before == self.shape.number => {
                    let Some(number) = rest.first_chunk_mut::<NUMBER>() else { return rest.len() };
                    if Type::from_oid(u32::from_be_bytes(*number)).is_none() {
                        *number = OWN.oid().to_be_bytes();
                    }
                    self.place = self.behind(before + NUMBER);
                    NUMBER
                }
                MessagePosition::Behind(before) => {
                    self.place = self.behind(before + 1);
                    1
                }
            };
        }
        0
    }

    fn first(&self) -> MessagePosition {
        if self.shape.has_name { MessagePosition::Name } else { MessagePosition::Behind(0) }
    }

    fn behind(&self, bytes: usize) -> MessagePosition {
        if bytes < self.shape.width { MessagePosition::Behind(bytes) } else { self.first() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, number: u32) -> Vec<u8> {
        [name.as_bytes(), &[0; 7], &number.to_be_bytes(), &[0xff; 8]].concat()
    }

    #[test]
    fn types_that_are_not_built_in_are_named_as_one_that_is_however_they_are_cut() {
        let (own, array) = (Type::ANYENUM.oid(), Type::INT4_ARRAY.oid());
        let columns = |numbers: [u32; 4]| {
            let columns = ["a", "", "ccc", "d"].iter().zip(numbers).flat_map(|(name, number)| column(name, number));
            [0, 4].into_iter().chain(columns).collect::<Vec<_>>()
        };
        let parameters = |numbers: [u32; 2]| {
            [0, 2].into_iter().chain(numbers.iter().flat_map(|number| number.to_be_bytes())).collect::<Vec<_>>()
        };
        for (kind, said, expected) in [
            (b'T', columns([25, 70_000, array, u32::MAX]), columns([25, own, array, own])),
            (b't', parameters([23, 16_384]), parameters([23, own])),
            (b'D', columns([70_000; 4]), columns([70_000; 4])),
        ] {
            for step in 1..=said.len() {
                let (mut passing, mut passed, mut held) = (RowDescriptions::default(), Vec::new(), Vec::new());
                passing.begin(kind);
                for chunk in said.chunks(step) {
                    held.extend_from_slice(chunk);
                    let cut = passing.pass(&mut held);
                    let rest = held.split_off(held.len() - cut);
                    passed.append(&mut held);
                    held = rest;
                }
                assert_eq!((passed, held.len()), (expected.clone(), 0), "{kind} by {step}");
            }
        }
    }
}
