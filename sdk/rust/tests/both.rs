//! One adapter that pushes and is pulled, with one set of settings.

use tidegate_adapter::testing::{BatchBuilder, MetricBuilder, PullStore, PushStore, describe};
use tidegate_adapter::{
    Batch, GuideEntry, Login, Page, PullAdapter, PushAdapter, Requests, Scrape, Settings, Snapshot, Stream, Verdict,
    When, export_push_pull,
};

/// Settings of both ways.
#[derive(Settings)]
#[endpoint(tcp, name = "out", host = "host", port = "port")]
struct Both {
    #[setting(label = "Host", default = "localhost")]
    #[allow(dead_code)]
    host: tidegate_adapter::Host,
    #[setting(label = "Port", default = 2003)]
    #[allow(dead_code)]
    port: tidegate_adapter::Port,
}

struct Lines;

fn lines(batch: &Batch<'_>) -> String {
    let mut text = String::new();
    for metric in batch.metrics() {
        for row in metric.columns().all() {
            for (measure, total) in row.totals() {
                text += &format!("{} {} {total}\n", metric.name(), measure.aggregate);
            }
            for (measure, value) in row.values() {
                text += &format!("{} {} {value} {}\n", metric.name(), measure.aggregate, batch.window_end());
            }
        }
    }
    text
}

impl PushAdapter for Lines {
    type Settings = Both;
    const LOOK_BACK: Option<u32> = Some(3600);
    const IN_ORDER: bool = true;

    fn encode(_: &Both, batch: &Batch<'_>, requests: &mut Requests) -> Result<(), Verdict> {
        let mut stream = Stream::to(&Both::OUT);
        stream.body().text(&lines(batch));
        requests.send_stream(stream);
        Ok(())
    }
}

impl PullAdapter for Lines {
    type Settings = Both;
    const LOGIN: Login = Login::When(When { setting: "host", is: &["secure"] });
    const GUIDE: &'static [GuideEntry] =
        &[GuideEntry::new("URL", "{url}"), GuideEntry::new("User", "{user}\n").when("host", &["secure"])];

    fn render(_: &Both, snapshot: &Snapshot<'_>, _: &Scrape<'_>) -> Result<Page, String> {
        let mut page = Page::new("text/plain");
        for batch in snapshot.batches() {
            page.body().text(&lines(&batch));
        }
        Ok(page)
    }
}

export_push_pull!(Lines, name = "lines");

#[test]
fn both_ways_give_the_same_text_and_totals_are_for_whoever_reads() {
    let metric = MetricBuilder::new("m", ["d"])
        .measure("count", "_tx")
        .row_with_totals(["a"], [1.0], [5.0])
        .past_row(["b"], [2.0]);
    let batch = BatchBuilder::new("p", "s").metric(metric).window(120, 60).build();
    let text = "m count 5\nm count 1 120\nm count 2\n";
    let page = PullStore::<Lines>::new([]).render(std::slice::from_ref(&batch), &[]).unwrap();
    assert_eq!(page.text(), text);
    let delivered = PushStore::<Lines>::new([]).encode(&batch);
    assert_eq!(delivered.verdict, Verdict::accepted());
    assert!(format!("{:?}", delivered.sent).contains("endpoint: \"out\""));
}

#[test]
fn what_an_adapter_says_beyond_its_settings_reaches_the_host() {
    let description = tidegate_model::Description::parse(&describe::<Lines, Both>()).unwrap();
    assert_eq!(description.push.look_back, Some(3600));
    assert!(description.push.in_order);
    let settings = |host: &str| {
        let raw = serde_json::json!({"host": host});
        tidegate_model::Settings::check(&description, raw.as_object().unwrap()).unwrap()
    };
    assert!(description.pull.wants_login(&settings("secure")) && !description.pull.wants_login(&settings("other")));
    let shown: Vec<_> = description.pull.guide.iter().map(|e| (e.label.as_str(), e.text.as_str())).collect();
    assert_eq!(shown, [("URL", "{url}"), ("User", "{user}\n")]);
    assert!(description.pull.guide[1].when.as_ref().is_some_and(|when| when.holds(&settings("secure"))));
}
