//! Adapters that spin, trap, grow without end or stray: each is stopped at its limit, its own store says so in words, and the
//! stores beside it hold every window exactly.

use crate::world::{self, PATIENCE, PROJECT};
use serde_json::{Value as Json, json};
use std::time::Duration;
use tidegate_tests::generator::Generator;
use tidegate_tests::guests;
use tidegate_tests::http;
use tidegate_tests::receiver::Receiver;
use tidegate_tests::scratch::Scratch;
use tidegate_tests::servers::Influxd;
use tidegate_tests::wait;

/// Each guest, and what the operator must be told: the limit, or the rule.
const GUESTS: [(&str, &[&str]); 6] = [
    ("spin", &["one call may take 1000 ms"]),
    ("spin-page", &["one call may take 1000 ms"]),
    ("trap", &["crashed"]),
    ("greedy", &["asked for 1", "the limit is 67108864 bytes"]),
    ("flood", &["the limit is 67108864 bytes"]),
    ("stray", &["broke the contract", "elsewhere"]),
];

#[test]
fn a_hostile_adapter_is_stopped_its_store_says_so_and_the_others_go_on_exactly() {
    let scratch = Scratch::new("hostile");
    let folder = scratch.folder("adapters");
    guests::install(&[GUESTS.map(|(name, _)| name).as_slice(), &["chatter"]].concat(), &folder);
    // A file that is no adapter at all must not keep the host from starting.
    std::fs::write(folder.join("broken.wasm"), b"\0asm but nothing else").expect("written");
    let receiver = Receiver::start(|_| (204, String::new()));
    let influxd = Influxd::start(&scratch);
    let metrics = world::metrics();
    let tidegate = world::tidegate(&scratch).argument("--adapter-dir").argument(folder.display().to_string()).start();
    let mut stores = vec![world::influx_store("good", &influxd, 1)];
    for guest in GUESTS.map(|(name, _)| name).into_iter().chain(["chatter"]) {
        let settings = if matches!(guest, "flood" | "chatter") { json!({"url": receiver.url()}) } else { json!({}) };
        stores.push(world::store(guest, guest, 1, settings));
    }
    tidegate.apply(&world::document(&metrics, &stores));

    let mut generator = Generator::new("hostile");
    let mut events = Vec::new();
    for _ in 0..20 {
        events.extend(tidegate.api().bulk_until_acknowledged(PROJECT, &generator.events(40)));
        std::thread::sleep(Duration::from_millis(300));
    }
    world::compare_with_influxdb(&influxd, &world::expected(&metrics, 1, &events));

    for (guest, told) in GUESTS {
        let status = wait::until(&format!("the store {guest} says what is wrong"), PATIENCE, || {
            let status = tidegate.api().store(PROJECT, guest)?["status"].clone();
            // Nothing runs in a pull adapter before somebody reads its page.
            if let Some(path) = status["pull_path"].as_str() {
                let answer = http::get(&tidegate.url(path)).send()?;
                assert!(answer.status >= 500 && answer.body.is_empty(), "a scraper of {guest} got {answer}");
            }
            if status["state"] == "adapter-fault" { Ok(status) } else { Err(status.to_string()) }
        });
        let problem = status["problem"].as_str().unwrap_or_default();
        for part in told {
            assert!(problem.contains(part), "the status of {guest} does not name {part:?}: {status}");
        }
        assert_eq!(status["deliveries"]["confirmed"], 0, "{guest}: {status}");
    }
    assert!(receiver.received().is_empty(), "something of flood or chatter went out");
    // The SDK itself keeps this one from breaking the limit: its windows are refused, and that is told.
    let status = tidegate.api().store(PROJECT, "chatter").expect("the store is there")["status"].clone();
    assert!(status["problem"].as_str().is_some_and(|p| p.contains("200 requests") && p.contains("64")), "{status}");
    assert!(status["deliveries"]["rejected"].as_u64() > Some(0) && status["deliveries"]["confirmed"] == 0, "{status}");
    assert!(
        !matches!(status["state"].as_str(), Some("waiting" | "ok")),
        "the state hides that nothing arrives: {status}"
    );
    let good: Json = tidegate.api().store(PROJECT, "good").expect("the store is there")["status"].clone();
    assert_eq!(good["state"], "ok", "{good}");
    assert_eq!(good["problem"], Json::Null, "{good}");
}
