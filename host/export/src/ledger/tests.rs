//! What the ledger records once, keeps together, and gives back.

mod failures;
mod large;

use super::*;
use crate::catalog::{Catalog, DEFAULT_TENANT, StoreSpec};
use serde_json::{Map, json};
use tidegate_model::{
    Aggregate, Batch, Description, Dimension, Direction, ManualClock, MeasureColumn, MetricBatch, MetricQuery, Name,
    ProjectId, StoreId,
};

struct Fixture {
    ledger: Ledger,
    catalog: Catalog,
    project: ProjectId,
    set: MetricSetId,
    _dir: tempfile::TempDir,
}

const T0: u64 = 1_000_020;

fn minute() -> Period {
    Period::default()
}

fn window(n: u64) -> Window {
    Window::starting_at(T0 + 60 * n, minute()).unwrap()
}

fn at(n: u64) -> Instant {
    window(n).start()
}

fn options() -> LedgerOptions {
    LedgerOptions { idle_seconds: 86_400, total_series: 1000 }
}

fn fixture() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(at(0)));
    let catalog = Catalog::open(&dir.path().join("tidegate.db"), clock).unwrap();
    let (project, set) = catalog
        .edit(|e| {
            let project = e.create_project(e.tenant_named(DEFAULT_TENANT)?.id, "web")?.id;
            Ok((project, e.put_metric_set(project, "crashes")?.0.id))
        })
        .unwrap();
    Fixture { ledger: Ledger::new(catalog.db(), options()), catalog, project, set, _dir: dir }
}

impl Fixture {
    fn store(&self, name: &str, direction: Direction) -> StoreId {
        let adapter = Description::parse(&json!({"name": "sink", "version": "1"}).to_string()).unwrap();
        let sets = [self.set];
        let settings = Map::new();
        let period = minute();
        let spec = StoreSpec {
            adapter: &adapter,
            direction,
            pull: false,
            period,
            settings: &settings,
            paused: false,
            metric_sets: &sets,
        };
        self.catalog.edit(|e| e.put_store(self.project, name, &spec)).unwrap().0.id
    }

    fn evaluated(&self, n: u64, count: Option<f64>) -> Evaluated {
        let rows = u32::from(count.is_some());
        let measure = MeasureColumn {
            attribute: "_tx".to_owned(),
            aggregate: Aggregate::Count,
            values: count.into_iter().collect(),
            totals: None,
        };
        let name = |n: &str| Name::new(n).unwrap();
        let metric = MetricBatch {
            name: name("errors"),
            rows,
            live_rows: rows,
            folded_groups: 0,
            dimensions: vec![],
            measures: vec![measure],
        };
        let batch =
            Batch { project: name("web"), metric_set: name("crashes"), window: window(n), metrics: vec![metric] };
        let query = MetricQuery::parse(&json!({"fold": {"_tx": [["count"]]}})).unwrap().query;
        Evaluated {
            from: window(n).end(),
            project: self.project,
            metric_set: self.set,
            revision: 1,
            metric: None,
            aside: Vec::new(),
            batch: Arc::new(batch),
            queries: vec![query],
        }
    }

    fn record(&self, n: u64, count: f64) -> Vec<Shown> {
        self.all(vec![self.evaluated(n, Some(count))], at(n + 1)).unwrap().shown
    }

    /// Records, and gives what was told of all parts.
    fn all(&self, evaluated: Vec<Evaluated>, now: Instant) -> Result<Recorded, LedgerError> {
        let mut all = Recorded::default();
        self.ledger.record(evaluated, now, |part| add(&mut all, part)).map(|()| all)
    }

    fn cursor(&self) -> u64 {
        (self.ledger.cursors().unwrap()[&(self.set, minute())] - T0) / 60
    }

    fn job(&self, store: StoreId, n: u64) -> Option<Job> {
        match self.ledger.next_job(store, at(n), at(n), at(n)).unwrap() {
            Next::Job(job) => Some(job),
            Next::Nothing(_) => None,
            Next::Damaged(why) => panic!("{why}"),
        }
    }

    fn count(&self, sql: &str) -> i64 {
        self.catalog.db().read(|c| c.query_row(sql, [], |r| r.get(0))).unwrap()
    }
}

fn add(all: &mut Recorded, part: Recorded) {
    all.windows += part.windows;
    all.shown.extend(part.shown);
    all.queued.extend(part.queued);
}

fn total(shown: &Shown) -> f64 {
    shown.batch.metrics[0].measures[0].totals.as_ref().unwrap()[0]
}

fn confirmed(accepted: u64) -> Finished {
    Finished::Confirmed { accepted, rejected: 0, rejections: vec![] }
}

#[test]
fn a_window_is_queued_once_for_each_push_store_that_wants_it_and_comes_back_as_it_was() {
    let f = fixture();
    let (a, b, page) = (f.store("a", Direction::Push), f.store("b", Direction::Push), f.store("page", Direction::Pull));
    f.record(0, 3.0);
    for store in [a, b] {
        let job = f.job(store, 1).unwrap();
        assert_eq!(job.batch, f.evaluated(0, Some(3.0)).batch);
        assert_eq!(job.attempts, 0);
    }
    assert!(f.job(page, 1).is_none());
    assert_eq!(f.cursor(), 1);
}

#[test]
fn a_second_result_for_a_window_changes_nothing_not_even_the_totals() {
    let f = fixture();
    let (store, _) = (f.store("a", Direction::Push), f.store("page", Direction::Pull));
    assert_eq!(total(&f.record(0, 3.0)[0]), 3.0);
    assert!(f.record(0, 5.0).is_empty());
    assert_eq!(f.count("SELECT count(*) FROM deliveries"), 1);
    assert_eq!(f.job(store, 1).unwrap().batch.metrics[0].measures[0].values, [3.0]);
    assert_eq!(total(&f.ledger.shown((f.set, minute())).unwrap().unwrap()), 3.0);
}

#[test]
fn a_record_that_fails_half_way_leaves_no_trace() {
    let f = fixture();
    f.store("page", Direction::Pull);
    f.record(0, 3.0);
    let block =
        "CREATE TRIGGER full BEFORE INSERT ON totals BEGIN SELECT raise(ABORT, 'database or disk is full'); END";
    f.catalog.db().write(|t| t.execute_batch(block)).unwrap();
    let told = f.all(vec![f.evaluated(1, Some(4.0))], at(2)).unwrap_err().to_string();
    assert!(told.contains("disk is full"), "{told}");
    assert_eq!((f.cursor(), f.count("SELECT count(*) FROM windows")), (1, 1));
    f.catalog.db().write(|t| t.execute_batch("DROP TRIGGER full")).unwrap();
    assert_eq!(total(&f.record(1, 4.0)[0]), 7.0, "the totals in memory did not run ahead of the disk");
}

#[test]
fn the_cursor_waits_for_the_oldest_missing_window_and_then_passes_all_that_are_there() {
    let f = fixture();
    f.store("a", Direction::Push);
    f.record(2, 1.0);
    f.record(1, 1.0);
    assert_eq!(f.cursor(), 0);
    f.record(0, 1.0);
    assert_eq!(f.cursor(), 3);
}

#[test]
fn made_up_windows_add_to_the_totals_and_leave_the_newest_values_on_show() {
    let f = fixture();
    f.store("page", Direction::Pull);
    f.record(2, 1.0);
    let shown = &f.record(0, 10.0)[0];
    assert_eq!(shown.batch.window, window(2));
    assert_eq!((shown.batch.metrics[0].measures[0].values[0], total(shown)), (1.0, 11.0));
    let again = Ledger::new(f.catalog.db(), options());
    assert_eq!(total(&again.shown((f.set, minute())).unwrap().unwrap()), 11.0, "from disk");
}

#[test]
fn totals_begin_anew_when_the_query_behind_the_name_changes() {
    let f = fixture();
    f.store("page", Direction::Pull);
    f.record(0, 3.0);
    let mut other = f.evaluated(1, Some(4.0));
    other.queries = vec![
        MetricQuery::parse(&json!({"filter": [{"a": [["is-set"]]}], "fold": {"_tx": [["count"]]}})).unwrap().query,
    ];
    assert_eq!(total(&f.all(vec![other], at(2)).unwrap().shown[0]), 4.0);
}

#[test]
fn a_window_without_rows_is_confirmed_without_being_sent() {
    let f = fixture();
    let store = f.store("a", Direction::Push);
    f.all(vec![f.evaluated(0, None)], at(1)).unwrap();
    assert!(f.job(store, 5).is_none());
    let facts = f.ledger.facts(store).unwrap();
    assert_eq!((facts.counts.confirmed, facts.counts.queued), (1, 0));
    assert_eq!(facts.note, None, "it is usual, and no remark");
}

#[test]
fn case_6_a_damaged_window_is_given_up_with_a_reason_and_its_neighbours_survive() {
    let f = fixture();
    let store = f.store("a", Direction::Push);
    (0..3).for_each(|n| drop(f.record(n, 1.0)));
    let sql = format!("SELECT batch FROM windows WHERE start = {}", T0 + 60);
    let mut batch: Vec<u8> = f.catalog.db().read(|c| c.query_row(&sql, [], |r| r.get(0))).unwrap();
    let middle = batch.len() / 2;
    batch[middle] ^= 1;
    let sql = format!("UPDATE windows SET batch = ?1 WHERE start = {}", T0 + 60);
    f.catalog.db().write(|t| t.execute(&sql, [batch])).unwrap();
    let mut got = Vec::new();
    loop {
        match f.ledger.next_job(store, at(9), at(9), at(9)).unwrap() {
            Next::Job(job) => {
                got.push(job.batch.window);
                f.ledger
                    .finish(job.delivery, &Finished::Confirmed { accepted: 1, rejected: 0, rejections: vec![] }, at(9))
                    .unwrap();
            }
            Next::Damaged(why) => assert!(why.starts_with("its record in the ledger is damaged"), "{why}"),
            Next::Nothing(_) => break,
        }
    }
    assert_eq!(got, [window(0), window(2)]);
    let facts = f.ledger.facts(store).unwrap();
    assert_eq!((facts.counts.confirmed, facts.counts.expired), (2, 1));
    assert!(facts.lost.unwrap().1.contains("is damaged"));
}

#[test]
fn a_queue_over_its_limit_in_bytes_sheds_its_oldest_windows_and_tells_why() {
    let f = fixture();
    let (store, other) = (f.store("a", Direction::Push), f.store("b", Direction::Push));
    (0..6).for_each(|n| drop(f.record(n, 1.0)));
    let queue = || f.ledger.queues().unwrap().into_iter().find(|q| q.store == store).unwrap();
    assert_eq!((queue().windows, queue().oldest, queue().name.as_str()), (6, at(1), "web/a"));
    let each = queue().bytes / 6;
    assert_eq!(f.ledger.shed(store, each * 2 + each / 2, at(9)).unwrap(), 4);
    assert_eq!((queue().windows, queue().oldest), (2, at(5)), "the newest are kept");
    assert_eq!(f.ledger.facts(other).unwrap().counts.expired, 0);
    assert!(f.ledger.facts(store).unwrap().lost.unwrap().1.contains("its oldest windows made room"));
}

#[test]
fn the_live_window_goes_first_and_then_the_oldest() {
    let f = fixture();
    let store = f.store("a", Direction::Push);
    (0..4).for_each(|n| drop(f.record(n, 1.0)));
    let mut order = Vec::new();
    while let Next::Job(job) = f.ledger.next_job(store, at(4), at(4), at(3)).unwrap() {
        order.push(job.batch.window);
        f.ledger
            .finish(job.delivery, &Finished::Confirmed { accepted: 1, rejected: 0, rejections: vec![] }, at(4))
            .unwrap();
    }
    assert_eq!(order, [window(3), window(0), window(1), window(2)]);
}

#[test]
fn lost_windows_in_a_row_are_one_gap_and_the_store_that_waits_longest_comes_first() {
    let f = fixture();
    let (first, second) = (f.store("a", Direction::Push), f.store("b", Direction::Push));
    (0..5).for_each(|n| drop(f.record(n, 1.0)));
    f.ledger.expire(first, at(3), "too old", at(9)).unwrap();
    let done = Finished::Confirmed { accepted: 1, rejected: 0, rejections: vec![] };
    f.ledger.finish(f.job(first, 9).unwrap().delivery, &done, at(9)).unwrap();
    let status = f.ledger.status(&[f.project]).unwrap();
    let lines: Vec<_> = status.iter().map(|l| (l.store.as_str(), l.queued, l.confirmed, l.expired)).collect();
    assert_eq!(lines, [("b", 5, 0, 0), ("a", 1, 1, 3)]);
    assert_eq!(status[0].oldest_undelivered, Some(at(1).seconds()));
    let gaps = f.ledger.gaps(&[f.project]).unwrap();
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!((gaps[0].start, gaps[0].end, gaps[0].windows), (at(0).seconds(), at(3).seconds(), 3));
    assert_eq!((gaps[0].outcome.as_str(), gaps[0].reason.as_str()), ("expired", "too old"));
    assert_eq!(f.ledger.gaps(&[ProjectId(99)]).unwrap(), [], "another project's are not told");
    assert_eq!(f.ledger.status(&[]).unwrap(), []);
    let record = &f.ledger.windows_at(f.set, at(4).seconds() + 30).unwrap()[0];
    assert_eq!((record.start, record.state.as_str(), record.kept), (at(4).seconds(), "evaluated", true));
    let states: Vec<_> = record.deliveries.iter().map(|d| (d.store.as_str(), d.state.as_str())).collect();
    assert_eq!(states, [("a", "queued"), ("b", "queued")]);
    let _ = second;
}

#[test]
fn skipped_windows_are_one_record_and_count_as_expired_one_by_one() {
    let f = fixture();
    let store = f.store("a", Direction::Push);
    let track = (f.set, minute());
    f.ledger.skip(track, T0 + 600, &[(store, T0, 10)], "older than 24 h", at(2000)).unwrap();
    f.ledger.skip(track, T0 + 600, &[(store, T0, 10)], "older than 24 h", at(2000)).unwrap();
    assert_eq!((f.cursor(), f.ledger.facts(store).unwrap().counts.expired), (10, 10));
    assert_eq!(f.count("SELECT count(*) FROM gaps"), 1);
}

#[test]
fn jobs_come_oldest_window_first_and_one_that_is_put_off_lets_the_next_pass() {
    let f = fixture();
    let store = f.store("a", Direction::Push);
    for n in [2, 0, 1] {
        f.record(n, 1.0);
    }
    let first = f.job(store, 3).unwrap();
    assert_eq!(first.batch.window, window(0));
    f.ledger.try_later(first.delivery, "refused", at(10), at(3)).unwrap();
    assert_eq!(f.job(store, 3).unwrap().batch.window, window(1));
    let again = f.job(store, 10).unwrap();
    assert_eq!((again.batch.window, again.attempts), (window(0), 1));
    assert_eq!(f.ledger.facts(store).unwrap().queued_problem.as_deref(), Some("refused"));
}

#[test]
fn nothing_is_handed_out_that_is_stamped_in_the_future() {
    let f = fixture();
    let store = f.store("a", Direction::Push);
    f.record(60, 1.0);
    assert!(f.job(store, 3).is_none());
    assert!(f.job(store, 61).is_some());
}

#[test]
fn a_try_put_off_by_a_clock_that_was_set_back_is_due() {
    let f = fixture();
    let store = f.store("a", Direction::Push);
    f.record(0, 1.0);
    let job = f.job(store, 1).unwrap();
    f.ledger.try_later(job.delivery, "refused", at(500), at(490)).unwrap();
    assert!(f.job(store, 5).is_some());
}

#[test]
fn a_resend_with_other_bytes_is_noticed_only_under_the_same_adapter_settings_and_part() {
    let f = fixture();
    let store = f.store("a", Direction::Push);
    f.record(0, 1.0);
    let id = f.job(store, 1).unwrap().delivery;
    let first = FirstAction { digest: [1; 32], rows: 1, adapter: [7; 32], settings_revision: 1 };
    let note = |first: &FirstAction| f.ledger.db.write(|t| note_first_action(t, id, first)).unwrap();
    assert_eq!(note(&first), None);
    assert_eq!(note(&first), None);
    assert_eq!(note(&FirstAction { digest: [2; 32], ..first.clone() }), Some([1; 32]));
    assert_eq!(note(&FirstAction { digest: [2; 32], settings_revision: 2, ..first.clone() }), None);
    assert_eq!(note(&FirstAction { digest: [1; 32], settings_revision: 2, ..first }), Some([2; 32]));
}

#[test]
fn finished_and_expired_deliveries_are_counted_once_with_their_rows() {
    let f = fixture();
    let store = f.store("a", Direction::Push);
    for n in 0..4 {
        f.record(n, 1.0);
    }
    let rejections = vec![RowRejection { metric: "errors".into(), series: "a=b".into(), rows: 1, reason: "no".into() }];
    let first = f.job(store, 9).unwrap().delivery;
    f.ledger
        .finish(first, &Finished::Confirmed { accepted: 4, rejected: 1, rejections: rejections.clone() }, at(9))
        .unwrap();
    f.ledger.finish(first, &confirmed(100), at(9)).unwrap();
    let second = f.job(store, 9).unwrap().delivery;
    f.ledger.finish(second, &Finished::Rejected { reason: "no".into(), rejected: 5, rejections }, at(9)).unwrap();
    f.ledger.try_later(f.job(store, 9).unwrap().delivery, "refused", at(10), at(9)).unwrap();
    assert_eq!(f.ledger.expire(store, window(2).end(), "too old", at(9)).unwrap(), 1);
    let facts = f.ledger.facts(store).unwrap();
    let counts = facts.counts;
    assert_eq!((counts.confirmed, counts.rejected, counts.expired, counts.queued), (1, 1, 1, 1));
    assert_eq!((counts.accepted_rows, counts.rejected_rows), (4, 6));
    assert_eq!(facts.lost.unwrap().1, "too old; the last problem was: refused");
}

#[test]
fn batches_go_when_every_store_has_them_and_the_newest_stays_for_the_pages() {
    let f = fixture();
    let store = f.store("a", Direction::Push);
    f.store("page", Direction::Pull);
    for n in 0..3 {
        f.record(n, 1.0);
    }
    f.ledger.finish(f.job(store, 9).unwrap().delivery, &confirmed(1), at(9)).unwrap();
    let all = Horizons { batches: at(100), records: at(0) };
    assert_eq!(f.ledger.prune(all).unwrap(), (1, 0));
    assert_eq!(f.job(store, 9).unwrap().batch.window, window(1), "still queued");
    for _ in 0..2 {
        f.ledger.finish(f.job(store, 9).unwrap().delivery, &confirmed(1), at(9)).unwrap();
    }
    assert_eq!(f.ledger.prune(Horizons { records: at(100), ..all }).unwrap(), (1, 2));
    assert_eq!(f.ledger.shown((f.set, minute())).unwrap().unwrap().batch.window, window(2));
    assert_eq!(f.ledger.facts(store).unwrap().counts.confirmed, 3, "counts outlive the records");
}

#[test]
fn a_window_of_a_set_that_is_gone_is_not_recorded() {
    let f = fixture();
    let store = f.store("a", Direction::Push);
    f.catalog.edit(|e| e.disconnect(store, f.set).and_then(|_| e.delete_metric_set(f.set))).unwrap();
    assert!(f.record(0, 1.0).is_empty());
    assert_eq!(f.count("SELECT count(*) FROM windows"), 0);
}

#[test]
fn events_are_owed_from_the_first_window_that_is_not_on_record() {
    let f = fixture();
    let owed = || f.ledger.owed_since(f.project).unwrap();
    assert_eq!(owed(), None, "no store gets anything");
    let store = f.store("central", Direction::Push);
    assert_eq!(owed(), Some(at(0)), "the window in progress when it was connected");
    f.record(0, 1.0);
    assert_eq!(owed(), Some(at(1)), "its batch is kept with the record, whether or not it is delivered");
    f.record(3, 1.0);
    assert_eq!(owed(), Some(at(1)), "windows in between were missed and will be made up");
    f.record(1, 1.0);
    f.record(2, 1.0);
    assert_eq!(owed(), Some(at(4)));
    assert_eq!(f.ledger.owed_since(ProjectId(f.project.0 + 1)).unwrap(), None, "another project owes nothing");
    f.catalog.edit(|e| e.delete_store(store)).unwrap();
    assert_eq!(owed(), None);
}

#[test]
fn what_is_on_record_of_many_stores_is_what_is_on_record_of_each() {
    let f = fixture();
    let stores = [f.store("a", Direction::Push), f.store("b", Direction::Push), f.store("c", Direction::Pull)];
    (0..3).for_each(|n| drop(f.record(n, 1.0)));
    let job = f.job(stores[0], 9).unwrap();
    let arrived = Finished::Confirmed { accepted: 1, rejected: 0, rejections: vec![] };
    f.ledger.finish(job.delivery, &arrived, at(9)).unwrap();
    let mut many = f.evaluated(3, Some(2.0));
    Arc::make_mut(&mut many.batch).metrics[0].folded_groups = 7;
    f.all(vec![many], at(4)).unwrap();
    let all = f.ledger.facts_of(&stores).unwrap();
    for store in stores {
        assert_eq!(all[&store], f.ledger.facts(store).unwrap());
        assert_eq!(all[&store].folded.iter().map(|f| (f.groups, f.window_end)).collect::<Vec<_>>(), [(7, at(4))]);
    }
    let counts = stores.map(|store| (all[&store].counts.queued, all[&store].counts.confirmed));
    assert_eq!(counts, [(3, 1), (4, 0), (0, 0)]);
    // The next window has a row for each group again.
    f.record(4, 1.0);
    assert_eq!(f.ledger.facts(stores[1]).unwrap().folded, []);
}
