//! How an admin wants series to be named: a text with placeholders, read once and filled in piece by piece.
//!
//! The trap is to fill in first and to clean up afterwards: a dot in a metric's name would then look like a dot of the template.
//! So texts of the template and values come apart, and only the values are cleaned.

use crate::settings::{Kind, Literal, SettingType, Values};
use std::borrow::Cow;
use std::fmt;

/// What can be filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Placeholder {
    /// `{project}`: the name of the project.
    Project,
    /// `{metric_set}`: the name of the metric set.
    MetricSet,
    /// `{metric}`: the name of the metric.
    Metric,
    /// `{aggregate}`: how a measure is made, such as `count`.
    Aggregate,
    /// `{attribute}`: the attribute that is aggregated, such as `_tx`.
    Attribute,
}

impl Placeholder {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Project, Self::MetricSet, Self::Metric, Self::Aggregate, Self::Attribute];

    /// What stands between the braces.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Project => "project",
            Self::MetricSet => "metric_set",
            Self::Metric => "metric",
            Self::Aggregate => "aggregate",
            Self::Attribute => "attribute",
        }
    }
}

/// What is filled in for one measure of one metric. What a template cannot hold may be left empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct Names<'a> {
    /// [`Batch::project`](crate::Batch::project).
    pub project: &'a str,
    /// [`Batch::metric_set`](crate::Batch::metric_set).
    pub metric_set: &'a str,
    /// [`Metric::name`](crate::Metric::name).
    pub metric: &'a str,
    /// [`Measure::aggregate`](crate::Measure).
    pub aggregate: &'a str,
    /// [`Measure::attribute`](crate::Measure).
    pub attribute: &'a str,
}

impl<'a> Names<'a> {
    /// What stands for a placeholder.
    #[must_use]
    pub fn get(&self, placeholder: Placeholder) -> &'a str {
        match placeholder {
            Placeholder::Project => self.project,
            Placeholder::MetricSet => self.metric_set,
            Placeholder::Metric => self.metric,
            Placeholder::Aggregate => self.aggregate,
            Placeholder::Attribute => self.attribute,
        }
    }
}

/// A part of a template, or of what it becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// Written by the admin.
    Text(&'a str),
    /// To be filled in.
    Value(Placeholder),
}

/// A naming template such as `{project}.{metric}.{aggregate}_{attribute}`. As the type of a field it is a setting; the host takes
/// only templates that hold every placeholder in `must`.
///
/// ```
/// use tidegate_adapter::{Names, Template};
///
/// let template = Template::parse("{project}.{metric}.{aggregate}").unwrap();
/// let names = Names { project: "web", metric: "all.errors", aggregate: "count", ..Names::default() };
/// let name = template.fill(&names, |value| value.replace('.', "_").into());
/// assert_eq!(name, "web.all_errors.count");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: String,
    /// Where in the text each part is, and what is filled in there.
    parts: Vec<(std::ops::Range<usize>, Option<Placeholder>)>,
}

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateError {
    /// A brace without its partner.
    Unpaired,
    /// Between braces is something that cannot be filled in.
    Unknown(String),
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unpaired => f.write_str("each { needs its } after it"),
            Self::Unknown(name) => write!(f, "there is no placeholder {{{name}}}"),
        }
    }
}

impl std::error::Error for TemplateError {}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// [`TemplateError`] for a brace without its partner and for an unknown placeholder.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut at = 0;
        while let Some(open) = text[at..].find(['{', '}']).map(|found| at + found) {
            let close = text[open..].find('}').map(|found| open + found).ok_or(TemplateError::Unpaired)?;
            let name = text[open..close].strip_prefix('{').ok_or(TemplateError::Unpaired)?;
            if name.contains('{') {
                return Err(TemplateError::Unpaired);
            }
            let placeholder = Placeholder::ALL.into_iter().find(|known| known.as_str() == name);
            let placeholder = placeholder.ok_or_else(|| TemplateError::Unknown(name.to_owned()))?;
            if at < open {
                parts.push((at..open, None));
            }
            parts.push((open..close + 1, Some(placeholder)));
            at = close + 1;
        }
        if at < text.len() {
            parts.push((at..text.len(), None));
        }
        Ok(Self { text: text.to_owned(), parts })
    }

    /// Its parts in order.
    pub fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        self.parts.iter().map(|(range, placeholder)| match placeholder {
            Some(placeholder) => Part::Value(*placeholder),
            None => Part::Text(self.text.get(range.clone()).unwrap_or_default()),
        })
    }

    /// The placeholders in it, in order, as often as they occur.
    pub fn placeholders(&self) -> impl Iterator<Item = Placeholder> {
        self.parts.iter().filter_map(|(_, placeholder)| *placeholder)
    }

    /// Whether it has a placeholder in it.
    #[must_use]
    pub fn holds(&self, placeholder: Placeholder) -> bool {
        self.placeholders().any(|held| held == placeholder)
    }

    /// The name that it makes: its own texts as they are, each value as `clean` makes it.
    pub fn fill<'v>(&self, names: &Names<'v>, mut clean: impl FnMut(&'v str) -> Cow<'v, str>) -> String {
        let mut name = String::new();
        for part in self.parts() {
            match part {
                Part::Text(text) => name.push_str(text),
                Part::Value(placeholder) => name.push_str(&clean(names.get(placeholder))),
            }
        }
        name
    }
}

impl SettingType for Template {
    const KIND: Kind = Kind::Template;
    const PLACEHOLDERS: &'static [&'static str] = &["project", "metric_set", "metric", "aggregate", "attribute"];
    type Default = &'static str;

    fn read(values: Values<'_>, key: &'static str) -> Option<Self> {
        Self::parse(&values.text(key)?).ok()
    }

    fn literal(default: &'static str) -> Literal {
        Literal::Text(default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NAMES: Names<'_> =
        Names { project: "web", metric_set: "all", metric: "a.b", aggregate: "count", attribute: "_tx" };

    fn filled(text: &str) -> Result<String, TemplateError> {
        Ok(Template::parse(text)?.fill(&NAMES, Cow::Borrowed))
    }

    #[test]
    fn every_placeholder_stands_for_its_name_and_the_rest_for_itself() {
        let all = "x {project}/{metric_set}/{metric}.{aggregate}_{attribute}{metric}é";
        assert_eq!(filled(all).unwrap(), "x web/all/a.b.count__txa.bé");
        assert_eq!(filled("plain").unwrap(), "plain");
        assert_eq!(filled("").unwrap(), "");
        let names: Vec<_> = Placeholder::ALL.iter().map(|p| p.as_str()).collect();
        assert_eq!(names, <Template as SettingType>::PLACEHOLDERS);
    }

    #[test]
    fn what_is_no_template_is_told_apart() {
        for unpaired in ["{", "}", "{metric", "metric}", "{{metric}}", "}{", "{met{ric}"] {
            assert_eq!(filled(unpaired), Err(TemplateError::Unpaired), "{unpaired}");
        }
        assert_eq!(filled("{metric}{host}").unwrap_err().to_string(), "there is no placeholder {host}");
        assert_eq!(filled("{}"), Err(TemplateError::Unknown(String::new())));
    }

    #[test]
    fn only_values_are_cleaned_so_a_dot_of_the_template_stays_one() {
        let template = Template::parse("{project}.{metric}").unwrap();
        assert!(template.holds(Placeholder::Metric) && !template.holds(Placeholder::Attribute));
        assert_eq!(template.fill(&NAMES, |value| value.replace('.', "_").into()), "web.a_b");
    }

    proptest! {
        #[test]
        fn a_template_is_its_parts_in_order(
            parts in proptest::collection::vec(prop_oneof![Just(None), "[^{}]{1,4}".prop_map(Some)], 0..6), which in 0_usize..5,
        ) {
            let placeholder = Placeholder::ALL[which];
            let written = |text: &Option<String>| text.clone().unwrap_or_else(|| format!("{{{}}}", placeholder.as_str()));
            let filled_in = |text: &Option<String>| text.clone().unwrap_or_else(|| NAMES.get(placeholder).to_owned());
            let template: String = parts.iter().map(written).collect();
            let expected: String = parts.iter().map(filled_in).collect();
            prop_assert_eq!(filled(&template).unwrap(), expected);
        }
    }
}
