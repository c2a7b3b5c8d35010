//! What an adapter says of its sink and of a delivery that arrived: the order in which windows go out, and notes.

use super::receiver::Answer;
use super::*;

fn took(body: &str) -> Answer {
    Answer::Say("200 OK", "", body.to_owned())
}

/// The ends of the windows in the order in which they arrive at a sink that was away for the first four.
async fn arrivals_after_an_outage(
    adapter: &str,
    settings: impl Fn(&Receiver) -> Json,
    taken: Option<Answer>,
    stamp: impl Fn(&str) -> u64,
) -> Vec<u64> {
    let (mut world, receiver) = (World::new(2), Receiver::new().await);
    let store = world.put("central", adapter, &settings(&receiver), &[world.set], false);
    receiver.rule(|_| Some(Answer::status("503 Service Unavailable")));
    world.start().await;
    for n in 1..=4 {
        world.clock.set(Instant::from_seconds(T0 + 60 * n));
        world.until(store, |s| s.deliveries.queued == n && s.state == StoreState::Retrying).await;
    }
    // While the clock stands still, nothing more is tried.
    a_while().await;
    let refused = receiver.got().len();
    receiver.rule(move |_| taken.clone());
    world.clock.advance(59);
    world.until_confirmed(store, 4).await;
    receiver.got()[refused..].iter().map(|got| stamp(&got.body)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_must_be_given_windows_in_order_gets_the_oldest_first_after_an_outage() {
    assert!(registry().get("grafana").unwrap().description().push.in_order);
    let settings = |receiver: &Receiver| {
        let url = format!("http://127.0.0.1:{}/metrics", receiver.port);
        json!({"cluster": "dedicated", "url": url, "key": CANARY})
    };
    let stamp = |body: &str| {
        let points: Json = serde_json::from_str(body).unwrap();
        points[0]["time"].as_u64().unwrap()
    };
    let arrived = arrivals_after_an_outage("grafana", settings, Some(took("{}")), stamp).await;
    assert_eq!(arrived, [60, 120, 180, 240].map(|end| T0 + end));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_takes_windows_in_any_order_gets_the_live_one_first_after_an_outage() {
    assert!(!registry().get("influxdb").unwrap().description().push.in_order);
    let stamp = |body: &str| body.lines().next().unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    let settings = |receiver: &Receiver| influx(receiver, CANARY);
    let arrived = arrivals_after_an_outage("influxdb", settings, None, stamp).await;
    assert_eq!(arrived, [240, 60, 120, 180].map(|end| T0 + end));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_filter_of_the_sinks_leaves_out_is_a_note_with_the_delivery_in_the_log_and_in_the_status() {
    // A number of rows that no other test has, since they share the log.
    let (mut world, receiver) = (World::new(23), Receiver::new().await);
    let url = format!("http://127.0.0.1:{}/module/httptrap/c/{CANARY}", receiver.port);
    let store = world.put("broker", "circonus", &json!({"submission_url": url}), &[world.set], false);
    receiver.rule(|_| Some(took("{\"stats\":23,\"filtered\":34}")));
    world.start().await;
    for n in 1..=2 {
        world.clock.set(Instant::from_seconds(T0 + 60 * n));
        world.until_confirmed(store, n).await;
    }
    let told = "at least 17 of 23 values were filtered by Circonus";
    let status = world.until_state(store, StoreState::Ok).await;
    assert!(status.note.as_ref().is_some_and(|note| note.starts_with(told)), "{status:?}");
    assert_eq!((status.problem, status.deliveries.rejected_rows, status.deliveries.accepted_rows), (None, 0, 46));
    let sql = "SELECT count(*) FROM deliveries WHERE state = 'confirmed' AND problem LIKE ?1 || '%'";
    let kept: i64 = world.catalog.db().read(|c| c.query_row(sql, [told], |r| r.get(0))).unwrap();
    assert_eq!(kept, 2);
    let log = String::from_utf8(log().lock().unwrap().clone()).unwrap();
    assert_eq!(log.lines().filter(|l| l.contains("WARN") && l.contains(told)).count(), 1, "once, not with each window");
    // The filter was changed.
    receiver.rule(|_| Some(took("{\"stats\":23,\"filtered\":0}")));
    world.clock.advance(60);
    world.until_confirmed(store, 3).await;
    assert_eq!(world.status(store).await.note, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_age_that_a_sink_takes_ends_its_tries_and_no_other_stores() {
    let (mut world, receiver) = (World::new(1), Receiver::new().await);
    assert_eq!(registry().get("grafana").unwrap().description().push.look_back, Some(3_600));
    let settings =
        json!({"cluster": "dedicated", "url": format!("http://127.0.0.1:{}/metrics", receiver.port), "key": CANARY});
    let an_hour = world.put("an hour", "grafana", &settings, &[world.set], false);
    let longer = world.influx("longer", &receiver);
    receiver.rule(|_| Some(Answer::status("503 Service Unavailable")));
    world.clock.set(Instant::from_seconds(T0 + 60));
    world.start().await;
    for store in [an_hour, longer] {
        world.until_state(store, StoreState::Retrying).await;
    }
    // An hour after the end of the window, to the second.
    world.clock.set(Instant::from_seconds(T0 + 60 + 3_600));
    world.until(an_hour, |s| s.deliveries.expired > 0).await;
    let sql = "SELECT problem FROM deliveries WHERE state = 'expired' AND window_end = ?1";
    let why: String =
        world.catalog.db().read(|c| c.query_row(sql, [i64::try_from(T0 + 60).unwrap()], |r| r.get(0))).unwrap();
    assert!(why.starts_with("not delivered within 1 h") && why.contains("HTTP 503"), "{why}");
    assert_eq!(world.status(longer).await.deliveries.expired, 0);
}
