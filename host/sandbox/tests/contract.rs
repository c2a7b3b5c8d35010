//! Guests that use the host wrongly: each is told what it did, what there would have been, and nothing is sent.

mod common;

use common::*;
use tidegate_sandbox::{Fault, Limits, Snapshot};

fn told(begin: &str) -> String {
    let fault = fault(&Guest::begin(begin));
    assert!(matches!(fault, Fault::Contract(_)), "{fault:?}");
    fault.to_string().strip_prefix("the adapter broke the contract: ").expect("the usual beginning").to_owned()
}

/// What is told of a request that `with` is done to.
fn told_request(with: &str) -> String {
    told(&format!("(local.set $a (call $post)) {with} (call $send (local.get $a))"))
}

#[test]
fn an_endpoint_that_is_not_described_is_refused_and_those_that_are_named() {
    let answer = told(r#"(call $send (call $request @"in\0a" @"POST"))"#);
    assert_eq!(answer, "\"in\\n\" is not an HTTP endpoint of its description, which has: out, unset");
    let answer = told(r#"(call $send-stream (call $stream @"out"))"#);
    assert_eq!(answer, "\"out\" is not a TCP endpoint of its description, which has: line");
    let answer = told(r#"(call $send (call $request @"line" @"POST"))"#);
    assert!(answer.starts_with("\"line\" is not an HTTP endpoint"), "{answer}");
    let answer = told(r#"(call $send (call $request @"http://evil.example/" @"POST"))"#);
    assert!(answer.contains("is not an HTTP endpoint"), "{answer}");
    let answer = told(r#"(call $send (call $request @"unset" @"POST"))"#);
    assert_eq!(answer, "endpoint \"unset\" is used, but its setting has no value");
}

#[test]
fn a_method_beside_the_three_is_refused() {
    for method in ["DELETE", "get", "", "GET /x"] {
        let answer = told(&format!(r#"(call $send (call $request @"out" @"{method}"))"#));
        assert_eq!(answer, format!("method \"{method}\" is not one of GET, POST, PUT"));
    }
}

#[test]
fn a_slot_that_is_no_secret_of_its_own_is_refused() {
    let slot = |key: &str| told_request(&format!(r#"(call $credential (local.get $a) @"{key}" @"x-key" @"{{}}")"#));
    assert_eq!(
        slot("tokin"),
        "credential slot \"tokin\" is not a secret setting of its description, which has: token, spare"
    );
    assert!(slot("user").contains("is not a secret setting"));
    // A URL that is a secret as a whole is where a request goes, not what it carries.
    assert!(slot("hook").contains("is not a secret setting"));
    assert_eq!(slot("spare"), "credential slot \"spare\" is used, but has no value");
    let basic = |user: &str, password: &str| {
        told_request(&format!(r#"(call $basic-auth (local.get $a) @"{user}" @"{password}")"#))
    };
    assert!(
        basic("nobody", "token").starts_with("credential slot \"nobody\" is not a setting for basic authentication")
    );
    assert!(basic("user", "hook").starts_with("credential slot \"hook\""));
    assert_eq!(basic("user", "spare"), "credential slot \"spare\" is used, but has no value");
}

#[test]
fn headers_that_inject_frame_or_carry_credentials_are_refused() {
    let header =
        |name: &str, value: &str| told_request(&format!(r#"(call $header (local.get $a) @"{name}" @"{value}")"#));
    assert_eq!(header("x-a", "1\\0d\\0aHost: evil"), "the value of header x-a must be printable ASCII; found U+000D");
    assert_eq!(header("x-a\\0d\\0aHost", "1"), "\"x-a\\r\\nHost\" is not a header name");
    assert_eq!(header("Host", "evil"), "header host is for the host alone to set");
    assert_eq!(header("Content-Length", "0"), "header content-length is for the host alone to set");
    assert_eq!(header("Transfer-Encoding", "chunked"), "header transfer-encoding is for the host alone to set");
    assert_eq!(header("authorization", "Basic x"), "header authorization carries credentials; place one by its slot");
    let twice = told_request(r#"(call $header (local.get $a) @"x-a" @"1") (call $header (local.get $a) @"X-A" @"2")"#);
    assert_eq!(twice, "header x-a is set twice");
    let twice = told_request(
        r#"(call $basic-auth (local.get $a) @"user" @"token")
           (call $credential (local.get $a) @"token" @"Authorization" @"Token {}")"#,
    );
    assert_eq!(twice, "header authorization is set twice");
    let packed = told_request(r#"(call $gzip (local.get $a)) (call $header (local.get $a) @"Content-Encoding" @"br")"#);
    assert_eq!(packed, "header content-encoding is set twice");
}

#[test]
fn a_path_that_leaves_the_endpoint_is_refused() {
    let path = |path: &str| told_request(&format!(r#"(call $path (local.get $a) @"{path}")"#));
    assert_eq!(path("/../admin"), "the path \"/../admin\" must not have . or .. as a segment");
    assert_eq!(path("@evil.example/"), "the path \"@evil.example/\" must start with /");
    assert!(path("/x?y=z").contains("must have \"?\" percent-encoded, as %3F"));
}

#[test]
fn requests_are_bounded_and_the_bound_is_told() {
    let many = |what: &str| {
        told_request(&format!("(loop $again {what} (local.set $i (i32.add (local.get $i) (i32.const 1))) (br $again))"))
    };
    // Header i is called x, x with an a, with two a's ...: `aaa...` lies in memory from 200 on.
    let header = "(i32.store8 (i32.add (i32.const 200) (local.get $i)) (i32.const 97)) \
        (call $header (local.get $a) (i32.const 200) (i32.add (i32.const 1) (local.get $i)) @\"1\")";
    assert_eq!(many(header), "a request may have 64 headers, this one has 65");
    let query = "(call $query (local.get $a) @\"a\" @\"b\")";
    assert_eq!(many(query), "a request may have 64 query parameters, this one has 65");
    let long = r#"(call $query (local.get $a) @"a" (i32.const 100000) (i32.const 8190))"#;
    assert_eq!(told_request(long), "a request may have 8192 bytes of path and query, this one has 8193");
    let blank = "(memory.fill (i32.const 100000) (i32.const 32) (i32.const 20000))";
    let long = format!(r#"{blank} (call $header (local.get $a) @"a" (i32.const 100000) (i32.const 16384))"#);
    assert_eq!(told_request(&long), "a request may have 16384 bytes of headers, this one has 16385");
}

#[test]
fn a_secret_reads_as_if_it_were_not_there() {
    for key in ["token", "hook", "spare", "nonsense"] {
        let guest = Guest {
            // Crashes if anything came back.
            constructor: format!(
                r#"(call $text (local.get $settings) @"{key}" (i32.const 32))
                   (if (i32.load8_u (i32.const 32)) (then (unreachable)))"#
            ),
            ..Guest::default()
        };
        verdict(&guest);
    }
}

#[test]
fn rows_that_do_not_exist_or_are_named_twice_void_the_verdict() {
    let rows = |metric: u32, rows: &[u32]| {
        let stores: String =
            (0..).zip(rows).map(|(i, r)| format!("(i32.store (i32.const {}) (i32.const {r}))", 32 + 4 * i)).collect();
        let count = rows.len();
        told(&format!(
            r#"(local.set $a (call $verdict)) {stores}
               (call $reject-rows (local.get $a) (i32.const {metric}) (i32.const 32) (i32.const {count}) @"why")
               (call $done (local.get $a))"#
        ))
    };
    assert_eq!(rows(0, &[0, 5]), "the verdict names row 5 of metric 0, which has 5 rows");
    assert_eq!(rows(0, &[0, 1, 0]), "the verdict names row 0 of metric 0 twice");
    assert_eq!(rows(1, &[0]), "the verdict names row 0 of metric 1, which has 0 rows");
    assert_eq!(rows(2, &[2]), "the verdict names row 2 of metric 2, which has 2 rows");
    assert_eq!(rows(3, &[0]), "the verdict names metric 3 of a batch that has 3");
    assert_eq!(rows(u32::MAX, &[0]), "the verdict names metric 4294967295 of a batch that has 3");
}

#[test]
fn a_verdict_that_contradicts_itself_is_void() {
    let both = |first: &str, second: &str| {
        told(&format!(
            r#"(local.set $a (call $verdict)) (call {first} (local.get $a) @"x") (call {second} (local.get $a) @"y")
               (call $done (local.get $a))"#
        ))
    };
    assert_eq!(both("$stop", "$split"), "the verdict says split after it said stop");
    assert_eq!(both("$reject", "$reject"), "the verdict says reject after it said reject");
    let mixed = told(
        r#"(local.set $a (call $verdict)) (i32.store (i32.const 32) (i32.const 0))
           (call $reject-rows (local.get $a) (i32.const 0) (i32.const 32) (i32.const 1) @"why")
           (call $split (local.get $a) @"x") (call $done (local.get $a))"#,
    );
    assert_eq!(mixed, "the verdict rejects rows and says split of the whole batch");
}

#[test]
fn a_dimension_that_does_not_exist_is_refused() {
    let answer = told(
        "(call $metrics (local.get $batch) (i32.const 32)) \
         (call $codes (i32.load (i32.load (i32.const 32))) (i32.const 1) (i32.const 48)) (unreachable)",
    );
    assert_eq!(answer, "asked for dimension 1 of a metric that has 1");
}

#[test]
fn an_adapter_is_not_called_in_a_direction_that_it_lacks() {
    let snapshot = || Snapshot { batches: vec![], period: batch().window.period() };
    let push = load(&Guest::default());
    let fault = push.render(&settings(), snapshot(), vec![], &Limits::default()).result.unwrap_err();
    assert_eq!(fault.to_string(), "the adapter broke the contract: it does not make pages");
    let pull = load(&Guest::render("(call $answer (i32.const 0) (call $page @\"a/b\"))"));
    let fault = pull.begin(&settings(), view(), &Limits::default()).result.unwrap_err();
    assert_eq!(fault.to_string(), "the adapter broke the contract: it does not push");
    assert!(pull.render(&settings(), snapshot(), vec![], &Limits::default()).result.is_ok());
}

#[test]
fn a_refusal_to_render_is_told_in_the_adapters_own_words_made_safe() {
    let guest = Guest::render(
        r#"(i32.store8 (i32.const 32) (i32.const 1)) (i32.store (i32.const 36) (i32.const 100000))
           (i32.store (i32.const 40) (i32.const 400)) (memory.fill (i32.const 100000) (i32.const 7) (i32.const 400))
           (i32.const 32)"#,
    );
    let snapshot = Snapshot { batches: vec![], period: batch().window.period() };
    let fault = load(&guest).render(&settings(), snapshot, vec![], &Limits::default()).result.unwrap_err();
    assert_eq!(fault, Fault::Refused(format!("{}…", "\\u{7}".repeat(300))));
    let header = load(&Guest::render("(call $answer (i32.const 0) (call $page @\"a/b\\0d\\0ax: y\"))"));
    let snapshot = Snapshot { batches: vec![], period: batch().window.period() };
    let fault = header.render(&settings(), snapshot, vec![], &Limits::default()).result.unwrap_err();
    assert!(fault.to_string().ends_with("header content-type must be printable ASCII; found U+000D"), "{fault}");
    still_serves();
}
