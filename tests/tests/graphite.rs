//! Graphite: the real carbon, read through graphite-web, a relay, and another product that takes its lines; and what happens when
//! connections break.

use crate::world::{self, PROJECT};
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;
use std::time::Duration;
use tidegate_tests::generator::Generator;
use tidegate_tests::lines::{Conduct, LineReceiver};
use tidegate_tests::oracle::{Cell, Expected, Metric};
use tidegate_tests::points::Points;
use tidegate_tests::scratch::Scratch;
use tidegate_tests::servers::{Graphite, Relay, VictoriaMetrics};
use tidegate_tests::spelling;
use tidegate_tests::wait;

const ERRORS: &str = "tidegate.web_shop.crashes__all.errors.count__tx";

fn store(name: &str, port: u16, more: &Json) -> Json {
    let mut settings = json!({"host": "127.0.0.1", "port": port});
    for (key, value) in more.as_object().into_iter().flatten() {
        settings[key] = value.clone();
    }
    world::store(name, "graphite", 2, settings)
}

/// Fewer series than elsewhere: graphite-web enters each into its index, which takes it some milliseconds.
fn metrics() -> Vec<Metric> {
    let all = world::metrics();
    ["errors", "by version=type", "by region", "rendering", "slow"]
        .iter()
        .flat_map(|name| all.iter().find(|m| m.name == *name).cloned())
        .collect()
}

#[test]
fn carbon_a_relay_and_victoria_metrics_hold_every_window_exactly() {
    let scratch = Scratch::new("graphite-store");
    let (graphite, relay, victoria) =
        (Graphite::start(&scratch), Relay::start(&scratch), VictoriaMetrics::start(&scratch));
    let raw = LineReceiver::start(|_| Conduct::Read);
    let metrics = metrics();
    let tidegate = world::tidegate(&scratch).start();
    let stores = [
        store("tags", graphite.port(), &json!({})),
        store("paths", graphite.port(), &json!({"style": "path", "prefix": "by.path"})),
        store("relayed", relay.port(), &json!({})),
        store("raw", raw.port(), &json!({})),
        store("other product", victoria.graphite_port(), &json!({})),
    ];
    tidegate.apply(&world::document(&metrics, &stores));
    let events = world::send_in_rounds(&tidegate, "graphite-store", 8, Duration::from_secs(5));
    let expected = world::expected(&metrics, 2, &events);

    let tagged = |ends: &BTreeSet<u64>| expected.points(ends, spelling::graphite);
    let below = |prefix: &'static str| {
        let graphite = &graphite;
        move || -> Result<Points, String> {
            let mut points = Points::default();
            for (point, value) in spelling::decoded(&graphite.points()?)?.iter() {
                if point.name.starts_with(prefix) {
                    points.insert(point.clone(), value)?;
                }
            }
            Ok(points)
        }
    };
    let windows = world::compare_points("carbon", &expected, ERRORS, below("tidegate."), tagged, Points::difference);
    assert!(windows > expected.busy_windows().len(), "no window without events among the {windows}");
    let path = |e: &Expected<'_>, c: &Cell<'_>| spelling::graphite_path(e, c, "by.path");
    let paths = |ends: &BTreeSet<u64>| expected.points(ends, path);
    let errors = ERRORS.replace("tidegate.", "by.path.");
    world::compare_points("carbon by paths", &expected, &errors, below("by.path."), paths, Points::difference);
    assert_eq!(graphite.bad_lines(), Vec::<String>::new());

    let read = || spelling::decoded(&victoria.points()?);
    let close = |held: &Points, right: &Points| held.difference_beyond(VictoriaMetrics::PRECISION, right);
    world::compare_points("VictoriaMetrics", &expected, ERRORS, read, tagged, close);
    for (counter, rows) in victoria.invalid_rows() {
        assert_eq!(rows, 0.0, "{counter}");
    }

    let read = || spelling::decoded(&raw.points()?);
    world::compare_points("a receiver of lines", &expected, ERRORS, read, tagged, Points::difference);
    // The relay cleans names: that it changed nothing shows that nothing was to be cleaned.
    wait::until("the relay gives out what the receiver got", world::PATIENCE, || {
        let (sent, relayed) = (raw.lines()?, relay.lines());
        let window = |line: &&String| {
            let end: Option<u64> = line.rsplit(' ').next().and_then(|end| end.parse().ok());
            end.is_some_and(|end| end <= *expected.busy_windows().last().expect("events"))
        };
        let [sent, relayed] = [&sent, &relayed].map(|lines| lines.iter().filter(window).collect::<BTreeSet<_>>());
        let different: Vec<_> = sent.symmetric_difference(&relayed).take(5).collect();
        if different.is_empty() && !sent.is_empty() { Ok(()) } else { Err(format!("{different:?}")) }
    });
    world::no_errors_in_the_log(&tidegate);
}

#[test]
fn whatever_becomes_of_a_connection_all_lines_arrive_and_the_same_ones_again() {
    let scratch = Scratch::new("graphite-faults");
    // Closed at once, closed in the middle, told something, read slowly.
    let hostile = LineReceiver::start(|number| match number {
        0 => Conduct::Refuse,
        1 => Conduct::CloseAfter(40),
        2 => Conduct::CloseAfter(1),
        3 => Conduct::Slow,
        _ => Conduct::Read,
    });
    let talking = LineReceiver::start(|_| Conduct::Say("ERROR not a carbon port\n"));
    let metrics = metrics();
    let tidegate = world::tidegate(&scratch).start();
    let stores = [store("hostile", hostile.port(), &json!({})), store("talking", talking.port(), &json!({}))];
    tidegate.apply(&world::document(&metrics, &stores));
    let events = tidegate.api().bulk_until_acknowledged(PROJECT, &Generator::new("graphite-faults").events(200));
    let expected = world::expected(&metrics, 2, &events);
    let tagged = |ends: &BTreeSet<u64>| expected.points(ends, spelling::graphite);
    let read = || spelling::decoded(&hostile.points()?);
    world::compare_points("the receiver", &expected, ERRORS, read, tagged, Points::difference);
    // A delivery that failed is sent again whole and the same: what arrived of it before is how the next one began.
    let connections = hostile.connections();
    let partial = connections.iter().filter(|c| !c.whole && !c.bytes.is_empty()).collect::<Vec<_>>();
    assert!(!partial.is_empty(), "no connection was cut");
    for part in partial {
        assert!(
            connections.iter().any(|c| c.whole && c.bytes.starts_with(&part.bytes)),
            "what was cut off never came again: {}",
            String::from_utf8_lossy(&part.bytes)
        );
    }
    let status = world::status_when(&tidegate, "talking", "the other side is no carbon", |s| s["problem"].is_string());
    assert!(status["problem"].as_str().is_some_and(|p| p.contains("not a carbon port")), "{status}");
}

#[test]
fn a_name_is_looked_up_for_each_connection_so_a_receiver_may_move() {
    let scratch = Scratch::new("moves");
    let old = LineReceiver::start(|_| Conduct::Read);
    let new = LineReceiver::start_at(&format!("127.0.0.2:{}", old.port()), |_| Conduct::Read);
    let hosts = scratch.file("hosts", "127.0.0.1 receiver.test\n");
    let tidegate = world::tidegate(&scratch).with_hosts(&hosts);
    let tidegate = tidegate.argument("--allow-egress").argument("127.0.0.2/32").start();
    let settings = json!({"host": "receiver.test", "port": old.port()});
    tidegate.apply(&world::document(&metrics()[..1], &[world::store("moving", "graphite", 1, settings)]));
    let windows = |receiver: &LineReceiver| Ok::<_, String>(receiver.points()?.len());
    let get = |receiver: &LineReceiver, least: usize| {
        wait::until("windows arrive", world::PATIENCE, || {
            let held = windows(receiver)?;
            if held >= least { Ok(()) } else { Err(format!("{held} windows")) }
        });
    };
    get(&old, 2);
    assert_eq!(windows(&new), Ok(0));
    std::fs::write(&hosts, "127.0.0.2 receiver.test\n").expect("the table can be written");
    get(&new, 2);
    // A name that leads nowhere is a reason of its own, and the windows wait.
    std::fs::write(&hosts, "").expect("the table can be written");
    let status = world::status_when(&tidegate, "moving", "the name leads nowhere", |s| s["problem"].is_string());
    assert!(status["problem"].as_str().is_some_and(|p| p.contains("\"receiver.test\" cannot be resolved")), "{status}");
    std::fs::write(&hosts, "127.0.0.1 receiver.test\n").expect("the table can be written");
    let before = windows(&old).expect("lines");
    get(&old, before + 2);
    let status = tidegate.api().store(PROJECT, "moving").expect("the store is there")["status"].clone();
    assert_eq!(
        (&status["deliveries"]["expired"], &status["deliveries"]["rejected"]),
        (&json!(0), &json!(0)),
        "{status}"
    );
}
