//! The native twin of the generated bindings: the same types and methods, over data in this process.
//!
//! Because the signatures are the same, everything above this module is compiled unchanged for tests; what they exercise is what
//! the guest runs.

pub(crate) mod model {
    use crate::testing::{Answer, BatchData, MeasureData, MetricData, SentRequest, SentStream, SettingValue};
    use std::cell::RefCell;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    #[derive(Clone, Debug)]
    pub(crate) struct Strings {
        pub(crate) utf8: Vec<u8>,
        pub(crate) ends: Vec<u32>,
    }

    #[derive(Clone, Debug)]
    pub(crate) struct Batch(pub(crate) Arc<BatchData>);

    impl Batch {
        pub(crate) fn project(&self) -> String {
            self.0.project.clone()
        }

        pub(crate) fn metric_set(&self) -> String {
            self.0.metric_set.clone()
        }

        pub(crate) fn window_start(&self) -> u64 {
            self.0.window_end - u64::from(self.0.period)
        }

        pub(crate) fn window_end(&self) -> u64 {
            self.0.window_end
        }

        pub(crate) fn period(&self) -> u32 {
            self.0.period
        }

        pub(crate) fn check(&self) -> bool {
            self.0.check
        }

        pub(crate) fn metrics(&self) -> Vec<Metric> {
            self.0.metrics.iter().map(|metric| Metric(Arc::clone(metric))).collect()
        }
    }

    #[derive(Clone, Debug)]
    pub(crate) struct Metric(Arc<MetricData>);

    impl Metric {
        pub(crate) fn name(&self) -> String {
            self.0.name.clone()
        }

        pub(crate) fn rows(&self) -> u32 {
            self.0.rows
        }

        pub(crate) fn live_rows(&self) -> u32 {
            self.0.live_rows
        }

        pub(crate) fn dimensions(&self) -> Vec<String> {
            self.0.dimensions.iter().map(|dimension| dimension.name.clone()).collect()
        }

        pub(crate) fn dictionary(&self, dimension: u32) -> Strings {
            let dictionary = &self.0.dimensions[dimension as usize].dictionary;
            let mut end = 0;
            let ends = dictionary.iter().map(|text| {
                end += u32::try_from(text.len()).unwrap_or(u32::MAX);
                end
            });
            Strings { ends: ends.collect(), utf8: dictionary.concat().into_bytes() }
        }

        pub(crate) fn codes(&self, dimension: u32) -> Vec<u32> {
            self.0.dimensions[dimension as usize].codes.clone()
        }

        pub(crate) fn measures(&self) -> Vec<Measure> {
            (0..self.0.measures.len()).map(|at| Measure(Arc::clone(&self.0), at)).collect()
        }
    }

    #[derive(Clone, Debug)]
    pub(crate) struct Measure(Arc<MetricData>, usize);

    impl Measure {
        fn data(&self) -> &MeasureData {
            &self.0.measures[self.1]
        }

        pub(crate) fn attribute(&self) -> String {
            self.data().attribute.clone()
        }

        pub(crate) fn aggregate(&self) -> String {
            self.data().aggregate.clone()
        }

        pub(crate) fn additive(&self) -> bool {
            self.data().additive
        }

        pub(crate) fn values(&self) -> Vec<f64> {
            self.data().values.clone()
        }

        pub(crate) fn totals(&self) -> Option<Vec<f64>> {
            self.data().totals.clone()
        }
    }

    #[derive(Clone, Debug, Default)]
    pub(crate) struct Settings(pub(crate) BTreeMap<String, SettingValue>);

    impl Settings {
        pub(crate) fn all(&self) -> Vec<(String, Option<String>)> {
            let told = |value: &SettingValue| match value {
                SettingValue::Text(text) => Some(text.clone()),
                SettingValue::Integer(n) => Some(n.to_string()),
                SettingValue::Boolean(b) => Some(b.to_string()),
                SettingValue::Secret => None,
            };
            self.0.iter().map(|(key, value)| (key.clone(), told(value))).collect()
        }

        pub(crate) fn is_set(&self, key: &str) -> bool {
            self.0.contains_key(key)
        }
    }

    #[derive(Debug)]
    pub(crate) struct Request(pub(crate) RefCell<SentRequest>);

    impl Request {
        pub(crate) fn new(endpoint: &str, method: &str) -> Self {
            Self(RefCell::new(SentRequest {
                endpoint: endpoint.to_owned(),
                method: method.to_owned(),
                ..SentRequest::default()
            }))
        }

        pub(crate) fn path(&self, path: &str) {
            self.0.borrow_mut().path.push_str(path);
        }

        pub(crate) fn query(&self, name: &str, value: &str) {
            self.0.borrow_mut().query.push((name.to_owned(), value.to_owned()));
        }

        pub(crate) fn header(&self, name: &str, value: &str) {
            self.0.borrow_mut().headers.push((name.to_owned(), value.to_owned()));
        }

        pub(crate) fn credential(&self, slot: &str, header: &str, template: &str) {
            self.0.borrow_mut().credentials.push((slot.to_owned(), header.to_owned(), template.to_owned()));
        }

        pub(crate) fn basic_auth(&self, user_key: &str, password_key: &str) {
            self.0.borrow_mut().basic_auth = Some((user_key.to_owned(), password_key.to_owned()));
        }

        pub(crate) fn gzip(&self) {
            self.0.borrow_mut().gzip = true;
        }

        pub(crate) fn write(&self, chunk: &[u8]) {
            self.0.borrow_mut().body.extend_from_slice(chunk);
        }
    }

    #[derive(Debug)]
    pub(crate) struct TcpStream(pub(crate) RefCell<SentStream>);

    impl TcpStream {
        pub(crate) fn new(endpoint: &str) -> Self {
            Self(RefCell::new(SentStream { endpoint: endpoint.to_owned(), body: Vec::new() }))
        }

        pub(crate) fn write(&self, chunk: &[u8]) {
            self.0.borrow_mut().body.extend_from_slice(chunk);
        }
    }

    #[derive(Clone, Debug)]
    pub(crate) struct Outcome(pub(crate) Answer);

    impl Outcome {
        pub(crate) fn status(&self) -> Option<u16> {
            self.0.status
        }

        pub(crate) fn failure(&self) -> Option<String> {
            self.0.failure.clone()
        }

        pub(crate) fn header(&self, name: &str) -> Option<String> {
            let found = self.0.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.clone())
        }

        pub(crate) fn body_prefix(&self, max: u32) -> Vec<u8> {
            self.0.body.iter().copied().take(max as usize).collect()
        }
    }

    #[derive(Clone, Debug)]
    pub(crate) struct Snapshot {
        pub(crate) batches: Vec<Arc<BatchData>>,
        pub(crate) period: u32,
    }

    impl Snapshot {
        pub(crate) fn batches(&self) -> Vec<Batch> {
            self.batches.iter().map(|batch| Batch(Arc::clone(batch))).collect()
        }

        pub(crate) fn period(&self) -> u32 {
            self.period
        }
    }

    #[derive(Clone, Debug)]
    pub(crate) struct Scrape(pub(crate) Vec<(String, String)>);

    impl Scrape {
        pub(crate) fn header(&self, name: &str) -> Option<String> {
            let found = self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.clone())
        }
    }

    #[derive(Debug)]
    pub(crate) struct Page {
        pub(crate) content_type: String,
        pub(crate) body: RefCell<Vec<u8>>,
    }

    impl Page {
        pub(crate) fn new(content_type: &str) -> Self {
            Self { content_type: content_type.to_owned(), body: RefCell::default() }
        }

        pub(crate) fn write(&self, chunk: &[u8]) {
            self.body.borrow_mut().extend_from_slice(chunk);
        }
    }
}
