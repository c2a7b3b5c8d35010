//! What each sink calls a value, by the rules that the READMEs of the adapters promise to users; none of the adapters' code is used.

use crate::oracle::{Cell, Expected, Spelled};
use crate::points::{Point, Points};
use std::collections::BTreeMap;

fn labels(pairs: impl IntoIterator<Item = (String, String)>) -> BTreeMap<String, String> {
    pairs.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}

/// Datadog: letters, digits, `_` and dots, with the namespace `tidegate`; tags in lower case.
#[must_use]
pub fn datadog(expected: &Expected<'_>, cell: &Cell<'_>) -> Spelled {
    let name = format!("tidegate.{}.{}.{}", cell.metric, cell.aggregate, cell.attribute);
    let mut nodes = Vec::new();
    for node in name.split('.') {
        let words = node.split(|c: char| !c.is_ascii_alphanumeric());
        nodes.push(words.filter(|w| !w.is_empty()).collect::<Vec<_>>().join("_"));
    }
    let tag = |text: &str| {
        let lower = text.to_lowercase();
        let mut words: Vec<_> = lower.split(|c: char| !c.is_alphanumeric() && !"-:./".contains(c)).collect();
        while words.last().is_some_and(|w| w.is_empty()) {
            words.pop();
        }
        let keep = |(index, word): (usize, &&str)| index == 0 || !word.is_empty();
        let words: Vec<_> = words.iter().enumerate().filter(|(i, w)| keep((*i, w))).map(|(_, w)| *w).collect();
        words.join("_")
    };
    let own = [("project", expected.project), ("metric_set", expected.metric_set)].map(|(k, v)| (k.to_owned(), tag(v)));
    let dimensions = cell.dimensions.iter().map(|(key, value)| (tag(key), tag(value)));
    (nodes.join("."), labels(own.into_iter().chain(dimensions)))
}

/// A node of a Graphite path.
fn node(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' }).collect()
}

fn graphite_name(expected: &Expected<'_>, cell: &Cell<'_>, prefix: &str) -> String {
    let [project, set, metric] = [expected.project, expected.metric_set, cell.metric].map(node);
    format!("{prefix}.{project}.{set}.{metric}.{}_{}", cell.aggregate, node(cell.attribute))
}

/// Graphite with tags, which are compared as [`decoded`] ones. Project and metric set are tags, too, if a name cannot spell them.
#[must_use]
pub fn graphite(expected: &Expected<'_>, cell: &Cell<'_>) -> Spelled {
    let own = [("project", expected.project), ("metric_set", expected.metric_set)];
    let unspelled =
        own.into_iter().filter(|(_, value)| node(value) != *value).map(|(k, v)| (k.to_owned(), v.to_owned()));
    let dimensions = cell.dimensions.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
    (graphite_name(expected, cell, "tidegate"), labels(unspelled.chain(dimensions)))
}

/// Grafana's Graphite: as [`graphite`], with keys that can be labels.
#[must_use]
pub fn grafana(expected: &Expected<'_>, cell: &Cell<'_>) -> Spelled {
    let (name, tags) = graphite(expected, cell);
    (name, tags.into_iter().map(|(key, value)| (node(&key).replace('-', "_"), value)).collect())
}

/// Graphite with a path only, below `prefix`.
#[must_use]
pub fn graphite_path(expected: &Expected<'_>, cell: &Cell<'_>, prefix: &str) -> Spelled {
    let mut name = graphite_name(expected, cell, prefix);
    for (_, value) in &cell.dimensions {
        name.push('.');
        name.push_str(&if value.is_empty() { "_none_".to_owned() } else { node(value) });
    }
    (name, BTreeMap::new())
}

/// Circonus: levels with a backtick between them, any text in tags.
#[must_use]
pub fn circonus(expected: &Expected<'_>, cell: &Cell<'_>) -> Spelled {
    let measure = format!("{}_{}", cell.aggregate, cell.attribute);
    let part = |text: &str| -> String {
        text.chars().map(|c| if (' '..='~').contains(&c) && c != '|' && c != '`' { c } else { '_' }).collect()
    };
    let name = [expected.project, expected.metric_set, cell.metric, &measure].map(part).join("`");
    (name, labels(cell.dimensions.iter().map(|(key, value)| ((*key).to_owned(), value.clone()))))
}

/// Points with `%XX` in their tags turned back into what was encoded.
///
/// # Errors
/// If a tag is not encoded properly, or two series become one.
pub fn decoded(points: &Points) -> Result<Points, String> {
    let mut whole = Points::default();
    for (point, value) in points.iter() {
        let labels: Result<_, String> = point.labels.iter().map(|(k, v)| Ok((decode(k)?, decode(v)?))).collect();
        whole.insert(Point { labels: labels?, ..point.clone() }, value)?;
    }
    Ok(whole)
}

fn decode(text: &str) -> Result<String, String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first == b'%' {
            let digits = rest.get(..2).and_then(|d| std::str::from_utf8(d).ok());
            let byte =
                digits.and_then(|d| u8::from_str_radix(d, 16).ok()).ok_or_else(|| format!("a lone % in {text:?}"))?;
            bytes.push(byte);
            rest = &rest[2..];
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).map_err(|_| format!("{text:?} does not decode to text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_is_called_by_each_sink_what_a_person_would_write_down() {
        let expected = Expected { project: "web shop", metric_set: "s", metrics: &[], period: 1, events: &[] };
        let dimensions =
            vec![("app.version", "1.2".to_owned()), ("kind", "Out of \u{2603}!".to_owned()), ("x", String::new())];
        let cell = Cell { metric: "by x=y", aggregate: "count", attribute: "_tx", dimensions, end: 1, value: 1.0 };
        let told = |(name, labels): Spelled| format!("{name} {labels:?}");
        assert_eq!(
            told(datadog(&expected, &cell)),
            r#"tidegate.by_x_y.count.tx {"app.version": "1.2", "kind": "out_of", "metric_set": "s", "project": "web_shop"}"#
        );
        assert_eq!(
            told(graphite(&expected, &cell)),
            r#"tidegate.web_shop.s.by_x_y.count__tx {"app.version": "1.2", "kind": "Out of ☃!", "project": "web shop"}"#
        );
        assert_eq!(
            told(graphite_path(&expected, &cell, "p.q")),
            "p.q.web_shop.s.by_x_y.count__tx.1_2.Out_of___._none_ {}"
        );
        assert_eq!(
            told(circonus(&expected, &cell)),
            r#"web shop`s`by x=y`count__tx {"app.version": "1.2", "kind": "Out of ☃!"}"#
        );
        assert_eq!(decode("a%20b%C3%A4"), Ok("a bä".to_owned()));
        assert!(decode("100%").is_err());
    }
}
