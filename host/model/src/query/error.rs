//! Why a query is refused: the member at fault, what was expected of it, what came, and what could be asked instead.

use super::{MAX_PARTS, Query};
use crate::batch::Aggregate;
use serde_json::Value as Json;

/// Why a query is not one, or cannot be a metric.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// A member that has another form than the grammar wants.
    #[error("{member}: expected {expected}, found {found}")]
    Form {
        /// The path of the member.
        member: String,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A member that no query has.
    #[error("{member:?} is no member of a query; there are {}", super::parse::MEMBERS.join(", "))]
    UnknownMember {
        /// The member.
        member: String,
    },
    /// Members that exclude one another.
    #[error("{member:?} has no meaning beside {beside:?}; {instead}")]
    Exclusive {
        /// The member.
        member: String,
        /// What it does not go with.
        beside: &'static str,
        /// What to do.
        instead: &'static str,
    },
    /// A reference to an aggregate that the query does not have.
    #[error("{member}: {name:?} names no aggregate of this query; {known}")]
    NoSuchColumn {
        /// The path of the member.
        member: String,
        /// What it says.
        name: String,
        /// What it could say.
        known: String,
    },
    /// An aggregate whose result is not a number.
    #[error("{member}: {word:?} does not give one number, so it cannot be part of a metric; use one of {}{}", scalars(), instead(.nearest))]
    NotScalar {
        /// The path of the member.
        member: String,
        /// The aggregate.
        word: String,
        /// A query like this one that could be a metric.
        nearest: Option<String>,
    },
    /// An aggregate of numbers over an attribute that has none.
    #[error("{member}: {attribute:?} holds nothing but text, so {word:?} gives no number and cannot be part of a metric{}", instead(.nearest))]
    NotNumeric {
        /// The path of the member.
        member: String,
        /// The attribute.
        attribute: String,
        /// The aggregate.
        word: String,
        /// A query like this one that could be a metric.
        nearest: Option<String>,
    },
    /// No aggregate at all.
    #[error("a metric needs at least one aggregate in \"fold\", for example {{\"_tx\": [[\"count\"]]}}")]
    NoAggregate,
    /// A member that metrics do not have.
    #[error("{member:?} has no meaning in a metric; a metric has \"filter\", \"group\" and \"fold\"{}", instead(.nearest))]
    NotForMetrics {
        /// The member.
        member: String,
        /// A query like this one that could be a metric.
        nearest: Option<String>,
    },
    /// More parts than allowed.
    #[error("{member} may have {MAX_PARTS} parts, this one has {count}")]
    TooMany {
        /// Filter, group or fold.
        member: &'static str,
        /// How many it has.
        count: usize,
    },
}

fn scalars() -> String {
    Aggregate::ALL.map(Aggregate::as_str).join(", ")
}

fn instead(query: &Option<String>) -> String {
    query.as_ref().map(|query| format!(". The nearest query that can be a metric: {query}")).unwrap_or_default()
}

impl QueryError {
    /// The nearest query that could be a metric, in the JSON form, if the error knows one.
    #[must_use]
    pub fn nearest(&self) -> Option<&str> {
        match self {
            Self::NotScalar { nearest, .. }
            | Self::NotNumeric { nearest, .. }
            | Self::NotForMetrics { nearest, .. } => nearest.as_deref(),
            _ => None,
        }
    }

    /// The same error with a query beside it that could be a metric.
    pub(super) fn near(mut self, query: Option<&Query>) -> Self {
        if let Self::NotScalar { nearest, .. }
        | Self::NotNumeric { nearest, .. }
        | Self::NotForMetrics { nearest, .. } = &mut self
        {
            *nearest = query.map(|query| query.to_json().to_string());
        }
        self
    }
}

/// A [`QueryError::Form`] with the beginning of what was found.
pub(super) fn form(member: impl Into<String>, expected: impl Into<String>, found: &Json) -> QueryError {
    let mut found = found.to_string();
    if found.len() > 120 {
        let cut = (0..=117).rev().find(|&i| found.is_char_boundary(i)).unwrap_or(0);
        found.truncate(cut);
        found.push('…');
    }
    QueryError::Form { member: member.into(), expected: expected.into(), found }
}
