//! Documents that could not be evaluated, and those that a window has beside that of its set.

use super::*;

impl Fixture {
    fn failed<'r>(&self, n: u64, reason: &'r str, attempts: u32, next: u64) -> Failed<'r> {
        let document = Document::of_set(self.set, window(n));
        let tries = Tries { attempts, stopped: 0 };
        Failed { project: self.project, document, revision: 1, tries, reason, next_attempt: at(next) }
    }

    /// A window of the set without the metric `heavy`, which is tried by itself.
    fn without_heavy(&self, n: u64, count: f64) -> Evaluated {
        let aside = Aside {
            metric: Name::new("heavy").unwrap(),
            reason: "it took too long".to_owned(),
            tries: Tries { attempts: 1, stopped: 1 },
            next_attempt: at(n + 1),
        };
        Evaluated { aside: vec![aside], ..self.evaluated(n, Some(count)) }
    }

    /// The metric `heavy` of that window.
    fn heavy(&self, n: u64, count: f64) -> Evaluated {
        let name = Name::new("heavy").unwrap();
        let mut evaluated = self.evaluated(n, Some(count));
        Arc::make_mut(&mut evaluated.batch).metrics[0].name = name.clone();
        Evaluated { metric: Some(name), ..evaluated }
    }
}

fn heavy_at(f: &Fixture, n: u64) -> Document {
    Document { metric: Some(Name::new("heavy").unwrap()), ..Document::of_set(f.set, window(n)) }
}

#[test]
fn a_failed_window_lets_the_cursor_pass_stays_due_and_can_still_be_evaluated() {
    let f = fixture();
    let store = f.store("a", Direction::Push);
    let (project, document) = (f.project, Document::of_set(f.set, window(0)));
    let fail = |reason, attempts| f.ledger.record_failure(&f.failed(0, reason, attempts, 2), at(1)).unwrap();
    fail("no disk", 1);
    assert_eq!((f.cursor(), f.job(store, 9).is_none()), (1, true));
    assert_eq!(f.ledger.failed_due(project, at(1), 9).unwrap(), []);
    assert_eq!(f.ledger.failed_due(project, at(2), 9).unwrap(), [(document, Tries { attempts: 1, stopped: 0 })]);
    fail("still no disk", 2);
    let facts = f.ledger.facts(store).unwrap();
    assert_eq!((facts.failed_windows, facts.evaluation_problem.as_deref()), (1, Some("still no disk")));
    f.record(0, 3.0);
    assert_eq!(f.ledger.failed_due(project, at(9), 9).unwrap(), []);
    assert!(f.job(store, 9).is_some());
}

#[test]
fn a_window_that_is_given_up_is_expired_for_each_store_with_the_reason() {
    let f = fixture();
    let store = f.store("a", Direction::Push);
    f.ledger.record_failure(&f.failed(0, "no disk", 1, 2), at(1)).unwrap();
    for _ in 0..2 {
        f.ledger.give_up(&Document::of_set(f.set, window(0)), "older than 24 h; no disk", at(9)).unwrap();
    }
    let facts = f.ledger.facts(store).unwrap();
    assert_eq!((facts.counts.expired, facts.failed_windows), (1, 0));
    assert_eq!(facts.lost.unwrap().1, "older than 24 h; no disk");
}

#[test]
fn events_of_a_window_whose_evaluation_failed_are_owed_until_it_is_recorded_or_given_up() {
    let f = fixture();
    f.store("central", Direction::Push);
    for n in [0, 1] {
        f.ledger.record_failure(&f.failed(n, "damaged", 1, 9), at(n + 1)).unwrap();
    }
    f.record(2, 1.0);
    let owed = || f.ledger.owed_since(f.project).unwrap();
    assert_eq!(owed(), Some(at(0)));
    f.record(0, 1.0);
    assert_eq!(owed(), Some(at(1)));
    f.ledger.give_up(&Document::of_set(f.set, window(1)), "too old", at(10)).unwrap();
    assert_eq!(owed(), Some(at(3)));
}

#[test]
fn a_metric_that_was_put_aside_is_due_by_itself_and_is_one_more_document_of_its_window_when_it_comes() {
    let f = fixture();
    let store = f.store("a", Direction::Push);
    f.store("page", Direction::Pull);
    let shown = f.all(vec![f.without_heavy(0, 3.0)], at(1)).unwrap().shown;
    assert_eq!((f.cursor(), shown[0].batch.metrics.len()), (1, 1));
    let due = [(heavy_at(&f, 0), Tries { attempts: 1, stopped: 1 })];
    assert_eq!(f.ledger.failed_due(f.project, at(1), 9).unwrap(), due);
    let first = f.job(store, 9).unwrap();
    f.ledger.finish(first.delivery, &confirmed(1), at(2)).unwrap();
    assert!(f.job(store, 9).is_none(), "what was put aside is not sent before it is evaluated");
    // The page shows the newest window with all that is known of it.
    let shown = f.all(vec![f.heavy(0, 7.0)], at(3)).unwrap().shown;
    let names: Vec<_> = shown[0].batch.metrics.iter().map(|m| m.name.to_string()).collect();
    assert_eq!(names, ["errors", "heavy"]);
    let second = f.job(store, 9).unwrap();
    assert_eq!((second.batch.window, second.batch.metrics.len()), (window(0), 1));
    assert_eq!(second.batch.metrics[0].name.as_str(), "heavy");
    // A second result for either changes nothing.
    f.all(vec![f.heavy(0, 8.0)], at(4)).unwrap();
    f.all(vec![f.without_heavy(0, 9.0)], at(4)).unwrap();
    let shown = f.ledger.shown((f.set, minute())).unwrap().unwrap();
    let totals: Vec<f64> = shown.batch.metrics.iter().map(|m| m.measures[0].totals.as_ref().unwrap()[0]).collect();
    assert_eq!(totals, [3.0, 7.0]);
    assert_eq!(f.count("SELECT count(*) FROM deliveries"), 2);
    assert_eq!(f.ledger.failed_due(f.project, at(9), 9).unwrap(), []);
}

#[test]
fn totals_of_a_metric_stay_while_it_is_aside_and_go_when_it_leaves_its_set() {
    let f = fixture();
    f.store("page", Direction::Pull);
    f.all(vec![f.without_heavy(0, 1.0)], at(1)).unwrap();
    f.all(vec![f.heavy(0, 5.0)], at(1)).unwrap();
    f.all(vec![f.without_heavy(1, 1.0)], at(2)).unwrap();
    let shown = f.all(vec![f.heavy(1, 5.0)], at(2)).unwrap().shown;
    assert_eq!(shown[0].batch.metrics[1].measures[0].totals, Some(vec![10.0]));
    f.record(2, 1.0);
    assert_eq!(f.count("SELECT count(*) FROM totals"), 1);
}

#[test]
fn a_metric_that_is_given_up_is_a_gap_of_its_own_and_leaves_the_others_of_its_window_alone() {
    let f = fixture();
    let store = f.store("a", Direction::Push);
    f.all(vec![f.without_heavy(0, 3.0)], at(1)).unwrap();
    f.ledger.put_off(&heavy_at(&f, 0), at(5)).unwrap();
    assert_eq!(f.ledger.failed_due(f.project, at(4), 9).unwrap(), []);
    assert_eq!(f.ledger.owed_since(f.project).unwrap(), Some(at(0)), "its events are still needed");
    f.ledger.give_up(&heavy_at(&f, 0), "given up after 8 tries", at(9)).unwrap();
    let facts = f.ledger.facts(store).unwrap();
    assert_eq!((facts.counts.expired, facts.counts.queued, facts.rows), (1, 1, 1));
    let gaps = f.ledger.gaps(&[f.project]).unwrap();
    let told: Vec<_> = gaps.iter().map(|g| (g.metric.as_deref(), g.reason.as_str())).collect();
    assert_eq!(told, [(Some("heavy"), "given up after 8 tries")]);
    // Also at the end of a page, which goes on before that window.
    for most in [1, 9] {
        let history = f.ledger.store_windows(store, &WindowFilter { most, ..WindowFilter::default() }).unwrap();
        let states: Vec<_> = history.iter().map(|w| (w.metric.as_deref(), w.state.as_str())).collect();
        assert_eq!(states, [(None, "evaluated"), (Some("heavy"), "expired")]);
    }
    assert_eq!(f.ledger.owed_since(f.project).unwrap(), Some(at(1)));
}

#[test]
fn each_document_of_a_window_can_be_replayed() {
    let f = fixture();
    let store = f.store("a", Direction::Push);
    f.all(vec![f.without_heavy(0, 3.0)], at(1)).unwrap();
    f.all(vec![f.heavy(0, 7.0)], at(2)).unwrap();
    let heavy = Name::new("heavy").unwrap();
    let from = window(0).start().seconds();
    let found = f.ledger.past_windows(store, f.set, from, from + 60, 9).unwrap();
    assert_eq!(found, [(window(0), None), (window(0), Some(heavy.clone()))]);
    let metric =
        |of: Option<&Name>| f.ledger.past(store, f.set, from, None, of).unwrap().batch.metrics[0].name.to_string();
    assert_eq!((metric(None), metric(Some(&heavy))), ("errors".to_owned(), "heavy".to_owned()));
}
