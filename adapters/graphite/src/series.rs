//! How the series of one metric are spelled, in either style.
//!
//! The work is done once for each entry of a dictionary; a row is then made of pieces. What breaks a limit, and values that the
//! path style would write alike, are found here too, so that rows which have nothing of the kind are not looked at twice.

use crate::limits::{SERIES_BYTES, cut, line_refusal, name_refusal, node_refusal, tag_refusal};
use crate::settings::Style;
use graphite_series::{Blanks, Namer, encode, is_plain, node};
use std::borrow::Cow;
use std::collections::BTreeMap;
use tidegate_adapter::{Columns, Dimension, Distinct, MeasureInfo, Pieces};

/// The node of an event that has no value for an attribute. Tags are left out then; a path needs something in the place.
const NOTHING: &str = "_none_";

/// Names of a metric's measures, with what follows them in all lines.
#[derive(Debug)]
pub(crate) struct Heads {
    /// For each measure.
    pub(crate) pieces: Pieces,
    /// For each measure, why no row with a value of it can be sent.
    refusals: Vec<Option<String>>,
}

impl Heads {
    pub(crate) fn new(namer: &mut Namer<'_>, style: Style, metric: &str, measures: &[MeasureInfo]) -> Self {
        let (mut constant, mut unfit) = (String::new(), None);
        match style {
            Style::Tagged => {
                for (key, text) in namer.misspelled() {
                    let value = encode(text, Blanks::Encode);
                    unfit = unfit.or_else(|| tag_refusal(&format!("the tag {key}"), &value));
                    constant.push_str(&format!(";{key}={value}"));
                }
            }
            Style::Path => {
                for (_, text) in namer.missing() {
                    constant.push_str(&format!(".{}", node(text)));
                }
            }
        }
        let (mut pieces, mut refusals) = (Pieces::default(), Vec::new());
        for measure in measures {
            let name = namer.name(metric, &measure.aggregate, &measure.attribute);
            pieces.push(format!("{name}{constant}").as_bytes());
            refusals.push(name_refusal(&name, style == Style::Tagged).or_else(|| unfit.clone()));
        }
        Self { pieces, refusals }
    }
}

/// What a metric's series are made of.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) heads: Heads,
    /// For each dimension, and for each entry of its dictionary: the tag or the node, with what separates it.
    pub(crate) labels: Vec<Pieces>,
    /// For each dimension, the entries that cannot be sent, with the reason.
    unfit: Vec<BTreeMap<u32, String>>,
    /// For each dimension, entries that are written as an earlier one is, with the earlier one.
    alike: Vec<BTreeMap<u32, u32>>,
    /// Rows that were seen with an entry of `alike` in them, each by what it is written as.
    seen: BTreeMap<Vec<u32>, usize>,
    is_long: bool,
}

impl Series {
    pub(crate) fn new(heads: Heads, style: Style, columns: &Columns) -> Self {
        let mut keys = Distinct::reserving(&["name", "project", "metric_set"]);
        let mut series =
            Self { heads, labels: vec![], unfit: vec![], alike: vec![], seen: BTreeMap::new(), is_long: false };
        for dimension in &columns.dimensions {
            match style {
                Style::Tagged => series.add_tags(&mut keys, dimension),
                Style::Path => series.add_nodes(dimension),
            }
        }
        let longest: usize = series.labels.iter().map(Pieces::longest).sum();
        series.is_long = series.heads.pieces.longest() + longest > SERIES_BYTES;
        series
    }

    fn add_tags(&mut self, keys: &mut Distinct, dimension: &Dimension) {
        let key = keys.take(&tag_key(&dimension.name));
        let dictionary = &dimension.dictionary;
        let before = format!(";{key}=");
        let pieces = |values: &[Cow<'_, str>]| Pieces::between(values, before.as_bytes(), b"", b"", |_| None);
        let mut unfit = BTreeMap::new();
        let plain = is_plain(dictionary.text(), Blanks::Encode);
        let labels = if plain {
            Pieces::between(dictionary.iter(), before.as_bytes(), b"", b"", |_| None)
        } else {
            pieces(&dictionary.iter().map(|text| encode(text, Blanks::Encode)).collect::<Vec<_>>())
        };
        let key_refusal = tag_refusal("the tag key", &key);
        if key_refusal.is_some() || labels.longest() > before.len() + crate::TAG_CHARS {
            let part = format!("the tag {}", cut(&key));
            for (code, text) in (0..).zip(dictionary.iter()).filter(|(_, text)| !text.is_empty()) {
                let refusal = key_refusal.clone().or_else(|| tag_refusal(&part, &encode(text, Blanks::Encode)));
                unfit.extend(refusal.map(|refusal| (code, refusal)));
            }
        }
        self.labels.push(labels);
        self.unfit.push(unfit);
        self.alike.push(BTreeMap::new());
    }

    fn add_nodes(&mut self, dimension: &Dimension) {
        let nodes: Vec<_> =
            dimension.dictionary.iter().map(|text| if text.is_empty() { NOTHING.into() } else { node(text) }).collect();
        let labels = Pieces::between(&nodes, b".", b"", b"", |_| None);
        let (mut unfit, mut alike) = (BTreeMap::new(), BTreeMap::new());
        if labels.longest() > 1 + crate::NODE_BYTES {
            for (code, node) in (0..).zip(&nodes) {
                unfit.extend(node_refusal(&dimension.name, node).map(|refusal| (code, refusal)));
            }
        }
        if nodes.iter().any(|node| matches!(node, Cow::Owned(_)) || node == NOTHING) {
            let mut first: BTreeMap<&str, u32> = BTreeMap::new();
            for (code, node) in (0..).zip(&nodes) {
                let earlier = *first.entry(node).or_insert(code);
                if earlier != code {
                    alike.insert(code, earlier);
                    // The earlier one takes part in a collision, too.
                    alike.insert(earlier, earlier);
                }
            }
        }
        self.labels.push(labels);
        self.unfit.push(unfit);
        self.alike.push(alike);
    }

    /// Whether rows have to be asked about.
    pub(crate) fn is_suspicious(&self) -> bool {
        self.is_long
            || self.heads.refusals.iter().any(Option::is_some)
            || self.unfit.iter().any(|unfit| !unfit.is_empty())
            || self.alike.iter().any(|alike| !alike.is_empty())
    }

    /// Why a row cannot be sent, if it cannot. To be asked for all rows in order.
    pub(crate) fn refusal(&mut self, columns: &Columns, row: usize) -> Option<String> {
        let codes: Vec<u32> =
            columns.dimensions.iter().map(|d| d.codes.get(row).copied().unwrap_or(u32::MAX)).collect();
        let labels: usize = self.labels.iter().zip(&codes).map(|(pieces, &code)| pieces.len_of(code)).sum();
        if let Some(refusal) = self.unfit.iter().zip(&codes).find_map(|(unfit, code)| unfit.get(code)) {
            return Some(refusal.clone());
        }
        let present = (0_u32..).zip(&columns.measures).filter(|(_, measure)| measure.value(row).is_some());
        for (number, refusal) in present.map(|(number, _)| (number, self.heads.refusals.get(number as usize))) {
            if let Some(Some(refusal)) = refusal {
                return Some(refusal.clone());
            }
            let length = self.heads.pieces.len_of(number) + labels;
            if length > SERIES_BYTES {
                return Some(line_refusal(length));
            }
        }
        self.collision(columns, row, &codes)
    }

    /// Names the two values that make the paths of two rows one.
    fn collision(&mut self, columns: &Columns, row: usize, codes: &[u32]) -> Option<String> {
        if self.alike.iter().zip(codes).all(|(alike, code)| !alike.contains_key(code)) {
            return None;
        }
        let written =
            self.alike.iter().zip(codes).map(|(alike, code)| alike.get(code).copied().unwrap_or(*code)).collect();
        let earlier = *self.seen.entry(written).or_insert(row);
        let differs = |dimension: &&Dimension| dimension.value(earlier) != dimension.value(row);
        let dimension = columns.dimensions.iter().find(differs)?;
        let (one, other) = (dimension.value(earlier), dimension.value(row));
        let name = cut(&dimension.name);
        Some(format!("{name}=\"{}\" and {name}=\"{}\" would have one path; tags keep them apart", cut(one), cut(other)))
    }
}

/// A tag key: besides what a value must not hold, `!`, `^` and `=` are encoded.
fn tag_key(name: &str) -> String {
    let encoded = encode(name, Blanks::Encode);
    if encoded.is_empty() {
        "_".to_owned()
    } else {
        encoded.replace('!', "%21").replace('^', "%5E").replace('=', "%3D")
    }
}
