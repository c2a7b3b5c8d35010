//! Tags: `key=value`, spelled so that whatever was different stays different.

use std::borrow::Cow;

/// What becomes of blanks in a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blanks {
    /// They stay. Control characters go all the same.
    Keep,
    /// They are encoded: in the plaintext protocol a blank ends the series, and carbon takes every Unicode blank for one.
    Encode,
}

/// A tag value (or key) with what it must not hold percent-encoded: `;`, control characters, a `~` at the start, blanks where they
/// separate, and a `%` that could be taken for the start of such a code. So a value can be read back, and two never become one.
#[must_use]
pub fn encode(text: &str, blanks: Blanks) -> Cow<'_, str> {
    if is_plain(text, blanks) {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let is_hex = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
    let mut out = String::with_capacity(text.len() + 8);
    for (at, letter) in text.char_indices() {
        let encoded = match letter {
            ';' => true,
            '~' => at == 0,
            '%' => is_hex(at + 1) && is_hex(at + 2),
            ' ' => blanks == Blanks::Encode,
            other => other.is_control() || (blanks == Blanks::Encode && other.is_whitespace()),
        };
        if encoded {
            let mut buffer = [0; 4];
            for byte in letter.encode_utf8(&mut buffer).bytes() {
                out.push('%');
                for digit in [byte >> 4, byte & 15] {
                    out.push(char::from(b"0123456789ABCDEF"[usize::from(digit)]));
                }
            }
        } else {
            out.push(letter);
        }
    }
    if out == text { Cow::Borrowed(text) } else { Cow::Owned(out) }
}

/// Whether [`encode`] would certainly leave a text alone, be it a whole dictionary. Goes by bytes: control characters and blanks
/// beyond ASCII begin with one of four.
#[must_use]
pub fn is_plain(text: &str, blanks: Blanks) -> bool {
    let suspicious = |byte: u8| match byte {
        b' ' => blanks == Blanks::Encode,
        0..0x20 | 0x7f | b';' | b'~' | b'%' | 0xc2 => true,
        0xe1..=0xe3 => blanks == Blanks::Encode,
        _ => false,
    };
    !text.bytes().any(suspicious)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads a tag back, by rules of its own.
    fn decode(text: &str) -> String {
        let bytes = text.as_bytes();
        let (mut out, mut at) = (Vec::new(), 0);
        while at < bytes.len() {
            let code =
                (bytes[at] == b'%').then(|| text.get(at + 1..at + 3).and_then(|c| u8::from_str_radix(c, 16).ok()));
            if let Some(Some(byte)) = code {
                out.push(byte);
                at += 3;
            } else {
                out.push(bytes[at]);
                at += 1;
            }
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_a_tag_cannot_hold_is_encoded_and_nothing_else() {
        let table = [
            ("a b", "a%20b", "a b"),
            ("a;b=c", "a%3Bb=c", "a%3Bb=c"),
            ("~a~", "%7Ea~", "%7Ea~"),
            ("100%", "100%", "100%"),
            ("a%20b", "a%2520b", "a%2520b"),
            ("two\nlines", "two%0Alines", "two%0Alines"),
            ("a\u{2003}b", "a%E2%80%83b", "a\u{2003}b"),
            ("a\u{85}b", "a%C2%85b", "a%C2%85b"),
            ("β🌊", "β🌊", "β🌊"),
            ("\"quoted\\\"", "\"quoted\\\"", "\"quoted\\\""),
        ];
        for (text, encoded, kept) in table {
            assert_eq!(encode(text, Blanks::Encode), encoded);
            assert_eq!(encode(text, Blanks::Keep), kept);
        }
    }

    proptest! {
        #[test]
        fn a_tag_reads_back_as_it_was_and_holds_nothing_that_it_must_not(
            text in prop_oneof!["[ab%~; 0-9A-F\n\u{85}\u{a0}\u{2028}]{0,8}", "\\PC{0,10}", any::<String>()],
        ) {
            for blanks in [Blanks::Keep, Blanks::Encode] {
                let encoded = encode(&text, blanks);
                prop_assert!(!encoded.contains(';') && !encoded.starts_with('~') && !encoded.contains(char::is_control));
                prop_assert!(blanks == Blanks::Keep || encoded.split_whitespace().count() <= 1, "{:?}", encoded);
                prop_assert!(blanks == Blanks::Keep || !encoded.contains(char::is_whitespace));
                if text.chars().all(|c| !c.is_control()) || blanks == Blanks::Encode {
                    prop_assert_eq!(decode(&encoded), text.clone());
                }
                prop_assert!(!is_plain(&text, blanks) || text.starts_with('~') || matches!(encoded, Cow::Borrowed(_)));
            }
        }
    }
}
