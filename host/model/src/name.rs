//! Names of tenants, projects, metric sets, metrics and stores.
//!
//! Control characters are refused here, once: in line-based formats a line break inside a name is an injection.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Longest name in bytes. Datadog's limit for metric names is the same figure.
pub const MAX_NAME_BYTES: usize = 200;

/// A name that an admin gave: 1 to 200 bytes of UTF-8 without control characters, not blank at either end.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// Why a text cannot be a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing in it.
    #[error("a name must not be empty")]
    Empty,
    /// More than [`MAX_NAME_BYTES`].
    #[error("a name may have {MAX_NAME_BYTES} bytes, this one has {0}")]
    TooLong(usize),
    /// A line break, a tab or another control character.
    #[error("a name must not contain control characters; found {0:?} at byte {1}")]
    Control(char, usize),
    /// Space before or after.
    #[error("a name must not begin or end with a space")]
    Blank,
}

impl Name {
    /// Checks `text` and makes it a name.
    ///
    /// # Errors
    /// [`NameError`] tells which rule it breaks.
    pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
        let text = text.into();
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > MAX_NAME_BYTES {
            return Err(NameError::TooLong(text.len()));
        }
        if let Some((at, c)) = text.char_indices().find(|(_, c)| c.is_control()) {
            return Err(NameError::Control(c, at));
        }
        if text.trim() != text {
            return Err(NameError::Blank);
        }
        Ok(Self(text))
    }

    /// The text of the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> String {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_200_bytes_is_taken_and_one_of_201_is_refused_with_both_figures() {
        assert!(Name::new("n".repeat(200)).is_ok());
        let error = Name::new("n".repeat(201)).unwrap_err().to_string();
        assert_eq!(error, "a name may have 200 bytes, this one has 201");
    }

    #[test]
    fn a_line_break_in_a_name_is_refused_with_its_place() {
        assert_eq!(Name::new("a\nb"), Err(NameError::Control('\n', 1)));
    }

    #[test]
    fn blank_and_empty_names_are_refused() {
        assert_eq!(Name::new(""), Err(NameError::Empty));
        assert_eq!(Name::new(" a"), Err(NameError::Blank));
    }
}
