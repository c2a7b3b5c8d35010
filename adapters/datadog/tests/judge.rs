//! What each answer of Datadog means for the batch.

mod common;

use tidegate_adapter::Verdict;
use tidegate_adapter::testing::Answer;

fn judged(answer: &Answer) -> Verdict {
    common::v2().deliver(&common::rows(2), |_| answer.clone()).verdict
}

fn error(status: u16, text: &str) -> Answer {
    Answer::status(status).body(format!("{{\"errors\":[\"{text}\"]}}"))
}

#[test]
fn accepted_means_taken() {
    assert_eq!(judged(&common::accepted()), Verdict::accepted());
    assert_eq!(judged(&Answer::status(202)), Verdict::accepted());
}

#[test]
fn another_success_is_not_datadogs_but_may_be_that_of_another_receiver() {
    let told = "HTTP 200: <html> log in </html> (Datadog answers 202; is something in between?)";
    assert_eq!(judged(&Answer::status(200).body("<html>\n log in </html>")), Verdict::stop(told));
    let elsewhere = common::v1().deliver(&common::rows(2), |_| Answer::status(200));
    assert_eq!(elsewhere.verdict, Verdict::accepted());
}

#[test]
fn what_only_an_admin_can_change_stops_the_store_with_datadogs_words() {
    let table = [
        (error(403, "Forbidden"), "HTTP 403: Forbidden"),
        (error(401, "API key required"), "HTTP 401: API key required"),
        (Answer::status(404).body("no\tsuch\npage"), "HTTP 404: no such page"),
        (Answer::status(301), "HTTP 301"),
        (error(415, "Unsupported"), "HTTP 415: Unsupported"),
    ];
    for (answer, told) in table {
        assert_eq!(judged(&answer), Verdict::stop(told));
    }
}

#[test]
fn what_spoils_a_request_or_is_too_large_is_halved() {
    let told = "HTTP 400: Payload is not in the expected format";
    assert_eq!(judged(&error(400, "Payload is not in the expected format")), Verdict::split(told));
    assert_eq!(judged(&error(413, "Payload too big")), Verdict::split("HTTP 413: Payload too big"));
}

#[test]
fn what_passes_is_tried_again_when_the_limit_is_lifted() {
    let busy = error(429, "Too many requests").header("X-RateLimit-Reset", "7").header("Retry-After", "30");
    assert_eq!(judged(&busy), Verdict::retry("HTTP 429: Too many requests", Some(7)));
    let busy = error(429, "Too many requests").header("Retry-After", "30");
    assert_eq!(judged(&busy), Verdict::retry("HTTP 429: Too many requests", Some(30)));
    for status in [408, 500, 502, 503, 504, 509] {
        assert_eq!(judged(&Answer::status(status)), Verdict::retry(format!("HTTP {status}"), None));
    }
    let odd = Answer::status(503).header("X-RateLimit-Reset", "soon");
    assert_eq!(judged(&odd), Verdict::retry("HTTP 503", None));
    assert_eq!(judged(&Answer::failure("connection refused")), Verdict::retry("connection refused", None));
}

#[test]
fn an_answer_that_is_no_json_or_far_too_long_is_told_in_part() {
    let told = format!("{:?}", judged(&Answer::status(400).body("[".repeat(100_000))));
    assert!(told.contains("Split") && told.len() < 600, "{}", told.len());
}

#[test]
fn a_later_request_that_fails_decides_and_the_ones_after_it_are_not_sent() {
    let mut requests = 0;
    let delivered = common::v2().deliver(&common::rows(10_000), |_| {
        requests += 1;
        if requests == 2 { Answer::status(503) } else { common::accepted() }
    });
    assert_eq!((requests, delivered.sent.len()), (2, 2));
    assert_eq!(delivered.verdict, Verdict::retry("HTTP 503", None));
}

#[test]
fn a_check_asks_about_the_key_and_sends_nothing() {
    let checked = common::v2().check(|_| Answer::status(200).body("{\"valid\":true}"));
    assert_eq!(checked.verdict, Verdict::accepted());
    let request = checked.requests().next().unwrap();
    assert_eq!((request.method.as_str(), request.path.as_str(), request.body.len()), ("GET", "/api/v1/validate", 0));
    assert_eq!(request.credentials, [("api_key".to_owned(), "DD-API-KEY".to_owned(), "{}".to_owned())]);
    let refused = common::v2().check(|_| error(403, "Forbidden"));
    assert_eq!(refused.verdict, Verdict::stop("HTTP 403: Forbidden"));
    let busy = common::v2().check(|_| Answer::status(503));
    assert_eq!(busy.verdict, Verdict::retry("HTTP 503", None));
    let odd = common::v2().check(|_| Answer::status(202));
    assert_eq!(odd.verdict, Verdict::stop("HTTP 202 (Datadog answers 200; is something in between?)"));
}
