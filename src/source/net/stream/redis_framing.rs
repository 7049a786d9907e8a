//! Checks the framing of Redis' protocol (RESP2 and RESP3) as its bytes pass, so that its reader meets neither more
//! bytes nor more values than an honest answer has, nor a false length.

use std::io;

use crate::source::net::socket::protocol_error;
use crate::source::net::stranger::Stranger;

/// How many bytes may come between two requests: Redis' `INFO` is a hundred times shorter.
pub const ANSWER_LIMIT: usize = 1 << 20;

/// How many values may be announced between two requests: a reader reserves room for them before they come, and each
/// takes some 60 bytes, which are 3 in the protocol.
pub const VALUES_LIMIT: usize = 10_000;

/// The longest line. Servers send longer values as texts, whose length comes first.
const LINE_LIMIT: usize = 16 << 10;

/// The first bytes of lines that hold a value, announce a text, announce values.
const LINES: &[u8] = b"+-:_,#(";
const TEXTS: &[u8] = b"$=!";
const VALUES: &[u8] = b"*~>%|";

/// The digits of a length.
const MOST_DIGITS: usize = 10;

/// The position in the stream, and how much has come since the last request.
#[derive(Debug, Default)]
pub struct RedisFraming {
    bytes: usize,
    values: usize,
    /// Bytes still to come of what has been checked.
    passing: usize,
    /// Bytes of an incomplete line, in which there is no newline.
    searched: usize,
}

impl RedisFraming {
    /// A request begins, and its answer is counted from nothing.
    pub fn begin_request(&mut self) {
        (self.bytes, self.values) = (0, 0);
    }

    /// The values since the last request; a value within another counts when it is announced and when it comes.
    pub fn values(&self) -> usize {
        self.values
    }

    /// Checks these bytes; returns how many at their end are incomplete: they must come again, before those that
    /// follow. A text passes as its bytes come, a line when it is complete.
    ///
    /// # Errors
    /// `InvalidData`: too much, or not the protocol.
    pub fn check(&mut self, mut bytes: &[u8]) -> io::Result<usize> {
        loop {
            let step = self.passing.min(bytes.len());
            self.passing -= step;
            self.bytes += step;
            if self.bytes > ANSWER_LIMIT {
                return Err(protocol_error(format!("an answer of more than {ANSWER_LIMIT} bytes")));
            }
            if self.values > VALUES_LIMIT {
                return Err(protocol_error(format!("an answer of more than {VALUES_LIMIT} values")));
            }
            bytes = &bytes[step..];
            let Some(line) = self.line(bytes)? else { return Ok(bytes.len()) };
            self.passing = line.len() + self.count(line)?;
        }
    }

    /// The line at the beginning, if it is complete.
    fn line<'a>(&mut self, bytes: &'a [u8]) -> io::Result<Option<&'a [u8]>> {
        let Some(kind) = bytes.first() else { return Ok(None) };
        if ![LINES, TEXTS, VALUES].iter().any(|kinds| kinds.contains(kind)) {
            let who = Stranger::of(bytes).map_or("the peer", Stranger::name);
            return Err(protocol_error(format!("{who} does not speak Redis' protocol")));
        }
        let end = bytes[self.searched..].iter().position(|byte| *byte == b'\n');
        let length = end.map_or(bytes.len(), |end| self.searched + end + 1);
        if length > LINE_LIMIT {
            return Err(protocol_error(format!("a line of more than {LINE_LIMIT} bytes")));
        }
        self.searched = if end.is_some() { 0 } else { length };
        Ok(end.map(|_| &bytes[..length]))
    }

    /// Counts what a line announces; returns the length of the text that follows it.
    fn count(&mut self, line: &[u8]) -> io::Result<usize> {
        // Some readers take a bare newline for the end of a line, others do not.
        let Some([kind, digits @ ..]) = line.strip_suffix(b"\r\n") else {
            return Err(protocol_error("a line that ends in a bare newline"));
        };
        self.values += 1;
        // RESP2 writes a null like this.
        let is_null = digits == b"-1" && matches!(kind, b'$' | b'*');
        if LINES.contains(kind) || is_null {
            return Ok(0);
        }
        let digits = str::from_utf8(digits).ok().filter(|digits| digits.len() <= MOST_DIGITS);
        let announced = digits.and_then(|digits| digits.parse::<u32>().ok());
        let announced = announced.ok_or_else(|| protocol_error("a length that is not a number"))? as usize;
        match kind {
            b'%' | b'|' => self.values = self.values.saturating_add(announced.saturating_mul(2)),
            _ if VALUES.contains(kind) => self.values = self.values.saturating_add(announced),
            _ if announced > ANSWER_LIMIT => {
                return Err(protocol_error(format!(
                    "a text of {announced} bytes was announced, {ANSWER_LIMIT} is the limit"
                )));
            }
            _ => return Ok(announced + b"\r\n".len()),
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values of these bytes, which come in pieces of this length; or what is wrong with them.
    fn measured(bytes: &[u8], piece: usize) -> Result<usize, String> {
        let (mut answers, mut held) = (RedisFraming::default(), Vec::new());
        for piece in bytes.chunks(piece) {
            held.extend_from_slice(piece);
            let incomplete = answers.check(&held).map_err(|error| error.to_string())?;
            held.drain(..held.len() - incomplete);
        }
        Ok(answers.values)
    }

    #[test]
    fn values_are_counted_however_they_are_cut() {
        for (bytes, values) in [
            (&b"+OK\r\n-ERR no\r\n:-7\r\n_\r\n,1.5\r\n#t\r\n(123\r\n"[..], 7),
            (b"$3\r\n\r\n+\r\n$0\r\n\r\n$-1\r\n*-1\r\n*0\r\n", 5),
            (b"=7\r\ntxt:*9\n\r\n!5\r\nERR x\r\n", 2),
            // A list and its elements, which are counted as announced and as they come.
            (b"*2\r\n:1\r\n:2\r\n", 5),
            (b"%1\r\n+a\r\n:1\r\n|1\r\n+a\r\n:1\r\n:2\r\n", 11),
            (b">2\r\n+invalidate\r\n_\r\n~1\r\n:1\r\n", 8),
            (b"+a\rb\r\n", 1),
        ] {
            for piece in 1..=bytes.len() {
                assert_eq!(measured(bytes, piece), Ok(values), "{}", bytes.escape_ascii());
            }
        }
    }

    #[test]
    fn what_is_not_the_protocol_is_refused() {
        let long = [&b"+"[..], &[b'x'; LINE_LIMIT]].concat();
        let text = [&b"$600000\r\n"[..], &[b'x'; 600_000], b"\r\n"].concat();
        for (bytes, because) in [
            (&b"HTTP/1.1 400 Bad Request\r\n"[..], "does not speak"),
            (b"\r\n", "does not speak"),
            (b"+OK\n", "bare newline"),
            (b"\n", "does not speak"),
            (b"$x\r\n", "not a number"),
            (b"$\r\n", "not a number"),
            (b"$ 1\r\n", "not a number"),
            (b"$?\r\n", "not a number"),
            (b"*?\r\n", "not a number"),
            (b"$-2\r\n", "not a number"),
            (b"=-1\r\n", "not a number"),
            (b"%-1\r\n", "not a number"),
            (b"*1e9\r\n", "not a number"),
            (b"*9223372036854775807\r\n", "not a number"),
            (b"$0000000000000001\r\n", "not a number"),
            (b"$4294967295\r\n", "a text of 4294967295 bytes"),
            (b"*4294967295\r\n", "more than 10000 values"),
            (b"%5000\r\n", "more than 10000 values"),
            (b"|2147483648\r\n", "more than 10000 values"),
            (&b"*1\r\n".repeat(VALUES_LIMIT), "more than 10000 values"),
            (&long, "a line of more than"),
            (&text.repeat(2), "an answer of more than 1048576 bytes"),
        ] {
            for piece in [1, 2, 7, bytes.len()] {
                let shown = &bytes[..bytes.len().min(30)].escape_ascii();
                let said = measured(bytes, piece).expect_err("a refusal");
                assert!(said.contains(because), "{shown}: {said}");
            }
        }
    }

    #[test]
    fn each_request_has_an_answer_of_its_own() {
        let mut answers = RedisFraming::default();
        let (text, list) = ([&b"$1000000\r\n"[..], &[b'x'; 1_000_000], b"\r\n"].concat(), b":1\r\n".repeat(9000));
        for _ in 0..3 {
            assert!([&text, &list].iter().all(|bytes| answers.check(bytes).is_ok_and(|incomplete| incomplete == 0)));
            answers.begin_request();
        }
    }
}
