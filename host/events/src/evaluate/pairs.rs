//! Numbers combinations of two codes, from 1 in the order of first sight: groups of several attributes, and (group, value)
//! pairs of distinct counts. One open-addressing table of small integers; the combinations themselves lie densely beside it.

/// Numbers of combinations.
pub(crate) struct PairTable {
    /// Numbers, at the places that the hashes lead to; 0 is an empty place. The length is a power of two.
    places: Vec<u32>,
    /// The combination of each number; that of 0 means nothing.
    pairs: Vec<(u32, u32)>,
    shift: u32,
}

impl Default for PairTable {
    fn default() -> Self {
        Self { places: vec![0; 1 << 6], pairs: vec![(0, 0)], shift: 64 - 6 }
    }
}

impl PairTable {
    /// The number of a combination, given if it is new.
    #[inline]
    pub(crate) fn number(&mut self, left: u32, right: u32) -> u32 {
        let mut place = self.place(left, right);
        loop {
            let number = self.places[place];
            if number == 0 {
                break;
            }
            if self.pairs[number as usize] == (left, right) {
                return number;
            }
            place = (place + 1) & (self.places.len() - 1);
        }
        let number = u32::try_from(self.pairs.len()).unwrap_or(u32::MAX);
        self.places[place] = number;
        self.pairs.push((left, right));
        if self.pairs.len() * 2 > self.places.len() {
            self.grow();
        }
        number
    }

    /// The numbers of many combinations: of lefts below `lefts` with rights below `rights`.
    pub(super) fn number_all(
        &mut self,
        left: &[u32],
        right: &[u32],
        lefts: usize,
        rights: usize,
        numbers: &mut Vec<u32>,
    ) {
        let possible = lefts.saturating_mul(rights);
        if possible > left.len() * 4 + 4096 {
            numbers.extend(left.iter().zip(right).map(|(&left, &right)| self.number(left, right)));
            return;
        }
        // So few that each has a place of its own: most rows are one look at a small list.
        let mut known = vec![0u32; possible];
        for (&left, &right) in left.iter().zip(right) {
            let place = &mut known[left as usize * rights + right as usize];
            if *place == 0 {
                *place = self.number(left, right);
            }
            numbers.push(*place);
        }
    }

    /// Memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        self.places.capacity() * 4 + self.pairs.capacity() * 8
    }

    /// One more than the greatest number given.
    pub(crate) fn len(&self) -> usize {
        self.pairs.len()
    }

    /// The combination that has `number`.
    pub(crate) fn pair(&self, number: u32) -> (u32, u32) {
        self.pairs[number as usize]
    }

    /// All combinations, by number; the first entry means nothing.
    pub(crate) fn pairs(&self) -> &[(u32, u32)] {
        &self.pairs
    }

    /// Multiplying by the golden ratio spreads neighbouring codes; the upper bits are the mixed ones.
    #[inline]
    fn place(&self, left: u32, right: u32) -> usize {
        let key = u64::from(left) << 32 | u64::from(right);
        let mixed = (key ^ key >> 29).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed >> self.shift) as usize
    }

    #[cold]
    fn grow(&mut self) {
        let len = self.places.len() * 4;
        self.shift -= 2;
        self.places = vec![0; len];
        for number in 1..self.pairs.len() {
            let (left, right) = self.pairs[number];
            let mut place = self.place(left, right);
            while self.places[place] != 0 {
                place = (place + 1) & (len - 1);
            }
            self.places[place] = u32::try_from(number).unwrap_or(u32::MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        #[test]
        fn each_combination_has_one_number_and_numbers_follow_first_sight(
            codes in prop::collection::vec((0u32..40, prop_oneof![0u32..60, any::<u32>()]), 0..2000),
        ) {
            let mut table = PairTable::default();
            let mut known = HashMap::new();
            for (left, right) in codes {
                let next = u32::try_from(known.len() + 1).unwrap();
                let expected = *known.entry((left, right)).or_insert(next);
                prop_assert_eq!(table.number(left, right), expected);
                prop_assert_eq!(table.pair(expected), (left, right));
            }
            prop_assert_eq!(table.len(), known.len() + 1);
        }

        #[test]
        fn many_at_once_get_the_numbers_that_they_would_get_one_by_one(
            codes in prop::collection::vec((0u32..7, 0u32..5), 0..300), wide in any::<bool>(),
        ) {
            let (mut table, mut plain) = (PairTable::default(), PairTable::default());
            let (left, right): (Vec<u32>, Vec<u32>) = codes.iter().copied().unzip();
            let mut numbers = Vec::new();
            table.number_all(&left, &right, if wide { 1 << 40 } else { 7 }, 5, &mut numbers);
            let expected: Vec<u32> = codes.iter().map(|&(left, right)| plain.number(left, right)).collect();
            prop_assert_eq!(numbers, expected);
        }
    }
}
