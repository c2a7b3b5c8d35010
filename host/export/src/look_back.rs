//! How old a window may be and still go to a store: as old as the operator allows, and no older than the store's sink takes.
//!
//! Schedule and delivery both ask here. If they differed, a window could be evaluated for nobody, or expire before it is tried.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tidegate_model::PushTraits;
use tidegate_sandbox::Registry;

type Traits = dyn Fn(&str) -> PushTraits + Send + Sync;

/// The look-back of every store. Cheap to clone.
#[derive(Clone)]
pub(crate) struct LookBack {
    host: Duration,
    traits: Arc<Traits>,
}

impl fmt::Debug for LookBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LookBack").field("host", &self.host).finish_non_exhaustive()
    }
}

impl LookBack {
    /// The operator's limit, and the sinks' by what their adapters say now.
    pub(crate) fn new(host: Duration, registry: Arc<Registry>) -> Self {
        let traits = move |reference: &str| {
            let found = registry.resolve(reference).ok().flatten();
            found.map(|r| r.adapter.description().push).unwrap_or_default()
        };
        Self { host, traits: Arc::new(traits) }
    }

    /// The same for all stores.
    #[cfg(test)]
    pub(crate) fn fixed(host: Duration) -> Self {
        Self { host, traits: Arc::new(|_| PushTraits::default()) }
    }

    /// For stores whose adapter is found by `adapter`: a digest or a name.
    pub(crate) fn of(&self, adapter: &str) -> Duration {
        (self.traits)(adapter).look_back(self.host)
    }
}

/// A time in the unit in which people would say it.
pub(crate) fn told(time: Duration) -> String {
    match time.as_secs() {
        s if s >= 3600 && s % 360 == 0 => format!("{} h", time.as_secs_f64() / 3600.0),
        s if s >= 60 && s % 60 == 0 => format!("{} min", s / 60),
        s => format!("{s} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sinks_limit_holds_where_it_is_shorter_and_the_operators_where_it_is_not() {
        let by_name = |name: &str| PushTraits { look_back: (name == "short").then_some(600), ..PushTraits::default() };
        let look_back = |host| LookBack { host: Duration::from_secs(host), traits: Arc::new(by_name) };
        assert_eq!(look_back(86_400).of("short"), Duration::from_secs(600));
        assert_eq!(look_back(86_400).of("other"), Duration::from_secs(86_400));
        assert_eq!(look_back(60).of("short"), Duration::from_secs(60));
    }

    #[test]
    fn a_time_is_told_in_its_own_unit() {
        let told = |s| told(Duration::from_secs(s));
        assert_eq!([told(86_400), told(5400), told(600), told(59)], ["24 h", "1.5 h", "10 min", "59 s"]);
    }
}
