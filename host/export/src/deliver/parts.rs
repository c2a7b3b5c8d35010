//! What becomes of a delivery's rows when it goes out in parts: which views are left to send, how many rows were accepted,
//! which were refused for good and why.

use crate::ledger::{Finished, RowRejection};
use std::collections::{BTreeSet, VecDeque};
use tidegate_model::BatchView;
use tidegate_sandbox::{Disposition, RejectedRows, Verdict};

/// Longest text of the labels that name a rejected row.
const MAX_SERIES_BYTES: usize = 300;
/// Groups of rejected rows that are kept by name; the rows of all are counted.
const MAX_GROUPS: usize = 100;
/// Remarks of a sink that are told; of more it is said how many there are.
const MAX_NOTES: usize = 3;
/// Rows that may fail alone, one after the other, before it is clear that no row is at fault.
const MAX_SUSPECTS: usize = 8;

/// The parts of one try to deliver a window.
pub(crate) struct Parts {
    left: VecDeque<BatchView>,
    accepted: u64,
    rejected: u64,
    rejections: Vec<RowRejection>,
    /// Rows of the largest view that got through after another was too large.
    fitted: Option<u64>,
    split: bool,
    /// Single rows that failed in a way that may pass; they come once more when all else is done.
    suspects: VecDeque<BatchView>,
    is_recheck: bool,
    /// What the adapter told of rows that were accepted, each once.
    notes: BTreeSet<String>,
}

/// What a verdict means for the rest of the delivery.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// On to the next part.
    GoOn,
    /// The whole delivery again, later.
    Again(Again),
    /// Nothing until the credentials change.
    Stop(String),
}

/// Why, and not before what time.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Again {
    pub(crate) reason: String,
    pub(crate) after: Option<std::time::Duration>,
}

impl Parts {
    /// The whole view, or parts of at most `most` rows if larger ones were too large before.
    pub(crate) fn new(view: BatchView, most: Option<u64>) -> Self {
        let mut left = VecDeque::from([view]);
        while let Some(most) = most
            && left.front().is_some_and(|v| v.len() > most)
        {
            let halves: Vec<BatchView> = left.drain(..).flat_map(halved).collect();
            left.extend(halves);
        }
        left.retain(|view| !view.is_empty());
        Self {
            left,
            accepted: 0,
            rejected: 0,
            rejections: Vec::new(),
            fitted: None,
            split: false,
            suspects: VecDeque::new(),
            is_recheck: false,
            notes: BTreeSet::new(),
        }
    }

    pub(crate) fn next(&mut self) -> Option<BatchView> {
        self.left.pop_front().or_else(|| {
            self.is_recheck = true;
            self.suspects.pop_front()
        })
    }

    /// `view` failed in a way that may pass, or may be the fault of a row: takes it apart. A row that fails alone, and again
    /// when others have been accepted, is rejected. If none is ever accepted, then it is no row's fault.
    pub(crate) fn suspect(&mut self, view: &BatchView, reason: String) -> Next {
        if let Some((first, second)) = view.halves() {
            self.left.push_front(second);
            self.left.push_front(first);
        } else if self.accepted == 0 && (self.is_recheck || self.suspects.len() + 1 >= MAX_SUSPECTS) {
            return Next::Again(Again { reason, after: None });
        } else if self.is_recheck {
            self.reject_rest(view, &[], &reason);
        } else {
            self.suspects.push_back(view.clone());
        }
        Next::GoOn
    }

    /// Takes the verdict on `view` into account.
    pub(crate) fn judged(&mut self, view: &BatchView, verdict: Verdict) -> Next {
        let named: u64 = verdict.rejected.iter().map(|group| group.rows.len() as u64).sum();
        match verdict.disposition {
            Disposition::Accepted => {
                self.reject_groups(view, &verdict.rejected);
                self.notes.extend(verdict.notes);
                self.accepted += view.len().saturating_sub(named);
                if self.split {
                    self.fitted = Some(self.fitted.unwrap_or(0).max(view.len()));
                }
            }
            Disposition::Rejected(reason) => {
                self.reject_groups(view, &verdict.rejected);
                self.reject_rest(view, &verdict.rejected, &reason);
                self.notes.extend(verdict.notes);
            }
            Disposition::Split(reason) => match view.halves() {
                Some((first, second)) => {
                    self.split = true;
                    self.left.push_front(second);
                    self.left.push_front(first);
                }
                None => self.reject_rest(view, &[], &reason),
            },
            Disposition::Retry { reason, after } => return Next::Again(Again { reason, after }),
            Disposition::Stop(reason) => return Next::Stop(reason),
        }
        Next::GoOn
    }

    /// Rejects what is left.
    pub(crate) fn give_up(&mut self, view: BatchView, reason: &str) {
        self.left.push_front(view);
        self.left.append(&mut self.suspects);
        while let Some(view) = self.left.pop_front() {
            self.reject_rest(&view, &[], reason);
        }
    }

    /// The largest part that got through, if the whole did not.
    pub(crate) fn fitted(&self) -> Option<u64> {
        self.fitted
    }

    /// What the admin should know of rows that were accepted, in one line.
    pub(crate) fn note(&self) -> Option<String> {
        let told: Vec<_> = self.notes.iter().take(MAX_NOTES).map(String::as_str).collect();
        let told = told.join("; ");
        match self.notes.len().saturating_sub(MAX_NOTES) {
            _ if self.accepted == 0 || told.is_empty() => None,
            0 => Some(told),
            more => Some(format!("{told}; and {more} more of this kind")),
        }
    }

    pub(crate) fn finished(self) -> Finished {
        let Self { accepted, rejected, rejections, .. } = self;
        match rejections.first() {
            Some(first) if accepted == 0 => Finished::Rejected { reason: first.reason.clone(), rejected, rejections },
            _ => Finished::Confirmed { accepted, rejected, rejections },
        }
    }

    fn reject_groups(&mut self, view: &BatchView, groups: &[RejectedRows]) {
        for group in groups {
            let Some(first) = group.rows.first() else { continue };
            self.reject(view, group.metric, *first, group.rows.len() as u64, &group.reason);
        }
    }

    /// Rejects the rows of `view` that are not in `named`.
    fn reject_rest(&mut self, view: &BatchView, named: &[RejectedRows], reason: &str) {
        for (metric, rows) in (0_u32..).zip(&view.rows) {
            let is_named = |row: u32| named.iter().any(|g| g.metric == metric && g.rows.contains(&row));
            let rest: Vec<u32> = if named.iter().any(|g| g.metric == metric) {
                (0..rows.end - rows.start).filter(|row| !is_named(*row)).collect()
            } else {
                (0..rows.end - rows.start).collect()
            };
            if let Some(first) = rest.first() {
                self.reject(view, metric, *first, rest.len() as u64, reason);
            }
        }
    }

    fn reject(&mut self, view: &BatchView, metric: u32, row: u32, rows: u64, reason: &str) {
        self.rejected += rows;
        if self.rejections.len() < MAX_GROUPS {
            let (metric, series) = name_of(view, metric, row);
            self.rejections.push(RowRejection { metric, series, rows, reason: reason.to_owned() });
        }
    }
}

fn halved(view: BatchView) -> Vec<BatchView> {
    match view.halves() {
        Some((first, second)) => vec![first, second],
        None => vec![view],
    }
}

/// The metric and the labels of a row, counted from the start of the view.
fn name_of(view: &BatchView, metric: u32, row: u32) -> (String, String) {
    let at = metric as usize;
    let (Some(found), Some(rows)) = (view.batch.metrics.get(at), view.rows.get(at)) else { return Default::default() };
    let text = |d: usize| found.dimension_text(d, rows.start + row).unwrap_or_default();
    let labels = (0..found.dimensions.len()).map(|d| format!("{}={}", found.dimensions[d].name, text(d)));
    let mut series = labels.collect::<Vec<_>>().join(",");
    if series.len() > MAX_SERIES_BYTES {
        let cut = (0..=MAX_SERIES_BYTES).rev().find(|i| series.is_char_boundary(*i)).unwrap_or(0);
        series.truncate(cut);
        series.push('…');
    }
    (found.name.to_string(), series)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::Arc;
    use tidegate_model::{Batch, Dimension, Instant, MetricBatch, Name, Period, StringPool};

    fn batch(rows: &[u32]) -> Arc<Batch> {
        let name = |n: &str| Name::new(n).unwrap();
        let metric = |(i, rows): (usize, &u32)| MetricBatch {
            name: name(&format!("m{i}")),
            rows: *rows,
            live_rows: *rows,
            folded_groups: 0,
            dimensions: vec![Dimension {
                name: "d".to_owned(),
                dictionary: (0..*rows).map(|r| format!("v{r}")).collect::<StringPool>(),
                codes: (0..*rows).collect(),
            }],
            measures: vec![],
        };
        let metrics = rows.iter().enumerate().map(metric).collect();
        let window = Period::default().window_at(Instant::from_seconds(600));
        Arc::new(Batch { project: name("p"), metric_set: name("s"), window, metrics })
    }

    fn verdict(disposition: Disposition) -> Verdict {
        Verdict { rejected: vec![], disposition, notes: vec![] }
    }

    #[test]
    fn one_bad_row_among_many_is_found_by_halving_and_named_while_the_rest_goes_through() {
        let mut parts = Parts::new(BatchView::whole(batch(&[100, 57])), None);
        let bad = (1, 41);
        let mut asked = 0;
        while let Some(view) = parts.next() {
            asked += 1;
            let has_bad = view.rows[bad.0].contains(&bad.1);
            let said = if has_bad { Disposition::Split("unable to parse".to_owned()) } else { Disposition::Accepted };
            assert_eq!(parts.judged(&view, verdict(said)), Next::GoOn);
        }
        assert!(asked < 20, "{asked} conversations");
        let Finished::Confirmed { accepted, rejected, rejections } = parts.finished() else { panic!("not confirmed") };
        assert_eq!((accepted, rejected), (156, 1));
        let reason = "unable to parse".to_owned();
        assert_eq!(rejections, [RowRejection { metric: "m1".into(), series: "d=v41".into(), rows: 1, reason }]);
    }

    #[test]
    fn rows_that_an_adapter_names_are_counted_by_the_host_from_the_start_of_the_view() {
        let mut parts = Parts::new(BatchView::whole(batch(&[10])), Some(5));
        let first = parts.next().unwrap();
        parts.judged(&first, verdict(Disposition::Accepted));
        let second = parts.next().unwrap();
        let group = RejectedRows { metric: 0, rows: vec![1, 2], reason: "too old".to_owned() };
        parts.judged(&second, Verdict { rejected: vec![group], ..verdict(Disposition::Accepted) });
        let Finished::Confirmed { accepted, rejected, rejections } = parts.finished() else { panic!("not confirmed") };
        assert_eq!((accepted, rejected, rejections[0].series.as_str()), (8, 2, "d=v6"));
    }

    #[test]
    fn a_delivery_of_which_nothing_was_accepted_is_rejected_with_the_first_reason() {
        let mut parts = Parts::new(BatchView::whole(batch(&[2])), None);
        let view = parts.next().unwrap();
        parts.judged(&view, verdict(Disposition::Rejected("no such bucket".to_owned())));
        let Finished::Rejected { reason, rejected, .. } = parts.finished() else { panic!("not rejected") };
        assert_eq!((reason.as_str(), rejected), ("no such bucket", 2));
    }

    #[test]
    fn what_fitted_after_a_split_is_remembered_and_used_from_the_start() {
        let mut parts = Parts::new(BatchView::whole(batch(&[100])), None);
        while let Some(view) = parts.next() {
            let said = if view.len() > 30 { Disposition::Split("413".to_owned()) } else { Disposition::Accepted };
            parts.judged(&view, verdict(said));
        }
        assert_eq!(parts.fitted(), Some(25));
        let mut next = Parts::new(BatchView::whole(batch(&[80])), Some(25));
        assert_eq!(next.next().unwrap().len(), 20);
    }

    #[test]
    fn giving_up_rejects_all_that_is_left_and_keeps_what_went_through() {
        let mut parts = Parts::new(BatchView::whole(batch(&[8])), Some(2));
        let first = parts.next().unwrap();
        parts.judged(&first, verdict(Disposition::Accepted));
        let view = parts.next().unwrap();
        parts.give_up(view, "4096 parts were not enough");
        let Finished::Confirmed { accepted, rejected, .. } = parts.finished() else { panic!("not confirmed") };
        assert_eq!((accepted, rejected), (2, 6));
    }

    #[test]
    fn notes_are_told_once_each_and_only_of_rows_that_were_accepted() {
        let view = BatchView::whole(batch(&[2]));
        let noted = |disposition, note: &str| Verdict { notes: vec![note.to_owned()], ..verdict(disposition) };
        let mut parts = Parts::new(view.clone(), None);
        parts.judged(&view, noted(Disposition::Rejected("no".to_owned()), "a"));
        assert_eq!(parts.note(), None);
        for note in ["b", "a", "b"] {
            parts.judged(&view, noted(Disposition::Accepted, note));
        }
        parts
            .judged(&view, noted(Disposition::Retry { reason: "busy".to_owned(), after: None }, "of what comes again"));
        assert_eq!(parts.note().as_deref(), Some("a; b"));
        for note in ["c", "d", "e"] {
            parts.judged(&view, noted(Disposition::Accepted, note));
        }
        assert_eq!(parts.note().as_deref(), Some("a; b; c; and 2 more of this kind"));
    }

    #[test]
    fn a_retry_and_a_stop_end_the_try() {
        let view = || BatchView::whole(batch(&[2]));
        let retry = Disposition::Retry { reason: "busy".to_owned(), after: None };
        let again = Next::Again(Again { reason: "busy".to_owned(), after: None });
        assert_eq!(Parts::new(view(), None).judged(&view(), verdict(retry)), again);
        let stop = verdict(Disposition::Stop("401".to_owned()));
        assert_eq!(Parts::new(view(), None).judged(&view(), stop), Next::Stop("401".to_owned()));
    }

    /// Tries a window with suspicion; `fails` says whether a view does, given how often it was asked.
    fn tried(rows: u32, mut fails: impl FnMut(&BatchView, u32) -> bool) -> (Parts, u32, Next) {
        let mut parts = Parts::new(BatchView::whole(batch(&[rows])), None);
        let (mut asked, mut next) = (0, Next::GoOn);
        while next == Next::GoOn
            && let Some(view) = parts.next()
        {
            asked += 1;
            next = if fails(&view, asked) {
                parts.suspect(&view, "HTTP 500".to_owned())
            } else {
                parts.judged(&view, verdict(Disposition::Accepted))
            };
        }
        (parts, asked, next)
    }

    #[test]
    fn a_row_that_fails_alone_and_again_while_others_are_accepted_is_rejected_by_name() {
        let (parts, asked, next) = tried(100, |view, _| view.rows[0].contains(&0) || view.rows[0].contains(&41));
        assert!(next == Next::GoOn && asked < 40, "{asked} conversations");
        let Finished::Confirmed { accepted, rejected, rejections } = parts.finished() else { panic!("not confirmed") };
        let series: Vec<_> = rejections.iter().map(|r| r.series.as_str()).collect();
        assert_eq!((accepted, rejected, series), (98, 2, vec!["d=v0", "d=v41"]));
    }

    #[test]
    fn a_sink_that_fails_on_every_row_is_tried_again_later_and_no_row_is_rejected() {
        let again = Next::Again(Again { reason: "HTTP 500".to_owned(), after: None });
        let (parts, asked, next) = tried(100_000, |_, _| true);
        assert_eq!((next, parts.rejected), (again, 0));
        assert!(asked < 40, "{asked} conversations");
        let (parts, _, next) = tried(1, |_, _| true);
        assert!(matches!(next, Next::Again(_)) && parts.rejected == 0);
    }

    #[test]
    fn a_row_that_fails_alone_once_in_a_bad_moment_gets_through_in_the_end() {
        let (parts, _, next) = tried(64, |view, asked| asked < 4 || (view.len() == 1 && asked < 30));
        assert_eq!(next, Next::GoOn);
        assert!(matches!(parts.finished(), Finished::Confirmed { accepted: 64, rejected: 0, .. }));
    }

    proptest! {
        #[test]
        fn every_row_ends_accepted_or_rejected_whatever_is_bad(
            sizes in prop::collection::vec(0u32..20, 1..4), bad in prop::collection::btree_set((0usize..4, 0u32..20), 0..6), most in prop::option::of(1u64..9),
        ) {
            let bad: BTreeSet<_> = bad.into_iter().filter(|(m, r)| sizes.get(*m).is_some_and(|n| r < n)).collect();
            let mut parts = Parts::new(BatchView::whole(batch(&sizes)), most);
            while let Some(view) = parts.next() {
                let spoiled = bad.iter().any(|(m, r)| view.rows[*m].contains(r));
                let said = if spoiled { Disposition::Split("bad".to_owned()) } else { Disposition::Accepted };
                parts.judged(&view, verdict(said));
            }
            let total: u64 = sizes.iter().map(|n| u64::from(*n)).sum();
            let (accepted, rejected) = match parts.finished() {
                Finished::Confirmed { accepted, rejected, .. } => (accepted, rejected),
                Finished::Rejected { rejected, .. } => (0, rejected),
            };
            prop_assert_eq!((accepted, rejected), (total - bad.len() as u64, bad.len() as u64));
        }
    }
}
