//! Threads that run while nobody else wants to, for adapters whose calls take long.
//!
//! A deadline ends a call, and a budget ends a minute of calls; until then, ten adapters that spin are ten threads among which the
//! system divides the cores, and a thousand stores that need a moment each are late. So who was seen to take long is called on
//! few threads that step back for everybody else, and that stand still while there is a wave of other work. Such adapters wait for
//! each other, and nobody waits for them.

use super::{Cut, traffic};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// Whom jobs are given to; none if the system starts no more threads.
fn lane() -> Option<&'static Sender<Job>> {
    static LANE: OnceLock<Option<Sender<Job>>> = OnceLock::new();
    LANE.get_or_init(start).as_ref()
}

fn start() -> Option<Sender<Job>> {
    let (queue, jobs) = channel();
    let jobs = Arc::new(Mutex::new(jobs));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let spawn = |_| {
        let jobs = Arc::clone(&jobs);
        std::thread::Builder::new().name("slow-adapters".to_owned()).spawn(move || work(&jobs))
    };
    let started = (0..(cores / 2).max(1)).map(spawn).filter(Result::is_ok).count();
    (started > 0).then_some(queue)
}

fn work(jobs: &Mutex<Receiver<Job>>) {
    step_back();
    tidegate_sandbox::take_breaks(traffic::wait_for_quiet);
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        // Whoever waits for it is told by the end of its channel.
        drop(catch_unwind(AssertUnwindSafe(job)));
    }
}

/// Makes this thread one that others push aside the moment they want its core. A low priority alone would not do: whoever wakes up
/// beside a thread of low priority still waits until its turn has ended, some milliseconds for each of the steps of a delivery.
#[cfg(target_os = "linux")]
fn step_back() {
    let priority = libc::sched_param { sched_priority: 0 };
    #[expect(unsafe_code, reason = "no crate in use here has a safe way to say it")]
    // SAFETY: the call reads `priority`, which outlives it, and changes nothing but how the system schedules this thread (0).
    let refused = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const priority) } != 0;
    if refused {
        let error = std::io::Error::last_os_error();
        tracing::warn!(%error, "the threads for slow adapters have the same priority as all others");
    }
}

/// Elsewhere than on Linux they take turns with all others.
#[cfg(not(target_os = "linux"))]
fn step_back() {}

/// Runs `work` there.
pub(super) async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Cut> {
    let (tell, told) = oneshot::channel();
    let job: Job = Box::new(move || drop(tell.send(work())));
    match lane() {
        Some(queue) => drop(queue.send(job)),
        None => drop(tokio::task::spawn_blocking(job)),
    }
    told.await.map_err(|_| Cut("a thread for slow adapters died".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_is_done_where_others_go_first_and_a_panic_costs_only_itself() {
        // The policy is the 41st field (proc_pid_stat(5)), so the 39th after the name.
        let policy = || {
            let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            stat.rsplit(')').next().unwrap().split_whitespace().nth(38).unwrap().parse::<i32>().unwrap()
        };
        let usual = policy();
        assert_eq!(run(policy).await.unwrap(), libc::SCHED_IDLE);
        assert_eq!(policy(), usual);
        let told = run(|| panic!("one of the tests")).await.map(|never: ()| never).unwrap_err().to_string();
        assert_eq!(told, "a thread for slow adapters died");
        assert_eq!(run(|| 7).await.unwrap(), 7);
    }
}
