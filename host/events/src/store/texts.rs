//! The texts of attributes, in memory as far as they fit.
//!
//! Each distinct text of an attribute has a code, given once and for ever; the pairs are kept in the database. Memory holds
//! those used lately, under a byte budget, in two generations: when the young one is full it becomes the old one, and what
//! the old one held and nobody asked for since is forgotten. So a flood of texts that occur once (a session id, say) costs
//! lookups in the database, not memory without end.
//!
//! The newest texts are a third part, which forgets nothing: the database's index of texts does not have them yet. When there
//! are enough of them, they go into the index all at once, in its order.

use foldhash::fast::RandomState;
use hashbrown::hash_map::Entry;
use hashbrown::{HashMap, HashTable};
use std::hash::BuildHasher;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Memory that one text takes besides its bytes, roughly: an entry and its places in two tables.
const ENTRY_BYTES: usize = 64;
/// Texts that are looked up while nobody else can look one up.
const RESOLVED_AT_ONCE: usize = 4_096;
/// Texts that wait for the index, at most, as far as the budget lets them.
const MOST_FRESH: usize = 65_536;

struct Text {
    /// Of attribute and text. Kept, since hashing again would fetch the text from a far place of memory.
    hash: u64,
    attribute: u32,
    code: u32,
    start: usize,
    end: usize,
}

/// Codes, to be found by their texts.
#[derive(Default)]
struct Codes {
    entries: Vec<Text>,
    utf8: String,
    by_text: HashTable<u32>,
}

impl Codes {
    fn entry_text(&self, entry: &Text) -> &str {
        self.utf8.get(entry.start..entry.end).unwrap_or_default()
    }

    fn find(&self, hash: u64, attribute: u32, text: &str) -> Option<u32> {
        let same = |&slot: &u32| {
            let entry = &self.entries[slot as usize];
            entry.attribute == attribute && self.entry_text(entry) == text
        };
        self.by_text.find(hash, same).map(|&slot| self.entries[slot as usize].code)
    }

    /// Adds a text that is not there, and gives its slot.
    fn add(&mut self, hash: u64, attribute: u32, code: u32, text: &str) -> Option<u32> {
        let slot = u32::try_from(self.entries.len()).ok()?;
        let start = self.utf8.len();
        self.utf8.push_str(text);
        self.entries.push(Text { hash, attribute, code, start, end: self.utf8.len() });
        let entries = &self.entries;
        self.by_text.insert_unique(hash, slot, |&slot| entries[slot as usize].hash);
        Some(slot)
    }

    fn bytes(&self) -> usize {
        self.utf8.len() + self.entries.len() * ENTRY_BYTES
    }
}

/// Texts and codes, to be found by either.
#[derive(Default)]
pub(crate) struct Generation {
    codes: Codes,
    by_code: HashMap<(u32, u32), u32, RandomState>,
}

impl Generation {
    fn find(&self, hash: u64, attribute: u32, text: &str) -> Option<u32> {
        self.codes.find(hash, attribute, text)
    }

    fn text(&self, attribute: u32, code: u32) -> Option<&str> {
        let slot = *self.by_code.get(&(attribute, code))?;
        Some(self.codes.entry_text(&self.codes.entries[slot as usize]))
    }

    fn add(&mut self, hash: u64, attribute: u32, code: u32, text: &str) {
        // One that is known already stays where the text leads to it.
        if let Entry::Vacant(place) = self.by_code.entry((attribute, code))
            && let Some(slot) = self.codes.add(hash, attribute, code, text)
        {
            place.insert(slot);
        }
    }

    fn bytes(&self) -> usize {
        self.codes.bytes()
    }

    fn clear(&mut self) {
        self.codes.entries.clear();
        self.codes.utf8.clear();
        self.codes.by_text.clear();
        self.by_code.clear();
    }
}

struct Generations {
    young: Generation,
    old: Generation,
    /// Not in the index of the database yet.
    fresh: Generation,
    /// Whether a generation was ever dropped.
    forgot: bool,
}

/// The texts of all attributes of all projects.
pub(crate) struct Texts {
    hasher: RandomState,
    generations: Mutex<Generations>,
    budget: usize,
}

impl Texts {
    pub(crate) fn new(budget: usize) -> Self {
        let [young, old, fresh] = [(); 3].map(|()| Generation::default());
        let generations = Generations { young, old, fresh, forgot: false };
        Self { hasher: RandomState::default(), generations: Mutex::new(generations), budget }
    }

    fn lock(&self) -> MutexGuard<'_, Generations> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hash(&self, attribute: u32, text: &str) -> u64 {
        self.hasher.hash_one((attribute, text))
    }

    /// The code of a text, if it is in memory or in `draft`.
    pub(crate) fn code(&self, draft: &Draft, attribute: u32, text: &str) -> Option<u32> {
        let hash = self.hash(attribute, text);
        let mut generations = self.lock();
        if let Some(code) = generations.young.find(hash, attribute, text) {
            return Some(code);
        }
        if let Some(code) = generations.old.find(hash, attribute, text) {
            self.insert(&mut generations, hash, attribute, code, text);
            return Some(code);
        }
        if let Some(code) = generations.fresh.find(hash, attribute, text) {
            return Some(code);
        }
        drop(generations);
        draft.0.find(hash, attribute, text)
    }

    /// Remembers a text that is in the database.
    pub(crate) fn remember(&self, attribute: u32, code: u32, text: &str) {
        let hash = self.hash(attribute, text);
        self.insert(&mut self.lock(), hash, attribute, code, text);
    }

    /// Gives a new text a place in `draft`.
    pub(crate) fn draft(&self, draft: &mut Draft, attribute: u32, code: u32, text: &str) {
        draft.0.add(self.hash(attribute, text), attribute, code, text);
    }

    /// Remembers the texts of a draft, now that they are in the database, and not in its index.
    pub(crate) fn adopt(&self, draft: &Draft) {
        let fresh = &mut self.lock().fresh;
        for entry in &draft.0.entries {
            fresh.add(entry.hash, entry.attribute, entry.code, draft.0.entry_text(entry));
        }
    }

    /// Remembers a text of the database that is not in its index.
    pub(crate) fn remember_fresh(&self, attribute: u32, code: u32, text: &str) {
        let hash = self.hash(attribute, text);
        self.lock().fresh.add(hash, attribute, code, text);
    }

    /// What `of` makes of each text that is to be put into the index now: attribute, code, text. Empty while it is too early.
    pub(crate) fn due<T>(&self, of: impl Fn(u32, u32, &str) -> T) -> Vec<T> {
        let fresh = &self.lock().fresh.codes;
        if fresh.entries.len() < MOST_FRESH && fresh.bytes() < self.budget / 4 {
            return Vec::new();
        }
        fresh.entries.iter().map(|entry| of(entry.attribute, entry.code, fresh.entry_text(entry))).collect()
    }

    /// Notes that all texts are in the index.
    pub(crate) fn indexed(&self) {
        let mut generations = self.lock();
        let fresh = std::mem::take(&mut generations.fresh);
        for entry in &fresh.codes.entries {
            let text = fresh.codes.entry_text(entry);
            self.insert(&mut generations, entry.hash, entry.attribute, entry.code, text);
        }
    }

    /// Calls `each` with the place and the text of every code that is in memory, and gives the places of the others.
    pub(crate) fn resolve(&self, attribute: u32, codes: &[u32], each: &mut dyn FnMut(usize, &str)) -> Vec<usize> {
        let mut missing = Vec::new();
        for (from, some) in (0..).step_by(RESOLVED_AT_ONCE).zip(codes.chunks(RESOLVED_AT_ONCE)) {
            let generations = self.lock();
            for (place, &code) in (from..).zip(some) {
                let Generations { young, old, fresh, .. } = &*generations;
                let found = young.text(attribute, code).or_else(|| old.text(attribute, code));
                match found.or_else(|| fresh.text(attribute, code)) {
                    Some(text) => each(place, text),
                    None => missing.push(place),
                }
            }
        }
        missing
    }

    /// Whether every text that was ever remembered still is.
    pub(crate) fn forgot_nothing(&self) -> bool {
        !self.lock().forgot
    }

    /// Memory in use, roughly.
    pub(crate) fn bytes(&self) -> usize {
        let generations = self.lock();
        generations.young.bytes() + generations.old.bytes() + generations.fresh.bytes()
    }

    fn insert(&self, generations: &mut Generations, hash: u64, attribute: u32, code: u32, text: &str) {
        // A quarter of the budget is for those that wait for the index, the rest for two generations.
        if generations.young.bytes() + text.len() + ENTRY_BYTES > self.budget / 8 * 3 {
            generations.forgot |= !generations.old.codes.entries.is_empty();
            std::mem::swap(&mut generations.young, &mut generations.old);
            generations.young.clear();
        }
        generations.young.add(hash, attribute, code, text);
    }
}

/// Texts that get their codes in a transaction that is not committed yet.
#[derive(Default)]
pub(crate) struct Draft(Codes);

impl Draft {
    /// Attribute, code and text of each, those of one attribute together and in the order of their codes: so the database adds
    /// each to the end of where the one before it went.
    pub(crate) fn in_order(&self) -> impl Iterator<Item = (u32, u32, &str)> {
        let mut entries: Vec<&Text> = self.0.entries.iter().collect();
        entries.sort_by_key(|entry| (entry.attribute, entry.code));
        entries.into_iter().map(|entry| (entry.attribute, entry.code, self.0.entry_text(entry)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_by_attribute_and_text_and_by_attribute_and_code() {
        let texts = Texts::new(1 << 20);
        texts.remember(1, 1, "a");
        texts.remember(2, 1, "b");
        texts.remember(1, 1, "a");
        let none = Draft::default();
        assert_eq!(texts.code(&none, 1, "a"), Some(1));
        assert_eq!(texts.code(&none, 2, "a"), None);
        let mut found = vec![];
        let missing = texts.resolve(2, &[1, 9], &mut |place, text| found.push((place, text.to_owned())));
        assert_eq!((found, missing), (vec![(0, "b".to_owned())], vec![1]));
    }

    #[test]
    fn a_draft_is_forgotten_unless_it_is_adopted() {
        let texts = Texts::new(1 << 20);
        let mut draft = Draft::default();
        texts.draft(&mut draft, 1, 7, "new");
        assert_eq!(texts.code(&draft, 1, "new"), Some(7));
        assert_eq!(texts.code(&Draft::default(), 1, "new"), None);
        texts.adopt(&draft);
        assert_eq!(texts.code(&Draft::default(), 1, "new"), Some(7));
    }

    #[test]
    fn texts_that_wait_for_the_index_are_not_forgotten_before_they_are_in_it() {
        let texts = Texts::new(4_000);
        let all = |texts: &Texts| texts.due(|attribute, code, text| (attribute, code, text.to_owned()));
        texts.remember_fresh(1, 1, "waits");
        for i in 2..1_000 {
            texts.remember(1, i, &format!("in the index {i}"));
        }
        assert_eq!((texts.code(&Draft::default(), 1, "waits"), all(&texts)), (Some(1), vec![]));
        for i in 1_000..1_020 {
            texts.remember_fresh(1, i, "long enough that a few of them fill a quarter");
        }
        let due = all(&texts);
        assert_eq!((due.len(), &due[0]), (21, &(1, 1, "waits".to_owned())));
        texts.indexed();
        assert!(all(&texts).is_empty() && texts.bytes() <= 4_000);
    }

    #[test]
    fn memory_stays_under_its_budget_and_keeps_what_is_in_use() {
        let texts = Texts::new(64 << 10);
        let none = Draft::default();
        texts.remember(1, 1, "in use all the time");
        for i in 2..20_000 {
            texts.remember(1, i, &format!("seen once {i}"));
            assert_eq!(texts.code(&none, 1, "in use all the time"), Some(1));
            assert!(texts.bytes() <= 64 << 10);
        }
        assert!(!texts.forgot_nothing());
        assert_eq!(texts.code(&none, 1, "seen once 2"), None);
    }
}
