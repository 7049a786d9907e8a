//! Limits on texts that strangers write: messages and the values of labels are cut. Pure.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;

/// The most bytes of a message, and of a label's value.
pub const LONGEST: usize = 1024;

/// The longest suffix that a cut message may get.
const END: usize = "... (18446744073709551615 bytes)".len();

/// Stands between the beginning of a cut label's value and the hash of the whole value.
const CUT: &str = "...";

/// The digits of the hash.
const DIGITS: usize = 16;

/// A message on one line. Characters that would break the line, move a terminal's cursor or change the direction of
/// text are escaped. A long message is cut, and ends with its length.
pub fn message(text: &str) -> Arc<str> {
    // Escaping only makes it longer, so more than this is never kept.
    let begin = beginning(text, LONGEST + 1);
    let mut kept = escaped(begin);
    if begin.len() < text.len() || kept.len() > LONGEST {
        let end = beginning(&kept, LONGEST - END).len();
        let kept = kept.to_mut();
        kept.truncate(end);
        // Writing to memory does not fail.
        _ = write!(kept, "... ({} bytes)", text.len());
    }
    kept.into()
}

/// Whether a message may repeat this text, or a part of it: escaped, or cut in the middle.
pub fn may_repeat(message: &str, text: &str) -> bool {
    !text.is_empty() && (message.len() > LONGEST - END || message.contains(&*escaped(text)))
}

/// The text with those characters escaped that act on the terminal or the page that shows it.
fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(is_active) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        if is_active(letter) {
            shown.extend(letter.escape_default());
        } else {
            shown.push(letter);
        }
    }
    Cow::Owned(shown)
}

/// Control characters, the two line ends that are not control characters, and those that change the direction of text.
fn is_active(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A label's value. A long one becomes its beginning and a hash of the whole, so that different values stay different,
/// now and later.
pub fn label(text: &str) -> Cow<'_, str> {
    if text.len() <= LONGEST {
        return Cow::Borrowed(text);
    }
    let begin = beginning(text, LONGEST - CUT.len() - DIGITS);
    Cow::Owned(format!("{begin}{CUT}{:016x}", hash(text.as_bytes())))
}

/// Whether [`label`] has cut this value, as far as its form tells.
pub fn is_cut(label: &str) -> bool {
    // A letter that does not fit leaves at most three bytes free.
    if !(LONGEST - 3..=LONGEST).contains(&label.len()) {
        return false;
    }
    let (begin, digits) = label.as_bytes().split_at(label.len() - DIGITS);
    begin.ends_with(CUT.as_bytes()) && digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

/// The first bytes, or fewer where a character would be split.
fn beginning(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// FNV-1a in 64 bits, which is the same everywhere and always. A stranger who makes two texts with the same hash loses
/// a row of his own.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_one_line_of_a_kibibyte_at_most() {
        for (text, expected) in [
            ("", ""),
            ("role \"pgvigil\" does not exist [28000]", "role \"pgvigil\" does not exist [28000]"),
            ("für die Bücher: 本", "für die Bücher: 本"),
            ("a\nb\r\tc\u{1b}[31m\0d", "a\\nb\\r\\tc\\u{1b}[31m\\u{0}d"),
            ("a\u{2028}b\u{202e}c\u{85}", "a\\u{2028}b\\u{202e}c\\u{85}"),
        ] {
            assert_eq!(&*message(text), expected);
        }
        for (letter, length) in [("x", 1025), ("é", 1026), ("本", 4 << 20), ("\u{1b}", 300), ("\n", 4 << 20)] {
            let text = letter.repeat(length / letter.len());
            let cut = message(&text);
            assert!(cut.len() <= LONGEST && cut.len() > LONGEST - END - 8, "{letter:?}: {}", cut.len());
            assert!(cut.ends_with(&format!("... ({} bytes)", text.len())), "{cut}");
            assert!(!cut.contains(is_active));
        }
        assert_eq!(message(&"x".repeat(LONGEST)).len(), LONGEST);
    }

    #[test]
    fn no_part_of_a_secret_is_overlooked() {
        for secret in ["secret", "se\ncret", "本"] {
            for before in ["", "x", &"x".repeat(LONGEST - END - 3), &"x".repeat(LONGEST), &"\n".repeat(LONGEST)] {
                assert!(may_repeat(&message(&format!("{before}{secret} behind")), secret), "{before}");
            }
            assert!(!may_repeat(&message("another secre"), secret) && !may_repeat("what", ""));
        }
    }

    #[test]
    fn long_labels_are_cut_and_stay_distinct() {
        let whole = "x".repeat(LONGEST);
        assert!(matches!(label(&whole), Cow::Borrowed(text) if text == whole && !is_cut(text)));
        for letter in ["x", "é", "本", "🐘"] {
            let one = letter.repeat(LONGEST);
            let other = format!("{one}{letter}");
            let [one, other] = [one + "a", other].map(|text| label(&text).into_owned());
            assert!(is_cut(&one) && is_cut(&other) && one != other, "{one} {other}");
            // A value that was cut is not cut again.
            assert_eq!(label(&one), one);
        }
        // Pages of today and of the next release name the same series.
        assert!(label(&"x".repeat(LONGEST + 1)).ends_with("x...9c4d84fd18ed0707"), "{}", label(&"x".repeat(1025)));
    }
}
