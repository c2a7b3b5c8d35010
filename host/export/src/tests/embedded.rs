//! The whole way of an event: accepted by the embedded store, evaluated, delivered.

use super::*;
use tidegate_events::{EventStore, EventStoreOptions};
use tidegate_model::{Event, Value};

async fn submit(events: &EventStore, project: ProjectId, version: &str, count: usize) {
    let event = || Event { attributes: vec![("d".to_owned(), Value::Str(version.to_owned()))], ..Event::default() };
    let receipts = events.submit(project, (0..count).map(|_| event()).collect()).await.unwrap();
    assert_eq!(receipts.len(), count);
}

async fn start(world: &mut World, events: &EventStore) {
    world.catalog = open(world.dir.path(), &world.clock);
    let (catalog, source) = (Arc::clone(&world.catalog), Arc::new(events.clone()));
    let mut options = ExportOptions::new(catalog, source, registry(), world.clock.clone());
    options.egress = EgressPolicy::allowing(vec!["127.0.0.0/8".parse().unwrap()]);
    options.settings.tick = Duration::from_millis(2);
    world.export = Some(Export::start(options).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_what_the_store_holds_over_a_restart_of_everything() {
    let (mut world, receiver) = (World::new(0), Receiver::new().await);
    let store = world.influx("central", &receiver);
    let file = world.dir.path().join("events.db");
    let mut events = EventStore::open(&file, EventStoreOptions::default(), world.clock.clone()).unwrap();
    start(&mut world, &events).await;
    let mut sent = 0;
    for n in 0..6 {
        submit(&events, world.project, "a", 3 + n).await;
        submit(&events, world.project, if n % 2 == 0 { "b" } else { "c" }, 2).await;
        sent += 5 + n;
        if n == 3 {
            world.kill().await;
            events.close();
            drop(events);
            // Back after a while, with a clock that was set back a little.
            world.clock.set(Instant::from_seconds(T0 + 60 * 3 - 2));
            events = EventStore::open(&file, EventStoreOptions::default(), world.clock.clone()).unwrap();
            start(&mut world, &events).await;
        }
        world.clock.set(Instant::from_seconds(T0 + 60 * (n as u64 + 1) + 1));
        a_while().await;
    }
    world.clock.advance(60);
    world.until_confirmed(store, 7).await;
    let sum: f64 = receiver.points().values().sum();
    assert_eq!(sum, sent as f64);
    events.close();
}
