//! Credentials never come out again: not in logs, answers, previews, statuses or the host's own metrics, not even when the
//! receiver sends them back in an error.

use crate::world::{self, PATIENCE, PROJECT};
use serde_json::json;
use std::path::Path;
use tidegate_tests::generator::Generator;
use tidegate_tests::http;
use tidegate_tests::receiver::Receiver;
use tidegate_tests::scratch::Scratch;
use tidegate_tests::wait;

const PASSWORD: &str = "canary-password-0b61ff";
const TOKEN: &str = "canary-token-77aa02";
const SUBMISSION: &str = "0123456789abcdefcafe000000000042";
/// `writer:canary-password-0b61ff` in base64, as it stands in the header.
const BASIC: &str = "d3JpdGVyOmNhbmFyeS1wYXNzd29yZC0wYjYxZmY=";

#[test]
fn no_credential_is_shown_anywhere_even_if_the_receiver_sends_it_back() {
    let scratch = Scratch::new("secrets");
    // What some proxies do: the error page repeats the request's headers.
    let echo =
        Receiver::start(|request| (400, format!("bad request: authorization was {}", request.header("authorization"))));
    let mut tidegate = world::tidegate(&scratch)
        .variable("CANARY_PASSWORD", PASSWORD)
        .variable("CANARY_TOKEN", TOKEN)
        .variable("CANARY_SUBMISSION", SUBMISSION)
        .variable("TIDEGATE_LOG_LEVEL", "trace")
        .start();
    let one = json!({
        "version": "1", "url": echo.url(), "database": "m", "user": "writer", "password": {"env": "CANARY_PASSWORD"},
    });
    let two = json!({"version": "2", "url": echo.url(), "org": "o", "bucket": "b", "token": {"env": "CANARY_TOKEN"}});
    let mut document = world::document(
        &world::metrics(),
        &[world::store("one", "influxdb", 1, one), world::store("two", "influxdb", 1, two)],
    );
    document["projects"][0]["submission_tokens"] = json!([{"env": "CANARY_SUBMISSION"}]);
    let mut seen = vec![("apply", tidegate.apply(&document))];

    let event = serde_json::Value::from(Generator::new("secrets").event());
    let by_path = tidegate.url(&format!("/default/{SUBMISSION}/json"));
    let report = json!({"uuid": event["uuid"], "timestamp": 1_700_000_000, "lang": "c", "attributes": {"guid": "g"},
                        "threads": {"main": {"stack": []}}, "mainThread": "main"});
    http::post(&by_path).body(report.to_string()).send_well();
    // A spelling mistake in a submission URL, which ends up in logs first of all.
    let mistaken = http::post(&tidegate.url(&format!("/defualt/{SUBMISSION}/jsno")))
        .body(report.to_string())
        .send()
        .expect("an answer");
    seen.push(("a mistaken submission", mistaken.text()));

    for store in ["one", "two"] {
        let status = wait::until("the store tells that the receiver refuses", PATIENCE, || {
            let store = tidegate.api().store(PROJECT, store)?;
            let told = store.to_string();
            if told.contains("authorization was") { Ok(told) } else { Err(told) }
        });
        seen.push(("status", status));
        seen.push(("preview", tidegate.api().get(&["projects", PROJECT, "stores", store, "preview"]).to_string()));
        seen.push(("store show", tidegate.cli(&["store", "show", &format!("{PROJECT}/{store}")])));
        seen.push(("store preview", tidegate.cli(&["store", "preview", &format!("{PROJECT}/{store}")])));
    }
    for parts in
        [vec!["stores"], vec!["projects"], vec!["projects", PROJECT], vec!["tokens"], vec!["status"], vec!["adapters"]]
    {
        seen.push(("an answer of the API", tidegate.api().get(&parts).to_string()));
    }
    let parts = ["projects", PROJECT, "submission-tokens"];
    seen.push(("submission tokens", tidegate.api().get(&parts).to_string()));
    seen.push(("metrics", http::get(&tidegate.url("/metrics")).bearer(tidegate.token()).send_well().text()));
    seen.push(("store list", tidegate.cli(&["store", "list"])));

    // The receiver did get them: otherwise the absence elsewhere would prove nothing.
    let received = echo.received();
    assert!(
        received.iter().any(|r| r.header("authorization") == format!("Basic {BASIC}")),
        "the password was never sent"
    );
    assert!(received.iter().any(|r| r.header("authorization").contains(TOKEN)), "the token was never sent");
    assert!(received.iter().all(|r| !r.line.contains("canary")), "a credential is in a request line");

    tidegate.stop();
    seen.push(("the log", tidegate.log()));
    for (place, text) in &seen {
        for secret in [PASSWORD, TOKEN, SUBMISSION, BASIC] {
            assert!(!text.contains(secret), "{secret} is in {place}:\n{text}");
        }
    }
    let stored = occurrences(tidegate.data(), SUBMISSION);
    assert_eq!(stored, Vec::<String>::new(), "the submission token is stored as it is, not as a digest");
    for secret in [PASSWORD, TOKEN, BASIC] {
        assert_eq!(
            occurrences(tidegate.data(), secret),
            Vec::<String>::new(),
            "a secret of a store lies there as it is"
        );
    }
    let stored = occurrences(tidegate.data(), tidegate.token());
    assert_eq!(stored, Vec::<String>::new(), "the API token is stored as it is, not as a digest");
}

/// The files in `folder` that hold `text`.
fn occurrences(folder: &Path, text: &str) -> Vec<String> {
    let files =
        std::fs::read_dir(folder).expect("the folder is there").flatten().map(|e| e.path()).filter(|p| p.is_file());
    let holds = |path: &Path| {
        let bytes = std::fs::read(path).unwrap_or_default();
        bytes.windows(text.len()).any(|w| w == text.as_bytes())
    };
    files.filter(|p| holds(p)).map(|p| p.display().to_string()).collect()
}
