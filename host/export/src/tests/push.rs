//! Push delivery through the InfluxDB adapter, against a receiver that behaves and misbehaves as told.

use super::receiver::Answer;
use super::*;
use crate::PreviewMessage;
use std::collections::BTreeMap;

/// What the receiver must hold after `windows` windows of `rows` rows.
fn oracle(world: &World, windows: std::ops::Range<u64>, rows: u32) -> BTreeMap<(String, u64), f64> {
    let mut points = BTreeMap::new();
    for window in windows.map(|n| world.window(n)) {
        for row in 0..rows {
            let series = format!("errors,d=v{row},metric_set=crashes,project=web");
            points.insert((series, window.end().seconds()), Table::value(window, row));
        }
    }
    points
}

#[tokio::test(flavor = "multi_thread")]
async fn each_window_arrives_once_with_the_values_of_the_source_and_its_own_stamp() {
    let (mut world, receiver) = (World::new(3), Receiver::new().await);
    let store = world.influx("central", &receiver);
    world.start().await;
    world.until_state(store, StoreState::Waiting).await;
    for n in 1..=4 {
        world.clock.set(Instant::from_seconds(T0 + 60 * n));
        let status = world.until_confirmed(store, n).await;
        assert_eq!(status.last_window_end, Some(world.window(n - 1).end()));
    }
    let status = world.until_state(store, StoreState::Ok).await;
    assert_eq!((status.deliveries.accepted_rows, status.problem), (12, None));
    assert_eq!(receiver.points(), oracle(&world, 0..4, 3));
    assert_eq!(receiver.got().len(), 4);
    assert!(receiver.got()[0].head.starts_with("POST /write?"), "{:?}", receiver.got()[0].head);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_asks_for_thirty_seconds_gets_them_and_then_the_same_bytes() {
    let (mut world, receiver) = (World::new(2), Receiver::new().await);
    let store = world.influx("central", &receiver);
    receiver.script([Answer::Say("429 Too Many Requests", "retry-after: 30\r\n", String::new())]);
    world.clock.set(Instant::from_seconds(T0 + 60));
    world.start().await;
    world.until_state(store, StoreState::Retrying).await;
    world.clock.advance(29);
    a_while().await;
    assert_eq!(receiver.got().len(), 1, "not before its time");
    world.clock.advance(10);
    world.until_confirmed(store, 1).await;
    let got = receiver.got();
    assert_eq!((got.len(), &got[0].body), (2, &got[1].body));
    assert_eq!(receiver.points(), oracle(&world, 0..1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_sent_in_halves_and_the_next_window_begins_with_what_fitted() {
    let (mut world, receiver) = (World::new(8), Receiver::new().await);
    let store = world.influx("central", &receiver);
    receiver.rule(|got| (got.body.lines().count() > 3).then(|| Answer::status("413 Payload Too Large")));
    world.clock.set(Instant::from_seconds(T0 + 60));
    world.start().await;
    world.until_confirmed(store, 1).await;
    let first = receiver.got().len();
    assert_eq!(first, 1 + 2 + 4, "8, 4, 2, 2, 4, 2, 2");
    world.clock.advance(60);
    let status = world.until_confirmed(store, 2).await;
    assert_eq!(receiver.got().len() - first, 4, "four parts that fit, at once");
    assert_eq!((status.deliveries.accepted_rows, status.deliveries.rejected_rows), (16, 0));
    assert_eq!(receiver.points(), oracle(&world, 0..2, 8));
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_credentials_stop_the_store_until_they_are_changed_and_nothing_shows_them() {
    let (mut world, receiver) = (World::new(2), Receiver::new().await);
    let store = world.influx("central", &receiver);
    receiver.rule(|got| {
        let right = got.head.contains("d3JpdGVyOnRoZSBuZXcgb25lIQ==");
        let echo =
            format!("{{\"error\":\"authorization failed for writer:{CANARY} as in {}\"}}", got.head.replace('"', "'"));
        (!right).then(|| {
            Answer::Say("401 Unauthorized", "x-influxdb-error: authorization failed\r\n", echo.replace("\r\n", " "))
        })
    });
    world.clock.set(Instant::from_seconds(T0 + 60));
    world.start().await;
    let status = world.until_state(store, StoreState::Credentials).await;
    world.clock.advance(60);
    a_while().await;
    assert_eq!(receiver.got().len(), 1, "no knocking");
    assert!(receiver.got()[0].head.contains("Basic "), "{:?}", receiver.got());
    world.put("central", "influxdb", &influx(&receiver, "the new one!"), &[world.set], false);
    let well = world.until_confirmed(store, 2).await;
    assert_eq!(receiver.points(), oracle(&world, 0..2, 2));
    let preview = world.export().preview_store(store).await.unwrap();
    let shown = format!("{status:?} {well:?} {preview:?} {}", serde_json::to_string(&status).unwrap());
    let log = String::from_utf8(log().lock().unwrap().clone()).unwrap();
    assert!(status.summary.contains("refuses the credentials"), "{}", status.summary);
    assert!(log.contains("the credentials were refused"), "the log is on the tape");
    let encoded = ["d3JpdGVyOmNhbmFyeS05ZjNiLXNlY3JldA", "Y2FuYXJ5LTlmM2Itc2VjcmV0"];
    for form in encoded.into_iter().chain([CANARY, "canary", "the new one!"]) {
        assert!(!shown.contains(form), "{form} in {shown}");
        assert!(!log.contains(form), "{form} in the log: {:?}", log.lines().find(|l| l.contains(form)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_row_is_rejected_by_name_and_the_others_go_through() {
    let (mut world, receiver) = (World::new(16), Receiver::new().await);
    let store = world.influx("central", &receiver);
    let refusal = "{\"error\":\"unable to parse 'errors': bad field\"}";
    receiver
        .rule(move |got| got.body.contains("d=v11,").then(|| Answer::Say("400 Bad Request", "", refusal.to_owned())));
    world.clock.set(Instant::from_seconds(T0 + 60));
    world.start().await;
    let status = world.until_confirmed(store, 1).await;
    assert_eq!((status.deliveries.accepted_rows, status.deliveries.rejected_rows), (15, 1));
    let mut wanted = oracle(&world, 0..1, 16);
    wanted.retain(|(series, _), _| !series.contains("d=v11,"));
    assert_eq!(receiver.points(), wanted);
    let sql = "SELECT rejections FROM deliveries";
    let kept: String = world.catalog.db().read(|c| c.query_row(sql, [], |r| r.get(0))).unwrap();
    assert!(kept.contains("d=v11") && kept.contains("unable to parse"), "{kept}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_answered_500_whenever_it_comes_is_found_after_two_equal_answers_and_the_others_go_through() {
    let (mut world, receiver) = (World::new(8), Receiver::new().await);
    let store = world.influx("central", &receiver);
    receiver.rule(|got| got.body.contains("d=v3,").then(|| Answer::status("500 Internal Server Error")));
    world.clock.set(Instant::from_seconds(T0 + 60));
    world.start().await;
    for tries in [1, 2] {
        world.until_state(store, StoreState::Retrying).await;
        a_while().await;
        assert_eq!(receiver.got().len(), tries);
        world.clock.advance(10);
        a_while().await;
    }
    let status = world.until_confirmed(store, 1).await;
    assert_eq!((status.deliveries.accepted_rows, status.deliveries.rejected_rows), (7, 1));
    let mut expected = oracle(&world, 0..1, 8);
    expected.retain(|(series, _), _| !series.contains("d=v3,"));
    assert_eq!(receiver.points(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_answers_500_to_everything_for_a_while_loses_no_row() {
    let (mut world, receiver) = (World::new(8), Receiver::new().await);
    let store = world.influx("central", &receiver);
    receiver.rule(|_| Some(Answer::status("500 Internal Server Error")));
    world.clock.set(Instant::from_seconds(T0 + 60));
    world.start().await;
    for _ in 0..5 {
        world.until_state(store, StoreState::Retrying).await;
        a_while().await;
        world.clock.advance(8);
    }
    assert!(receiver.got().len() > 5, "it was taken apart: {}", receiver.got().len());
    receiver.rule(|_| None);
    // After several failures in a row it is set aside for up to two minutes; two more windows end meanwhile.
    world.clock.advance(130);
    let status = world.until_confirmed(store, 3).await;
    assert_eq!((status.deliveries.accepted_rows, status.deliveries.rejected_rows), (24, 0));
    assert_eq!(receiver.points(), oracle(&world, 0..3, 8));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_store_runs_into_its_deadline_and_delays_nobody_else() {
    let (world, hanging, well) = (World::new(2), Receiver::new().await, Receiver::new().await);
    let mut world = world.with(|o| o.settings.request_time = Duration::from_millis(200));
    hanging.rule(|_| Some(Answer::Hang));
    let (stuck, quick) = (world.influx("stuck", &hanging), world.influx("quick", &well));
    world.start().await;
    for n in 1..=3 {
        world.clock.set(Instant::from_seconds(T0 + 60 * n));
        world.until_confirmed(quick, n).await;
    }
    let status = world.until(stuck, |s| s.problem.is_some()).await;
    assert!(status.problem.unwrap().contains("timed out"), "{}", status.summary);
    assert_eq!(status.deliveries.confirmed, 0);
    assert_eq!(well.points(), oracle(&world, 0..3, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_breaks_connections_and_then_recovers_gets_everything_in_order() {
    let (mut world, receiver) = (World::new(2), Receiver::new().await);
    let store = world.influx("central", &receiver);
    receiver.script([Answer::Reset, Answer::status("503 Service Unavailable"), Answer::Reset]);
    world.start().await;
    for n in 1..=6 {
        world.clock.set(Instant::from_seconds(T0 + 60 * n));
        a_while().await;
    }
    world.clock.advance(20);
    world.until_confirmed(store, 6).await;
    assert_eq!(receiver.points(), oracle(&world, 0..6, 2));
    let accepted = receiver.got().split_off(3);
    let stamp = |body: &str| body.lines().next().unwrap().rsplit(' ').next().unwrap().parse::<u64>().unwrap();
    // What is live goes first; what is behind it, from the oldest on.
    let mut newest = 0;
    let mut made_up: Vec<u64> = accepted.iter().map(|got| stamp(&got.body)).collect();
    made_up.retain(|stamp| {
        let live = *stamp > newest;
        newest = newest.max(*stamp);
        !live
    });
    assert!(made_up.is_sorted(), "{accepted:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_was_sent_when_the_process_died_is_sent_again_to_the_byte() {
    let (mut world, receiver) = (World::new(3), Receiver::new().await);
    let store = world.influx("central", &receiver);
    receiver.script([Answer::Hang]);
    world.clock.set(Instant::from_seconds(T0 + 60));
    world.start().await;
    receiver.until_got(1).await;
    world.kill().await;
    // What the source would say now must not matter any more.
    world.table.rows.store(9, Ordering::SeqCst);
    world.start().await;
    world.until_confirmed(store, 1).await;
    let got = receiver.got();
    assert_eq!((got.len(), &got[0].body), (2, &got[1].body));
    assert_eq!(receiver.points(), oracle(&world, 0..1, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resend_whose_bytes_differ_is_refused_and_said_so() {
    let (mut world, receiver) = (World::new(3), Receiver::new().await);
    let store = world.influx("central", &receiver);
    receiver.script([Answer::status("503 Service Unavailable")]);
    world.clock.set(Instant::from_seconds(T0 + 60));
    world.start().await;
    world.until_state(store, StoreState::Retrying).await;
    let other = "UPDATE deliveries SET action_digest = zeroblob(32)";
    world.catalog.db().write(|t| t.execute(other, [])).unwrap();
    world.clock.advance(5);
    let status = world.until(store, |s| s.deliveries.rejected == 1).await;
    assert_eq!(receiver.got().len(), 1, "it was not sent");
    let problem = world.until(store, |s| s.problem.is_some()).await.problem.unwrap();
    assert!(problem.contains("another request of the same window"), "{problem}");
    assert_eq!(status.deliveries.queued, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_delivered_within_the_look_back_expires_with_a_reason_and_the_rest_goes_on() {
    let (world, receiver) = (World::new(1), Receiver::new().await);
    let mut world = world.with(|o| o.settings.look_back = Duration::from_secs(600));
    let store = world.influx("central", &receiver);
    receiver.rule(|_| Some(Answer::status("503 Service Unavailable")));
    world.clock.set(Instant::from_seconds(T0 + 60));
    world.start().await;
    world.until_state(store, StoreState::Retrying).await;
    for _ in 0..12 {
        world.clock.advance(60);
        a_while().await;
    }
    receiver.rule(|_| None);
    world.clock.advance(60);
    let status = world.until(store, |s| s.deliveries.queued == 0 && s.deliveries.confirmed > 0).await;
    assert_eq!(status.deliveries.confirmed + status.deliveries.expired, 14, "{status:?}");
    assert!(status.deliveries.expired >= 3, "{status:?}");
    let sql = "SELECT problem FROM deliveries WHERE state = 'expired' LIMIT 1";
    let reason: String = world.catalog.db().read(|c| c.query_row(sql, [], |r| r.get(0))).unwrap();
    assert!(reason.starts_with("not delivered within") && reason.contains("HTTP 503"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_store_queues_and_catches_up_when_it_goes_on() {
    let (mut world, receiver) = (World::new(2), Receiver::new().await);
    let store = world.influx("central", &receiver);
    world.catalog.edit(|e| e.set_paused(store, true)).unwrap();
    world.start().await;
    world.clock.set(Instant::from_seconds(T0 + 180));
    let status = world.until(store, |s| s.deliveries.queued == 3).await;
    assert_eq!(status.state, StoreState::Paused);
    assert_eq!(receiver.got(), []);
    world.catalog.edit(|e| e.set_paused(store, false)).unwrap();
    world.until_confirmed(store, 3).await;
    assert_eq!(receiver.points(), oracle(&world, 0..3, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_the_operator_does_not_allow_is_told_in_the_status() {
    let (world, receiver) = (World::new(1), Receiver::new().await);
    let mut world = world.with(|o| o.egress = EgressPolicy::default());
    let store = world.influx("central", &receiver);
    world.clock.set(Instant::from_seconds(T0 + 60));
    world.start().await;
    let status = world.until_state(store, StoreState::Misconfigured).await;
    assert!(status.summary.contains("127.0.0.1 is a loopback address"), "{}", status.summary);
    assert_eq!(receiver.got(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_shows_the_bytes_that_are_sent_next() {
    let (mut world, receiver) = (World::new(2), Receiver::new().await);
    let store = world.influx("central", &receiver);
    world.start().await;
    let early = world.export().preview_store(store).await.unwrap();
    assert!(early.parts[0].in_progress);
    assert_eq!(early.parts[0].window, world.window(0));
    world.catalog.edit(|e| e.set_paused(store, true)).unwrap();
    world.clock.set(Instant::from_seconds(T0 + 60));
    world.until(store, |s| s.deliveries.queued == 1).await;
    let preview = world.export().preview_store(store).await.unwrap();
    assert!(!preview.parts[0].in_progress);
    let PreviewMessage::Request { line, headers, body, .. } = &preview.parts[0].message else { panic!("{preview:?}") };
    assert!(headers.contains(&("authorization".to_owned(), "Basic writer:<password>".to_owned())), "{headers:?}");
    assert_eq!(receiver.got(), [], "a preview sends nothing");
    world.catalog.edit(|e| e.set_paused(store, false)).unwrap();
    world.until_confirmed(store, 1).await;
    let got = &receiver.got()[0];
    assert_eq!(got.body.as_bytes(), &body[..]);
    let path = got.head.split(' ').nth(1).unwrap();
    assert_eq!(*line, format!("POST http://127.0.0.1:{}{path}", receiver.port));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_delivers_what_is_due_and_the_next_start_has_nothing_to_send_again() {
    let (mut world, receiver) = (World::new(2), Receiver::new().await);
    let store = world.influx("central", &receiver);
    world.catalog.edit(|e| e.set_paused(store, true)).unwrap();
    world.start().await;
    world.clock.set(Instant::from_seconds(T0 + 120));
    world.until(store, |s| s.deliveries.queued == 2).await;
    world.catalog.edit(|e| e.set_paused(store, false)).unwrap();
    world.export().shutdown(Duration::from_secs(20)).await;
    assert_eq!(receiver.points(), oracle(&world, 0..2, 2));
    world.kill().await;
    world.start().await;
    a_while().await;
    assert_eq!(world.status(store).await.deliveries.confirmed, 2);
    assert_eq!(receiver.got().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_seals_the_projects_before_it_returns() {
    let (mut world, receiver) = (World::new(1), Receiver::new().await);
    let store = world.influx("central", &receiver);
    world.clock.set(Instant::from_seconds(T0 + 60));
    world.start().await;
    world.until_confirmed(store, 1).await;
    world.kill().await;
    world.table.sealed.store(0, Ordering::SeqCst);
    world.clock.set(Instant::from_seconds(T0 + 10));
    world.start().await;
    assert_eq!(world.table.sealed.load(Ordering::SeqCst), T0 + 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_of_a_metric_shows_its_last_windows_and_refuses_too_many() {
    let mut world = World::new(2);
    world.start().await;
    let query = tidegate_model::MetricQuery::parse(&json!({"fold": {"_tx": [["count"]]}})).unwrap().query;
    let shown = world.export().preview_metric(world.project, query.clone(), Period::default(), 3).await.unwrap();
    let starts: Vec<u64> = shown.iter().map(|(w, _)| w.start().seconds()).collect();
    assert_eq!(starts, [T0 - 120, T0 - 60, T0]);
    let refused = world.export().preview_metric(world.project, query, Period::default(), 1001).await.unwrap_err();
    assert_eq!(refused.to_string(), "a preview may have 1 to 1000 windows, 1001 were asked for");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_seal_there_is_no_start() {
    let (mut world, receiver) = (World::new(1), Receiver::new().await);
    let store = world.influx("central", &receiver);
    world.clock.set(Instant::from_seconds(T0 + 60));
    world.start().await;
    world.until_confirmed(store, 1).await;
    world.kill().await;
    world.table.broken.store(true, Ordering::SeqCst);
    let (catalog, clock) = (open(world.dir.path(), &world.clock), world.clock.clone());
    let refused = Export::start(ExportOptions::new(catalog, world.table.clone(), registry(), clock)).await.err();
    let told = refused.map(|e| e.to_string()).unwrap_or_default();
    assert!(told.starts_with("the events could not be sealed up to the last evaluated window"), "{told}");
}
