//! How much of a minute of CPU time the evaluations and the questions of each tenant take.
//!
//! A tenant with many events and many metrics would take the evaluating threads from all others. What is beyond its share waits as
//! a failed evaluation does: on record, with the reason, and tried again when there is some of the minute left. Whoever asks is told
//! when to ask again; and a question that alone takes more than a minute's share is ended, since waiting would not help it.

use super::spent::Spent;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tidegate_model::TenantId;
use tokio::time::Instant as Moment;

/// A tenant whose minute is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{what} took {} ms in the last minute; its limit is {} ms; {then} in {} s",
    used.as_millis(), limit.as_millis(), wait.as_secs_f64().ceil()
)]
pub struct Exhausted {
    what: &'static str,
    then: &'static str,
    /// CPU time of the last minute.
    pub used: Duration,
    /// How much it may be.
    pub limit: Duration,
    /// When there will be some again.
    pub wait: Duration,
}

/// What tenants have used.
pub(crate) struct Shares {
    what: &'static str,
    then: &'static str,
    started: Moment,
    spent: Mutex<HashMap<TenantId, Spent>>,
}

impl Shares {
    /// For what the schedule does.
    pub(crate) fn of_evaluations() -> Arc<Self> {
        Self::new("evaluating the tenant's metrics", "the window is tried again")
    }

    /// For what people ask.
    pub(crate) fn of_queries() -> Arc<Self> {
        Self::new("answering the tenant's queries", "ask again")
    }

    fn new(what: &'static str, then: &'static str) -> Arc<Self> {
        Arc::new(Self { what, then, started: Moment::now(), spent: Mutex::default() })
    }

    /// Whether a tenant has some of its `limit` left, in milliseconds; one without a limit always has.
    pub(crate) fn check(&self, tenant: TenantId, limit: Option<u32>) -> Result<(), Exhausted> {
        let Some(limit) = limit.map(|millis| Duration::from_millis(millis.into())) else { return Ok(()) };
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.started.elapsed();
        let checked = spent.entry(tenant).or_default().check(now, limit);
        let Self { what, then, .. } = *self;
        checked.map_err(|(used, wait)| Exhausted { what, then, used, limit, wait })
    }

    /// Enters CPU time that was used.
    pub(crate) fn took(&self, tenant: TenantId, time: Duration) {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        spent.entry(tenant).or_default().add(self.started.elapsed(), time);
    }

    /// What was used in the last minute.
    pub(crate) fn used(&self, tenant: TenantId) -> Duration {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        spent.get_mut(&tenant).map(|spent| spent.used(self.started.elapsed())).unwrap_or_default()
    }

    /// Lets a question in, if the tenant has some of its `limit` left.
    pub(crate) fn admit(self: &Arc<Self>, tenant: TenantId, limit: Option<u32>) -> Result<QueryShare, Exhausted> {
        self.check(tenant, limit)?;
        let limit = limit.map(|millis| Duration::from_millis(millis.into()));
        Ok(QueryShare { of: Some((Arc::clone(self), tenant)), limit, used: Duration::ZERO })
    }
}

/// A question that was let in, and what it has used so far.
pub struct QueryShare {
    of: Option<(Arc<Shares>, TenantId)>,
    limit: Option<Duration>,
    used: Duration,
}

impl QueryShare {
    /// One that nobody pays for: its project is gone.
    pub(crate) fn free() -> Self {
        Self { of: None, limit: None, used: Duration::ZERO }
    }

    /// Enters CPU time that answering took. It is owed as soon as it is used, so questions side by side see each other's.
    ///
    /// # Errors
    /// [`TooLong`] if this question has used more than the whole of a minute's share.
    pub fn took(&mut self, time: Duration) -> Result<(), TooLong> {
        if let Some((shares, tenant)) = &self.of {
            shares.took(*tenant, time);
        }
        self.used = self.used.saturating_add(time);
        match self.limit {
            Some(limit) if self.used > limit => Err(TooLong { used: self.used, limit }),
            _ => Ok(()),
        }
    }
}

/// A question that alone takes more CPU time than its tenant may use in a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the query took {} ms of CPU time and was ended; all queries of the tenant together may take {} ms in a minute; filter for fewer \
     events, or have the operator raise query_cpu",
    used.as_millis(), limit.as_millis()
)]
pub struct TooLong {
    /// What it used until it was ended.
    pub used: Duration,
    /// What all queries of the tenant may use in a minute.
    pub limit: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_tenant_that_has_used_up_its_minute_is_told_how_much_and_when_there_is_more_and_others_go_on() {
        let (shares, acme, other) = (Shares::of_evaluations(), TenantId(1), TenantId(2));
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

    #[tokio::test(start_paused = true)]
    async fn questions_side_by_side_share_the_minute_and_one_that_takes_more_than_all_of_it_is_ended() {
        let (shares, acme) = (Shares::of_queries(), TenantId(1));
        let admit = || shares.admit(acme, Some(500));
        let (mut first, mut second) = (admit().unwrap(), admit().unwrap());
        let span = Duration::from_millis;
        assert_eq!((first.took(span(300)), second.took(span(200))), (Ok(()), Ok(())));
        let refused = admit().err().unwrap();
        assert_eq!(
            refused.to_string(),
            "answering the tenant's queries took 500 ms in the last minute; its limit is 500 ms; ask again in 61 s"
        );
        // Those that were let in go on, up to all of what there is in a minute.
        assert_eq!(first.took(span(200)), Ok(()));
        let ended = first.took(span(1)).unwrap_err().to_string();
        assert!(
            ended.starts_with("the query took 501 ms of CPU time and was ended; ")
                && ended.contains("500 ms in a minute")
        );
        assert_eq!(shares.used(acme), span(701), "what was used is owed whatever came of it");
        assert!(shares.admit(TenantId(2), Some(500)).is_ok() && shares.admit(acme, None).is_ok());
        tokio::time::advance(Duration::from_secs(61)).await;
        assert!(admit().is_ok());
    }
}
