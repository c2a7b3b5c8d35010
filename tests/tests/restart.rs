//! An orderly stop loses nothing, and what was due while the host was away is made up.

use crate::world::{self, PATIENCE, PROJECT};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tidegate_tests::generator::Generator;
use tidegate_tests::receiver::Receiver;
use tidegate_tests::scratch::Scratch;
use tidegate_tests::servers::Influxd;
use tidegate_tests::wait::{self, StopAtEnd};

const PERIOD: u64 = 2;

#[test]
fn a_stop_in_full_flow_loses_nothing_and_the_windows_of_the_absence_are_made_up() {
    let scratch = Scratch::new("restart");
    let influxd = Influxd::start(&scratch);
    let metrics = world::metrics();
    let mut tidegate = world::tidegate(&scratch).start();
    tidegate.apply(&world::document(&metrics, &[world::influx_store("central", &influxd, PERIOD)]));

    let (mut generator, stop) = (Generator::new("restart"), AtomicBool::new(false));
    let api = tidegate.api();
    let events = std::thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let mut events = Vec::new();
            while !stop.load(Ordering::SeqCst) {
                events.extend(api.bulk_until_acknowledged(PROJECT, &generator.events(50)));
            }
            events
        });
        let end = StopAtEnd(&stop);
        for _ in 0..3 {
            std::thread::sleep(Duration::from_millis(1500));
            tidegate.stop();
            // More than two windows pass while nobody is there.
            std::thread::sleep(Duration::from_secs(5));
            tidegate.restart();
        }
        std::thread::sleep(Duration::from_secs(1));
        drop(end);
        sending.join().expect("the sender has not failed")
    });

    let expected = world::expected(&metrics, PERIOD, &events);
    let windows = world::compare_with_influxdb(&influxd, &expected);
    assert!(windows >= expected.busy_windows().len() + 3, "windows without events are missing among the {windows}");
    world::no_errors_in_the_log(&tidegate);
}

#[test]
fn while_the_receiver_is_away_windows_queue_up_and_arrive_later() {
    let scratch = Scratch::new("outage");
    let mut influxd = Influxd::start(&scratch);
    let metrics = &world::metrics()[..4];
    let tidegate = world::tidegate(&scratch).start();
    tidegate.apply(&world::document(metrics, &[world::influx_store("central", &influxd, 1)]));
    let mut generator = Generator::new("outage");
    let mut events = tidegate.api().bulk_until_acknowledged(PROJECT, &generator.events(100));
    influxd.stop();
    for _ in 0..6 {
        events.extend(tidegate.api().bulk_until_acknowledged(PROJECT, &generator.events(100)));
        std::thread::sleep(Duration::from_secs(1));
    }
    let status = tidegate.api().store(PROJECT, "central").expect("the store is there")["status"].clone();
    assert!(status["problem"].is_string(), "the status hides that the receiver is away: {status}");
    assert!(status["deliveries"]["queued"].as_u64() > Some(0), "nothing is queued: {status}");
    influxd.restart();
    world::compare_with_influxdb(&influxd, &world::expected(metrics, 1, &events));
    let status = tidegate.api().store(PROJECT, "central").expect("the store is there")["status"].clone();
    assert_eq!(status["deliveries"]["expired"], 0, "{status}");
    assert_eq!(status["deliveries"]["rejected"], 0, "{status}");
}

#[test]
fn each_resend_of_a_window_is_the_same_bytes_also_after_a_kill() {
    let scratch = Scratch::new("resend");
    // Nothing is ever taken, so that everything is sent again.
    let receiver = Receiver::start(|_| (503, "not now".to_owned()));
    let mut tidegate = world::tidegate(&scratch).start();
    let settings =
        json!({"version": "1", "url": receiver.url(), "database": "m", "user": "w", "password": "p", "gzip": false});
    tidegate.apply(&world::document(&world::metrics(), &[world::store("central", "influxdb", 1, settings)]));
    let mut generator = Generator::new("resend");
    for _ in 0..3 {
        let _ = tidegate.api().bulk_until_acknowledged(PROJECT, &generator.events(200));
        let before = receiver.received().len();
        wait::until("the oldest window is sent again", PATIENCE, || {
            let now = receiver.received().len();
            if now >= before + 2 { Ok(()) } else { Err(format!("{now} requests, {before} before")) }
        });
        tidegate.kill();
        tidegate.restart();
    }
    let before = receiver.received().len();
    wait::until("the oldest window is sent again after the last kill", PATIENCE, || {
        let now = receiver.received().len();
        if now > before { Ok(()) } else { Err(format!("{now} requests")) }
    });
    let mut windows: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for request in receiver.received() {
        let body = String::from_utf8(request.body).expect("line protocol is text");
        let stamp = body.trim_end().rsplit(' ').next().unwrap_or_default().to_owned();
        windows.entry(stamp).or_default().push((request.line, body));
    }
    let repeated: usize = windows.values().map(Vec::len).filter(|n| *n > 1).sum();
    assert!(repeated >= 4, "too few requests were repeats: {repeated}");
    for (stamp, requests) in windows {
        assert!(requests.iter().all(|r| *r == requests[0]), "the requests for the window {stamp} differ");
    }
}
