//! Quotas on what comes in: events per second, bytes that are stored, and questions. Counted for each tenant, so that none takes the
//! share of another.
//!
//! A batch is let in as a whole as long as nothing is owed, and what it was beyond the rate is waited for afterwards. So a batch
//! may be larger than a second's worth, and the mean holds all the same.

use super::problem::Problem;
use super::state::{App, Host, blocking};
use prometheus::{GaugeVec, Opts, Registry};
use serde_json::json;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tidegate_export::catalog::{CatalogError, Holdings, Quotas, Tenant};
use tidegate_export::{Exhausted, TooLong};
use tidegate_model::{ProjectId, TenantId};

/// How old the figures of stored bytes may be.
const BYTES_AGE: Duration = Duration::from_secs(5);
/// Seconds of silence that may be made up for at once.
const BURST_SECONDS: f64 = 2.0;

type Sizes = Arc<HashMap<ProjectId, u64>>;

/// What tenants have used.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    /// Events that may come in at once, and when that was.
    levels: Mutex<HashMap<TenantId, (f64, Instant)>>,
    sizes: Mutex<Option<(Instant, Sizes)>>,
}

impl Usage {
    /// Takes `events` from what may come in; else tells how many are owed, and the seconds until they are not.
    fn take(&self, tenant: TenantId, rate: u32, events: usize, now: Instant) -> Result<(), (u64, u32)> {
        let rate = f64::from(rate.max(1));
        let mut levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        let (level, at) = levels.entry(tenant).or_insert((rate * BURST_SECONDS, now));
        *level = (*level + rate * now.saturating_duration_since(*at).as_secs_f64()).min(rate * BURST_SECONDS);
        *at = now;
        if *level <= 0.0 {
            let seconds = (-*level / rate).ceil().max(1.0);
            return Err(((-*level).ceil() as u64, seconds as u32));
        }
        *level -= events as f64;
        Ok(())
    }

    /// Bytes of each project's events, as stored a moment ago.
    pub(crate) async fn sizes(&self, host: &Host) -> Result<Sizes, Problem> {
        let known = self.sizes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((at, sizes)) = known
            && at.elapsed() < BYTES_AGE
        {
            return Ok(sizes);
        }
        let events = host.events.clone();
        let (usages, _) = blocking(move || events.usages()).await?.map_err(Problem::internal)?;
        let sizes: Sizes = Arc::new(usages.into_iter().map(|usage| (usage.project, usage.bytes)).collect());
        *self.sizes.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), Arc::clone(&sizes)));
        Ok(sizes)
    }
}

/// Lets events of a project in, if its tenant may have more.
pub(crate) async fn admit(app: &App, host: &Host, project: ProjectId, events: usize) -> Result<(), Problem> {
    let Some((tenant, quotas)) = host.catalog.quotas_of_project(project) else { return Ok(()) };
    if let Some(rate) = quotas.events_per_second {
        app.usage().take(tenant, rate, events, Instant::now()).map_err(|(owed, seconds)| {
            app.metrics().refused("quota");
            let told = format!(
                "the tenant may send {rate} events per second and has sent {owed} more than that; try again in {seconds} s"
            );
            let quota = json!({"quota": "events_per_second", "limit": rate, "beyond": owed});
            Problem::too_many(told, seconds).with("quota", quota)
        })?;
    }
    if let Some(megabytes) = quotas.stored_megabytes {
        let sizes = app.usage().sizes(host).await?;
        let used: u64 = host.catalog.projects_of(tenant).iter().filter_map(|p| sizes.get(p)).sum();
        if used >= u64::from(megabytes).saturating_mul(1_000_000) {
            app.metrics().refused("quota");
            let used = used as f64 / 1e6;
            let told = format!(
                "the tenant may store {megabytes} MB of events and has {used:.1} MB; shorten what projects keep, or ask the operator"
            );
            let quota = json!({"quota": "stored_megabytes", "limit": megabytes, "used": used});
            return Err(Problem::new(axum::http::StatusCode::INSUFFICIENT_STORAGE, told).with("quota", quota));
        }
    }
    Ok(())
}

/// Use and quotas of tenants as metrics.
#[derive(Debug)]
pub(crate) struct TenantMetrics {
    used: GaugeVec,
    limit: GaugeVec,
}

impl TenantMetrics {
    /// Makes the metrics and registers them.
    ///
    /// # Errors
    /// If one of the names is taken.
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| {
            let gauge = GaugeVec::new(Opts::new(name, help), &["tenant", "quota"])?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let used = gauge("tidegate_tenant_used", "What a tenant uses of what it may.")?;
        Ok(Self { used, limit: gauge("tidegate_tenant_limit", "What a tenant may use; absent if it is not bounded.")? })
    }

    /// Shows the figures of now.
    pub(crate) async fn show(&self, app: &App, host: &Host) -> Result<(), Problem> {
        let sizes = app.usage().sizes(host).await?;
        let tenants = host.read(|view| {
            let tenants = view.tenants()?.into_iter();
            tenants.map(|t| Ok((view.quotas(t.id)?, view.holdings(t.id)?, t))).collect::<Result<Vec<_>, CatalogError>>()
        });
        let tenants = tenants.await?;
        // A tenant that is gone must not be shown for ever.
        self.used.reset();
        self.limit.reset();
        for (quotas, holdings, tenant) in tenants {
            let bytes = host.catalog.projects_of(tenant.id).iter().filter_map(|project| sizes.get(project)).sum();
            let document = document(host, &tenant, &quotas, holdings, bytes);
            for (quota, figures) in document.as_object().into_iter().flatten() {
                for (gauge, figure) in [(&self.used, &figures["used"]), (&self.limit, &figures["limit"])] {
                    if let Some(figure) = figure.as_f64() {
                        gauge.with_label_values(&[tenant.name.as_str(), quota.as_str()]).set(figure);
                    }
                }
            }
        }
        Ok(())
    }
}

/// Used and limit of each quota, and what was set for the tenant. What a single call, store or component may use has no use of the whole tenant; it is with each
/// store's status.
pub(crate) fn document(
    host: &Host,
    tenant: &Tenant,
    quotas: &Quotas,
    holdings: Holdings,
    bytes: u64,
) -> serde_json::Value {
    let name = tenant.name.as_str();
    let (now, allowed) = (host.export.tenant_use(tenant.id, name), host.export.ceiling(name).within(quotas));
    let mut document = json!({
        "projects": {"used": holdings.projects, "limit": quotas.projects},
        "metric_stores": {"used": holdings.metric_stores, "limit": quotas.metric_stores},
        "events_per_second": {"limit": quotas.events_per_second},
        "stored_megabytes": {"used": bytes as f64 / 1e6, "limit": quotas.stored_megabytes},
        "adapters": {"used": holdings.adapters, "limit": quotas.adapters},
        "evaluation_cpu": {"used": millis(now.evaluation), "limit": quotas.evaluation_cpu},
        "query_cpu": {"used": millis(now.queries), "limit": quotas.query_cpu},
    });
    for (quota, limit) in allowed.figures() {
        document[quota] = match quota {
            "tenant_cpu" => json!({"used": millis(now.cpu), "limit": limit}),
            "tenant_instances" => json!({"used": now.instances, "limit": limit}),
            _ => json!({"limit": limit}),
        };
    }
    // What holds may be the server's own limit; what was said of this tenant stands beside it.
    let said = json!(quotas);
    for (quota, figures) in document.as_object_mut().into_iter().flatten() {
        figures["set"] = said[quota].clone();
    }
    document
}

/// Seconds after which it may be asked again.
pub(crate) fn whole_seconds(wait: Duration) -> u32 {
    wait.as_secs_f64().ceil() as u32
}

/// The minute of the tenant's questions is used up.
impl From<Exhausted> for Problem {
    fn from(exhausted: Exhausted) -> Self {
        let Exhausted { used, limit, wait, .. } = exhausted;
        let quota = json!({"quota": "query_cpu", "limit": millis(limit), "used": millis(used)});
        Self::too_many(exhausted, whole_seconds(wait)).with("quota", quota)
    }
}

/// Asking again would not help.
impl From<TooLong> for Problem {
    fn from(too_long: TooLong) -> Self {
        let quota = json!({"quota": "query_cpu", "limit": millis(too_long.limit), "used": millis(too_long.used)});
        Self::invalid(too_long).with("quota", quota)
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Refuses quotas that ask for more than the host was started with: they would say what does not hold.
pub(crate) fn within_ceiling(host: &Host, tenant: &str, quotas: &Quotas) -> Result<(), Problem> {
    match host.export.ceiling(tenant).exceeded_by(quotas) {
        None => Ok(()),
        Some((quota, asked, most)) => {
            let flag = quota.replace('_', "-");
            let told =
                format!("{quota} is {asked}; the server allows no more than {most} (it was started with --{flag})");
            Err(Problem::invalid(told).with("quota", json!({"quota": quota, "limit": most, "asked": asked})))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn two_seconds_worth_come_in_at_once_and_then_the_rate_holds() {
        let (usage, start) = (Usage::default(), Instant::now());
        let take = |events, millis| usage.take(TenantId(1), 10, events, start + Duration::from_millis(millis));
        assert_eq!((take(15, 0), take(15, 0)), (Ok(()), Ok(())), "the second is let in as a whole");
        assert_eq!(take(1, 0), Err((10, 1)));
        assert_eq!(take(1, 999), Err((1, 1)));
        assert_eq!(take(1, 1_100), Ok(()));
        assert_eq!(usage.take(TenantId(2), 10, 1, start), Ok(()), "others have their own");
    }

    proptest! {
        /// However events come: over any stretch of time no more than the rate, two seconds' worth and one batch.
        #[test]
        fn the_mean_is_never_above_the_rate(batches in prop::collection::vec((1_usize..50, 0_u64..3_000), 1..60)) {
            let (usage, start) = (Usage::default(), Instant::now());
            let (mut at, mut taken, mut largest) = (0, 0, 0);
            for (events, pause) in batches {
                at += pause;
                if usage.take(TenantId(1), 10, events, start + Duration::from_millis(at)).is_ok() {
                    taken += events;
                    largest = largest.max(events);
                }
            }
            prop_assert!(taken as f64 <= 10.0 * at as f64 / 1e3 + 20.0 + largest as f64 + 1e-6, "{taken} in {at} ms");
        }
    }
}
