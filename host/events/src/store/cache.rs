//! Decoded columns in memory, under a byte budget.
//!
//! Only columns that some evaluation asked for are kept: the writer fills them in as it commits, so the window that just ended
//! is evaluated without decoding anything, and attributes that no metric uses take no room. When the budget is spent, the
//! segments that were used least lately go.
//!
//! Beside them, and under the same budget, stays the window of each project that was evaluated last, with its columns as the
//! evaluator codes them: so many queries on one window pay for coding once.

use crate::evaluate::Coded;
use crate::segment::{Arrivals, Column};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tidegate_model::{ProjectId, Window};

/// Memory that an entry takes besides its column, roughly.
const ENTRY_BYTES: usize = 64;

#[derive(Default)]
struct Segment {
    /// By attribute; none if it is known that the segment lacks the attribute.
    columns: HashMap<u32, Option<Arc<Column>>>,
    arrivals: Option<Arc<Arrivals>>,
    bytes: usize,
    used: u64,
}

/// A window as it was evaluated.
pub(crate) struct KeptWindow {
    pub(crate) window: Window,
    /// The segments that it was made of, in order.
    pub(crate) segments: Vec<i64>,
    /// The rows of each of them that lie in the window.
    pub(crate) rows: Vec<Range<usize>>,
    /// By attribute.
    pub(crate) columns: HashMap<u32, Arc<Coded>>,
}

impl KeptWindow {
    fn bytes(&self) -> usize {
        let columns: usize = self.columns.values().map(|column| ENTRY_BYTES + column.bytes()).sum();
        ENTRY_BYTES + columns + self.segments.len() * (8 + size_of::<Range<usize>>())
    }
}

struct Kept {
    window: Arc<KeptWindow>,
    bytes: usize,
    used: u64,
}

/// What can make room for other things.
#[derive(Clone, Copy)]
enum Entry {
    Segment(i64),
    Window(ProjectId),
}

#[derive(Default)]
struct State {
    segments: HashMap<i64, Segment>,
    windows: HashMap<ProjectId, Kept>,
    by_use: BTreeMap<u64, Entry>,
    uses: u64,
    bytes: usize,
    asked: HashMap<ProjectId, HashSet<u32>>,
}

impl State {
    fn touch(&mut self, segment: i64) -> &mut Segment {
        self.uses += 1;
        let entry = self.segments.entry(segment).or_default();
        self.by_use.remove(&entry.used);
        entry.used = self.uses;
        self.by_use.insert(self.uses, Entry::Segment(segment));
        entry
    }

    fn remove_window(&mut self, project: ProjectId) {
        if let Some(gone) = self.windows.remove(&project) {
            self.by_use.remove(&gone.used);
            self.bytes -= gone.bytes;
        }
    }

    fn remove(&mut self, segment: i64) {
        if let Some(gone) = self.segments.remove(&segment) {
            self.by_use.remove(&gone.used);
            self.bytes -= gone.bytes;
        }
    }
}

/// The cache. Segments are named by their row ids, which are never given twice.
pub(crate) struct Cache {
    state: Mutex<State>,
    budget: usize,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl Cache {
    pub(crate) fn new(budget: usize) -> Self {
        Self { state: Mutex::default(), budget, hits: AtomicU64::new(0), misses: AtomicU64::new(0) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that evaluations use these attributes of a project.
    pub(crate) fn ask(&self, project: ProjectId, attributes: &[u32]) {
        self.lock().asked.entry(project).or_default().extend(attributes);
    }

    /// The attributes of a project that evaluations use.
    pub(crate) fn asked(&self, project: ProjectId) -> HashSet<u32> {
        self.lock().asked.get(&project).cloned().unwrap_or_default()
    }

    /// When the events of a segment arrived, if it is in memory.
    pub(crate) fn arrivals(&self, segment: i64) -> Option<Arc<Arrivals>> {
        self.lock().segments.get(&segment)?.arrivals.clone()
    }

    /// Keeps the arrival times of a segment.
    pub(crate) fn put_arrivals(&self, segment: i64, arrivals: &Arc<Arrivals>) {
        let mut state = self.lock();
        let entry = state.touch(segment);
        let added = if entry.arrivals.is_none() { arrivals.bytes() } else { 0 };
        entry.arrivals = Some(arrivals.clone());
        self.grow(&mut state, segment, added);
    }

    /// The columns of a segment, one answer for each attribute: none if it is not in memory.
    pub(crate) fn get(&self, segment: i64, attributes: &[u32]) -> Vec<Option<Option<Arc<Column>>>> {
        let mut state = self.lock();
        let found: Vec<_> = match state.segments.get(&segment) {
            Some(entry) => attributes.iter().map(|attribute| entry.columns.get(attribute).cloned()).collect(),
            None => vec![None; attributes.len()],
        };
        let hits = found.iter().filter(|column| column.is_some()).count();
        if hits > 0 {
            state.touch(segment);
        }
        self.hits.fetch_add(hits as u64, Ordering::Relaxed);
        self.misses.fetch_add((found.len() - hits) as u64, Ordering::Relaxed);
        found
    }

    /// Keeps columns of a segment.
    pub(crate) fn put(&self, segment: i64, columns: impl IntoIterator<Item = (u32, Option<Arc<Column>>)>) {
        let mut state = self.lock();
        let entry = state.touch(segment);
        let mut added = 0;
        for (attribute, column) in columns {
            let bytes = ENTRY_BYTES + column.as_ref().map_or(0, |c| c.bytes());
            if entry.columns.insert(attribute, column).is_none() {
                added += bytes;
            }
        }
        self.grow(&mut state, segment, added);
    }

    fn grow(&self, state: &mut State, segment: i64, added: usize) {
        if let Some(entry) = state.segments.get_mut(&segment) {
            entry.bytes += added;
            state.bytes += added;
        }
        self.shrink(state);
    }

    fn shrink(&self, state: &mut State) {
        while state.bytes > self.budget
            && let Some((_, oldest)) = state.by_use.pop_first()
        {
            match oldest {
                Entry::Segment(segment) => state.remove(segment),
                Entry::Window(project) => state.remove_window(project),
            }
        }
    }

    /// The window of a project that was evaluated last, if it is this one.
    pub(crate) fn window(&self, project: ProjectId, window: Window) -> Option<Arc<KeptWindow>> {
        let kept = self.lock().windows.get(&project)?.window.clone();
        (kept.window == window).then_some(kept)
    }

    /// Keeps a window in place of the one that the project had.
    pub(crate) fn put_window(&self, project: ProjectId, window: KeptWindow) {
        let bytes = window.bytes();
        let mut state = self.lock();
        state.remove_window(project);
        state.uses += 1;
        let used = state.uses;
        state.windows.insert(project, Kept { window: Arc::new(window), bytes, used });
        state.by_use.insert(used, Entry::Window(project));
        state.bytes += bytes;
        self.shrink(&mut state);
    }

    /// Counts columns that were found in a kept window.
    pub(crate) fn count_hits(&self, hits: usize) {
        self.hits.fetch_add(hits as u64, Ordering::Relaxed);
    }

    /// Whether some columns of the segment are in memory.
    pub(crate) fn holds(&self, segment: i64) -> bool {
        self.lock().segments.contains_key(&segment)
    }

    /// Drops segments that are no more. Windows that were made of them are no longer found, and go when room is wanted.
    pub(crate) fn remove(&self, segments: &[i64]) {
        let mut state = self.lock();
        for &segment in segments {
            state.remove(segment);
        }
    }

    /// Memory in use, columns found, columns not found.
    pub(crate) fn figures(&self) -> (usize, u64, u64) {
        (self.lock().bytes, self.hits.load(Ordering::Relaxed), self.misses.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::{Cell, ColumnBuilder};

    fn column(rows: usize) -> Option<Arc<Column>> {
        let mut builder = ColumnBuilder::default();
        builder.put(0, Cell::Text(1));
        Some(Arc::new(builder.finish(rows)))
    }

    #[test]
    fn the_segments_used_least_lately_make_room_when_the_budget_is_spent() {
        let cache = Cache::new(30_000);
        for segment in 1..=4 {
            cache.put(segment, [(7, column(2000)), (8, None)]);
            cache.get(1, &[7]);
        }
        assert!(cache.figures().0 <= 30_000);
        assert!(cache.holds(1) && cache.holds(4) && !cache.holds(2));
        assert_eq!(cache.get(4, &[8, 9]), [Some(None), None]);
        cache.remove(&[1, 4]);
        assert!(!cache.holds(1));
    }

    #[test]
    fn what_is_larger_than_the_whole_budget_is_not_kept() {
        let cache = Cache::new(1000);
        cache.put(1, [(7, column(2000))]);
        assert_eq!((cache.figures().0, cache.holds(1)), (0, false));
    }
}
