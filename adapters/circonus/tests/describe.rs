//! The description, as the host reads it, and the settings that it takes.

use circonus::{Circonus, CirconusSettings};
use serde_json::{Value, json};
use tidegate_adapter::testing::describe;
use tidegate_model::adapter::Target;
use tidegate_model::{Description, Settings};

fn description() -> Description {
    Description::parse(&describe::<Circonus, CirconusSettings>()).unwrap()
}

fn check(raw: Value) -> Result<Settings, String> {
    Settings::check(&description(), raw.as_object().unwrap()).map_err(|error| error.to_string())
}

#[test]
fn the_url_is_a_secret_as_a_whole_and_a_store_that_is_read_needs_none() {
    let url = "https://broker.example:43191/module/httptrap/uuid/hunter2";
    let settings = check(json!({"submission_url": url})).unwrap();
    assert!(settings.secret("submission_url").is_some() && settings.text("submission_url").is_none());
    let Some(Target::Http { url }) = description().target("submission_url", &settings) else { panic!("no target") };
    assert!(!format!("{url:?}").contains("hunter2"), "{url:?}");
    assert!(check(json!({})).is_ok());
}

#[test]
fn a_broker_that_reads_has_to_log_in_and_the_admin_is_told_what_to_enter() {
    let description = description();
    assert!(description.pull.wants_login(&Settings::default()));
    let guide: Vec<_> =
        description.pull.guide.iter().map(|entry| (entry.label.as_str(), entry.text.as_str())).collect();
    let expected =
        [("URL", "{url}"), ("Port", "{port}"), ("HTTP Auth User", "{user}"), ("HTTP Auth Password", "{password}")];
    assert_eq!(guide, expected);
}

#[test]
fn a_template_must_tell_metrics_apart() {
    assert!(check(json!({"name": "{metric}.{aggregate}.{attribute}"})).is_ok());
    let told = check(json!({"name": "{project}`{metric}"})).unwrap_err();
    assert!(told.contains("name") && told.contains("{aggregate}"), "{told}");
}
