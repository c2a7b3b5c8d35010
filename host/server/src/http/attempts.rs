//! How often somebody may try to sign in: so many wrong passwords for a name, and so many from an address, then a wait.
//!
//! A try counts when it begins, so that many at once are counted, too; the right password takes it back. The trap is the memory
//! that an attacker could fill with names: the number of those that are remembered is bounded.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Names and addresses that are remembered.
const MOST_KEYS: usize = 10_000;

/// How many tries there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoginLimits {
    /// Wrong passwords for one name in `period`; 10.
    pub per_user: usize,
    /// Wrong passwords from one address (IPv6: one /64) in `period`; 50.
    pub per_address: usize,
    /// How long a wrong password counts; 10 minutes.
    pub period: Duration,
}

impl Default for LoginLimits {
    fn default() -> Self {
        Self { per_user: 10, per_address: 50, period: Duration::from_secs(600) }
    }
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Key {
    User(String),
    Address(IpAddr),
}

/// Counts tries.
#[derive(Debug)]
pub(crate) struct Attempts {
    limits: LoginLimits,
    tries: Mutex<HashMap<Key, Vec<Instant>>>,
}

/// Which limit is reached, and for how long.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{tries} wrong passwords {whose} within {} minutes, which is the limit; try again in {wait} seconds", period.as_secs() / 60)]
pub(crate) struct TooMany {
    tries: usize,
    whose: &'static str,
    period: Duration,
    /// Seconds until the next try is let through.
    pub(crate) wait: u32,
}

impl Attempts {
    pub(crate) fn new(limits: LoginLimits) -> Self {
        Self { limits, tries: Mutex::default() }
    }

    fn keys(user: &str, address: Option<IpAddr>) -> Vec<Key> {
        // The owner of an IPv6 network has 2^64 addresses to come from.
        let network = address.map(|ip| match ip.to_canonical() {
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
            v4 => v4,
        });
        let user: String = user.chars().take(200).collect();
        std::iter::once(Key::User(user)).chain(network.map(Key::Address)).collect()
    }

    /// Counts a try, if there is one left.
    pub(crate) fn begin(&self, user: &str, address: Option<IpAddr>, now: Instant) -> Result<(), TooMany> {
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        let period = self.limits.period;
        let keys = Self::keys(user, address);
        for key in &keys {
            let Some(earlier) = tries.get_mut(key) else { continue };
            earlier.retain(|at| now.saturating_duration_since(*at) < period);
            let (limit, whose) = match key {
                Key::User(_) => (self.limits.per_user, "for this name"),
                Key::Address(_) => (self.limits.per_address, "from this address"),
            };
            if earlier.len() >= limit {
                let oldest = earlier.first().map_or(Duration::ZERO, |at| now.saturating_duration_since(*at));
                let wait = period.saturating_sub(oldest).as_secs().max(1);
                let wait = u32::try_from(wait).unwrap_or(u32::MAX);
                return Err(TooMany { tries: earlier.len(), whose, period, wait });
            }
        }
        make_room(&mut tries, keys.len(), period, now);
        for key in keys {
            tries.entry(key).or_default().push(now);
        }
        Ok(())
    }

    /// Takes a try back: the password was right. Earlier wrong ones for the name are forgiven.
    pub(crate) fn succeeded(&self, user: &str, address: Option<IpAddr>) {
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        for key in Self::keys(user, address) {
            match &key {
                Key::User(_) => drop(tries.remove(&key)),
                Key::Address(_) => drop(tries.get_mut(&key).and_then(Vec::pop)),
            }
        }
    }
}

/// Forgets what does not count any more; then, if that is not enough, what was tried longest ago.
fn make_room(tries: &mut HashMap<Key, Vec<Instant>>, room: usize, period: Duration, now: Instant) {
    if tries.len() + room <= MOST_KEYS {
        return;
    }
    tries.retain(|_, at| at.last().is_some_and(|at| now.saturating_duration_since(*at) < period));
    if tries.len() + room > MOST_KEYS {
        let mut ages: Vec<Instant> = tries.values().filter_map(|at| at.last().copied()).collect();
        ages.sort_unstable();
        // A tenth at once, so that this is not done for each.
        let Some(oldest) = ages.get(MOST_KEYS / 10).copied() else { return };
        tries.retain(|_, at| at.last().is_some_and(|at| *at > oldest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn after_ten_wrong_passwords_a_name_waits_until_the_first_is_ten_minutes_old() {
        let (attempts, start) = (Attempts::new(LoginLimits::default()), Instant::now());
        for n in 0..10 {
            attempts.begin("ada", None, start + Duration::from_secs(n)).unwrap();
        }
        let told = attempts.begin("ada", None, start + Duration::from_secs(100)).unwrap_err();
        assert_eq!(told.wait, 500);
        assert!(told.to_string().starts_with("10 wrong passwords for this name within 10 minutes"), "{told}");
        attempts.begin("eve", None, start).unwrap();
        attempts.begin("ada", None, start + Duration::from_secs(600)).unwrap();
        assert!(attempts.begin("ada", None, start + Duration::from_secs(600)).is_err());
    }

    #[test]
    fn an_address_has_fifty_tries_over_all_names_and_an_ipv6_network_counts_as_one() {
        let (attempts, now) = (Attempts::new(LoginLimits::default()), Instant::now());
        for n in 0..50 {
            attempts.begin(&n.to_string(), address(&format!("2001:db8::{n}")), now).unwrap();
        }
        let told = attempts.begin("x", address("2001:db8::ffff"), now).unwrap_err();
        assert!(told.to_string().contains("50 wrong passwords from this address"), "{told}");
        attempts.begin("x", address("2001:db8:0:1::1"), now).unwrap();
        attempts.begin("x", address("192.0.2.1"), now).unwrap();
    }

    #[test]
    fn the_right_password_is_no_wrong_one_and_forgives_those_before_it() {
        let (attempts, now) = (Attempts::new(LoginLimits::default()), Instant::now());
        for _ in 0..200 {
            attempts.begin("ada", address("192.0.2.1"), now).unwrap();
            attempts.succeeded("ada", address("192.0.2.1"));
        }
    }

    #[test]
    fn more_names_than_can_be_remembered_push_out_the_oldest_and_not_the_newest() {
        let (attempts, start) = (Attempts::new(LoginLimits { per_user: 1, ..LoginLimits::default() }), Instant::now());
        for n in 0..u64::try_from(MOST_KEYS).unwrap() + 500 {
            attempts.begin(&format!("user {n}"), None, start + Duration::from_millis(n)).unwrap();
        }
        assert!(attempts.tries.lock().unwrap().len() <= MOST_KEYS);
        let last = MOST_KEYS + 499;
        assert!(attempts.begin(&format!("user {last}"), None, start + Duration::from_secs(11)).is_err());
    }
}
