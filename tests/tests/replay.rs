//! Past windows again: to the byte what was sent the first time, one window or a whole range.

use crate::world::{self, PATIENCE, PROJECT, SET};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};
use tidegate_tests::generator::Generator;
use tidegate_tests::receiver::{Received, Receiver};
use tidegate_tests::scratch::Scratch;
use tidegate_tests::tidegate::Tidegate;
use tidegate_tests::wait;

/// The time stamp of the lines in a body.
fn stamp(request: &Received) -> u64 {
    let body = String::from_utf8(request.inflated().expect("a body")).expect("line protocol is text");
    body.trim_end().rsplit(' ').next().and_then(|s| s.parse().ok()).unwrap_or_else(|| panic!("no stamp in {body:?}"))
}

/// What tells requests apart, by the stamp of their window.
type Requests = BTreeMap<u64, Vec<(String, Vec<(String, String)>, Vec<u8>)>>;

fn by_window(requests: &[Received]) -> Requests {
    let mut windows = Requests::new();
    for request in requests {
        let mut headers = request.headers.clone();
        headers.sort();
        windows.entry(stamp(request)).or_default().push((request.line.clone(), headers, request.body.clone()));
    }
    windows.values_mut().for_each(|requests| requests.sort());
    windows
}

fn replay(tidegate: &Tidegate, range: [u64; 2], more: &[&str]) -> (String, String, Option<i32>) {
    let [from, to] = range.map(|at| at.to_string());
    let mut line = vec!["ledger", "replay", "--project", PROJECT, "central", SET, "--from", &from, "--to", &to];
    line.extend(more);
    let output = tidegate.cli_output(&line);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

#[test]
fn a_range_of_past_windows_is_sent_again_to_the_byte_also_after_a_kill() {
    let scratch = Scratch::new("replay");
    let receiver = Receiver::start(|_| (204, String::new()));
    let mut tidegate = world::tidegate(&scratch).start();
    let settings = json!({"version": "1", "url": receiver.url(), "database": "m", "user": "w", "password": {"env": "INFLUX_PASSWORD"}});
    tidegate.apply(&world::document(&world::metrics(), &[world::store("central", "influxdb", 1, settings)]));
    let mut generator = Generator::new("replay");
    wait::until("eight windows have arrived", PATIENCE, || {
        let _ = tidegate.api().bulk_until_acknowledged(PROJECT, &generator.events(80));
        let windows = by_window(&receiver.received()).len();
        if windows >= 8 { Ok(()) } else { Err(format!("{windows}")) }
    });
    tidegate.kill();
    tidegate.restart();
    let first = by_window(&receiver.received());
    let stamps: Vec<u64> = first.keys().copied().collect();
    // Windows begin a period before their stamp.
    let range = [stamps[1] - 1, stamps[6] - 1];
    let wanted: Requests =
        first.iter().filter(|(at, _)| stamps[1..6].contains(at)).map(|(k, v)| (*k, v.clone())).collect();

    // Without --send it only prints.
    let (printed, told, code) = replay(&tidegate, range, &[]);
    assert_eq!(code, Some(0), "{told}");
    for at in &stamps[1..6] {
        assert!(printed.contains(&format!(" {at}\n")), "the window {at} is not printed: {printed}");
    }
    assert!(!printed.contains(&format!(" {}\n", stamps[6])), "a window outside of the range is printed");
    assert_eq!(told.matches("the bytes are those that were sent before").count(), 5, "{told}");

    // Live windows go on arriving; a request of the range that is there twice is the replay.
    let before = receiver.received().len();
    let (_, told, code) = replay(&tidegate, range, &["--send"]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("5 windows sent again"), "{told}");
    let again: Vec<Received> =
        receiver.received()[before..].iter().filter(|r| stamps[1..6].contains(&stamp(r))).cloned().collect();
    assert_eq!(by_window(&again), wanted, "what was replayed is not what was sent");
    // The ledger's record of the deliveries is what it was.
    let status = tidegate.api().store(PROJECT, "central").expect("the store is there")["status"].clone();
    assert_eq!(status["deliveries"]["rejected"], 0, "{status}");
}

#[test]
fn a_range_without_windows_says_so_and_one_that_is_the_wrong_way_round_is_refused() {
    let scratch = Scratch::new("replay-none");
    let receiver = Receiver::start(|_| (204, String::new()));
    let tidegate = world::tidegate(&scratch).start();
    let settings = json!({"version": "1", "url": receiver.url(), "database": "m"});
    let central = world::store("central", "influxdb", 1, settings.clone());
    let daily = world::store("daily", "influxdb", 86_400, settings);
    tidegate.apply(&world::document(&world::metrics()[..1], &[central, daily]));
    // A window that is not over says so, rather than that there is none.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs().to_string();
    let early = tidegate.cli_output(&["ledger", "replay", "--project", PROJECT, "daily", SET, &now]);
    let told = String::from_utf8_lossy(&early.stderr).into_owned();
    assert!(!early.status.success() && told.contains("is not over: it ends in"), "{told}");
    let shown = tidegate.cli_output(&["ledger", "show", "--project", PROJECT, SET, &now]);
    let told = String::from_utf8_lossy(&shown.stderr).into_owned();
    assert!(shown.status.success() && told.contains("is not over; it is recorded after its end"), "{told}");

    let (_, told, code) = replay(&tidegate, [1000, 2000], &["--send"]);
    assert!(code == Some(1) && told.contains("no window of this metric set and store"), "{code:?} {told}");
    let (_, told, code) = replay(&tidegate, [2000, 1000], &[]);
    assert!(code == Some(1) && told.contains("--to"), "{code:?} {told}");
}
