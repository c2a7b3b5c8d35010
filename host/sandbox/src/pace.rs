//! Breaks in the calls of a thread whose adapters are to step back for all others.
//!
//! A low priority gives them every moment in which a core is free, also those in the middle of a wave of other work. So who steps
//! back stands still meanwhile, too. The trap is the limit of a call: a break is time that it lasts, but no CPU time, so it uses up
//! nothing of what the call may work.

use std::cell::Cell;

thread_local! {
    static BREAK: Cell<Option<fn()>> = const { Cell::new(None) };
}

/// Has every call of an adapter that this thread makes from now on run `take_break` whenever it has worked for a tick of the
/// engine's clock ([`tick`](crate::SandboxOptions::tick)).
pub fn take_breaks(take_break: fn()) {
    BREAK.set(Some(take_break));
}

/// Takes a break, if the calls of this thread have any.
pub(crate) fn take_break() {
    if let Some(take_break) = BREAK.get() {
        take_break();
    }
}

/// How many of the ticks that a call may last it works until the next break.
pub(crate) fn before_break(ticks: u64) -> u64 {
    if BREAK.get().is_some() { ticks.min(1) } else { ticks }
}
