//! The description, as the host reads it, and the settings that it takes.

use influxdb::{InfluxSettings, Influxdb};
use serde_json::{Value, json};
use tidegate_adapter::testing::describe;
use tidegate_model::adapter::Target;
use tidegate_model::{Description, SettingValue, Settings};

fn description() -> Description {
    Description::parse(&describe::<Influxdb, InfluxSettings>()).unwrap()
}

fn check(raw: Value) -> Result<Settings, String> {
    Settings::check(&description(), raw.as_object().unwrap()).map_err(|error| error.to_string())
}

#[test]
fn the_host_takes_the_description_and_knows_the_adapter_by_its_package() {
    let description = description();
    assert_eq!(description.name, "influxdb");
    assert_eq!(description.version, env!("CARGO_PKG_VERSION"));
    let keys: Vec<_> = description.settings.iter().map(|s| s.key.as_str()).collect();
    let of_one = ["database", "retention_policy", "user", "password"];
    let expected =
        [&["version", "url"][..], &of_one, &["org", "bucket", "token", "gzip", "naming", "authorities"]].concat();
    assert_eq!(keys, expected);
}

#[test]
fn each_version_asks_for_its_own_settings() {
    assert!(check(json!({"version": "1", "url": "http://h", "database": "m"})).is_ok());
    assert!(check(json!({"version": 1, "url": "http://h", "database": "m", "user": "w", "password": "p"})).is_ok());
    assert!(check(json!({"url": "http://h", "org": "o", "bucket": "b", "token": "t"})).is_ok());
    let told = check(json!({"version": "1", "url": "http://h"})).unwrap_err();
    assert_eq!(told, "setting \"database\" (Database) is required");
    let told = check(json!({"version": "2", "url": "http://h", "org": "o", "bucket": "b"})).unwrap_err();
    assert_eq!(told, "setting \"token\" (API token) is required");
    assert!(check(json!({"version": "3", "url": "http://h"})).unwrap_err().contains("expected one of 1, 2"));
}

#[test]
fn a_store_reaches_its_url_and_nothing_else_and_its_secrets_are_secret() {
    let settings =
        check(json!({"url": "http://h:8086/prefix", "org": "o", "bucket": "b", "token": "hunter2"})).unwrap();
    let target = description().target("url", &settings);
    assert!(matches!(target, Some(Target::Http { url: SettingValue::Text(url) }) if url == "http://h:8086/prefix"));
    assert!(settings.secret("token").is_some() && settings.text("token").is_none());
    assert_eq!(settings.boolean("gzip"), Some(true));
}

#[test]
fn a_measurement_must_hold_the_metric_and_may_hold_what_is_the_same_for_all_its_fields() {
    let with = |naming: &str| check(json!({"version": "1", "url": "http://h", "database": "m", "naming": naming}));
    assert!(with("{project}.{metric_set}.{metric}").is_ok());
    assert!(with("{project}").unwrap_err().contains("must have {metric} in it"));
    assert!(with("{metric}.{aggregate}").unwrap_err().contains("there is no placeholder {aggregate}"));
}
