//! The judgement that a push adapter builds, checked row by row while it is built.
//!
//! The host counts rows by itself. A verdict that names a row that does not exist, or names one twice, or says two things at
//! once, is worth nothing as a whole: it is a fault, and the delivery is tried again instead of being half believed.

use super::State;
use super::columns::live_rows;
use crate::bindings::push::tidegate::adapter::model;
use crate::exchange::{Disposition, RejectedRows, Verdict};
use crate::fault::Fault;
use crate::text::plain;
use std::time::Duration;
use wasmtime::component::Resource;

/// Notes of one verdict that are kept: one for each action that a conversation may have, and nobody reads more.
const MAX_NOTES: usize = 64;

/// A verdict that is being built.
#[derive(Debug, Default)]
pub struct VerdictDraft {
    rejected: Vec<RejectedRows>,
    /// For each metric that was named, one bit for each row that was named.
    seen: Vec<Vec<u64>>,
    disposition: Option<Disposition>,
    notes: Vec<String>,
}

impl VerdictDraft {
    /// The verdict, unless its parts contradict each other.
    pub(crate) fn finish(self) -> Result<Verdict, Fault> {
        let disposition = self.disposition.unwrap_or(Disposition::Accepted);
        let whole = matches!(disposition, Disposition::Retry { .. } | Disposition::Split(_) | Disposition::Stop(_));
        if whole && !self.rejected.is_empty() {
            let said = word(&disposition);
            return Err(Fault::contract(format!("the verdict rejects rows and says {said} of the whole batch")));
        }
        Ok(Verdict { rejected: self.rejected, disposition, notes: self.notes })
    }

    fn decide(&mut self, disposition: Disposition) -> Result<(), Fault> {
        match &self.disposition {
            None => {
                self.disposition = Some(disposition);
                Ok(())
            }
            Some(before) => {
                let (before, now) = (word(before), word(&disposition));
                Err(Fault::contract(format!("the verdict says {now} after it said {before}")))
            }
        }
    }

    /// Whether no row of `metric` was named so far.
    fn is_new(&self, metric: u32) -> bool {
        self.seen.get(metric as usize).is_none_or(Vec::is_empty)
    }

    /// Marks `row` of `metric`, which has `there_are` rows; a fault if it does not exist or was named before.
    fn mark(&mut self, metric: u32, row: u32, there_are: u32) -> Result<(), Fault> {
        if row >= there_are {
            let what = format!("the verdict names row {row} of metric {metric}, which has {there_are} rows");
            return Err(Fault::contract(what));
        }
        let metric_index = metric as usize;
        if self.seen.len() <= metric_index {
            self.seen.resize_with(metric_index + 1, Vec::new);
        }
        let bits = &mut self.seen[metric_index];
        if bits.is_empty() {
            bits.resize((there_are as usize).div_ceil(64), 0);
        }
        let (word, bit) = (&mut bits[row as usize / 64], 1u64 << (row % 64));
        if *word & bit != 0 {
            return Err(Fault::contract(format!("the verdict names row {row} of metric {metric} twice")));
        }
        *word |= bit;
        Ok(())
    }
}

fn word(disposition: &Disposition) -> &'static str {
    match disposition {
        Disposition::Accepted => "accept",
        Disposition::Rejected(_) => "reject",
        Disposition::Retry { .. } => "retry",
        Disposition::Split(_) => "split",
        Disposition::Stop(_) => "stop",
    }
}

impl State {
    /// Rows of `metric` in the view that this conversation is about.
    fn judged_rows(&self, metric: u32) -> Result<u32, Fault> {
        let view = self.view.as_ref().ok_or_else(|| Fault::contract("there is no batch to judge"))?;
        let there_are = view.batch.metrics.len();
        if metric as usize >= there_are {
            let what = format!("the verdict names metric {metric} of a batch that has {there_are}");
            return Err(Fault::contract(what));
        }
        Ok(live_rows(view, metric as usize))
    }

    fn decide(&mut self, this: &Resource<VerdictDraft>, disposition: Disposition, said: usize) -> wasmtime::Result<()> {
        self.meter.charge_item(said)?;
        Ok(self.table.get_mut(this)?.decide(disposition)?)
    }
}

impl model::HostVerdict for State {
    fn new(&mut self) -> wasmtime::Result<Resource<VerdictDraft>> {
        self.push(VerdictDraft::default())
    }

    fn reject_rows(
        &mut self,
        this: Resource<VerdictDraft>,
        metric: u32,
        rows: Vec<u32>,
        reason: String,
    ) -> wasmtime::Result<()> {
        self.meter.charge_item(rows.len().saturating_mul(4).saturating_add(reason.len()))?;
        let there_are = self.judged_rows(metric)?;
        if self.table.get(&this)?.is_new(metric) {
            // The marks are memory of the host too.
            self.meter.charge_item(there_are as usize / 8)?;
        }
        let draft = self.table.get_mut(&this)?;
        for &row in &rows {
            draft.mark(metric, row, there_are)?;
        }
        if !rows.is_empty() {
            draft.rejected.push(RejectedRows { metric, rows, reason: plain(&reason) });
        }
        Ok(())
    }

    fn reject(&mut self, this: Resource<VerdictDraft>, reason: String) -> wasmtime::Result<()> {
        self.decide(&this, Disposition::Rejected(plain(&reason)), reason.len())
    }

    fn retry(&mut self, this: Resource<VerdictDraft>, reason: String, after: Option<u32>) -> wasmtime::Result<()> {
        let after = after.map(|seconds| Duration::from_secs(seconds.into()));
        self.decide(&this, Disposition::Retry { reason: plain(&reason), after }, reason.len())
    }

    fn split(&mut self, this: Resource<VerdictDraft>, reason: String) -> wasmtime::Result<()> {
        self.decide(&this, Disposition::Split(plain(&reason)), reason.len())
    }

    fn stop(&mut self, this: Resource<VerdictDraft>, reason: String) -> wasmtime::Result<()> {
        self.decide(&this, Disposition::Stop(plain(&reason)), reason.len())
    }

    fn note(&mut self, this: Resource<VerdictDraft>, text: String) -> wasmtime::Result<()> {
        self.meter.charge_item(text.len())?;
        let (notes, note) = (&mut self.table.get_mut(&this)?.notes, plain(&text));
        if notes.len() < MAX_NOTES && !note.is_empty() && !notes.contains(&note) {
            notes.push(note);
        }
        Ok(())
    }

    fn drop(&mut self, this: Resource<VerdictDraft>) -> wasmtime::Result<()> {
        self.take(this).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    proptest! {
        #[test]
        fn a_row_is_taken_once_if_it_exists_and_never_otherwise(
            there_are in 0u32..200, named in prop::collection::vec((0u32..3, 0u32..220), 0..60),
        ) {
            let mut draft = VerdictDraft::default();
            let mut known = HashSet::new();
            for (metric, row) in named {
                let fits = row < there_are && known.insert((metric, row));
                prop_assert_eq!(draft.mark(metric, row, there_are).is_ok(), fits);
            }
        }
    }

    #[test]
    fn a_verdict_says_one_thing_of_the_whole() {
        let mut draft = VerdictDraft::default();
        draft.decide(Disposition::Split("a".to_owned())).unwrap();
        let error = draft.decide(Disposition::Stop("b".to_owned())).unwrap_err().to_string();
        assert_eq!(error, "the adapter broke the contract: the verdict says stop after it said split");
    }
}
