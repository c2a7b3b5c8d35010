//! The end to end tests, one file for each behaviour. `tests/README.md` says how to run one of them.

mod servers;
