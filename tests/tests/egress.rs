//! What a store may reach: loopback only if the operator allows it, and a redirect leads nowhere.

use crate::world::{self, PATIENCE, PROJECT};
use serde_json::{Value as Json, json};
use tidegate_tests::generator::Generator;
use tidegate_tests::receiver::Receiver;
use tidegate_tests::scratch::Scratch;
use tidegate_tests::tidegate::Tidegate;
use tidegate_tests::wait;

fn store(url: &str) -> Json {
    let settings =
        json!({"version": "1", "url": url, "database": "m", "user": "w", "password": {"env": "INFLUX_PASSWORD"}});
    world::store("central", "influxdb", 1, settings)
}

/// Lets a window with events pass and waits until the status of the store fits.
fn status_when(tidegate: &Tidegate, what: &str, fits: impl Fn(&Json) -> bool) -> Json {
    let _ = tidegate.api().bulk_until_acknowledged(PROJECT, &Generator::new("egress").events(20));
    wait::until(what, PATIENCE, || {
        let status = tidegate.api().store(PROJECT, "central")?["status"].clone();
        if fits(&status) { Ok(status) } else { Err(status.to_string()) }
    })
}

#[test]
fn without_a_rule_a_store_does_not_reach_loopback_and_its_status_names_the_rule_to_add() {
    let scratch = Scratch::new("denied");
    let receiver = Receiver::start(|_| (204, String::new()));
    let tidegate = world::tidegate(&scratch).without_egress_rule().start();
    tidegate.apply(&world::document(&world::metrics()[..1], &[store(&receiver.url())]));
    let status = status_when(&tidegate, "the store says that it may not", |s| s["problem"].is_string());
    let problem = status["problem"].as_str().unwrap_or_default();
    assert!(problem.contains("a loopback address") && problem.contains("127.0.0.1/32"), "{status}");
    assert_eq!(status["deliveries"]["confirmed"], 0, "{status}");
    assert!(receiver.received().is_empty(), "something got out: {:?}", receiver.received());
}

#[test]
fn with_the_rule_it_does_reach_it() {
    let scratch = Scratch::new("allowed");
    let receiver = Receiver::start(|_| (204, String::new()));
    let tidegate = world::tidegate(&scratch).start();
    tidegate.apply(&world::document(&world::metrics()[..1], &[store(&receiver.url())]));
    status_when(&tidegate, "the store has delivered", |s| s["deliveries"]["confirmed"].as_u64() > Some(0));
    assert!(!receiver.received().is_empty());
}

#[test]
fn a_redirect_is_not_followed() {
    let scratch = Scratch::new("redirect");
    let elsewhere = Receiver::start(|_| (204, String::new()));
    let to = format!("{}/write", elsewhere.url());
    let receiver = Receiver::redirecting(&to);
    let tidegate = world::tidegate(&scratch).start();
    tidegate.apply(&world::document(&world::metrics()[..1], &[store(&receiver.url())]));
    let status = status_when(&tidegate, "the store says what is wrong", |s| s["problem"].is_string());
    let problem = status["problem"].as_str().unwrap_or_default();
    assert!(problem.contains("307") && problem.contains("a redirect, which is not followed"), "{status}");
    assert_eq!(status["state"], "misconfigured", "{status}");
    assert!(!receiver.received().is_empty());
    assert!(elsewhere.received().is_empty(), "the credentials went elsewhere: {:?}", elsewhere.received());
}
