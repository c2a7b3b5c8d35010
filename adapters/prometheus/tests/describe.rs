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
