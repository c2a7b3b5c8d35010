//! What each answer of the server means for the batch.

mod common;

use tidegate_adapter::testing::Answer;
use tidegate_adapter::{Disposition, RejectedRows, Verdict};

fn judged(rows: usize, answer: &Answer) -> Verdict {
    common::one().deliver(&common::rows(rows), |_| answer.clone()).verdict
}

fn error(status: u16, text: &str) -> Answer {
    let text = text.replace('"', "\\\"");
    Answer::status(status).body(format!("{{\"error\":\"{text}\"}}\n"))
}

fn problem(status: u16, code: &str, text: &str) -> Answer {
    Answer::status(status).body(format!("{{\"code\":\"{code}\",\"message\":\"{text}\"}}"))
}

#[test]
fn no_content_means_taken_and_any_other_success_is_not_a_write_api() {
    assert_eq!(judged(2, &Answer::status(204)), Verdict::accepted());
    let login_page = Answer::status(200).body("<html>\n log in </html>");
    let told = "HTTP 200: <html> log in </html> (a write is answered 204; does the URL lead to InfluxDB?)";
    assert_eq!(judged(2, &login_page), Verdict::stop(told));
}

#[test]
fn what_only_an_admin_can_change_stops_the_store_with_the_servers_words() {
    let table = [
        (error(401, "authorization failed"), "HTTP 401: authorization failed"),
        (
            error(403, "\"w\" user is not authorized to write to database \"m\""),
            "HTTP 403: \"w\" user is not authorized to write to database \"m\"",
        ),
        (error(404, "database not found: \"m\""), "HTTP 404: database not found: \"m\""),
        (problem(404, "not found", "bucket not found"), "HTTP 404: bucket not found"),
        (problem(401, "unauthorized", "unauthorized access"), "HTTP 401: unauthorized access"),
        (error(500, "retention policy not found: autogen"), "HTTP 500: retention policy not found: autogen"),
        (Answer::status(301), "HTTP 301"),
        (Answer::status(405).body("no\tsuch\nmethod"), "HTTP 405: no such method"),
        (Answer::status(401).header("X-Influxdb-Error", "told in a header"), "HTTP 401: told in a header"),
    ];
    for (answer, told) in table {
        assert_eq!(judged(2, &answer), Verdict::stop(told));
    }
}

#[test]
fn what_passes_is_tried_again_when_the_server_says() {
    let busy = problem(429, "too many requests", "rate limit").clone().header("Retry-After", "30");
    assert_eq!(judged(2, &busy), Verdict::retry("HTTP 429: rate limit", Some(30)));
    let cardinality = problem(503, "unavailable", "later").header("retry-after", "5");
    assert_eq!(judged(2, &cardinality), Verdict::retry("HTTP 503: later", Some(5)));
    assert_eq!(judged(2, &error(500, "timeout")), Verdict::retry("HTTP 500: timeout", None));
    assert_eq!(judged(2, &Answer::status(502)), Verdict::retry("HTTP 502", None));
    assert_eq!(judged(2, &Answer::failure("connection refused")), Verdict::retry("connection refused", None));
    let date = Answer::status(503).header("Retry-After", "Wed, 21 Oct 2026 07:28:00 GMT");
    assert_eq!(judged(2, &date), Verdict::retry("HTTP 503", None));
}

#[test]
fn a_partial_write_that_left_out_every_point_rejects_exactly_the_rows_sent() {
    let told = "partial write: points beyond retention policy dropped=2";
    let rejected = RejectedRows { metric: 0, rows: vec![0, 1], reason: format!("HTTP 400: {told}") };
    assert_eq!(judged(2, &error(400, told)), Verdict::reject_rows(vec![rejected]));
    let told = "failure writing points to database: partial write: points beyond retention policy dropped=1";
    let rejected = RejectedRows { metric: 0, rows: vec![0], reason: format!("HTTP 422: {told}") };
    assert_eq!(judged(1, &problem(422, "unprocessable entity", told)), Verdict::reject_rows(vec![rejected]));
}

#[test]
fn a_partial_write_that_left_out_some_points_is_halved_to_find_them() {
    let told = "partial write: field type conflict: input field \"x\" on measurement \"m\" is type float, already exists as type integer dropped=1";
    assert_eq!(judged(2, &error(400, told)), Verdict::split(format!("HTTP 400: {told}")));
    let told = "partial write: max-values-per-tag limit exceeded (100000/100000) dropped=1";
    assert_eq!(judged(3, &problem(500, "internal error", told)), Verdict::split(format!("HTTP 500: {told}")));
    assert_eq!(judged(3, &error(400, "partial write: nothing was wrong dropped=0")), Verdict::accepted());
}

#[test]
fn lines_that_1x_could_not_parse_are_found_by_halves_although_it_says_that_none_was_dropped() {
    let told = "partial write: unable to parse 'm,a= v=1 1': missing tag value dropped=0";
    assert_eq!(judged(3, &error(400, told)), Verdict::split(format!("HTTP 400: {told}")));
    let two = "partial write: unable to parse 'a': missing fields\\nunable to parse 'b': missing fields dropped=0";
    let in_one_line = two.replace("\\n", " ");
    assert_eq!(judged(3, &error(400, two)), Verdict::split(format!("HTTP 400: {in_one_line}")));
    // Everything that was sent, one row, could not be parsed: the host rejects it by name.
    assert_eq!(judged(1, &error(400, told)), Verdict::split(format!("HTTP 400: {told}")));
}

#[test]
fn points_outside_of_the_retention_are_rejected_and_never_sent_again() {
    let one = "partial write: points beyond retention policy dropped=2";
    let two = "failure writing points to database: partial write: points beyond retention policy dropped=2";
    let uncounted = "dropped points outside retention policy of duration 168h0m0s";
    for answer in [
        error(400, one),
        problem(422, "unprocessable entity", two),
        problem(422, "unprocessable entity", uncounted),
        problem(500, "internal error", two),
    ] {
        let verdict = judged(2, &answer);
        assert_eq!(verdict.rejected().len(), 1, "{verdict:?}");
        assert_eq!((&verdict.rejected()[0].rows, verdict.disposition()), (&vec![0, 1], &Disposition::Accepted));
    }
    for status in [400, 500] {
        let told = format!("HTTP {status}: retention policy not found: week");
        assert_eq!(judged(2, &error(status, "retention policy not found: week")), Verdict::stop(told));
    }
}

#[test]
fn what_spoils_a_request_or_is_too_large_is_halved() {
    let told = "unable to parse 'x': missing fields";
    assert_eq!(judged(2, &error(400, told)), Verdict::split(format!("HTTP 400: {told}")));
    assert_eq!(judged(2, &problem(422, "unprocessable entity", "no")), Verdict::split("HTTP 422: no"));
    assert_eq!(
        judged(2, &error(413, "Request Entity Too Large")),
        Verdict::split("HTTP 413: Request Entity Too Large")
    );
}

#[test]
fn a_later_request_that_fails_decides_and_the_ones_after_it_are_not_sent() {
    let mut requests = 0;
    let delivered = common::two().deliver(&common::rows(15_000), |_| {
        requests += 1;
        Answer::status(if requests == 2 { 503 } else { 204 })
    });
    assert_eq!((requests, delivered.sent.len()), (2, 2));
    assert_eq!(delivered.verdict, Verdict::retry("HTTP 503", None));
}

#[test]
fn rows_rejected_in_one_request_are_reported_after_the_others_were_taken() {
    let mut requests = 0;
    let delivered = common::two().deliver(&common::rows(10_001), |_| {
        requests += 1;
        if requests == 3 {
            error(400, "partial write: points beyond retention policy dropped=1")
        } else {
            Answer::status(204)
        }
    });
    let rejected: Vec<_> = delivered.verdict.rejected().iter().map(|r| r.rows.clone()).collect();
    assert_eq!(rejected, [[10_000]]);
}

#[test]
fn an_answer_that_is_no_json_or_far_too_long_is_told_in_part() {
    let told = format!("{:?}", judged(2, &Answer::status(400).body("[".repeat(100_000))));
    assert!(told.contains("Split") && told.len() < 600, "{}", told.len());
}

#[test]
fn a_check_writes_no_points_and_tells_what_the_server_has_against_the_settings() {
    let checked = common::one().check(|_| Answer::status(204));
    assert_eq!((checked.verdict.clone(), checked.sent.len()), (Verdict::accepted(), 1));
    assert!(checked.requests().all(|request| request.body.is_empty() && request.path == "/write"));
    let missing = problem(400, "invalid", "writing requires points");
    assert_eq!(common::two().check(|_| missing.clone()).verdict, Verdict::accepted());
    let unknown = error(404, "database not found: \"m\"");
    let stop = Verdict::stop("HTTP 404: database not found: \"m\"");
    assert_eq!(common::one().check(|_| unknown.clone()).verdict, stop);
}
