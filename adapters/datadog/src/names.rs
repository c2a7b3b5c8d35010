//! Names and tags that Datadog stores as they are.
//!
//! Its intake rewrites the rest: in names every run of other characters becomes one `_`, which goes again beside a dot and at the
//! end (so says the agent's own copy of that code, `pkg/util/metricname`); tags are lower-cased and cut. Different texts meet in one
//! series that way, silently. What is written here is not changed by any of these rules. Names and keys that were different stay
//! so, by a number; for values a number would change from window to window with what else occurs, so of rows that would meet all
//! but one are rejected ([`Tags::twins`]).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use tidegate_adapter::{Columns, Dimension, Distinct, Pieces, distinct};

/// Longest name of a metric, as documented; the intake itself takes some more.
pub const NAME_CHARS: usize = 200;
/// Longest tag, key and value together, as documented.
pub const TAG_CHARS: usize = 200;
/// Most tags of one series; none is documented, and this is what the agent's tools allow.
pub const TAGS: usize = 100;

/// Longest key of a tag, so that there is room for a value.
const KEY_CHARS: usize = 100;
/// Room that a changed text leaves for the number that may have to follow.
const NUMBER_CHARS: usize = 7;
/// Stands for a text of which nothing can be spelled.
const UNNAMED: &str = "unnamed";

/// A name in Datadog's alphabet.
pub(crate) fn metric(name: &str) -> String {
    let mut legal = String::with_capacity(name.len());
    for letter in name.chars() {
        match letter {
            letter if letter.is_ascii_alphanumeric() => legal.push(letter),
            '.' if legal.ends_with('_') => {
                legal.pop();
                legal.push('.');
            }
            '.' if legal.is_empty() || legal.ends_with('.') => {}
            '.' => legal.push('.'),
            _ if legal.is_empty() || legal.ends_with(['.', '_']) => {}
            _ => legal.push('_'),
        }
    }
    legal.truncate(legal.trim_end_matches(['.', '_']).len());
    if legal.is_empty() {
        legal.push_str(UNNAMED);
    }
    if !legal.starts_with(|c: char| c.is_ascii_alphabetic()) {
        legal.insert(0, 'm');
    }
    shortened(legal, name, NAME_CHARS)
}

/// Names for the measures of all metrics of a batch, each given once. `texts` are in the order of the batch.
pub(crate) fn metrics(texts: &[String]) -> Vec<String> {
    let cleaned = distinct(texts.iter().map(String::as_str), |text| {
        let legal = metric(text);
        if legal == text { Cow::Borrowed(text) } else { Cow::Owned(legal) }
    });
    // A measure may be asked for twice.
    let mut taken = Distinct::default();
    let mut given = |name: Cow<'_, str>| {
        if taken.is_free(&name) {
            return taken.take(&name);
        }
        let room: String = name.chars().take(NAME_CHARS - NUMBER_CHARS).collect();
        taken.take(room.trim_end_matches(['.', '_']))
    };
    cleaned.into_iter().map(&mut given).collect()
}

/// All tags of a metric's series.
#[derive(Debug)]
pub(crate) struct Tags {
    /// The tags that every series has, as JSON texts separated by commas.
    pub(crate) constant: Vec<u8>,
    constants: usize,
    /// For each dimension and each entry of its dictionary: a comma and the tag as a JSON text, or nothing.
    pub(crate) dimensions: Vec<Pieces>,
    /// For each dimension, the entries that are written as others are.
    alike: Vec<Alike>,
}

impl Tags {
    pub(crate) fn new(project: &str, metric_set: &str, extra: &str, host: bool, columns: &Columns) -> Self {
        let mut constant = vec![
            format!("metric_set:{}", value(metric_set, TAG_CHARS - "metric_set:".len())),
            format!("project:{}", value(project, TAG_CHARS - "project:".len())),
        ];
        let extra: BTreeSet<String> = extra.split(',').map(str::trim).filter(|t| !t.is_empty()).map(bare).collect();
        constant.extend(extra);
        let taken: Vec<&str> = constant.iter().map(|tag| tag.split(':').next().unwrap_or_default()).collect();
        let mut keys = Distinct::reserving(&taken);
        if host {
            keys.take("host");
        }
        let (mut dimensions, mut alike) = (Vec::new(), Vec::new());
        for dimension in &columns.dimensions {
            let key = keys.take(&key(&dimension.name));
            let most = TAG_CHARS.saturating_sub(key.chars().count() + 1);
            let start = format!(",\"{key}:");
            let texts = || dimension.dictionary.iter();
            if is_clean(dimension.dictionary.text()) && texts().all(|text| is_value(text, most)) {
                dimensions.push(Pieces::between(texts(), start.as_bytes(), b"\"", b"", |_| None));
                alike.push(Alike::default());
            } else {
                let values: Vec<_> = texts().map(|text| value(text, most)).collect();
                dimensions.push(Pieces::between(&values, start.as_bytes(), b"\"", b"", |_| None));
                alike.push(Alike::new(&values));
            }
        }
        let quoted: Vec<String> = constant.iter().map(|tag| format!("\"{tag}\"")).collect();
        Self { constant: quoted.join(",").into_bytes(), constants: constant.len(), dimensions, alike }
    }

    /// Whether no two entries of a dictionary are written alike, so that rows which differ have different tags.
    pub(crate) fn are_all_different(&self) -> bool {
        self.alike.iter().all(|alike| alike.0.is_empty())
    }

    /// The rows that cannot be sent beside another, which would have the same tags, with the reason. Of such rows the one stays
    /// that needs the fewest changes, then the first: so a value that is fine keeps its series, whatever else occurs.
    pub(crate) fn twins(&self, columns: &Columns) -> BTreeMap<u32, String> {
        let has_value = |row: &u32| columns.measures.iter().any(|measure| measure.value(*row as usize).is_some());
        // What a row is written as, and how many of its values that changes.
        let written = |row: u32| {
            let codes = columns.dimensions.iter().map(|d| d.codes.get(row as usize).copied().unwrap_or(u32::MAX));
            let pairs = self.alike.iter().zip(codes).map(|(alike, code)| (alike.0.get(&code).copied(), code));
            let changed = pairs.clone().filter(|(stands, _)| stands.is_some()).count();
            (pairs.map(|(stands, code)| stands.unwrap_or(code)).collect::<Vec<_>>(), changed)
        };
        let mut stays: BTreeMap<Vec<u32>, (usize, u32)> = BTreeMap::new();
        for row in (0..columns.live_rows).filter(has_value) {
            let (tags, changed) = written(row);
            let first = stays.entry(tags).or_insert((changed, row));
            *first = (changed, row).min(*first);
        }
        let mut twins = BTreeMap::new();
        for row in (0..columns.live_rows).filter(has_value) {
            if let Some((_, other)) = stays.get(&written(row).0).filter(|(_, other)| *other != row) {
                twins.insert(row, told(columns, row as usize, *other as usize));
            }
        }
        twins
    }

    /// Whether some row may have more tags than are taken.
    pub(crate) fn may_be_too_many(&self) -> bool {
        self.constants + self.dimensions.len() > TAGS
    }

    /// Tags of a row.
    pub(crate) fn count(&self, columns: &Columns, row: usize) -> usize {
        let present = |(tag, dimension): (&Pieces, &Dimension)| {
            dimension.codes.get(row).is_some_and(|&code| tag.len_of(code) > 0)
        };
        self.constants + self.dimensions.iter().zip(&columns.dimensions).filter(|pair| present(*pair)).count()
    }

    /// Bytes of a row's tags beyond the constant ones.
    pub(crate) fn len_of(&self, columns: &Columns, row: usize) -> usize {
        let len =
            |(tag, dimension): (&Pieces, &Dimension)| dimension.codes.get(row).map_or(0, |&code| tag.len_of(code));
        self.dimensions.iter().zip(&columns.dimensions).map(len).sum()
    }
}

/// Entries of a dictionary that are written as another is, each with the one that stands for all of them: the one that needs no
/// change, or the first.
#[derive(Debug, Default)]
struct Alike(BTreeMap<u32, u32>);

impl Alike {
    fn new(values: &[Cow<'_, str>]) -> Self {
        let mut stands: BTreeMap<&str, u32> = BTreeMap::new();
        for fine in [true, false] {
            for (code, value) in (0..).zip(values).filter(|(_, value)| matches!(value, Cow::Borrowed(_)) == fine) {
                stands.entry(value).or_insert(code);
            }
        }
        let other = |(code, value): (u32, &Cow<'_, str>)| {
            stands.get(value.as_ref()).filter(|stands| **stands != code).map(|stands| (code, *stands))
        };
        Self((0..).zip(values).filter_map(other).collect())
    }
}

/// Why one of two rows cannot be sent, by the first value in which they differ.
fn told(columns: &Columns, row: usize, other: usize) -> String {
    let differs = |dimension: &&Dimension| dimension.value(other) != dimension.value(row);
    let Some(dimension) = columns.dimensions.iter().find(differs) else { return "a row of the same values".to_owned() };
    let [name, one, two] = [&dimension.name, dimension.value(other), dimension.value(row)].map(shown);
    format!("{name}=\"{one}\" and {name}=\"{two}\" would be one series: Datadog knows no difference between them")
}

/// The beginning of a text, for reasons.
fn shown(text: &str) -> String {
    const SHOWN: usize = 40;
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", text[..at].escape_debug()),
        None => text.escape_debug().to_string(),
    }
}

/// Whether all bytes are ones that a value may have. It runs over every dictionary, so it goes by bytes.
fn is_clean(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b':' | b'.' | b'/'))
}

/// Whether a clean text is stored as it is.
fn is_value(text: &str, most: usize) -> bool {
    text.len() <= most && !text.ends_with([':', '_']) && !text.contains("__")
}

/// The value of a tag, of at most `most` characters: lower-case letters of any script, digits and `_ - : . /`.
fn value(text: &str, most: usize) -> Cow<'_, str> {
    if is_clean(text) && is_value(text, most) {
        return Cow::Borrowed(text);
    }
    let cleaned = lowered(text, false);
    let cleaned = if cleaned.is_empty() { UNNAMED.to_owned() } else { cleaned };
    let fits = cleaned.chars().count() <= most;
    if fits && cleaned == text { Cow::Borrowed(text) } else { Cow::Owned(shortened(cleaned, text, most)) }
}

/// The key of a tag: as a value without colons, a letter first.
fn key(text: &str) -> String {
    let cleaned = lowered(text, true);
    let cleaned = cleaned.trim_start_matches('_');
    let first = cleaned.chars().next();
    let named = match first {
        None => UNNAMED.to_owned(),
        Some(letter) if letter.is_alphabetic() => cleaned.to_owned(),
        Some(_) => format!("tag_{cleaned}"),
    };
    shortened(named, text, KEY_CHARS)
}

/// A tag that the admin typed, with or without a key.
fn bare(text: &str) -> String {
    match text.split_once(':') {
        Some((start, rest)) => {
            let key = key(start);
            let most = TAG_CHARS.saturating_sub(key.chars().count() + 1);
            format!("{key}:{}", value(rest.trim(), most))
        }
        None => key(text),
    }
}

fn lowered(text: &str, is_key: bool) -> String {
    let mut cleaned = String::with_capacity(text.len());
    for letter in text.chars().flat_map(char::to_lowercase) {
        let legal = letter.is_alphanumeric() || matches!(letter, '-' | '.' | '/') || (letter == ':' && !is_key);
        if legal {
            cleaned.push(letter);
        } else if !cleaned.ends_with('_') {
            cleaned.push('_');
        }
    }
    cleaned.truncate(cleaned.trim_end_matches(['_', ':']).len());
    cleaned
}

/// A changed text, short enough that a number can follow. What has to be cut ends in a digest of `original`, so that texts which
/// differ only further on stay apart, and each is the same in every window.
fn shortened(text: String, original: &str, most: usize) -> String {
    if text.chars().count() <= most - NUMBER_CHARS || (text == original && text.chars().count() <= most) {
        return text;
    }
    let digest = digest(original);
    let kept: String = text.chars().take(most - NUMBER_CHARS - 1 - digest.len()).collect();
    format!("{}_{digest}", kept.trim_end_matches(['_', ':', '.']))
}

/// Eight hexadecimal digits of FNV-1a.
fn digest(text: &str) -> String {
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{:08x}", (hash >> 32) ^ (hash & 0xffff_ffff))
}

/// A text as JSON writes it, quotes included.
pub(crate) fn quoted(text: &str) -> String {
    let mut json = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => json.extend(['\\', letter]),
            control if control < ' ' => json.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => json.push(other),
        }
    }
    json.push('"');
    json
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_become_what_the_intake_leaves_alone() {
        let table = [
            ("tidegate.errors.count._tx", "tidegate.errors.count.tx"),
            ("tidegate.all errors.max.app.version", "tidegate.all_errors.max.app.version"),
            ("a__b.-c..d._", "a_b.c.d"),
            ("größe", "gr_e"),
            ("404s", "m404s"),
            ("_x", "x"),
            ("错误", "unnamed"),
            ("", "unnamed"),
            ("Case.Stays", "Case.Stays"),
        ];
        for (name, expected) in table {
            assert_eq!(metric(name), expected, "{name:?}");
        }
    }

    #[test]
    fn names_of_200_characters_stay_and_longer_ones_end_in_a_digest() {
        let fits = "a".repeat(NAME_CHARS);
        assert_eq!(metric(&fits), fits);
        let (one, two) = (format!("{fits}b"), format!("{fits}c"));
        assert_ne!(metric(&one), metric(&two));
        assert_eq!(metric(&one).len(), NAME_CHARS - NUMBER_CHARS);
        assert_eq!(metric(&one), metric(&one));
    }

    #[test]
    fn values_become_what_a_tag_can_hold() {
        let table = [
            ("1.2.0", "1.2.0"),
            ("NZ", "nz"),
            ("Out of memory, again", "out_of_memory_again"),
            ("C:\\temp\\", "c:_temp"),
            ("a:b:", "a:b"),
            ("http://x/y-z", "http://x/y-z"),
            ("βeta 数", "βeta_数"),
            ("İ", "i"),
            ("???", "unnamed"),
            ("two\nlines", "two_lines"),
            ("a__b_", "a_b"),
        ];
        for (text, expected) in table {
            assert_eq!(value(text, 100), expected, "{text:?}");
        }
    }

    #[test]
    fn keys_start_with_a_letter_and_have_no_colon() {
        let table = [
            ("app.version", "app.version"),
            ("_tx", "tx"),
            ("a:b", "a_b"),
            ("9lives", "tag_9lives"),
            ("Größe", "größe"),
            ("", "unnamed"),
            ("--", "tag_--"),
        ];
        for (text, expected) in table {
            assert_eq!(key(text), expected, "{text:?}");
        }
    }

    /// The agent's copy of the intake's rule, in other words: a name that it would not change.
    fn is_stored_as_it_is(name: &str) -> bool {
        let legal = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.');
        let pairs = ["__", "_.", "._", ".."];
        legal
            && name.starts_with(|c: char| c.is_ascii_alphabetic())
            && !name.ends_with(['_', '.'])
            && name.len() <= NAME_CHARS
            && pairs.iter().all(|pair| !name.contains(pair))
    }

    proptest! {
        #[test]
        fn whatever_a_name_is_the_intake_would_not_change_ours(name in "[a-zA-Z0-9_. -]{0,12}|\\PC{0,300}") {
            prop_assert!(is_stored_as_it_is(&metric(&name)), "{:?}", metric(&name));
        }

        #[test]
        fn names_that_differ_stay_different(names in proptest::collection::vec("[ab._ -]{0,4}|a{195,210}", 1..20)) {
            let given: BTreeSet<_> = metrics(&names).into_iter().collect();
            prop_assert_eq!(given.len(), names.len());
            prop_assert!(given.iter().all(|name| is_stored_as_it_is(name)), "{given:?}");
        }

        #[test]
        fn whatever_a_value_is_a_tag_holds_it(text in "[a-zA-Z:_. /]{1,12}|\\PC{1,300}", most in 99_usize..190) {
            let value = value(&text, most);
            prop_assert!(!value.is_empty() && value.chars().count() <= most);
            prop_assert!(!value.ends_with([':', '_']) && !value.contains("__"));
            prop_assert_eq!(value.chars().flat_map(char::to_lowercase).collect::<String>(), value.as_ref());
            prop_assert!(value.chars().all(|c| c.is_alphanumeric() || "_-:./".contains(c)), "{value:?}");
        }
    }
}
