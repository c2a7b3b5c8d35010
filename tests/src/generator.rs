//! Events for the tests: seeded, with skew, gaps, mixed types and texts that sinks must escape.

use crate::note;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Map, Value as Json, json};

/// Texts that line protocols and page formats must escape: separators, quotes, backslashes, other scripts.
const TYPES: [&str; 6] = [
    "NullReference",
    "out of memory, swap=off",
    "bad \"quote\"",
    "C:\\temp\\x.dll",
    "größe überschritten 💥",
    "a=b,c={d}",
];

/// Makes events from a seed.
#[derive(Debug)]
pub struct Generator {
    random: StdRng,
}

impl Generator {
    /// From the seed in `TIDEGATE_TEST_SEED`, or from a fixed one; prints it.
    ///
    /// # Panics
    /// If the variable holds no number.
    #[must_use]
    pub fn new(test: &str) -> Self {
        let seed = match std::env::var("TIDEGATE_TEST_SEED") {
            Ok(text) => text.parse().unwrap_or_else(|e| panic!("TIDEGATE_TEST_SEED={text}: {e}")),
            Err(_) => 20_261_122,
        };
        note(&format!("{test}: seed {seed} (set TIDEGATE_TEST_SEED to change it)"));
        Self { random: StdRng::seed_from_u64(seed) }
    }

    /// Another one, different for each `number`.
    #[must_use]
    pub fn branch(&mut self, number: u64) -> Self {
        Self { random: StdRng::seed_from_u64(self.random.random::<u64>() ^ number) }
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.random.random_range(0..end)
    }

    /// A number below `end`; small ones are far more frequent.
    fn skewed(&mut self, end: u64) -> u64 {
        let limit = self.below(end) + 1;
        self.below(limit)
    }

    /// One event as the attributes of a bulk line, with a `uuid` of its own.
    pub fn event(&mut self) -> Map<String, Json> {
        let mut event = Map::new();
        event.insert(
            "uuid".to_owned(),
            json!(uuid::Builder::from_random_bytes(self.random.random()).into_uuid().to_string()),
        );
        event.insert("fingerprint".to_owned(), json!(format!("{:064x}", self.skewed(40) + 0xf1f1)));
        event.insert("guid".to_owned(), json!(format!("user-{}", self.skewed(300))));
        let kind = TYPES[usize::try_from(self.skewed(TYPES.len() as u64)).unwrap_or(0)];
        event.insert("error.type".to_owned(), json!(kind));
        event.insert("app.version".to_owned(), self.version());
        // Missing in one of three events, null in another.
        match self.below(3) {
            0 => {}
            1 => drop(event.insert("region".to_owned(), Json::Null)),
            _ => {
                drop(event.insert(
                    "region".to_owned(),
                    json!(["eu", "us", "ap"][usize::try_from(self.below(3)).unwrap_or(0)]),
                ))
            }
        }
        if self.below(4) > 0 {
            let quarters = self.below(40_000) as f64 / 4.0 - 1000.0;
            event.insert("render.duration".to_owned(), json!(quarters));
        }
        event.insert("memory.used".to_owned(), json!(self.below(1 << 32)));
        event.insert("foreground".to_owned(), json!(self.below(2) == 0));
        event
    }

    /// The same version as text, as whole number or as fraction: one group all the same.
    fn version(&mut self) -> Json {
        let version = self.skewed(4) + 1;
        match self.below(4) {
            0 => json!(version),
            1 => json!(version as f64),
            2 => json!(version.to_string()),
            _ => json!(format!("{version}.0.1-beta")),
        }
    }

    /// Several events.
    pub fn events(&mut self, count: usize) -> Vec<Map<String, Json>> {
        (0..count).map(|_| self.event()).collect()
    }
}
