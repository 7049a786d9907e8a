//! Limits how many different parameters a server may report during a session, because the driver keeps each of them.

use std::collections::HashSet;
use std::hash::{BuildHasher, DefaultHasher, Hasher, RandomState};
use std::io;

use crate::source::net::socket::protocol_error;

/// A server reports some 20, and those that its extensions add.
const MOST: usize = 100;

/// The names that have been reported, as hashes, and the name that is being reported.
#[derive(Debug, Default)]
pub struct ParameterLimit {
    known: HashSet<u64>,
    hashing: RandomState,
    /// The hash of the present name so far.
    name: Option<DefaultHasher>,
}

impl ParameterLimit {
    /// A message of this kind begins.
    pub fn begin(&mut self, kind: u8) {
        self.name = (kind == b'S').then(|| self.hashing.build_hasher());
    }

    /// Follows the next bytes of the message.
    ///
    /// # Errors
    /// There are too many parameters.
    pub fn pass(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(name) = &mut self.name else { return Ok(()) };
        let end = bytes.iter().position(|byte| *byte == 0);
        name.write(&bytes[..end.unwrap_or(bytes.len())]);
        if end.is_some() {
            self.known.insert(name.finish());
            self.name = None;
        }
        if self.known.len() > MOST {
            return Err(protocol_error(format!("more than {MOST} parameters")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_may_change_and_not_become_more_and_more() {
        for step in [1, 3, 100] {
            let mut parameters = ParameterLimit::default();
            let mut report = |kind, text: &str| -> bool {
                parameters.begin(kind);
                text.as_bytes().chunks(step).all(|chunk| parameters.pass(chunk).is_ok())
            };
            assert!((0..1000).all(|nth| report(b'S', &format!("search_path\0{nth}\0"))));
            assert!((0..1000).all(|nth| report(b'N', &format!("{nth}\0"))));
            assert!((1..MOST).all(|nth| report(b'S', &format!("p{nth}\0x\0"))));
            assert!(!report(b'S', "one_more\0\0"), "by {step}");
        }
    }
}
