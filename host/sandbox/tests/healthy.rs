//! What an adapter may do, done by one that does it: the twin of each refusal in `contract.rs`.

mod common;

use common::*;
use std::sync::Arc;
use std::time::Duration;
use tidegate_model::{BatchView, Direction};
use tidegate_sandbox::{
    Action, Conversation, Credential, Disposition, Limits, Method, Outcome, RejectedRows, Snapshot, Step,
};

#[test]
fn a_loaded_adapter_says_what_it_is_and_which_way_it_works() {
    let adapter = load(&Guest::default());
    assert_eq!(adapter.description().name, "guest");
    assert_eq!((adapter.direction(), adapter.contract()), (Direction::Push, "1.0.0"));
    let both = load(&Guest { world: "push-and-pull-adapter", ..Guest::default() });
    assert_eq!(both.direction(), Direction::Both);
    assert_ne!(both.digest(), adapter.digest());
}

#[test]
fn a_request_arrives_with_all_that_was_put_into_it() {
    let guest = Guest::begin(
        r#"(local.set $a (call $post))
           (call $path (local.get $a) @"/api/v2") (call $path (local.get $a) @"/write")
           (call $query (local.get $a) @"db" @"a&b")
           (call $header (local.get $a) @"Content-Type" @"text/plain; charset=utf-8")
           (call $credential (local.get $a) @"token" @"X-Api-Key" @"Token {}")
           (call $basic-auth (local.get $a) @"user" @"token")
           (call $gzip (local.get $a))
           (call $write (local.get $a) @"line 1\0a") (call $write (local.get $a) @"line 2\0a")
           (call $send (local.get $a))"#,
    );
    let Action::Send(request) = action(&guest) else { panic!("not a request") };
    assert_eq!(
        (request.endpoint.as_str(), request.method, request.path.as_str()),
        ("out", Method::Post, "/api/v2/write")
    );
    assert_eq!(request.query, [("db".to_owned(), "a&b".to_owned())]);
    assert_eq!(request.headers, [("content-type".to_owned(), "text/plain; charset=utf-8".to_owned())]);
    let header = Credential::Header {
        slot: "token".to_owned(),
        header: "x-api-key".to_owned(),
        template: "Token {}".to_owned(),
    };
    let basic = Credential::Basic { user_key: "user".to_owned(), password_key: "token".to_owned() };
    assert_eq!(request.credentials, [header, basic]);
    assert!(request.gzip);
    assert_eq!(request.body.concat(), b"line 1\nline 2\n");
}

#[test]
fn a_stream_goes_to_a_tcp_endpoint() {
    let guest = Guest::begin(
        r#"(local.set $a (call $stream @"line")) (call $stream-write (local.get $a) @"a.b 1 2\0a")
           (call $send-stream (local.get $a))"#,
    );
    let Action::SendStream(stream) = action(&guest) else { panic!("not a stream") };
    assert_eq!((stream.endpoint.as_str(), stream.body.concat().as_slice()), ("line", &b"a.b 1 2\n"[..]));
}

#[test]
fn a_conversation_goes_from_action_to_outcome_to_verdict() {
    // Sends, and retries after as many seconds as the status of the answer says.
    let guest = Guest {
        begin: "(call $send (call $post))".to_owned(),
        step: r#"(call $status (local.get $outcome) (i32.const 32)) (local.set $a (call $verdict))
                 (call $retry (local.get $a) @"later\0aplease" (i32.const 1) (i32.load16_u (i32.const 34)))
                 (call $done (local.get $a))"#
            .to_owned(),
        ..Guest::default()
    };
    let Step::Act(conversation, _) = begin(&guest).result.unwrap() else { panic!("no action") };
    let outcome = Outcome { status: Some(503), ..Outcome::default() };
    // It may wait on one thread and go on in another.
    let called = std::thread::spawn(move || conversation.step(outcome)).join().unwrap();
    let Step::Done(verdict) = called.result.unwrap() else { panic!("no verdict") };
    let retry = Disposition::Retry { reason: "later\\nplease".to_owned(), after: Some(Duration::from_secs(503)) };
    assert_eq!((verdict.disposition, verdict.rejected), (retry, vec![]));
}

#[test]
fn a_conversation_may_move_between_threads() {
    fn moves<T: Send>() {}
    moves::<Conversation>();
    moves::<Step>();
}

/// Writes the codes and values of metric 0 into the body.
const COLUMNS: &str = r#"
    (call $metrics (local.get $batch) (i32.const 32))
    (local.set $b (i32.load (i32.load (i32.const 32))))
    (local.set $a (call $post))
    (call $codes (local.get $b) (i32.const 0) (i32.const 48))
    (call $write (local.get $a) (i32.load (i32.const 48)) (i32.shl (i32.load (i32.const 52)) (i32.const 2)))
    (call $measures (local.get $b) (i32.const 56))
    (call $values (i32.load (i32.load (i32.const 56))) (i32.const 64))
    (call $write (local.get $a) (i32.load (i32.const 64)) (i32.shl (i32.load (i32.const 68)) (i32.const 3)))
    (call $dictionary (local.get $b) (i32.const 0) (i32.const 72))
    (call $write (local.get $a) (i32.load (i32.const 72)) (i32.load (i32.const 76)))
    (call $send (local.get $a))"#;

#[test]
fn a_part_of_a_batch_shows_its_own_rows_and_the_whole_dictionary() {
    let adapter = load(&Guest::begin(COLUMNS));
    let batch = batch();
    for rows in [0..5, 0..0, 1..4, 4..5, 3..99, 99..100] {
        let view = BatchView { batch: Arc::clone(&batch), rows: vec![rows.clone(), 0..0, 0..0] };
        let Step::Act(_, Action::Send(request)) = adapter.begin(&settings(), view, &Limits::default()).result.unwrap()
        else {
            panic!("no request")
        };
        let inside = (rows.start as usize).min(5)..(rows.end as usize).min(5);
        let mut expected = Vec::new();
        batch.metrics[0].dimensions[0].codes[inside.clone()].iter().for_each(|c| expected.extend(c.to_le_bytes()));
        batch.metrics[0].measures[0].values[inside].iter().for_each(|v| expected.extend(v.to_le_bytes()));
        expected.extend(b"1.02.0");
        assert_eq!(request.body.concat(), expected, "{rows:?}");
    }
}

#[test]
fn the_same_view_gives_the_same_action_to_the_bit() {
    let adapter = load(&Guest::begin(COLUMNS));
    let digest = || match adapter.begin(&settings(), view(), &Limits::default()).result.unwrap() {
        Step::Act(_, action) => action.digest(),
        Step::Done(_) => panic!("no action"),
    };
    assert_eq!(digest(), digest());
}

#[test]
fn rows_are_rejected_by_their_place_in_the_view() {
    let guest = Guest {
        begin: r#"(local.set $a (call $verdict))
                  (i32.store (i32.const 32) (i32.const 4)) (i32.store (i32.const 36) (i32.const 0))
                  (call $reject-rows (local.get $a) (i32.const 0) (i32.const 32) (i32.const 2) @"too old")
                  (call $reject-rows (local.get $a) (i32.const 2) (i32.const 36) (i32.const 1) @"bad name")
                  (call $reject (local.get $a) @"rest") (call $done (local.get $a))"#
            .to_owned(),
        ..Guest::default()
    };
    let verdict = verdict(&guest);
    let rejected = |metric, rows, reason: &str| RejectedRows { metric, rows, reason: reason.to_owned() };
    assert_eq!(verdict.rejected, [rejected(0, vec![4, 0], "too old"), rejected(2, vec![0], "bad name")]);
    assert_eq!(verdict.disposition, Disposition::Rejected("rest".to_owned()));
}

#[test]
fn notes_come_with_the_verdict_each_once_on_one_line_and_not_without_end() {
    let note = r#"(call $note (local.get $a) @"half of it\0ais filtered")"#;
    let guest = Guest::begin(&format!(
        r#"(local.set $a (call $verdict)) {note} {note} (call $note (local.get $a) @"") (call $done (local.get $a))"#
    ));
    let verdict = verdict(&guest);
    assert_eq!((verdict.disposition, verdict.rejected), (Disposition::Accepted, vec![]));
    assert_eq!(verdict.notes, ["half of it\\nis filtered"]);
    let many: String = (0..100).map(|n| format!(r#"(call $note (local.get $a) @"note {n}")"#)).collect();
    let guest = Guest::begin(&format!("(local.set $a (call $verdict)) {many} (call $done (local.get $a))"));
    assert_eq!(common::verdict(&guest).notes.len(), 64);
}

#[test]
fn a_page_shows_live_rows_and_totals_and_knows_the_scraper() {
    // Body: the Accept header, then rows and live rows of metric 2, then its totals.
    let guest = Guest::render(
        r#"(local.set $a (call $page @"text/plain; version=0.0.4"))
           (call $scrape-header (local.get $scrape) @"ACCEPT" (i32.const 32))
           (call $page-write (local.get $a) (i32.load (i32.const 36)) (i32.load (i32.const 40)))
           (call $batches (local.get $snapshot) (i32.const 48))
           (call $metrics (i32.load (i32.load (i32.const 48))) (i32.const 56))
           (i32.store (i32.const 64) (i32.load offset=8 (i32.load (i32.const 56))))
           (i32.store8 (i32.const 80) (i32.add (i32.const 48) (call $rows (i32.load (i32.const 64)))))
           (i32.store8 (i32.const 81) (i32.add (i32.const 48) (call $live-rows (i32.load (i32.const 64)))))
           (call $page-write (local.get $a) (i32.const 80) (i32.const 2))
           (call $measures (i32.load (i32.const 64)) (i32.const 72))
           (call $totals (i32.load (i32.load (i32.const 72))) (i32.const 88))
           (call $page-write (local.get $a) (i32.load (i32.const 92)) (i32.shl (i32.load (i32.const 96)) (i32.const 3)))
           (call $answer (i32.const 0) (local.get $a))"#,
    );
    let adapter = load(&guest);
    let batch = batch();
    let snapshot = Snapshot { period: batch.window.period(), batches: vec![batch] };
    let headers = vec![("Accept".to_owned(), "x/y".to_owned()), ("accept".to_owned(), "second".to_owned())];
    let called = adapter.render(&settings(), snapshot, headers, &Limits::default());
    let page = called.result.unwrap();
    let mut expected = b"x/y32".to_vec();
    [70.0f64, 80.0, 90.0].iter().for_each(|t| expected.extend(t.to_le_bytes()));
    assert_eq!((page.content_type.as_str(), page.body.concat()), ("text/plain; version=0.0.4", expected));
    assert!(called.usage.memory_peak >= 131_072 && called.usage.output_bytes >= 29, "{:?}", called.usage);
}

#[test]
fn a_part_of_a_batch_leads_to_all_rows_of_its_metrics() {
    // Of the first metric: rows, rows of the whole, first row, first row of the whole; then the codes of the whole.
    let adapter = load(&Guest::begin(
        r#"(call $metrics (local.get $batch) (i32.const 32))
           (local.set $b (i32.load (i32.load (i32.const 32)))) (local.set $a (call $post))
           (i32.store8 (i32.const 48) (call $rows (local.get $b)))
           (i32.store8 (i32.const 50) (call $first-row (local.get $b)))
           (local.set $b (call $whole (local.get $b)))
           (i32.store8 (i32.const 49) (call $rows (local.get $b)))
           (i32.store8 (i32.const 51) (call $first-row (local.get $b)))
           (call $write (local.get $a) (i32.const 48) (i32.const 4))
           (call $codes (local.get $b) (i32.const 0) (i32.const 64))
           (call $write (local.get $a) (i32.load (i32.const 64)) (i32.shl (i32.load (i32.const 68)) (i32.const 2)))
           (call $send (local.get $a))"#,
    ));
    let batch = batch();
    let codes: Vec<u8> = batch.metrics[0].dimensions[0].codes.iter().flat_map(|code| code.to_le_bytes()).collect();
    for (rows, told) in [(0..5, [5, 5, 0, 0]), (3..5, [2, 5, 3, 0]), (4..99, [1, 5, 4, 0]), (99..100, [0, 5, 5, 0])] {
        let view = BatchView { batch: Arc::clone(&batch), rows: vec![rows, 0..0, 0..0] };
        let Step::Act(_, Action::Send(request)) = adapter.begin(&settings(), view, &Limits::default()).result.unwrap()
        else {
            panic!("no request")
        };
        assert_eq!(request.body.concat(), [&told[..], &codes].concat());
    }
}

#[test]
fn a_setting_is_read_and_a_secret_only_known_to_be_there() {
    // The body is the text of `user`, then what is_set says of `token` and `spare`.
    let guest = Guest {
        extra: "(global $kept (mut i32) (i32.const 0)) (global $size (mut i32) (i32.const 0)) \
                (global $set (mut i32) (i32.const 0))"
            .to_owned(),
        constructor: r#"(call $text (local.get $settings) @"user" (i32.const 32))
            (global.set $kept (i32.load (i32.const 36))) (global.set $size (i32.load (i32.const 40)))
            (global.set $set (i32.add (i32.mul (i32.const 10) (call $is-set (local.get $settings) @"token"))
              (call $is-set (local.get $settings) @"spare")))"#
            .to_owned(),
        begin: r#"(local.set $a (call $post)) (call $write (local.get $a) (global.get $kept) (global.get $size))
            (i32.store8 (i32.const 48) (global.get $set)) (call $write (local.get $a) (i32.const 48) (i32.const 1))
            (call $send (local.get $a))"#
            .to_owned(),
        ..Guest::default()
    };
    let Action::Send(request) = action(&guest) else { panic!("not a request") };
    assert_eq!(request.body.concat(), b"ann\x0a");
}

#[test]
fn all_settings_come_in_one_call_and_of_secrets_only_the_keys() {
    // What the host lowers lies from 65536 on: a list, and the texts that it points to. There are six settings that have a value.
    for (all, entries) in [("$all", 6), ("$settings-packed", 12)] {
        let length = if all == "$all" { 36 } else { 44 };
        let guest = Guest {
            constructor: format!("(call {all} (local.get $settings) (i32.const 32))"),
            begin: format!(
                "(local.set $a (call $post)) (call $write (local.get $a) (i32.const {length}) (i32.const 1)) \
                 (call $write (local.get $a) (i32.const 65536) (i32.sub (global.get $heap) (i32.const 65536))) \
                 (call $send (local.get $a))"
            ),
            ..Guest::default()
        };
        let Action::Send(request) = action(&guest) else { panic!("not a request") };
        let body = request.body.concat();
        assert_eq!(body[0], entries, "{all}");
        let holds = |text: &str| body.windows(text.len()).any(|window| window == text.as_bytes());
        for told in ["url", "http://sink.example/base", "port", "2003", "user", "ann", "token", "hook"] {
            assert!(holds(told), "{all} {told}");
        }
        assert!(!holds(SECRET) && !holds("hook.example") && !holds("spare"), "{all}");
    }
}

#[test]
fn a_small_batch_comes_in_one_call_and_a_larger_one_does_not() {
    // The first byte says whether there is one; what the host lowers lies from 65536 on.
    let guest = |most: u32| {
        Guest::begin(&format!(
            "(call $batch-packed (local.get $batch) (i32.const {most}) (i32.const 32)) (local.set $a (call $post)) \
             (call $write (local.get $a) (i32.const 32) (i32.const 1)) \
             (call $write (local.get $a) (i32.const 65536) (i32.sub (global.get $heap) (i32.const 65536))) \
             (call $send (local.get $a))"
        ))
    };
    let body = |most: u32| match action(&guest(most)) {
        Action::Send(request) => request.body.concat(),
        Action::SendStream(_) => panic!("not a request"),
    };
    let told = body(1_000);
    assert!(told[0] == 1 && told.windows(6).any(|window| window == b"1.02.0"), "{told:?}");
    assert_eq!(body(10), [0]);
}
