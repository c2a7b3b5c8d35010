//! Logins of scrapers, and questions to sinks: through the real adapters that want them.

use super::receiver::Answer;
use super::*;
use crate::{PullAnswer, StoreCheck, WindowFilter};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_with_a_login_opens_to_it_alone_and_a_rotation_shuts_out_the_old_one() {
    let mut world = World::new(1);
    let store = world.put("page", "prometheus", &json!({"login": true}), &[world.set], false);
    world.start().await;
    let seen = |v: &crate::catalog::View<'_>| Ok((v.store(store)?.pull_token.unwrap(), v.pull_login(store)?.unwrap()));
    let (token, login) = world.catalog.read(seen).unwrap();
    world.clock.set(world.window(0).end());
    world.until(store, |s| s.last_window_end.is_some()).await;
    let good = basic(&login.user, login.password.expose());
    let pull = |token: String, header: Option<String>| {
        let export = Arc::clone(world.export());
        async move { export.pull(&token, vec![], header.as_deref()).await }
    };
    assert!(matches!(pull(token.clone(), Some(good.clone())).await, PullAnswer::Page { .. }));
    assert_eq!(pull(token.clone(), None).await, PullAnswer::Unauthorized);
    assert_eq!(pull(token.clone(), Some(basic(&login.user, "guess"))).await, PullAnswer::Unauthorized);
    // The login opens nothing without the URL.
    assert_eq!(pull("guess".to_owned(), Some(good.clone())).await, PullAnswer::NotFound);

    let adapter = registry().get("prometheus").unwrap();
    let (new_token, new) = world.catalog.edit(|e| e.rotate_pull(store, adapter.description())).unwrap();
    let (new, new_token) = (new.unwrap(), new_token.expose().to_owned());
    assert_eq!(pull(token, Some(good.clone())).await, PullAnswer::NotFound);
    assert_eq!(pull(new_token.clone(), Some(good)).await, PullAnswer::Unauthorized);
    let good = basic(&new.user, new.password.expose());
    assert!(matches!(pull(new_token.clone(), Some(good)).await, PullAnswer::Page { .. }));

    // The same settings again keep the login; without the wish for one it is gone.
    world.put("page", "prometheus", &json!({"login": true}), &[world.set], false);
    let kept = world.catalog.read(|v| v.pull_login(store)).unwrap().unwrap();
    assert_eq!(kept.user, new.user);
    world.put("page", "prometheus", &json!({}), &[world.set], false);
    assert!(world.catalog.read(|v| v.pull_login(store)).unwrap().is_none());
    assert!(matches!(pull(new_token, None).await, PullAnswer::Page { .. }));
}

fn datadog(receiver: &Receiver) -> Json {
    json!({"site": "custom", "url": format!("http://127.0.0.1:{}", receiver.port), "api_key": CANARY})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_asks_the_sink_and_tells_what_it_said() {
    let (mut world, receiver) = (World::new(1), Receiver::new().await);
    let store = world.put("dog", "datadog", &datadog(&receiver), &[], false);
    let other = world.influx("flux", &receiver);
    let page = world.put("page", "prometheus", &json!({}), &[], false);
    world.start().await;
    receiver.script([
        Answer::Say("200 OK", "content-type: application/json\r\n", "{\"valid\":true}".to_owned()),
        Answer::Say("403 Forbidden", "", format!("{{\"errors\":[\"Forbidden for {CANARY}\"]}}")),
        Answer::status("503 Service Unavailable"),
    ]);
    assert_eq!(world.export().check_store(store).await.unwrap(), StoreCheck::Holds);
    assert_eq!(receiver.got()[0].head.split(' ').nth(1), Some("/api/v1/validate"));
    let StoreCheck::Fails(why) = world.export().check_store(store).await.unwrap() else { panic!("it did not fail") };
    assert!(!why.contains(CANARY), "{why}");
    assert!(matches!(world.export().check_store(store).await.unwrap(), StoreCheck::Unclear(_)));
    if registry().get("influxdb").is_some_and(|a| a.description().push.look_back.is_none()) {
        // Whatever this sink offers, nothing was written to it.
        let _ = world.export().check_store(other).await.unwrap();
        assert!(receiver.points().is_empty());
    }
    let told = world.export().check_store(page).await.unwrap_err().to_string();
    assert!(told.contains("a scraper reads this store"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_the_sink_would_drop_unseen_expires_although_the_operator_would_wait_longer() {
    let (mut world, receiver) = (World::new(1), Receiver::new().await);
    let store = world.put("dog", "datadog", &datadog(&receiver), &[world.set], false);
    receiver.rule(|_| Some(Answer::status("503 Service Unavailable")));
    world.clock.set(Instant::from_seconds(T0 + 60));
    world.start().await;
    world.until_state(store, StoreState::Retrying).await;
    world.clock.set(Instant::from_seconds(T0 + 60 + 3_600));
    let status = world.until(store, |s| s.deliveries.expired > 0).await;
    assert_eq!(status.deliveries.confirmed, 0);
    let sql = "SELECT problem FROM deliveries WHERE state = 'expired' ORDER BY window_end LIMIT 1";
    let reason: String = world.catalog.db().read(|c| c.query_row(sql, [], |r| r.get(0))).unwrap();
    assert!(reason.starts_with("not delivered within 1 h"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_point_is_labelled_reaches_the_sink_and_leaves_nothing_in_the_ledger() {
    let (mut world, receiver) = (World::new(1), Receiver::new().await);
    let store = world.influx("flux", &receiver);
    let page = world.put("page", "prometheus", &json!({}), &[world.set], false);
    world.start().await;
    receiver.script([Answer::status("204 No Content"), Answer::Say("401 Unauthorized", "", format!("no {CANARY}"))]);
    let sent = world.export().test_store(store).await.unwrap();
    assert!(sent.accepted, "{sent:?}");
    assert_eq!((sent.status, sent.reason.as_deref(), sent.window.end()), (Some(204), None, world.window(0).start()));
    let got = receiver.got();
    assert!(got[0].body.starts_with("tidegate_test,") && got[0].body.contains("store=flux"), "{}", got[0].body);
    assert!(!format!("{:?}", sent.message).contains(CANARY));
    let refused = world.export().test_store(store).await.unwrap();
    assert!(!refused.accepted && refused.status == Some(401), "{refused:?}");
    assert!(!refused.reason.unwrap().contains(CANARY));
    let status = world.status(store).await;
    assert_eq!((status.deliveries.confirmed, status.deliveries.rejected, status.problem), (0, 0, None));
    let told = world.export().test_store(page).await.unwrap_err().to_string();
    assert!(told.contains("a scraper reads this store"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_of_a_store_tells_each_window_once_page_by_page() {
    let (mut world, receiver) = (World::new(2), Receiver::new().await);
    let (push, pull) =
        (world.influx("flux", &receiver), world.put("page", "prometheus", &json!({}), &[world.set], false));
    world.start().await;
    world.clock.set(world.window(2).end());
    world.until_confirmed(push, 3).await;
    world.until(pull, |s| s.last_window_end == Some(world.window(2).end())).await;
    let asked = |behind, most| WindowFilter { behind, most, ..WindowFilter::default() };
    for store in [push, pull] {
        let first = world.export().store_windows(store, asked(None, 2)).await.unwrap();
        let rest = world.export().store_windows(store, asked(Some(first[1].start), 2)).await.unwrap();
        let mut starts: Vec<_> = first.iter().chain(&rest).map(|w| w.start).collect();
        starts.sort_unstable();
        assert_eq!(starts, [T0, T0 + 60, T0 + 120]);
        for window in first.iter().chain(&rest) {
            assert_eq!((window.metric_set.as_str(), window.rows, window.kept), ("crashes", 2, true));
            let delivery = window.delivery.as_ref().map(|d| (d.state.as_str(), d.accepted_rows));
            assert_eq!(delivery, (store == push).then_some(("confirmed", 2)));
        }
        let oldest = |behind| WindowFilter { oldest_first: true, ..asked(behind, 2) };
        let first = world.export().store_windows(store, oldest(None)).await.unwrap();
        let rest = world.export().store_windows(store, oldest(Some(first[1].start))).await.unwrap();
        let starts: Vec<_> = first.iter().chain(&rest).map(|w| w.start).collect();
        assert_eq!(starts, [T0, T0 + 60, T0 + 120], "the oldest first, and none twice");
        let outcome = if store == push { "confirmed" } else { "evaluated" };
        let mid = (Some(T0 + 60), Some(T0 + 120));
        for (outcome, metric_set, (since, until), left) in [
            (Some(outcome), None, (None, None), 3),
            (Some("rejected"), None, (None, None), 0),
            (None, Some("crashes"), mid, 1),
            (Some(outcome), Some("other"), (None, None), 0),
            (None, None, (Some(T0 + 120), None), 1),
        ] {
            let (outcome, metric_set) = (outcome.map(str::to_owned), metric_set.map(str::to_owned));
            let filter = WindowFilter { since, until, outcome, metric_set, ..asked(None, 10) };
            let told = format!("{filter:?}");
            assert_eq!(world.export().store_windows(store, filter).await.unwrap().len(), left, "{told}");
        }
    }
    let recent = world.export().recent_outcomes(vec![push, pull], 2).await.unwrap();
    let told = |of: &[crate::Outcome]| of.iter().map(|o| (o.end, o.state.clone())).collect::<Vec<_>>();
    let ends = [T0 + 120, T0 + 180];
    assert_eq!(told(&recent[0]), ends.map(|end| (end, "confirmed".to_owned())));
    assert_eq!(told(&recent[1]), ends.map(|end| (end, "evaluated".to_owned())));
}
