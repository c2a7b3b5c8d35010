//! The description, as the host reads it, and the settings that it takes.

use grafana::{Grafana, GrafanaSettings};
use serde_json::{Value, json};
use tidegate_adapter::testing::describe;
use tidegate_model::adapter::Target;
use tidegate_model::{Description, SettingValue, Settings};

fn description() -> Description {
    Description::parse(&describe::<Grafana, GrafanaSettings>()).unwrap()
}

fn check(raw: Value) -> Result<Settings, String> {
    Settings::check(&description(), raw.as_object().unwrap()).map_err(|error| error.to_string())
}

#[test]
fn the_host_takes_the_description_and_knows_the_adapter_by_its_package() {
    let description = description();
    assert_eq!(description.name, "grafana");
    let keys: Vec<_> = description.settings.iter().map(|s| s.key.as_str()).collect();
    assert_eq!(keys, ["cluster", "url", "instance_id", "key", "prefix", "naming", "authorities"]);
    assert_eq!(<Grafana as tidegate_adapter::PushAdapter>::LOOK_BACK, Some(3_600));
}

#[test]
fn a_shared_cluster_needs_the_instance_id_and_a_dedicated_one_does_not() {
    assert!(check(json!({"url": "https://h/metrics", "instance_id": 4711, "key": "k"})).is_ok());
    assert!(check(json!({"cluster": "dedicated", "url": "https://h/metrics", "key": "k"})).is_ok());
    let told = check(json!({"url": "https://h/metrics", "key": "k"})).unwrap_err();
    assert_eq!(told, "setting \"instance_id\" (Instance ID) is required");
}

#[test]
fn a_store_reaches_its_url_and_nothing_else_and_its_key_is_secret() {
    let settings = check(json!({"cluster": "dedicated", "url": "https://h/metrics", "key": "hunter2"})).unwrap();
    let target = description().target("url", &settings);
    assert!(matches!(target, Some(Target::Http { url: SettingValue::Text(url) }) if url == "https://h/metrics"));
    assert!(settings.secret("key").is_some() && settings.text("key").is_none());
}
