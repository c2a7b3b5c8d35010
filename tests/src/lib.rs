//! End to end: real servers, real clients, hostile guests, faults.
