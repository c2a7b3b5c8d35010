//! What repeats from row to row of a metric: names and tags, each spelled once.

use crate::names::{self, NAME_BYTES, TAGS};
use std::collections::BTreeMap;
use tidegate_adapter::{
    Body, Columns, Dimension, Distinct, MeasureInfo, Metric, Names, Pieces, Placeholder, Template, distinct,
};

/// Keys that mean something to the broker by themselves: of values, and those that it adds to what it polled.
const RESERVED: [&str; 7] = ["_type", "_value", "_ts", "_fl", "_tags", "services", "duration"];
/// What is after the name of a total.
pub(crate) const TOTAL: &str = "_total";

/// Hands out names, each once among metrics with the same constant tags.
#[derive(Debug)]
pub(crate) struct Namer {
    reserved: Distinct,
    taken: BTreeMap<Vec<(&'static str, String)>, Distinct>,
}

/// Whose metric it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) project: &'a str,
    pub(crate) metric_set: &'a str,
}

impl Place<'_> {
    /// Category and value of what the template does not hold.
    pub(crate) fn tags(&self, template: &Template) -> Vec<(&'static str, String)> {
        let all = [(Placeholder::Project, self.project), (Placeholder::MetricSet, self.metric_set)];
        let tag = |(place, value): (Placeholder, &str)| {
            let category = place.as_str();
            (category, names::value(value, category.len()).into_owned())
        };
        all.into_iter().filter(|(place, _)| !template.holds(*place)).map(tag).collect()
    }
}

impl Namer {
    /// None of `reserved` is handed out, and no key that means something to the broker.
    pub(crate) fn reserving(reserved: &[&str]) -> Self {
        Self { reserved: Distinct::reserving(&[&RESERVED, reserved].concat()), taken: BTreeMap::new() }
    }

    /// The names of the measures of metrics of one place, metric by metric. A name that needs no change keeps its text.
    pub(crate) fn names(&mut self, template: &Template, place: Place<'_>, metrics: &[Metric]) -> Vec<Vec<String>> {
        let wanted: Vec<Vec<(String, String)>> = metrics
            .iter()
            .map(|metric| metric.measures().iter().map(|measure| spelled(template, place, metric, measure)).collect())
            .collect();
        let taken = self.taken.entry(place.tags(template)).or_insert_with(|| self.reserved.clone());
        let mut given: Vec<Vec<String>> = wanted.iter().map(|names| vec![String::new(); names.len()]).collect();
        for changed in [false, true] {
            for (names, given) in wanted.iter().zip(&mut given) {
                for ((plain, legal), given) in names.iter().zip(given) {
                    if (plain != legal) == changed {
                        *given = take(taken, legal);
                    }
                }
            }
        }
        given
    }
}

/// The name as the template makes it, and as the broker keeps it.
fn spelled(template: &Template, place: Place<'_>, metric: &Metric, measure: &MeasureInfo) -> (String, String) {
    let filled = Names {
        project: place.project,
        metric_set: place.metric_set,
        metric: metric.name(),
        aggregate: &measure.aggregate,
        attribute: &measure.attribute,
    };
    (template.fill(&filled, std::borrow::Cow::Borrowed), names::whole(&template.fill(&filled, names::part)))
}

/// A name that is free together with its total's.
fn take(taken: &mut Distinct, wanted: &str) -> String {
    let numbered = (2_u64..).map(|n| format!("{wanted}_{n}"));
    for name in std::iter::once(wanted.to_owned()).chain(numbered) {
        let total = format!("{name}{TOTAL}");
        if taken.is_free(&name) && taken.is_free(&total) {
            taken.take(&total);
            return taken.take(&name);
        }
    }
    wanted.to_owned()
}

/// Everything of a metric's members that does not change from row to row.
#[derive(Debug)]
pub(crate) struct Series {
    /// For each measure: the quote and the name, then the same for its total.
    names: Pieces,
    /// Bytes of the longest name.
    longest_name: usize,
    /// The tags that every row has.
    constant: Pieces,
    constants: usize,
    constant_bytes: usize,
    dimensions: Vec<Tag>,
    /// Between the name and the tags, and between two tags.
    begin: Pieces,
}

/// The tags of one dimension.
#[derive(Debug)]
struct Tag {
    /// For each entry of the dictionary the pair, or nothing.
    pieces: Pieces,
    /// Bytes that the broker reads for each.
    bytes: Vec<u32>,
}

impl Series {
    pub(crate) fn new(names: &[String], constant: &[(&'static str, String)], columns: &Columns, totals: bool) -> Self {
        let mut pieces = Pieces::default();
        let mut longest_name = 0;
        for suffix in ["", TOTAL] {
            for (name, measure) in names.iter().zip(&columns.measures) {
                pieces.push(format!("\"{}{suffix}", names::escaped(name)).as_bytes());
                if suffix.is_empty() || (totals && measure.totals.is_some()) {
                    longest_name = longest_name.max(name.len() + suffix.len());
                }
            }
        }
        let mut written = Vec::new();
        let mut constant_bytes = 0;
        for (category, value) in constant {
            if !written.is_empty() {
                written.push(b',');
            }
            constant_bytes += names::write_category(category, &mut written) + 2;
            written.push(b':');
            constant_bytes += names::write_value(value, &mut written);
        }
        let reserved: Vec<&str> = constant.iter().map(|(category, _)| *category).collect();
        let mut categories = Distinct::reserving(&reserved);
        let tags = columns.dimensions.iter().map(|dimension| Tag::new(&mut categories, dimension));
        Self {
            names: pieces,
            longest_name,
            constant: Pieces::one(&written),
            constants: constant.len(),
            constant_bytes,
            dimensions: tags.collect(),
            begin: Pieces::one(b"|ST["),
        }
    }

    /// Whether some row may be one that the broker cannot take.
    pub(crate) fn may_be_refused(&self) -> bool {
        let longest: usize = self.dimensions.iter().map(|tag| tag.longest() + 1).sum();
        self.is_too_long(longest) || self.constants + self.dimensions.len() > TAGS
    }

    /// Why the broker cannot take a row.
    pub(crate) fn refused(&self, columns: &Columns, row: usize) -> Option<String> {
        let present = self.dimensions.iter().zip(&columns.dimensions).map(|(tag, d)| tag.bytes_of(d, row));
        let present: Vec<usize> = present.filter(|bytes| *bytes > 0).collect();
        let tags = self.constants + present.len();
        if tags > TAGS {
            return Some(format!("{tags} tags, and Circonus takes {TAGS}"));
        }
        let bytes = present.iter().sum::<usize>() + present.len();
        self.is_too_long(bytes)
            .then(|| format!("name with tags longer than the {NAME_BYTES} bytes that Circonus takes"))
    }

    /// Whether the longest name is too long with constant tags and `tags` bytes of others.
    fn is_too_long(&self, tags: usize) -> bool {
        let all = self.constant_bytes + tags;
        // `|ST[` and `]`, less the comma that the first tag does not have.
        let all = if all > 0 { all + 4 } else { 0 };
        self.longest_name + all > NAME_BYTES
    }

    /// Most bytes that the names of a row have together as written.
    pub(crate) fn len_of(&self, columns: &Columns, row: usize) -> usize {
        let tags = self.dimensions.iter().zip(&columns.dimensions);
        let tags: usize = tags.map(|(tag, d)| d.codes.get(row).map_or(0, |&code| tag.pieces.len_of(code)) + 1).sum();
        let measures = columns.measures.len();
        let names: usize = (0..).take(measures).map(|code| self.names.len_of(code)).sum();
        names + measures * (tags + self.constant.len_of(0) + 8)
    }

    /// Writes the key of a member: `"NAME|ST[TAGS]"`. The totals' codes follow those of the measures.
    pub(crate) fn write(&self, body: &mut Body, code: u32, columns: &Columns, row: usize) {
        body.piece(&self.names, code);
        let mut tags = false;
        if self.constants > 0 {
            body.piece(&self.begin, 0);
            body.piece(&self.constant, 0);
            tags = true;
        }
        for (tag, dimension) in self.dimensions.iter().zip(&columns.dimensions) {
            let code = dimension.codes.get(row).copied().unwrap_or(u32::MAX);
            if tag.pieces.len_of(code) == 0 {
                continue;
            }
            if tags {
                body.byte(b',');
            } else {
                body.piece(&self.begin, 0);
                tags = true;
            }
            body.piece(&tag.pieces, code);
        }
        if tags {
            body.byte(b']');
        }
        body.byte(b'"');
    }
}

impl Tag {
    fn new(categories: &mut Distinct, dimension: &Dimension) -> Self {
        let category = categories.take(&names::category(&dimension.name));
        let mut start = Vec::new();
        let room = names::write_category(&category, &mut start);
        start.push(b':');
        let mut bytes = Vec::with_capacity(dimension.dictionary.len());
        let values = distinct(dimension.dictionary.iter(), |text| names::value(text, room));
        let pieces = Pieces::of(values, |value, out| {
            if value.is_empty() {
                bytes.push(0);
                return;
            }
            out.extend_from_slice(&start);
            let len = room + 1 + names::write_value(value, out);
            bytes.push(u32::try_from(len).unwrap_or(u32::MAX));
        });
        Self { pieces, bytes }
    }

    fn longest(&self) -> usize {
        self.bytes.iter().copied().max().unwrap_or(0) as usize
    }

    fn bytes_of(&self, dimension: &Dimension, row: usize) -> usize {
        let bytes = dimension.codes.get(row).and_then(|&code| self.bytes.get(code as usize));
        bytes.copied().unwrap_or(0) as usize
    }
}
