//! Evaluates many metrics over the events of one window: exact, vectorised, in one pass.
//!
//! Events come in chunks of columns. What metrics have in common is computed once per chunk: each condition once as a bitmap,
//! each filter once as a list of rows, each group-by once as a dense number per row. A distinct count is then one bit per
//! (group, value) pair that was seen. Nothing here knows how events are stored: columns and [`Texts`] are all it gets.
//!
//! The modules in the order of the work: `plan` finds what the metrics share, `coder` and `load` make dense codes of a chunk's
//! columns, `condition`, `number` and `bits` filter, `pairs` and `distinct` tell combinations apart, `measure` aggregates,
//! `output` cuts and sorts the rows, `time` stops what takes too long. What it costs is told in `docs/evaluation.md`.

mod bits;
mod coder;
mod condition;
mod distinct;
mod load;
mod measure;
mod number;
mod output;
mod pairs;
mod plan;
mod time;

pub(crate) use load::Coded;

// Explore is made of the same parts.
pub(crate) use coder::Scalar;
pub(crate) use condition::Test;
pub(crate) use distinct::PairList;
pub(crate) use measure::Sum;
pub(crate) use number::Number;
pub(crate) use pairs::PairTable;

use crate::segment::Column;
use crate::source::{EvaluationLimits, MetricSpec, SourceError};
use measure::{Accumulator, Rows};
use plan::{Grouping, Plan};
use std::ops::{Deref, Range};
use std::sync::Arc;
use std::time::{Duration, Instant as Moment};
use tidegate_model::MetricBatch;
use time::Spending;

/// Rows that are filtered and aggregated at a time: their codes stay in the processor's second cache while every metric looks
/// at them. A multiple of 64.
const STRIP: usize = 16_384;
/// Filters from which on a distinct count numbers the pairs of group and value once for all of them.
const SHARED: usize = 3;
/// Most pairs that a distinct count keeps with repetitions.
const PAIRS: usize = 8 << 20;

/// The dictionaries of the attributes in use. A slot is the place of an attribute in [`Evaluation::attributes`].
pub(crate) trait Texts {
    /// The first code that no text of the attribute has.
    fn codes(&self, slot: usize) -> u32;
    /// The code of a text, if the attribute ever had it.
    fn code(&self, slot: usize, text: &str) -> Result<Option<u32>, SourceError>;
    /// Calls `each` once for every code, in any order, with its place in `codes` and its text.
    fn resolve(&self, slot: usize, codes: &[u32], each: &mut dyn FnMut(usize, &str)) -> Result<(), SourceError>;
}

/// Successive rows of one segment.
pub(crate) struct Piece {
    /// The rows of the columns that count.
    pub(crate) rows: Range<usize>,
    /// Number of the event in the first of these rows.
    pub(crate) first_object: u64,
    /// One for each attribute in use; none if no event of the segment has it.
    pub(crate) columns: Vec<Option<Arc<Column>>>,
}

/// Pieces that are evaluated together, in the order of arrival.
#[derive(Default)]
pub(crate) struct Chunk {
    pieces: Vec<Piece>,
    rows: usize,
}

impl Chunk {
    pub(crate) fn push(&mut self, piece: Piece) {
        self.rows += piece.rows.len();
        self.pieces.push(piece);
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }
}

/// A column of the chunk: this evaluation's own, or one that others use too.
enum Held {
    Own(Box<Coded>),
    Shared(Arc<Coded>),
}

impl Deref for Held {
    type Target = Coded;

    fn deref(&self) -> &Coded {
        match self {
            Self::Own(coded) => coded,
            Self::Shared(coded) => coded,
        }
    }
}

/// What was found for one combination of group-by and filter.
struct JobState {
    /// Events in each group.
    counts: Vec<u64>,
    measures: Vec<Accumulator>,
}

/// Codes of the rows of a chunk: for each group-by, or each distinct count; none where a column has them already.
type Codes = Vec<Option<Vec<u32>>>;

/// An evaluation under way.
pub(crate) struct Evaluation {
    plan: Plan,
    columns: Vec<Held>,
    /// For each group-by of two or more attributes, the numbers of its combinations.
    groups: Vec<PairTable>,
    /// For each distinct count that numbers its pairs, these.
    distincts: Vec<PairTable>,
    jobs: Vec<JobState>,
    rows_so_far: u64,
    /// Most bytes that it may use.
    budget: usize,
    /// Longest that it may take, and what it has taken.
    time: Duration,
    spending: Spending,
}

impl Evaluation {
    /// Plans the evaluation of `metrics` with the memory and the time that one metric may take.
    pub(crate) fn new(metrics: &[MetricSpec], limits: &EvaluationLimits) -> Result<Self, SourceError> {
        let (plan, budget) = (Plan::new(metrics)?, limits.memory);
        let lists = plan.distincts.iter().enumerate().filter(|(d, _)| listed(&plan, Some(*d))).map(|(_, d)| d.uses);
        // A list is copied when it is sorted, so half of what it may take is for that.
        let pairs = (budget / 4 / 8 / lists.sum::<usize>().max(1)).clamp(1 << 16, PAIRS);
        let state = |job: &plan::Job| {
            let listed = |m: &plan::Measure| listed(&plan, m.distinct).then_some(pairs);
            JobState { counts: vec![], measures: job.measures.iter().map(|m| Accumulator::new(m, listed(m))).collect() }
        };
        Ok(Self {
            columns: plan.slots.iter().map(|_| Held::Own(Box::default())).collect(),
            groups: plan.groupings.iter().map(|_| PairTable::default()).collect(),
            distincts: plan.distincts.iter().map(|_| PairTable::default()).collect(),
            jobs: plan.jobs.iter().map(state).collect(),
            spending: Spending::new(limits.time, plan.jobs.len()),
            plan,
            rows_so_far: 0,
            budget,
            time: limits.time,
        })
    }

    /// The attributes whose columns are wanted, without repetition.
    pub(crate) fn attributes(&self) -> &[String] {
        &self.plan.names
    }

    /// Whether a chunk must have the columns of a slot.
    pub(crate) fn wants(&self, slot: usize) -> bool {
        let used = self.plan.slots[slot];
        used.used && !used.object && matches!(self.columns[slot], Held::Own(_))
    }

    /// Takes a column that another evaluation has loaded from the very rows that are to be pushed, all at once; tells whether
    /// it has what this one needs.
    pub(crate) fn adopt(&mut self, slot: usize, column: &Arc<Coded>) -> bool {
        let enough = column.suffices(&self.plan.slots[slot]);
        if enough && self.wants(slot) {
            self.columns[slot] = Held::Shared(Arc::clone(column));
        }
        enough
    }

    /// The columns that were loaded for the one and only chunk, for other evaluations to adopt.
    pub(crate) fn share(&mut self) -> Vec<(usize, Arc<Coded>)> {
        let mut shared = Vec::new();
        for slot in 0..self.columns.len() {
            if self.wants(slot)
                && let Held::Own(coded) = &mut self.columns[slot]
            {
                coded.close();
                let coded = Arc::new(std::mem::take(&mut **coded));
                self.columns[slot] = Held::Shared(Arc::clone(&coded));
                shared.push((slot, coded));
            }
        }
        shared
    }

    /// Takes in the next events.
    pub(crate) fn push(&mut self, chunk: &Chunk, texts: &dyn Texts) -> Result<(), SourceError> {
        let rows = chunk.rows;
        if rows == 0 {
            return Ok(());
        }
        for (i, slot) in self.plan.slots.iter().enumerate().filter(|(_, slot)| slot.used) {
            self.check_time()?;
            match &mut self.columns[i] {
                Held::Own(coded) => coded.fill(i, slot, chunk, texts)?,
                Held::Shared(coded) if coded.rows() == rows => {}
                Held::Shared(_) => {
                    let told = "a column in memory has another number of events than its window".to_owned();
                    return Err(SourceError::Corrupt(told));
                }
            }
        }
        for (test, slot) in &mut self.plan.tests {
            test.learn(*slot, &self.columns[*slot], texts)?;
        }
        let groups = self.group_codes(rows);
        let pairs = self.pair_codes(&groups);
        self.check_budget()?;
        for start in (0..rows).step_by(STRIP) {
            self.check_time()?;
            self.push_strip(start..rows.min(start + STRIP), &groups, &pairs);
        }
        self.rows_so_far += rows as u64;
        self.check_budget()
    }

    fn push_strip(&mut self, rows: Range<usize>, groups: &Codes, pairs: &Codes) {
        let (plan, columns) = (&self.plan, &self.columns);
        let held = plan.tests.iter().map(|(test, slot)| test.rows(&columns[*slot], rows.clone())).collect::<Vec<_>>();
        let (mut current, mut kept, mut list, mut listed) = (None, Vec::new(), Vec::new(), false);
        for &place in &plan.order {
            let since = Moment::now();
            let (job, state) = (&plan.jobs[place], &mut self.jobs[place]);
            if let Some(filter) = job.filter
                && current != job.filter
            {
                (current, kept, listed) = (job.filter, any_of(&plan.filters[filter], &held, rows.len()), false);
            }
            let codes = codes_of(plan, columns, groups, job.grouping);
            let width = width(plan, columns, &self.groups, job.grouping);
            state.counts.resize(width, 0);
            if job.filter.is_some() && codes.is_none() && state.measures.iter().all(Accumulator::is_events) {
                state.counts[0] += kept.iter().map(|word: &u64| u64::from(word.count_ones())).sum::<u64>();
                self.spending.charge([place], since);
                continue;
            }
            if job.filter.is_some() && !listed {
                bits::list(&kept, rows.start, &mut list);
                listed = true;
            }
            let selected = if job.filter.is_some() { Rows::Some(&list) } else { Rows::All(rows.clone()) };
            measure::count(&mut state.counts, &selected, codes);
            for (measure, accumulator) in job.measures.iter().zip(&mut state.measures) {
                let values = &columns[measure.slot];
                let distinct = measure.distinct.map(|d| match &pairs[d] {
                    Some(pairs) => (pairs.as_slice(), self.distincts[d].len()),
                    None => (values.class_codes(), values.coder.classes()),
                });
                accumulator.push(&selected, codes, width, values, distinct, self.rows_so_far);
            }
            self.spending.charge([place], since);
        }
    }

    /// For each group-by of several attributes, the number of each row's group.
    fn group_codes(&mut self, rows: usize) -> Codes {
        let mut all: Codes = Vec::with_capacity(self.plan.groupings.len());
        for (i, grouping) in self.plan.groupings.iter().enumerate() {
            let since = Moment::now();
            // A group-by comes after the one that it extends, so that one's codes are there.
            let codes = if let Grouping::More(parent, slot) = *grouping {
                let lefts = width(&self.plan, &self.columns, &self.groups, parent);
                let left = codes_of(&self.plan, &self.columns, &all, parent).unwrap_or_default();
                let right = &self.columns[slot];
                let mut codes = Vec::with_capacity(rows);
                self.groups[i].number_all(left, right.group_codes(), lefts, right.coder.classes(), &mut codes);
                self.spending.charge(self.plan.jobs_of(i), since);
                Some(codes)
            } else {
                None
            };
            all.push(codes);
        }
        all
    }

    /// For each distinct count that numbers its pairs, the number of each row's pair, 0 where there is no value. None where the
    /// pairs are listed, and where there is but one group: then the value is the pair.
    fn pair_codes(&mut self, groups: &Codes) -> Codes {
        let mut all = Vec::with_capacity(self.plan.distincts.len());
        for (d, distinct) in self.plan.distincts.iter().enumerate() {
            let since = Moment::now();
            let codes = codes_of(&self.plan, &self.columns, groups, distinct.grouping);
            let numbered = codes.filter(|_| !listed(&self.plan, Some(d))).map(|codes| {
                let values = self.columns[distinct.slot].class_codes();
                let number = |(&group, &value): (&u32, &u32)| {
                    if value == 0 { 0 } else { self.distincts[d].number(group, value) }
                };
                codes.iter().zip(values).map(number).collect()
            });
            self.spending.charge(self.plan.jobs_of(distinct.grouping), since);
            all.push(numbered);
        }
        all
    }

    /// Fails if it has taken longer than it may, with the metric that has taken most.
    fn check_time(&self) -> Result<(), SourceError> {
        let Err(job) = self.spending.check() else { return Ok(()) };
        let metric = self.plan.metrics.iter().find(|metric| metric.job == job);
        let metric = metric.map(|metric| metric.name.to_string()).unwrap_or_default();
        Err(SourceError::Time { metric, limit: self.time })
    }

    /// Fails if what there is, and what the groups found so far will take, is beyond the budget.
    fn check_budget(&self) -> Result<(), SourceError> {
        let columns: usize = self.columns.iter().map(|column| column.bytes()).sum();
        let tables: usize = self.groups.iter().chain(&self.distincts).map(PairTable::bytes).sum();
        let job = |(job, state): (&plan::Job, &JobState)| {
            let width = width(&self.plan, &self.columns, &self.groups, job.grouping);
            let per_group: usize = state.measures.iter().map(Accumulator::bytes_per_group).sum();
            let there: usize = state.measures.iter().map(Accumulator::bytes).sum();
            there.max(width * per_group) + width * 8
        };
        let needed = columns + tables + self.plan.jobs.iter().zip(&self.jobs).map(job).sum::<usize>();
        if needed <= self.budget {
            return Ok(());
        }
        let metric = self.plan.metrics.first().map(|metric| metric.name.to_string()).unwrap_or_default();
        Err(SourceError::Memory { metric, budget: self.budget, needed })
    }

    /// The results, in the order of the metrics.
    pub(crate) fn finish(
        mut self,
        limits: &EvaluationLimits,
        texts: &dyn Texts,
    ) -> Result<Vec<MetricBatch>, SourceError> {
        self.check_time()?;
        for (job, state) in self.plan.jobs.iter().zip(&mut self.jobs) {
            if state.counts.is_empty() {
                state.counts.push(0);
            }
            for (measure, accumulator) in job.measures.iter().zip(&mut state.measures) {
                accumulator.settle(state.counts.len(), self.columns[measure.slot].coder.classes());
            }
        }
        output::Output::new(&self, texts)?.batches(limits)
    }
}

/// Whether a distinct count lists its pairs instead of numbering them.
fn listed(plan: &Plan, distinct: Option<usize>) -> bool {
    let few = |d: plan::Distinct| d.uses < SHARED && plan.groupings[d.grouping] != Grouping::All;
    distinct.is_some_and(|d| few(plan.distincts[d]))
}

/// One more than the greatest number of a group.
fn width(plan: &Plan, columns: &[Held], groups: &[PairTable], grouping: usize) -> usize {
    match plan.groupings[grouping] {
        Grouping::All => 1,
        Grouping::One(slot) => columns[slot].coder.classes(),
        Grouping::More(..) => groups[grouping].len(),
    }
}

/// The group of each row; none if there is but one group.
fn codes_of<'a>(plan: &Plan, columns: &'a [Held], groups: &'a Codes, grouping: usize) -> Option<&'a [u32]> {
    match plan.groupings[grouping] {
        Grouping::All => None,
        Grouping::One(slot) => Some(columns[slot].group_codes()),
        Grouping::More(..) => groups[grouping].as_deref(),
    }
}

/// A bit for each row: whether any of the groups of conditions holds as a whole.
fn any_of(any: &[Vec<usize>], held: &[Vec<u64>], rows: usize) -> Vec<u64> {
    let mut bits = vec![0u64; rows.div_ceil(64)];
    for all in any {
        for (word, bits) in bits.iter_mut().enumerate() {
            *bits |= all.iter().fold(u64::MAX, |both, &test| both & held[test][word]);
        }
    }
    bits
}
