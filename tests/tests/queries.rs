//! Questions about events, answered by the host and by DuckDB from the same events: no difference is allowed.

use crate::world::{self, PROJECT};
use serde_json::{Map, Value as Json, json};
use std::process::Command;
use tidegate_tests::clients;
use tidegate_tests::generator::Generator;
use tidegate_tests::process::run_well;
use tidegate_tests::scratch::{Scratch, repository};
use tidegate_tests::tidegate::Tidegate;

const EVENTS: usize = 3_000;
const TEXTS: [&str; 10] = ["", "alpha", "Alpha", "beta", "Été", "日本", "a'b", "x y", "zz\ttab", "10"];

/// Numbers are multiples of a quarter, so that sums are exact whatever the order.
fn event(random: &mut Generator) -> Map<String, Json> {
    let mut attributes = Map::new();
    let mut put = |random: &mut Generator, name: &str, value: Json| {
        // Every sixth is missing.
        if random.below(6) > 0 {
            attributes.insert(name.to_owned(), value);
        }
    };
    let text = TEXTS[random.below(10) as usize];
    put(random, "text", json!(text));
    let word = format!("w{}", random.below(300));
    put(random, "word", json!(word));
    let n = random.below(41) as i64 - 20;
    put(random, "n", json!(n));
    let x = (random.below(4001) as f64 - 2000.0) / 4.0;
    put(random, "x", json!(x));
    let flag = random.below(2) == 0;
    put(random, "flag", json!(flag));
    let mixed = [json!(1), json!("1"), json!(1.0), json!("one"), json!(true), json!("true"), json!(2.5), json!("2.5")];
    let mixed = mixed[random.below(8) as usize].clone();
    put(random, "mixed", mixed);
    let time = 1_700_000_000 + random.below(40 * 86_400);
    attributes.insert("timestamp".to_owned(), json!(time));
    attributes
}

fn condition(random: &mut Generator) -> (&'static str, Json) {
    let pick = |random: &mut Generator, words: &[&'static str]| words[random.below(words.len() as u64) as usize];
    let compare = ["equal", "not-equal", "at-least", "at-most", "greater-than", "less-than"];
    match random.below(7) {
        0 => (pick(random, &["text", "n", "x", "flag", "mixed"]), json!([pick(random, &["is-set", "is-not-set"])])),
        1 => ("n", json!([pick(random, &compare), random.below(21) as i64 - 10])),
        2 => ("x", json!([pick(random, &compare), random.below(200) as f64 / 4.0])),
        3 => ("flag", json!([pick(random, &compare[..2]), random.below(2) == 0])),
        4 => ("timestamp", json!([pick(random, &compare[2..]), 1_700_000_000 + random.below(40 * 86_400)])),
        5 => ("text", json!([pick(random, &compare), TEXTS[random.below(10) as usize]])),
        _ => {
            let fold = json!({"case_insensitive": random.below(2) == 0});
            let (word, operand) = if random.below(2) == 0 {
                (pick(random, &["contains", "not-contains"]), pick(random, &["a", "é", "ALPHA", "本", " "]))
            } else {
                (
                    pick(random, &["regular-expression", "inverse-regular-expression"]),
                    pick(random, &["^a", "a$", "[0-9]+", "t.b"]),
                )
            };
            ("text", json!([word, operand, fold]))
        }
    }
}

fn filter(random: &mut Generator) -> Json {
    let items = random.below(3);
    let item = |random: &mut Generator| {
        let mut item = Map::new();
        for _ in 0..=random.below(2) {
            let (name, condition) = condition(random);
            if let Some(list) = item.entry(name).or_insert_with(|| json!([])).as_array_mut() {
                list.push(condition);
            }
        }
        Json::Object(item)
    };
    (0..items).map(|_| item(random)).collect()
}

const SCALARS: [(&str, &str); 14] = [
    ("_tx", "count"),
    ("word", "unique"),
    ("mixed", "unique"),
    ("mixed", "count"),
    ("n", "sum"),
    ("x", "sum"),
    ("n", "mean"),
    ("x", "min"),
    ("text", "max"),
    ("text", "head"),
    ("x", "tail"),
    ("n", "max"),
    ("timestamp", "min"),
    ("n", "head"),
];

/// Attribute and word of some scalar aggregates, each once.
fn scalars(random: &mut Generator, most: u64) -> Map<String, Json> {
    let mut fold = Map::new();
    for _ in 0..=random.below(most) {
        let (name, word) = SCALARS[random.below(SCALARS.len() as u64) as usize];
        let list = fold.entry(name).or_insert_with(|| json!([]));
        if let Some(list) = list.as_array_mut().filter(|list| list.iter().all(|one| one[0] != word)) {
            list.push(json!([word]));
        }
    }
    fold
}

fn way(random: &mut Generator) -> &'static str {
    if random.below(2) == 0 { "ascending" } else { "descending" }
}

fn aggregating(random: &mut Generator) -> Json {
    let names = ["text", "word", "n", "flag", "mixed", "day", "step"];
    let mut group: Vec<&str> = (0..random.below(3)).map(|_| names[random.below(7) as usize]).collect();
    group.dedup();
    let mut fold = scalars(random, 4);
    let name = fold.keys().next().cloned().unwrap_or_default();
    let by = match random.below(3) {
        0 => ";count".to_owned(),
        1 => ";group".to_owned(),
        _ => format!("{name};0"),
    };
    let order = json!([{"name": by, "ordering": way(random)}]);
    let having = json!([
        {"op": ">=", "params": [random.below(30)], "property": [";count"]},
        {"op": "!=", "params": [3], "property": [";count"]},
        {"op": "boolean", "params": [if random.below(2) == 0 { "and" } else { "or" }]},
    ]);
    let shapes = [
        ("n", json!(["range"])),
        ("text", json!(["histogram"])),
        ("text", json!(["distribution", 3])),
        ("n", json!(["bin", 8, -16, 16])),
        ("x", json!(["object"])),
    ];
    let (name, shape) = shapes[random.below(5) as usize].clone();
    if let Some(list) = fold.entry(name).or_insert_with(|| json!([])).as_array_mut() {
        list.push(shape);
    }
    let step = json!({"backing_column": "n", "size": 1 + random.below(9), "offset": random.below(9) as i64 - 4});
    let granularity = ["day", "month", "quarter", "year"][random.below(4) as usize];
    let mut query = json!({
        "filter": filter(random), "group": group, "fold": fold, "order": order, "offset": random.below(3),
        "virtual_columns": [
            {"name": "step", "type": "quantize_uint", "quantize_uint": step},
            {"name": "day", "type": "truncate_timestamp",
             "truncate_timestamp": {"backing_column": "timestamp", "granularity": granularity}}],
    });
    if random.below(2) == 0 {
        query["having"] = having;
    }
    if random.below(2) == 0 {
        query["limit"] = json!(random.below(40));
    }
    query
}

fn selecting(random: &mut Generator) -> Json {
    let by = ["text", "n", "x", "timestamp", "flag"][random.below(5) as usize];
    json!({
        "filter": filter(random), "select": ["timestamp", "text", "n", "x", "flag", "step"], "limit": 50, "offset": random.below(20),
        "order": [{"name": by, "ordering": way(random)}],
        "virtual_columns": [{"name": "step", "type": "quantize_uint", "quantize_uint": {"backing_column": "n", "size": 7}}],
    })
}

/// The same value; numbers as numbers, for a sum may be whole on one side.
fn same(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap_or(f64::NAN), b.as_f64().unwrap_or(f64::NAN));
            (a - b).abs() <= 1e-12 * b.abs()
        }
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        (a, b) => a == b,
    }
}

/// A key of `mixed` and `flag` as DuckDB keeps them: texts.
fn as_kept(query: &Json, rows: &mut Json) {
    let groups: Vec<&str> = query["group"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
    for row in rows.as_array_mut().into_iter().flatten() {
        let keys = row.get_mut("group").and_then(Json::as_array_mut).into_iter().flatten();
        for (name, key) in groups.iter().zip(keys) {
            if *name == "mixed" && !key.is_null() && !key.is_string() {
                *key = json!(key.to_string());
            }
        }
    }
}

fn duckdb(scratch: &Scratch, document: &Json) -> Vec<Json> {
    let file = scratch.file("asked.json", document.to_string());
    let script = repository().join("tests/clients/python/duckdb_answers.py");
    let printed = run_well(Command::new(clients::python()).arg(script).arg(file));
    serde_json::from_str(&printed).unwrap_or_else(|e| panic!("{e}: {printed}"))
}

fn ask(tidegate: &Tidegate, path: &str, body: &Json) -> Json {
    let answer = tidegate.api().send("POST", &["projects", PROJECT, path], Some(body));
    answer.and_then(tidegate_tests::http::Answer::ok).unwrap_or_else(|e| panic!("{body}: {e}")).json()
}

#[test]
fn queries_and_windows_give_what_duckdb_gives_over_the_same_events() {
    let scratch = Scratch::new("queries");
    let tidegate = world::tidegate(&scratch).start();
    tidegate.apply(&world::document(&world::metrics()[..1], &[]));
    let mut random = Generator::new("queries");
    let mut events = Vec::new();
    // One sender, so the events get their numbers in this order.
    for _ in 0..EVENTS / 500 {
        let portion: Vec<_> = (0..500).map(|_| event(&mut random)).collect();
        events.extend(tidegate.api().bulk_until_acknowledged(PROJECT, &portion));
    }
    let mut asked: Vec<Json> = Vec::new();
    for i in 0..120 {
        let query = if i % 4 == 3 { selecting(&mut random) } else { aggregating(&mut random) };
        asked.push(json!({"query": query}));
    }
    let mut found: Vec<Json> =
        asked.iter().map(|asked| ask(&tidegate, "query", &asked["query"])["rows"].clone()).collect();

    // Metrics look at windows of arrival, and see no text as empty text.
    for _ in 0..20 {
        let fold: Map<String, Json> = scalars(&mut random, 3)
            .into_iter()
            .filter(|(name, _)| matches!(name.as_str(), "_tx" | "word" | "n" | "x" | "mixed"))
            .collect();
        let fold = if fold.is_empty() { json!({"_tx": [["count"]]}) } else { json!(fold) };
        let group =
            [json!([]), json!(["text"]), json!(["flag", "n"]), json!(["mixed"])][random.below(4) as usize].clone();
        let mut query = json!({"filter": filter(&mut random), "group": group, "fold": fold});
        for item in query["filter"].as_array_mut().into_iter().flatten() {
            // A metric drops the time frame, and an item that is nothing else would hold for all.
            if item.as_object_mut().is_some_and(|item| item.remove("timestamp").is_some() && item.is_empty()) {
                item["n"] = json!([["is-set"]]);
            }
        }
        let shown = ask(&tidegate, "metric-preview", &json!({"query": query, "period": 60, "windows": 10}));
        for shown in shown["windows"].as_array().expect("windows") {
            let micros = |member: &str| shown["window"][member].as_u64().expect("seconds") * 1_000_000;
            let (start, end) = (micros("start"), micros("end"));
            // An empty window has a row of nothing without groups, and none with groups, on both sides.
            let events = |row: &Json| json!({"group": row["group"], "values": row["values"]});
            found.push(shown["rows"].as_array().expect("rows").iter().map(events).collect());
            asked.push(json!({"query": query, "window": [start, end]}));
        }
    }

    let given: Vec<Json> = events.iter().map(|e| json!({"attributes": e.attributes, "arrival": e.arrival})).collect();
    let expected = duckdb(&scratch, &json!({"events": given, "queries": asked}));
    assert_eq!(expected.len(), found.len());
    let mut rows = 0;
    for ((asked, mut expected), found) in asked.iter().zip(expected).zip(&mut found) {
        as_kept(&asked["query"], found);
        if asked.get("window").is_some() {
            for row in expected.as_array_mut().into_iter().flatten() {
                row.as_object_mut().map(|row| row.remove("events"));
            }
        }
        rows += expected.as_array().map_or(0, Vec::len);
        assert!(same(found, &expected), "{asked}\n found {found}\n expected {expected}");
    }
    assert!(rows > 2_000, "{rows} rows are too few to say anything");
}
