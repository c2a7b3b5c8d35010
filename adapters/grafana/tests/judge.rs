//! What each answer of either generation of receiver means for the batch.

mod common;

use tidegate_adapter::testing::{Answer, BatchBuilder, MetricBuilder, large_batch};
use tidegate_adapter::{RejectedRows, Verdict};

fn judged(rows: usize, answer: &Answer) -> Verdict {
    common::shared().deliver(&large_batch(rows), |_| answer.clone()).verdict
}

fn answer(status: u16, body: &str) -> Answer {
    Answer::status(status).body(body)
}

#[test]
fn both_generations_say_taken_in_their_own_words() {
    for body in
        ["{\"published\":2}", "{\"Invalid\":0,\"Published\":2,\"ValidationErrors\":{}}", "", "ok", "{\"published\":0}"]
    {
        assert_eq!(judged(2, &answer(200, body)), Verdict::accepted(), "{body}");
    }
    assert_eq!(judged(2, &Answer::status(204)), Verdict::accepted());
}

#[test]
fn a_page_for_people_is_not_the_receiver() {
    let told = "HTTP 200: <html>Sign in</html> (that is a page for people; the URL ends in /metrics)";
    assert_eq!(judged(2, &answer(200, "<html>Sign in</html>")), Verdict::stop(told));
}

#[test]
fn the_former_generation_names_the_places_of_invalid_points_and_they_become_rows() {
    let body =
        "{\"Invalid\":2,\"Published\":2,\"ValidationErrors\":{\"invalid tag\":{\"Count\":2,\"ExampleIds\":[3,1]}}}";
    let rejected = RejectedRows { metric: 0, rows: vec![1, 3], reason: "invalid tag".to_owned() };
    assert_eq!(judged(4, &answer(200, body)), Verdict::reject_rows(vec![rejected]));

    let metric = |name: &str| MetricBuilder::new(name, ["d"]).measure("count", "x").row(["a"], [1.0]).row(["b"], [2.0]);
    let batch = BatchBuilder::new("p", "s").metric(metric("one")).metric(metric("two")).build();
    let body =
        "{\"Invalid\":2,\"Published\":2,\"ValidationErrors\":{\"x\":{\"ExampleIds\":[3]},\"y\":{\"ExampleIds\":[0]}}}";
    let verdict = common::shared().deliver(&batch, |_| answer(200, body)).verdict;
    let row = |metric: u32, row: u32, reason: &str| RejectedRows { metric, rows: vec![row], reason: reason.to_owned() };
    assert_eq!(verdict, Verdict::reject_rows(vec![row(0, 0, "y"), row(1, 1, "x")]));
}

#[test]
fn invalid_points_whose_places_are_not_all_told_are_found_by_halves() {
    let body =
        "{\"Invalid\":2,\"Published\":2,\"ValidationErrors\":{\"invalid tag\":{\"Count\":2,\"ExampleIds\":[3]}}}";
    assert_eq!(judged(4, &answer(200, body)), Verdict::split("2 points invalid: invalid tag"));
    let beyond = body.replace("[3]", "[3,4]");
    assert_eq!(judged(4, &answer(200, &beyond)), Verdict::split("2 points invalid: invalid tag"));
    let all = "{\"Invalid\":2,\"Published\":0,\"ValidationErrors\":{\"a\":{},\"b\":{}}}";
    let rejected = RejectedRows { metric: 0, rows: vec![0, 1], reason: "2 points invalid: a; b".to_owned() };
    assert_eq!(judged(2, &answer(200, all)), Verdict::reject_rows(vec![rejected]));
    // One row of two points: it cannot be halved, so it is rejected as a whole.
    let metric = MetricBuilder::new("m", ["d"]).measure("count", "x").measure("max", "x").row(["a"], [1.0, 2.0]);
    let some = "{\"Invalid\":1,\"Published\":1,\"ValidationErrors\":{\"a\":{\"ExampleIds\":[0]}}}";
    let verdict = common::shared().deliver(&BatchBuilder::new("p", "s").metric(metric).build(), |_| answer(200, some));
    assert_eq!(verdict.verdict.rejected()[0].rows, [0]);
}

#[test]
fn what_spoils_a_request_or_is_too_large_is_halved() {
    assert_eq!(judged(2, &answer(400, "invalid tag format")), Verdict::split("HTTP 400: invalid tag format"));
    assert_eq!(judged(2, &Answer::status(413)), Verdict::split("HTTP 413"));
}

#[test]
fn what_only_an_admin_can_change_stops_the_store() {
    for status in [301, 401, 402, 403, 404, 405] {
        assert_eq!(judged(2, &answer(status, "no")), Verdict::stop(format!("HTTP {status}: no")));
    }
}

#[test]
fn a_content_type_that_is_refused_is_our_fault_and_not_sent_again() {
    let rejected = RejectedRows { metric: 0, rows: vec![0, 1], reason: "HTTP 415: bad content-type".to_owned() };
    assert_eq!(judged(2, &answer(415, "bad content-type")), Verdict::reject_rows(vec![rejected]));
}

#[test]
fn what_passes_is_tried_again_when_the_receiver_says() {
    let busy = Answer::status(429).header("Retry-After", "20");
    assert_eq!(judged(2, &busy), Verdict::retry("HTTP 429", Some(20)));
    assert_eq!(judged(2, &Answer::status(408)), Verdict::retry("HTTP 408", None));
    for status in [502, 503, 504] {
        assert_eq!(judged(2, &Answer::status(status)), Verdict::retry(format!("HTTP {status}"), None));
    }
    assert_eq!(judged(2, &Answer::failure("timed out")), Verdict::retry("timed out", None));
}

#[test]
fn a_500_may_be_a_bad_moment_so_it_is_tried_again_until_the_window_is_too_old() {
    let told = "HTTP 500: failed to push metric data";
    assert_eq!(judged(2, &answer(500, "failed to push metric data")), Verdict::retry(told, None));
}

#[test]
fn a_later_request_that_fails_decides_and_the_ones_after_it_are_not_sent() {
    let mut requests = 0;
    let delivered = common::shared().deliver(&large_batch(3_000), |_| {
        requests += 1;
        Answer::status(if requests == 2 { 503 } else { 200 })
    });
    assert_eq!((requests, delivered.verdict), (2, Verdict::retry("HTTP 503", None)));
}

#[test]
fn a_check_sends_no_points_and_tells_whether_the_credentials_are_taken() {
    let checked = common::shared().check(|_| answer(200, "{\"published\":0}"));
    assert_eq!(checked.verdict, Verdict::accepted());
    let bodies: Vec<_> = checked.requests().map(tidegate_adapter::testing::SentRequest::text).collect();
    assert_eq!(bodies, ["[]"]);
    assert_eq!(common::shared().check(|_| answer(400, "no metrics")).verdict, Verdict::accepted());
    let refused = common::shared().check(|_| answer(401, "invalid token")).verdict;
    assert_eq!(refused, Verdict::stop("HTTP 401: invalid token"));
}
