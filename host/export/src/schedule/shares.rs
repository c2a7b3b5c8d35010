//! How much of a minute the evaluations of each tenant take.
//!
//! A tenant with many events and many metrics would take the evaluating threads from all others. What is beyond its share waits as
//! a failed evaluation does: on record, with the reason, and tried again when there is some of the minute left.

use crate::budget::Spent;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tidegate_model::TenantId;
use tokio::time::Instant as Moment;

/// A tenant whose minute is used up.
#[derive(Debug, thiserror::Error)]
#[error(
    "evaluating the tenant's metrics took {} ms in the last minute; its limit is {} ms; the window is tried again in {} s",
    used.as_millis(), limit.as_millis(), wait.as_secs_f64().ceil()
)]
pub(crate) struct Exhausted {
    pub(crate) used: Duration,
    pub(crate) limit: Duration,
    /// When there will be some again.
    pub(crate) wait: Duration,
}

/// What tenants have used.
pub(crate) struct Shares {
    started: Moment,
    spent: Mutex<HashMap<TenantId, Spent>>,
}

impl Default for Shares {
    fn default() -> Self {
        Self { started: Moment::now(), spent: Mutex::default() }
    }
}

impl Shares {
    /// Whether a tenant has some of its `limit` left, in milliseconds; one without a limit always has.
    pub(crate) fn check(&self, tenant: TenantId, limit: Option<u32>) -> Result<(), Exhausted> {
        let Some(limit) = limit.map(|millis| Duration::from_millis(millis.into())) else { return Ok(()) };
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.started.elapsed();
        let checked = spent.entry(tenant).or_default().check(now, limit);
        checked.map_err(|(used, wait)| Exhausted { used, limit, wait })
    }

    /// Enters what an evaluation took.
    pub(crate) fn took(&self, tenant: TenantId, time: Duration) {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        spent.entry(tenant).or_default().add(self.started.elapsed(), time);
    }

    /// What was used in the last minute.
    pub(crate) fn used(&self, tenant: TenantId) -> Duration {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        spent.get_mut(&tenant).map(|spent| spent.used(self.started.elapsed())).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_tenant_that_has_used_up_its_minute_is_told_how_much_and_when_there_is_more_and_others_go_on() {
        let (shares, acme, other) = (Shares::default(), TenantId(1), TenantId(2));
        assert!(shares.check(acme, Some(500)).is_ok());
        shares.took(acme, Duration::from_millis(400));
        assert!(shares.check(acme, Some(500)).is_ok());
        tokio::time::advance(Duration::from_secs(20)).await;
        shares.took(acme, Duration::from_millis(400));
        let told = shares.check(acme, Some(500)).unwrap_err().to_string();
        let expected = "evaluating the tenant's metrics took 800 ms in the last minute; its limit is 500 ms; the window is tried \
                        again in 41 s";
        assert_eq!(told, expected);
        assert!(shares.check(other, Some(500)).is_ok() && shares.check(acme, None).is_ok());
        tokio::time::advance(Duration::from_secs(41)).await;
        assert!(shares.check(acme, Some(500)).is_ok());
        assert_eq!((shares.used(acme), shares.used(other)), (Duration::from_millis(400), Duration::ZERO));
    }
}
