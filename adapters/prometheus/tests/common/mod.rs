//! A reader of the text format 0.0.4, written from its rules and not from the writer: it takes nothing on trust.

use std::collections::{BTreeMap, BTreeSet};

/// One sample.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

/// Reads a page, or tells the rule that it breaks.
pub(crate) fn read(page: &str) -> Result<Vec<Sample>, String> {
    if !page.is_empty() && !page.ends_with('\n') {
        return Err("the last line does not end".to_owned());
    }
    let mut samples: Vec<Sample> = Vec::new();
    let mut typed: BTreeSet<String> = BTreeSet::new();
    let mut helped: BTreeSet<String> = BTreeSet::new();
    let mut current = String::new();
    let mut series = BTreeSet::new();
    for line in page.strip_suffix('\n').unwrap_or_default().split('\n').filter(|_| !page.is_empty()) {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let name = help.split(' ').next().unwrap_or_default();
            if !helped.insert(name.to_owned()) {
                return Err(format!("two helps: {line:?}"));
            }
            continue;
        }
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let Some((name, kind)) = kind.split_once(' ') else { return Err(format!("no type: {line:?}")) };
            if !matches!(kind, "gauge" | "counter") || !typed.insert(name.to_owned()) {
                return Err(format!("unknown or second type: {line:?}"));
            }
            current = name.to_owned();
            continue;
        }
        let sample = sample(line).ok_or_else(|| format!("not a sample: {line:?}"))?;
        if sample.name != current {
            return Err(format!("not in its family's group: {line:?}"));
        }
        if !series.insert((sample.name.clone(), sample.labels.clone())) {
            return Err(format!("there twice: {line:?}"));
        }
        samples.push(sample);
    }
    Ok(samples)
}

fn sample(line: &str) -> Option<Sample> {
    let open = line.find('{')?;
    let name = &line[..open];
    let mut rest = &line[open + 1..];
    let mut labels = BTreeMap::new();
    loop {
        let equals = rest.find('=')?;
        let label = &rest[..equals];
        let (value, after) = quoted(&rest[equals + 1..])?;
        if !legal(label, false) || label.starts_with("__") || labels.insert(label.to_owned(), value).is_some() {
            return None;
        }
        match after.as_bytes().first()? {
            b',' => rest = &after[1..],
            b'}' => {
                let number = after.strip_prefix("} ")?;
                let plain = number.chars().all(|c| c.is_ascii_digit() || "+-.e".contains(c));
                let value = number.parse().ok().filter(|_| plain)?;
                return legal(name, true).then(|| Sample { name: name.to_owned(), labels, value });
            }
            _ => return None,
        }
    }
}

fn legal(name: &str, colons: bool) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_' || (colons && c == ':');
    name.starts_with(first) && name.chars().all(|c| first(c) || c.is_ascii_digit())
}

fn quoted(text: &str) -> Option<(String, &str)> {
    let mut letters = text.strip_prefix('"')?.char_indices();
    let mut value = String::new();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &text[at + 2..])),
            '\n' | '\0' => return None,
            '\\' => value.push(match letters.next()?.1 {
                'n' => '\n',
                escaped @ ('\\' | '"') => escaped,
                _ => return None,
            }),
            other => value.push(other),
        }
    }
    None
}

/// Reads a page of OpenMetrics, or tells the rule that it breaks. What both formats share is left to [`read`].
pub(crate) fn read_openmetrics(page: &str) -> Result<Vec<Sample>, String> {
    let Some(lines) = page.strip_suffix("# EOF\n") else { return Err("it does not end in # EOF".to_owned()) };
    let mut families: BTreeMap<&str, &str> = BTreeMap::new();
    let mut plain = String::new();
    let mut family = ("", "");
    for line in lines.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (_, text) = help.split_once(' ').ok_or("no help text")?;
            if text.replace("\\\\", "").replace("\\\"", "").contains('"') {
                return Err(format!("a quote in a help text is not escaped: {line:?}"));
            }
        } else if let Some(declared) = line.strip_prefix("# TYPE ") {
            let (name, kind) = declared.split_once(' ').ok_or("no type")?;
            if !matches!(kind, "gauge" | "counter" | "unknown") || families.insert(name, kind).is_some() {
                return Err(format!("unknown or second type: {line:?}"));
            }
            family = (name, kind);
            let sample = if kind == "counter" { format!("{name}_total") } else { name.to_owned() };
            // The reader of the text format knows no "unknown".
            plain += &format!("# TYPE {sample} {}\n", kind.replace("unknown", "gauge"));
        } else if line.starts_with('#') || line.is_empty() {
            return Err(format!("neither a comment that is known nor a sample: {line:?}"));
        } else {
            let (sample, value) =
                (line.split('{').next().unwrap_or_default(), line.rsplit(' ').next().unwrap_or_default());
            let counter = family.1 == "counter";
            let expected = if counter { format!("{}_total", family.0) } else { family.0.to_owned() };
            if sample != expected || (counter && value.starts_with('-')) {
                return Err(format!("not a sample of {family:?}: {line:?}"));
            }
            plain += &format!("{line}\n");
        }
    }
    for (name, _) in families.iter().filter(|(_, kind)| **kind == "counter") {
        for suffix in ["_total", "_created"] {
            if families.contains_key(format!("{name}{suffix}").as_str()) {
                return Err(format!("{name}{suffix} clashes with the counter {name}"));
            }
        }
    }
    read(&plain)
}
