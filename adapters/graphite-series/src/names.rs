//! Names: nodes with dots between them.

use std::borrow::Cow;
use tidegate_adapter::{Distinct, Placeholder, Template};

pub use tidegate_adapter::Names;

/// A text as one node of a name: ASCII letters, digits, `_` and `-` stay, any other character becomes `_`. Relays rewrite those
/// anyway, a dot would make two nodes, and a slash a folder on the server's disk.
#[must_use]
pub fn node(text: &str) -> Cow<'_, str> {
    if text.is_empty() {
        return Cow::Borrowed("_");
    }
    if text.bytes().all(is_safe) {
        return Cow::Borrowed(text);
    }
    let safe = |c: char| if u8::try_from(c).is_ok_and(is_safe) { c } else { '_' };
    Cow::Owned(text.chars().map(safe).collect())
}

fn is_safe(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// Names the series of one batch, by the admin's template below a prefix.
///
/// It has to be asked for every measure of every metric in order, those without rows too: whoever comes second to a name gets a
/// number, and that number must not depend on what happened in a window.
#[derive(Debug)]
pub struct Namer<'a> {
    prefix: String,
    template: &'a Template,
    project: &'a str,
    metric_set: &'a str,
    taken: Distinct,
}

impl<'a> Namer<'a> {
    /// For the batch of a metric set in a project.
    #[must_use]
    pub fn new(prefix: &str, template: &'a Template, project: &'a str, metric_set: &'a str) -> Self {
        Self { prefix: prefix.to_owned(), template, project, metric_set, taken: Distinct::default() }
    }

    /// The name of one measure's series.
    pub fn name(&mut self, metric: &str, aggregate: &str, attribute: &str) -> String {
        let names = Names { project: self.project, metric_set: self.metric_set, metric, aggregate, attribute };
        let whole = format!("{}.{}", self.prefix, self.template.fill(&names, node));
        // What the admin typed beside the placeholders may have dots, which are meant, and anything else, which is not.
        let nodes: Vec<_> = whole.split('.').filter(|part| !part.is_empty()).map(node).collect();
        self.taken.take(&nodes.join("."))
    }

    /// Project and metric set where the names do not hold them.
    #[must_use]
    pub fn missing(&self) -> Vec<(&'static str, &'a str)> {
        self.constants(|placeholder, _| !self.template.holds(placeholder))
    }

    /// Project and metric set where the names do not hold them, or not as they are.
    #[must_use]
    pub fn misspelled(&self) -> Vec<(&'static str, &'a str)> {
        self.constants(|placeholder, text| !self.template.holds(placeholder) || node(text) != text)
    }

    fn constants(&self, wanted: impl Fn(Placeholder, &str) -> bool) -> Vec<(&'static str, &'a str)> {
        let constants = [(Placeholder::Project, self.project), (Placeholder::MetricSet, self.metric_set)];
        let wanted = constants.into_iter().filter(|&(placeholder, text)| wanted(placeholder, text));
        wanted.map(|(placeholder, text)| (placeholder.as_str(), text)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn template(text: &str) -> Template {
        Template::parse(text).unwrap()
    }

    #[test]
    fn a_value_is_one_node_whatever_is_in_it() {
        let table = [
            ("1.2.0", "1_2_0"),
            ("Out of memory", "Out_of_memory"),
            ("../../b", "______b"),
            ("ошибка", "______"),
            ("", "_"),
            ("a-b_C9", "a-b_C9"),
        ];
        for (text, expected) in table {
            assert_eq!(node(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_name_follows_the_template_below_the_prefix_and_has_no_empty_nodes() {
        let template = template("{project}..{metric_set}.x y.{metric}.{aggregate}_{attribute}");
        let mut namer = Namer::new(".tidegate.prod.", &template, "web shop", "crashes");
        assert_eq!(namer.name("all.errors", "count", "_tx"), "tidegate.prod.web_shop.crashes.x_y.all_errors.count__tx");
        assert_eq!(namer.misspelled(), [("project", "web shop")]);
        assert!(namer.missing().is_empty());
    }

    #[test]
    fn a_name_that_is_taken_gets_a_number() {
        let template = template("{metric}.{aggregate}.{attribute}");
        let mut namer = Namer::new(".", &template, "p", "s");
        assert_eq!(namer.name("a.b", "max", "x"), "a_b.max.x");
        assert_eq!(namer.name("a_b", "max", "x"), "a_b.max.x_2");
        assert_eq!(namer.missing(), [("project", "p"), ("metric_set", "s")]);
    }

    proptest! {
        #[test]
        fn nodes_and_names_hold_only_what_every_relay_passes_on(text in "\\PC{0,12}", metric in "\\PC{1,12}") {
            prop_assert!(!node(&text).is_empty() && node(&text).bytes().all(is_safe));
            let template = template("{project}.{metric}");
            let name = Namer::new(&text.replace(['{', '}'], ""), &template, "p", "s").name(&metric, "", "");
            prop_assert!(name.split('.').all(|node| !node.is_empty() && node.bytes().all(is_safe)), "{}", name);
        }
    }
}
