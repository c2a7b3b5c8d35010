//! One instance and the calls into it.
//!
//! Every way in goes through [`Run::call`], so none can miss the deadline, the clock or the translation of errors. Limits are in
//! place before the instance exists: what a component does while it is being instantiated counts too.

use crate::fault::Fault;
use crate::host::{Reach, State};
use crate::limits::{Called, Limits, Usage};
use crate::pace;
use crate::sandbox::{Place, Sandbox};
use crate::text::{plain, quoted};
use crate::ticker::ticks;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidegate_model::thread_cpu_time;
use wasmtime::{PoolConcurrencyLimitError, Store, Trap, UpdateDeadline, WasmBacktrace};

/// Functions of a crash that the operator is shown.
const FRAMES_SHOWN: usize = 5;

/// What a call may take is CPU time. On a machine that is busy with others it may last so many times as long, and no longer.
const PATIENCE: u32 = 10;

/// An instance to be, or one that lives.
pub(crate) struct Run {
    store: Store<State>,
    limits: Limits,
    deadline: u64,
    places: u32,
    // Given back after the store has given back what it holds of the pool.
    _place: Place,
}

/// What is to come of a call that has lasted as long as it may work, or until a break of its thread.
fn fallen_due((started, cpu): (Instant, Duration), most: Duration, tick: Duration) -> UpdateDeadline {
    pace::take_break();
    let worked = thread_cpu_time().saturating_sub(cpu);
    if worked >= most || started.elapsed() >= most.saturating_mul(PATIENCE) {
        return UpdateDeadline::Interrupt;
    }
    UpdateDeadline::Continue(pace::before_break(ticks(most.saturating_sub(worked), tick)))
}

impl Run {
    /// Takes a place, and sets every limit.
    pub(crate) fn new(sandbox: &Arc<Sandbox>, reach: Reach, limits: &Limits) -> Result<Self, Fault> {
        let place = sandbox.place()?;
        let options = sandbox.options();
        let memory = limits.memory_bytes.min(options.max_memory_bytes);
        let mut store = Store::new(sandbox.engine(), State::new(reach, limits, memory, sandbox.buffers().clone()));
        store.limiter(|state| &mut state.meter);
        // More than fits into the guest's memory at once is not needed in one call; without this, two arguments that name the same
        // bytes would be copied twice.
        store.set_hostcall_fuel(memory);
        store.set_max_component_handles(limits.handles as usize);
        let (deadline, most, tick) = (ticks(limits.call_time, options.tick), limits.call_time, options.tick);
        store.epoch_deadline_callback(move |context| Ok(fallen_due(context.data().began, most, tick)));
        Ok(Self { store, limits: limits.clone(), deadline, places: options.max_instances, _place: place })
    }

    /// Runs `body` under the deadline, and says what came of it and what it used.
    pub(crate) fn call<T>(&mut self, body: impl FnOnce(&mut Store<State>) -> wasmtime::Result<T>) -> Called<T> {
        let (started, worked) = (Instant::now(), thread_cpu_time());
        self.store.data_mut().began = (started, worked);
        self.store.set_epoch_deadline(pace::before_break(self.deadline));
        let result = body(&mut self.store);
        let (spent, cpu) = (started.elapsed(), thread_cpu_time().saturating_sub(worked));
        let state = self.store.data_mut();
        state.tell();
        let usage = Usage {
            time: spent,
            cpu,
            memory_peak: state.meter.memory_peak(),
            output_bytes: state.meter.output(),
            handles_peak: state.handles_peak(),
            log_lines: state.console.lines(),
        };
        Called {
            result: result.map_err(|error| self.fault(&error, if cpu < self.limits.call_time { spent } else { cpu })),
            usage,
        }
    }

    /// What this run may use.
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    fn fault(&self, error: &wasmtime::Error, spent: Duration) -> Fault {
        if let Some(fault) = error.downcast_ref::<Fault>() {
            return fault.clone();
        }
        if error.is::<PoolConcurrencyLimitError>() {
            return Fault::Busy { limit: self.places };
        }
        match error.downcast_ref::<Trap>() {
            Some(Trap::Interrupt) => return Fault::Deadline { limit: self.limits.call_time, spent },
            Some(trap) => {
                let mut reason = plain(&trap.to_string());
                // Languages with exceptions print what went wrong and stop.
                if let Some(words) = self.store.data().console.last_words() {
                    reason = format!("{reason}; before that it printed {}", quoted(&words));
                }
                return Fault::Trap { reason, frames: frames(error) };
            }
            None => {}
        }
        let reason = error.root_cause().to_string();
        if reason.contains("store handle limit exceeded") {
            // The engine counts handles to the guest's own resources too and has no type for this error.
            let limit = self.limits.handles;
            return Fault::Handles { limit, asked: limit.saturating_add(1) };
        }
        if reason.contains("fuel allocated for hostcalls") {
            let limit = self.store.hostcall_fuel();
            let reason =
                format!("it handed over more than {limit} bytes in one call of the host, all that its memory may hold");
            return Fault::Trap { reason, frames: frames(error) };
        }
        Fault::Trap { reason: plain(&reason), frames: frames(error) }
    }
}

fn frames(error: &wasmtime::Error) -> Vec<String> {
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else { return Vec::new() };
    backtrace.frames().iter().filter_map(|frame| frame.func_name().map(plain)).take(FRAMES_SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_over_when_it_has_worked_as_long_as_it_may_or_lasted_ten_times_as_long() {
        let (most, tick) = (Duration::from_secs(1000), Duration::from_millis(10));
        let lasted = |span: u64| Instant::now().checked_sub(Duration::from_millis(span)).unwrap();
        // One that waited for others has all of its time left, and a tick that is under way.
        let short = Duration::from_millis(100);
        let waited = fallen_due((lasted(900), thread_cpu_time()), short, tick);
        assert!(matches!(waited, UpdateDeadline::Continue(10 | 11)));
        assert!(matches!(fallen_due((lasted(1_000), thread_cpu_time()), short, tick), UpdateDeadline::Interrupt));
        assert!(matches!(
            fallen_due((lasted(0), Duration::ZERO), Duration::from_nanos(1), tick),
            UpdateDeadline::Interrupt
        ));
        assert!(matches!(fallen_due((lasted(0), thread_cpu_time()), most, tick), UpdateDeadline::Continue(_)));
    }
}
