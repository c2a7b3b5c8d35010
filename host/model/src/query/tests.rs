//! The grammar: what is read, what is refused and with which words, and that nothing is lost on the way to JSON and back.

use super::*;

fn told(query: Json) -> String {
    MetricQuery::parse(&query).unwrap_err().to_string()
}

#[test]
fn a_full_query_survives_the_way_to_json_and_back() {
    let json = json!({
        "filter": [{"error.type": [["equal", "Crash"], ["contains", "x", {"case_insensitive": true}]], "a": [["is-set"]]},
                   {"n": [["at-least", 3]]}],
        "group": ["fingerprint", "app.version"],
        "fold": {"_tx": [["unique"]], "guid": [["unique"], ["last"]]},
    });
    let parsed = MetricQuery::parse(&json).unwrap();
    assert_eq!(parsed.query.to_json(), json);
    assert_eq!(parsed.dropped_time_frame, Vec::<String>::new());
}

#[test]
fn a_time_frame_is_dropped_and_reported() {
    let json = json!({
        "filter": [{"timestamp": [["at-least", "1700000000."], ["less-than", 1_700_000_100]], "a": [["equal", "b"]]}],
        "fold": {"_tx": [["count"]]}, "virtual_columns": [], "offset": 0,
    });
    let parsed = MetricQuery::parse(&json).unwrap();
    assert_eq!(parsed.query.filter.len(), 1);
    assert_eq!(parsed.query.filter[0].len(), 1);
    assert_eq!(parsed.dropped_time_frame, ["timestamp at-least \"1700000000.\"", "timestamp less-than 1700000100"]);
}

#[test]
fn a_query_that_cannot_be_a_metric_is_refused_with_the_culprit_named() {
    let histogram = told(json!({"fold": {"guid": [["histogram"]]}}));
    assert!(histogram.starts_with("fold.guid: \"histogram\" does not give one number"), "{histogram}");
    assert!(told(json!({})).contains("at least one aggregate"));
    assert!(told(json!({"select": ["a"], "fold": {}})).contains("\"select\" has no meaning"));
    assert!(told(json!({"filter": [{"a": [["like", "b"]]}]})).contains("filter[0].a: expected one of equal"));
    assert!(told(json!({"filter": [{"a": [["equal", null]]}]})).contains("a text, number or boolean"));
    assert!(told(json!({"filter": [{"a": [["regular-expression", "("]]}]})).contains("regular expression"));
    assert!(told(json!({"group": ["a", "a"], "fold": {"_tx": [["count"]]}})).contains("each once"));
    assert!(told(json!([])).contains("the query: expected an object"));
}

#[test]
fn sixty_five_groups_are_refused_with_both_figures() {
    let names: Vec<_> = (0..65).map(|i| format!("a{i}")).collect();
    let error = told(json!({"group": names, "fold": {"_tx": [["count"]]}}));
    assert_eq!(error, "group may have 64 parts, this one has 65");
}

#[test]
fn an_operand_longer_than_the_limit_is_refused() {
    let error = told(json!({"filter": [{"a": [["equal", "é".repeat(3000)]]}], "fold": {"_tx": [["count"]]}}));
    assert!(error.contains("at most 4096 bytes"), "{error}");
}

fn query_told(query: Json) -> String {
    Query::parse(&query).unwrap_err().to_string()
}

#[test]
fn every_member_of_a_query_survives_the_way_to_json_and_back() {
    let aggregating = json!({
        "filter": [{"timestamp": [["at-least", "1700000000."]], "a": [["inverse-regular-expression", "x", {"case_insensitive": true}]]}, {}],
        "group": ["fingerprint", "t.day"],
        "fold": {"a": [["head"], ["tail"], ["unique"], ["count"], ["min"], ["max"], ["mean"], ["sum"], ["range"], ["histogram"],
                       ["distribution"], ["distribution", 3], ["bin"], ["bin", 4], ["bin", 4, 0, 2.5], ["object"], ["head"]]},
        "virtual_columns": [
            {"name": "t.day", "type": "quantize_uint", "quantize_uint": {"backing_column": "timestamp", "size": 86400, "offset": -14400}},
            {"name": "q", "type": "truncate_timestamp", "truncate_timestamp": {"backing_column": "timestamp", "granularity": "quarter"}}],
        "having": [{"op": "==", "params": [1], "property": [";count"]}, {"op": ">=", "params": ["x"], "property": ["a;8;1"]},
                   {"op": "boolean", "params": ["and"]}, {"op": "!=", "params": [2.5], "property": ["a;0;0"]}],
        "order": [{"name": ";count", "ordering": "descending"}, {"name": ";group", "ordering": "ascending"},
                  {"name": "a;8;1", "ordering": "ascending"}, {"name": "a;2", "ordering": "descending"}],
        "limit": 0, "offset": 7,
    });
    let query = Query::parse(&aggregating).unwrap();
    assert_eq!(query.to_json(), aggregating);
    assert_eq!(query.order[2].by, Figure::Fold { column: 8, part: 1 });
    let selecting = json!({
        "select": ["timestamp", "a;b;0"], "select_wildcard": {"physical": true, "derived": false, "virtual": true},
        "order": [{"name": "a;b;0", "ordering": "descending"}],
    });
    assert_eq!(Query::parse(&selecting).unwrap().to_json(), selecting);
    assert_eq!(Query::parse(&json!({"filter": [{}], "table": "objects"})).unwrap().to_json(), json!({"filter": [{}]}));
}

#[test]
fn other_spellings_that_clients_use_mean_the_same() {
    let usual =
        Query::parse(&json!({"group": ["a"], "fold": {"b": [["head"], ["bin", 4, 1, 2]]}, "offset": 0})).unwrap();
    let other =
        json!({"group": [["a"]], "fold": {"b": [["first"], ["bin", "4", "1.", "2"]]}, "order": null, "having": []});
    assert_eq!(Query::parse(&other).unwrap(), usual);
}

#[test]
fn a_name_with_semicolons_is_told_from_the_index_behind_it() {
    let fold = json!({"fingerprint;issues;0": [["count"], ["range"]], "fingerprint;issues": [["count"]]});
    let by = |name: &str| {
        let order = json!([{"name": name, "ordering": "ascending"}]);
        Query::parse(&json!({"fold": fold, "order": order})).map(|query| query.order[0].by.clone())
    };
    assert_eq!(by("fingerprint;issues;0;0"), Ok(Figure::Fold { column: 0, part: 0 }));
    assert_eq!(by("fingerprint;issues;0;1;1"), Ok(Figure::Fold { column: 1, part: 1 }));
    assert_eq!(by("fingerprint;issues;0"), Ok(Figure::Fold { column: 2, part: 0 }));
    assert!(by("fingerprint;issues;0;2").is_err());
}

#[test]
fn a_query_that_breaks_the_grammar_is_refused_with_its_place() {
    assert!(
        query_told(json!({"filters": []})).starts_with("\"filters\" is no member of a query; there are filter, group")
    );
    assert!(query_told(json!({"table": "issues"})).contains("expected \"objects\""));
    assert!(
        query_told(json!({"select": ["a"], "group": ["b"]})).contains("\"group\" has no meaning beside \"select\"")
    );
    assert!(query_told(json!({"fold": {"a": [["median"]]}})).contains("fold.a: expected one of head, tail"));
    assert!(query_told(json!({"fold": {"a": [["sum", 1]]}})).contains("without arguments"));
    assert!(query_told(json!({"fold": {"a": [["bin", 10_001]]}})).contains("1 to 10000"));
    assert!(query_told(json!({"fold": {"a": [["bin", 4, 2, 2]]}})).contains("start below stop"));
    let order = |name: &str| json!({"fold": {"a": [["sum"], ["histogram"]]}, "order": [{"name": name}]});
    let told = query_told(order("a;2"));
    assert!(
        told.contains("order[0]: \"a;2\" names no aggregate of this query; there are ;count, ;group, a;0"),
        "{told}"
    );
    assert!(query_told(order("a;1")).contains("names no aggregate"), "a histogram has no figure to order by");
    let joined =
        json!({"having": [{"op": "<", "params": [1], "property": [";count"]}, {"op": "boolean", "params": ["or"]}]});
    assert!(query_told(joined).contains("having[1]: expected two conditions"));
    assert!(
        query_told(json!({"filter": [{"a": [["equal", "b", {"case_insensitive": true}]]}]}))
            .contains("contains and regular")
    );
    assert!(
        query_told(json!({"filter": [{"a": [["contains", "b", {"casefold": true}]]}]})).contains("no \"casefold\"")
    );
    let column = json!({"name": "d", "type": "quantize_uint", "quantize_uint": {"backing_column": "a", "size": 0}});
    assert!(query_told(json!({"virtual_columns": [column]})).contains("whole number from 1"));
    assert!(query_told(json!({"limit": -1})).contains("limit: expected a whole number from 0"));
}

#[test]
fn the_refusal_of_a_metric_names_the_culprit_and_the_nearest_query_that_could_be_one() {
    let near = |query: Json| {
        let told = MetricQuery::parse(&query).unwrap_err().to_string();
        let near = told.split_once("The nearest query that can be a metric: ").map(|(_, near)| near.to_owned());
        let near: Json = serde_json::from_str(&near.unwrap_or_else(|| panic!("{told}"))).unwrap();
        MetricQuery::parse(&near).unwrap();
        (told, near)
    };
    let (told, nearest) =
        near(json!({"group": ["v"], "fold": {"guid": [["histogram"]], "age": [["range"]]}, "limit": 3}));
    assert!(told.starts_with("\"limit\" has no meaning in a metric"), "{told}");
    assert_eq!(nearest, json!({"group": ["v"], "fold": {"guid": [["unique"]], "age": [["min"], ["max"]]}}));
    let (told, nearest) = near(json!({"select": ["hostname"]}));
    assert!(told.starts_with("\"select\" has no meaning in a metric"), "{told}");
    assert_eq!(nearest, json!({"group": ["hostname"], "fold": {"_tx": [["count"]]}}));

    let query = Query::parse(&json!({"fold": {"hostname": [["first"]]}})).unwrap();
    let told = MetricQuery::of(&query, &|name| name == "hostname").unwrap_err().to_string();
    assert!(
        told.starts_with("fold.hostname: \"hostname\" holds nothing but text, so \"head\" gives no number"),
        "{told}"
    );
    assert!(told.ends_with("{\"fold\":{\"hostname\":[[\"unique\"]]}}"), "{told}");
    assert!(MetricQuery::of(&query, &|_| false).is_ok());
}
