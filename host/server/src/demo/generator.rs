//! Crash events that look like those of a real product: a few faults cause most of the crashes, new versions spread while old
//! ones linger, and now and then one fault surges. Equal seeds give equal events.

use super::words::{self, Fault};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Map, Value as Json, json};
use uuid::Builder;

/// Devices that the events come from.
const DEVICES: usize = 4_000;
/// Accounts on them.
const USERS: usize = 2_500;
/// Different faults.
const FAULTS: usize = 60;
/// Once in this many events an incident begins, on average.
const EVENTS_BETWEEN_INCIDENTS: f64 = 900.0;

/// Makes events, one after the other, without end.
pub struct Generator {
    random: StdRng,
    faults: Vec<Fault>,
    fault_rank: Zipf,
    device_rank: Zipf,
    version_rank: Zipf,
    incident: Option<Incident>,
}

/// A fault that surges for a while, mostly in one version.
#[derive(Clone, Copy)]
struct Incident {
    fault: usize,
    version: usize,
    left: u32,
}

impl Generator {
    /// A generator whose events depend on `seed` and the times given to it, on nothing else.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let faults = (0..FAULTS).map(|n| words::fault(n, &mut random)).collect();
        Self {
            random,
            faults,
            fault_rank: Zipf::new(FAULTS, 1.1),
            device_rank: Zipf::new(DEVICES, 0.6),
            version_rank: Zipf::new(words::VERSIONS.len(), 1.3),
            incident: None,
        }
    }

    /// The next event, as of `at` (Unix seconds): one flat object of attributes.
    pub fn event(&mut self, at: u64) -> Map<String, Json> {
        let (fault, version) = self.fault_and_version();
        let device = self.device_rank.pick(&mut self.random);
        let mut event = Map::new();
        event.insert("uuid".to_owned(), json!(self.uuid(at)));
        event.insert("timestamp".to_owned(), json!(at));
        self.describe_fault(&mut event, fault);
        self.describe_release(&mut event, version);
        describe_device(&mut event, device);
        self.describe_moment(&mut event, device);
        event
    }

    fn fault_and_version(&mut self) -> (usize, usize) {
        let usual = (self.fault_rank.pick(&mut self.random), self.version_rank.pick(&mut self.random));
        if self.incident.is_none() && self.random.random_bool(1.0 / EVENTS_BETWEEN_INCIDENTS) {
            // Something rare until now, in the release that has just gone out.
            let fault = self.random.random_range(FAULTS / 3..FAULTS);
            self.incident = Some(Incident { fault, version: 0, left: self.random.random_range(150..500) });
        }
        match &mut self.incident {
            Some(incident) if self.random.random_bool(0.6) => {
                let now = *incident;
                incident.left -= 1;
                if incident.left == 0 {
                    self.incident = None;
                }
                (now.fault, if self.random.random_bool(0.9) { now.version } else { usual.1 })
            }
            _ => usual,
        }
    }

    fn describe_fault(&mut self, event: &mut Map<String, Json>, fault: usize) {
        let random_thread = self.random.random_range(0..words::THREADS.len());
        let fault = &self.faults[fault];
        let mut set = |name: &str, value: Json| event.insert(name.to_owned(), value);
        set("fingerprint", json!(fault.fingerprint));
        set("error.type", json!(fault.error_type));
        set("error.message", json!(fault.message));
        set("classifiers", json!(fault.class));
        set("callstack", json!(json!({"frame": fault.frames}).to_string()));
        set("fault.thread", json!(words::THREADS[random_thread]));
        set("fault.address", json!(fault.address));
        set("lang", json!(fault.language));
    }

    fn describe_release(&mut self, event: &mut Map<String, Json>, version: usize) {
        let release = &words::VERSIONS[version];
        let environment = if self.random.random_bool(0.93) { "production" } else { "beta" };
        let mut set = |name: &str, value: Json| event.insert(name.to_owned(), value);
        set("application", json!("lantern"));
        set("app.version", json!(release.0));
        set("app.build", json!(release.1));
        set("app.commit", json!(release.2));
        set("environment", json!(environment));
        set("backtrace.agent", json!("lantern-reporter"));
        set("backtrace.version", json!("2.4.0"));
    }

    fn describe_moment(&mut self, event: &mut Map<String, Json>, device: usize) {
        let r = &mut self.random;
        let memory = words::model_of(device).memory_mb;
        let free: u64 = r.random_range(memory / 50..memory / 2);
        let age = (r.random::<f64>().powi(3) * 14_400.0).round();
        // Nobody is signed in during the first seconds, and some never are.
        let user = (age > 5.0 && r.random_bool(0.8)).then(|| format!("u{:05}", device % USERS));
        let mut set = |name: &str, value: Json| event.insert(name.to_owned(), value);
        if let Some(user) = user {
            set("user.id", json!(user));
        }
        set("application.session", json!(format!("{:016x}", r.random::<u64>())));
        set("process.id", json!(r.random_range(300..60_000)));
        set("process.age", json!(age));
        set("process.thread.count", json!(r.random_range(8..90)));
        set("vm.rss.size", json!(r.random_range(60..900) * 1024));
        set("system.memory.free", json!(free));
        set("system.memory.total", json!(memory));
        set("cpu.load", json!((r.random::<f64>() * 400.0).round() / 100.0));
        set("disk.free", json!(r.random_range(100..200_000)));
        set("battery.level", json!(r.random_range(1..=100)));
        set("battery.charging", json!(r.random_bool(0.3)));
        set("screen", json!(words::pick(words::SCREENS, r)));
        set("network.type", json!(words::pick(words::NETWORKS, r)));
        set("app.foreground", json!(r.random_bool(0.85)));
        set("request.latency", if r.random_bool(0.4) { json!(r.random_range(5..4_000)) } else { Json::Null });
    }

    /// An id that tells the time, so that a demo started again with its seed and its data sends events, not repeats.
    fn uuid(&mut self, at: u64) -> String {
        Builder::from_unix_timestamp_millis(at.saturating_mul(1_000), &self.random.random()).into_uuid().to_string()
    }
}

/// What does not change about a device follows from its number.
fn describe_device(event: &mut Map<String, Json>, device: usize) {
    let model = words::model_of(device);
    let mut set = |name: &str, value: Json| event.insert(name.to_owned(), value);
    set("guid", json!(words::hex_id(device, 16)));
    set("hostname", json!(format!("{}-{device:04}", model.short)));
    set("device.model", json!(model.name));
    set("device.manufacturer", json!(model.maker));
    set("uname.sysname", json!(model.system));
    set("uname.release", json!(model.releases[device / 7 % model.releases.len()]));
    set("uname.machine", json!(model.machine));
    set("cpu.count", json!(model.cores));
    set("locale", json!(words::LOCALES[device / 11 % words::LOCALES.len()]));
    set("country", json!(words::COUNTRIES[device / 11 % words::COUNTRIES.len()]));
}

/// Ranks whose frequency falls with a power of the rank.
struct Zipf {
    up_to: Vec<f64>,
}

impl Zipf {
    fn new(ranks: usize, exponent: f64) -> Self {
        let mut sum = 0.0;
        let mut weight = 0.0;
        let up_to = (0..ranks).map(|_| {
            weight += 1.0;
            sum += f64::powf(weight, -exponent);
            sum
        });
        Self { up_to: up_to.collect() }
    }

    fn pick(&self, random: &mut StdRng) -> usize {
        let total = self.up_to.last().copied().unwrap_or_default();
        let at = random.random::<f64>() * total;
        self.up_to.partition_point(|sum| *sum <= at).min(self.up_to.len().saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{HashMap, HashSet};

    fn events(seed: u64, count: usize) -> Vec<Map<String, Json>> {
        let mut generator = Generator::new(seed);
        (0..count).map(|i| generator.event(1_800_000_000 + i as u64)).collect()
    }

    fn counts(events: &[Map<String, Json>], attribute: &str) -> HashMap<String, usize> {
        let mut counts = HashMap::new();
        for event in events {
            *counts.entry(event[attribute].to_string()).or_default() += 1;
        }
        counts
    }

    #[test]
    fn equal_seeds_give_equal_events_and_others_do_not() {
        assert_eq!(events(7, 300), events(7, 300));
        assert_ne!(events(7, 1), events(8, 1));
    }

    #[test]
    fn an_event_has_some_forty_attributes_and_an_id_of_its_own() {
        let events = events(1, 500);
        assert!(events.iter().all(|e| (38..=45).contains(&e.len())), "{}", events[0].len());
        let ids: HashSet<_> = events.iter().map(|e| e["uuid"].to_string()).collect();
        assert_eq!(ids.len(), 500);
        let later = Generator::new(1).event(1_800_000_500);
        assert!(!ids.contains(&later["uuid"].to_string()), "the same seed at another time repeats an event");
    }

    #[test]
    fn a_few_faults_cause_most_crashes_and_the_newest_version_leads() {
        let events = events(1, 20_000);
        let mut faults: Vec<_> = counts(&events, "fingerprint").into_values().collect();
        faults.sort_unstable_by(|a, b| b.cmp(a));
        assert!(faults.len() > 30, "{}", faults.len());
        assert!(faults[..6].iter().sum::<usize>() > 8_000, "{faults:?}");
        let versions = counts(&events, "app.version");
        assert!(versions.values().all(|n| n <= &versions[&format!("{:?}", words::VERSIONS[0].0)]), "{versions:?}");
        assert!(counts(&events, "guid").len() > 2_000);
        assert!(counts(&events, "error.type").len() >= 4);
    }

    #[test]
    fn there_are_incidents_in_which_one_fault_surges() {
        let events = events(3, 20_000);
        let share = |chunk: &[Map<String, Json>], fault: &str| {
            chunk.iter().map(|e| e["fingerprint"].to_string()).filter(|f| f == fault).count() * 100 / chunk.len()
        };
        let surged = events
            .chunks(200)
            .any(|chunk| counts(chunk, "fingerprint").keys().any(|f| share(chunk, f) > 40 && share(&events, f) < 10));
        assert!(surged);
    }

    #[test]
    fn a_device_keeps_its_model_and_country() {
        let mut seen = HashMap::new();
        for event in events(5, 3_000) {
            let fixed = (event["device.model"].clone(), event["country"].clone(), event["system.memory.total"].clone());
            assert_eq!(seen.entry(event["guid"].to_string()).or_insert_with(|| fixed.clone()), &fixed);
        }
    }
}
