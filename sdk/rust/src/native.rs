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

    impl Strings {
        fn of<'t>(texts: impl Iterator<Item = &'t str> + Clone) -> Self {
            let mut end = 0;
            let ends = texts.clone().map(|text| {
                end += u32::try_from(text.len()).unwrap_or(u32::MAX);
                end
            });
            Self { ends: ends.collect(), utf8: texts.collect::<String>().into_bytes() }
        }
    }

    #[derive(Clone, Debug)]
    pub(crate) struct Columns {
        pub(crate) texts: Strings,
        pub(crate) numbers: Vec<u32>,
        pub(crate) values: Vec<f64>,
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

        pub(crate) fn packed(&self, most: u32) -> Option<Columns> {
            let (mut texts, mut numbers, mut values) =
                (vec![self.0.project.as_str(), &self.0.metric_set], vec![], vec![]);
            let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
            let halves = [self.0.window_end >> 32, self.0.window_end & 0xffff_ffff];
            numbers.push(u32::from(self.0.check));
            numbers.extend(halves.map(|half| u32::try_from(half).unwrap_or(u32::MAX)));
            numbers.extend([self.0.period, count(self.0.metrics.len())]);
            for metric in &self.0.metrics {
                texts.push(&metric.name);
                numbers.extend([metric.rows, metric.live_rows, count(metric.dimensions.len())]);
                for dimension in &metric.dimensions {
                    texts.push(&dimension.name);
                    texts.extend(dimension.dictionary.iter().map(String::as_str));
                    numbers.push(count(dimension.dictionary.len()));
                    numbers.extend(&dimension.codes);
                }
                numbers.push(count(metric.measures.len()));
                for measure in &metric.measures {
                    texts.extend([measure.attribute.as_str(), &measure.aggregate]);
                    numbers.extend([u32::from(measure.additive), u32::from(measure.totals.is_some())]);
                    values.extend(&measure.values);
                    values.extend(measure.totals.iter().flatten());
                }
            }
            let size = texts.len() + numbers.len() + values.len();
            (size <= most as usize).then(|| Columns { texts: Strings::of(texts.into_iter()), numbers, values })
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
            Strings::of(self.0.dimensions[dimension as usize].dictionary.iter().map(String::as_str))
        }

        pub(crate) fn codes(&self, dimension: u32) -> Vec<u32> {
            self.0.dimensions[dimension as usize].codes.clone()
        }

        pub(crate) fn whole(&self) -> Self {
            Self(self.0.whole.as_ref().map_or_else(|| Arc::clone(&self.0), |(whole, _)| Arc::clone(whole)))
        }

        pub(crate) fn first_row(&self) -> u32 {
            self.0.whole.as_ref().map_or(0, |(_, first)| *first)
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
        pub(crate) fn packed(&self) -> Strings {
            let told = |value: &SettingValue| match value {
                SettingValue::Text(text) => format!("={text}"),
                SettingValue::Integer(n) => format!("={n}"),
                SettingValue::Boolean(b) => format!("={b}"),
                SettingValue::Secret => String::new(),
            };
            let entries: Vec<_> = self.0.iter().flat_map(|(key, value)| [key.clone(), told(value)]).collect();
            Strings::of(entries.iter().map(String::as_str))
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
