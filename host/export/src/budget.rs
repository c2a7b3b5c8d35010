//! What adapters may use for a store and for a tenant, and what they have used.
//!
//! A deadline for each call is not enough: an adapter that stays just below it, call after call, takes a whole core. So CPU time
//! is counted over the last minute as well, for each store and for all stores of its tenant together. Who has used up its minute
//! waits until enough of it has passed; nobody else does.

use crate::observe::Observed;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tidegate_model::StoreId;
use tidegate_sandbox::{Fault, Limits, Usage};
use tokio::time::Instant as Moment;

const MINUTE: Duration = Duration::from_secs(60);

/// What the stores of a tenant may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// What one conversation or page may use.
    pub call: Limits,
    /// CPU time of a store's adapter in a minute; 20 s.
    pub store_cpu: Duration,
    /// CPU time of all adapters of the tenant in a minute; 60 s for each core.
    pub tenant_cpu: Duration,
    /// Conversations and pages of the tenant under way at once; 96 of the 128 that there are.
    pub instances: u32,
}

impl Default for Allowance {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let tenant_cpu = MINUTE.saturating_mul(u32::try_from(cores).unwrap_or(u32::MAX));
        Self { call: Limits::default(), store_cpu: Duration::from_secs(20), tenant_cpu, instances: 96 }
    }
}

/// How much of a limit is used.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LimitUse {
    /// Which limit, for example `cpu-per-minute`.
    pub name: &'static str,
    /// `ms`, `bytes` or empty for plain numbers.
    pub unit: &'static str,
    /// The most of one call, or what was used in the last minute.
    pub used: u64,
    /// The limit.
    pub limit: u64,
}

/// The accounts of all stores.
pub(crate) struct Budgets {
    ceiling: Allowance,
    tenants: BTreeMap<String, Allowance>,
    started: Moment,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    tenants: HashMap<String, Arc<Tenant>>,
    stores: HashMap<StoreId, Arc<Account>>,
}

/// What all stores of a tenant share.
struct Tenant {
    allowance: Allowance,
    running: AtomicU32,
    spent: Mutex<Spent>,
}

/// What one store has used.
pub(crate) struct Account {
    tenant: Arc<Tenant>,
    started: Moment,
    used: Mutex<Used>,
}

#[derive(Default)]
struct Used {
    spent: Spent,
    call: Duration,
    memory: usize,
    output: u64,
    actions: u32,
}

/// CPU time by second, of the last minute.
#[derive(Default)]
struct Spent {
    seconds: VecDeque<(u64, Duration)>,
    sum: Duration,
}

impl Spent {
    fn forget(&mut self, now: Duration) {
        let from = now.as_secs().saturating_sub(MINUTE.as_secs());
        while let Some((_, spent)) = self.seconds.front().filter(|(second, _)| *second < from) {
            self.sum = self.sum.saturating_sub(*spent);
            self.seconds.pop_front();
        }
    }

    fn add(&mut self, now: Duration, spent: Duration) {
        self.forget(now);
        self.sum += spent;
        match self.seconds.back_mut() {
            Some((second, sum)) if *second == now.as_secs() => *sum += spent,
            _ => self.seconds.push_back((now.as_secs(), spent)),
        }
    }

    /// Whether there is some of `limit` left; if not, what was used and when there will be.
    fn check(&mut self, now: Duration, limit: Duration) -> Result<(), (Duration, Duration)> {
        self.forget(now);
        if self.sum < limit {
            return Ok(());
        }
        let mut left = self.sum;
        for (second, spent) in &self.seconds {
            left = left.saturating_sub(*spent);
            if left < limit {
                let free = Duration::from_secs(second + MINUTE.as_secs() + 1);
                return Err((self.sum, free.saturating_sub(now)));
            }
        }
        Err((self.sum, MINUTE))
    }
}

impl Budgets {
    pub(crate) fn new(ceiling: Allowance, tenants: BTreeMap<String, Allowance>) -> Self {
        Self { ceiling, tenants, started: Moment::now(), open: Mutex::default() }
    }

    /// The account of a store, which is the same for as long as the host runs.
    pub(crate) fn account(&self, tenant: &str, store: StoreId) -> Arc<Account> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = open.stores.get(&store) {
            return Arc::clone(account);
        }
        let shared = open.tenants.entry(tenant.to_owned()).or_insert_with(|| {
            let allowance = self.tenants.get(tenant).unwrap_or(&self.ceiling).clone();
            Arc::new(Tenant { allowance, running: AtomicU32::new(0), spent: Mutex::default() })
        });
        let account = Arc::new(Account { tenant: Arc::clone(shared), started: self.started, used: Mutex::default() });
        open.stores.insert(store, Arc::clone(&account));
        account
    }
}

impl Account {
    /// What one conversation or page may use.
    pub(crate) fn limits(&self) -> &Limits {
        &self.tenant.allowance.call
    }

    /// A place for a conversation or page.
    pub(crate) fn enter(&self) -> Result<Entered, Fault> {
        self.check()?;
        let limit = self.tenant.allowance.instances;
        let more = |running: u32| (running < limit).then_some(running + 1);
        match self.tenant.running.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more) {
            Ok(_) => Ok(Entered(Arc::clone(&self.tenant))),
            Err(_) => Err(Fault::Busy { limit }),
        }
    }

    /// Whether the adapter has CPU time left in this minute.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        let now = self.started.elapsed();
        let allowance = &self.tenant.allowance;
        let refused = |limit, whose| move |(used, wait)| Fault::Cpu { limit, used, wait, whose };
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.spent.check(now, allowance.store_cpu).map_err(refused(allowance.store_cpu, "the adapter"))?;
        let mut all = self.tenant.spent.lock().unwrap_or_else(PoisonError::into_inner);
        let whose = "all adapters of the tenant together";
        all.check(now, allowance.tenant_cpu).map_err(refused(allowance.tenant_cpu, whose))
    }

    /// Enters what a call has used; `actions` is how many its conversation has had so far.
    pub(crate) fn used(&self, usage: &Usage, actions: u32) {
        let now = self.started.elapsed();
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.spent.add(now, usage.cpu);
        used.call = used.call.max(usage.cpu);
        used.memory = used.memory.max(usage.memory_peak);
        used.output = used.output.max(usage.output_bytes);
        used.actions = used.actions.max(actions);
        drop(used);
        self.tenant.spent.lock().unwrap_or_else(PoisonError::into_inner).add(now, usage.cpu);
    }

    /// Each limit and how much of it is used.
    pub(crate) fn uses(&self) -> Vec<LimitUse> {
        let now = self.started.elapsed();
        let (allowance, limits) = (&self.tenant.allowance, self.limits());
        let mut all = self.tenant.spent.lock().unwrap_or_else(PoisonError::into_inner);
        all.forget(now);
        let tenant_cpu = all.sum;
        drop(all);
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.spent.forget(now);
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let running = u64::from(self.tenant.running.load(Ordering::Relaxed));
        vec![
            LimitUse { name: "call-time", unit: "ms", used: millis(used.call), limit: millis(limits.call_time) },
            LimitUse {
                name: "cpu-per-minute",
                unit: "ms",
                used: millis(used.spent.sum),
                limit: millis(allowance.store_cpu),
            },
            LimitUse { name: "memory", unit: "bytes", used: used.memory as u64, limit: limits.memory_bytes as u64 },
            LimitUse { name: "output", unit: "bytes", used: used.output, limit: limits.output_bytes },
            LimitUse { name: "actions", unit: "", used: used.actions.into(), limit: limits.actions.into() },
            LimitUse {
                name: "tenant-cpu-per-minute",
                unit: "ms",
                used: millis(tenant_cpu),
                limit: millis(allowance.tenant_cpu),
            },
            LimitUse { name: "tenant-instances", unit: "", used: running, limit: allowance.instances.into() },
        ]
    }

    /// Shows the same as gauges.
    pub(crate) fn show(&self, store: &str, observed: &Observed) {
        for one in self.uses() {
            observed.limit_used.with_label_values(&[store, one.name]).set(one.used as f64);
            observed.limit.with_label_values(&[store, one.name]).set(one.limit as f64);
        }
    }
}

/// A tenant's place; dropping it gives it back.
pub(crate) struct Entered(Arc<Tenant>);

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn allowance(store: u64, tenant: u64, instances: u32) -> Allowance {
        let (store_cpu, tenant_cpu) = (Duration::from_millis(store), Duration::from_millis(tenant));
        Allowance { store_cpu, tenant_cpu, instances, ..Allowance::default() }
    }

    fn cpu(millis: u64) -> Usage {
        Usage { cpu: Duration::from_millis(millis), ..Usage::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_used_up_its_minute_waits_until_enough_of_it_has_passed_and_is_told_how_long() {
        let budgets = Budgets::new(allowance(1000, 60_000, 5), BTreeMap::new());
        let account = budgets.account("acme", StoreId(1));
        account.used(&cpu(900), 1);
        assert!(account.enter().is_ok());
        tokio::time::advance(Duration::from_secs(10)).await;
        account.used(&cpu(900), 1);
        let told = account.enter().err().unwrap().to_string();
        let expected =
            "the adapter used 1800 ms of CPU time in the last minute; the limit is 1000 ms; it is called again in 51 s";
        assert_eq!(told, expected);
        // Another store of the tenant is not held up by it.
        assert!(budgets.account("acme", StoreId(2)).enter().is_ok());
        tokio::time::advance(Duration::from_secs(51)).await;
        assert!(account.enter().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn many_stores_that_each_stay_below_their_limit_meet_the_limit_of_their_tenant() {
        let budgets = Budgets::new(allowance(1000, 2500, 5), BTreeMap::new());
        for store in 0..3 {
            budgets.account("acme", StoreId(store)).used(&cpu(900), 1);
        }
        let told = budgets.account("acme", StoreId(9)).enter().err().unwrap().to_string();
        let start = "all adapters of the tenant together used 2700 ms";
        assert!(told.starts_with(start) && told.contains("the limit is 2500 ms"), "{told}");
        assert!(budgets.account("other", StoreId(10)).enter().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_tenant_has_its_own_limits_and_its_own_places() {
        let tenants = BTreeMap::from([("small".to_owned(), allowance(10, 10, 1))]);
        let budgets = Budgets::new(allowance(1000, 2500, 2), tenants);
        let small = budgets.account("small", StoreId(1));
        let first = small.enter().unwrap();
        assert_eq!(small.enter().err(), Some(Fault::Busy { limit: 1 }));
        let (a, b) = (budgets.account("large", StoreId(2)), budgets.account("large", StoreId(3)));
        let _both = (a.enter().unwrap(), b.enter().unwrap());
        assert_eq!(a.enter().err(), Some(Fault::Busy { limit: 2 }));
        drop(first);
        assert!(small.enter().is_ok());
        small.used(&cpu(10), 7);
        let uses = small.uses();
        let of = |name: &str| uses.iter().find(|u| u.name == name).map(|u| (u.used, u.limit)).unwrap();
        assert_eq!((of("cpu-per-minute"), of("actions"), of("tenant-instances")), ((10, 10), (7, 64), (0, 1)));
    }

    proptest! {
        #[test]
        fn what_counts_is_the_last_minute(calls in prop::collection::vec((0u64..20_000, 0u64..800), 0..80)) {
            let (mut spent, mut now, mut all) = (Spent::default(), 0, Vec::new());
            let limit = Duration::from_secs(3);
            for (pause, millis) in calls {
                now += pause;
                let time = Duration::from_millis(now);
                spent.add(time, Duration::from_millis(millis));
                all.push((now / 1000, millis));
                let from = (now / 1000).saturating_sub(60);
                let sum: u64 = all.iter().filter(|(second, _)| *second >= from).map(|(_, millis)| millis).sum();
                match spent.check(time, limit) {
                    Ok(()) => prop_assert!(sum < 3000),
                    Err((used, wait)) => {
                        prop_assert_eq!(used, Duration::from_millis(sum));
                        prop_assert!(sum >= 3000 && wait <= Duration::from_secs(62));
                        // After that wait and not a second sooner there is some left.
                        let mut later = Spent { seconds: spent.seconds.clone(), sum: spent.sum };
                        prop_assert!(later.check(time + wait, limit).is_ok());
                        let mut sooner = Spent { seconds: spent.seconds.clone(), sum: spent.sum };
                        prop_assert!(sooner.check(time + wait.saturating_sub(Duration::from_millis(1)), limit).is_err());
                    }
                }
            }
        }
    }
}
