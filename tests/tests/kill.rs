//! The host is killed at random moments while events flow and the receivers stop, stall, refuse and lose their replies: afterwards
//! no event is missing and none is there twice.

use crate::restore;
use crate::world::{self, PROJECT};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tidegate_tests::api::Api;
use tidegate_tests::gate::{Gate, Way};
use tidegate_tests::generator::Generator;
use tidegate_tests::note;
use tidegate_tests::oracle::{Acknowledged, Cell, Expected};
use tidegate_tests::points::Points;
use tidegate_tests::scratch::Scratch;
use tidegate_tests::servers::{Graphite, Influxd};
use tidegate_tests::spelling;
use tidegate_tests::tidegate::Tidegate;
use tidegate_tests::wait::{self, StopAtEnd};

const PERIOD: u64 = 2;
/// As many as `TIDEGATE_KILLS` says, which is how `make soak` makes them a thousand.
const KILLS: u32 = 50;
const SENDERS: u64 = 3;
/// The set whose metrics go to carbon.
const FEW: &str = "few";

/// What can be done to a real server.
struct Hands<S> {
    stop: fn(&mut S),
    start: fn(&mut S),
    halt: fn(&S),
    go_on: fn(&S),
}

const ON_INFLUXD: Hands<Influxd> =
    Hands { stop: Influxd::stop, start: Influxd::restart, halt: Influxd::halt, go_on: Influxd::go_on };
const ON_GRAPHITE: Hands<Graphite> =
    Hands { stop: Graphite::stop, start: Graphite::restart, halt: Graphite::halt, go_on: Graphite::go_on };

/// A server with a gate before it, and what it was made to suffer so far.
struct Sink<S> {
    name: &'static str,
    server: S,
    hands: Hands<S>,
    gate: Gate,
    is_stopped: bool,
    /// What is to come, in the order of chance; all of them come before any comes too often.
    deck: Vec<Trouble>,
    suffered: BTreeMap<Trouble, u32>,
}

/// How a sink fails until the next time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    None,
    Stopped,
    StandsStill,
    LetsNothingThrough,
    Refuses,
    LosesReplies,
}

const DECK: [Trouble; 12] = [
    Trouble::None,
    Trouble::None,
    Trouble::None,
    Trouble::None,
    Trouble::Stopped,
    Trouble::StandsStill,
    Trouble::StandsStill,
    Trouble::LetsNothingThrough,
    Trouble::Refuses,
    Trouble::Refuses,
    Trouble::LosesReplies,
    Trouble::LosesReplies,
];

impl<S> Sink<S> {
    fn new(name: &'static str, server: S, hands: Hands<S>, port: u16) -> Self {
        let gate = Gate::before(port);
        Self { name, server, hands, gate, is_stopped: false, deck: Vec::new(), suffered: BTreeMap::new() }
    }

    fn heal(&mut self) {
        (self.hands.go_on)(&self.server);
        if std::mem::take(&mut self.is_stopped) {
            (self.hands.start)(&mut self.server);
        }
        self.gate.set(Way::Open);
    }

    /// Lets it fail in a way that chance decides, until the next time.
    fn suffer(&mut self, generator: &mut Generator) {
        self.heal();
        if self.deck.is_empty() {
            self.deck.extend(DECK);
        }
        let place = usize::try_from(generator.below(self.deck.len() as u64)).unwrap_or(0);
        let trouble = self.deck.swap_remove(place);
        match trouble {
            Trouble::None => {}
            Trouble::Stopped => {
                self.gate.set(Way::Refuses);
                (self.hands.stop)(&mut self.server);
                self.is_stopped = true;
            }
            Trouble::StandsStill => (self.hands.halt)(&self.server),
            Trouble::LetsNothingThrough => self.gate.set(Way::Stalls),
            Trouble::Refuses => self.gate.set(Way::Refuses),
            Trouble::LosesReplies => self.gate.set(Way::LosesReplies),
        }
        *self.suffered.entry(trouble).or_default() += 1;
    }

    /// Lets it lose replies until it has lost one at least.
    fn lose_a_reply(&mut self) {
        self.heal();
        self.gate.set(Way::LosesReplies);
        let lost = || if self.gate.lost() > 0 { Ok(()) } else { Err("none".to_owned()) };
        wait::until(&format!("{} has lost a reply", self.name), world::PATIENCE, lost);
    }

    fn tell(&self) {
        let (lost, refused) = (self.gate.lost(), self.gate.refused());
        note(&format!("{}: {:?}; {lost} replies lost, {refused} connections refused", self.name, self.suffered));
    }
}

#[test]
fn after_fifty_kills_every_acknowledged_event_is_in_exactly_one_window() {
    let kills = std::env::var("TIDEGATE_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(KILLS);
    let scratch = Scratch::new("kill");
    let influxd = Influxd::start(&scratch);
    // A kill takes some seconds; carbon forgets what is older than this.
    let graphite = Graphite::keeping(&scratch, 1 + u64::from(kills) / 250);
    let (port, lines) = (influxd.port(), graphite.port());
    let mut influx = Sink::new("InfluxDB", influxd, ON_INFLUXD, port);
    let mut carbon = Sink::new("carbon", graphite, ON_GRAPHITE, lines);
    // Several senders at once share commits, and with them arrival times; what came first among equals, only the host knows.
    let mut metrics = world::metrics();
    metrics.iter_mut().for_each(|m| m.fold.retain(|(_, aggregate)| !matches!(*aggregate, "first" | "last")));
    let few = world::few_metrics();
    let mut tidegate = world::tidegate(&scratch).argument("--backup-every").argument("86400").start();
    let mut store = world::influx_store("central", &influx.server, PERIOD);
    store["settings"]["url"] = format!("http://127.0.0.1:{}", influx.gate.port()).into();
    let settings = json!({"host": "127.0.0.1", "port": carbon.gate.port(), "style": "path", "prefix": "kill"});
    let mut by_lines = world::store("lines", "graphite", PERIOD, settings);
    by_lines["metric_sets"] = json!([FEW]);
    let mut document = world::document(&metrics, &[store, by_lines]);
    let listed: Vec<_> = few.iter().map(|m| json!({"name": m.name, "query": m.query()})).collect();
    let sets = document["projects"][0]["metric_sets"].as_array_mut().expect("the document has sets");
    sets.push(json!({"name": FEW, "metrics": listed}));
    tidegate.apply(&document);

    let mut generator = Generator::new("kill");
    let stop = AtomicBool::new(false);
    let api = tidegate.api();
    let events: Vec<Acknowledged> = std::thread::scope(|scope| {
        let (stop, api) = (&stop, &api);
        let senders: Vec<_> = (0..SENDERS).map(|n| generator.branch(n)).collect();
        // As many events at the end of a long run as of a short one: the count by hand goes over all of them for each window.
        let pause = 60 * u64::from(kills.div_ceil(KILLS));
        let send = |g| scope.spawn(move || send_until(stop, api, g, pause));
        let sending: Vec<_> = senders.into_iter().map(send).collect();
        let end = StopAtEnd(stop);
        for kill in 1..=kills {
            // Sometimes it is killed before it is ready, sometimes long after; a period lies between the two. A start compiles all
            // adapters, which on a busy machine takes longer than any pause here, so some starts are waited for.
            if generator.below(3) == 0 {
                tidegate.wait_until_ready();
            }
            std::thread::sleep(Duration::from_millis(100 + generator.below(2400)));
            tidegate.kill();
            influx.suffer(&mut generator);
            carbon.suffer(&mut generator);
            tidegate.launch();
            if kill % 100 == 0 {
                note(&format!("{kill} kills"));
            }
        }
        tidegate.wait_until_ready();
        influx.lose_a_reply();
        carbon.lose_a_reply();
        influx.heal();
        carbon.heal();
        drop(end);
        sending.into_iter().flat_map(|s| s.join().expect("the sender has not failed")).collect()
    });

    let expected = world::expected(&metrics, PERIOD, &events);
    let windows = world::compare_with_influxdb(&influx.server, &expected);
    let sum = influx.server.points().expect("InfluxDB answers").sum("errors.count__tx");
    note(&format!("{} events in {windows} windows, {} of them busy", events.len(), expected.busy_windows().len()));
    let acknowledged = events.len() as f64;
    assert_eq!(sum, acknowledged, "the sum of the counts differs from the number of acknowledged events");

    let expected = Expected { metric_set: FEW, metrics: &few, ..expected };
    let path = |e: &Expected<'_>, c: &Cell<'_>| spelling::graphite_path(e, c, "kill");
    let right = |ends: &BTreeSet<u64>| expected.points(ends, path);
    let read = || carbon.server.points_of(&["kill.web_shop.few.errors.*", "kill.web_shop.few.by_type.*.*"]);
    let errors = "kill.web_shop.few.errors.count__tx";
    world::compare_points("carbon", &expected, errors, read, right, Points::difference);
    let sum = read().expect("graphite-web answers").sum(errors);
    assert_eq!(sum, acknowledged, "the sum of the counts in carbon differs from the number of acknowledged events");

    let gaps = tidegate.api().get(&["ledger", "gaps"]);
    assert_eq!(gaps["gaps"], json!([]), "nothing was old enough to expire");
    note(&format!("{kills} kills: {acknowledged} events acknowledged, and as many in InfluxDB and in carbon"));
    influx.tell();
    carbon.tell();
    assert!(expected.busy_windows().len() >= 10, "too few windows had events for this to mean anything");
    world::no_errors_in_the_log(&tidegate);
    the_changes_since_the_backup_lead_to_what_is_there(&mut tidegate, &expected.busy_windows(), events.len() as u64);
}

/// A backup was made at the start, and every change after it is kept through all kills: a restore to the end gives back all of it.
fn the_changes_since_the_backup_lead_to_what_is_there(
    tidegate: &mut Tidegate,
    ends: &BTreeSet<u64>,
    acknowledged: u64,
) {
    let recorded = |tidegate: &Tidegate| -> Vec<Json> {
        let digests = |end: &u64| {
            let second = (end - 1).to_string();
            let window = &tidegate.api().get(&["projects", PROJECT, "metric-sets", FEW, "windows", &second]);
            let window = &window["windows"][0];
            assert!(window["digest"].is_string(), "{window}");
            json!([window["digest"], window["deliveries"]])
        };
        ends.iter().map(digests).collect()
    };
    assert_eq!(restore::events(tidegate), acknowledged);
    let before = recorded(tidegate);
    note(&format!("{} backups; the changes since the last lead over the kills", restore::backups(tidegate).len()));
    let told = restore::go_back(tidegate, restore::now() + 1);
    assert!(told["as-of"].is_string(), "{told}");
    assert_eq!(restore::events(tidegate), acknowledged, "events that were acknowledged are not in the changes");
    assert!(before == recorded(tidegate), "the ledger of the changes is another one");
    let said = tidegate.cli(&["ledger", "verify"]);
    assert!(said.contains("sound"), "{said}");
}

/// Sends small bulks, each again and again until it is acknowledged, with pauses of up to so many milliseconds.
fn send_until(stop: &AtomicBool, api: &Api, mut generator: Generator, pause: u64) -> Vec<Acknowledged> {
    let mut acknowledged = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        let count = usize::try_from(generator.below(30)).unwrap_or(0) + 1;
        acknowledged.extend(api.bulk_until_acknowledged(PROJECT, &generator.events(count)));
        std::thread::sleep(Duration::from_millis(generator.below(pause)));
    }
    acknowledged
}
