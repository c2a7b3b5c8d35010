//! The binary `tidegate`: the HTTP side (submissions, management API, pull pages), the command line, and what puts the parts
//! together.
//!
//! The way of a request: `http` reads it within limits and hands events to the event store and wishes to the catalog; the
//! other crates do the rest. [`serve::Running`] is a whole server, which tests and the demo start in their own process.

pub mod apply;
pub mod backups;
mod changes;
pub mod cli;
pub mod data_dir;
pub mod demo;
mod drop_in;
pub mod http;
pub mod logging;
pub mod receiver;
pub mod serve;
mod tidy;
