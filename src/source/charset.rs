//! Converts text of any encoding to UTF-8: no name is refused, and names that differ in invalid bytes stay different.

use std::borrow::Cow;
use std::fmt::Write;

use encoding_rs::Encoding;

/// The encoding of a database's own names. Names of databases and roles are shared by all databases of a server and may
/// be in the encoding of any of them, so bytes that are valid UTF-8 are read as UTF-8 everywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Charset {
    is_utf8: bool,
    /// The encoding of bytes that are not UTF-8, if it is known.
    encoding: Option<&'static Encoding>,
}

/// PostgreSQL's and the web's names of encodings that differ by more than case, hyphens and `win`. SQL_ASCII has no
/// counterpart because its bytes may be of any encoding; EUC_TW, EUC_JIS_2004 and MULE_INTERNAL have none because the
/// web does not have them.
const LABELS: [(&str, &str); 8] = [
    ("EUC_CN", "gb2312"),
    ("KOI8R", "koi8-r"),
    ("KOI8U", "koi8-u"),
    ("LATIN7", "iso-8859-13"),
    ("LATIN8", "iso-8859-14"),
    ("LATIN9", "iso-8859-15"),
    ("LATIN10", "iso-8859-16"),
    ("WIN866", "ibm866"),
];

impl Charset {
    /// The charset of a database with this `server_encoding`.
    pub fn of(name: &str) -> Self {
        let is_utf8 = name == "UTF8";
        let other = LABELS.iter().find(|(own, _)| *own == name).map(|(_, label)| (*label).to_owned());
        let label = other.unwrap_or_else(|| name.to_lowercase().replace('_', "-").replace("win", "windows-"));
        Charset { is_utf8, encoding: Encoding::for_label(label.as_bytes()).filter(|_| !is_utf8) }
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

/// Text as UTF-8. Invalid bytes are escaped (`\xff`), and in such a text backslashes too (`\x5c`), so that two broken
/// names never become the same. A valid text that looks escaped gets its backslashes escaped as well, so that no name
/// looks like a broken one.
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
        for (names, expected) in [
            ("EUC_CN EUC_JP EUC_KR KOI8R KOI8U WIN866", "GBK EUC-JP EUC-KR KOI8-R KOI8-U IBM866"),
            ("ISO_8859_5 ISO_8859_6 ISO_8859_7 ISO_8859_8", "ISO-8859-5 ISO-8859-6 ISO-8859-7 ISO-8859-8"),
            ("LATIN1 LATIN2 LATIN3 LATIN4 LATIN5", "windows-1252 ISO-8859-2 ISO-8859-3 ISO-8859-4 windows-1254"),
            ("LATIN6 LATIN7 LATIN8 LATIN9 LATIN10", "ISO-8859-10 ISO-8859-13 ISO-8859-14 ISO-8859-15 ISO-8859-16"),
            (
                "WIN874 WIN1250 WIN1251 WIN1252 WIN1253",
                "windows-874 windows-1250 windows-1251 windows-1252 windows-1253",
            ),
            ("WIN1254 WIN1255 WIN1256 WIN1257", "windows-1254 windows-1255 windows-1256 windows-1257"),
            ("WIN1258 UTF8 SQL_ASCII EUC_TW EUC_JIS_2004 MULE_INTERNAL", "windows-1258 none none none none none"),
        ] {
            let known = names.split(' ').map(|name| Charset::of(name).encoding.map_or("none", Encoding::name));
            assert_eq!(known.collect::<Vec<_>>().join(" "), expected);
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
