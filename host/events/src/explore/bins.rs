//! Numbers of events in equal intervals. With bounds given, each number is counted at once; without, the numbers are kept with
//! their counts until the least and the greatest of all groups are known, so that the intervals of all groups are the same.

use super::answer::Cell;
use super::folds::Batch;
use super::order::compare;
use crate::segment::{Cell as Stored, Column};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use tidegate_model::Value;
use tidegate_model::query::{Bin, Bound, Fold};

/// A number as a key: equal ones have one, whatever their type.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Int(i64),
    Bits(u64),
}

impl Key {
    fn of(bound: Bound) -> Self {
        match bound {
            Bound::Int(int) => Self::Int(int),
            Bound::Float(float) if float == (float as i64) as f64 && float.abs() < 9e15 => Self::Int(float as i64),
            Bound::Float(float) => Self::Bits(float.to_bits()),
        }
    }

    fn bound(self) -> Bound {
        match self {
            Self::Int(int) => Bound::Int(int),
            Self::Bits(bits) => Bound::Float(f64::from_bits(bits)),
        }
    }
}

/// The bins of each group.
pub(super) struct Bins {
    count: usize,
    /// Where each begins and the last one ends, once it is known.
    edges: Vec<Bound>,
    /// Events in each bin of each group.
    counts: Vec<u64>,
    width: usize,
    /// Whether there is a number at all.
    some: Vec<bool>,
    /// Events with each number of each group, while the bounds are not known.
    waiting: HashMap<(u32, Key), u64, RandomState>,
    bounded: bool,
}

impl Bins {
    pub(super) fn new(bin: Bin) -> Self {
        let count = bin.count.unwrap_or(Fold::BINS) as usize;
        let edges = bin.bounds.map(|(from, to)| edges(from, to, count)).unwrap_or_default();
        let bounded = bin.bounds.is_some();
        Self { count, edges, counts: Vec::new(), width: 0, some: Vec::new(), waiting: HashMap::default(), bounded }
    }

    pub(super) fn push(&mut self, batch: &Batch<'_>, column: &Column) {
        self.widen(batch.width);
        batch.for_each(column, |group, cell| {
            let number = match cell {
                Stored::Int(int) => Bound::Int(int),
                Stored::Float(float) => Bound::Float(float),
                Stored::Bool(_) | Stored::Text(_) => return,
            };
            self.some[group] = true;
            if self.bounded {
                self.add(group, number, 1);
            } else {
                let group = u32::try_from(group).unwrap_or(u32::MAX);
                *self.waiting.entry((group, Key::of(number))).or_insert(0) += 1;
            }
        });
    }

    fn widen(&mut self, width: usize) {
        self.width = self.width.max(width);
        self.some.resize(self.width, false);
        if self.bounded {
            self.counts.resize(self.width * self.count, 0);
        }
    }

    fn add(&mut self, group: usize, number: Bound, events: u64) {
        // The bin before the first edge that is greater. Without given bounds the greatest number belongs to the last bin.
        let after = self.edges.partition_point(|edge| !less(number, *edge));
        let inside = if self.bounded { after } else { after.min(self.count) };
        if (1..=self.count).contains(&inside) {
            self.counts[group * self.count + inside - 1] += events;
        }
    }

    fn settle(&mut self) {
        if self.bounded || self.waiting.is_empty() {
            return;
        }
        let waiting = std::mem::take(&mut self.waiting);
        let mut all = waiting.keys().map(|(_, key)| key.bound());
        let Some(first) = all.next() else { return };
        let (from, to) = all.fold((first, first), |(least, greatest), number| {
            (if less(number, least) { number } else { least }, if less(greatest, number) { number } else { greatest })
        });
        self.edges = edges(from, to, self.count);
        self.counts = vec![0; self.width * self.count];
        for ((group, key), events) in waiting {
            self.add(group as usize, key.bound(), events);
        }
    }

    /// What it found for some groups.
    pub(super) fn cells(&mut self, groups: &[u32]) -> Vec<Cell> {
        self.settle();
        let cell = |&group: &u32| {
            let group = group as usize;
            // Bins of no number at all would only say that the attribute is not one.
            if self.edges.is_empty() || !self.some.get(group).copied().unwrap_or(false) {
                return Cell::Bins(Vec::new());
            }
            let counts = &self.counts[group * self.count..][..self.count];
            Cell::Bins(self.edges.windows(2).zip(counts).map(|(edge, &n)| (edge[0], edge[1], n)).collect())
        };
        groups.iter().map(cell).collect()
    }

    /// Memory that the bins of so many groups take.
    pub(super) fn bytes_for(&self, width: usize) -> usize {
        width.saturating_mul(self.count).saturating_mul(8)
    }

    /// Memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        let waiting = self.waiting.capacity() * (size_of::<((u32, Key), u64)>() + 1);
        let counts = if self.bounded { self.counts.capacity() * 8 } else { self.width * self.count * 8 };
        waiting + counts + self.some.capacity()
    }
}

fn value(bound: Bound) -> Value {
    match bound {
        Bound::Int(int) => Value::Int(int),
        Bound::Float(float) => Value::Float(float),
    }
}

fn less(a: Bound, b: Bound) -> bool {
    match (a, b) {
        (Bound::Int(a), Bound::Int(b)) => a < b,
        _ => compare(Some(&value(a)), Some(&value(b))).is_lt(),
    }
}

/// The edges of `count` intervals of one length; whole numbers where the length is one. Bounds that are equal give intervals of
/// length 1.
fn edges(from: Bound, to: Bound, count: usize) -> Vec<Bound> {
    if let (Bound::Int(from), Bound::Int(to)) = (from, to) {
        let to = if from == to { i128::from(from) + count as i128 } else { i128::from(to) };
        let length = to - i128::from(from);
        if length % count as i128 == 0 {
            let edge = |place: usize| i128::from(from) + length / count as i128 * place as i128;
            return (0..=count).map(|place| Bound::Int(i64::try_from(edge(place)).unwrap_or(i64::MAX))).collect();
        }
    }
    let (start, end) = (from.as_f64(), if less(from, to) { to.as_f64() } else { from.as_f64() + count as f64 });
    let edge = |place: usize| match place {
        0 => from,
        _ if place == count && less(from, to) => to,
        _ => Bound::Float(start + (end - start) * (place as f64 / count as f64)),
    };
    (0..=count).map(edge).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_whole_where_the_length_is_and_end_exactly_at_the_bounds() {
        let whole = edges(Bound::Int(1_700_000_000), Bound::Int(1_700_000_400), 4);
        assert_eq!(whole[1], Bound::Int(1_700_000_100));
        let parts = edges(Bound::Int(0), Bound::Int(1), 3);
        assert_eq!((parts[0], parts[3], parts.len()), (Bound::Int(0), Bound::Int(1), 4));
        assert_eq!(edges(Bound::Int(5), Bound::Int(5), 2), [Bound::Int(5), Bound::Int(6), Bound::Int(7)]);
        assert_eq!(edges(Bound::Float(0.5), Bound::Float(0.5), 1), [Bound::Float(0.5), Bound::Float(1.5)]);
    }
}
