//! Metrics that take all the time that they are given, beside others that do not.

use super::*;

/// A document on record: window, metric, state, and how many seconds after the end of the window that was recorded.
type Recorded = (u64, String, String, u64);

impl Fixture {
    /// A set with a metric that is well and one that takes too long.
    fn half_slow(&self) -> MetricSetId {
        let set = self.set("a");
        let heavy = |e: &crate::catalog::Edit<'_>| e.put_metric(set, "heavy", &json!({"fold": {"_tx": [["count"]]}}));
        self.schedule.catalog.edit(heavy).unwrap();
        self.break_heavy();
        set
    }

    fn break_heavy(&self) {
        *self.source.slow.lock().unwrap() = Some(self.clock.clone());
        self.source.bad.lock().unwrap().insert("heavy".to_owned());
    }

    fn mend(&self) {
        self.source.bad.lock().unwrap().clear();
    }

    fn documents(&self) -> Vec<Recorded> {
        let sql =
            "SELECT start, metric, state, recorded / 1000000 - start - period FROM windows ORDER BY start, metric";
        let read = |c: &rusqlite::Connection| {
            let mut statement = c.prepare(sql)?;
            let number = |r: &rusqlite::Row<'_>, at| r.get::<_, i64>(at).map(i64::cast_unsigned);
            let rows = statement.query_map([], |r| Ok((number(r, 0)?, r.get(1)?, r.get(2)?, number(r, 3)?)))?;
            rows.collect::<Result<Vec<_>, _>>()
        };
        self.schedule.catalog.db().read(read).unwrap()
    }

    /// Lets `seconds` pass, second by second, on both clocks; an evaluation may take some of them.
    async fn pass_seconds(&self, seconds: u64) {
        let mut now = self.clock.now().seconds();
        let end = now + seconds;
        while now < end {
            self.clock.advance(1);
            self.run();
            let passed = self.clock.now().seconds() - now;
            tokio::time::advance(Duration::from_secs(passed)).await;
            now += passed;
        }
    }

    fn of_set(&self) -> Vec<Recorded> {
        self.documents().into_iter().filter(|(_, metric, ..)| metric.is_empty()).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn who_stands_beside_a_metric_that_takes_too_long_waits_for_it_once_and_is_on_time_from_then_on() {
    let f = fixture(86_400);
    let set = f.half_slow();
    let store = f.store("one", Direction::Push, 60, &[set]);
    f.source.submit(f.clock.now());
    f.pass_seconds(60 * 20).await;
    let late: Vec<u64> = f.of_set().into_iter().map(|(.., late)| late).collect();
    assert!(late.len() >= 19 && late[0] == 10 && late[1..].iter().all(|late| *late <= 1), "{late:?}");
    assert!(f.of_set().iter().all(|(_, _, state, _)| state == "evaluated"));
    let facts = f.schedule.ledger.facts(store).unwrap();
    assert!(facts.evaluation_problem.unwrap().contains("metric \"heavy\": evaluating it takes longer than 10 s"));
    assert_eq!(f.drain(store).first(), Some(&(T0, 1.0)));
}

#[tokio::test(start_paused = true)]
async fn a_metric_that_is_stopped_every_time_is_given_up_by_name_after_a_bounded_number_of_tries() {
    let f = fixture(86_400);
    let set = f.half_slow();
    f.store("one", Direction::Push, 60, &[set]);
    f.pass_seconds(60 * 30).await;
    let first: Vec<_> = f.documents().into_iter().filter(|(start, ..)| *start == T0).map(|d| (d.1, d.2)).collect();
    let expected = [(String::new(), "evaluated".to_owned()), ("heavy".to_owned(), "expired".to_owned())];
    assert_eq!(first, expected);
    let told = &f.schedule.ledger.windows_at(set, T0).unwrap()[1];
    // It ends with its own tries, or with those of the windows behind it.
    assert_eq!(told.metric.as_deref(), Some("heavy"));
    assert!((1..=u64::from(TRIES)).contains(&told.attempts), "{told:?}");
    let reason = told.reason.clone().unwrap();
    let is_told = reason.starts_with("given up after 8 tries: ") || reason.starts_with("the metric was stopped ");
    assert!(is_told && reason.contains("metric \"heavy\": evaluating it takes longer than 10 s"), "{reason}");
    let outcome = |d: &crate::DeliveryRecord| (d.state.clone(), d.problem.clone());
    assert_eq!(told.deliveries.iter().map(outcome).collect::<Vec<_>>(), [("expired".to_owned(), Some(reason))]);
    let gaps = f.schedule.ledger.gaps(&[f.project]).unwrap();
    assert_eq!((gaps[0].metric.as_deref(), gaps[0].start), (Some("heavy"), T0));
}

#[tokio::test(start_paused = true)]
async fn a_metric_that_recovers_arrives_as_a_document_of_its_own_and_nothing_is_counted_twice() {
    let f = fixture(86_400);
    let set = f.half_slow();
    let (store, track) = (f.store("one", Direction::Push, 60, &[set]), (set, Period::default()));
    f.store("page", Direction::Pull, 60, &[set]);
    for _ in 0..5 {
        f.source.submit(f.clock.now());
        f.pass_seconds(31).await;
    }
    f.mend();
    f.pass_seconds(1200).await;
    assert!(f.documents().iter().all(|(_, _, state, _)| state == "evaluated"), "{:?}", f.documents());
    let mut got = f.drain(store);
    let sum = got.iter().map(|(_, value)| value).sum::<f64>();
    assert_eq!(sum, 10.0, "five events in each of two metrics: {got:?}");
    let count = got.len();
    got.sort_by_key(|(start, _)| *start);
    assert_eq!(count, f.documents().len(), "one delivery for each document");
    let shown = f.schedule.ledger.shown(track).unwrap().unwrap();
    let totals = shown.batch.metrics.iter().map(|m| (m.name.to_string(), m.measures[0].totals.clone().unwrap()));
    let expected = [("a-errors".to_owned(), vec![5.0]), ("heavy".to_owned(), vec![5.0])];
    assert_eq!(totals.collect::<Vec<_>>(), expected, "the page shows both, whichever came last");
}

#[tokio::test(start_paused = true)]
async fn a_slow_metric_is_tried_again_when_there_is_time_for_it_and_not_when_the_next_window_is_about_to_end() {
    let f = fixture(86_400);
    let set = f.half_slow();
    f.store("one", Direction::Push, 60, &[set]);
    f.store("fast", Direction::Push, 15, &[set]);
    f.pass_seconds(3600).await;
    let late: Vec<u64> = f.of_set().into_iter().map(|(.., late)| late).collect();
    // A period of 15 s has room for one try of 10 s.
    assert!(late.len() > 240 && late.iter().filter(|late| **late > 1).count() <= 2, "{late:?}");
    let heavy: Vec<_> = f.documents().into_iter().filter(|(_, metric, ..)| metric == "heavy").collect();
    let (ended, waiting): (Vec<Recorded>, Vec<Recorded>) =
        heavy.into_iter().partition(|(_, _, state, _)| state == "expired");
    assert!(ended.len() > 100 && waiting.iter().all(|(start, ..)| start + 2400 > T0 + 3600), "{waiting:?}");
    // A metric that is slow for good costs little.
    let tries = f.source.stops.load(Ordering::SeqCst);
    assert!((10..=20).contains(&tries), "{tries} tries of 10 s in an hour");
}

#[test]
fn a_window_that_cannot_be_sealed_is_evaluated_for_none_of_its_sets() {
    let f = fixture(86_400);
    let sets = [f.set("a"), f.set("b")];
    let store = f.store("one", Direction::Push, 60, &sets);
    f.source.is_open.store(true, Ordering::SeqCst);
    f.clock.advance(61);
    f.run();
    assert_eq!(f.source.windows(), Vec::<u64>::new(), "an event could still arrive in it");
    assert_eq!(f.schedule.ledger.facts(store).unwrap().failed_windows, 2);
    f.source.is_open.store(false, Ordering::SeqCst);
    f.clock.advance(5);
    f.run();
    assert_eq!(f.drain(store), [(T0, 0.0), (T0, 0.0)]);
}
