//! What a tenant may use, from three who say so: the host's flags, its file of limits, and the quotas that an operator sets while it
//! runs. The least counts, so no quota opens what the host was started with.

use super::{MINUTE, millis};
use crate::catalog::Quotas;
use std::time::Duration;
use tidegate_sandbox::Limits;

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
    /// Bytes of a component; 32 MiB.
    pub component_bytes: usize,
}

impl Default for Allowance {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let tenant_cpu = MINUTE.saturating_mul(u32::try_from(cores).unwrap_or(u32::MAX));
        Self {
            call: Limits::default(),
            store_cpu: Duration::from_secs(20),
            tenant_cpu,
            instances: 96,
            component_bytes: 32 << 20,
        }
    }
}

impl Allowance {
    /// Each limit with the name of its quota: milliseconds, bytes and numbers.
    #[must_use]
    pub fn figures(&self) -> [(&'static str, u64); 10] {
        [
            ("adapter_time", millis(self.call.call_time)),
            ("adapter_memory", self.call.memory_bytes as u64),
            ("adapter_output", self.call.output_bytes),
            ("adapter_actions", self.call.actions.into()),
            ("adapter_handles", self.call.handles.into()),
            ("adapter_log_lines", self.call.log_lines.into()),
            ("adapter_size", self.component_bytes as u64),
            ("adapter_cpu", millis(self.store_cpu)),
            ("tenant_cpu", millis(self.tenant_cpu)),
            ("tenant_instances", self.instances.into()),
        ]
    }

    /// The first quota that asks for more than this, with both figures.
    #[must_use]
    pub fn exceeded_by(&self, quotas: &Quotas) -> Option<(&'static str, u64, u64)> {
        let asked = asked(quotas).into_iter().zip(self.figures());
        asked
            .filter_map(|(asked, (name, most))| Some((name, asked?.into(), most)))
            .find(|(_, asked, most)| asked > most)
    }

    /// The same, with what the quotas say where that is less.
    #[must_use]
    pub fn within(&self, quotas: &Quotas) -> Self {
        let least = |most: u64, asked: Option<u32>| asked.map_or(most, |asked| most.min(asked.into()));
        let [time, memory, output, actions, handles, log_lines, size, store_cpu, tenant_cpu, instances] = asked(quotas);
        let span = |most: Duration, asked: Option<u32>| Duration::from_millis(least(millis(most), asked));
        let bytes = |most: usize, asked: Option<u32>| usize::try_from(least(most as u64, asked)).unwrap_or(most);
        let number = |most: u32, asked: Option<u32>| asked.map_or(most, |asked| most.min(asked));
        Self {
            call: Limits {
                call_time: span(self.call.call_time, time),
                memory_bytes: bytes(self.call.memory_bytes, memory),
                output_bytes: least(self.call.output_bytes, output),
                actions: number(self.call.actions, actions),
                handles: number(self.call.handles, handles),
                log_lines: number(self.call.log_lines, log_lines),
            },
            store_cpu: span(self.store_cpu, store_cpu),
            tenant_cpu: span(self.tenant_cpu, tenant_cpu),
            instances: number(self.instances, instances),
            component_bytes: bytes(self.component_bytes, size),
        }
    }
}

/// What quotas say, in the order of [`Allowance::figures`].
fn asked(quotas: &Quotas) -> [Option<u32>; 10] {
    [
        quotas.adapter_time,
        quotas.adapter_memory,
        quotas.adapter_output,
        quotas.adapter_actions,
        quotas.adapter_handles,
        quotas.adapter_log_lines,
        quotas.adapter_size,
        quotas.adapter_cpu,
        quotas.tenant_cpu,
        quotas.tenant_instances,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_quota_gives_more_than_the_ceiling_and_each_that_is_less_counts(
            asked in prop::collection::vec(prop::option::of(any::<u32>()), 10),
        ) {
            let [mut quotas, ceiling] = [Quotas::default(), Quotas::default()];
            let ceiling = Allowance::default().within(&ceiling);
            let into = [
                &mut quotas.adapter_time, &mut quotas.adapter_memory, &mut quotas.adapter_output, &mut quotas.adapter_actions,
                &mut quotas.adapter_handles, &mut quotas.adapter_log_lines, &mut quotas.adapter_size, &mut quotas.adapter_cpu,
                &mut quotas.tenant_cpu, &mut quotas.tenant_instances,
            ];
            into.into_iter().zip(&asked).for_each(|(quota, asked)| *quota = *asked);
            let given = ceiling.within(&quotas).figures();
            for ((asked, (name, most)), (_, given)) in asked.iter().zip(ceiling.figures()).zip(given) {
                prop_assert_eq!(given, asked.map_or(most, |asked| most.min(asked.into())), "{}", name);
            }
        }
    }
}
