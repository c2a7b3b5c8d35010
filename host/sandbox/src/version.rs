//! Version numbers, as far as this crate compares them: of the contract and of adapters with the same name.

use std::cmp::Ordering;

/// Three numbers and, before a release, a tail. Ordered as semantic versioning orders them, tails by their text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    numbers: [u64; 3],
    before: Option<String>,
}

impl Version {
    /// Reads `1.2.3`, `1.2.3-rc.1` or either with a `+build` behind it, which does not count.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.split_once('+').map_or(text, |(version, _)| version);
        let (release, before) = match text.split_once('-') {
            Some((release, tail)) => (release, Some(tail.to_owned())),
            None => (text, None),
        };
        let mut parts = release.split('.').map(|part| {
            let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| part.parse().ok()).flatten()
        });
        let numbers = [parts.next()??, parts.next()??, parts.next()??];
        parts.next().is_none().then_some(Self { numbers, before })
    }

    /// Whether something made for `self` may work with `offered`: both releases, with the same major number.
    pub(crate) fn fits(&self, offered: &Self) -> bool {
        self.before.is_none() && offered.before.is_none() && self.numbers[0] == offered.numbers[0]
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| match (&self.before, &other.before) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(a), Some(b)) => a.cmp(b),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_number_and_a_release_comes_after_what_led_to_it() {
        let ordered = ["0.9.10", "1.0.0-rc.1", "1.0.0", "1.0.1", "1.2.0", "1.10.0"].map(|v| Version::parse(v).unwrap());
        assert!(ordered.is_sorted());
        assert_eq!(Version::parse("1.0.0+linux"), Version::parse("1.0.0"));
    }

    #[test]
    fn what_is_not_three_numbers_is_no_version() {
        for odd in ["", "1", "1.0", "1.0.0.0", "v1.0.0", "1.-1.0", "1..0", "99999999999999999999.0.0"] {
            assert_eq!(Version::parse(odd), None, "{odd}");
        }
    }
}
