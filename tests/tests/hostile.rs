//! One adapter that commits every crime that a compiler lets it commit: each is stopped, the store says so in words with limit
//! and amount, a counter counts it, and the stores beside it hold every window exactly.

use crate::world::{self, PATIENCE, PROJECT};
use serde_json::{Value as Json, json};
use std::time::Duration;
use tidegate_tests::generator::Generator;
use tidegate_tests::guests;
use tidegate_tests::http;
use tidegate_tests::receiver::Receiver;
use tidegate_tests::scratch::Scratch;
use tidegate_tests::servers::Influxd;
use tidegate_tests::tidegate::Tidegate;
use tidegate_tests::wait;

/// Each crime, the state that the operator sees, what the status must say, and the kind under which it is counted.
const CRIMES: [(&str, &str, &[&str], Option<&str>); 18] = [
    ("spin", "adapter-fault", &["stopped after", "one call may take 1000 ms"], Some("deadline")),
    ("linger", "adapter-fault", &["stopped after", "one call may take 1000 ms"], Some("deadline")),
    ("trap", "adapter-fault", &["the adapter crashed"], Some("trap")),
    // Compilers keep a second stack in memory, which is the first to end.
    ("recurse", "adapter-fault", &["the adapter crashed", "out of bounds memory access"], Some("trap")),
    ("greedy", "adapter-fault", &["asked for 1", "the limit is 67108864 bytes"], Some("memory")),
    ("creep", "adapter-fault", &["asked for 67", "the limit is 67108864 bytes"], Some("memory")),
    ("flood", "adapter-fault", &["wrote 67", "the limit is 67108864 bytes"], Some("output")),
    ("stray", "adapter-fault", &["broke the contract", "\"elsewhere\" is not an HTTP endpoint"], Some("contract")),
    ("elsewhere", "adapter-fault", &["the path", "must start with /"], Some("contract")),
    ("climb", "adapter-fault", &["must not have . or .. as a segment"], Some("contract")),
    ("inject", "adapter-fault", &["must be printable ASCII; found U+000D"], Some("contract")),
    ("smuggle", "adapter-fault", &["header content-length is for the host alone to set"], Some("contract")),
    ("forge", "adapter-fault", &["header authorization carries credentials"], Some("contract")),
    ("overclaim", "adapter-fault", &["names row", "of metric 0, which has"], Some("contract")),
    // The SDK itself keeps this one from breaking the limit: its windows are refused, and that is told.
    ("chatter", "failing", &["201 requests", "64"], None),
    ("shout", "failing", &["\\u{1b}[2J\\u{202e}gone\\n{\"level\":\"ERROR\"} forged"], None),
    ("later", "retrying", &["not today"], None),
    ("again", "retrying", &["at once"], None),
];

fn crime(name: &str, receiver: &Receiver) -> Json {
    world::store(name, "evil", 1, json!({"crime": name, "url": receiver.url()}))
}

fn send_events(tidegate: &Tidegate, seconds: u64) -> Vec<tidegate_tests::oracle::Acknowledged> {
    let mut generator = Generator::new("hostile");
    let mut events = Vec::new();
    for _ in 0..seconds * 3 {
        events.extend(tidegate.api().bulk_until_acknowledged(PROJECT, &generator.events(40)));
        std::thread::sleep(Duration::from_millis(300));
    }
    events
}

#[test]
fn every_crime_is_stopped_told_and_counted_and_the_stores_beside_it_go_on_exactly() {
    let scratch = Scratch::new("hostile");
    let folder = scratch.folder("adapters");
    guests::install(&["evil", "spin-page"], &folder);
    // A file that is no adapter at all must not keep the host from starting.
    std::fs::write(folder.join("broken.wasm"), b"\0asm but nothing else").expect("written");
    let receiver = Receiver::start(|_| (204, String::new()));
    let influxd = Influxd::start(&scratch);
    let metrics = world::metrics();
    let tidegate = world::tidegate(&scratch).argument("--adapter-dir").argument(folder.display().to_string()).start();
    let mut stores = vec![
        world::influx_store("good", &influxd, 1),
        world::store("spin-page", "spin-page", 1, json!({})),
        crime("remember", &receiver),
    ];
    stores.extend(CRIMES.map(|(name, ..)| crime(name, &receiver)));
    tidegate.apply(&world::document(&metrics, &stores));
    let events = send_events(&tidegate, 7);
    world::compare_with_influxdb(&influxd, &world::expected(&metrics, 1, &events));

    for (name, state, told, _) in CRIMES {
        let status = wait::until(&format!("the store {name} says what is wrong"), PATIENCE, || {
            let status = tidegate.api().store(PROJECT, name)?["status"].clone();
            // A store that is tried again fails at last.
            let fits = status["state"] == state || (state == "retrying" && status["state"] == "failing");
            if fits { Ok(status) } else { Err(status.to_string()) }
        });
        let problem = status["problem"].as_str().unwrap_or_default();
        for part in told {
            assert!(problem.contains(part), "the status of {name} does not name {part:?}: {status}");
        }
        assert!(!problem.chars().any(char::is_control), "the status of {name} steers terminals: {status}");
        assert_eq!(status["deliveries"]["confirmed"], 0, "{name}: {status}");
    }
    for kind in ["deadline", "trap", "memory", "output", "contract"] {
        let series = format!("tidegate_adapter_faults_total{{kind=\"{kind}\"}}");
        let expected = CRIMES.iter().filter(|(.., counted)| *counted == Some(kind)).count();
        assert!(tidegate.api().own_metric(&series) >= expected as f64, "{series} is below {expected}");
    }
    // Nothing runs in a pull adapter before somebody reads its page.
    let page = tidegate.api().store(PROJECT, "spin-page").expect("the store is there")["status"]["pull_path"].clone();
    let answer = http::get(&tidegate.url(page.as_str().expect("a path"))).send().expect("an answer");
    assert!(answer.status >= 500 && answer.body.is_empty(), "a scraper got {answer}");
    let status = world::status_when(&tidegate, "spin-page", "says so", |s| s["state"] == "adapter-fault");
    assert!(status["problem"].as_str().is_some_and(|p| p.contains("one call may take 1000 ms")), "{status}");

    // The one request that was let out each time is that of the adapter that found no trace of an earlier call.
    let status = world::status_when(&tidegate, "remember", "delivers", |s| s["deliveries"]["confirmed"] != 0);
    assert_eq!(status["problem"], Json::Null, "{status}");
    assert!(receiver.received().iter().all(|r| r.path() == "/"), "something else went out");
    let forged = |line: &str| line.starts_with("{\"level\":\"ERROR\"} forged");
    assert!(
        !tidegate.log().lines().any(forged) && !tidegate.log().contains('\u{1b}'),
        "the log was written by a guest"
    );
    let good = tidegate.api().store(PROJECT, "good").expect("the store is there")["status"].clone();
    assert_eq!((&good["state"], &good["problem"]), (&json!("ok"), &Json::Null), "{good}");
}

#[test]
fn an_adapter_always_just_under_its_deadline_runs_out_of_its_minute_and_its_store_says_so_with_limit_and_use() {
    let scratch = Scratch::new("burn");
    let folder = scratch.folder("adapters");
    guests::install(&["evil"], &folder);
    let receiver = Receiver::start(|_| (204, String::new()));
    let tidegate = world::tidegate(&scratch)
        .argument("--adapter-dir")
        .argument(folder.display().to_string())
        // Each call is far below the one and a few of them above the other, however slow this machine is just now.
        .argument("--adapter-time=60000")
        .argument("--adapter-cpu=700")
        .start();
    let stores = [crime("burn", &receiver), crime("remember", &receiver)];
    tidegate.apply(&world::document(&world::few_metrics(), &stores));
    send_events(&tidegate, 5);
    let status = world::status_when(&tidegate, "burn", "has used up its minute", |status| {
        status["problem"].as_str().is_some_and(|p| p.contains("the limit is 700 ms"))
    });
    let problem = status["problem"].as_str().unwrap_or_default();
    assert!(
        problem.starts_with("the adapter used ") && problem.contains("ms of CPU time in the last minute"),
        "{status}"
    );
    assert_eq!(status["state"], "adapter-fault", "{status}");
    // What went out before the limit is not lost, what waits is not given up.
    let deliveries = &status["deliveries"];
    assert!(deliveries["confirmed"].as_u64() > Some(0) && deliveries["queued"].as_u64() > Some(0), "{status}");
    assert_eq!((&deliveries["rejected"], &deliveries["expired"]), (&json!(0), &json!(0)), "{status}");
    let limits = status["limits"].as_array().expect("limits");
    let minute = limits.iter().find(|limit| limit["name"] == "cpu-per-minute").expect("the limit of a minute");
    assert!(minute["limit"] == 700 && minute["used"].as_u64() >= Some(700), "{minute}");
    assert!(tidegate.api().own_metric("tidegate_adapter_faults_total{kind=\"cpu\"}") >= 1.0);
    let shown = tidegate.cli(&["store", "show", &format!("{PROJECT}/burn")]);
    assert!(shown.contains("cpu-per-minute") && shown.contains("of 700 ms"), "{shown}");
    // Who shares the server with it is served.
    world::status_when(&tidegate, "remember", "delivers", |s| s["deliveries"]["confirmed"].as_u64() >= Some(3));
}
