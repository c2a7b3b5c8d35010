//! Names and values that a format cannot spell, changed without two of them becoming one.
//!
//! The trap is the merge: `a.b` and `a-b` both become `a_b`, and two series turn into one, or into a duplicate that voids a whole
//! page. So whatever is taken already gets `_2`, `_3` and so on.

use std::borrow::Cow;
use std::collections::BTreeSet;

/// Hands out each name once.
#[derive(Clone, Debug, Default)]
pub struct Distinct {
    taken: BTreeSet<String>,
}

impl Distinct {
    /// None of `reserved` will be handed out.
    #[must_use]
    pub fn reserving(reserved: &[&str]) -> Self {
        Self { taken: reserved.iter().map(|&name| name.to_owned()).collect() }
    }

    /// Whether a name was neither handed out nor reserved.
    #[must_use]
    pub fn is_free(&self, name: &str) -> bool {
        !self.taken.contains(name)
    }

    /// `wanted`, or if it is taken `wanted` with the first of `_2`, `_3` ... that is not.
    pub fn take(&mut self, wanted: &str) -> String {
        let numbered = (2_u64..).map(|n| format!("{wanted}_{n}"));
        let name = std::iter::once(wanted.to_owned()).chain(numbered).find(|name| self.is_free(name));
        let name = name.unwrap_or_default();
        self.taken.insert(name.clone());
        name
    }
}

/// Cleans texts that are distinct, so that they stay so. One that `clean` leaves alone (by borrowing it) keeps its text; of the
/// others, one that would become like an earlier one gets a number.
pub fn distinct<'a>(
    texts: impl Iterator<Item = &'a str>,
    clean: impl Fn(&'a str) -> Cow<'a, str>,
) -> Vec<Cow<'a, str>> {
    let mut cleaned: Vec<_> = texts.map(clean).collect();
    if cleaned.iter().all(|text| matches!(text, Cow::Borrowed(_))) {
        return cleaned;
    }
    let kept = cleaned.iter().filter(|text| matches!(text, Cow::Borrowed(_)));
    let mut names = Distinct { taken: kept.map(|text| text.clone().into_owned()).collect() };
    for text in &mut cleaned {
        if let Cow::Owned(wanted) = text {
            *wanted = names.take(wanted);
        }
    }
    cleaned
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn underscored(text: &str) -> Cow<'_, str> {
        if text.contains(['.', '-']) { Cow::Owned(text.replace(['.', '-'], "_")) } else { Cow::Borrowed(text) }
    }

    #[test]
    fn a_text_that_is_fine_keeps_its_text_even_if_it_comes_last() {
        let cleaned = distinct(["a.b", "a-b", "a_b", "a_b_2"].into_iter(), underscored);
        assert_eq!(cleaned, ["a_b_3", "a_b_4", "a_b", "a_b_2"]);
    }

    #[test]
    fn reserved_names_are_not_handed_out() {
        let mut names = Distinct::reserving(&["time"]);
        assert_eq!([names.take("time"), names.take("time"), names.take("x")], ["time_2", "time_3", "x"]);
    }

    proptest! {
        #[test]
        fn distinct_texts_stay_distinct(texts in proptest::collection::btree_set("[ab._2-]{0,5}", 0..40)) {
            let cleaned = distinct(texts.iter().map(String::as_str), underscored);
            let different: BTreeSet<_> = cleaned.iter().collect();
            prop_assert_eq!(different.len(), texts.len());
            for (text, cleaned) in texts.iter().zip(&cleaned) {
                prop_assert!(text.contains(['.', '-']) || text == cleaned.as_ref());
            }
        }
    }
}
