//! Windows so large that they are not recorded in one transaction.

use super::*;

/// A window so large that it has a transaction of its own.
fn large(f: &Fixture, n: u64) -> Evaluated {
    let mut item = f.evaluated(n, Some(1.0));
    let metric = &mut Arc::make_mut(&mut item.batch).metrics[0];
    let codes = 0..20_000;
    (metric.rows, metric.live_rows) = (codes.end, codes.end);
    metric.measures[0].values = codes.clone().map(|code| f64::from(code).sin()).collect();
    let dictionary = codes.clone().map(|code| format!("group {code}")).collect();
    metric.dimensions = vec![Dimension { name: "d".to_owned(), dictionary, codes: codes.collect() }];
    item
}

#[test]
fn large_windows_that_were_evaluated_together_are_all_recorded_though_not_in_one_transaction() {
    let f = fixture();
    let store = f.store("a", Direction::Push);
    let recorded = f.all(vec![large(&f, 0), large(&f, 1), f.evaluated(2, Some(7.0))], at(3)).unwrap();
    assert!(f.count("SELECT min(length(batch)) FROM windows WHERE live_rows > 1") > together::BYTES_AT_ONCE as i64);
    assert_eq!(recorded.queued.iter().map(|(store, _)| *store).collect::<Vec<_>>(), [store; 3]);
    assert_eq!((f.cursor(), f.count("SELECT count(*) FROM deliveries WHERE state = 'queued'")), (3, 3));
    assert_eq!(f.job(store, 3).unwrap().batch, large(&f, 0).batch);
}

#[test]
fn of_several_large_windows_those_that_are_on_disk_are_told_also_if_the_next_one_fails() {
    let f = fixture();
    let (store, _) = (f.store("a", Direction::Push), f.store("page", Direction::Pull));
    let block = format!(
        "CREATE TRIGGER full BEFORE INSERT ON windows WHEN NEW.start = {} BEGIN SELECT raise(ABORT, 'database or disk is full'); END",
        T0 + 60
    );
    f.catalog.db().write(|t| t.execute_batch(&block)).unwrap();
    let mut told = Recorded::default();
    let three = || vec![large(&f, 0), large(&f, 1), large(&f, 2)];
    let failed = f.ledger.record(three(), at(3), |part| add(&mut told, part)).unwrap_err().to_string();
    assert!(failed.contains("disk is full"), "{failed}");
    let of = |told: &Recorded| -> (Vec<StoreId>, Vec<Window>) {
        (told.queued.iter().map(|(store, _)| *store).collect(), told.shown.iter().map(|s| s.batch.window).collect())
    };
    assert_eq!((told.windows, of(&told)), (1, (vec![store], vec![window(0)])));
    f.catalog.db().write(|t| t.execute_batch("DROP TRIGGER full")).unwrap();
    // The next try tells the others only: the first one has its delivery already.
    assert_eq!(of(&f.all(three(), at(3)).unwrap()), (vec![store; 2], vec![window(1), window(2)]));
    assert_eq!(f.count("SELECT count(*) FROM deliveries"), 3);
}
