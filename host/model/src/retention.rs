//! How long the events of a project are kept.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::num::{NonZeroU32, NonZeroU64};

/// What bounds the events of a project; without a bound they are kept for good. Both bounds hold at once: what exceeds
/// either may go, oldest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// Days after their arrival that events are kept at least.
    pub days: Option<NonZeroU32>,
    /// Megabytes (millions of bytes), as stored, of events with their reports and attachments that are kept at most.
    pub megabytes: Option<NonZeroU64>,
}

impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.days, self.megabytes) {
            (None, None) => f.write_str("for good"),
            (Some(days), None) => write!(f, "{days} days"),
            (None, Some(megabytes)) => write!(f, "{megabytes} MB"),
            (Some(days), Some(megabytes)) => write!(f, "{days} days, {megabytes} MB"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_of_nothing_and_a_misspelt_one_are_refused() {
        let read = |json: &str| serde_json::from_str::<Retention>(json).map_err(|error| error.to_string());
        assert_eq!(read("{}").unwrap(), Retention::default());
        assert_eq!(read(r#"{"days":30,"megabytes":null}"#).unwrap().to_string(), "30 days");
        assert!(read(r#"{"days":0}"#).unwrap_err().contains("nonzero"));
        assert!(read(r#"{"weeks":1}"#).unwrap_err().contains("unknown field `weeks`"));
    }
}
