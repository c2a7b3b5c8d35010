//! The page: families in order of their names, each with its help, its type and all of its lines.
//!
//! A family's lines may come from several metric sets, so the page is planned first. Columns are read when a family needs them and
//! the last metric's are kept, since families that are neighbours by name mostly come from one metric; so memory is needed for one
//! metric at a time, whatever the snapshot holds.

use crate::names::{Meaning, WINDOW_END, clean, escape, escape_help, escaped, families, labels};
use std::collections::{BTreeMap, HashMap};
use tidegate_adapter::{Batch, Body, Columns, Metric, Pieces, Snapshot, distinct};

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

pub(crate) fn write(body: &mut Body, snapshot: &Snapshot<'_>, help: bool) {
    let mut batches = snapshot.batches();
    batches.sort_by_cached_key(|batch| (batch.project(), batch.metric_set()));
    let sets: Vec<_> = batches.iter().map(|batch| (common_labels(batch), batch.metrics())).collect();
    let sources: Vec<_> =
        sets.iter().flat_map(|(labels, metrics)| metrics.iter().map(|metric| Source { metric, labels })).collect();
    let mut writer = Writer { body, sources: &sources, period: snapshot.period(), help, read: None };
    let families = plan(&sources);
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
fn plan(sources: &[Source<'_>]) -> BTreeMap<String, Family> {
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
    let names = families(parts.iter().map(|(meaning, ..)| meaning.clone()));
    let mut families = BTreeMap::new();
    for (meaning, additive, source, at) in parts {
        let Some(name) = names.get(&meaning) else { continue };
        let mut add = |name: String, kind| {
            let family = || Family { meaning: meaning.clone(), kind, parts: Vec::new() };
            families.entry(name).or_insert_with(family).parts.push((source, at));
        };
        add(name.clone(), Kind::Gauge);
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
    help: bool,
    /// The columns and label pieces of the last source.
    read: Option<(usize, Columns, Vec<Pieces>)>,
}

impl Writer<'_> {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        if self.help {
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
        let (kind, span) = match family.kind {
            Kind::Gauge => ("gauge", format!("in the last window of {} s", self.period)),
            Kind::Counter => ("counter", "over all windows so far".to_owned()),
        };
        let help = format!("{aggregate} of {} {span}, metric {}.", escape_help(attribute), escape_help(metric));
        let mut headed = false;
        for &(source, measure) in &family.parts {
            self.read(source);
            let Some((_, columns, labels)) = self.read.take() else { continue };
            if has_lines(family.kind, &columns, measure) && !headed {
                self.head(name, kind, &help);
                headed = true;
            }
            self.lines(name, family.kind, source, measure, &columns, &labels);
            self.read = Some((source, columns, labels));
        }
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

fn has_lines(kind: Kind, columns: &Columns, measure: usize) -> bool {
    values(kind, columns, measure).next().is_some()
}
