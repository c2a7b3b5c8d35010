//! Distinct values of each group, counted by sorting: the pairs of group and value are collected, sorted by group in one
//! counting pass, and each group then stamps the values that it has. No hashing, no comparisons, and no memory beyond the pairs.
//!
//! It is the way for a count over one or two filters, and for many rows. If many filters share a group-by and an attribute,
//! numbering the pairs once ([`PairTable`](super::pairs::PairTable)) and keeping a bit for each costs less.

use super::measure::Rows;

/// Pairs of group and value, with repetitions.
pub(crate) struct PairList {
    groups: Vec<u32>,
    values: Vec<u32>,
    /// When there are so many, repetitions are thrown out.
    tidy_at: usize,
}

/// The distinct values of each group.
#[derive(Default)]
pub(crate) struct Sets {
    /// Where the values of each group end.
    ends: Vec<u32>,
    values: Vec<u32>,
}

impl PairList {
    /// An empty list that keeps about `pairs` pairs with repetitions, if so few are distinct.
    pub(crate) fn new(pairs: usize) -> Self {
        Self { groups: Vec::new(), values: Vec::new(), tidy_at: pairs }
    }

    /// Adds rows. A value of 0 is no value.
    pub(super) fn push(&mut self, rows: &Rows, groups: &[u32], values: &[u32]) {
        let start = self.values.len();
        match rows {
            Rows::All(range) => {
                self.groups.extend_from_slice(&groups[range.clone()]);
                self.values.extend_from_slice(&values[range.clone()]);
            }
            Rows::Some(rows) => {
                self.groups.extend(rows.iter().map(|&row| groups[row as usize]));
                self.values.extend(rows.iter().map(|&row| values[row as usize]));
            }
        }
        if self.values[start..].contains(&0) {
            let mut kept = start;
            for place in start..self.values.len() {
                (self.groups[kept], self.values[kept]) = (self.groups[place], self.values[place]);
                kept += usize::from(self.values[kept] != 0);
            }
            self.groups.truncate(kept);
            self.values.truncate(kept);
        }
        if self.values.len() >= self.tidy_at {
            self.tidy();
        }
    }

    /// Adds as many rows as there are groups and values.
    pub(crate) fn extend(&mut self, groups: &[u32], values: &[u32]) {
        self.push(&Rows::All(0..values.len()), groups, values);
    }

    fn tidy(&mut self) {
        let most = |codes: &[u32]| codes.iter().max().map_or(0, |code| *code as usize + 1);
        let sets = self.sets(most(&self.groups), most(&self.values));
        self.values = sets.values;
        self.groups.clear();
        let mut start = 0;
        for (group, &end) in (0..).zip(&sets.ends) {
            self.groups.extend(std::iter::repeat_n(group, (end - start) as usize));
            start = end;
        }
        // If few are repetitions, the next time is put off: so throwing out costs a constant per pair.
        self.tidy_at = self.tidy_at.max(self.values.len() * 2);
    }

    /// The sets; groups are below `width`, values below `classes`.
    pub(crate) fn sets(&self, width: usize, classes: usize) -> Sets {
        // Places of 32 bits: those of some thousand groups then fit the processor's first cache. The list is far shorter.
        let mut ends = vec![0u32; width];
        self.groups.iter().for_each(|&group| ends[group as usize] += 1);
        let mut sum = 0;
        for end in &mut ends {
            sum += std::mem::replace(end, sum);
        }
        let mut sorted = vec![0u32; self.values.len()];
        for (&group, &value) in self.groups.iter().zip(&self.values) {
            let place = &mut ends[group as usize];
            sorted[*place as usize] = value;
            *place += 1;
        }
        let mut stamps = vec![u32::MAX; classes];
        let (mut start, mut kept) = (0, 0);
        for (group, end) in (0..).zip(&mut ends) {
            for place in start..*end as usize {
                let value = sorted[place];
                let stamp = &mut stamps[value as usize];
                sorted[kept] = value;
                kept += usize::from(*stamp != group);
                *stamp = group;
            }
            start = std::mem::replace(end, u32::try_from(kept).unwrap_or(u32::MAX)) as usize;
        }
        sorted.truncate(kept);
        Sets { ends, values: sorted }
    }

    /// Memory that it takes.
    pub(crate) fn bytes(&self) -> usize {
        (self.groups.capacity() + self.values.capacity()) * 4
    }
}

impl Sets {
    fn of(&self, group: usize) -> &[u32] {
        let start = if group == 0 { 0 } else { self.ends.get(group - 1).copied().unwrap_or_default() };
        self.ends.get(group).map_or(&[], |&end| &self.values[start as usize..end as usize])
    }

    /// Distinct values of a group.
    pub(crate) fn count(&self, group: usize) -> usize {
        self.of(group).len()
    }

    /// Distinct values of several groups taken as one.
    pub(super) fn count_in(&self, groups: &[u32]) -> usize {
        let most = self.values.iter().max().map_or(0, |value| *value as usize + 1);
        let mut seen = vec![false; most];
        let new = |&&value: &&u32| !std::mem::replace(&mut seen[value as usize], true);
        groups.iter().flat_map(|&group| self.of(group as usize)).filter(new).count()
    }

    /// Memory that they take.
    pub(super) fn bytes(&self) -> usize {
        self.ends.capacity() * 4 + self.values.capacity() * 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    proptest! {
        #[test]
        fn each_group_has_the_values_that_a_set_would_have(
            chunks in prop::collection::vec(prop::collection::vec((0u32..6, 0u32..9, any::<bool>()), 0..50), 1..8),
            tidy_at in 1usize..60,
            every in any::<bool>(),
        ) {
            let mut list = PairList::new(tidy_at);
            let mut expected: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
            for chunk in &chunks {
                let (groups, values): (Vec<u32>, Vec<u32>) = chunk.iter().map(|(g, v, _)| (*g, *v)).unzip();
                let kept: Vec<u32> = (0..).zip(chunk).filter(|(_, (_, _, kept))| *kept || every).map(|(row, _)| row).collect();
                list.push(&if every { Rows::All(0..chunk.len()) } else { Rows::Some(&kept) }, &groups, &values);
                for row in kept {
                    let (group, value, _) = chunk[row as usize];
                    if value != 0 {
                        expected.entry(group).or_default().insert(value);
                    }
                }
            }
            let sets = list.sets(6, 9);
            for group in 0..6 {
                prop_assert_eq!(sets.count(group as usize), expected.get(&group).map_or(0, BTreeSet::len));
            }
            let some: BTreeSet<u32> = [1, 2, 5].iter().filter_map(|g| expected.get(g)).flatten().copied().collect();
            prop_assert_eq!(sets.count_in(&[1, 2, 5]), some.len());
            prop_assert_eq!(sets.count(99), 0);
        }
    }
}
