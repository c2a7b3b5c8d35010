//! Places for evaluations: they are CPU work and take memory, so few go on at once, however many projects are due.
//!
//! The trap is the tenant with many projects that each take long: it would have all places, and everybody else would be late. So the
//! last place that is left goes to none but a tenant that has no other.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, PoisonError};
use tidegate_model::TenantId;

/// The event store has one reader for each.
const AT_ONCE: usize = 4;

/// The places, and who has them.
#[derive(Default)]
pub(crate) struct Places {
    taken: Mutex<Taken>,
    freed: Condvar,
}

#[derive(Default)]
struct Taken {
    /// Those of a project that is gone have none for a tenant.
    by: HashMap<Option<TenantId>, usize>,
}

impl Taken {
    fn has_place_for(&self, tenant: Option<TenantId>) -> bool {
        let left = AT_ONCE.saturating_sub(self.by.values().sum());
        if self.by.contains_key(&tenant) { left > 1 } else { left > 0 }
    }
}

/// A place; dropping it frees it.
pub(crate) struct Place<'p> {
    places: &'p Places,
    tenant: Option<TenantId>,
}

impl Places {
    /// Waits for a place. Blocks.
    pub(crate) fn take(&self, tenant: Option<TenantId>) -> Place<'_> {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let has_none = |taken: &mut Taken| !taken.has_place_for(tenant);
        let mut taken = self.freed.wait_while(taken, has_none).unwrap_or_else(PoisonError::into_inner);
        *taken.by.entry(tenant).or_default() += 1;
        Place { places: self, tenant }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.by.get_mut(&self.tenant) {
            *count -= 1;
            if *count == 0 {
                taken.by.remove(&self.tenant);
            }
        }
        drop(taken);
        // Who may take it depends on who it is.
        self.places.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn a_tenant_that_takes_all_it_can_get_leaves_a_place_for_another() {
        let (places, [many, one]) = (Places::default(), [1, 2].map(|id| Some(TenantId(id))));
        let mut held: Vec<_> = (0..3).map(|_| places.take(many)).collect();
        let has_place_for = |tenant| places.taken.lock().unwrap().has_place_for(tenant);
        assert!(!has_place_for(many) && has_place_for(one));
        let last = places.take(one);
        assert!(!has_place_for(many) && !has_place_for(one) && !has_place_for(Some(TenantId(3))));
        held.pop();
        // Who has none comes before who has some.
        assert!(!has_place_for(many) && !has_place_for(one) && has_place_for(Some(TenantId(3))));
        drop(last);
        assert!(has_place_for(many) && has_place_for(one));
    }

    #[test]
    fn no_more_evaluations_go_on_at_once_than_there_are_places_and_all_get_their_turn() {
        let places = Places::default();
        let [now, most, turns] = [(); 3].map(|()| AtomicUsize::new(0));
        let turn = |tenant: i64| {
            let _place = places.take(Some(TenantId(tenant % 2)));
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::sleep(std::time::Duration::from_millis(2));
            now.fetch_sub(1, Ordering::SeqCst);
            turns.fetch_add(1, Ordering::SeqCst);
        };
        std::thread::scope(|s| (0..20).for_each(|tenant| drop(s.spawn(move || turn(tenant)))));
        assert!((1..=AT_ONCE).contains(&most.load(Ordering::SeqCst)));
        assert_eq!(turns.load(Ordering::SeqCst), 20);
    }
}
