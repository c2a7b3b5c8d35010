//! What can be wrong with a wish to the catalog, always naming the thing that it was about.

use std::fmt;
use tidegate_model::settings::SettingsError;
use tidegate_model::{NameError, QueryError};

/// The kinds of things in the catalog.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the words say it")]
pub enum Kind {
    Tenant,
    Project,
    SubmissionToken,
    ApiToken,
    MetricSet,
    Metric,
    Store,
    User,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tenant => "tenant",
            Self::Project => "project",
            Self::SubmissionToken => "submission token",
            Self::ApiToken => "API token",
            Self::MetricSet => "metric set",
            Self::Metric => "metric",
            Self::Store => "metric store",
            Self::User => "user",
        })
    }
}

/// Why the catalog did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// There is no such thing.
    #[error("there is no {kind} {name:?}")]
    NotFound {
        /// What was looked for.
        kind: Kind,
        /// By this name or number.
        name: String,
    },
    /// Something else stands in the way.
    #[error("{kind} {name:?}: {why}")]
    Conflict {
        /// What was to be changed.
        kind: Kind,
        /// Its name.
        name: String,
        /// What stands in the way, and what to do about it.
        why: String,
    },
    /// What was given breaks a rule.
    #[error("{kind} {name:?}: {why}")]
    Invalid {
        /// What it was given for.
        kind: Kind,
        /// Its name.
        name: String,
        /// The rule.
        why: String,
    },
    /// A name that cannot be one.
    #[error("{kind} {name:?}: {error}")]
    Name {
        /// What was to have the name.
        kind: Kind,
        /// The name.
        name: String,
        /// The rule that it breaks.
        error: NameError,
    },
    /// A query that cannot be a metric's.
    #[error("metric {name:?}: {error}")]
    Query {
        /// The metric.
        name: String,
        /// What is wrong with the query.
        error: QueryError,
    },
    /// Settings that the store's adapter does not take.
    #[error("metric store {name:?}: {error}")]
    Settings {
        /// The store.
        name: String,
        /// What is wrong with them.
        error: SettingsError,
    },
    /// More than the tenant may have.
    #[error(
        "the tenant may have {limit} {what}, and this would be number {asked}; ask an operator of the host for more"
    )]
    Quota {
        /// Of what.
        what: &'static str,
        /// How many it may have.
        limit: u64,
        /// How many it would have.
        asked: u64,
    },
    /// A change of what somebody else has changed meanwhile.
    #[error("{object}: it is not what If-Match says any more; read it again and decide anew")]
    Stale {
        /// What was to be changed.
        object: String,
    },
    /// A change that would replace what its maker may never have seen.
    #[error("{object}: it is there already; send its ETag as If-Match, so that nobody's work is undone unseen")]
    Unconditional {
        /// What was to be changed.
        object: String,
    },
    /// The database failed, or holds what it should not.
    #[error("tidegate.db cannot be read or written: {0}")]
    Storage(#[from] rusqlite::Error),
    /// A secret cannot be sealed or opened.
    #[error(transparent)]
    Key(#[from] super::KeyError),
    /// The system has no random numbers to give.
    #[error("no token can be made: {0}")]
    Random(getrandom::Error),
}

impl CatalogError {
    pub(crate) fn not_found(kind: Kind, name: impl fmt::Display) -> Self {
        Self::NotFound { kind, name: name.to_string() }
    }

    pub(crate) fn conflict(kind: Kind, name: impl fmt::Display, why: impl Into<String>) -> Self {
        Self::Conflict { kind, name: name.to_string(), why: why.into() }
    }

    pub(crate) fn invalid(kind: Kind, name: impl fmt::Display, why: impl Into<String>) -> Self {
        Self::Invalid { kind, name: name.to_string(), why: why.into() }
    }
}

/// Makes a name of `text`, or says of which kind of thing it cannot be one.
pub(super) fn name_of(kind: Kind, text: &str) -> Result<tidegate_model::Name, CatalogError> {
    tidegate_model::Name::new(text).map_err(|error| CatalogError::Name { kind, name: text.to_owned(), error })
}

/// A column that holds what Tidegate would never have written.
pub(crate) fn corrupt(column: usize, what: impl fmt::Display) -> rusqlite::Error {
    let error = std::io::Error::new(std::io::ErrorKind::InvalidData, what.to_string());
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
}
