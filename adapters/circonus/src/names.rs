//! Names and stream tags, spelled as the broker keeps them.
//!
//! A name is printable ASCII: the broker makes everything else a space, so different names would meet. A tag can hold any text, as
//! base64 where it has to, but a pair longer than the broker's buffer loses the metric all its tags, and a part that begins with `b"` is
//! taken for base64. What cannot be spelled is changed visibly, and stays different.

use std::borrow::Cow;

/// Longest name, tags included, in bytes: `MAX_METRIC_TAGGED_NAME` of the broker is 4,096, and longer keys are cut.
pub const NAME_BYTES: usize = 4_095;
/// Longest pair of category and value in bytes, as written: `NOIT_TAG_MAX_PAIR_LEN` of the broker is 256 with the end of the text.
pub const TAG_BYTES: usize = 255;
/// Most tags of one metric: `MAX_TAGS` of the broker.
pub const TAGS: usize = 256;

/// Longest category as written, so that there is room for a value. The broker takes 254.
const CATEGORY_BYTES: usize = 120;
/// Room that a changed text leaves for the number that may have to follow.
const NUMBER_BYTES: usize = 8;
/// A digest and the underscore before it.
const DIGEST_BYTES: usize = 9;

/// A value that is filled into a name. A backtick would make a level of the hierarchy, and `|` may begin the tags.
pub(crate) fn part(text: &str) -> Cow<'_, str> {
    let legal = |c: char| matches!(c, ' '..='~') && c != '`' && c != '|';
    if text.chars().all(legal) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| if legal(c) { c } else { '_' }).collect())
}

/// A name as a whole: what the template wrote and its values.
pub(crate) fn whole(name: &str) -> String {
    let legal = |c: char| matches!(c, ' '..='~') && c != '|';
    let cleaned: String = name.chars().map(|c| if legal(c) { c } else { '_' }).collect();
    let trimmed = cleaned.trim();
    if trimmed.is_empty() { "unnamed".to_owned() } else { trimmed.to_owned() }
}

/// A category, as text.
pub(crate) fn category(text: &str) -> Cow<'_, str> {
    if text.is_empty() { Cow::Borrowed("unnamed") } else { fitting(text, CATEGORY_BYTES, is_plain_in_category) }
}

/// A value, as text, for a category that takes `category` bytes as written.
pub(crate) fn value(text: &str, category: usize) -> Cow<'_, str> {
    fitting(text, TAG_BYTES.saturating_sub(category + 1), is_plain_in_value)
}

/// The text, or a changed one, that takes at most `room` bytes as written.
fn fitting(text: &str, room: usize, plain: fn(u8) -> bool) -> Cow<'_, str> {
    let cleaned = without_traps(text);
    let spare = if matches!(cleaned, Cow::Owned(_)) { 2 * NUMBER_BYTES } else { 0 };
    if written_len(&cleaned, plain) + spare <= room {
        return cleaned;
    }
    // What three bytes of text need as base64 is four, and a changed text must leave room.
    let most = (room.saturating_sub(3) / 4 * 3).saturating_sub(DIGEST_BYTES + NUMBER_BYTES);
    let cut = (0..=most.min(cleaned.len())).rev().find(|at| cleaned.is_char_boundary(*at)).unwrap_or(0);
    Cow::Owned(format!("{}_{}", &cleaned[..cut], digest(text)))
}

/// Without control characters (one of them separates category from value in the broker's memory) and without a beginning that
/// reads as base64 once the broker has stored the text in plain.
fn without_traps(text: &str) -> Cow<'_, str> {
    if !text.starts_with("b\"") && !text.chars().any(char::is_control) {
        return Cow::Borrowed(text);
    }
    let cleaned: String = text.chars().map(|c| if c.is_control() { '_' } else { c }).collect();
    Cow::Owned(match cleaned.strip_prefix("b\"") {
        Some(rest) => format!("b'{rest}"),
        None => cleaned,
    })
}

/// Bytes that need no base64; the broker's list is longer.
fn is_plain_in_category(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!@#$%&'/?._-".contains(&byte)
}

/// Those of a value: the first colon ends the category, later ones are its own.
fn is_plain_in_value(byte: u8) -> bool {
    is_plain_in_category(byte) || matches!(byte, b':' | b'=')
}

/// Bytes of a part as written.
fn written_len(text: &str, plain: fn(u8) -> bool) -> usize {
    if text.bytes().all(plain) { text.len() } else { text.len().div_ceil(3) * 4 + 3 }
}

/// Writes a category as the inside of a JSON text, and tells how many bytes the broker reads.
pub(crate) fn write_category(text: &str, out: &mut Vec<u8>) -> usize {
    write(text, is_plain_in_category, out)
}

/// Writes a value likewise.
pub(crate) fn write_value(text: &str, out: &mut Vec<u8>) -> usize {
    write(text, is_plain_in_value, out)
}

fn write(text: &str, plain: fn(u8) -> bool, out: &mut Vec<u8>) -> usize {
    if text.bytes().all(plain) {
        out.extend_from_slice(text.as_bytes());
        return text.len();
    }
    // The quotes are the broker's, the backslashes JSON's.
    out.extend_from_slice(b"b\\\"");
    let start = out.len();
    base64(text.as_bytes(), out);
    let encoded = out.len() - start;
    out.extend_from_slice(b"\\\"");
    encoded + 3
}

fn base64(bytes: &[u8], out: &mut Vec<u8>) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| chunk.get(at).copied().unwrap_or_default();
        let (a, b, c) = (byte(0), byte(1), byte(2));
        let sixes = [a >> 2, (a & 3) << 4 | b >> 4, (b & 15) << 2 | c >> 6, c & 63];
        for (at, six) in sixes.iter().enumerate() {
            out.push(if at <= chunk.len() { ALPHABET[usize::from(*six)] } else { b'=' });
        }
    }
}

/// Eight hexadecimal digits of FNV-1a.
fn digest(text: &str) -> String {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325, step);
    format!("{:08x}", (hash >> 32) ^ (hash & 0xffff_ffff))
}

/// Printable ASCII as the inside of a JSON text.
pub(crate) fn escaped(name: &str) -> String {
    name.replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> String {
        let mut out = Vec::new();
        let len = write_value(text, &mut out);
        let read = String::from_utf8(out).unwrap().replace("\\\"", "\"");
        assert_eq!(read.len(), len);
        read
    }

    #[test]
    fn values_are_plain_where_they_can_be_and_base64_where_they_must() {
        let table = [
            ("1.2.0", "1.2.0"),
            ("http://x?a=b", "http://x?a=b"),
            ("a", "a"),
            ("a b", "b\"YSBi\""),
            ("a,b", "b\"YSxi\""),
            ("[x]", "b\"W3hd\""),
            ("~", "b\"fg==\""),
            ("β", "b\"zrI=\""),
            ("a|b c", "b\"YXxiIGM=\""),
        ];
        for (text, expected) in table {
            assert_eq!(written(text), expected, "{text:?}");
        }
    }

    #[test]
    fn texts_that_the_broker_would_misread_are_changed() {
        assert_eq!(value("b\"Zm9v\"", 5), "b'Zm9v\"");
        assert_eq!(value("a\u{1f}b\n", 5), "a_b_");
        assert_eq!(category(""), "unnamed");
        assert_eq!(part("a`b|ST[c:d]"), "a_b_ST[c:d]");
        assert_eq!(whole(" größe|x` "), "gr__e_x`");
        assert_eq!(whole("  "), "unnamed");
    }

    #[test]
    fn the_longest_pair_stays_and_a_longer_value_is_cut_with_a_digest() {
        let room = TAG_BYTES - "env:".len();
        let fits = "x".repeat(room);
        assert_eq!(value(&fits, 3), fits);
        let over = "x".repeat(room + 1);
        let (one, two) = (value(&over, 3), value(&format!("{over}y"), 3).into_owned());
        assert!(one != two && one.len() + 2 * NUMBER_BYTES < room, "{one}");
        // In base64 there is room for less.
        let fits = format!("{} ", "x".repeat((room - 3) / 4 * 3 - 1));
        assert_eq!(value(&fits, 3), fits);
        let over = format!("{fits} ");
        assert_ne!(value(&over, 3), over);
        assert!(written_len(&value(&over, 3), is_plain_in_value) <= room);
    }
}
