//! The description, as the host reads it, and the settings that it takes.

use graphite::{Graphite, GraphiteSettings};
use serde_json::{Value, json};
use tidegate_adapter::testing::describe;
use tidegate_model::adapter::Target;
use tidegate_model::{Description, Settings};

fn description() -> Description {
    Description::parse(&describe::<Graphite, GraphiteSettings>()).unwrap()
}

fn check(raw: Value) -> Result<Settings, String> {
    Settings::check(&description(), raw.as_object().unwrap()).map_err(|error| error.to_string())
}

#[test]
fn the_host_takes_the_description_and_knows_the_adapter_by_its_package() {
    let description = description();
    assert_eq!(description.name, "graphite");
    assert_eq!(description.version, env!("CARGO_PKG_VERSION"));
    let keys: Vec<_> = description.settings.iter().map(|s| s.key.as_str()).collect();
    assert_eq!(keys, ["host", "port", "prefix", "style", "naming"]);
}

#[test]
fn a_host_is_enough_and_is_all_that_a_store_reaches() {
    let settings = check(json!({"host": "carbon.example"})).unwrap();
    let target = description().target("carbon", &settings);
    assert!(matches!(target, Some(Target::Tcp { host, port: 2003 }) if host == "carbon.example"));
    assert_eq!((settings.text("prefix"), settings.text("style")), (Some("tidegate"), Some("tagged")));
    assert_eq!(check(json!({})).unwrap_err(), "setting \"host\" (Host) is required");
}

#[test]
fn a_naming_template_must_keep_series_apart() {
    let told = check(json!({"host": "h", "naming": "{metric}.{aggregate}"})).unwrap_err();
    assert!(told.contains("setting \"naming\": must have {attribute} in it"), "{told}");
    let told = check(json!({"host": "h", "naming": "{host}.{metric}.{aggregate}.{attribute}"})).unwrap_err();
    assert!(told.contains("there is no placeholder {host}"), "{told}");
    assert!(check(json!({"host": "h", "naming": "{attribute}.{metric}.{aggregate}"})).is_ok());
}
