//! Counts memory and output of one instance, and refuses what goes beyond the limit.
//!
//! The engine's own limits hold for each memory by itself, so a component with four memories gets four times the limit. This
//! meter adds up all memories and tables. A refusal ends the call at once: a guest that only sees "no more memory" aborts
//! somewhere else, and the operator would read of a crash instead of a limit.

use crate::engine::{MEMORIES, MODULES, TABLES};
use crate::fault::Fault;
use wasmtime::ResourceLimiter;

/// What one element of a table takes in the host's memory.
pub(crate) const TABLE_ELEMENT_BYTES: usize = size_of::<usize>();

/// Charged for each thing that an adapter hands over beside its bytes, since the host keeps a record of each.
pub(crate) const ITEM_BYTES: u64 = 64;

/// The account of one instance.
#[derive(Debug)]
pub(crate) struct Meter {
    memory_limit: usize,
    memory: usize,
    memory_peak: usize,
    output_limit: u64,
    output: u64,
}

impl Meter {
    pub(crate) fn new(memory_limit: usize, output_limit: u64) -> Self {
        Self { memory_limit, memory: 0, memory_peak: 0, output_limit, output: 0 }
    }

    /// Most bytes of memories and tables so far.
    pub(crate) fn memory_peak(&self) -> usize {
        self.memory_peak
    }

    /// Bytes handed to the host so far.
    pub(crate) fn output(&self) -> u64 {
        self.output
    }

    /// Enters `bytes` of output before they are copied.
    pub(crate) fn charge(&mut self, bytes: usize) -> Result<(), Fault> {
        let asked = self.output.saturating_add(bytes as u64);
        if asked > self.output_limit {
            return Err(Fault::Output { limit: self.output_limit, asked });
        }
        self.output = asked;
        Ok(())
    }

    /// Enters one thing with texts of `bytes` in all.
    pub(crate) fn charge_item(&mut self, bytes: usize) -> Result<(), Fault> {
        self.charge(bytes.saturating_add(usize::try_from(ITEM_BYTES).unwrap_or(usize::MAX)))
    }

    fn grow(&mut self, from: usize, to: usize) -> Result<(), Fault> {
        let asked = self.memory.saturating_add(to.saturating_sub(from));
        if asked > self.memory_limit {
            return Err(Fault::Memory { limit: self.memory_limit, asked });
        }
        self.memory = asked;
        self.memory_peak = self.memory_peak.max(asked);
        Ok(())
    }
}

impl ResourceLimiter for Meter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        self.grow(current, desired)?;
        // Beyond the maximum that the guest itself declared, growing fails as the language says; nothing was used then.
        let within = maximum.is_none_or(|m| desired <= m);
        if !within {
            self.memory = self.memory.saturating_sub(desired.saturating_sub(current));
        }
        Ok(within)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(error.context("the operating system gave no more memory"))
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let bytes = |elements: usize| elements.saturating_mul(TABLE_ELEMENT_BYTES);
        self.memory_growing(bytes(current), bytes(desired), maximum.map(bytes))
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(error.context("the operating system gave no more memory"))
    }

    // The pool refuses larger components when they are compiled; these hold where there is no pool.

    fn instances(&self) -> usize {
        MODULES as usize
    }

    fn tables(&self) -> usize {
        TABLES as usize
    }

    fn memories(&self) -> usize {
        MEMORIES as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_holds_for_all_memories_and_tables_together() {
        let mut meter = Meter::new(100_000, 10);
        assert!(meter.memory_growing(0, 60_000, None).unwrap());
        assert!(meter.table_growing(0, 5_000, None).unwrap());
        let refused = meter.memory_growing(0, 60_000, None).unwrap_err();
        let fault = refused.downcast_ref::<Fault>().unwrap();
        assert_eq!(*fault, Fault::Memory { limit: 100_000, asked: 160_000 });
        assert_eq!(meter.memory_peak(), 100_000);
    }

    #[test]
    fn growing_beyond_the_guests_own_maximum_fails_softly_and_costs_nothing() {
        let mut meter = Meter::new(100_000, 10);
        assert!(!meter.memory_growing(0, 50_000, Some(40_000)).unwrap());
        assert!(meter.memory_growing(0, 100_000, None).unwrap());
    }

    #[test]
    fn output_is_refused_before_it_is_counted() {
        let mut meter = Meter::new(0, 100);
        meter.charge(100).unwrap();
        assert_eq!(meter.charge(1).unwrap_err(), Fault::Output { limit: 100, asked: 101 });
        assert_eq!(meter.output(), 100);
    }
}
