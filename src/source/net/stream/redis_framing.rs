//! Follows the framing of Redis' protocol (RESP2 and RESP3) as its bytes pass, so that whoever reads it afterwards meets
//! neither more bytes nor more values than an honest answer has, nor a length that is not true.

use std::io;

/// How much may come between two requests: Redis' `INFO` is a hundred times shorter.
pub const ANSWER_LIMIT: usize = 1 << 20;

/// How many values may be announced between two requests: a reader reserves room for them before they come, and each takes some
/// 60 bytes, which are 3 in the protocol.
pub const VALUES_LIMIT: usize = 10_000;

/// The longest line. Servers send longer values as texts, whose length is said first.
const LINE_LIMIT: usize = 16 << 10;

/// The first bytes of lines that hold a value, announce a text, announce values.
const LINES: &[u8] = b"+-:_,#(";
const TEXTS: &[u8] = b"$=!";
const VALUES: &[u8] = b"*~>%|";

/// A line with a length: its kind, up to 10 digits, the end of the line.
const HEAD: usize = 13;

/// Where in the protocol the bytes are, and how much has come since the last request.
#[derive(Debug, Default)]
pub struct RedisFraming {
    bytes: usize,
    values: usize,
    /// How the present line begins.
    head: [u8; HEAD],
    /// How long it is so far, and its last byte.
    line: usize,
    last: u8,
    /// Bytes of the present text still to come, with the end of its line.
    text: usize,
}

impl RedisFraming {
    /// A request begins, and its answer is counted from nothing.
    pub fn asked(&mut self) {
        (self.bytes, self.values) = (0, 0);
    }

    /// The values since the last request: those within others are counted when they are announced, and when they come.
    pub fn values(&self) -> usize {
        self.values
    }

    /// Follows the next bytes.
    ///
    /// # Errors
    /// `InvalidData`: too much, or not the protocol.
    pub fn measure(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        self.bytes += bytes.len();
        if self.bytes > ANSWER_LIMIT {
            return Err(wrong(format!("an answer of more than {ANSWER_LIMIT} bytes")));
        }
        while !bytes.is_empty() {
            bytes = match self.text {
                0 => self.follow_line(bytes)?,
                text => {
                    let (_, rest) = bytes.split_at(text.min(bytes.len()));
                    self.text -= bytes.len() - rest.len();
                    rest
                }
            };
        }
        Ok(())
    }

    /// Takes what belongs to the present line; gives the rest.
    fn follow_line<'a>(&mut self, bytes: &'a [u8]) -> io::Result<&'a [u8]> {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let (line, rest) = bytes.split_at(end.map_or(bytes.len(), |end| end + 1));
        let kept = self.line.min(HEAD);
        let more = line.len().min(HEAD - kept);
        self.head[kept..kept + more].copy_from_slice(&line[..more]);
        if ![LINES, TEXTS, VALUES].iter().any(|kinds| kinds.contains(&self.head[0])) {
            return Err(wrong("the peer does not speak Redis' protocol".to_owned()));
        }
        // Only what ends in both is the end of a line for every reader.
        let before = line.len().checked_sub(2).map_or(self.last, |before| line[before]);
        self.line += line.len();
        self.last = line.last().copied().unwrap_or_default();
        match end {
            _ if self.line > LINE_LIMIT => Err(wrong(format!("a line of more than {LINE_LIMIT} bytes"))),
            Some(_) if before != b'\r' => Err(wrong("a line that ends in a bare newline".to_owned())),
            Some(_) => self.end_line().map(|()| rest),
            None => Ok(rest),
        }
    }

    /// Counts what the line announces.
    fn end_line(&mut self) -> io::Result<()> {
        let (kind, length) = (self.head[0], std::mem::take(&mut self.line));
        self.values += 1;
        if LINES.contains(&kind) {
            return self.expect_few();
        }
        let digits = self.head.get(1..length.saturating_sub(2)).and_then(|digits| str::from_utf8(digits).ok());
        let announced = match digits {
            // Before RESP3 this is how nothing is said.
            Some("-1") if kind == b'$' || kind == b'*' => return self.expect_few(),
            Some(digits) => digits.parse::<u32>().ok().and_then(|length| usize::try_from(length).ok()),
            None => None,
        };
        let announced = announced.ok_or_else(|| wrong("a length that is not a number".to_owned()))?;
        match kind {
            b'%' | b'|' => self.values = self.values.saturating_add(announced.saturating_mul(2)),
            _ if VALUES.contains(&kind) => self.values = self.values.saturating_add(announced),
            _ if announced > ANSWER_LIMIT => {
                return Err(wrong(format!("a text of {announced} bytes was announced, {ANSWER_LIMIT} is the limit")));
            }
            _ => self.text = announced + b"\r\n".len(),
        }
        self.expect_few()
    }

    fn expect_few(&self) -> io::Result<()> {
        match self.values {
            ..=VALUES_LIMIT => Ok(()),
            _ => Err(wrong(format!("an answer of more than {VALUES_LIMIT} values"))),
        }
    }
}

fn wrong(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values of these bytes, which come in pieces of this length; or what is wrong with them.
    fn measured(bytes: &[u8], piece: usize) -> Result<usize, String> {
        let mut answers = RedisFraming::default();
        let mut pieces = bytes.chunks(piece);
        pieces.try_for_each(|piece| answers.measure(piece)).map(|()| answers.values).map_err(|error| error.to_string())
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
            answers.measure(&text).and_then(|()| answers.measure(&list)).expect("an honest answer");
            answers.asked();
        }
    }
}
