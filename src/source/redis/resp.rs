//! Redis' protocol (RESP2): commands out, values in. No length that a peer claims is believed: memory grows with what
//! has come, and the stream below ends an answer that does not end.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

/// Lists within lists; `LATENCY LATEST` has two.
const DEPTH: usize = 4;

/// Memory for a text that has not come yet: as much as `INFO` takes.
const EXPECTED: usize = 8 << 10;

/// What a command is answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Text(Vec<u8>),
    /// The server refuses: a word in capitals, and its reason.
    Error(String),
    Int(i64),
    Nothing,
    List(Vec<Value>),
}

/// What stands at the beginning of a value.
enum Head {
    Whole(Value),
    /// A list of this many values, which follow.
    List(usize),
}

/// Writes a command behind those that are there.
pub fn push_command(out: &mut Vec<u8>, words: &[&str]) {
    push_length(out, b'*', words.len());
    for word in words {
        push_length(out, b'$', word.len());
        out.extend_from_slice(word.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

fn push_length(out: &mut Vec<u8>, kind: u8, length: usize) {
    out.push(kind);
    out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Reads one value.
///
/// # Errors
/// The connection failed or ended; `InvalidData` for what is not this protocol.
pub async fn read<R: AsyncBufRead + Unpin>(from: &mut R) -> io::Result<Value> {
    let mut lists: Vec<(Vec<Value>, usize)> = Vec::new();
    let mut line = Vec::new();
    loop {
        let mut value = match head(from, &mut line).await? {
            Head::List(length) if length > 0 => {
                if lists.len() == DEPTH {
                    return Err(wrong("lists nested too deeply"));
                }
                lists.push((Vec::new(), length));
                continue;
            }
            Head::List(_) => Value::List(Vec::new()),
            Head::Whole(value) => value,
        };
        // Ends every list that it is the last of.
        loop {
            let Some((mut values, length)) = lists.pop() else { return Ok(value) };
            values.push(value);
            if values.len() < length {
                lists.push((values, length));
                break;
            }
            value = Value::List(values);
        }
    }
}

async fn head<R: AsyncBufRead + Unpin>(from: &mut R, line: &mut Vec<u8>) -> io::Result<Head> {
    read_line(from, line).await?;
    let Some((kind, rest)) = line.split_first() else { return Err(wrong("an empty line")) };
    let number = || std::str::from_utf8(rest).ok().and_then(|text| text.parse::<i64>().ok());
    let length = || number().map(usize::try_from).ok_or_else(|| wrong("a length that is no number"));
    Ok(match kind {
        b'+' => Head::Whole(Value::Text(rest.to_vec())),
        b'-' => Head::Whole(Value::Error(String::from_utf8_lossy(rest).into_owned())),
        b':' => Head::Whole(Value::Int(number().ok_or_else(|| wrong("an integer that is none"))?)),
        // A length below zero means: nothing.
        b'$' => Head::Whole(match length()? {
            Ok(length) => Value::Text(bulk(from, length).await?),
            Err(_) => Value::Nothing,
        }),
        b'*' => length()?.map_or(Head::Whole(Value::Nothing), Head::List),
        _ => return Err(wrong("the peer does not speak Redis' protocol")),
    })
}

/// A line without its end, in the place of the one before.
async fn read_line<R: AsyncBufRead + Unpin>(from: &mut R, line: &mut Vec<u8>) -> io::Result<()> {
    line.clear();
    from.read_until(b'\n', line).await?;
    if line.ends_with(b"\r\n") {
        line.truncate(line.len() - 2);
        return Ok(());
    }
    match line.ends_with(b"\n") {
        true => Err(wrong("a line that ends in a bare newline")),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

async fn bulk<R: AsyncBufRead + Unpin>(from: &mut R, length: usize) -> io::Result<Vec<u8>> {
    // What it claims is not believed, but most is shorter than this.
    let mut bytes = Vec::with_capacity(length.min(EXPECTED));
    let mut rest = (&mut *from).take(length as u64);
    while bytes.len() < length && rest.read_buf(&mut bytes).await? > 0 {}
    if bytes.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut end = [0; 2];
    from.read_exact(&mut end).await?;
    match &end {
        b"\r\n" => Ok(bytes),
        _ => Err(wrong("a text longer than it claims")),
    }
}

fn wrong(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::BufReader;

    use super::*;

    /// What is read from these bytes, with a buffer of so many.
    fn read_all(bytes: &[u8], buffer: usize) -> (Vec<Value>, io::ErrorKind) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (mut reader, mut values) = (BufReader::with_capacity(buffer, bytes), Vec::new());
            loop {
                match read(&mut reader).await {
                    Ok(value) => values.push(value),
                    Err(error) => return (values, error.kind()),
                }
            }
        })
    }

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    #[test]
    fn values_are_read() {
        let bytes = b"+OK\r\n-ERR no\r\n:-7\r\n$3\r\na\r\n\r\n$-1\r\n*-1\r\n*0\r\n$0\r\n\r\n*2\r\n*1\r\n:1\r\n+x\r\n";
        let values = [
            text("OK"),
            Value::Error("ERR no".into()),
            Value::Int(-7),
            text("a\r\n"),
            Value::Nothing,
            Value::Nothing,
            Value::List(vec![]),
            text(""),
            Value::List(vec![Value::List(vec![Value::Int(1)]), text("x")]),
        ];
        for buffer in [1, 2, 7, 4096] {
            assert_eq!(read_all(bytes, buffer), (values.to_vec(), io::ErrorKind::UnexpectedEof));
        }
    }

    #[test]
    fn what_is_not_the_protocol_is_refused() {
        for bad in [
            &b"HTTP/1.1 400 Bad Request\r\n"[..],
            b"\r\n",
            b"+OK\n",
            b":x\r\n",
            b"$x\r\n",
            b"*1e9\r\n",
            b"$1\r\nabc",
            b"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
            b"%1\r\n+a\r\n+b\r\n",
        ] {
            assert_eq!(read_all(bad, 64), (vec![], io::ErrorKind::InvalidData), "{}", bad.escape_ascii());
        }
        for cut in [&b"$9223372036854775807\r\nabc"[..], b"*9223372036854775807\r\n:1\r\n", b"+O", b"$2\r\nab"] {
            assert_eq!(read_all(cut, 64), (vec![], io::ErrorKind::UnexpectedEof), "{}", cut.escape_ascii());
        }
    }

    #[test]
    fn commands_are_read_as_they_are_written() {
        let mut bytes = Vec::new();
        push_command(&mut bytes, &["AUTH", "", "p\r\n é"]);
        let words = ["AUTH", "", "p\r\n é"].map(text).to_vec();
        assert_eq!(read_all(&bytes, 64).0, [Value::List(words)]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

        #[test]
        fn no_bytes_make_it_panic(bytes in "([+$*:-]{0,2}[0-9]{0,3}(\r\n)?[a-z]{0,3}){0,20}") {
            let whole = read_all(bytes.as_bytes(), 4096);
            prop_assert_eq!(whole, read_all(bytes.as_bytes(), 1));
        }

        #[test]
        fn nor_do_random_ones(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            read_all(&bytes, 16);
        }
    }
}
