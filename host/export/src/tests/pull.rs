//! Pull pages through the Prometheus adapter.

use super::*;
use crate::PullAnswer;

struct Page {
    world: World,
    store: StoreId,
    token: String,
}

async fn page(rows: u32) -> Page {
    let mut world = World::new(rows);
    let store = world.put("page", "prometheus", &json!({}), &[world.set], false);
    let token = world.catalog.read(|v| v.store(store)).unwrap().pull_token.unwrap();
    world.start().await;
    Page { world, store, token }
}

impl Page {
    async fn pull(&self) -> PullAnswer {
        self.world.export().pull(&self.token, vec![("Accept".to_owned(), "text/plain".to_owned())], None).await
    }

    async fn text(&self) -> String {
        match self.pull().await {
            PullAnswer::Page { body, .. } => String::from_utf8(body.concat()).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// Goes to the end of window `n` and waits until it is shown.
    async fn after(&self, n: u64) {
        self.world.clock.set(self.world.window(n).end());
        let end = self.world.window(n).end();
        self.world.until(self.store, |s| s.last_window_end == Some(end)).await;
    }
}

/// The value of the line of `series` for `row`.
fn value(text: &str, series: &str, row: u32) -> Option<f64> {
    let row = format!("d=\"v{row}\"");
    let line = text.lines().find(|l| l.starts_with(&format!("{series}{{")) && l.contains(&row))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_shows_the_last_window_and_the_sum_of_all() {
    let p = page(2).await;
    assert_eq!(p.pull().await, PullAnswer::NotReady("the first window ends in 55 s".to_owned()));
    p.after(0).await;
    let first = p.text().await;
    let at = |n: u64| Table::value(p.world.window(n), 1);
    assert_eq!(value(&first, "errors_count_tx", 1), Some(at(0)), "{first}");
    assert_eq!(value(&first, "errors_count_tx_total", 1), Some(at(0)), "{first}");
    p.after(1).await;
    let second = p.text().await;
    assert_eq!(value(&second, "errors_count_tx", 1), Some(at(1)));
    assert_eq!(value(&second, "errors_count_tx_total", 1), Some(at(0) + at(1)));
    assert_eq!(p.world.status(p.store).await.pages, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_or_rotated_token_finds_nothing() {
    let p = page(1).await;
    p.after(0).await;
    assert_eq!(p.world.export().pull("wrong", vec![], None).await, PullAnswer::NotFound);
    assert_eq!(p.world.export().pull("", vec![], None).await, PullAnswer::NotFound);
    p.world.catalog.edit(|e| e.rotate_pull_token(p.store)).unwrap();
    assert_eq!(p.pull().await, PullAnswer::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_is_gone_vanishes_from_the_gauges_at_once_and_keeps_its_total() {
    let p = page(2).await;
    p.after(0).await;
    p.world.table.rows.store(1, Ordering::SeqCst);
    p.after(1).await;
    let text = p.text().await;
    assert!(value(&text, "errors_count_tx", 0).is_some());
    assert_eq!(value(&text, "errors_count_tx", 1), None);
    assert_eq!(value(&text, "errors_count_tx_total", 1), Some(Table::value(p.world.window(0), 1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_lose_nothing_over_a_restart_and_the_page_is_there_at_once() {
    let mut p = page(1).await;
    for n in 0..3 {
        p.after(n).await;
    }
    let before = p.text().await;
    p.world.kill().await;
    p.world.start().await;
    assert_eq!(p.text().await, before);
    p.after(5).await;
    let sum: f64 = (0..6).map(|n| Table::value(p.world.window(n), 0)).sum();
    for _ in 0..2000 {
        if value(&p.text().await, "errors_count_tx_total", 0) == Some(sum) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the missed windows were not summed: {}", p.text().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_nothing_refreshes_is_stale_after_three_periods_and_not_before() {
    let p = page(1).await;
    p.after(0).await;
    p.world.export().shutdown(Duration::from_secs(20)).await;
    p.world.clock.set(Instant::from_seconds(T0 + 60 + 180));
    assert!(matches!(p.pull().await, PullAnswer::Page { .. }));
    p.world.clock.advance(1);
    let PullAnswer::Stale(why) = p.pull().await else { panic!("not stale") };
    assert_eq!(why, "the newest window ended 181 s ago, which is more than 3 periods");
    assert_eq!(p.world.status(p.store).await.state, StoreState::Stale);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_scrapers_of_one_window_cost_one_rendering() {
    let p = page(2).await;
    p.after(0).await;
    let answers = futures_util::future::join_all((0..20).map(|_| p.pull())).await;
    let first = &answers[0];
    assert!(answers.iter().all(|a| a == first));
    let PullAnswer::Page { body, .. } = first else { panic!("{first:?}") };
    for answer in &answers {
        let PullAnswer::Page { body: other, .. } = answer else { panic!("{answer:?}") };
        let same = body.iter().zip(other).all(|(a, b)| a.as_ptr() == b.as_ptr());
        assert!(same, "the same bytes in memory, not made again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disconnected_set_is_gone_from_the_page_and_a_paused_store_shows_nothing() {
    let p = page(1).await;
    p.after(0).await;
    p.world.catalog.edit(|e| e.set_paused(p.store, true)).unwrap();
    assert_eq!(p.pull().await, PullAnswer::NotReady("the store is paused".to_owned()));
    p.world.catalog.edit(|e| e.set_paused(p.store, false).and_then(|()| e.disconnect(p.store, p.world.set))).unwrap();
    assert_eq!(p.pull().await, PullAnswer::NotReady("no metric set is connected to the store".to_owned()));
}
