//! The host is killed at random moments while events flow and the receiver comes and goes: afterwards no event is missing and
//! none is there twice.

use crate::world::{self, PROJECT};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tidegate_tests::api::Api;
use tidegate_tests::generator::Generator;
use tidegate_tests::note;
use tidegate_tests::oracle::Acknowledged;
use tidegate_tests::scratch::Scratch;
use tidegate_tests::servers::Influxd;
use tidegate_tests::wait::StopAtEnd;

const PERIOD: u64 = 2;
/// As many as `TIDEGATE_KILLS` says, which is how `make soak` makes them a thousand.
const KILLS: u32 = 50;
const SENDERS: u64 = 3;

#[test]
fn after_fifty_kills_every_acknowledged_event_is_in_exactly_one_window() {
    let kills = std::env::var("TIDEGATE_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(KILLS);
    let scratch = Scratch::new("kill");
    let mut influxd = Influxd::start(&scratch);
    // Several senders at once share commits, and with them arrival times; what came first among equals, only the host knows.
    let mut metrics = world::metrics();
    metrics.iter_mut().for_each(|m| m.fold.retain(|(_, aggregate)| !matches!(*aggregate, "first" | "last")));
    let mut tidegate = world::tidegate(&scratch).start();
    tidegate.apply(&world::document(&metrics, &[world::influx_store("central", &influxd, PERIOD)]));

    let mut generator = Generator::new("kill");
    let stop = AtomicBool::new(false);
    let api = tidegate.api();
    let events: Vec<Acknowledged> = std::thread::scope(|scope| {
        let (stop, api) = (&stop, &api);
        let senders: Vec<_> = (0..SENDERS).map(|n| generator.branch(n)).collect();
        let sending: Vec<_> = senders.into_iter().map(|g| scope.spawn(move || send_until(stop, api, g))).collect();
        let end = StopAtEnd(stop);
        for kill in 1..=kills {
            // Sometimes it is killed before it is ready, sometimes long after; a period lies between the two. A start compiles all
            // adapters, which on a busy machine takes longer than any pause here, so some starts are waited for.
            if generator.below(3) == 0 {
                tidegate.wait_until_ready();
            }
            std::thread::sleep(Duration::from_millis(100 + generator.below(2400)));
            tidegate.kill();
            if generator.below(4) == 0 {
                influxd.stop();
                note(&format!("kill {kill}: InfluxDB is stopped"));
            } else if generator.below(2) == 0 {
                influxd.restart();
            }
            tidegate.launch();
        }
        influxd.restart();
        tidegate.wait_until_ready();
        drop(end);
        sending.into_iter().flat_map(|s| s.join().expect("the sender has not failed")).collect()
    });

    let expected = world::expected(&metrics, PERIOD, &events);
    let windows = world::compare_with_influxdb(&influxd, &expected);
    let sum = influxd.points().expect("InfluxDB answers").sum("errors.count__tx");
    note(&format!("{} events in {windows} windows, {} of them busy", events.len(), expected.busy_windows().len()));
    let acknowledged = events.len() as f64;
    assert_eq!(sum, acknowledged, "the sum of the counts differs from the number of acknowledged events");
    assert!(expected.busy_windows().len() >= 10, "too few windows had events for this to mean anything");
    world::no_errors_in_the_log(&tidegate);
}

/// Sends small bulks, each again and again until it is acknowledged.
fn send_until(stop: &AtomicBool, api: &Api, mut generator: Generator) -> Vec<Acknowledged> {
    let mut acknowledged = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        let count = usize::try_from(generator.below(30)).unwrap_or(0) + 1;
        acknowledged.extend(api.bulk_until_acknowledged(PROJECT, &generator.events(count)));
        std::thread::sleep(Duration::from_millis(generator.below(60)));
    }
    acknowledged
}
