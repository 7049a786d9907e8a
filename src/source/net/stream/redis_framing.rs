//! Checks the framing of Redis' protocol (RESP2 and RESP3) as its bytes pass, so that its reader meets neither more
//! bytes nor more values than an honest answer has, nor a false length.

use std::io;

use crate::source::net::socket::protocol_error;

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

/// A line with a length: its kind, up to 10 digits, the end of the line.
const HEAD: usize = 13;

/// The position in the stream, and how much has come since the last request.
#[derive(Debug, Default)]
pub struct RedisFraming {
    bytes: usize,
    values: usize,
    /// How the present line begins.
    head: [u8; HEAD],
    /// The present line's length so far, and its last byte.
    line: usize,
    last: u8,
    /// Bytes of the present text still to come, with the end of its line.
    text: usize,
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

    /// Checks the next bytes.
    ///
    /// # Errors
    /// `InvalidData`: too much, or not the protocol.
    pub fn check(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        self.bytes += bytes.len();
        if self.bytes > ANSWER_LIMIT {
            return Err(protocol_error(format!("an answer of more than {ANSWER_LIMIT} bytes")));
        }
        while !bytes.is_empty() {
            if self.text == 0 {
                bytes = self.follow_line(bytes)?;
            } else {
                let step = self.text.min(bytes.len());
                self.text -= step;
                bytes = &bytes[step..];
            }
        }
        Ok(())
    }

    /// Follows the present line to its end or that of the bytes; returns the bytes behind it.
    fn follow_line<'a>(&mut self, bytes: &'a [u8]) -> io::Result<&'a [u8]> {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let (line, rest) = bytes.split_at(end.map_or(bytes.len(), |end| end + 1));
        let kept = self.line.min(HEAD);
        let more = line.len().min(HEAD - kept);
        self.head[kept..kept + more].copy_from_slice(&line[..more]);
        if ![LINES, TEXTS, VALUES].iter().any(|kinds| kinds.contains(&self.head[0])) {
            return Err(protocol_error("the peer does not speak Redis' protocol"));
        }
        // Some readers take a bare newline for the end of a line, others do not.
        let before = line.len().checked_sub(2).map_or(self.last, |before| line[before]);
        self.line += line.len();
        self.last = line.last().copied().unwrap_or_default();
        if self.line > LINE_LIMIT {
            return Err(protocol_error(format!("a line of more than {LINE_LIMIT} bytes")));
        }
        if end.is_some() {
            if before != b'\r' {
                return Err(protocol_error("a line that ends in a bare newline"));
            }
            self.end_line()?;
        }
        if self.values > VALUES_LIMIT {
            return Err(protocol_error(format!("an answer of more than {VALUES_LIMIT} values")));
        }
        Ok(rest)
    }

    /// Counts what the line announces.
    fn end_line(&mut self) -> io::Result<()> {
        let (kind, length) = (self.head[0], std::mem::take(&mut self.line));
        self.values += 1;
        let digits = self.head.get(1..length.saturating_sub(2)).unwrap_or_default();
        // RESP2 writes a null like this.
        let is_null = digits == b"-1" && matches!(kind, b'$' | b'*');
        if LINES.contains(&kind) || is_null {
            return Ok(());
        }
        let announced = str::from_utf8(digits).ok().and_then(|digits| digits.parse::<u32>().ok());
        let announced = announced.ok_or_else(|| protocol_error("a length that is not a number"))? as usize;
        match kind {
            b'%' | b'|' => self.values = self.values.saturating_add(announced.saturating_mul(2)),
            _ if VALUES.contains(&kind) => self.values = self.values.saturating_add(announced),
            _ if announced > ANSWER_LIMIT => {
                return Err(protocol_error(format!(
                    "a text of {announced} bytes was announced, {ANSWER_LIMIT} is the limit"
                )));
            }
            _ => self.text = announced + b"\r\n".len(),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values of these bytes, which come in pieces of this length; or what is wrong with them.
    fn measured(bytes: &[u8], piece: usize) -> Result<usize, String> {
        let mut answers = RedisFraming::default();
        let mut pieces = bytes.chunks(piece);
        pieces.try_for_each(|piece| answers.check(piece)).map(|()| answers.values).map_err(|error| error.to_string())
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
            (&vec![b'+'; ANSWER_LIMIT + 1], "an answer of more than 1048576 bytes"),
        ] {
            for piece in [1, 2, 7, bytes.len()] {
                let shown = &bytes[..bytes.len().min(30)].escape_ascii();
                let said = measured(bytes, piece).expect_err("a refusal");
                assert!(said.contains(because) || bytes.len() > LINE_LIMIT, "{shown}: {said}");
            }
        }
    }

    #[test]
    fn each_request_has_an_answer_of_its_own() {
        let mut answers = RedisFraming::default();
        let (text, list) = ([&b"$1000000\r\n"[..], &[b'x'; 1_000_000], b"\r\n"].concat(), b":1\r\n".repeat(9000));
        for _ in 0..3 {
            answers.check(&text).and_then(|()| answers.check(&list)).expect("an honest answer");
            answers.begin_request();
        }
    }
}
