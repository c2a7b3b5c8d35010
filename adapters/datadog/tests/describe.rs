//! The description, as the host reads it, and the settings that it takes.

use datadog::{Datadog, DatadogSettings};
use serde_json::{Value, json};
use tidegate_adapter::testing::describe;
use tidegate_model::adapter::Target;
use tidegate_model::{Description, SettingValue, Settings};

fn description() -> Description {
    Description::parse(&describe::<Datadog, DatadogSettings>()).unwrap()
}

fn check(raw: Value) -> Result<Settings, String> {
    Settings::check(&description(), raw.as_object().unwrap()).map_err(|error| error.to_string())
}

fn target(endpoint: &str, settings: &Settings) -> String {
    match description().target(endpoint, settings) {
        Some(Target::Http { url: SettingValue::Text(url) }) => url,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_host_takes_the_description_and_a_key_is_all_that_is_needed() {
    let description = description();
    assert_eq!(description.name, "datadog");
    let settings = check(json!({"api_key": "hunter2"})).unwrap();
    assert!(settings.secret("api_key").is_some() && settings.text("api_key").is_none());
    assert_eq!(target("intake", &settings), "https://api.datadoghq.com");
    assert_eq!(check(json!({})).unwrap_err(), "setting \"api_key\" (API key) is required");
}

#[test]
fn the_host_learns_how_old_a_window_may_be_and_keeps_templates_from_merging_metrics() {
    assert_eq!(description().push.look_back, Some(3_600));
    let told = check(json!({"api_key": "k", "name": "{metric}.{aggregate}"})).unwrap_err();
    assert!(told.contains("{attribute}"), "{told}");
}

#[test]
fn each_site_of_datadog_is_there_and_reached_under_api() {
    let sites = [
        "datadoghq.com",
        "us3.datadoghq.com",
        "us5.datadoghq.com",
        "datadoghq.eu",
        "ap1.datadoghq.com",
        "ap2.datadoghq.com",
        "uk1.datadoghq.com",
        "ddog-gov.com",
        "us2.ddog-gov.com",
    ];
    for site in sites {
        let settings = check(json!({"api_key": "k", "site": site})).unwrap();
        assert_eq!(target("intake", &settings), format!("https://api.{site}"));
    }
    assert!(
        check(json!({"api_key": "k", "site": "evil.example"})).unwrap_err().contains("expected one of datadoghq.com")
    );
}

#[test]
fn another_address_needs_a_url_and_goes_there() {
    let told = check(json!({"api_key": "k", "site": "custom"})).unwrap_err();
    assert_eq!(told, "setting \"url\" (URL) is required");
    let settings = check(json!({"api_key": "k", "site": "custom", "url": "http://h:8428/datadog"})).unwrap();
    assert_eq!(target("url", &settings), "http://h:8428/datadog");
}
