//! What adapters may use for a store and for a tenant, and what they have used.
//!
//! A deadline for each call is not enough: an adapter that stays just below it, call after call, takes a whole core. So CPU time
//! is counted over the last minute as well, for each store and for all stores of its tenant together. Who has used up its minute
//! waits until enough of it has passed; nobody else does.
//!
//! What evaluations and questions of a tenant take is counted in the same way, in [`shares`].

mod allowance;
mod shares;
mod spent;
mod uses;

pub use allowance::Allowance;
pub(crate) use shares::Shares;
pub use shares::{Exhausted, QueryShare, TooLong};
pub use uses::LimitUse;

use crate::catalog::Quotas;
use spent::Spent;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use tidegate_model::StoreId;
use tidegate_sandbox::{Called, Fault, Limits, Usage};
use tokio::time::Instant as Moment;

const MINUTE: Duration = Duration::from_secs(60);
/// A call that takes as long is slow. Of what the built-in adapters do, only 100,000 rows come near it.
const SLOW_CALL: Duration = Duration::from_millis(50);
/// So are calls that are short and many, from this much in a minute on: a sixtieth of a core.
const SLOW_MINUTE: Duration = Duration::from_secs(1);
/// How long an adapter that was slow is taken for one.
const SLOW_FOR: Duration = Duration::from_secs(600);

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
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
#[derive(Default)]
struct Tenant {
    /// Changes when an operator sets quotas; who is under way goes on with what it began with.
    allowance: RwLock<Arc<Allowance>>,
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
    handles: u32,
    log_lines: u32,
    /// Until when it is taken for slow.
    slow_until: Duration,
}

impl Budgets {
    pub(crate) fn new(ceiling: Allowance, tenants: BTreeMap<String, Allowance>) -> Self {
        Self { ceiling, tenants, started: Moment::now(), open: Mutex::default() }
    }

    /// What a tenant may use at most, whatever its quotas say.
    pub(crate) fn ceiling(&self, tenant: &str) -> &Allowance {
        self.tenants.get(tenant).unwrap_or(&self.ceiling)
    }

    /// What the stores of a tenant use now.
    pub(crate) fn of_tenant(&self, tenant: &str) -> TenantUse {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(shared) = open.tenants.get(tenant) else { return TenantUse::default() };
        let mut spent = shared.spent.lock().unwrap_or_else(PoisonError::into_inner);
        TenantUse {
            cpu: spent.used(self.started.elapsed()),
            instances: shared.running.load(Ordering::Relaxed),
            ..TenantUse::default()
        }
    }

    /// The account of a store, which is the same for as long as the host runs, with the quotas of its tenant in force.
    pub(crate) fn account(&self, tenant: &str, quotas: &Quotas, store: StoreId) -> Arc<Account> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let allowance = self.ceiling(tenant).within(quotas);
        let shared = open.tenants.entry(tenant.to_owned()).or_default();
        shared.allow(allowance);
        let shared = Arc::clone(shared);
        if let Some(account) = open.stores.get(&store) {
            return Arc::clone(account);
        }
        let account = Arc::new(Account { tenant: shared, started: self.started, used: Mutex::default() });
        open.stores.insert(store, Arc::clone(&account));
        account
    }
}

impl Tenant {
    fn allowance(&self) -> Arc<Allowance> {
        Arc::clone(&self.allowance.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn allow(&self, allowance: Allowance) {
        if *self.allowance() != allowance {
            *self.allowance.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(allowance);
        }
    }
}

/// What a tenant uses now.
#[derive(Clone, Copy, Debug, Default)]
pub struct TenantUse {
    /// CPU time of its adapters in the last minute.
    pub cpu: Duration,
    /// CPU time in the last minute that evaluating its metrics took.
    pub evaluation: Duration,
    /// CPU time in the last minute that answering its questions took.
    pub queries: Duration,
    /// Conversations and pages under way.
    pub instances: u32,
}

impl Account {
    /// What one conversation or page may use, and what others share.
    pub(crate) fn allowance(&self) -> Arc<Allowance> {
        self.tenant.allowance()
    }

    /// A place for a conversation or page.
    pub(crate) fn enter(&self) -> Result<Entered, Fault> {
        self.check()?;
        let limit = self.allowance().instances;
        let more = |running: u32| (running < limit).then_some(running + 1);
        match self.tenant.running.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more) {
            Ok(_) => Ok(Entered(Arc::clone(&self.tenant))),
            Err(_) => Err(Fault::Busy { limit }),
        }
    }

    /// Whether the adapter has CPU time left in this minute.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        let now = self.started.elapsed();
        let allowance = self.allowance();
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
        if usage.cpu >= SLOW_CALL || used.spent.used(now) >= SLOW_MINUTE {
            used.slow_until = now + SLOW_FOR;
        }
        // What its limit is about: a call that waits for a core uses nothing of it.
        used.call = used.call.max(usage.cpu);
        used.memory = used.memory.max(usage.memory_peak);
        used.output = used.output.max(usage.output_bytes);
        used.actions = used.actions.max(actions);
        used.handles = used.handles.max(usage.handles_peak);
        used.log_lines = used.log_lines.max(usage.log_lines);
        drop(used);
        self.tenant.spent.lock().unwrap_or_else(PoisonError::into_inner).add(now, usage.cpu);
    }

    /// Whether its adapter was seen to take long, and is to step back for the others.
    pub(crate) fn is_slow(&self) -> bool {
        let until = self.used.lock().unwrap_or_else(PoisonError::into_inner).slow_until;
        self.started.elapsed() < until
    }

    /// Asks the adapter something beside a delivery, for a preview: within a place, and what it takes counts.
    pub(crate) fn call<T>(&self, ask: impl FnOnce(&Limits) -> Called<T>) -> Result<T, Fault> {
        let _place = self.enter()?;
        self.counted(ask(&self.allowance().call))
    }

    /// Enters what a call beside a delivery has used, and gives what came of it.
    pub(crate) fn counted<T>(&self, called: Called<T>) -> Result<T, Fault> {
        self.used(&called.usage, 0);
        called.result
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

    fn allowance(store: u64, tenant: u64, instances: u32) -> Allowance {
        let (store_cpu, tenant_cpu) = (Duration::from_millis(store), Duration::from_millis(tenant));
        Allowance { store_cpu, tenant_cpu, instances, ..Allowance::default() }
    }

    fn none() -> Quotas {
        Quotas::default()
    }

    fn cpu(millis: u64) -> Usage {
        Usage { cpu: Duration::from_millis(millis), ..Usage::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn an_adapter_steps_back_for_ten_minutes_after_a_long_call_or_many_short_ones_and_others_do_not() {
        let budgets = Budgets::new(allowance(20_000, 60_000, 5), BTreeMap::new());
        let [long, many, quick] = [1, 2, 3].map(|n| budgets.account("acme", &none(), StoreId(n)));
        long.used(&cpu(49), 1);
        assert!(!long.is_slow());
        long.used(&cpu(50), 1);
        (0..21).for_each(|_| many.used(&cpu(49), 1));
        // As much, but in three minutes.
        for _ in 0..3 {
            (0..18).for_each(|_| quick.used(&cpu(49), 1));
            assert!(!quick.is_slow());
            tokio::time::advance(Duration::from_secs(61)).await;
        }
        assert!(long.is_slow() && many.is_slow());
        tokio::time::advance(Duration::from_secs(10 * 60 - 3 * 61 - 1)).await;
        assert!(long.is_slow() && many.is_slow());
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(!long.is_slow() && !many.is_slow());
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_call_is_told_to_use_is_its_work_and_not_its_waiting() {
        let account = Budgets::new(allowance(20_000, 60_000, 5), BTreeMap::new()).account("acme", &none(), StoreId(1));
        account.used(&Usage { time: Duration::from_secs(6), ..cpu(300) }, 1);
        let uses = account.uses(100);
        let call = uses.iter().find(|one| one.name == "call-time").unwrap();
        assert_eq!((call.used, call.limit), (300, 1000));
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_used_up_its_minute_waits_until_enough_of_it_has_passed_and_is_told_how_long() {
        let budgets = Budgets::new(allowance(1000, 60_000, 5), BTreeMap::new());
        let account = budgets.account("acme", &none(), StoreId(1));
        account.used(&cpu(900), 1);
        assert!(account.enter().is_ok());
        tokio::time::advance(Duration::from_secs(10)).await;
        account.used(&cpu(900), 1);
        let told = account.enter().err().unwrap().to_string();
        let expected =
            "the adapter used 1800 ms of CPU time in the last minute; the limit is 1000 ms; it is called again in 51 s";
        assert_eq!(told, expected);
        // Another store of the tenant is not held up by it.
        assert!(budgets.account("acme", &none(), StoreId(2)).enter().is_ok());
        tokio::time::advance(Duration::from_secs(51)).await;
        assert!(account.enter().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn many_stores_that_each_stay_below_their_limit_meet_the_limit_of_their_tenant() {
        let budgets = Budgets::new(allowance(1000, 2500, 5), BTreeMap::new());
        for store in 0..3 {
            budgets.account("acme", &none(), StoreId(store)).used(&cpu(900), 1);
        }
        let told = budgets.account("acme", &none(), StoreId(9)).enter().err().unwrap().to_string();
        let start = "all adapters of the tenant together used 2700 ms";
        assert!(told.starts_with(start) && told.contains("the limit is 2500 ms"), "{told}");
        assert!(budgets.account("other", &none(), StoreId(10)).enter().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_tenant_has_its_own_limits_and_its_own_places() {
        let tenants = BTreeMap::from([("small".to_owned(), allowance(10, 10, 1))]);
        let budgets = Budgets::new(allowance(1000, 2500, 2), tenants);
        let small = budgets.account("small", &none(), StoreId(1));
        let first = small.enter().unwrap();
        assert_eq!(small.enter().err(), Some(Fault::Busy { limit: 1 }));
        let (a, b) = (budgets.account("large", &none(), StoreId(2)), budgets.account("large", &none(), StoreId(3)));
        let _both = (a.enter().unwrap(), b.enter().unwrap());
        assert_eq!(a.enter().err(), Some(Fault::Busy { limit: 2 }));
        drop(first);
        assert!(small.enter().is_ok());
        small.used(&cpu(10), 7);
        let uses = small.uses(7);
        let of = |name: &str| uses.iter().find(|u| u.name == name).map(|u| (u.used, u.limit)).unwrap();
        assert_eq!((of("cpu-per-minute"), of("actions"), of("tenant-instances")), ((10, 10), (7, 64), (0, 1)));
    }

    #[test]
    fn quotas_that_are_set_while_the_host_runs_hold_from_the_next_call_on_and_open_nothing_beyond_the_ceiling() {
        let budgets = Budgets::new(allowance(1000, 2000, 5), BTreeMap::new());
        let account = budgets.account("acme", &none(), StoreId(1));
        let (before, _place) = (account.allowance(), account.enter().unwrap());
        let quotas = Quotas {
            adapter_memory: Some(1 << 20),
            adapter_handles: Some(10),
            adapter_log_lines: Some(0),
            adapter_cpu: Some(9000),
            tenant_instances: Some(1),
            ..none()
        };
        let same = budgets.account("acme", &quotas, StoreId(1));
        assert!(Arc::ptr_eq(&account, &same));
        let now = account.allowance();
        assert_eq!((now.call.memory_bytes, now.call.handles, now.call.log_lines), (1 << 20, 10, 0));
        assert_eq!((now.store_cpu, now.call.call_time), (Duration::from_secs(1), before.call.call_time));
        assert_eq!(account.enter().err(), Some(Fault::Busy { limit: 1 }));
        assert_eq!(before.call, Limits::default(), "who is under way goes on with what it began with");
        assert_eq!(budgets.ceiling("acme").exceeded_by(&quotas), Some(("adapter_cpu", 9000, 1000)));
        budgets.account("acme", &none(), StoreId(2));
        assert!(account.enter().is_ok() && *account.allowance() == *before);
    }
}
