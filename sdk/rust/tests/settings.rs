//! What the derives make of a struct, read by the host's own code.

use std::borrow::Cow;
use tidegate_adapter::settings::{EndpointSchema, Kind};
use tidegate_adapter::testing::{BatchBuilder, MetricBuilder, PushStore, describe};
use tidegate_adapter::{
    Batch, Certificates, Choice, CredentialSlot, Endpoint, Host, Names, Port, PushAdapter, Request, Requests, Settings,
    Stream, Template, Verdict, export_push,
};
use tidegate_model::adapter::Target;
use tidegate_model::{Description, Settings as Checked, adapter::SettingKind};

#[derive(Choice, Clone, Copy, Debug, PartialEq, Eq)]
enum Site {
    #[choice(value = "eu", label = "Europe")]
    Europe,
    #[choice(value = "us", label = "USA")]
    Usa,
}

/// One of everything.
#[allow(dead_code, reason = "some fields are shown by Debug only")]
#[derive(Settings, Debug)]
#[endpoint(http, name = "intake", url = "https://api.{site}.example.com/v2")]
#[endpoint(tcp, name = "carbon", host = "host", port = "port")]
struct Everything {
    #[setting(label = "Site", help = "The part of the address after \"app.\"", default = Site::Europe)]
    site: Site,
    #[setting(label = "URL")]
    url: Endpoint,
    #[setting(label = "Submission URL", secret, when(site = ["eu", "us"]))]
    submission: Option<Endpoint>,
    #[setting(label = "Prefix", default = "tidegate.")]
    prefix: String,
    #[setting(label = "User", when(site = "us"), required)]
    user: Option<CredentialSlot>,
    #[setting(label = "Key", secret)]
    key: CredentialSlot,
    #[setting(label = "Host", default = "127.0.0.1")]
    host: Host,
    #[setting(label = "Port", default = 2003)]
    port: Port,
    #[setting(label = "Size", min = 1, max = 10, default = 5)]
    size: u16,
    #[setting(label = "Offset")]
    offset: Option<i32>,
    #[setting(label = "Loud", default = false)]
    loud: bool,
    #[setting(label = "Type")]
    r#type: Option<String>,
    #[setting(label = "Naming", default = "{project}.{metric}", must = ["project", "metric"])]
    naming: Template,
    #[setting(label = "Measurement", placeholders = ["metric_set", "metric"], must = "metric")]
    measurement: Option<Template>,
    #[setting(label = "Authorities", when(loud = "true"))]
    authorities: Option<Certificates>,
}

struct Sink;

fn clean_node(value: &str) -> Cow<'_, str> {
    value.replace('.', "_").into()
}

impl PushAdapter for Sink {
    type Settings = Everything;

    fn encode(settings: &Everything, batch: &Batch<'_>, requests: &mut Requests) -> Result<(), Verdict> {
        let mut request = Request::post(&Everything::INTAKE);
        let (project, set) = (batch.project(), batch.metric_set());
        for metric in batch.metrics() {
            let names = Names { project: &project, metric_set: &set, metric: metric.name(), ..Names::default() };
            let name = settings.naming.fill(&names, clean_node);
            request.body().text(&name);
        }
        request.body().text(&format!("{settings:?}"));
        requests.send(request);
        requests.send(Request::put(&settings.url));
        let mut stream = Stream::to(&Everything::CARBON);
        stream.body().text("x 1 1\n");
        requests.send_stream(stream);
        Ok(())
    }
}

export_push!(Sink, name = "every-thing");

fn description() -> Description {
    Description::parse(&describe::<Sink, Everything>()).unwrap()
}

#[test]
fn the_host_takes_the_description_and_finds_every_part_of_it() {
    let description = description();
    assert_eq!(description.name, "every-thing");
    assert_eq!(description.version, env!("CARGO_PKG_VERSION"));
    assert_eq!(description.summary, env!("CARGO_PKG_DESCRIPTION"));
    let found: Vec<_> = description.settings.iter().map(|s| (s.key.as_str(), s.kind, s.required)).collect();
    let expected = [
        ("site", SettingKind::Choice, false),
        ("url", SettingKind::Url, true),
        ("submission", SettingKind::SecretUrl, false),
        ("prefix", SettingKind::Text, false),
        ("user", SettingKind::Text, true),
        ("key", SettingKind::Secret, true),
        ("host", SettingKind::Host, false),
        ("port", SettingKind::Port, false),
        ("size", SettingKind::Integer, false),
        ("offset", SettingKind::Integer, false),
        ("loud", SettingKind::Boolean, false),
        ("type", SettingKind::Text, false),
        ("naming", SettingKind::Template, false),
        ("measurement", SettingKind::Template, false),
        ("authorities", SettingKind::Certificates, false),
    ];
    assert_eq!(found, expected);
    let of = |key: &str| description.setting(key).unwrap();
    assert_eq!(of("site").help, "The part of the address after \"app.\"");
    assert_eq!(of("site").choices[1].label, "USA");
    assert_eq!((of("size").min, of("size").max), (Some(1), Some(10)));
    assert_eq!((of("offset").min, of("offset").max), (Some(i64::from(i32::MIN)), Some(i64::from(i32::MAX))));
    assert_eq!(of("user").when.as_ref().unwrap().is, ["us"]);
    assert_eq!(of("naming").placeholders, ["project", "metric_set", "metric", "aggregate", "attribute"]);
    assert_eq!(of("naming").must, ["project", "metric"]);
    assert_eq!(
        (&*of("measurement").placeholders, &*of("measurement").must),
        (&["metric_set".into(), "metric".into()][..], &["metric".into()][..])
    );
}

#[test]
fn the_host_fills_in_defaults_and_endpoints() {
    let raw = serde_json::json!({"url": "http://h", "key": "k", "site": "us", "user": "me"});
    let settings = Checked::check(&description(), raw.as_object().unwrap()).unwrap();
    let target = description().target("intake", &settings);
    assert!(
        matches!(target, Some(Target::Http { url: tidegate_model::SettingValue::Text(u) }) if u == "https://api.us.example.com/v2")
    );
    let target = description().target("carbon", &settings);
    assert!(matches!(target, Some(Target::Tcp { host, port: 2003 }) if host == "127.0.0.1"));
}

#[test]
fn values_arrive_in_their_fields_and_secrets_only_as_slots() {
    let store = PushStore::<Sink>::new([
        ("site", "us"),
        ("url", "http://h"),
        ("user", "me"),
        ("key", "hunter2"),
        ("size", "10"),
        ("offset", "-3"),
        ("type", "t"),
    ]);
    let delivered =
        store.encode(&BatchBuilder::new("web", "s").metric(MetricBuilder::new("all.errors", [""; 0])).build());
    let read = delivered.requests().next().unwrap().text();
    for part in [
        "web.all_errors",
        "site: Usa",
        "submission: None",
        "prefix: \"tidegate.\"",
        "key: \"user\"",
        "key: \"key\"",
        "port: Port(2003)",
        "size: 10",
        "offset: Some(-3)",
        "loud: false",
        "type: Some(\"t\")",
    ] {
        assert!(read.contains(part), "{part} is not in {read}");
    }
    assert!(!read.contains("hunter2"));
    assert_eq!(delivered.verdict, Verdict::accepted());
    assert_eq!(delivered.sent.len(), 3);
}

#[test]
#[should_panic(expected = "setting \"measurement\": there is no placeholder {project}, found \"{project}{metric}\"")]
fn a_test_store_with_a_placeholder_that_is_not_allowed_says_which() {
    let _ = PushStore::<Sink>::new([("url", "http://h"), ("key", "k"), ("measurement", "{project}{metric}")]);
}

#[test]
#[should_panic(expected = "setting \"naming\": must have {project} in it, found \"{metric}\"")]
fn a_test_store_whose_template_lacks_a_placeholder_says_which() {
    let _ = PushStore::<Sink>::new([("url", "http://h"), ("key", "k"), ("naming", "{metric}")]);
}

#[test]
fn the_schema_can_be_had_as_data() {
    let schema = Everything::schema();
    assert_eq!(schema.settings[5].kind, Kind::Secret);
    let keys: Vec<_> = schema.endpoints.iter().map(EndpointSchema::key).collect();
    assert_eq!(keys, ["url", "submission", "intake", "carbon"]);
}

#[test]
#[should_panic(expected = "the host would refuse these settings: setting \"user\" (User) is required")]
fn a_test_store_without_a_required_setting_says_which() {
    let _ = PushStore::<Sink>::new([("site", "us"), ("url", "http://h"), ("key", "k")]);
}

#[test]
#[should_panic(expected = "there is no setting \"urn\"; there are: site, url,")]
fn a_test_store_with_an_unknown_setting_says_what_there_is() {
    let _ = PushStore::<Sink>::new([("urn", "x")]);
}

#[test]
#[should_panic(expected = "setting \"size\": expected a whole number within the bounds, found \"11\"")]
fn a_test_store_with_a_number_out_of_bounds_says_so() {
    let _ = PushStore::<Sink>::new([("url", "http://h"), ("key", "k"), ("size", "11")]);
}
