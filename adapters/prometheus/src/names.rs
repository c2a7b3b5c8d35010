//! Legal names of families and labels, each given once.
//!
//! The alphabet is small (`[A-Za-z0-9_]`), so different names can become one. A family in which two metrics met would carry
//! duplicates or mix meanings; the second gets a number instead.

use std::borrow::Cow;
use std::collections::BTreeMap;
use tidegate_adapter::{Dimension, Distinct};

/// The family that tells until when each metric set was evaluated.
pub(crate) const WINDOW_END: &str = "tidegate_window_end_timestamp_seconds";

/// What a family shows. Equal in several metric sets means one family.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Meaning {
    pub(crate) metric: String,
    pub(crate) aggregate: String,
    pub(crate) attribute: String,
    /// Which one of measures that are otherwise the same.
    pub(crate) repeat: usize,
}

/// Names of the families for these meanings; a counter has the same with `_total` after it. With `apart` set, a gauge that has a
/// counter beside it has `_window` after it.
///
/// A meaning whose own spelling is legal gets it before others that only become like it.
pub(crate) fn families(meanings: impl Iterator<Item = Meaning>, apart: bool) -> BTreeMap<Meaning, String> {
    let mut wanted: Vec<_> = meanings
        .map(|meaning| {
            let plain = format!("{}_{}_{}", meaning.metric, meaning.aggregate, meaning.attribute);
            let legal = sanitise(&plain);
            (legal != plain, meaning, legal)
        })
        .collect();
    wanted.sort();
    wanted.dedup();
    let suffixes: &[&str] = if apart { &["", "_total", "_created", "_window"] } else { &["", "_total"] };
    let mut names = Names { taken: Distinct::reserving(&[WINDOW_END]), suffixes };
    wanted.into_iter().map(|(_, meaning, legal)| (meaning, names.take(&legal))).collect()
}

/// Takes each name together with what may be beside it. OpenMetrics keeps `_created` for counters.
struct Names {
    taken: Distinct,
    suffixes: &'static [&'static str],
}

impl Names {
    fn take(&mut self, wanted: &str) -> String {
        let numbered = (2_u64..).map(|n| format!("{wanted}_{n}"));
        for name in std::iter::once(wanted.to_owned()).chain(numbered) {
            let all: Vec<String> = self.suffixes.iter().map(|suffix| format!("{name}{suffix}")).collect();
            if all.iter().all(|name| self.taken.is_free(name)) {
                for name in &all {
                    self.taken.take(name);
                }
                return name;
            }
        }
        wanted.to_owned()
    }
}

/// Label names for the dimensions of a metric, in their order.
pub(crate) fn labels(dimensions: &[Dimension]) -> Vec<String> {
    let mut names = Distinct::reserving(&["project", "metric_set"]);
    let wanted = dimensions.iter().map(|dimension| match sanitise(&dimension.name) {
        // Nothing of the name is left, and with a number it would begin with the two underscores that are reserved.
        name if name == "_" => "dimension".to_owned(),
        name => name,
    });
    wanted.map(|name| names.take(&name)).collect()
}

/// A legal name: everything else becomes `_`, runs of `_` become one (two at the start are reserved for Prometheus), a digit at
/// the start gets one before it.
fn sanitise(text: &str) -> String {
    let mut name = String::with_capacity(text.len() + 1);
    for letter in text.chars() {
        let legal = if letter.is_ascii_alphanumeric() { letter } else { '_' };
        if name.is_empty() && legal.is_ascii_digit() {
            name.push('_');
        }
        if legal != '_' || !name.ends_with('_') {
            name.push(legal);
        }
    }
    if name.is_empty() { "_".to_owned() } else { name }
}

/// A value that a line can hold: all of Unicode but the zero character, which ends the input for some parsers.
pub(crate) fn clean(value: &str) -> Cow<'_, str> {
    if value.contains('\0') { Cow::Owned(value.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(value) }
}

/// What stands for a byte of a label value after a backslash, if it needs one.
pub(crate) fn escaped(byte: u8) -> Option<u8> {
    match byte {
        b'\\' | b'"' => Some(byte),
        b'\n' => Some(b'n'),
        _ => None,
    }
}

/// Writes a label value with its escapes.
pub(crate) fn escape(value: &str, out: &mut Vec<u8>) {
    for &byte in value.as_bytes() {
        match escaped(byte) {
            Some(escaped) => out.extend_from_slice(&[b'\\', escaped]),
            None => out.push(byte),
        }
    }
}

/// A text in a help line. OpenMetrics wants quotes escaped there, and the text format wants them as they are.
pub(crate) fn escape_help(text: &str, quotes: bool) -> String {
    let escaped = clean(text).replace('\\', "\\\\").replace('\n', "\\n");
    if quotes { escaped.replace('"', "\\\"") } else { escaped }
}
