//! CPU time of the calling thread. Wall time would measure the neighbours on a shared machine.

use std::time::Duration;

/// CPU time that this thread has used so far (Linux, `/proc/thread-self/schedstat`, nanoseconds in the first field).
///
/// # Errors
/// If the kernel does not offer the file.
pub(crate) fn of_this_thread() -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = stat.split_whitespace().next().unwrap_or_default().parse()?;
    Ok(Duration::from_nanos(nanos))
}

/// CPU seconds that `work` takes on this thread.
///
/// # Errors
/// Those of `work`, and of the clock.
pub(crate) fn seconds<T>(work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<(f64, T)> {
    let before = of_this_thread()?;
    let result = work()?;
    Ok(((of_this_thread()? - before).as_secs_f64(), result))
}
