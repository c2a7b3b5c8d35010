//! The description, as the host reads it.

use prometheus::{Prometheus, PrometheusSettings};
use tidegate_adapter::testing::describe;
use tidegate_model::{Description, Settings};

#[test]
fn the_host_takes_the_description_and_a_store_needs_no_settings() {
    let description = Description::parse(&describe::<Prometheus, PrometheusSettings>()).unwrap();
    assert_eq!((description.name.as_str(), description.endpoints.len()), ("prometheus", 0));
    let settings = Settings::check(&description, &serde_json::Map::new()).unwrap();
    assert_eq!((settings.boolean("help"), settings.boolean("openmetrics")), (Some(true), Some(false)));
}

#[test]
fn a_login_is_the_admins_choice_and_the_snippet_says_so() {
    let description = Description::parse(&describe::<Prometheus, PrometheusSettings>()).unwrap();
    let settings = |login: bool| {
        let raw = serde_json::json!({"login": login});
        Settings::check(&description, raw.as_object().unwrap()).unwrap()
    };
    assert!(description.pull.wants_login(&settings(true)) && !description.pull.wants_login(&settings(false)));
    for login in [true, false] {
        let holds = |entry: &&tidegate_model::GuideEntry| entry.when.as_ref().is_none_or(|w| w.holds(&settings(login)));
        let shown: Vec<_> = description.pull.guide.iter().filter(holds).collect();
        assert_eq!(shown.len(), 1);
        let text = &shown[0].text;
        assert_eq!((text.contains("basic_auth"), text.contains("{password}")), (login, login), "{text}");
        let placeholders = ["{scheme}", "{path}", "{period}s", "{host}:{port}", "{store}"];
        assert!(placeholders.iter().all(|placeholder| text.contains(placeholder)), "{text}");
    }
}
