//! The engine: which parts of WebAssembly it runs, and where instances get their memory from.
//!
//! What an adapter does not need is off, since most of what went wrong in engines went wrong in corners. Memory comes from a
//! pool that is reserved once; a machine that cannot afford the address space (a container with `ulimit -v`) gets a smaller
//! form of it, with a warning, instead of a host that does not start.

use crate::limits::SandboxOptions;
use crate::pages;
use serde::{Deserialize, Serialize};
use std::num::NonZeroUsize;
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, WasmBacktraceDetails};

/// Memories, tables and modules that one component may consist of. Components from wit-component have one memory, two tables
/// and three modules; those from componentize-py have some ten modules around one memory.
pub(crate) const MEMORIES: u32 = 2;
pub(crate) const TABLES: u32 = 8;
pub(crate) const MODULES: u32 = 20;
/// Elements of one table. Interpreters for dynamic languages have some 10,000 functions in it.
const TABLE_ELEMENTS: usize = 65_536;
/// What may stay mapped of a memory for the next instance in that place: what a call with a window of usual size writes. A larger call
/// gives the rest back.
const KEPT_BYTES: usize = 512 << 10;
/// What stays mapped of a table, and is overwritten for the next instance. Most are smaller.
const KEPT_TABLE_BYTES: usize = 64 << 10;
/// Frames of a crash that are kept.
const FRAMES: usize = 8;

/// The engine could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The engine refused its configuration, or could not get even a page of memory.
    #[error("the engine for adapters could not be started: {0}")]
    Engine(String),
    /// The thread that watches deadlines could not be started.
    #[error("the thread that watches the deadlines of adapters could not be started: {0}")]
    Ticker(#[from] std::io::Error),
    /// An option that makes no sense.
    #[error("{name} is {value}; it must be at least {least}")]
    Option {
        /// Which option.
        name: &'static str,
        /// What it is.
        value: usize,
        /// The least that works.
        least: usize,
    },
}

/// Where instances get their memory from, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Allocation {
    /// A pool whose places are so far apart that accesses need no bounds checks.
    Pool,
    /// A pool with places as large as the largest memory.
    CompactPool,
    /// Each instance asks the operating system.
    OnDemand,
}

/// Makes the best engine that this machine can afford.
pub(crate) fn build(options: &SandboxOptions) -> Result<(Engine, Allocation), EngineError> {
    let sizes = [
        ("max_instances", options.max_instances as usize, 1),
        ("max_memory_bytes", options.max_memory_bytes, 64 << 10),
        ("max_component_bytes", options.max_component_bytes, 8),
        ("tick in microseconds", usize::try_from(options.tick.as_micros()).unwrap_or(usize::MAX), 100),
    ];
    if let Some(&(name, value, least)) = sizes.iter().find(|(_, value, least)| value < least) {
        return Err(EngineError::Option { name, value, least });
    }
    let mut tried = String::new();
    for allocation in [Allocation::Pool, Allocation::CompactPool, Allocation::OnDemand] {
        match Engine::new(&config(options, allocation)) {
            Ok(engine) => {
                if allocation != Allocation::Pool {
                    tracing::warn!(
                        reason = %tried, ?allocation,
                        "address space for the full pool of adapter instances is not to be had; calls will be slower"
                    );
                }
                return Ok((engine, allocation));
            }
            Err(error) => tried = format!("{error:#}"),
        }
    }
    Err(EngineError::Engine(tried))
}

fn config(options: &SandboxOptions, allocation: Allocation) -> Config {
    let mut config = settings(options, allocation);
    if allocation != Allocation::OnDemand {
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(options)));
    }
    config
}

/// Everything that machine code depends on; what compiles it needs no more than this.
pub(crate) fn settings(options: &SandboxOptions, allocation: Allocation) -> Config {
    let mut config = Config::new();
    // Nothing in the contract is asynchronous, and calls are cheaper without the machinery for it.
    config.concurrency_support(false);
    config.epoch_interruption(true);
    config.memory_init_cow(true);
    // The same batch must give the same bytes on every machine.
    config.cranelift_nan_canonicalization(true);
    config.wasm_backtrace_details(WasmBacktraceDetails::Disable);
    config.wasm_backtrace_max_frames(NonZeroUsize::new(FRAMES));
    // Threads, garbage collection and exceptions are not even compiled in.
    config.wasm_memory64(false);
    config.wasm_multi_memory(false);
    config.wasm_simd(false);
    config.wasm_relaxed_simd(false);
    config.wasm_tail_call(false);
    config.wasm_wide_arithmetic(false);
    config.wasm_custom_page_sizes(false);
    config.wasm_stack_switching(false);
    config.shared_memory(false);
    match allocation {
        Allocation::Pool => {}
        Allocation::CompactPool => {
            config.memory_reservation(options.max_memory_bytes as u64);
            config.memory_guard_size(64 << 10);
        }
        Allocation::OnDemand => {
            config.memory_reservation(0);
            config.memory_guard_size(64 << 10);
            config.memory_reservation_for_growth(1 << 20);
        }
    }
    config
}

fn pool(options: &SandboxOptions) -> PoolingAllocationConfig {
    let instances = options.max_instances;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(MODULES))
        .total_memories(instances.saturating_mul(MEMORIES))
        .total_tables(instances.saturating_mul(TABLES))
        .max_core_instances_per_component(MODULES)
        .max_memories_per_component(MEMORIES)
        .max_tables_per_component(TABLES)
        .max_memories_per_module(1)
        .max_tables_per_module(TABLES)
        .table_elements(TABLE_ELEMENTS)
        .max_memory_size(options.max_memory_bytes);
    pool.table_keep_resident(KEPT_TABLE_BYTES);
    // Elsewhere all that is to stay would have to be overwritten each time, which costs as much as the page faults that it saves.
    if !options.fresh_memory && pages::may_stay() {
        pool.pagemap_scan(Enabled::Yes).linear_memory_keep_resident(KEPT_BYTES);
    } else {
        pool.linear_memory_keep_resident(0);
    }
    pool
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmtime::component::{Component, Linker};
    use wasmtime::{Store, Trap};

    /// Instantiates a module that reads four bytes at `address` of its one page.
    fn read(engine: &Engine, address: u32) -> wasmtime::Result<()> {
        let text = format!(
            "(component (core module $m (memory 1) (func $start (drop (i32.load (i32.const {address})))) (start $start)) \
             (core instance (instantiate $m)))"
        );
        let component = Component::new(engine, wat::parse_str(text).unwrap())?;
        let mut store = Store::new(engine, ());
        store.set_epoch_deadline(1_000_000);
        Linker::new(engine).instantiate(&mut store, &component).map(drop)
    }

    #[test]
    fn no_page_of_an_instance_that_is_gone_stays_for_the_next_if_memory_is_to_be_fresh() {
        let options = SandboxOptions { max_instances: 2, fresh_memory: true, ..SandboxOptions::default() };
        let (engine, allocation) = build(&options).unwrap();
        assert_eq!(allocation, Allocation::Pool);
        let text = "(component (core module $m (memory 20) (func $start (i32.store (i32.const 65536) (i32.const 7))) (start $start)) \
             (core instance (instantiate $m)))";
        let component = Component::new(&engine, wat::parse_str(text).unwrap()).unwrap();
        for _ in 0..5 {
            let mut store = Store::new(&engine, ());
            store.set_epoch_deadline(1_000_000);
            Linker::new(&engine).instantiate(&mut store, &component).unwrap();
        }
        let pool = engine.pooling_allocator_metrics().unwrap();
        assert_eq!((pool.memories(), pool.unused_warm_memories()), (0, 1));
        assert_eq!(pool.unused_memory_bytes_resident(), 0);
    }

    #[test]
    fn wherever_memory_comes_from_a_guest_reaches_its_own_only() {
        let options = SandboxOptions { max_instances: 2, ..SandboxOptions::default() };
        for allocation in [Allocation::Pool, Allocation::CompactPool, Allocation::OnDemand] {
            let engine = Engine::new(&config(&options, allocation)).unwrap();
            read(&engine, 65_532).unwrap();
            for outside in [65_533, 0x0fff_fff0, 0xffff_fff0] {
                let error = read(&engine, outside).unwrap_err();
                assert_eq!(error.downcast_ref(), Some(&Trap::MemoryOutOfBounds), "{allocation:?} {outside}: {error:?}");
            }
        }
    }
}
