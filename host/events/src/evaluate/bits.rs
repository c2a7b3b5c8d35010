//! Bits for rows: made of conditions eight at a time, and turned into lists of rows.

/// A bit for each value, the first in the lowest place: whether `holds` is true of it.
pub(super) fn pack<T: Copy>(values: &[T], holds: impl Fn(T) -> bool) -> Vec<u64> {
    let word = |values: &[T]| {
        let mut flags = [0u8; 64];
        for (flag, &value) in flags.iter_mut().zip(values) {
            *flag = u8::from(holds(value));
        }
        word_of(&flags)
    };
    values.chunks(64).map(word).collect()
}

/// 64 bytes that are 0 or 1 as bits. The multiplication moves the lowest bit of each of eight bytes to a place of its own in
/// the uppermost byte, without carries.
fn word_of(flags: &[u8; 64]) -> u64 {
    let (eights, _) = flags.as_chunks::<8>();
    let bits = |eight: &[u8; 8]| u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56;
    eights.iter().enumerate().fold(0, |word, (i, eight)| word | bits(eight) << (8 * i))
}

/// Turns the bits of the first `rows` rows around.
pub(super) fn negate(bits: &mut [u64], rows: usize) {
    bits.iter_mut().for_each(|word| *word = !*word);
    if !rows.is_multiple_of(64)
        && let Some(last) = bits.last_mut()
    {
        *last &= (1 << (rows % 64)) - 1;
    }
}

/// The rows whose bits are set, counted from `first`, into `rows`.
pub(super) fn list(bits: &[u64], first: usize, rows: &mut Vec<u32>) {
    /// With more bits than this, it is faster to look at each than to seek the next.
    const DENSE: u32 = 12;
    rows.clear();
    let mut base = u32::try_from(first).unwrap_or(u32::MAX);
    for &word in bits {
        if word.count_ones() > DENSE {
            let (mut found, mut count) = ([0u32; 64], 0);
            for bit in 0..64 {
                found[count & 63] = base + bit;
                count += (word >> bit & 1) as usize;
            }
            rows.extend_from_slice(&found[..count]);
        } else {
            let mut left = word;
            while left != 0 {
                rows.push(base + left.trailing_zeros());
                left &= left - 1;
            }
        }
        base += 64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_rows_listed_are_those_for_which_the_condition_holds(
            values in prop::collection::vec(prop_oneof![Just(1u32), 0u32..9], 0..400),
            limit in 0u32..10,
            first in 0usize..1000,
        ) {
            let mut bits = pack(&values, |value| value < limit);
            let mut found = vec![7];
            list(&bits, first, &mut found);
            let holding = |negative: bool| values.iter().enumerate().filter(move |(_, v)| (**v < limit) != negative);
            let rows = |negative| holding(negative).map(|(row, _)| (row + first) as u32).collect::<Vec<_>>();
            prop_assert_eq!(&found, &rows(false));
            negate(&mut bits, values.len());
            list(&bits, first, &mut found);
            prop_assert_eq!(&found, &rows(true));
        }
    }
}
