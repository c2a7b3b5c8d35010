//! Back to an earlier time, by a series of backups that are made while everything goes on, and by the changes between them.

use crate::world::{self, PATIENCE, PROJECT, SET};
use serde_json::{Value as Json, json};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};
use tidegate_tests::generator::Generator;
use tidegate_tests::oracle::Acknowledged;
use tidegate_tests::scratch::Scratch;
use tidegate_tests::servers::Influxd;
use tidegate_tests::tidegate::Tidegate;
use tidegate_tests::wait;

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs()
}

/// The backups that are whole.
pub(crate) fn backups(tidegate: &Tidegate) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(tidegate.data().join("backups")).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|e| e.path()).filter(|p| p.join("events.db").exists()).collect();
    found.retain(|p| p.extension().is_none());
    found.sort();
    found
}

/// Waits until a backup has begun after this, and is whole.
fn backup_after(tidegate: &Tidegate, what: &str) {
    let before = backups(tidegate).len();
    // The next one may have begun already; the one after it has not.
    wait::until(what, PATIENCE, || {
        let made = backups(tidegate).len();
        if made >= before + 2 { Ok(()) } else { Err(format!("{made} backups, {before} before")) }
    });
}

pub(crate) fn events(tidegate: &Tidegate) -> u64 {
    let query = json!({"fold": {"guid": [["count"]]}});
    let answer = tidegate.api().send("POST", &["projects", PROJECT, "query"], Some(&query));
    let answer = answer.and_then(tidegate_tests::http::Answer::ok).expect("an answer").json();
    let count = answer["rows"][0]["values"][0].as_f64().or_else(|| answer["rows"][0][0].as_f64());
    count.unwrap_or_else(|| panic!("no count in {answer}")) as u64
}

/// What the ledger has of the window that holds a second.
fn window(tidegate: &Tidegate, at: u64) -> Json {
    tidegate.api().get(&["projects", PROJECT, "metric-sets", SET, "windows", &at.to_string()])["windows"].clone()
}

/// Waits until a sink has the window that an event is in.
fn has_the_window_of(influxd: &Influxd, event: &Acknowledged) {
    let end = event.arrival / 1_000_000 + 1;
    wait::until("the sink has the window of the new events", PATIENCE, || {
        let ends = influxd.points()?.times("errors.count__tx");
        if ends.contains(&end) { Ok(()) } else { Err(format!("{end} is not among {ends:?}")) }
    });
}

/// Waits until the second is over.
fn next_second() -> u64 {
    let then = now();
    wait::until("the second is over", PATIENCE, || if now() > then { Ok(()) } else { Err(String::new()) });
    then
}

/// Goes back to a time with the server stopped, and starts it; gives what was said.
pub(crate) fn go_back(tidegate: &mut Tidegate, time: u64) -> Json {
    tidegate.stop();
    let data = tidegate.data().display().to_string();
    let line = ["ledger", "restore", "--data-dir", &data, "--as-of", &time.to_string(), "--json"];
    let done = tidegate.cli_output(&line);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    tidegate.restart();
    serde_json::from_slice(&done.stdout).expect("JSON")
}

#[test]
fn a_restore_goes_to_any_second_between_two_backups_also_across_kills() {
    let scratch = Scratch::new("restore");
    let influxd = Influxd::start(&scratch);
    let metrics = &world::metrics()[..4];
    // One backup, at the start: all else is changes.
    let mut tidegate = world::tidegate(&scratch).argument("--backup-every").argument("3600").start();
    wait::until(
        "the first backup",
        PATIENCE,
        || {
            if backups(&tidegate).len() == 1 { Ok(()) } else { Err(String::new()) }
        },
    );
    let store = world::influx_store("central", &influxd, 1);
    tidegate.apply(&world::document(metrics, std::slice::from_ref(&store)));
    let mut generator = Generator::new("restore");
    let first = tidegate.api().bulk_until_acknowledged(PROJECT, &generator.events(200));
    world::compare_with_influxdb(&influxd, &world::expected(metrics, 1, &first));
    let at = first[0].arrival / 1_000_000;
    let recorded = window(&tidegate, at);
    assert_eq!(recorded[0]["deliveries"][0]["state"], "confirmed", "{recorded}");
    next_second();
    let then = next_second();
    // What comes later is not to be there again: events, a store, and windows.
    let later = tidegate.api().bulk_until_acknowledged(PROJECT, &generator.events(300));
    let mut other = store.clone();
    other["name"] = "other".into();
    tidegate.apply(&world::document(metrics, &[store, other]));
    // Whatever was acknowledged is among the changes, also if nobody looked at them before the end.
    tidegate.kill();
    tidegate.launch();
    tidegate.wait_until_ready();
    next_second();
    let killed = next_second();
    let last = tidegate.api().bulk_until_acknowledged(PROJECT, &generator.events(70));
    assert_eq!(events(&tidegate), (first.len() + later.len() + last.len()) as u64);
    assert_eq!(backups(&tidegate).len(), 1, "a kill is no reason for another backup");

    let data = tidegate.data().display().to_string();
    let refused = tidegate.cli_output(&["ledger", "restore", "--data-dir", &data, "--as-of", &then.to_string()]);
    assert!(!refused.status.success(), "it restored under a server that runs");

    let told = go_back(&mut tidegate, killed);
    assert!(told["as-of"].as_str().is_some(), "{told}");
    assert_eq!(events(&tidegate), (first.len() + later.len()) as u64, "the events of after the kill");
    assert!(tidegate.api().store(PROJECT, "other").is_ok());
    assert_eq!(window(&tidegate, at)[0]["digest"], recorded[0]["digest"]);

    go_back(&mut tidegate, then);
    assert_eq!(events(&tidegate), first.len() as u64, "the events of then");
    assert!(tidegate.api().store(PROJECT, "other").is_err(), "a store that came later is there");
    let again = window(&tidegate, at);
    assert_eq!((&again[0]["digest"], &again[0]["deliveries"]), (&recorded[0]["digest"], &recorded[0]["deliveries"]));
    // It goes on from there: new events arrive, and every window is accounted for.
    let more = tidegate.api().bulk_until_acknowledged(PROJECT, &generator.events(50));
    has_the_window_of(&influxd, &more[0]);
    // What was restored is the beginning of changes of its own.
    next_second();
    let new = next_second();
    let dropped = tidegate.api().bulk_until_acknowledged(PROJECT, &generator.events(10));
    assert_eq!(events(&tidegate), (first.len() + more.len() + dropped.len()) as u64);
    go_back(&mut tidegate, new);
    assert_eq!(events(&tidegate), (first.len() + more.len()) as u64);
}

#[test]
fn without_changes_a_restore_goes_to_the_newest_backup_before_a_time() {
    let scratch = Scratch::new("restore");
    let influxd = Influxd::start(&scratch);
    let metrics = &world::metrics()[..4];
    let mut tidegate = world::tidegate(&scratch)
        .argument("--backup-every")
        .argument("1")
        .argument("--backup-keep")
        .argument("500")
        .argument("--backup-changes")
        .argument("false")
        .start();
    let store = world::influx_store("central", &influxd, 1);
    tidegate.apply(&world::document(metrics, std::slice::from_ref(&store)));
    let mut generator = Generator::new("restore");
    let first = tidegate.api().bulk_until_acknowledged(PROJECT, &generator.events(200));
    world::compare_with_influxdb(&influxd, &world::expected(metrics, 1, &first));
    let at = first[0].arrival / 1_000_000;
    let recorded = window(&tidegate, at);
    assert_eq!(recorded[0]["deliveries"][0]["state"], "confirmed", "{recorded}");
    backup_after(&tidegate, "a backup has what came first");
    let then = now();
    // What comes later is not to be there again: events, a store, and windows.
    next_second();
    let later = tidegate.api().bulk_until_acknowledged(PROJECT, &generator.events(300));
    let mut other = store.clone();
    other["name"] = "other".into();
    tidegate.apply(&world::document(metrics, &[store, other]));
    assert_eq!(events(&tidegate), (first.len() + later.len()) as u64);
    backup_after(&tidegate, "a backup has what came later, too");

    let data = tidegate.data().display().to_string();
    let line = ["ledger", "restore", "--data-dir", &data, "--as-of", &then.to_string()];
    let refused = tidegate.cli_output(&line);
    assert!(!refused.status.success(), "it restored under a server that runs");
    tidegate.stop();
    let told = tidegate.cli_output(&line);
    let text = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(told.status.success() && text.contains("The server that made it kept no changes after it"), "{text}");
    tidegate.restart();

    assert_eq!(events(&tidegate), first.len() as u64, "the events of then");
    assert!(tidegate.api().store(PROJECT, "other").is_err(), "a store that came later is there");
    let again = window(&tidegate, at);
    assert_eq!((&again[0]["digest"], &again[0]["deliveries"]), (&recorded[0]["digest"], &recorded[0]["deliveries"]));
    // It goes on from there: new events arrive, and every window is accounted for.
    let more = tidegate.api().bulk_until_acknowledged(PROJECT, &generator.events(50));
    has_the_window_of(&influxd, &more[0]);
    let too_early = tidegate.cli_output(&["ledger", "restore", "--data-dir", &data, "--as-of", "1000"]);
    let text = String::from_utf8_lossy(&too_early.stderr).into_owned();
    assert!(!too_early.status.success() && text.contains("the first is of"), "{text}");
}
