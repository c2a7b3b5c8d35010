//! Credentials never come out again: not in logs, answers, previews, statuses or the host's own metrics, not even when the
//! receiver sends them back in an error.

use crate::world::{self, PATIENCE, PROJECT, SET};
use serde_json::json;
use std::path::{Path, PathBuf};
use tidegate_tests::foreign::Foreign;
use tidegate_tests::generator::Generator;
use tidegate_tests::http;
use tidegate_tests::receiver::Receiver;
use tidegate_tests::scratch::Scratch;
use tidegate_tests::tidegate::Tidegate;
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

/// The files in `folder`, and in the folders in it, that hold `text`.
fn occurrences(folder: &Path, text: &str) -> Vec<String> {
    let holds = |path: &PathBuf| {
        let bytes = std::fs::read(path).unwrap_or_default();
        bytes.windows(text.len()).any(|w| w == text.as_bytes())
    };
    files(folder).iter().filter(|p| holds(p)).map(|p| p.display().to_string()).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the folder is there").flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Answers to every question that the API's own document knows, with `known` put into the paths.
fn everything(tidegate: &Tidegate, known: &[(&str, &str)]) -> Vec<(String, String)> {
    let document = http::get(&tidegate.url("/api/v1/openapi.json")).bearer(tidegate.token()).send_well().json();
    let mut answers = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        if item["get"].is_null() {
            continue;
        }
        let filled = path.trim_start_matches("/api/v1").trim_start_matches('/').split('/').map(|part| {
            match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
                None => part,
                Some(name) => {
                    let value = known.iter().find(|(known, _)| *known == name);
                    value.unwrap_or_else(|| panic!("nothing is known to put into {path} for {name}")).1
                }
            }
        });
        let parts: Vec<&str> = filled.collect();
        let answer = tidegate.api().send("GET", &parts, None).expect("an answer");
        answers.push((format!("GET {path} ({})", answer.status), answer.text()));
    }
    assert!(answers.len() > 25, "{} routes were asked", answers.len());
    answers
}

const KEY: &str = "canary-key-5e11a0";
const WORD: &str = "canary-word-of-ada-93";

#[test]
fn backups_dumps_logins_and_an_adapters_last_words_hold_no_credential() {
    let scratch = Scratch::new("canaries");
    let folder = scratch.folder("adapters");
    let _ = Foreign::System.install(&folder);
    let echo = Receiver::start(|request| (400, format!("what is {} here for?", request.header("authorization"))));
    let mut tidegate = world::tidegate(&scratch)
        .argument("--adapter-dir")
        .argument(folder.display().to_string())
        .variable("CANARY_KEY", KEY)
        .variable("CANARY_PASSWORD", PASSWORD)
        .variable("TIDEGATE_LOG_LEVEL", "trace")
        .start();
    let blab = json!({"url": echo.url(), "end": "blab", "key": {"env": "CANARY_KEY"}});
    let push = json!({
        "version": "1", "url": echo.url(), "database": "m", "user": "writer", "password": {"env": "CANARY_PASSWORD"},
    });
    let mut read = world::store("read", "circonus", 1, json!({}));
    read["pull"] = true.into();
    let stores = [world::store("blab", "system", 1, blab), world::store("push", "influxdb", 1, push), read];
    let mut seen = vec![("apply".to_owned(), tidegate.apply(&world::document(&world::few_metrics(), &stores)))];
    let ada = json!({"name": "ada", "password": WORD});
    let made = tidegate.api().send("POST", &["users"], Some(&ada)).and_then(http::Answer::ok).expect("a user");
    seen.push(("a new user".to_owned(), made.text()));
    let ada = json!({"user": "ada", "password": WORD});
    let signed = http::post(&tidegate.url("/api/v1/session")).json(&ada).send_well();
    let cookie = signed.header("set-cookie").split(';').next().unwrap_or_default().to_owned();
    let session = cookie.split('=').nth(1).expect("a value").to_owned();

    // The one place at which the login of a page is told, to who asks for it.
    let one = tidegate.api().url(&["projects", PROJECT, "stores", "read"]);
    let told = http::get(&format!("{one}?reveal=true")).bearer(tidegate.token()).send_well().json()["pull"].clone();
    let login = told["password"].as_str().unwrap_or_else(|| panic!("no password in {told}")).to_owned();
    assert!(login.len() >= 20, "{login} is too short to be looked for");

    let events = tidegate.api().bulk_until_acknowledged(PROJECT, &Generator::new("canaries").events(50));
    let at = (events[0].arrival / 1_000_000).to_string();
    for (store, state) in [("blab", "adapter-fault"), ("push", "failing")] {
        let status = world::status_when(&tidegate, store, "is in trouble", |s| {
            s["state"] == state || (state == "failing" && s["deliveries"]["rejected"].as_u64() > Some(0))
        });
        seen.push((format!("status of {store}"), status.to_string()));
    }
    // Windows before the events were in trouble, too: the one with the events is still to end.
    let recorded = ["projects", PROJECT, "metric-sets", SET, "windows", at.as_str()];
    wait::until("the window with the events is in the ledger", PATIENCE, || {
        let windows = tidegate.api().get(&recorded);
        let stores = windows["windows"].as_array().into_iter().flatten().flat_map(|w| w["deliveries"].as_array());
        let found = stores.flatten().any(|d| d["store"] == "push" && d["request"].is_string());
        if found { Ok(()) } else { Err(windows.to_string()) }
    });
    // It did say all that it knows.
    let words = tidegate.log().lines().filter(|l| l.contains("the sink said")).count();
    assert!(words > 0 && tidegate.log().contains("what is Bearer [redacted] here for?"), "the adapter kept silent");

    let page = format!("{}/windows", tidegate.api().url(&["projects", PROJECT, "stores", "push"]));
    let windows = http::get(&page).bearer(tidegate.token()).send_well();
    seen.push(("windows of a store".to_owned(), windows.text()));
    let object = tidegate.api().get(&["projects", PROJECT, "stores"]).to_string();
    seen.push(("stores".to_owned(), object));
    let known = [
        ("project", PROJECT),
        ("set", SET),
        ("metric", "errors"),
        ("store", "push"),
        ("adapter", "system"),
        ("tenant", "default"),
        ("user", "ada"),
        ("at", at.as_str()),
        ("object", "1"),
    ];
    seen.extend(everything(&tidegate, &known));
    let (set, push, read) = (format!("{PROJECT}/{SET}"), format!("{PROJECT}/push"), format!("{PROJECT}/read"));
    let blab = format!("{PROJECT}/blab");
    let commands: [&[&str]; 14] = [
        &["ledger", "status"],
        &["ledger", "gaps"],
        &["ledger", "show", &set, &at],
        &["ledger", "verify"],
        &["ledger", "backup"],
        &["ledger", "replay", &push, SET, &at],
        &["store", "preview", &push],
        &["store", "preview", &blab],
        &["store", "show", &push],
        &["store", "show", &read],
        &["store", "show", &blab, "--json"],
        &["adapter", "inspect", "system"],
        &["audit"],
        &["user", "list", "--json"],
    ];
    for command in commands {
        let output = tidegate.cli_output(command);
        let both = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        assert!(output.status.success(), "{command:?}: {both}");
        seen.push((command.join(" "), both));
    }
    let metrics = http::get(&tidegate.url("/metrics")).bearer(tidegate.token()).send_well().text();
    seen.push(("metrics".to_owned(), metrics));
    let received = echo.received();
    assert!(received.iter().any(|r| r.header("authorization") == format!("Bearer {KEY}")), "the key was never sent");

    tidegate.stop();
    seen.push(("the log".to_owned(), tidegate.log()));
    let secrets = [KEY, PASSWORD, BASIC, WORD, &login, &session];
    for (place, text) in &seen {
        for secret in secrets {
            assert!(!text.contains(secret), "{secret} is in {place}:\n{text}");
        }
    }
    let backups = files(tidegate.data()).iter().filter(|p| p.display().to_string().contains("backups")).count();
    assert!(backups > 0, "there is no backup to look into");
    for secret in secrets {
        assert_eq!(occurrences(tidegate.data(), secret), Vec::<String>::new(), "{secret} lies there as it is");
    }
}
