//! Queries in flags: what people ask most, without writing JSON. The result is JSON, which the server judges like any other.

use super::{CliError, time};
use clap::Args;
use jiff::Timestamp;
use serde_json::{Map, Value as Json, json};
use tidegate_model::Operator;

/// A query in flags.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Query")]
pub struct QuestionArgs {
    /// Events count for which this holds: 'ATTRIBUTE OPERATOR [VALUE]'; with several, all must hold.
    #[arg(long, value_name = "CONDITION")]
    pub filter: Vec<String>,
    /// Events from this time of their own on: 90s, 15m, 24h, 7d ago, or a moment such as 2026-11-01T00:00:00Z.
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Events before this time.
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// A row for each value of this attribute; with several, for each combination.
    #[arg(long, value_name = "ATTRIBUTE", value_delimiter = ',')]
    pub group: Vec<String>,
    /// Number of distinct values.
    #[arg(long, value_name = "ATTRIBUTE", value_delimiter = ',')]
    pub unique: Vec<String>,
    /// Number of events that have a value.
    #[arg(long, value_name = "ATTRIBUTE", value_delimiter = ',')]
    pub count: Vec<String>,
    /// Least value.
    #[arg(long, value_name = "ATTRIBUTE", value_delimiter = ',')]
    pub min: Vec<String>,
    /// Greatest value.
    #[arg(long, value_name = "ATTRIBUTE", value_delimiter = ',')]
    pub max: Vec<String>,
    /// Mean of the numbers.
    #[arg(long, value_name = "ATTRIBUTE", value_delimiter = ',')]
    pub mean: Vec<String>,
    /// Sum of the numbers.
    #[arg(long, value_name = "ATTRIBUTE", value_delimiter = ',')]
    pub sum: Vec<String>,
    /// Value of the first event that has one.
    #[arg(long, value_name = "ATTRIBUTE", value_delimiter = ',')]
    pub head: Vec<String>,
    /// Value of the last event that has one.
    #[arg(long, value_name = "ATTRIBUTE", value_delimiter = ',')]
    pub tail: Vec<String>,
    /// Least and greatest value.
    #[arg(long, value_name = "ATTRIBUTE", value_delimiter = ',')]
    pub range: Vec<String>,
    /// Every value with the number of its events.
    #[arg(long, value_name = "ATTRIBUTE", value_delimiter = ',')]
    pub histogram: Vec<String>,
    /// The most frequent values, 10 or N of them.
    #[arg(long, value_name = "ATTRIBUTE[,N]")]
    pub distribution: Vec<String>,
    /// Numbers of events in equal intervals: how many, and from where to where.
    #[arg(long, value_name = "ATTRIBUTE[,N[,FROM,TO]]")]
    pub bin: Vec<String>,
    /// Highest object id of the events that have a value.
    #[arg(long, value_name = "ATTRIBUTE", value_delimiter = ',')]
    pub object: Vec<String>,
    /// List events, with these attributes.
    #[arg(long, value_name = "ATTRIBUTE", value_delimiter = ',')]
    pub select: Vec<String>,
    /// List events with all their attributes.
    #[arg(long)]
    pub select_all: bool,
    /// A column worked out from another: NAME=quantize(ATTRIBUTE,SIZE[,OFFSET]) or NAME=truncate(ATTRIBUTE,day|month|quarter|year).
    #[arg(long, value_name = "COLUMN")]
    pub column: Vec<String>,
    /// Rows are shown for which this holds: 'FIGURE COMPARISON VALUE', for example 'count >= 5' or 'unique(guid) > 1'.
    #[arg(long, value_name = "CONDITION")]
    pub having: Vec<String>,
    /// What comes first: count, group, unique(guid) or, with --select, an attribute; with - before it the greatest first.
    #[arg(long, value_name = "[-]FIGURE", allow_hyphen_values = true)]
    pub order: Vec<String>,
    /// Most rows.
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// Rows to skip.
    #[arg(long, value_name = "N")]
    pub offset: Option<u64>,
}

/// Makes queries of flags.
pub(crate) struct Question {
    now: Timestamp,
}

fn wrong(flag: &str, found: &str, expected: &str) -> CliError {
    CliError::Failed(format!("--{flag} {found:?}: expected {expected}"))
}

/// A value that flags give: a number if it reads as one, else text.
fn operand(text: &str) -> Json {
    // Whole numbers with zeros in front are names, versions, codes.
    let plain = text == "0" || !text.trim_start_matches('-').starts_with('0') || text.contains('.');
    match text.parse::<i64>() {
        Ok(number) if plain => json!(number),
        _ => json!(text),
    }
}

impl Question {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self { now }
    }

    /// `query` with what the flags add.
    pub(crate) fn query(&self, args: &QuestionArgs, mut query: Json) -> Result<Json, CliError> {
        let Some(members) = query.as_object_mut() else {
            return Err(CliError::Failed("the query: expected an object".to_owned()));
        };
        self.filter(args, members)?;
        let folds = folds(args)?;
        let mut extend = |member: &str, items: Vec<Json>| {
            if let (false, Some(list)) =
                (items.is_empty(), members.entry(member).or_insert_with(|| json!([])).as_array_mut())
            {
                list.extend(items);
            }
        };
        extend("group", args.group.iter().map(|name| json!(name)).collect());
        extend("select", args.select.iter().map(|name| json!(name)).collect());
        extend("virtual_columns", args.column.iter().map(|text| column(text)).collect::<Result<_, _>>()?);
        members.retain(|_, value| value.as_array().is_none_or(|list| !list.is_empty()));
        if args.select_all {
            members.insert("select_wildcard".to_owned(), json!({"physical": true, "derived": false, "virtual": true}));
        }
        for (name, fold) in folds {
            let list = members.entry("fold").or_insert_with(|| json!({}));
            if let Some(list) =
                list.as_object_mut().and_then(|fold| fold.entry(name).or_insert_with(|| json!([])).as_array_mut())
            {
                list.push(fold);
            }
        }
        let fold = members.get("fold").cloned().unwrap_or_default();
        let selects = members.contains_key("select") || members.contains_key("select_wildcard");
        let order = args.order.iter().map(|text| order(text, &fold, selects)).collect::<Result<Vec<_>, _>>()?;
        if !order.is_empty() {
            members.insert("order".to_owned(), order.into());
        }
        let having = having(&args.having, &fold)?;
        if !having.is_empty() {
            members.insert("having".to_owned(), having.into());
        }
        let mut put = |member: &str, value: Option<u64>| {
            value.map(|value| members.insert(member.to_owned(), json!(value)));
        };
        put("limit", args.limit);
        put("offset", args.offset);
        Ok(query)
    }

    /// Conditions of flags must hold beside whatever the query wants.
    fn filter(&self, args: &QuestionArgs, members: &mut Map<String, Json>) -> Result<(), CliError> {
        let mut conditions = Vec::new();
        for (flag, operator, time) in [("since", "at-least", &args.since), ("until", "less-than", &args.until)] {
            if let Some(time) = time {
                conditions.push(("timestamp".to_owned(), json!([operator, self.moment(flag, time)?])));
            }
        }
        for text in &args.filter {
            conditions.push(condition(text)?);
        }
        if conditions.is_empty() {
            return Ok(());
        }
        let filter = members.entry("filter").or_insert_with(|| json!([]));
        let Some(any) = filter.as_array_mut() else { return Ok(()) };
        if any.is_empty() {
            any.push(json!({}));
        }
        for all in any.iter_mut().filter_map(Json::as_object_mut) {
            for (name, condition) in &conditions {
                if let Some(list) = all.entry(name.clone()).or_insert_with(|| json!([])).as_array_mut() {
                    list.push(condition.clone());
                }
            }
        }
        Ok(())
    }

    fn moment(&self, flag: &str, text: &str) -> Result<i64, CliError> {
        time::read(text, self.now).ok_or_else(|| wrong(flag, text, time::EXPECTED))
    }
}

/// Reads 'ATTRIBUTE OPERATOR [VALUE]'. The value is all that follows; quotes around the whole are the shell's business.
fn condition(text: &str) -> Result<(String, Json), CliError> {
    let known = || Operator::all().map(Operator::as_str).collect::<Vec<_>>().join(", ");
    let expected = || format!("'ATTRIBUTE OPERATOR [VALUE]' with an operator of {}", known());
    let (name, rest) = text.trim_start().split_once(' ').ok_or_else(|| wrong("filter", text, &expected()))?;
    let (word, value) = match rest.trim_start().split_once(' ') {
        Some((word, value)) => (word, Some(value)),
        None => (rest.trim(), None),
    };
    let (word, ignores_case) = word.strip_suffix("/i").map_or((word, false), |word| (word, true));
    let operator: Operator = word.parse().map_err(|()| wrong("filter", text, &expected()))?;
    let mut condition = vec![json!(operator.as_str())];
    match value {
        Some(value) if operator.takes_operand() && operator.matches_text() => condition.push(json!(value)),
        Some(value) if operator.takes_operand() => condition.push(operand(value)),
        None if !operator.takes_operand() => {}
        Some(_) => return Err(wrong("filter", text, &format!("nothing after {word}"))),
        None => return Err(wrong("filter", text, &format!("a value after {word}"))),
    }
    if ignores_case {
        condition.push(json!({"case_insensitive": true}));
    }
    Ok((name.to_owned(), condition.into()))
}

fn folds(args: &QuestionArgs) -> Result<Vec<(String, Json)>, CliError> {
    let plain: [(&str, &Vec<String>); 11] = [
        ("unique", &args.unique),
        ("count", &args.count),
        ("min", &args.min),
        ("max", &args.max),
        ("mean", &args.mean),
        ("sum", &args.sum),
        ("head", &args.head),
        ("tail", &args.tail),
        ("range", &args.range),
        ("histogram", &args.histogram),
        ("object", &args.object),
    ];
    let mut folds = Vec::new();
    for (word, names) in plain {
        folds.extend(names.iter().map(|name| (name.clone(), json!([word]))));
    }
    for (word, texts) in [("distribution", &args.distribution), ("bin", &args.bin)] {
        for text in texts {
            let mut parts = text.split(',');
            let name = parts.next().unwrap_or_default();
            let mut fold = vec![json!(word)];
            for part in parts {
                let number = serde_json::from_str(part.trim()).ok().filter(Json::is_number);
                fold.push(number.ok_or_else(|| wrong(word, text, "numbers after the attribute"))?);
            }
            folds.push((name.to_owned(), fold.into()));
        }
    }
    Ok(folds)
}

fn column(text: &str) -> Result<Json, CliError> {
    let expected = "NAME=quantize(ATTRIBUTE,SIZE[,OFFSET]) or NAME=truncate(ATTRIBUTE,day|month|quarter|year)";
    let wrong = || wrong("column", text, expected);
    let (name, call) = text.split_once('=').ok_or_else(wrong)?;
    let (word, arguments) = call.strip_suffix(')').and_then(|call| call.split_once('(')).ok_or_else(wrong)?;
    let arguments: Vec<&str> = arguments.split(',').map(str::trim).collect();
    match (word, arguments.as_slice()) {
        ("quantize", [backing, size, rest @ ..]) if rest.len() < 2 => {
            let number = |text: &str| text.parse::<i64>().map_err(|_| wrong());
            let offset = rest.first().map_or(Ok(0), |text| number(text))?;
            let arguments = json!({"backing_column": backing, "size": number(size)?, "offset": offset});
            Ok(json!({"name": name, "type": "quantize_uint", "quantize_uint": arguments}))
        }
        ("truncate", [backing, granularity]) => {
            let arguments = json!({"backing_column": backing, "granularity": granularity});
            Ok(json!({"name": name, "type": "truncate_timestamp", "truncate_timestamp": arguments}))
        }
        _ => Err(wrong()),
    }
}

/// The name by which `order` and `having` refer to a figure such as `unique(guid)`.
fn figure(text: &str, fold: &Json) -> Option<String> {
    if matches!(text, "count" | "group") {
        return Some(format!(";{text}"));
    }
    // Part of a range: max(range(x)) would be too clever; `range(x)` means its least value.
    let (word, name) = text.strip_suffix(')')?.split_once('(')?;
    let place = fold[name].as_array()?.iter().position(|one| one[0] == word)?;
    Some(format!("{name};{place}"))
}

fn order(text: &str, fold: &Json, selects: bool) -> Result<Json, CliError> {
    let (name, ordering) = match text.strip_prefix('-') {
        Some(name) => (name, "descending"),
        None => (text.strip_prefix('+').unwrap_or(text), "ascending"),
    };
    let found = if selects || name.contains(';') { Some(name.to_owned()) } else { figure(name, fold) };
    let expected =
        "count, group, or an aggregate of the query such as unique(guid), with - before it for the greatest first";
    Ok(json!({"name": found.ok_or_else(|| wrong("order", text, expected))?, "ordering": ordering}))
}

fn having(texts: &[String], fold: &Json) -> Result<Vec<Json>, CliError> {
    let mut items = Vec::new();
    for text in texts {
        let expected = "'FIGURE COMPARISON VALUE' such as 'count >= 5'; comparisons are == != < > <= >=";
        let wrong = || wrong("having", text, expected);
        let mut words = text.split_whitespace();
        let (Some(name), Some(op), Some(value), None) = (words.next(), words.next(), words.next(), words.next()) else {
            return Err(wrong());
        };
        let name = figure(name, fold).ok_or_else(wrong)?;
        let name = if name == ";count" { name } else { format!("{name};0") };
        let number = serde_json::from_str(value).ok().filter(Json::is_number).unwrap_or_else(|| json!(value));
        items.push(json!({"op": op, "params": [number], "property": [name]}));
        if items.len() > 1 {
            items.push(json!({"op": "boolean", "params": ["and"]}));
        }
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;
    use tidegate_model::Query;

    fn asked(line: &[&str]) -> Result<Json, CliError> {
        let cli = Cli::try_parse_from(["tidegate", "query", "web"].iter().chain(line)).unwrap();
        let Command::Query(args) = cli.command else { panic!("another command") };
        let query = args.query.clone().map_or(json!({}), |query| serde_json::from_str(&query).unwrap());
        Question::new(Timestamp::from_second(1_700_000_000).unwrap()).query(&args.question, query)
    }

    #[test]
    fn flags_become_the_query_that_they_describe() {
        let query = asked(&[
            "--group",
            "fingerprint,hour",
            "--unique",
            "_tx,guid",
            "--max",
            "_tx",
            "--filter",
            "error.type equal Crash",
            "--filter",
            "error.message contains/i time out",
            "--filter",
            "n at-least 5",
            "--filter",
            "zip equal 007",
            "--filter",
            "guid is-set",
            "--since",
            "24h",
            "--until",
            "2023-11-14T22:13:20Z",
            "--order",
            "-unique(guid)",
            "--order",
            "group",
            "--having",
            "count >= 5",
            "--having",
            "max(_tx) < 9",
            "--limit",
            "10",
            "--offset",
            "2",
            "--bin",
            "timestamp,4,0,10",
            "--distribution",
            "host,3",
            "--column",
            "hour=quantize(timestamp,3600,-60)",
        ])
        .unwrap();
        let expected = json!({
            "filter": [{"timestamp": [["at-least", 1_699_913_600], ["less-than", 1_700_000_000]], "error.type": [["equal", "Crash"]],
                "error.message": [["contains", "time out", {"case_insensitive": true}]], "n": [["at-least", 5]],
                "zip": [["equal", "007"]], "guid": [["is-set"]]}],
            "group": ["fingerprint", "hour"],
            "virtual_columns": [{"name": "hour", "type": "quantize_uint",
                "quantize_uint": {"backing_column": "timestamp", "size": 3600, "offset": -60}}],
            "fold": {"_tx": [["unique"], ["max"]], "guid": [["unique"]], "host": [["distribution", 3]], "timestamp": [["bin", 4, 0, 10]]},
            "order": [{"name": "guid;0", "ordering": "descending"}, {"name": ";group", "ordering": "ascending"}],
            "having": [{"op": ">=", "params": [5], "property": [";count"]}, {"op": "<", "params": [9], "property": ["_tx;1;0"]},
                {"op": "boolean", "params": ["and"]}],
            "limit": 10, "offset": 2,
        });
        assert_eq!(query, expected);
        Query::parse(&query).unwrap();
        let selected =
            asked(&["--select", "a,b", "--order=-a", "--column", "d=truncate(timestamp,day)", "--select-all"]).unwrap();
        assert_eq!(selected["order"], json!([{"name": "a", "ordering": "descending"}]));
        Query::parse(&selected).unwrap();
    }

    #[test]
    fn flags_narrow_a_query_that_is_given_as_json() {
        let query = r#"{"filter": [{"a": [["equal", 1]]}, {"b": [["is-set"]]}], "fold": {"_tx": [["count"]]}}"#;
        let both = asked(&["--query", query, "--filter", "c equal x", "--limit", "1"]).unwrap();
        let filter = json!([{"a": [["equal", 1]], "c": [["equal", "x"]]}, {"b": [["is-set"]], "c": [["equal", "x"]]}]);
        assert_eq!((&both["filter"], &both["limit"]), (&filter, &json!(1)));
    }

    #[test]
    fn a_flag_that_cannot_be_read_is_told_with_what_was_expected() {
        let told = |line: &[&str]| asked(line).unwrap_err().to_string();
        assert!(told(&["--filter", "a like b"]).contains("not-equal, at-least"));
        assert!(told(&["--filter", "a equal"]).contains("a value after equal"));
        assert!(told(&["--filter", "a is-set b"]).contains("nothing after is-set"));
        assert!(told(&["--since", "yesterday"]).contains("24h or 7d"));
        assert!(told(&["--order", "unique(guid)"]).contains("an aggregate of the query"));
        assert!(told(&["--having", "count 5"]).contains("'count >= 5'"));
        assert!(told(&["--column", "d=day(timestamp)"]).contains("quantize(ATTRIBUTE,SIZE[,OFFSET])"));
        assert!(told(&["--bin", "a,x"]).contains("numbers after the attribute"));
    }
}
