//! Line protocol, to the last escape.
//!
//! `MEASUREMENT,TAG=VALUE FIELD=VALUE TIMESTAMP`. The escapes are few and treacherous: a backslash is literal except before a
//! character that can be escaped, and has no escape itself, so a text that *ends* in one swallows the separator after it; a line
//! break has no escape either and would begin a line of the event's own making. Texts that cannot be spelled are changed ([`clean`]), never merged.

use std::borrow::Cow;
use std::fmt::Write;
use tidegate_adapter::{Columns, Dictionary, Distinct, Pieces, distinct};

/// Longest series key (measurement and tags as written) and field key together in bytes. InfluxDB refuses keys over 65,535; since
/// 1.7 it counts the field key and four bytes between with them.
pub const SERIES_KEY_BYTES: usize = 65_535;
/// Bytes that the server adds between series key and field key.
const KEY_SEPARATOR_BYTES: usize = 4;

/// Tag keys that the server keeps for itself.
const RESERVED_TAGS: [&str; 3] = ["time", "_field", "_measurement"];

/// Everything of a metric's lines that does not change from row to row.
#[derive(Debug)]
pub(crate) struct Lines {
    /// The measurement, and the constant tags that sort before the first dimension.
    pub(crate) head: Pieces,
    /// For each dimension in order of its tag key: its index, and for each entry of the dictionary `,KEY=VALUE` with the
    /// constant tags that follow.
    pub(crate) tags: Vec<(usize, Pieces)>,
    /// For each measure: ` KEY=` as the first field of a line, and `,KEY=` as a later one.
    pub(crate) fields: Pieces,
    /// The time stamp and the end of the line.
    pub(crate) tail: Pieces,
    longest_field: usize,
}

/// The pieces of a field in [`Lines::fields`].
pub(crate) fn field_code(measure: usize, first: bool) -> u32 {
    u32::try_from(2 * measure).unwrap_or(u32::MAX - 1) + u32::from(!first)
}

impl Lines {
    pub(crate) fn new(measurement: &str, project: &str, metric_set: &str, columns: &Columns, stamp: u64) -> Self {
        let mut keys = Distinct::reserving(&RESERVED_TAGS);
        let mut tags: Vec<(String, Tag<'_>)> =
            vec![(keys.take("metric_set"), Tag::Constant(metric_set)), (keys.take("project"), Tag::Constant(project))];
        for (index, dimension) in columns.dimensions.iter().enumerate() {
            tags.push((keys.take(&clean(&dimension.name)), Tag::Dimension(index)));
        }
        tags.retain(|(key, _)| !key.is_empty());
        tags.sort_by(|(a, _), (b, _)| a.cmp(b));

        let mut head = Vec::new();
        escape(measurement, MEASUREMENT, &mut head);
        let first = tags.iter().position(|(_, tag)| matches!(tag, Tag::Dimension(_))).unwrap_or(tags.len());
        head.extend(constants(&tags[..first]));
        let mut of_dimensions = Vec::new();
        for (at, (key, tag)) in tags.iter().enumerate() {
            if let Tag::Dimension(index) = tag {
                let dictionary = &columns.dimensions[*index].dictionary;
                of_dimensions.push((*index, of_dimension(key, dictionary, &constants(&tags[at + 1..]))));
            }
        }
        let (fields, longest_field) = fields(columns);
        let tail = Pieces::one(format!(" {stamp}\n").as_bytes());
        Self { head: Pieces::one(&head), tags: of_dimensions, fields, tail, longest_field }
    }

    /// Whether some row may have a series key that the server refuses.
    pub(crate) fn may_be_too_long(&self) -> bool {
        let longest: usize = self.tags.iter().map(|(_, pieces)| pieces.longest()).sum();
        self.is_too_long(self.head.len_of(0) + longest)
    }

    /// Whether the server refuses the series key of a row.
    pub(crate) fn row_is_too_long(&self, columns: &Columns, row: usize) -> bool {
        let tags = self
            .tags
            .iter()
            .map(|(index, pieces)| columns.dimensions[*index].codes.get(row).map_or(0, |&code| pieces.len_of(code)));
        self.is_too_long(self.head.len_of(0) + tags.sum::<usize>())
    }

    fn is_too_long(&self, key: usize) -> bool {
        key + KEY_SEPARATOR_BYTES + self.longest_field > SERIES_KEY_BYTES
    }
}

enum Tag<'a> {
    Constant(&'a str),
    Dimension(usize),
}

/// For each entry of a dictionary its tag, and the constant tags that follow.
fn of_dimension(key: &str, dictionary: &Dictionary, following: &[u8]) -> Pieces {
    let mut start = vec![b','];
    escape(key, KEY, &mut start);
    start.push(b'=');
    let escape = |byte| matches!(byte, b',' | b' ' | b'=').then_some(byte);
    if is_clean(dictionary.text()) {
        return Pieces::between(dictionary.iter(), &start, following, following, escape);
    }
    Pieces::between(distinct(dictionary.iter(), clean), &start, following, following, escape)
}

/// The constant tags up to the next dimension.
fn constants(tags: &[(String, Tag<'_>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, tag) in tags {
        let Tag::Constant(value) = tag else { break };
        tag_pair(key, &clean(value), &mut out);
    }
    out
}

/// A tag, or nothing if its value is empty: the format has no empty values.
fn tag_pair(key: &str, value: &str, out: &mut Vec<u8>) {
    if !value.is_empty() {
        out.push(b',');
        escape(key, KEY, out);
        out.push(b'=');
        escape(value, KEY, out);
    }
}

/// Field keys in both forms, and the length of the longest as written.
fn fields(columns: &Columns) -> (Pieces, usize) {
    let mut names = Distinct::default();
    let mut pieces = Pieces::default();
    let mut longest = 0;
    for measure in &columns.measures {
        let name = names.take(&clean(&format!("{}_{}", measure.aggregate, measure.attribute)));
        let mut written = Vec::new();
        escape(&name, KEY, &mut written);
        longest = longest.max(written.len());
        pieces.push(&[b" ", written.as_slice(), b"="].concat());
        pieces.push(&[b",", written.as_slice(), b"="].concat());
    }
    (pieces, longest)
}

/// What is escaped in a measurement.
const MEASUREMENT: fn(&u8) -> bool = |byte| matches!(byte, b',' | b' ');
/// What is escaped in keys and tag values.
const KEY: fn(&u8) -> bool = |byte| matches!(byte, b',' | b' ' | b'=');

#[inline]
fn escape(text: &str, escaped: impl Fn(&u8) -> bool, out: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(&escaped) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(&[b'\\', rest[at]]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

/// Whether there is nothing that [`clean`] could change. It runs over every dictionary, so it goes by bytes; 0xC2 begins the
/// control characters beyond ASCII, among others.
fn is_clean(text: &str) -> bool {
    !text.bytes().any(|byte| matches!(byte, 0..0x20 | 0x7f | b'\\' | 0xc2))
}

/// A text that a line can hold. A line break has no escape and no other control character is safe everywhere, so they are spelled
/// out (`\n`, `\x00`). A backslash before the end would swallow the separator, and before a character that is escaped every parser
/// reads it in its own way (1.6.7 drops it from a measurement and refuses it in a field key), so an underscore follows it.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    if is_clean(text) {
        return Cow::Borrowed(text);
    }
    let mut cleaned = String::with_capacity(text.len() + 1);
    for letter in text.chars() {
        if cleaned.ends_with('\\') && (matches!(letter, ',' | ' ' | '=') || letter.is_control()) {
            cleaned.push('_');
        }
        match letter {
            '\n' => cleaned.push_str("\\n"),
            '\r' => cleaned.push_str("\\r"),
            '\t' => cleaned.push_str("\\t"),
            control if control.is_control() => {
                // Writing to a String cannot fail.
                let _ = write!(cleaned, "\\x{:02x}", u32::from(control));
            }
            other => cleaned.push(other),
        }
    }
    if cleaned.ends_with('\\') {
        cleaned.push('_');
    }
    if cleaned == text { Cow::Borrowed(text) } else { Cow::Owned(cleaned) }
}

/// A measurement for each name that the admin's template makes of a metric of the set. `#` at the start would make the line a comment and `_` is the server's own, so `m`
/// goes before them.
pub(crate) fn measurements<'a>(names: impl Iterator<Item = &'a str>) -> Vec<Cow<'a, str>> {
    distinct(names, |name| {
        let cleaned = clean(name);
        if cleaned.starts_with(['#', '_']) { Cow::Owned(format!("m{cleaned}")) } else { cleaned }
    })
}
