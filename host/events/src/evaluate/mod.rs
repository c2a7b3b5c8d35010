//! Evaluates many metrics over the events of one window: exact, vectorised, in one pass.
//!
//! Events come in chunks of columns. What metrics have in common is computed once per chunk: each condition once as a bitmap,
//! each filter once as a list of rows, each group-by once as a dense number per row. A distinct count is then one bit per
//! (group, value) pair that was seen. Nothing here knows how events are stored: columns and [`Texts`] are all it gets.
//!
//! The modules in the order of the work: `plan` finds what the metrics share, `load` makes dense codes of a chunk's columns,
//! `condition` and `number` compare, `pairs` numbers combinations, `measure` aggregates, `output` cuts and sorts the rows.

mod condition;
mod load;
mod measure;
mod number;
mod output;
mod pairs;
mod plan;

use crate::segment::Column;
use crate::source::{EvaluationLimits, MetricSpec, SourceError};
use load::{Coder, Loaded};
use measure::{Accumulator, Rows};
use pairs::PairTable;
use plan::{Grouping, Plan};
use std::ops::Range;
use std::sync::Arc;
use tidegate_model::MetricBatch;

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

/// What was found for one combination of group-by and filter.
struct JobState {
    /// Events in each group.
    counts: Vec<u64>,
    measures: Vec<Accumulator>,
}

/// An evaluation under way.
pub(crate) struct Evaluation {
    plan: Plan,
    coders: Vec<Coder>,
    loaded: Vec<Loaded>,
    /// For each group-by of two or more attributes, the numbers of its combinations.
    groups: Vec<PairTable>,
    /// For each group-by and distinct attribute, the numbers of its combinations.
    distincts: Vec<PairTable>,
    jobs: Vec<JobState>,
    rows_so_far: u64,
}

impl Evaluation {
    /// Plans the evaluation of `metrics`.
    pub(crate) fn new(metrics: &[MetricSpec]) -> Result<Self, SourceError> {
        let plan = Plan::new(metrics)?;
        let measures = |job: &plan::Job| job.measures.iter().map(Accumulator::new).collect();
        Ok(Self {
            coders: plan.slots.iter().map(|_| Coder::default()).collect(),
            loaded: plan.slots.iter().map(|_| Loaded::default()).collect(),
            groups: plan.groupings.iter().map(|_| PairTable::default()).collect(),
            distincts: plan.distincts.iter().map(|_| PairTable::default()).collect(),
            jobs: plan.jobs.iter().map(|job| JobState { counts: vec![], measures: measures(job) }).collect(),
            plan,
            rows_so_far: 0,
        })
    }

    /// The attributes whose columns are wanted, without repetition.
    pub(crate) fn attributes(&self) -> &[String] {
        &self.plan.names
    }

    /// Takes in the next events.
    pub(crate) fn push(&mut self, chunk: &Chunk, texts: &dyn Texts) -> Result<(), SourceError> {
        let rows = chunk.rows;
        if rows == 0 {
            return Ok(());
        }
        for (i, slot) in self.plan.slots.iter().enumerate() {
            self.loaded[i].fill(i, slot, chunk, &mut self.coders[i], texts)?;
        }
        let mut held = Vec::with_capacity(self.plan.tests.len());
        for (test, slot) in &mut self.plan.tests {
            test.learn(*slot, &self.coders[*slot], texts)?;
            held.push(test.rows(&self.loaded[*slot], rows));
        }
        let filters: Vec<Rows> = self.plan.filters.iter().map(|any| selection(any, &held, rows)).collect();
        let every = Rows::All(rows);
        let groups = self.group_codes(rows);
        let distincts = self.distinct_codes(&groups);
        for (job, state) in self.plan.jobs.iter().zip(&mut self.jobs) {
            let selected = job.filter.map_or(&every, |filter| &filters[filter]);
            let codes = codes_of(&self.plan, &self.loaded, &groups, job.grouping);
            let width = match self.plan.groupings[job.grouping] {
                Grouping::All => 1,
                Grouping::One(slot) => self.coders[slot].classes(),
                Grouping::More(..) => self.groups[job.grouping].len(),
            };
            state.counts.resize(width, 0);
            measure::count(&mut state.counts, selected, codes);
            for (measure, accumulator) in job.measures.iter().zip(&mut state.measures) {
                let values = &self.loaded[measure.slot];
                let distinct = measure.distinct.map(|d| match &distincts[d] {
                    Some(pairs) => (pairs.as_slice(), self.distincts[d].len()),
                    None => (values.class_codes(), self.coders[measure.slot].classes()),
                });
                accumulator.push(selected, codes, width, values, distinct, self.rows_so_far);
            }
        }
        self.rows_so_far += rows as u64;
        Ok(())
    }

    /// For each group-by of several attributes, the number of each row's group.
    fn group_codes(&mut self, rows: usize) -> Vec<Option<Vec<u32>>> {
        let mut all: Vec<Option<Vec<u32>>> = Vec::with_capacity(self.plan.groupings.len());
        for (i, grouping) in self.plan.groupings.iter().enumerate() {
            // A group-by comes after the one that it extends, so that one's codes are there.
            let codes = if let Grouping::More(parent, slot) = *grouping {
                let left = codes_of(&self.plan, &self.loaded, &all, parent).unwrap_or_default();
                let right = self.loaded[slot].group_codes();
                let table = &mut self.groups[i];
                Some((0..rows).map(|row| table.number(left[row], right[row])).collect())
            } else {
                None
            };
            all.push(codes);
        }
        all
    }

    /// For each group-by and distinct attribute, the number of each row's combination, 0 where there is no value. None where
    /// there is but one group: then the value is the combination.
    fn distinct_codes(&mut self, groups: &[Option<Vec<u32>>]) -> Vec<Option<Vec<u32>>> {
        let mut all = Vec::with_capacity(self.plan.distincts.len());
        for (table, &(grouping, slot)) in self.distincts.iter_mut().zip(&self.plan.distincts) {
            let values = self.loaded[slot].class_codes();
            let number = |(&group, &value): (&u32, &u32)| if value == 0 { 0 } else { table.number(group, value) };
            let codes = codes_of(&self.plan, &self.loaded, groups, grouping);
            all.push(codes.map(|codes| codes.iter().zip(values).map(number).collect()));
        }
        all
    }

    /// The results, in the order of the metrics.
    pub(crate) fn finish(
        mut self,
        limits: &EvaluationLimits,
        texts: &dyn Texts,
    ) -> Result<Vec<MetricBatch>, SourceError> {
        for state in &mut self.jobs {
            if state.counts.is_empty() {
                state.counts.push(0);
            }
        }
        output::Output::new(&self, texts)?.batches(limits)
    }
}

/// The group of each row; none if there is but one group.
fn codes_of<'a>(
    plan: &Plan,
    loaded: &'a [Loaded],
    groups: &'a [Option<Vec<u32>>],
    grouping: usize,
) -> Option<&'a [u32]> {
    match plan.groupings[grouping] {
        Grouping::All => None,
        Grouping::One(slot) => Some(loaded[slot].group_codes()),
        Grouping::More(..) => groups[grouping].as_deref(),
    }
}

/// The rows for which any of the groups of conditions holds as a whole.
fn selection(any: &[Vec<usize>], held: &[Vec<u64>], rows: usize) -> Rows {
    let mut bits = vec![0u64; rows.div_ceil(64)];
    for all in any {
        for (word, bits) in bits.iter_mut().enumerate() {
            *bits |= all.iter().fold(u64::MAX, |both, &test| both & held[test][word]);
        }
    }
    let mut selected = Vec::with_capacity(bits.iter().map(|b| b.count_ones() as usize).sum());
    for (word, mut bits) in bits.into_iter().enumerate() {
        while bits != 0 {
            let row = word * 64 + bits.trailing_zeros() as usize;
            selected.push(u32::try_from(row).unwrap_or(u32::MAX));
            bits &= bits - 1;
        }
    }
    Rows::Some(selected)
}
