//! Versions of an adapter while a store uses one of them: dropped in, compared, changed between batches, taken back after a crash,
//! held until somebody agrees, and kept when the file is gone. Every event is counted once throughout.

use crate::world::{self, PATIENCE, PROJECT};
use serde_json::{Map, Value as Json, json};
use std::path::Path;
use std::time::Duration;
use tidegate_tests::guests;
use tidegate_tests::http;
use tidegate_tests::oracle::Metric;
use tidegate_tests::receiver::Receiver;
use tidegate_tests::scratch::Scratch;
use tidegate_tests::tidegate::Tidegate;
use tidegate_tests::wait;

const STORE: &str = "web shop/central";

fn event(label: &str) -> Map<String, Json> {
    let event = json!({"uuid": uuid(), "error.type": label});
    event.as_object().expect("an object").clone()
}

/// No two events are the same.
fn uuid() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(1);
    format!("00000000-0000-4000-8000-{:012x}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Sum of all values that the receiver got in lines that begin with `word`; and of all.
fn sums(receiver: &Receiver, word: &str) -> (u64, u64) {
    let (mut of_word, mut all) = (0, 0);
    for request in receiver.received() {
        for line in String::from_utf8_lossy(&request.body).lines() {
            let mut parts = line.split(' ');
            let (first, value) = (parts.next().unwrap_or_default(), parts.nth(1).unwrap_or_default());
            let value: u64 = value.parse().unwrap_or_else(|e| panic!("{line}: {e}"));
            all += value;
            of_word += if first == word { value } else { 0 };
        }
    }
    (of_word, all)
}

struct Bench {
    tidegate: Tidegate,
    receiver: Receiver,
    sent: u64,
}

impl Bench {
    fn send(&mut self, label: &str) {
        let events: Vec<_> = (0..3).map(|_| event(label)).collect();
        self.sent += self.tidegate.api().bulk_until_acknowledged(PROJECT, &events).len() as u64;
    }

    /// Waits until everything that was sent has arrived, each event once; gives what came in lines with `word`.
    #[track_caller]
    fn arrived(&self, word: &str) -> u64 {
        wait::until("every event is counted once", PATIENCE, || match sums(&self.receiver, word) {
            (of_word, all) if all == self.sent => Ok(of_word),
            (_, all) => Err(format!("{all} of {}: {}", self.sent, self.version())),
        })
    }

    fn version(&self) -> Json {
        self.tidegate.api().store(PROJECT, "central").map_or(Json::Null, |s| s["adapter_version"].clone())
    }

    fn drop_in(&self, package: &str, folder: &Path, version: &str) {
        drop_in(&self.tidegate, "evolving", package, folder, version);
    }
}

fn drop_in(tidegate: &Tidegate, name: &str, package: &str, folder: &Path, version: &str) {
    guests::install(&[package], folder);
    wait::until("the version is on offer", Duration::from_secs(20), || {
        let listed = tidegate.api().get(&["adapters"]);
        let there = listed["adapters"]
            .as_array()
            .expect("a list")
            .iter()
            .any(|a| a["name"] == name && a["version"] == version && a["offered"] == true);
        if there { Ok(()) } else { Err(listed.to_string()) }
    });
}

fn empty(folder: &Path) {
    for entry in std::fs::read_dir(folder).expect("the folder is there").flatten() {
        std::fs::remove_file(entry.path()).expect("removed");
    }
}

/// What the version of the store says of having been taken back from `version`.
#[track_caller]
fn taken_back(told: &Json, version: &str) {
    assert_eq!(told["version"], "1.0.0", "{told}");
    let problem = told["problem"].as_str().unwrap_or_default();
    let parts = [format!("version {version}"), "taken back".to_owned(), "crashed".to_owned()];
    assert!(parts.iter().all(|part| problem.contains(part)), "{told}");
}

#[test]
fn a_version_that_crashes_after_a_restart_is_taken_back_to_one_whose_file_is_gone() {
    let scratch = Scratch::new("taken-back");
    let folder = scratch.folder("adapters");
    guests::install(&["evolving-1"], &folder);
    let receiver = Receiver::start(|_| (204, String::new()));
    let tidegate = world::tidegate(&scratch).argument("--adapter-dir").argument(folder.display().to_string()).start();
    let metric = Metric::new("by type", &["error.type"], &[("_tx", "count")]);
    let store = world::store("central", "evolving", 1, json!({"url": receiver.url()}));
    tidegate.apply(&world::document(&[metric], &[store]));
    let mut bench = Bench { tidegate, receiver, sent: 0 };
    bench.send("a");
    bench.arrived("value");
    bench.drop_in("evolving-3", &folder, "3.0.0");
    let _ = bench.tidegate.cli(&["adapter", "upgrade", STORE, "--to", "evolving@3.0.0"]);
    assert_eq!(bench.version()["version"], "3.0.0");

    bench.tidegate.stop();
    empty(&folder);
    bench.tidegate.restart();
    bench.send("b");
    bench.arrived("value");
    assert_eq!(bench.version()["version"], "3.0.0", "a restart ends no trial");
    bench.send("bomb");
    bench.arrived("value");
    taken_back(&bench.version(), "3.0.0");
    // And it stays so.
    bench.tidegate.stop();
    bench.tidegate.restart();
    bench.send("bomb");
    bench.arrived("value");
    taken_back(&bench.version(), "3.0.0");
    // Nobody asked for it, so the log says that it was the host, and why.
    let log = bench.tidegate.cli(&["audit", "--action", "roll-back", "--json"]);
    let log: Json = serde_json::from_str(&log).expect("JSON");
    let lines = log["audit"].as_array().expect("lines");
    assert_eq!(
        (lines.len(), &lines[0]["actor"], &lines[0]["object"]),
        (1, &json!("host"), &json!(format!("metric-store {STORE}"))),
        "{log}"
    );
    let version = |picture: &str| lines[0][picture]["adapter_version"].clone();
    assert!(
        version("before").is_string() && version("after").is_string() && version("before") != version("after"),
        "{log}"
    );
    assert!(lines[0]["details"].to_string().contains("taken back"), "{log}");
}

#[test]
fn a_page_whose_new_version_crashes_is_made_by_the_version_before_in_the_same_request() {
    let scratch = Scratch::new("page-taken-back");
    let folder = scratch.folder("adapters");
    guests::install(&["paging-1"], &folder);
    let mut tidegate =
        world::tidegate(&scratch).argument("--adapter-dir").argument(folder.display().to_string()).start();
    let metric = Metric::new("by type", &["error.type"], &[("_tx", "count")]);
    tidegate.apply(&world::document(&[metric], &[world::store("central", "paging", 1, json!({}))]));
    let path = tidegate.api().store(PROJECT, "central").expect("the store")["status"]["pull_path"].clone();
    let path = path.as_str().expect("a path").to_owned();
    let send = |tidegate: &Tidegate, label: &str| {
        let _ = tidegate.api().bulk_until_acknowledged(PROJECT, &[event(label)]);
    };
    let made_by = |tidegate: &Tidegate, version: &str| {
        wait::until(&format!("the page is made by version {version}"), PATIENCE, || {
            let answer = http::get(&tidegate.url(&path)).send()?;
            // Before the first window there is no page; one that could not be made would be another status.
            assert!([200, 503].contains(&answer.status), "{answer}");
            let text = answer.text();
            if text.starts_with(&format!("made by version {version}\n")) { Ok(text) } else { Err(text) }
        })
    };
    let version =
        |tidegate: &Tidegate| tidegate.api().store(PROJECT, "central").expect("the store")["adapter_version"].clone();
    send(&tidegate, "a");
    made_by(&tidegate, "1");
    drop_in(&tidegate, "paging", "paging-2", &folder, "2.0.0");
    let _ = tidegate.cli(&["adapter", "upgrade", STORE]);
    made_by(&tidegate, "2");
    tidegate.stop();
    empty(&folder);
    tidegate.restart();
    made_by(&tidegate, "2");
    // No reader ever sees the crash.
    wait::until("the version is taken back", PATIENCE, || {
        send(&tidegate, "bomb");
        let answer = http::get(&tidegate.url(&path)).send()?;
        assert!([200, 503].contains(&answer.status), "{answer}");
        if version(&tidegate)["version"] == "1.0.0" { Ok(()) } else { Err(answer.text()) }
    });
    taken_back(&version(&tidegate), "2.0.0");
    made_by(&tidegate, "1");
}

#[test]
fn a_store_changes_versions_when_it_is_told_to_and_no_event_is_lost_or_counted_twice() {
    let scratch = Scratch::new("versions");
    let folder = scratch.folder("adapters");
    guests::install(&["evolving-1"], &folder);
    let receiver = Receiver::start(|_| (204, String::new()));
    let tidegate = world::tidegate(&scratch).argument("--adapter-dir").argument(folder.display().to_string()).start();
    let metric = Metric::new("by type", &["error.type"], &[("_tx", "count")]);
    let store = world::store("central", "evolving", 1, json!({"url": receiver.url()}));
    let document = world::document(&[metric], &[store]);
    tidegate.apply(&document);
    let mut bench = Bench { tidegate, receiver, sent: 0 };
    bench.send("a");
    assert_eq!(bench.arrived("value"), bench.sent);

    // A newer version is there, and the store stays with its own, also when the document is applied again.
    bench.drop_in("evolving-2", &folder, "2.0.0");
    bench.tidegate.apply(&document);
    bench.send("b");
    assert_eq!(bench.arrived("value"), bench.sent);
    let version = bench.version();
    assert_eq!((&version["version"], &version["update"]["version"]), (&json!("1.0.0"), &json!("2.0.0")));
    let diff = bench.tidegate.cli(&["adapter", "diff", STORE]);
    assert!(diff.contains("To version 2.0.0") && diff.contains("- value ") && diff.contains("+ amount "), "{diff}");
    let _ = bench.tidegate.cli(&["adapter", "upgrade", STORE]);
    bench.send("c");
    assert_eq!(bench.arrived("amount"), 3);
    let _ = bench.tidegate.cli(&["adapter", "rollback", STORE]);
    bench.send("d");
    assert_eq!(bench.arrived("amount"), 3, "the version before delivers again");
    assert_eq!(bench.version()["version"], "1.0.0");

    // It stands everything on record and crashes later: the version before delivers that very window.
    bench.drop_in("evolving-3", &folder, "3.0.0");
    let _ = bench.tidegate.cli(&["adapter", "upgrade", STORE, "--to", "evolving@3.0.0"]);
    bench.send("e");
    bench.arrived("value");
    assert_eq!(bench.version()["version"], "3.0.0");
    bench.send("bomb");
    bench.arrived("value");
    taken_back(&bench.version(), "3.0.0");
    // Now the crash is on record, so the proof fails.
    let refused = bench.tidegate.cli_output(&["adapter", "upgrade", STORE, "--to", "evolving@3.0.0"]);
    assert!(
        !refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("the store stays as it is"),
        "{refused:?}"
    );

    // What asks for more waits for consent.
    bench.drop_in("evolving-4", &folder, "4.0.0");
    let refused = bench.tidegate.cli_output(&["adapter", "upgrade", STORE]);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && told.contains("have the secret token") && told.contains("endpoint backup"),
        "{told}"
    );
    assert_eq!(bench.version()["version"], "1.0.0");
    let _ = bench.tidegate.cli(&["adapter", "upgrade", STORE, "--consent"]);
    assert_eq!(bench.version()["version"], "4.0.0");
    bench.send("f");
    bench.arrived("value");

    // In use, or to go back to: neither can be removed; the others can.
    for kept in ["evolving@4.0.0", "evolving@1.0.0"] {
        let refused = bench.tidegate.cli_output(&["adapter", "remove", kept]);
        assert!(String::from_utf8_lossy(&refused.stderr).contains(STORE), "{refused:?}");
    }
    let _ = bench.tidegate.cli(&["adapter", "remove", "evolving@3.0.0"]);
    assert!(!folder.join("evolving-3.wasm").exists());

    // The files go, and so does the process: the store keeps its version.
    empty(&folder);
    bench.tidegate.stop();
    bench.tidegate.restart();
    bench.send("g");
    bench.arrived("value");
    assert_eq!(bench.version()["version"], "4.0.0");
    let listed = bench.tidegate.cli(&["adapter", "list"]);
    assert!(listed.contains("kept for its stores"), "{listed}");
}

#[test]
fn a_component_is_uploaded_tried_and_installed_and_what_is_none_is_refused_with_the_reason() {
    let scratch = Scratch::new("install");
    let built = guests::install(&["evolving-1"], &scratch.folder("built")).remove(0);
    let tidegate = world::tidegate(&scratch).start();
    let file = built.display().to_string();
    let told = tidegate.cli(&["adapter", "install", &file, "--dry-run"]);
    assert!(told.contains("evolving") && told.contains("send HTTP requests to {url} (endpoint url)"), "{told}");
    assert!(!tidegate.cli(&["adapter", "list"]).contains("evolving"));
    let _ = tidegate.cli(&["adapter", "install", &file]);
    let listed = tidegate.cli(&["adapter", "list"]);
    assert!(listed.contains("evolving-1.0.0-"), "{listed}");
    let text = scratch.folder("built").join("text.wasm");
    std::fs::write(&text, "no component").expect("written");
    let refused = tidegate.cli_output(&["adapter", "install", &text.display().to_string()]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("the file is text"), "{refused:?}");
    let _ = tidegate.cli(&["adapter", "remove", "evolving"]);
    assert!(!tidegate.cli(&["adapter", "list"]).contains("evolving"));
    let refused = tidegate.cli_output(&["adapter", "remove", "influxdb"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("inside the binary"), "{refused:?}");
}
