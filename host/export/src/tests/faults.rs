//! Adapters that go over a limit, and ledgers that cannot be written.

use super::receiver::Answer;
use super::*;

/// A second set whose one metric has a hundred times the rows.
fn wide(world: &World) -> MetricSetId {
    let create = |e: &crate::catalog::Edit<'_>| {
        let set = e.put_metric_set(world.project, "wide")?.0.id;
        e.put_metric(set, "wide", &json!({"group": ["d"], "fold": {"_tx": [["count"]]}}))?;
        Ok(set)
    };
    world.catalog.edit(create).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adapter_over_its_limit_stops_its_own_store_only_and_the_batch_is_kept() {
    let (world, receiver) = (World::new(2), Receiver::new().await);
    let mut world = world.with(|o| o.allowance.call.output_bytes = 4000);
    let set = wide(&world);
    let greedy = world.put("greedy", "influxdb", &influx(&receiver, CANARY), &[set], false);
    let modest = world.influx("modest", &receiver);
    world.clock.set(Instant::from_seconds(T0 + 60));
    world.start().await;
    world.until_confirmed(modest, 1).await;
    let status = world.until_state(greedy, StoreState::AdapterFault).await;
    assert!(status.summary.contains("the limit is 4000 bytes"), "{}", status.summary);
    assert_eq!((status.deliveries.queued, status.deliveries.confirmed), (1, 0));
    world.kill().await;
    let mut world = world.with(|_| {});
    world.clock.advance(50);
    world.start().await;
    let status = world.until_confirmed(greedy, 1).await;
    assert_eq!(status.deliveries.accepted_rows, 200, "nothing of it was lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_an_adapter_cannot_stand_lets_those_behind_it_pass() {
    let (world, receiver) = (World::new(2), Receiver::new().await);
    let mut world = world.with(|o| o.allowance.call.output_bytes = 4000);
    let set = wide(&world);
    let store = world.put("both", "influxdb", &influx(&receiver, CANARY), &[set, world.set], false);
    world.clock.set(Instant::from_seconds(T0 + 60));
    world.start().await;
    world.until_state(store, StoreState::AdapterFault).await;
    world.clock.advance(2);
    let status = world.until_confirmed(store, 1).await;
    assert_eq!((status.deliveries.queued, status.deliveries.accepted_rows), (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_pauses_the_evaluation_and_everything_is_made_up_when_there_is_room() {
    let (mut world, receiver) = (World::new(2), Receiver::new().await);
    let store = world.influx("central", &receiver);
    let full =
        "CREATE TRIGGER full BEFORE INSERT ON windows BEGIN SELECT raise(ABORT, 'database or disk is full'); END";
    world.catalog.db().write(|t| t.execute_batch(full)).unwrap();
    world.start().await;
    world.clock.set(Instant::from_seconds(T0 + 180));
    for _ in 0..2000 {
        if world.export().problem().is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(world.export().problem().unwrap().contains("disk is full"));
    assert_eq!(receiver.got(), []);
    world.catalog.db().write(|t| t.execute_batch("DROP TRIGGER full")).unwrap();
    world.until_confirmed(store, 3).await;
    assert_eq!(world.export().problem(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_parts_than_a_delivery_may_have_are_rejected_by_the_name_of_the_limit() {
    let (world, receiver) = (World::new(16), Receiver::new().await);
    let mut world = world.with(|o| o.settings.parts = 5);
    let store = world.influx("central", &receiver);
    receiver.rule(|got| (got.body.lines().count() > 2).then(|| Answer::status("413 Payload Too Large")));
    world.clock.set(Instant::from_seconds(T0 + 60));
    world.start().await;
    let status = world.until_confirmed(store, 1).await;
    assert_eq!((status.deliveries.accepted_rows, status.deliveries.rejected_rows), (4, 12));
    let sql = "SELECT rejections FROM deliveries";
    let kept: String = world.catalog.db().read(|c| c.query_row(sql, [], |r| r.get(0))).unwrap();
    assert!(kept.contains("more than 5 parts were needed"), "{kept}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_over_its_limit_is_an_error_for_the_scraper_and_said_in_the_status() {
    let world = World::new(2);
    let mut world = world.with(|o| o.allowance.call.output_bytes = 100);
    let store = world.put("page", "prometheus", &json!({}), &[world.set], false);
    world.clock.set(Instant::from_seconds(T0 + 60));
    world.start().await;
    world.until_state(store, StoreState::Ok).await;
    let token = world.catalog.read(|v| v.store(store)).unwrap().pull_token.unwrap();
    let answer = world.export().pull(&token, vec![], None).await;
    let crate::PullAnswer::Failed(why) = answer else { panic!("{answer:?}") };
    assert!(why.contains("the limit is 100 bytes"), "{why}");
    assert_eq!(world.status(store).await.state, StoreState::AdapterFault);
}
