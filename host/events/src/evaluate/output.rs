//! From aggregates to rows: which groups get a row of their own, in which order, and what their dimensions read.

use super::coder::Ranks;
use super::plan::{Grouping, Metric};
use super::{Evaluation, JobState, Texts};
use crate::source::{EvaluationLimits, SourceError};
use std::cmp::Ordering;
use tidegate_model::{Dimension, MeasureColumn, MetricBatch, StringPool};

/// What every dimension of the last row reads when there were more groups than rows.
const OTHER: &str = "other";

/// The end of an evaluation.
pub(super) struct Output<'a> {
    evaluation: &'a Evaluation,
    /// By slot; none for those that nothing is grouped by.
    ranks: Vec<Option<&'a Ranks>>,
}

/// Groups, sorted by the texts of their dimensions.
#[derive(Default)]
struct Groups {
    numbers: Vec<u32>,
    /// The ranks of each group's dimensions, one group after the other.
    keys: Vec<u32>,
}

/// The groups of a metric that get rows of their own, and those that share the last row.
struct Cut {
    kept: Groups,
    folded: Vec<u32>,
}

impl<'a> Output<'a> {
    pub(super) fn new(evaluation: &'a Evaluation, texts: &dyn Texts) -> Result<Self, SourceError> {
        let mut ranks = Vec::with_capacity(evaluation.plan.slots.len());
        for (i, slot) in evaluation.plan.slots.iter().enumerate() {
            ranks.push(if slot.groups { Some(evaluation.columns[i].ranks(i, texts)?) } else { None });
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
        let live = self.live(job.grouping, state, &slots);
        let cut = self.cut(metric, state, &slots, live, cap);
        let mut inside = vec![false; state.counts.len()];
        cut.folded.iter().for_each(|&group| inside[group as usize] = true);
        let measures = metric.measures.iter().zip(&metric.query.measures).map(|(&m, spec)| {
            let accumulator = &state.measures[m];
            let numbers = &cut.kept.numbers;
            let mut values: Vec<f64> = numbers.iter().map(|&g| accumulator.value(&state.counts, g as usize)).collect();
            if !cut.folded.is_empty() {
                let distinct = self.evaluation.columns[job.measures[m].slot].coder.classes();
                let tables = &self.evaluation.distincts;
                values.push(accumulator.folded(&state.counts, &cut.folded, &inside, tables, distinct));
            }
            MeasureColumn { attribute: spec.attribute.clone(), aggregate: spec.aggregate, values, totals: None }
        });
        let rows = u32::try_from(cut.kept.numbers.len() + usize::from(!cut.folded.is_empty())).unwrap_or(u32::MAX);
        MetricBatch {
            name: metric.name.clone(),
            rows,
            live_rows: rows,
            folded_groups: cut.folded.len() as u64,
            measures: measures.collect(),
            dimensions: self.dimensions(metric, &slots, &cut),
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
            key[dimension] = self.ranks[slot].map_or(0, |ranks| ranks.of_class[class as usize]);
            match parent {
                Some((parent, left)) => (grouping, group) = (parent, left),
                None => return,
            }
        }
    }

    /// The groups that have events.
    fn live(&self, grouping: usize, state: &JobState, slots: &[usize]) -> Groups {
        match slots {
            [] => Groups { numbers: vec![0], keys: Vec::new() },
            &[slot] => {
                let classes = self.ranks[slot].map_or(&[][..], |ranks| &ranks.classes);
                let has_events = |class: u32| state.counts.get(class as usize).is_some_and(|events| *events > 0);
                let live = (0..).zip(classes).filter(|(_, class)| has_events(**class));
                let (keys, numbers) = live.unzip();
                Groups { numbers, keys }
            }
            _ => self.live_of_many(grouping, state, slots.len()),
        }
    }

    fn live_of_many(&self, grouping: usize, state: &JobState, dimensions: usize) -> Groups {
        let groups = (0..).zip(&state.counts).filter(|(_, events)| **events > 0).map(|(group, _)| group);
        let mut live = Groups { numbers: groups.collect(), keys: Vec::new() };
        live.keys.resize(live.numbers.len() * dimensions, 0);
        for (&group, key) in live.numbers.iter().zip(live.keys.chunks_exact_mut(dimensions)) {
            self.key(grouping, group, key);
        }
        let mut order: Vec<usize> = (0..live.numbers.len()).collect();
        order.sort_unstable_by(|&a, &b| live.key(a, dimensions).cmp(live.key(b, dimensions)));
        live.pick(&order, dimensions)
    }

    /// Decides which groups get rows of their own: all, or those with the greatest first measure.
    fn cut(&self, metric: &Metric, state: &JobState, slots: &[usize], live: Groups, cap: usize) -> Cut {
        if live.numbers.len() <= cap || slots.is_empty() {
            return Cut { kept: live, folded: Vec::new() };
        }
        let first = metric.measures.first().map(|&m| &state.measures[m]);
        let value = |group: u32| first.map_or(0.0, |measure| measure.value(&state.counts, group as usize));
        let mut order: Vec<(f64, usize)> = live.numbers.iter().map(|&group| value(group)).zip(0..).collect();
        // Stable, so among equals the order of the texts decides.
        order.sort_by(|a, b| descending(a.0, b.0));
        // A group that reads `other` itself would be a second row of that name: it is folded with the rest.
        let reads_other = |place: usize| {
            let mut key = live.key(place, slots.len()).iter().zip(slots);
            key.all(|(&rank, &slot)| self.ranks[slot].is_some_and(|ranks| ranks.text(rank) == OTHER))
        };
        let mut chosen = vec![false; live.numbers.len()];
        for &(_, place) in order.iter().filter(|(_, place)| !reads_other(*place)).take(cap - 1) {
            chosen[place] = true;
        }
        let (kept, folded): (Vec<usize>, Vec<usize>) = (0..chosen.len()).partition(|&place| chosen[place]);
        let folded = folded.into_iter().map(|place| live.numbers[place]).collect();
        Cut { kept: live.pick(&kept, slots.len()), folded }
    }

    fn dimensions(&self, metric: &Metric, slots: &[usize], cut: &Cut) -> Vec<Dimension> {
        let dimension = |(place, (&slot, name)): (usize, (&usize, &String))| {
            let ranks: Vec<u32> = cut.kept.keys.iter().skip(place).step_by(slots.len()).copied().collect();
            self.dimension(name, slot, &ranks, !cut.folded.is_empty())
        };
        slots.iter().zip(&metric.query.group).enumerate().map(dimension).collect()
    }

    fn dimension(&self, name: &str, slot: usize, ranks: &[u32], with_other: bool) -> Dimension {
        let known = self.ranks[slot].map_or(0, |ranks| ranks.texts.len());
        let text = |rank: u32| self.ranks[slot].map_or("", |ranks| ranks.text(rank));
        // By rank: whether it occurs, and then its code.
        let mut codes_of = vec![0u32; known];
        ranks.iter().for_each(|&rank| codes_of[rank as usize] = 1);
        let (mut dictionary, mut other) = (StringPool::default(), None);
        for (rank, code) in (0..).zip(&mut codes_of).filter(|(_, code)| **code > 0) {
            let text = text(rank);
            if with_other && other.is_none() && text >= OTHER {
                other = Some(dictionary.push(OTHER));
                if text == OTHER {
                    *code = other.unwrap_or_default();
                    continue;
                }
            }
            *code = dictionary.push(text);
        }
        let mut codes: Vec<u32> = ranks.iter().map(|&rank| codes_of[rank as usize]).collect();
        if with_other {
            codes.push(other.unwrap_or_else(|| dictionary.push(OTHER)));
        }
        Dimension { name: name.to_owned(), dictionary, codes }
    }
}

impl Groups {
    fn key(&self, place: usize, dimensions: usize) -> &[u32] {
        &self.keys[place * dimensions..][..dimensions]
    }

    /// Those at these places, in this order.
    fn pick(&self, places: &[usize], dimensions: usize) -> Self {
        Self {
            numbers: places.iter().map(|&place| self.numbers[place]).collect(),
            keys: places.iter().flat_map(|&place| self.key(place, dimensions)).copied().collect(),
        }
    }
}

/// Great values first, no value last.
fn descending(a: f64, b: f64) -> Ordering {
    b.partial_cmp(&a).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}
