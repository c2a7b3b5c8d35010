//! Typed adapter settings by derive.
