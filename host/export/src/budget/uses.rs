//! What was used of each limit, as people and `/metrics` are told.

use super::{Account, millis};
use crate::observe::Observed;
use serde::Serialize;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

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

impl LimitUse {
    /// Whether half of the limit is used, or more.
    fn is_near(&self) -> bool {
        self.used.saturating_mul(2) >= self.limit
    }
}

impl Account {
    /// Each limit and how much of it is used by an adapter of `component_bytes`.
    pub(crate) fn uses(&self, component_bytes: usize) -> Vec<LimitUse> {
        let now = self.started.elapsed();
        let allowance = self.allowance();
        let limits = &allowance.call;
        let mut all = self.tenant.spent.lock().unwrap_or_else(PoisonError::into_inner);
        let tenant_cpu = all.used(now);
        drop(all);
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let store_cpu = used.spent.used(now);
        let running = u64::from(self.tenant.running.load(Ordering::Relaxed));
        vec![
            LimitUse { name: "call-time", unit: "ms", used: millis(used.call), limit: millis(limits.call_time) },
            LimitUse {
                name: "cpu-per-minute",
                unit: "ms",
                used: millis(store_cpu),
                limit: millis(allowance.store_cpu),
            },
            LimitUse { name: "memory", unit: "bytes", used: used.memory as u64, limit: limits.memory_bytes as u64 },
            LimitUse { name: "output", unit: "bytes", used: used.output, limit: limits.output_bytes },
            LimitUse { name: "actions", unit: "", used: used.actions.into(), limit: limits.actions.into() },
            LimitUse { name: "handles", unit: "", used: used.handles.into(), limit: limits.handles.into() },
            LimitUse { name: "log-lines", unit: "", used: used.log_lines.into(), limit: limits.log_lines.into() },
            LimitUse {
                name: "component-size",
                unit: "bytes",
                used: component_bytes as u64,
                limit: allowance.component_bytes as u64,
            },
            LimitUse {
                name: "tenant-cpu-per-minute",
                unit: "ms",
                used: millis(tenant_cpu),
                limit: millis(allowance.tenant_cpu),
            },
            LimitUse { name: "tenant-instances", unit: "", used: running, limit: allowance.instances.into() },
        ]
    }

    /// Shows as gauges the limits of which much is used. All limits of all stores would be more numbers than anybody's monitoring
    /// takes: a quarter of a million for ten thousand stores.
    pub(crate) fn show(&self, store: &str, component_bytes: usize, observed: &Observed) {
        for one in self.uses(component_bytes).into_iter().filter(LimitUse::is_near) {
            observed.limit_used.with_label_values(&[store, one.name]).set(one.used as f64);
            observed.limit.with_label_values(&[store, one.name]).set(one.limit as f64);
        }
    }
}
