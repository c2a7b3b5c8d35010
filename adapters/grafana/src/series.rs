//! How the series of one metric are spelled in JSON.
//!
//! The work is done once for each entry of a dictionary; a row is then made of pieces. Tags with a blank, a quote or a backslash
//! are fine here. Their keys become labels of the store behind the receiver, which takes fewer letters in them than Graphite does.

use graphite_series::{Blanks, Namer, encode, is_plain};
use std::fmt::Write;
use tidegate_adapter::{Columns, Distinct, MeasureInfo, Pieces};

/// Most tags of a series, and most nodes of a name without tags, which are stored as labels as well. Grafana Cloud limits labels by
/// plan and publishes no figure; this one is what its open-source relative is known to take.
pub const MOST_PARTS: usize = 24;
/// Longest tag key in characters: Grafana Cloud's limit for the name of a label.
pub const KEY_CHARS: usize = 1_024;

/// What a metric's points begin with, one for each measure: everything up to the first tag that differs from row to row.
#[derive(Debug)]
pub(crate) struct Heads {
    pub(crate) pieces: Pieces,
    /// Tags that all rows have.
    constants: usize,
    /// Nodes of the names.
    nodes: Vec<usize>,
}

impl Heads {
    pub(crate) fn new(namer: &mut Namer<'_>, metric: &str, measures: &[MeasureInfo], period: u32, stamp: u64) -> Self {
        let constant: Vec<_> = namer
            .misspelled()
            .into_iter()
            .map(|(key, text)| format!("\"{key}={}\"", json(&encode(text, Blanks::Keep))))
            .collect();
        // The receiver divides by it.
        let interval = period.max(1);
        let (mut pieces, mut nodes) = (Pieces::default(), Vec::new());
        for measure in measures {
            let name = namer.name(metric, &measure.aggregate, &measure.attribute);
            nodes.push(name.split('.').count());
            let tags = constant.join(",");
            let head = format!(
                "{{\"name\":\"{name}\",\"interval\":{interval},\"mtype\":\"gauge\",\"time\":{stamp},\"tags\":[{tags}"
            );
            pieces.push(head.as_bytes());
        }
        Self { pieces, constants: constant.len(), nodes }
    }

    /// Whether a comma goes before the first tag of a row.
    pub(crate) fn has_tags(&self) -> bool {
        self.constants > 0
    }
}

/// What a metric's series are made of.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) heads: Heads,
    /// For each dimension, and for each entry of its dictionary: a comma and the tag, or nothing.
    pub(crate) labels: Vec<Pieces>,
    /// For each dimension, why no row with a value there can be sent.
    unfit: Vec<Option<String>>,
}

impl Series {
    pub(crate) fn new(heads: Heads, columns: &Columns) -> Self {
        let mut keys = Distinct::reserving(&["name", "project", "metric_set"]);
        let (mut labels, mut unfit) = (Vec::new(), Vec::new());
        for dimension in &columns.dimensions {
            let key = keys.take(&tag_key(&dimension.name));
            let before = format!(",\"{key}=");
            let escape = |byte| matches!(byte, b'"' | b'\\').then_some(byte);
            let dictionary = &dimension.dictionary;
            labels.push(if is_plain(dictionary.text(), Blanks::Keep) {
                Pieces::between(dictionary.iter(), before.as_bytes(), b"\"", b"", escape)
            } else {
                let values = dictionary.iter().map(|text| encode(text, Blanks::Keep));
                Pieces::between(values, before.as_bytes(), b"\"", b"", escape)
            });
            let length = key.len();
            unfit.push((length > KEY_CHARS).then(|| {
                format!("the tag key {}… has {length} characters, and Grafana takes {KEY_CHARS}", &key[..40])
            }));
        }
        Self { heads, labels, unfit }
    }

    /// Whether rows have to be asked about.
    pub(crate) fn is_suspicious(&self) -> bool {
        self.heads.constants + self.labels.len() > MOST_PARTS
            || self.heads.nodes.iter().any(|nodes| *nodes > MOST_PARTS)
            || self.unfit.iter().any(Option::is_some)
    }

    /// Why a row cannot be sent, if it cannot.
    pub(crate) fn refusal(&self, columns: &Columns, row: usize) -> Option<String> {
        let present =
            columns.dimensions.iter().zip(&self.unfit).filter(|(dimension, _)| !dimension.value(row).is_empty());
        let mut tags = self.heads.constants;
        for (_, unfit) in present {
            if unfit.is_some() {
                return unfit.clone();
            }
            tags += 1;
        }
        if tags > MOST_PARTS {
            return Some(format!("it has {tags} tags, and hosted Graphite takes {MOST_PARTS}"));
        }
        let has_value = |at: usize| columns.measures.get(at).is_some_and(|measure| measure.value(row).is_some());
        let longest =
            self.heads.nodes.iter().enumerate().filter(|(at, _)| has_value(*at)).map(|(_, nodes)| *nodes).max();
        let nodes = longest.filter(|nodes| tags == 0 && *nodes > MOST_PARTS)?;
        Some(format!("its name has {nodes} nodes, and hosted Graphite takes {MOST_PARTS} in a name without tags"))
    }
}

/// A tag key as the name of a label: ASCII letters, digits and `_`, no digit first, and no two underscores first, which are the
/// store's own.
fn tag_key(name: &str) -> String {
    let key: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    // A lone one would become two by its number.
    if key.is_empty() || key == "_" || key.starts_with("__") {
        format!("tag{key}")
    } else if key.starts_with(|c: char| c.is_ascii_digit()) {
        format!("_{key}")
    } else {
        key
    }
}

/// A text inside a JSON string. Control characters are percent-encoded before, so this is all.
fn json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        let slash = if matches!(letter, '"' | '\\') { "\\" } else { "" };
        // Writing to a String cannot fail.
        let _ = write!(out, "{slash}{letter}");
    }
    out
}
