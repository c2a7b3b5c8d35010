//! Who uses an adapter, and how much of what it may it uses: over all stores that the caller sees.
//!
//! Limits hold for each store by itself, so sums would say nothing: of each limit, the store that is nearest to it is told.

use crate::http::auth::Call;
use crate::http::problem::Problem;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use tidegate_export::LimitUse;
use tidegate_model::{ProjectId, StoreId};

/// What stores share with others of their tenant, and is no adapter's own.
const SHARED: &str = "tenant-";

/// Of each version, by its digest, who uses it and how.
#[derive(Default)]
pub(super) struct Uses(HashMap<[u8; 32], Use>);

/// Where a store is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Place {
    project: String,
    store: String,
}

#[derive(Default)]
struct Use {
    /// In order.
    stores: Vec<Place>,
    /// Of each limit the greatest share, and whose.
    limits: Vec<(LimitUse, Place)>,
}

impl Use {
    fn enter(&mut self, one: LimitUse, place: &Place) {
        match self.limits.iter_mut().find(|(known, _)| known.name == one.name) {
            Some(known) if share(&known.0) < share(&one) => *known = (one, place.clone()),
            Some(_) => {}
            None => self.limits.push((one, place.clone())),
        }
    }
}

fn share(one: &LimitUse) -> f64 {
    one.used as f64 / (one.limit as f64).max(1.0)
}

impl Uses {
    /// Looks at all stores that the caller sees.
    pub(super) async fn of(call: &Call) -> Result<Self, Problem> {
        let (tenant, asks) = (call.tenant(), call.clone());
        let stores = call.host.read(move |view| {
            let names: HashMap<_, _> =
                asks.visible(view.projects(tenant)?).into_iter().map(|p| (p.id, p.name)).collect();
            let named = |(id, project, store, digest): (StoreId, ProjectId, String, [u8; 32])| {
                let project = names.get(&project)?.to_string();
                Some((id, Place { project, store }, digest))
            };
            Ok(view.pins_of(tenant)?.into_iter().filter_map(named).collect::<Vec<_>>())
        });
        let mut uses = Self::default();
        for (id, place, digest) in stores.await? {
            let of = uses.0.entry(digest).or_default();
            for one in call.host.export.limit_uses(id).unwrap_or_default() {
                if !one.name.starts_with(SHARED) {
                    of.enter(one, &place);
                }
            }
            of.stores.push(place);
        }
        Ok(uses)
    }

    /// What there is to tell of a version.
    pub(super) fn tell(&self, digest: &[u8; 32], document: &mut Value) {
        let of = self.0.get(digest);
        let limits = of.map(|of| of.limits.as_slice()).unwrap_or_default();
        let limit = |(one, place): &(LimitUse, Place)| json!({"name": one.name, "unit": one.unit, "used": one.used, "limit": one.limit, "of": place});
        document["stores"] = json!(of.map_or(0, |of| of.stores.len()));
        document["limits"] = limits.iter().map(limit).collect::<Vec<_>>().into();
    }

    /// The stores of a version.
    pub(super) fn stores(&self, digest: &[u8; 32]) -> &[Place] {
        self.0.get(digest).map(|of| of.stores.as_slice()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_each_limit_the_store_that_is_nearest_to_it_is_told() {
        let limit = |name, used, limit| LimitUse { name, unit: "ms", used, limit };
        let mut uses = Uses::default();
        let of = uses.0.entry([1; 32]).or_default();
        for (store, used, most) in [("a", 10, 100), ("b", 15, 1000), ("c", 20, 100)] {
            let place = Place { project: "web".to_owned(), store: store.to_owned() };
            of.enter(limit("cpu-per-minute", used, most), &place);
            of.stores.push(place);
        }
        let mut told = json!({});
        uses.tell(&[1; 32], &mut told);
        let of = json!({"project": "web", "store": "c"});
        let nearest = json!({"name": "cpu-per-minute", "unit": "ms", "used": 20, "limit": 100, "of": of});
        assert_eq!(told, json!({"stores": 3, "limits": [nearest]}));
        uses.tell(&[2; 32], &mut told);
        assert_eq!(told, json!({"stores": 0, "limits": []}), "a version that nobody uses");
    }
}
