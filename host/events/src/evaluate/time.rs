//! What an evaluation has taken of its time, and which metric the most of it.
//!
//! The trap is the metric that takes the time of all: whoever stops a pass must know whom to blame, or would have to find out by
//! trying, at the price of a budget for each try. So each step is charged to the jobs that it was done for. The time is that of the
//! wall, since it is the others' waiting that is bounded.

use std::time::{Duration, Instant};

/// A stopwatch for one pass over a window.
pub(super) struct Spending {
    began: Instant,
    limit: Duration,
    /// What was done for each job.
    jobs: Vec<Duration>,
}

impl Spending {
    pub(super) fn new(limit: Duration, jobs: usize) -> Self {
        Self { began: Instant::now(), limit, jobs: vec![Duration::ZERO; jobs] }
    }

    /// Charges a step that began then to the jobs that needed it.
    pub(super) fn charge(&mut self, jobs: impl IntoIterator<Item = usize>, since: Instant) {
        let took = since.elapsed();
        jobs.into_iter().for_each(|job| self.jobs[job] += took);
    }

    /// Fails with the job that has taken most if the time is over.
    pub(super) fn check(&self) -> Result<(), usize> {
        self.check_after(self.began.elapsed())
    }

    fn check_after(&self, elapsed: Duration) -> Result<(), usize> {
        if elapsed <= self.limit {
            return Ok(());
        }
        let most = (0..self.jobs.len()).max_by_key(|job| (self.jobs[*job], std::cmp::Reverse(*job)));
        most.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_job_that_has_taken_most_is_to_blame_and_only_when_the_time_is_over() {
        let limit = Duration::from_secs(10);
        let mut spending = Spending::new(limit, 3);
        spending.jobs = [2, 7, 1].map(Duration::from_secs).to_vec();
        assert_eq!(spending.check_after(limit), Ok(()));
        assert_eq!(spending.check_after(limit + Duration::from_nanos(1)), Err(1));
        spending.jobs[2] = Duration::from_secs(8);
        assert_eq!(spending.check_after(2 * limit), Err(2));
        spending.jobs = vec![Duration::ZERO; 3];
        assert_eq!(spending.check_after(2 * limit), Err(0), "the first, if none has taken any");
        assert_eq!(Spending::new(limit, 0).check_after(2 * limit), Ok(()), "there is nobody to blame");
    }
}
