//! What must hold after every story, whatever happened in it. Nothing in here asks the code under test: the ledger is read as
//! rows, the values are counted by hand over the acknowledged events.

use super::{Pushed, Sim};
use std::collections::{BTreeMap, BTreeSet};

/// A document of a window: start, period, and the metric if it came by itself.
type Document = (u64, u64, String);

/// What became of one in a store, in the ledger.
#[derive(Clone, Debug)]
struct Fate {
    state: String,
    problem: Option<String>,
    rejected: i64,
}

impl Sim {
    /// Checks everything. Call it after [`settle`](Sim::settle).
    pub(super) fn check(&self) {
        let offences = self.net.offences.lock().unwrap().clone();
        assert_eq!(offences, Vec::<String>::new());
        for store in &self.stores {
            self.check_push(store);
        }
        for page in &self.pages {
            self.check_totals(page.0);
        }
    }

    fn rows<T>(&self, sql: &str, read: impl Fn(&rusqlite::Row<'_>) -> rusqlite::Result<T>) -> Vec<T> {
        let all = self.catalog.db().read(|c| {
            let mut statement = c.prepare(sql)?;
            statement.query_map([], |row| read(row))?.collect::<Result<Vec<_>, rusqlite::Error>>()
        });
        all.unwrap()
    }

    /// What the set of a store holds in one window, by the series of the sink: counted by hand.
    pub(super) fn oracle(&self, start: u64, period: u64, grouped: bool) -> BTreeMap<String, f64> {
        let mut points = BTreeMap::new();
        let all = self.source.inside(start * 1_000_000..(start + period) * 1_000_000, |events| {
            for (_, series) in events.iter().filter(|_| grouped) {
                let key = format!("errors,d={series},metric_set=crashes,project=web count__tx");
                *points.entry(key).or_default() += 1.0;
            }
            events.len() as f64
        });
        points.insert("all,metric_set=crashes,project=web count__tx".to_owned(), all);
        points
    }

    /// Claims of a store on windows: period, since, until.
    fn claims(&self, store: i64) -> Vec<(u64, u64, Option<u64>)> {
        let sql = format!("SELECT period, since, until FROM links WHERE store = {store}");
        let unsigned = |n: i64| u64::try_from(n).unwrap();
        self.rows(&sql, |r| Ok((unsigned(r.get(0)?), unsigned(r.get(1)?), r.get::<_, Option<i64>>(2)?.map(unsigned))))
    }

    fn check_push(&self, store: &Pushed) {
        let id = store.id.0;
        let sql = format!(
            "SELECT w.start, w.period, w.metric, d.state, d.problem, d.rejected_rows FROM deliveries d \
             JOIN windows w ON w.id = d.window WHERE d.store = {id}"
        );
        let read = |r: &rusqlite::Row<'_>| {
            let fate = Fate { state: r.get(3)?, problem: r.get(4)?, rejected: r.get(5)? };
            let (start, period) = (r.get::<_, i64>(0)?.cast_unsigned(), r.get::<_, i64>(1)?.cast_unsigned());
            Ok(((start, period, r.get::<_, String>(2)?), fate))
        };
        let listed = self.rows(&sql, read);
        let fates: BTreeMap<Document, Fate> = listed.iter().cloned().collect();
        assert_eq!(listed.len(), fates.len(), "{}: a window is there twice", store.name);
        let gaps = self.gaps(id);
        let now = self.now();
        let mut allowed: BTreeMap<(String, u64), f64> = BTreeMap::new();
        for (period, since, until) in self.claims(id) {
            let end = until.unwrap_or(u64::MAX).min(now / period * period);
            for start in (since..end).step_by(usize::try_from(period).unwrap()) {
                let told = format!("{}: window {start} of {period} s", store.name);
                let values = self.oracle(start, period, true);
                let stamped: BTreeMap<_, _> = values.iter().map(|(k, v)| ((k.clone(), start + period), *v)).collect();
                allowed.extend(stamped.clone());
                // That of the set, and one for each metric that came by itself.
                let documents = fates.range((start, period, String::new())..(start, period + 1, String::new()));
                let documents: Vec<(&str, &Fate)> =
                    documents.map(|((.., metric), fate)| (metric.as_str(), fate)).collect();
                if documents.is_empty() {
                    assert!(gaps.contains(&(start, period)), "{told} is neither on record nor part of a gap");
                    continue;
                }
                assert_eq!(documents[0].0, "", "{told} has no document of its set");
                assert!(!gaps.contains(&(start, period)), "{told} is on record and in a gap");
                for (document, fate) in &documents {
                    let is_of_it = |key: &str| match key.split(',').next().unwrap() {
                        metric if document.is_empty() => documents.iter().all(|(other, _)| *other != metric),
                        metric => metric == *document,
                    };
                    match fate.state.as_str() {
                        "confirmed" if fate.rejected == 0 => {
                            for (key, value) in stamped.iter().filter(|((key, _), _)| is_of_it(key)) {
                                let held = self.net.with(&store.sink, |s| s.held.get(key).copied());
                                assert_eq!(held, Some(*value), "{told} is confirmed, {key:?}");
                            }
                        }
                        "confirmed" => {}
                        "rejected" | "expired" => {
                            assert!(
                                fate.problem.as_ref().is_some_and(|p| !p.is_empty()),
                                "{told}: {fate:?} has no reason"
                            );
                        }
                        other => panic!("{told} ended as {other:?}"),
                    }
                }
            }
        }
        // Whatever the sink holds, from whichever try, is what the events say.
        for (key, value) in self.net.with(&store.sink, |s| s.held.clone()) {
            assert_eq!(allowed.get(&key), Some(&value), "{} holds {key:?}", store.name);
        }
        let counts = self.facts(store.id).counts;
        let of = |state: &str| fates.values().filter(|f| f.state == state).count() as u64;
        assert_eq!(counts.confirmed, of("confirmed"), "{}: the sums differ from the rows", store.name);
        assert_eq!(counts.rejected, of("rejected"), "{}", store.name);
        assert_eq!(counts.expired, of("expired") + gaps.len() as u64, "{}", store.name);
    }

    /// The windows that are in gaps of a store: those that are on record are no part of it.
    fn gaps(&self, store: i64) -> BTreeSet<(u64, u64)> {
        let sql = format!("SELECT first_start, period, windows, reason FROM gaps WHERE store = {store}");
        let read = |r: &rusqlite::Row<'_>| {
            let number = |at| r.get::<_, i64>(at).map(i64::cast_unsigned);
            Ok((number(0)?, number(1)?, number(2)?, r.get::<_, String>(3)?))
        };
        let recorded: BTreeSet<(u64, u64)> = self
            .rows("SELECT start, period FROM windows WHERE metric = ''", |r| {
                Ok((r.get::<_, i64>(0)?.cast_unsigned(), r.get::<_, i64>(1)?.cast_unsigned()))
            })
            .into_iter()
            .collect();
        let mut missing = BTreeSet::new();
        for (first, period, windows, reason) in self.rows(&sql, read) {
            assert!(!reason.is_empty(), "a gap without a reason");
            let starts = (0..).map(|n| (first + n * period, period)).filter(|w| !recorded.contains(w));
            missing.extend(starts.take(usize::try_from(windows).unwrap()));
        }
        missing
    }

    /// A pull store's totals are the sum of all windows since it was connected: nothing is missing, nothing is there twice.
    fn check_totals(&self, store: i64) {
        for (period, since, _) in self.claims(store) {
            let track = (self.set, tidegate_model::Period::new(u32::try_from(period).unwrap()).unwrap());
            let Some(shown) = self.export().ledger().shown(track).unwrap() else {
                panic!("nothing is shown at {period} s");
            };
            let end = shown.batch.window.end().seconds();
            let counted = self.source.inside(since * 1_000_000..end * 1_000_000, <[_]>::len);
            let all = shown.batch.metrics.iter().find(|m| m.name.as_str() == "all").unwrap();
            let total = all.measures[0].totals.as_ref().unwrap()[0];
            assert_eq!(total, counted as f64, "totals of {period} s up to {end}");
            // It may have been given up by itself; then it misses what was in those windows, and no more.
            let sql = format!(
                "SELECT start FROM windows WHERE metric = 'errors' AND state = 'expired' AND period = {period}"
            );
            let missing = self
                .rows(&sql, |r| Ok(r.get::<_, i64>(0)?.cast_unsigned()))
                .into_iter()
                .map(|start| self.source.inside(start * 1_000_000..(start + period) * 1_000_000, <[_]>::len));
            let known = counted - missing.sum::<usize>();
            if let Some(errors) = shown.batch.metrics.iter().find(|m| m.name.as_str() == "errors") {
                let total: f64 = errors.measures[0].totals.iter().flatten().sum();
                assert_eq!(total, known as f64, "totals of errors at {period} s up to {end}");
            }
            assert!(end + 2 * period > self.now(), "the page stands still at {end}");
        }
    }
}
