//! What each answer of a broker means for the batch.

mod common;

use tidegate_adapter::testing::{Answer, BatchBuilder, MetricBuilder};
use tidegate_adapter::{RejectedRows, Verdict};

fn judged(answer: &Answer) -> Verdict {
    common::push().deliver(&common::rows(2), |_| answer.clone()).verdict
}

fn error(status: u16, text: &str) -> Answer {
    Answer::status(status).body(format!("{{\"error\":\"{text}\"}}"))
}

fn counts(stats: u64, filtered: u64) -> Answer {
    Answer::status(200).body(format!("{{ \"stats\": {stats}, \"filtered\": {filtered} }}"))
}

fn rejected(reason: &str) -> Verdict {
    Verdict::reject_rows(vec![RejectedRows { metric: 0, rows: vec![0, 1], reason: reason.to_owned() }])
}

#[test]
fn counts_that_match_mean_taken_and_so_does_an_agent_without_a_word() {
    assert_eq!(judged(&counts(2, 0)), Verdict::accepted());
    assert_eq!(judged(&Answer::status(200).body("{\"stats\":2}")), Verdict::accepted());
    assert_eq!(judged(&Answer::status(204)), Verdict::accepted());
}

#[test]
fn fewer_values_than_were_sent_are_looked_for_in_halves() {
    assert_eq!(judged(&counts(1, 0)), Verdict::split("the broker read 1 of 2 values"));
    assert_eq!(judged(&counts(0, 0)), Verdict::split("the broker read 0 of 2 values"));
    // Values count, not rows.
    let metric = MetricBuilder::new("m", [""; 0]).measure("count", "a").measure("sum", "b").row([""; 0], [1.0, 2.0]);
    let batch = BatchBuilder::new("p", "s").metric(metric).build();
    let judged = common::push().deliver(&batch, |_| counts(1, 0)).verdict;
    assert_eq!(judged, Verdict::split("the broker read 1 of 2 values"));
}

#[test]
fn an_error_beside_the_counts_is_looked_for_in_halves() {
    let cut = "at least one metric exceeded max name length";
    let answer = Answer::status(200).body(format!("{{\"stats\":2,\"filtered\":0,\"error\":\"{cut}\"}}"));
    assert_eq!(judged(&answer), Verdict::split(format!("HTTP 200: {cut}")));
}

#[test]
fn rows_are_rejected_if_the_filters_of_the_check_take_none_of_them() {
    // A broker counts twice: once for the time stamp and once for the number.
    assert_eq!(judged(&counts(2, 4)), rejected("the check's metric filters take none of these"));
    let one = common::push().deliver(&common::rows(1), |_| counts(1, 1)).verdict;
    assert_eq!(one.rejected()[0].reason, "the check's metric filters take none of these");
}

#[test]
fn values_that_the_filters_of_the_check_leave_out_are_no_refusal_and_the_admin_is_told_how_many_they_are() {
    let told = |filtered: u64, counted: u64| {
        format!(
            "at least {filtered} of 100 values were filtered by Circonus: the check's metric filters do not take them (it counted {counted})"
        )
    };
    let judged = |filtered: u64| common::push().deliver(&common::rows(100), |_| counts(100, filtered)).verdict;
    assert_eq!(judged(74), Verdict::accepted().with_note(told(37, 74)));
    assert_eq!(judged(1), Verdict::accepted().with_note(told(1, 1)));
    assert_eq!(judged(199), Verdict::accepted().with_note(told(100, 199)));
    assert_eq!(judged(200).notes(), [""; 0], "rejected, which says more");
}

#[test]
fn a_success_without_counts_is_no_brokers() {
    let told = "HTTP 200: <html> log in </html> (a broker answers with its counts; does the URL lead to one?)";
    assert_eq!(judged(&Answer::status(200).body("<html>\n log in </html>")), Verdict::stop(told));
}

#[test]
fn after_a_broken_document_nothing_is_repeated_and_the_reason_says_what_is_stored() {
    let told = "HTTP 406: lexical error (values before the fault are stored, those after it are not)";
    assert_eq!(judged(&error(406, "lexical error")), rejected(told));
}

#[test]
fn what_only_an_admin_can_change_stops_the_store_with_the_brokers_words() {
    let table = [
        (error(403, "secret mismatch"), "HTTP 403: secret mismatch"),
        (error(404, "no such check"), "HTTP 404: no such check"),
        (error(404, "uuid parse error"), "HTTP 404: uuid parse error"),
        (Answer::status(401), "HTTP 401"),
        (Answer::status(302), "HTTP 302"),
        (Answer::status(405).body("no\tsuch\nmethod"), "HTTP 405: no such method"),
    ];
    for (answer, told) in table {
        assert_eq!(judged(&answer), Verdict::stop(told));
    }
}

#[test]
fn what_passes_is_tried_again_and_what_is_too_large_is_halved() {
    assert_eq!(judged(&error(500, "internal error")), Verdict::retry("HTTP 500: internal error", None));
    for status in [408, 429, 502, 503, 504] {
        let answer = Answer::status(status).header("Retry-After", "5");
        assert_eq!(judged(&answer), Verdict::retry(format!("HTTP {status}"), Some(5)));
    }
    assert_eq!(judged(&Answer::failure("connection refused")), Verdict::retry("connection refused", None));
    assert_eq!(judged(&Answer::status(413)), Verdict::split("HTTP 413"));
}

#[test]
fn an_answer_that_is_far_too_long_is_told_in_part() {
    let told = format!("{:?}", judged(&Answer::status(406).body("[".repeat(100_000))));
    assert!(told.contains("before the fault") && told.len() < 700, "{}", told.len());
}

#[test]
fn a_check_submits_nothing_and_learns_whether_the_url_holds() {
    let checked = common::push().check(|_| counts(0, 0));
    assert_eq!((checked.verdict.clone(), checked.requests().next().unwrap().text()), (Verdict::accepted(), "{}"));
    let refused = common::push().check(|_| error(403, "secret mismatch"));
    assert_eq!(refused.verdict, Verdict::stop("HTTP 403: secret mismatch"));
    let page = common::push().check(|_| Answer::status(200).body("<html>"));
    assert!(format!("{:?}", page.verdict).contains("does the URL lead to one?"), "{:?}", page.verdict);
}
