//! Runs adapters: engine, limits, host resources, inspection, registry.
