//! Ids as distinct types, so that the id of a store can never be passed where a tenant is meant.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

ids! {
    /// Who owns projects and quotas.
    TenantId;
    /// A bucket of events inside a tenant.
    ProjectId;
    /// A named group of metrics in a project.
    MetricSetId;
    /// A saved query with scalar aggregates.
    MetricId;
    /// A connection to a monitoring system: adapter, settings, period, metric sets.
    StoreId;
}

/// The number of an event inside its project, counted from 1; the attribute `_tx`.
///
/// Written in lower-case hexadecimal without a prefix where Backtrace clients read it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ObjectId(pub u64);

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}
