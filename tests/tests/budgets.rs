//! What bounds a question: its memory, and whether anybody still waits for the answer.

use crate::world::{self, PATIENCE, PROJECT};
use serde_json::{Map, Value as Json, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use tidegate_tests::oracle::Metric;
use tidegate_tests::scratch::Scratch;
use tidegate_tests::tidegate::Tidegate;
use tidegate_tests::wait;

/// Events of one user each.
fn send_users(tidegate: &Tidegate, users: u32) {
    let event = |n: u32| Map::from_iter([("guid".to_owned(), json!(format!("{n:08x}-0000-4000-8000-{n:012x}")))]);
    let events: Vec<_> = (0..users).map(event).collect();
    for events in events.chunks(20_000) {
        drop(tidegate.api().bulk_until_acknowledged(PROJECT, events));
    }
}

#[test]
fn a_metric_that_needs_more_memory_than_allowed_fails_with_both_figures_and_is_never_a_zero() {
    let scratch = Scratch::new("evaluation-memory");
    let metrics = [Metric::new("by user", &["guid"], &[("_tx", "count")])];
    let document = world::document(&metrics, &[world::store("page", "prometheus", 2, json!({}))]);
    let mut tidegate = world::tidegate(&scratch).argument("--evaluation-memory=64KiB").start();
    tidegate.apply(&document);
    send_users(&tidegate, 20_000);
    let failed = |status: &Json| status["problem"].as_str().is_some_and(|why| why.contains("cannot be evaluated"));
    let status = world::status_when(&tidegate, "page", "the store tells why", failed);
    let told = status["problem"].as_str().unwrap_or_default();
    assert!(told.contains("by user") && told.contains("and 65536 are allowed"), "{told}");

    // With the default it is evaluated after all: the window stayed due.
    tidegate.stop();
    let tidegate = world::tidegate(&scratch).start();
    world::status_when(&tidegate, "page", "the store is well", |status| !failed(status));
}

#[test]
fn a_client_that_goes_away_ends_its_query_and_one_that_waits_is_answered() {
    let scratch = Scratch::new("gone");
    let tidegate = world::tidegate(&scratch).start();
    tidegate.apply(&world::document(&world::metrics()[..1], &[]));
    send_users(&tidegate, 200_000);
    let query = json!({
        "group": ["guid"], "fold": {"guid": [["unique"], ["histogram"], ["distribution"]]},
        "filter": [{"guid": [["regular-expression", "[0-9a-f]+-(0|1)+-4000-8.*(7|3)$"]]}], "limit": 1,
    });
    let outcome = |name: &str| tidegate.api().own_metric(&format!("tidegate_queries_total{{outcome={name:?}}}"));
    for lines in [false, true] {
        let before = outcome("ended");
        wait::until("a query ends because its client went away", PATIENCE, || {
            leave(&tidegate, &query, lines);
            (outcome("ended") > before).then_some(()).ok_or_else(|| "they all were answered first".to_owned())
        });
    }
    let before = outcome("answered");
    let answer = tidegate.api().send("POST", &["projects", PROJECT, "query"], Some(&query));
    let answer = answer.and_then(tidegate_tests::http::Answer::ok).unwrap_or_else(|e| panic!("{e}")).json();
    assert_eq!((&answer["rows"][0]["events"], &answer["scanned"]), (&json!(1), &json!(200_000)));
    assert!(outcome("answered") > before);
}

/// Asks a question and closes the connection a moment later; if lines are wanted, after the first piece of the answer.
fn leave(tidegate: &Tidegate, query: &Json, lines: bool) {
    let body = query.to_string();
    let accept = if lines { "application/x-ndjson" } else { "application/json" };
    let path = format!("/api/v1/projects/{}/query", PROJECT.replace(' ', "%20"));
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: tidegate\r\nAuthorization: Bearer {}\r\nAccept: {accept}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        tidegate.token(),
        body.len()
    );
    let mut socket = TcpStream::connect(tidegate.address()).expect("the server listens");
    socket.write_all(request.as_bytes()).expect("it takes the question");
    if lines {
        // Headers come at once, the first progress a moment later.
        drop(socket.read(&mut [0; 512]));
    } else {
        std::thread::sleep(Duration::from_millis(5));
    }
}
