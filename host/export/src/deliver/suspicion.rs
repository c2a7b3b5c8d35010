//! Whether a window is to be taken apart although its sink only says "try again".
//!
//! Some sinks answer 500 to a request of which they will never take one row, and nothing in the answer tells it from a bad
//! moment. A window that was answered so twice, in the same words, is suspected: its next try goes out in halves, as after a
//! verdict that asks for it, and what fails alone while others are taken is at fault.

/// HTTP's word for "something went wrong here". Those after it speak of gateways and overload, so of bad moments.
const SERVER_ERROR: u16 = 500;
/// Equal answers after which a window is taken apart.
const EQUAL: u32 = 2;

/// What the last tries of a store's oldest delivery were answered.
#[derive(Debug, Default)]
pub(super) struct Suspicion {
    last: Option<(i64, String)>,
    equal: u32,
}

impl Suspicion {
    /// Whether an answer says nothing about when to try again, and may be about a row.
    pub(super) fn may_be_a_row(status: Option<u16>) -> bool {
        status == Some(SERVER_ERROR)
    }

    /// A try of a delivery ended with this reason to try again.
    pub(super) fn failed(&mut self, delivery: i64, status: Option<u16>, reason: &str) {
        if !Self::may_be_a_row(status) {
            *self = Self::default();
        } else if self.last.as_ref().is_some_and(|(known, said)| *known == delivery && said == reason) {
            self.equal += 1;
        } else {
            *self = Self { last: Some((delivery, reason.to_owned())), equal: 1 };
        }
    }

    /// Whether the next try of a delivery takes it apart.
    pub(super) fn is_on(&self, delivery: i64) -> bool {
        self.equal >= EQUAL && self.last.as_ref().is_some_and(|(known, _)| *known == delivery)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_equal_answers_500_to_one_delivery_make_it_suspect_and_nothing_less_does() {
        let mut suspicion = Suspicion::default();
        suspicion.failed(7, Some(500), "no");
        assert!(!suspicion.is_on(7));
        suspicion.failed(7, Some(500), "no");
        assert!(suspicion.is_on(7) && !suspicion.is_on(8));
        for (delivery, status, reason) in
            [(7, Some(500), "other"), (8, Some(500), "no"), (7, Some(503), "no"), (7, None, "no")]
        {
            let mut suspicion = Suspicion::default();
            suspicion.failed(7, Some(500), "no");
            suspicion.failed(delivery, status, reason);
            assert!(!suspicion.is_on(7) && !suspicion.is_on(8));
        }
    }
}
