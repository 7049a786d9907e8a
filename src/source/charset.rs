//! Converts text of any encoding to UTF-8: no name is refused, and names that differ in invalid bytes stay different.

use std::borrow::Cow;
use std::fmt::Write;

use encoding_rs::Encoding;

/// The encoding of a database's own names. Names of databases and roles are shared by all databases of a server and may be in the
/// encoding of any of them, so bytes that are valid UTF-8 are read as UTF-8 everywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Charset {
    is_utf8: bool,
    /// The encoding of bytes that are not UTF-8, if it is known.
    encoding: Option<&'static Encoding>,
}

/// PostgreSQL's names of encodings, and the web's. SQL_ASCII is missing because its bytes may be of any encoding;
/// EUC_TW, EUC_JIS_2004 and MULE_INTERNAL because the web does not have them.
const LABELS: [(&str, &str); 30] = [
    ("EUC_CN", "gb2312"),
    ("EUC_JP", "euc-jp"),
    ("EUC_KR", "euc-kr"),
    ("ISO_8859_5", "iso-8859-5"),
    ("ISO_8859_6", "iso-8859-6"),
    ("ISO_8859_7", "iso-8859-7"),
    ("ISO_8859_8", "iso-8859-8"),
    ("KOI8R", "koi8-r"),
    ("KOI8U", "koi8-u"),
    ("LATIN1", "latin1"),
    ("LATIN2", "latin2"),
    ("LATIN3", "latin3"),
    ("LATIN4", "latin4"),
    ("LATIN5", "latin5"),
    ("LATIN6", "latin6"),
    ("LATIN7", "iso-8859-13"),
    ("LATIN8", "iso-8859-14"),
    ("LATIN9", "iso-8859-15"),
    ("LATIN10", "iso-8859-16"),
    ("WIN866", "ibm866"),
    ("WIN874", "windows-874"),
    ("WIN1250", "windows-1250"),
    ("WIN1251", "windows-1251"),
    ("WIN1252", "windows-1252"),
    ("WIN1253", "windows-1253"),
    ("WIN1254", "windows-1254"),
    ("WIN1255", "windows-1255"),
    ("WIN1256", "windows-1256"),
    ("WIN1257", "windows-1257"),
    ("WIN1258", "windows-1258"),
];

impl Charset {
    /// The charset of a database with this `server_encoding`.
    pub fn of(name: &str) -> Self {
        let label = LABELS.iter().find(|(own, _)| *own == name).map(|(_, label)| label.as_bytes());
        Charset { is_utf8: name == "UTF8", encoding: label.and_then(Encoding::for_label) }
    }

    /// The server can send its texts as UTF-8 without an error.
    pub fn is_utf8(self) -> bool {
        self.is_utf8
    }

    /// These bytes as text: in UTF-8 or the database's encoding, whichever is valid; otherwise escaped, as [`utf8`]
    /// does. In a single-byte encoding all bytes are valid, so there UTF-8 is tried first; in the others few texts are
    /// valid in both, and the database's own comes first.
    pub fn text(self, bytes: &[u8]) -> Cow<'_, str> {
        let may_be = |encoding: &&'static Encoding| !encoding.is_single_byte() || std::str::from_utf8(bytes).is_err();
        let decode = |encoding: &'static Encoding| encoding.decode_without_bom_handling_and_without_replacement(bytes);
        match self.encoding.filter(may_be).and_then(decode) {
            Some(text) => Cow::Owned(utf8(text.as_bytes()).into_owned()),
            None => utf8(bytes),
        }
    }
}

/// Text as UTF-8. Invalid bytes are escaped (`\xff`), and in such a text backslashes too (`\x5c`), so that two broken names never
/// become the same. A valid text that looks escaped gets its backslashes escaped as well, so that no name looks like a broken one.
pub fn utf8(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !looks_escaped(text) => return Cow::Borrowed(text),
        _ => (),
    }
    let mut escaped = String::with_capacity(bytes.len() + 8);
    for chunk in bytes.utf8_chunks() {
        escaped.push_str(&chunk.valid().replace('\\', "\\x5c"));
        chunk.invalid().iter().for_each(|byte| _ = write!(escaped, "\\x{byte:02x}"));
    }
    Cow::Owned(escaped)
}

/// Returns whether a part of it could be the result of the escaping above.
fn looks_escaped(text: &str) -> bool {
    text.split('\\').skip(1).any(|after| match after.as_bytes() {
        [b'x', b'5', b'c', ..] => true,
        [b'x', high, low, ..] => matches!(high, b'8'..=b'9' | b'a'..=b'f') && matches!(low, b'0'..=b'9' | b'a'..=b'f'),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_names_stay_different() {
        assert_eq!(utf8(b"a\xffb"), "a\\xffb");
        assert_eq!(utf8("ä\\".as_bytes()), "ä\\");
        let alike =
            [&b"\xff"[..], b"\\xff", b"\\x5cxff", b"\\x5c\xff", b"\xff\xfe", b"\\xff\xfe", b"\\x5cx5cxff", b"\\"];
        let escaped: std::collections::BTreeSet<_> = alike.iter().map(|bytes| utf8(bytes)).collect();
        assert_eq!(escaped.len(), alike.len(), "{escaped:?}");
        assert_eq!(utf8(b"C:\\x\\xyz \\x41"), "C:\\x\\xyz \\x41");
    }

    #[test]
    fn every_encoding_is_known_to_the_library() {
        for (name, label) in LABELS {
            assert!(Charset::of(name).encoding.is_some(), "{name}: {label}");
        }
    }

    #[test]
    fn bytes_are_read_as_what_they_can_be() {
        for (encoding, bytes, text) in [
            ("UTF8", "größe".as_bytes(), "größe"),
            ("UTF8", b"gr\xf6\xdfe", "gr\\xf6\\xdfe"),
            ("LATIN1", b"gr\xf6\xdfe", "größe"),
            // A role created in a database with UTF-8.
            ("LATIN1", "größe".as_bytes(), "größe"),
            ("WIN1252", "日本".as_bytes(), "日本"),
            ("EUC_JP", b"\xc6\xfc\xcb\xdc", "日本"),
            ("EUC_JP", b"\xc5\xb9", "店"),
            ("EUC_JP", "日本".as_bytes(), "日本"),
            ("KOI8R", b"\xcd\xc9\xd2", "мир"),
            ("EUC_JP", b"a\xff", "a\\xff"),
            ("SQL_ASCII", b"gr\xf6", "gr\\xf6"),
            ("MULE_INTERNAL", b"gr\xf6", "gr\\xf6"),
            ("LATIN1", b"\xf6\\xff", "ö\\x5cxff"),
        ] {
            assert_eq!(Charset::of(encoding).text(bytes), text, "{encoding}");
        }
    }
}
