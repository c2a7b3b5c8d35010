//! CPU time of this process. Wall time would measure the neighbours on a shared machine.

use std::time::Duration;

/// CPU time that the threads of this process have used so far (Linux, `/proc/self/task/*/schedstat`, nanoseconds in the first
/// field). A thread that ends meanwhile takes its time with it.
///
/// # Errors
/// If the kernel does not offer the files.
pub(crate) fn of_this_process() -> anyhow::Result<Duration> {
    let mut nanos = 0;
    for task in std::fs::read_dir("/proc/self/task")? {
        let stat = std::fs::read_to_string(task?.path().join("schedstat"))?;
        nanos += stat.split_whitespace().next().unwrap_or_default().parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanos))
}

/// CPU seconds that all threads take for `work`.
///
/// # Errors
/// Those of `work`, and of the clock.
pub(crate) fn seconds<T>(work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<(f64, T)> {
    let before = of_this_process()?;
    let result = work()?;
    Ok(((of_this_process()? - before).as_secs_f64(), result))
}

/// CPU seconds that the threads of this process have used so far, those that have ended included, in user and kernel mode (Linux,
/// `/proc/self/stat`, hundredths of a second in the 14th and 15th field). Coarser, but right where threads come and go.
///
/// # Errors
/// If the kernel does not offer the file.
pub(crate) fn with_ended_threads() -> anyhow::Result<f64> {
    of_process("self")
}

/// The same for another process, by its number.
///
/// # Errors
/// If there is no such process, or the kernel does not offer the file.
pub(crate) fn of_process(process: &str) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The second field is the program's name, which may hold spaces.
    let fields: Vec<&str> = stat.rsplit_once(") ").map_or("", |(_, rest)| rest).split(' ').collect();
    let field = |place: usize| fields.get(place).and_then(|text| text.parse::<f64>().ok()).unwrap_or_default();
    Ok((field(11) + field(12)) / 100.0)
}
