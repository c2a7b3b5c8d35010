//! The page: families in order of their names, each with its help, its type and all of its lines.
//!
//! A family's lines may come from several metric sets, so the page is planned first. Columns are read when a family needs them and
//! the last metric's are kept, since families that are neighbours by name mostly come from one metric; so memory is needed for one
//! metric at a time, whatever the snapshot holds.

use crate::names::{Meaning, WINDOW_END, clean, escape, escape_help, escaped, families, labels};
use crate::negotiate::Format;
use std::collections::{BTreeMap, HashMap};
use tidegate_adapter::{Batch, Body, Columns, Metric, Pieces, Snapshot, distinct};

/// How the page is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    pub(crate) format: Format,
    /// Whether gauges have names of their own beside counters, as OpenMetrics wants: the family of a counter `x_total` is `x` there.
    /// It goes by the setting and not by the format, so that no name depends on what a scraper asks for.
    pub(crate) apart: bool,
    pub(crate) help: bool,
}

/// A metric of the snapshot.
struct Source<'a> {
    metric: &'a Metric,
    /// The labels that all its lines begin with.
    labels: &'a str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Gauge,
    Counter,
}

/// One family, and where its lines come from.
struct Family {
    meaning: Meaning,
    kind: Kind,
    /// Index of the source, and of the measure in it.
    parts: Vec<(usize, usize)>,
}

pub(crate) fn write(body: &mut Body, snapshot: &Snapshot<'_>, style: Style) {
    let mut batches = snapshot.batches();
    batches.sort_by_cached_key(|batch| (batch.project(), batch.metric_set()));
    let sets: Vec<_> = batches.iter().map(|batch| (common_labels(batch), batch.metrics())).collect();
    let sources: Vec<_> =
        sets.iter().flat_map(|(labels, metrics)| metrics.iter().map(|metric| Source { metric, labels })).collect();
    let mut writer = Writer { body, sources: &sources, period: snapshot.period(), style, read: None };
    let families = plan(&sources, style.apart);
    let mut window_end = Some(batches.as_slice()).filter(|batches| !batches.is_empty());
    for (name, family) in &families {
        if name.as_str() > WINDOW_END
            && let Some(batches) = window_end.take()
        {
            writer.window_end(batches);
        }
        writer.family(name, family);
    }
    if let Some(batches) = window_end {
        writer.window_end(batches);
    }
    if style.format == Format::OpenMetrics {
        body.text("# EOF\n");
    }
}

/// `project="...",metric_set="..."`.
fn common_labels(batch: &Batch<'_>) -> String {
    let mut labels = Vec::new();
    for (name, value) in [("project", batch.project()), (",metric_set", batch.metric_set())] {
        labels.extend_from_slice(name.as_bytes());
        labels.extend_from_slice(b"=\"");
        escape(&clean(&value), &mut labels);
        labels.push(b'"');
    }
    String::from_utf8_lossy(&labels).into_owned()
}

/// All families by name.
fn plan(sources: &[Source<'_>], apart: bool) -> BTreeMap<String, Family> {
    let mut parts: Vec<(Meaning, bool, usize, usize)> = Vec::new();
    for (source, Source { metric, .. }) in sources.iter().enumerate() {
        let mut repeats: HashMap<(String, String), usize> = HashMap::new();
        for (at, measure) in metric.measures().iter().enumerate() {
            let (aggregate, attribute) = (measure.aggregate.clone(), measure.attribute.clone());
            let seen = repeats.entry((aggregate.clone(), attribute.clone())).or_default();
            let meaning = Meaning { metric: metric.name().to_owned(), aggregate, attribute, repeat: *seen };
            *seen += 1;
            parts.push((meaning, measure.additive, source, at));
        }
    }
    let names = families(parts.iter().map(|(meaning, ..)| meaning.clone()), apart);
    let mut families = BTreeMap::new();
    for (meaning, additive, source, at) in parts {
        let Some(name) = names.get(&meaning) else { continue };
        let mut add = |name: String, kind| {
            let family = || Family { meaning: meaning.clone(), kind, parts: Vec::new() };
            families.entry(name).or_insert_with(family).parts.push((source, at));
        };
        add(if additive && apart { format!("{name}_window") } else { name.clone() }, Kind::Gauge);
        if additive {
            add(format!("{name}_total"), Kind::Counter);
        }
    }
    families
}

struct Writer<'a> {
    body: &'a mut Body,
    sources: &'a [Source<'a>],
    period: u32,
    style: Style,
    /// The columns and label pieces of the last source.
    read: Option<(usize, Columns, Vec<Pieces>)>,
}

impl Writer<'_> {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        if self.style.help {
            self.body.text(&format!("# HELP {name} {help}\n"));
        }
        self.body.text(&format!("# TYPE {name} {kind}\n"));
    }

    fn window_end(&mut self, batches: &[Batch<'_>]) {
        self.head(WINDOW_END, "gauge", "End of the last window that was evaluated.");
        for batch in batches {
            self.body.text(&format!("{WINDOW_END}{{{}}} {}\n", common_labels(batch), batch.window_end()));
        }
    }

    fn family(&mut self, name: &str, family: &Family) {
        let Meaning { metric, aggregate, attribute, .. } = &family.meaning;
        let span = match family.kind {
            Kind::Gauge => format!("in the last window of {} s", self.period),
            Kind::Counter => "over all windows so far".to_owned(),
        };
        let [attribute, metric] = [attribute, metric].map(|t| escape_help(t, self.style.format == Format::OpenMetrics));
        let help = format!("{aggregate} of {attribute} {span}, metric {metric}.");
        let mut headed = false;
        for &(source, measure) in &family.parts {
            self.read(source);
            if !headed && self.has_lines(family.kind, measure) {
                let (declared, kind) = self.declared(name, family);
                self.head(&declared, kind, &help);
                headed = true;
                self.read(source);
            }
            let Some((_, columns, labels)) = self.read.take() else { continue };
            self.lines(name, family.kind, source, measure, &columns, &labels);
            self.read = Some((source, columns, labels));
        }
    }

    /// The name and the type that a family is declared with. In OpenMetrics a counter's family is its name without `_total`, and
    /// nothing in it may be negative; a sum that is has no type that fits.
    fn declared(&mut self, name: &str, family: &Family) -> (String, &'static str) {
        match (family.kind, self.style.format) {
            (Kind::Gauge, _) => (name.to_owned(), "gauge"),
            (Kind::Counter, Format::Text) => (name.to_owned(), "counter"),
            (Kind::Counter, Format::OpenMetrics) if self.has_negative(family) => (name.to_owned(), "unknown"),
            (Kind::Counter, Format::OpenMetrics) => (name.strip_suffix("_total").unwrap_or(name).to_owned(), "counter"),
        }
    }

    /// Whether the source that was read last has lines.
    fn has_lines(&self, kind: Kind, measure: usize) -> bool {
        self.read.as_ref().is_some_and(|(_, columns, _)| values(kind, columns, measure).next().is_some())
    }

    fn has_negative(&mut self, family: &Family) -> bool {
        family.parts.iter().any(|&(source, measure)| {
            self.read(source);
            let negative = |(_, columns, _): &(usize, Columns, Vec<Pieces>)| {
                values(family.kind, columns, measure).any(|(_, value)| value < 0.0)
            };
            self.read.as_ref().is_some_and(negative)
        })
    }

    fn read(&mut self, source: usize) {
        if self.read.as_ref().is_some_and(|(last, ..)| *last == source) {
            return;
        }
        let columns = self.sources[source].metric.columns();
        let names = labels(&columns.dimensions);
        let pieces = columns.dimensions.iter().zip(&names).map(|(dimension, name)| {
            let start = format!(",{name}=\"");
            let values = distinct(dimension.dictionary.iter(), clean);
            Pieces::between(values, start.as_bytes(), b"\"", b"", escaped)
        });
        let pieces = pieces.collect();
        self.read = Some((source, columns, pieces));
    }

    fn lines(&mut self, name: &str, kind: Kind, source: usize, measure: usize, columns: &Columns, labels: &[Pieces]) {
        let head = Pieces::one(format!("{name}{{{}", self.sources[source].labels).as_bytes());
        for (row, value) in values(kind, columns, measure) {
            self.body.piece(&head, 0);
            for (pieces, dimension) in labels.iter().zip(&columns.dimensions) {
                self.body.piece(pieces, dimension.codes.get(row).copied().unwrap_or(u32::MAX));
            }
            self.body.text("} ");
            self.body.number(value);
            self.body.byte(b'\n');
        }
    }
}

/// Rows and values of a family's lines.
fn values(kind: Kind, columns: &Columns, measure: usize) -> impl Iterator<Item = (usize, f64)> {
    let column = columns.measures.get(measure).and_then(|measure| match kind {
        Kind::Gauge => Some(measure.values.as_slice()),
        Kind::Counter => measure.totals.as_deref(),
    });
    column.unwrap_or_default().iter().copied().enumerate().filter(|(_, value)| !value.is_nan())
}
