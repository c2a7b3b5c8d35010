//! The way out.

pub(crate) mod policy;
