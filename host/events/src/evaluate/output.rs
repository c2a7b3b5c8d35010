//! From aggregates to rows: which groups get a row of their own, in which order, and what their dimensions read.

use super::plan::{Grouping, Metric};
use super::{Evaluation, JobState, Texts};
use crate::source::{EvaluationLimits, SourceError};
use std::cmp::Ordering;
use tidegate_model::{Dimension, MeasureColumn, MetricBatch, StringPool};

/// What every dimension of the last row reads when there were more groups than rows.
const OTHER: &str = "other";

/// The values of an attribute in the order of their texts.
#[derive(Default)]
struct Ranks {
    /// The place of each class in that order.
    of_class: Vec<u32>,
    /// The texts in that order.
    texts: Vec<String>,
}

/// The end of an evaluation.
pub(super) struct Output<'a> {
    evaluation: &'a Evaluation,
    /// By slot; empty for those that nothing is grouped by.
    ranks: Vec<Ranks>,
}

/// The groups of a metric that get rows, as ranks of their dimensions, and those that share the last row.
struct Cut {
    /// Group numbers in the order of the rows.
    kept: Vec<u32>,
    /// Group numbers in the order of their texts.
    folded: Vec<u32>,
}

impl<'a> Output<'a> {
    pub(super) fn new(evaluation: &'a Evaluation, texts: &dyn Texts) -> Result<Self, SourceError> {
        let mut ranks = Vec::with_capacity(evaluation.plan.slots.len());
        for (i, slot) in evaluation.plan.slots.iter().enumerate() {
            ranks.push(if slot.groups {
                Ranks::new(evaluation.coders[i].class_texts(i, texts)?)
            } else {
                Ranks::default()
            });
        }
        Ok(Self { evaluation, ranks })
    }

    pub(super) fn batches(&self, limits: &EvaluationLimits) -> Result<Vec<MetricBatch>, SourceError> {
        let cap = limits.groups.max(1) as usize;
        Ok(self.evaluation.plan.metrics.iter().map(|metric| self.batch(metric, cap)).collect())
    }

    fn batch(&self, metric: &Metric, cap: usize) -> MetricBatch {
        let plan = &self.evaluation.plan;
        let (job, state) = (&plan.jobs[metric.job], &self.evaluation.jobs[metric.job]);
        let slots = self.slots_of(job.grouping);
        let (live, keys) = self.live(job.grouping, state, slots.len());
        let cut = self.cut(metric, state, &slots, live, &keys, cap);
        let mut inside = vec![false; state.counts.len()];
        cut.folded.iter().for_each(|&group| inside[group as usize] = true);
        let measures = metric.measures.iter().zip(&metric.query.measures).map(|(&m, spec)| {
            let accumulator = &state.measures[m];
            let mut values: Vec<f64> = cut.kept.iter().map(|&g| accumulator.value(&state.counts, g as usize)).collect();
            if !cut.folded.is_empty() {
                let distinct = self.evaluation.coders[job.measures[m].slot].classes();
                let tables = &self.evaluation.distincts;
                values.push(accumulator.folded(&state.counts, &cut.folded, &inside, tables, distinct));
            }
            MeasureColumn { attribute: spec.attribute.clone(), aggregate: spec.aggregate, values, totals: None }
        });
        let rows = u32::try_from(cut.kept.len() + usize::from(!cut.folded.is_empty())).unwrap_or(u32::MAX);
        MetricBatch {
            name: metric.name.clone(),
            rows,
            live_rows: rows,
            folded_groups: cut.folded.len() as u64,
            measures: measures.collect(),
            dimensions: self.dimensions(metric, &slots, job.grouping, &cut),
        }
    }

    /// The attributes of a group-by, in its order.
    fn slots_of(&self, mut grouping: usize) -> Vec<usize> {
        let mut slots = Vec::new();
        loop {
            match self.evaluation.plan.groupings[grouping] {
                Grouping::All => break,
                Grouping::One(slot) => {
                    slots.push(slot);
                    break;
                }
                Grouping::More(parent, slot) => {
                    slots.push(slot);
                    grouping = parent;
                }
            }
        }
        slots.reverse();
        slots
    }

    /// The ranks of a group's dimensions, into `key`.
    fn key(&self, mut grouping: usize, mut group: u32, key: &mut [u32]) {
        let mut dimension = key.len();
        loop {
            let (slot, class, parent) = match self.evaluation.plan.groupings[grouping] {
                Grouping::All => return,
                Grouping::One(slot) => (slot, group, None),
                Grouping::More(parent, slot) => {
                    let (left, right) = self.evaluation.groups[grouping].pair(group);
                    (slot, right, Some((parent, left)))
                }
            };
            dimension -= 1;
            key[dimension] = self.ranks[slot].of_class[class as usize];
            match parent {
                Some((parent, left)) => (grouping, group) = (parent, left),
                None => return,
            }
        }
    }

    /// The groups that have events, in the order of their dimensions' texts, with the ranks of all groups' dimensions.
    fn live(&self, grouping: usize, state: &JobState, dimensions: usize) -> (Vec<u32>, Vec<u32>) {
        if dimensions == 0 {
            return (vec![0], Vec::new());
        }
        let groups = state.counts.iter().enumerate().filter(|(_, events)| **events > 0).map(|(g, _)| g);
        let mut live: Vec<u32> = groups.map(|g| u32::try_from(g).unwrap_or(u32::MAX)).collect();
        let mut keys = vec![0; state.counts.len() * dimensions];
        for &group in &live {
            self.key(grouping, group, &mut keys[group as usize * dimensions..][..dimensions]);
        }
        if dimensions == 1 {
            live.sort_unstable_by_key(|&group| keys[group as usize]);
        } else {
            let key = |group: u32| &keys[group as usize * dimensions..][..dimensions];
            live.sort_unstable_by(|&a, &b| key(a).cmp(key(b)));
        }
        (live, keys)
    }

    /// Decides which groups get rows of their own: all, or those with the greatest first measure.
    fn cut(&self, metric: &Metric, state: &JobState, slots: &[usize], live: Vec<u32>, keys: &[u32], cap: usize) -> Cut {
        if live.len() <= cap || slots.is_empty() {
            return Cut { kept: live, folded: Vec::new() };
        }
        let first = metric.measures.first().map(|&m| &state.measures[m]);
        let value = |group: u32| first.map_or(0.0, |measure| measure.value(&state.counts, group as usize));
        let mut order: Vec<(f64, u32)> = live.iter().map(|&group| (value(group), group)).collect();
        // Stable, so among equals the order of the texts decides.
        order.sort_by(|a, b| descending(a.0, b.0));
        // A group that reads `other` itself would be a second row of that name: it is folded with the rest.
        let reads_other = |group: u32| {
            let key = &keys[group as usize * slots.len()..][..slots.len()];
            key.iter().zip(slots).all(|(&rank, &slot)| self.ranks[slot].texts[rank as usize] == OTHER)
        };
        let mut kept = vec![false; state.counts.len()];
        for &(_, group) in order.iter().filter(|(_, group)| !reads_other(*group)).take(cap - 1) {
            kept[group as usize] = true;
        }
        let (kept, folded) = live.into_iter().partition(|&group| kept[group as usize]);
        Cut { kept, folded }
    }

    fn dimensions(&self, metric: &Metric, slots: &[usize], grouping: usize, cut: &Cut) -> Vec<Dimension> {
        let mut ranks = vec![Vec::with_capacity(cut.kept.len() + 1); slots.len()];
        let mut key = vec![0; slots.len()];
        for &group in &cut.kept {
            self.key(grouping, group, &mut key);
            ranks.iter_mut().zip(&key).for_each(|(column, &rank)| column.push(rank));
        }
        let columns = ranks.into_iter().zip(slots).zip(&metric.query.group);
        columns.map(|((ranks, &slot), name)| self.dimension(name, slot, &ranks, !cut.folded.is_empty())).collect()
    }

    fn dimension(&self, name: &str, slot: usize, ranks: &[u32], with_other: bool) -> Dimension {
        let text = |rank: u32| self.ranks[slot].texts[rank as usize].as_str();
        let mut distinct = ranks.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        let mut texts: Vec<&str> = distinct.iter().map(|&rank| text(rank)).collect();
        let other = texts.partition_point(|text| *text < OTHER);
        // Codes from this one on move up by one if `other` is put in before them.
        let mut moved = usize::MAX;
        if with_other && texts.get(other) != Some(&OTHER) {
            texts.insert(other, OTHER);
            moved = other;
        }
        let code = |place: usize| u32::try_from(place + usize::from(place >= moved)).unwrap_or(u32::MAX);
        let mut codes: Vec<u32> = ranks.iter().map(|rank| code(distinct.partition_point(|d| d < rank))).collect();
        if with_other {
            codes.push(u32::try_from(other).unwrap_or(u32::MAX));
        }
        Dimension { name: name.to_owned(), dictionary: texts.into_iter().collect::<StringPool>(), codes }
    }
}

impl Ranks {
    fn new(texts: Vec<String>) -> Self {
        let mut order: Vec<u32> = (0..u32::try_from(texts.len()).unwrap_or(u32::MAX)).collect();
        order.sort_by(|&a, &b| texts[a as usize].cmp(&texts[b as usize]));
        let mut of_class = vec![0; texts.len()];
        for (rank, &class) in (0..).zip(&order) {
            of_class[class as usize] = rank;
        }
        let mut texts = texts;
        let texts = order.iter().map(|&class| std::mem::take(&mut texts[class as usize])).collect();
        Self { of_class, texts }
    }
}

/// Great values first, no value last.
fn descending(a: f64, b: f64) -> Ordering {
    b.partial_cmp(&a).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}
