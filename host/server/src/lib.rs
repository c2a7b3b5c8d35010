//! The binary tidegate: HTTP API, Backtrace-compatible endpoints, CLI, demo.
