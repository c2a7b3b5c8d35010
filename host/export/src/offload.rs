//! Work that blocks (SQLite, adapters), off the threads that wait.
//!
//! There is one door for all of it, so that a simulation can stand in the door: there the work runs at once on the one thread
//! of the simulation, which makes its order repeatable, and the host can be made to die before or after any piece of it.

#[cfg(test)]
pub(crate) mod fate;
mod lane;
mod traffic;

/// The work was cut off: its thread died, or the host is going down.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Cut(String);

/// Whether everything runs on one thread, as in a simulation.
pub(crate) fn is_alone() -> bool {
    #[cfg(test)]
    if fate::current().is_some() {
        return true;
    }
    false
}

/// Runs `work` where it may block.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Cut> {
    #[cfg(test)]
    if let Some(fate) = fate::current() {
        return fate.run(work).await.map_err(Cut);
    }
    let at_work = traffic::enter();
    let work = move || {
        let _at_work = at_work;
        work()
    };
    tokio::task::spawn_blocking(work).await.map_err(|e| Cut(e.to_string()))
}

/// Runs the call of an adapter; one that was seen to take long steps back for all others.
pub(crate) async fn adapter_call<T: Send + 'static>(
    is_slow: bool,
    call: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Cut> {
    if is_slow && !is_alone() { lane::run(call).await } else { blocking(call).await }
}
