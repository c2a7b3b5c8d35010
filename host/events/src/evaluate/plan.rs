//! Finds what the metrics of an evaluation share: attributes, conditions, filters, group-bys, and whole jobs.

use super::condition::Test;
use crate::source::{MetricSpec, SourceError};
use std::collections::HashMap;
use tidegate_model::{Aggregate, Condition, MetricQuery, Name};

/// What is wanted of an attribute.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Slot {
    /// It is the number of the event, which no column holds.
    pub(super) object: bool,
    /// A dense code for each distinct value, for group-by and distinct counts.
    pub(super) classes: bool,
    /// Something is grouped by it.
    pub(super) groups: bool,
    /// Anything at all.
    pub(super) used: bool,
}

/// How rows fall into groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Grouping {
    /// All rows are one group.
    All,
    /// By one attribute.
    One(usize),
    /// By another group-by and one more attribute.
    More(usize, usize),
}

/// An aggregate of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Measure {
    pub(super) slot: usize,
    pub(super) aggregate: Aggregate,
    /// The attribute is the number of the event, so every event has another one.
    pub(super) object: bool,
    /// For a distinct count: which combination of group-by and attribute.
    pub(super) distinct: Option<usize>,
}

/// What is computed together: the aggregates over one filter and one group-by.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) grouping: usize,
    pub(super) filter: Option<usize>,
    pub(super) measures: Vec<Measure>,
}

/// A metric: a job, and which of its measures.
pub(super) struct Metric {
    pub(super) name: Name,
    pub(super) job: usize,
    pub(super) measures: Vec<usize>,
    pub(super) query: MetricQuery,
}

/// A distinct count for each group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Distinct {
    pub(super) grouping: usize,
    pub(super) slot: usize,
    /// How many filters it is wanted for.
    pub(super) uses: usize,
}

/// What an evaluation has to do.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) names: Vec<String>,
    pub(super) slots: Vec<Slot>,
    /// Conditions without repetition, each with the slot of its attribute.
    pub(super) tests: Vec<(Test, usize)>,
    /// Filters without repetition: any of groups of tests that all hold.
    pub(super) filters: Vec<Vec<Vec<usize>>>,
    pub(super) groupings: Vec<Grouping>,
    pub(super) distincts: Vec<Distinct>,
    pub(super) jobs: Vec<Job>,
    /// The jobs, those with the same filter next to each other.
    pub(super) order: Vec<usize>,
    pub(super) metrics: Vec<Metric>,
}

#[derive(Default)]
struct Known {
    slots: HashMap<String, usize>,
    tests: HashMap<String, usize>,
    filters: HashMap<Vec<Vec<usize>>, usize>,
    groupings: HashMap<Grouping, usize>,
    distincts: HashMap<(usize, usize), usize>,
    jobs: HashMap<(usize, Option<usize>), usize>,
}

/// The place of `key` in a list, where `make` puts it if it is new.
fn place<K: std::hash::Hash + Eq, T>(
    known: &mut HashMap<K, usize>,
    list: &mut Vec<T>,
    key: K,
    make: impl FnOnce(&K) -> T,
) -> usize {
    if let Some(&place) = known.get(&key) {
        return place;
    }
    list.push(make(&key));
    known.insert(key, list.len() - 1);
    list.len() - 1
}

impl Plan {
    pub(super) fn new(metrics: &[MetricSpec]) -> Result<Self, SourceError> {
        let mut plan = Self::default();
        let mut known = Known::default();
        for metric in metrics {
            let told = |reason: String| SourceError::Query { metric: metric.name.to_string(), reason };
            let filter = plan.filter(&mut known, &metric.query.filter).map_err(told)?;
            let grouping = plan.grouping(&mut known, &metric.query.group);
            let new_job = |_: &_| Job { grouping, filter, measures: Vec::new() };
            let job = place(&mut known.jobs, &mut plan.jobs, (grouping, filter), new_job);
            let mut measures = Vec::new();
            for spec in &metric.query.measures {
                let measure = plan.measure(&mut known, grouping, &spec.attribute, spec.aggregate);
                let list = &mut plan.jobs[job].measures;
                measures.push(list.iter().position(|m| *m == measure).unwrap_or(list.len()));
                if measures.last() == Some(&list.len()) {
                    if let Some(distinct) = measure.distinct {
                        plan.distincts[distinct].uses += 1;
                    }
                    list.push(measure);
                }
            }
            plan.metrics.push(Metric { name: metric.name.clone(), job, measures, query: metric.query.clone() });
        }
        plan.order = (0..plan.jobs.len()).collect();
        plan.order.sort_by_key(|&job| plan.jobs[job].filter);
        Ok(plan)
    }

    /// The jobs that group by this, or by more than this.
    pub(super) fn jobs_of(&self, grouping: usize) -> impl Iterator<Item = usize> + '_ {
        (0..self.jobs.len()).filter(move |job| {
            let mut at = self.jobs[*job].grouping;
            loop {
                match self.groupings[at] {
                    _ if at == grouping => return true,
                    Grouping::More(parent, _) => at = parent,
                    _ => return false,
                }
            }
        })
    }

    fn slot(&mut self, known: &mut Known, name: &str) -> usize {
        let slots = &mut self.slots;
        let place = place(&mut known.slots, &mut self.names, name.to_owned(), |name| {
            slots.push(Slot { object: name == "_tx", ..Slot::default() });
            name.clone()
        });
        self.slots[place].used |= !self.slots[place].object;
        place
    }

    fn filter(&mut self, known: &mut Known, any: &[Vec<Condition>]) -> Result<Option<usize>, String> {
        if any.is_empty() {
            return Ok(None);
        }
        let mut tests = Vec::with_capacity(any.len());
        for all in any {
            tests.push(all.iter().map(|c| self.test(known, c)).collect::<Result<Vec<_>, _>>()?);
        }
        Ok(Some(place(&mut known.filters, &mut self.filters, tests, Vec::clone)))
    }

    fn test(&mut self, known: &mut Known, condition: &Condition) -> Result<usize, String> {
        let slot = self.slot(known, &condition.attribute);
        self.slots[slot].used = true;
        let key = format!("{condition:?}");
        if let Some(&place) = known.tests.get(&key) {
            return Ok(place);
        }
        let test = Test::new(condition)?;
        Ok(place(&mut known.tests, &mut self.tests, key, |_| (test, slot)))
    }

    fn grouping(&mut self, known: &mut Known, names: &[String]) -> usize {
        let mut grouping = place(&mut known.groupings, &mut self.groupings, Grouping::All, |g| *g);
        for (depth, name) in names.iter().enumerate() {
            let slot = self.slot(known, name);
            self.slots[slot].classes = true;
            self.slots[slot].groups = true;
            self.slots[slot].used = true;
            let next = if depth == 0 { Grouping::One(slot) } else { Grouping::More(grouping, slot) };
            grouping = place(&mut known.groupings, &mut self.groupings, next, |g| *g);
        }
        grouping
    }

    fn measure(&mut self, known: &mut Known, grouping: usize, attribute: &str, aggregate: Aggregate) -> Measure {
        let slot = self.slot(known, attribute);
        let object = self.slots[slot].object;
        let mut distinct = None;
        match aggregate {
            Aggregate::Count => {}
            Aggregate::Unique if object => {}
            Aggregate::Unique => {
                self.slots[slot].classes = true;
                let new = |_: &_| Distinct { grouping, slot, uses: 0 };
                distinct = Some(place(&mut known.distincts, &mut self.distincts, (grouping, slot), new));
            }
            _ => {
                self.slots[slot].used = true;
            }
        }
        Measure { slot, aggregate, object, distinct }
    }
}
