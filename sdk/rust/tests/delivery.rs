//! A delivery from begin to verdict, and what the host would refuse on the way.

use tidegate_adapter::testing::{Action, Answer, BatchBuilder, MetricBuilder, PushStore, TestBatch};
use tidegate_adapter::{
    Batch, CredentialSlot, Disposition, Endpoint, Outcome, PushAdapter, RejectedRows, Request, Requests, Sent,
    Settings, Verdict, export_push,
};

#[derive(Settings)]
struct To {
    #[setting(label = "URL")]
    url: Endpoint,
    #[setting(label = "Key", secret)]
    key: Option<CredentialSlot>,
    #[setting(label = "Mode", default = "all")]
    mode: String,
}

/// One request for each row; a row with the value 13 cannot be sent.
struct Sink;

impl PushAdapter for Sink {
    type Settings = To;

    fn encode(settings: &To, batch: &Batch<'_>, requests: &mut Requests) -> Result<(), Verdict> {
        if settings.mode == "nothing" {
            return Err(Verdict::stop("no mode"));
        }
        for metric in batch.metrics() {
            let columns = metric.columns();
            for row in columns.live() {
                let values: Vec<_> = row.values().map(|(_, value)| value).collect();
                if values.contains(&13.0) {
                    requests.reject(&metric, row.index(), "bad luck");
                    continue;
                }
                let mut request = Request::post(&settings.url);
                match settings.mode.as_str() {
                    "hop" => _ = request.header("Transfer-Encoding", "chunked"),
                    "break" => _ = request.header("X-Name", "a\r\nb: c"),
                    "path" => _ = request.path("write"),
                    "hand" => _ = request.header("Authorization", "Bearer hunter2"),
                    "twice" => _ = request.gzip().header("Content-Encoding", "gzip"),
                    "climb" => _ = request.path("/a/%2E./b"),
                    "slot" => _ = request.credential(&settings.key.unwrap(), "Authorization", "Bearer"),
                    "silent" => {}
                    _ => request.carries(&metric, row.index()),
                }
                request.body().text(&format!("{:?} {values:?}", row.labels().collect::<Vec<_>>()));
                requests.send(request);
            }
        }
        Ok(())
    }
}

/// A sink that can be asked whether it knows the key.
struct Asks;

impl PushAdapter for Asks {
    type Settings = To;

    fn encode(_: &To, _: &Batch<'_>, _: &mut Requests) -> Result<(), Verdict> {
        unreachable!("a check writes nothing")
    }

    fn check(settings: &To, requests: &mut Requests) -> Result<(), Verdict> {
        let mut request = Request::get(&settings.url);
        request.path("/validate");
        requests.send(request);
        Ok(())
    }
}

export_push!(Sink);

fn batch(values: &[f64]) -> TestBatch {
    let metric = MetricBuilder::new("m", ["d", "e"]).measure("count", "_tx").measure("max", "x");
    let rows = values.iter().enumerate();
    let metric =
        rows.fold(metric, |metric, (n, value)| metric.row([format!("r{n}"), String::new()], [*value, f64::NAN]));
    BatchBuilder::new("p", "s").metric(metric).build()
}

fn store(mode: &str) -> PushStore<Sink> {
    PushStore::new([("url", "http://h"), ("mode", mode), ("key", "k")])
}

fn judged(answer: &Answer) -> Disposition {
    store("silent").deliver(&batch(&[1.0]), |_| answer.clone()).verdict.disposition().clone()
}

fn rejected(metric: u32, rows: &[u32], reason: &str) -> RejectedRows {
    RejectedRows { metric, rows: rows.to_vec(), reason: reason.to_owned() }
}

#[test]
fn rows_give_their_labels_and_values_and_leave_out_what_is_empty() {
    let delivered = store("all").encode(&batch(&[1.5]));
    assert_eq!(delivered.requests().next().unwrap().text(), r#"[("d", "r0")] [1.5]"#);
}

#[test]
fn the_default_judgement_is_what_most_sinks_mean() {
    let retry = |reason: &str, after_seconds| Disposition::Retry { reason: reason.to_owned(), after_seconds };
    assert_eq!(judged(&Answer::status(202).body("{}")), Disposition::Accepted);
    assert_eq!(judged(&Answer::status(503).header("Retry-After", "9")), retry("HTTP 503", Some(9)));
    assert_eq!(judged(&Answer::status(429).body("slow\n down")), retry("HTTP 429: slow down", None));
    assert_eq!(judged(&Answer::status(408)), retry("HTTP 408", None));
    assert_eq!(judged(&Answer::status(599)), retry("HTTP 599", None));
    assert_eq!(judged(&Answer::failure("timed out after 10 s")), retry("timed out after 10 s", None));
    assert_eq!(judged(&Answer::status(413)), Disposition::Split("HTTP 413".to_owned()));
    assert_eq!(judged(&Answer::status(401)), Disposition::Stop("HTTP 401".to_owned()));
    assert_eq!(judged(&Answer::status(403)), Disposition::Stop("HTTP 403".to_owned()));
    assert_eq!(judged(&Answer::status(302)), Disposition::Stop("HTTP 302".to_owned()));
    assert_eq!(judged(&Answer::status(400).body("no")), Disposition::Rejected("HTTP 400: no".to_owned()));
}

#[test]
fn a_refused_request_rejects_the_rows_it_carried_and_the_next_ones_still_go() {
    let mut count = 0;
    let delivered = store("all").deliver(&batch(&[1.0, 13.0, 2.0, 3.0]), |_| {
        count += 1;
        Answer::status(if count == 2 { 400 } else { 200 })
    });
    assert_eq!(delivered.sent.len(), 3);
    let expected = vec![rejected(0, &[2], "HTTP 400"), rejected(0, &[1], "bad luck")];
    assert_eq!(delivered.verdict, Verdict::reject_rows(expected));
}

#[test]
fn a_batch_that_comes_again_is_not_reported_in_part() {
    let mut count = 0;
    let delivered = store("all").deliver(&batch(&[13.0, 1.0, 2.0, 3.0]), |_| {
        count += 1;
        Answer::status(if count == 2 { 500 } else { 200 })
    });
    assert_eq!(delivered.sent.len(), 2);
    assert_eq!(delivered.verdict, Verdict::retry("HTTP 500", None));
}

/// A sink that has something to say of each request that it takes.
struct Remarks;

impl PushAdapter for Remarks {
    type Settings = To;

    fn encode(settings: &To, batch: &Batch<'_>, requests: &mut Requests) -> Result<(), Verdict> {
        Sink::encode(settings, batch, requests)
    }

    fn judge(_: &To, sent: &Sent, outcome: &Outcome<'_>) -> Verdict {
        Verdict::by_status(sent, outcome).with_note(format!("{} row", sent.count())).with_note("again")
    }
}

#[test]
fn notes_of_all_answers_are_told_with_what_arrived_and_not_with_what_comes_again() {
    let store = PushStore::<Remarks>::new([("url", "http://h")]);
    let delivered = store.deliver(&batch(&[1.0, 2.0]), |_| Answer::status(200));
    assert_eq!(delivered.verdict.notes(), ["1 row", "again", "1 row", "again"]);
    let mut statuses = [200, 500].into_iter();
    let delivered = store.deliver(&batch(&[1.0, 2.0]), |_| Answer::status(statuses.next().unwrap()));
    assert_eq!(delivered.verdict, Verdict::retry("HTTP 500", None));
}

#[test]
fn a_verdict_of_encode_is_the_verdict_and_nothing_is_sent() {
    let delivered = store("nothing").encode(&batch(&[1.0]));
    assert_eq!((delivered.sent.len(), delivered.verdict), (0, Verdict::stop("no mode")));
}

#[test]
fn a_check_asks_and_the_answer_is_judged() {
    let store = PushStore::<Asks>::new([("url", "http://h")]);
    let checked = |status| store.check(|_| Answer::status(status));
    assert_eq!(checked(200).verdict, Verdict::accepted());
    assert_eq!(checked(200).requests().next().unwrap().path, "/validate");
    assert_eq!(checked(403).verdict, Verdict::stop("HTTP 403"));
}

#[test]
fn an_adapter_without_a_check_sends_nothing_when_it_is_asked_for_one() {
    let delivered = store("all").check(|_| unreachable!("nothing is sent"));
    assert_eq!((delivered.sent.len(), delivered.verdict), (0, Verdict::accepted()));
}

#[test]
fn sixty_four_requests_go_and_one_more_asks_for_halves() {
    assert_eq!(store("all").encode(&batch(&[1.0; 64])).verdict, Verdict::accepted());
    let delivered = store("all").encode(&batch(&[1.0; 65]));
    assert_eq!(delivered.sent.len(), 0);
    assert_eq!(delivered.verdict, Verdict::split("65 requests, and a delivery may have 64"));
}

#[test]
#[should_panic(expected = "header \"Transfer-Encoding\" is for the host alone to set")]
fn a_hop_by_hop_header_is_refused() {
    let _ = store("hop").encode(&batch(&[1.0]));
}

#[test]
#[should_panic(expected = "header \"X-Name\" has a value with other characters than printable ASCII")]
fn a_line_break_in_a_header_is_refused() {
    let _ = store("break").encode(&batch(&[1.0]));
}

#[test]
#[should_panic(expected = "the path \"write\" does not start with /")]
fn a_path_without_a_slash_is_refused() {
    let _ = store("path").encode(&batch(&[1.0]));
}

#[test]
#[should_panic(expected = "header \"Authorization\" carries credentials; place one by its slot")]
fn a_credential_by_hand_is_refused() {
    let _ = store("hand").encode(&batch(&[1.0]));
}

#[test]
#[should_panic(expected = "header \"Content-Encoding\" is set twice")]
fn a_header_that_the_host_sets_already_is_refused() {
    let _ = store("twice").encode(&batch(&[1.0]));
}

#[test]
#[should_panic(expected = "has an empty segment, or one of dots")]
fn a_path_that_climbs_is_refused() {
    let _ = store("climb").encode(&batch(&[1.0]));
}

#[test]
#[should_panic(expected = "the template \"Bearer\" must have {} once")]
fn a_template_without_a_place_for_the_credential_is_refused() {
    let _ = store("slot").encode(&batch(&[1.0]));
}

#[test]
fn rows_that_a_request_carried_are_kept_in_ranges() {
    struct Ranges;
    impl PushAdapter for Ranges {
        type Settings = To;

        fn encode(settings: &To, batch: &Batch<'_>, requests: &mut Requests) -> Result<(), Verdict> {
            let mut request = Request::post(&settings.url);
            for metric in batch.metrics() {
                for row in [0, 1, 2, 5, 6, 9] {
                    request.carries(&metric, row);
                }
            }
            requests.send(request);
            Ok(())
        }

        fn judge(_: &To, sent: &Sent, _: &tidegate_adapter::Outcome<'_>) -> Verdict {
            assert_eq!(sent.parts()[0].ranges, [0..3, 5..7, 9..10]);
            assert_eq!((sent.count(), sent.parts().len()), (12, 2));
            Verdict::reject(sent, "all")
        }
    }
    let metric = || MetricBuilder::new("m", [""; 0]).measure("count", "_tx");
    let batch = BatchBuilder::new("p", "s").metric(metric()).metric(metric()).build();
    let delivered = PushStore::<Ranges>::new([("url", "http://h")]).deliver(&batch, |action| {
        assert!(matches!(action, Action::Request(_)));
        Answer::status(400)
    });
    let all = [0, 1, 2, 5, 6, 9];
    assert_eq!(delivered.verdict.rejected(), [rejected(0, &all, "all"), rejected(1, &all, "all")]);
}
