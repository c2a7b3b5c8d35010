//! Write a Tidegate adapter in Rust: one trait to push, one to pull, typed settings, native tests.
