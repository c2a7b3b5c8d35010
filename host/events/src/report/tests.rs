use super::*;

fn parse_with(json: &str, extra: &[(&str, &str)]) -> Result<Event, ReportError> {
    let extra = extra.iter().map(|(name, value)| ((*name).to_owned(), Value::Str((*value).to_owned()))).collect();
    parse(json.as_bytes(), extra, &EventLimits::default())
}

fn attribute(event: &Event, name: &str) -> Option<String> {
    let found: Vec<_> = event.attributes.iter().filter(|(n, _)| n == name).collect();
    assert!(found.len() <= 1, "{name} is there {} times", found.len());
    found.first().map(|(_, value)| value.text().into_owned())
}

fn told(json: &str) -> String {
    parse_with(json, &[]).unwrap_err().to_string()
}

const REPORT: &str = r#"{
    "uuid": "550e8400-e29b-41d4-a716-446655440000", "timestamp": 1700000000,
    "lang": "nodejs", "langVersion": "22.1.0", "agent": "@backtrace/node", "agentVersion": "0.8.3",
    "classifiers": ["TypeError", "Error"], "mainThread": "main",
    "threads": {
        "worker": {"name": "worker", "stack": [{"funcName": "idle"}]},
        "main": {"name": "main", "fault": true, "stack": [
            {"funcName": "inner", "line": 3}, {"address": "0x1"}, {"funcName": "outer \"x\""}
        ]}
    },
    "attributes": {"application": "shop", "cpu.boottime": 1.25, "pid": 77, "none": null, "backtrace.agent": "mine", "ok": true},
    "annotations": {"Environment Variables": {"A": "b"}}
}"#;

#[test]
fn a_report_becomes_attributes_and_keeps_its_bytes() {
    let event = parse_with(REPORT, &[("version", "1.0"), ("application", "from the form")]).unwrap();
    assert_eq!(event.uuid.unwrap()[0], 0x55);
    assert_eq!(event.report.as_deref(), Some(REPORT.as_bytes()));
    let expected = [
        ("application", "from the form"),
        ("cpu.boottime", "1.25"),
        ("pid", "77"),
        ("backtrace.agent", "mine"),
        ("ok", "true"),
        ("version", "1.0"),
        ("lang", "nodejs"),
        ("lang.version", "22.1.0"),
        ("backtrace.version", "0.8.3"),
        ("classifiers", "TypeError Error"),
        ("timestamp", "1700000000"),
        ("callstack", r#"{"frame":["inner","outer \"x\""]}"#),
    ];
    for (name, value) in expected {
        assert_eq!(attribute(&event, name).as_deref(), Some(value), "{name}");
    }
    let hash = hex::encode(Sha256::digest("inner\nouter \"x\""));
    assert_eq!(attribute(&event, "fingerprint"), Some(hash));
    assert_eq!(event.attributes.len(), expected.len() + 1);
    assert!(event.attributes.contains(&("pid".to_owned(), Value::Int(77))));
}

#[test]
fn the_same_stack_has_the_same_fingerprint_and_none_has_zeros() {
    let stack = |functions: &str| format!(r#"{{"threads":{{"1":{{"stack":[{functions}]}}}}}}"#);
    let fingerprint = |json: &str| attribute(&parse_with(json, &[]).unwrap(), "fingerprint").unwrap();
    let one = fingerprint(&stack(r#"{"funcName":"a","line":1}"#));
    assert_eq!(one, fingerprint(&stack(r#"{"line":2,"funcName":"a"}"#)));
    assert_ne!(one, fingerprint(&stack(r#"{"funcName":"b"}"#)));
    for none in ["{}", r#"{"threads":[]}"#, r#"{"threads":{"1":7}}"#, &stack(r#"{"address":"0x1"}"#), &stack("3")] {
        assert_eq!(fingerprint(none), "0".repeat(64), "{none}");
        assert_eq!(attribute(&parse_with(none, &[]).unwrap(), "callstack"), None);
    }
}

#[test]
fn a_fingerprint_of_the_client_wins_in_either_form() {
    let digits = "AB".repeat(32);
    let base64 = STANDARD.encode([7u8; 32]);
    let fingerprint = |json: String| attribute(&parse_with(&json, &[]).unwrap(), "fingerprint").unwrap();
    assert_eq!(fingerprint(format!(r#"{{"fingerprint":"{base64}"}}"#)), "07".repeat(32));
    assert_eq!(fingerprint(format!(r#"{{"attributes":{{"fingerprint":"{digits}"}}}}"#)), "ab".repeat(32));
    let event = parse_with(&format!(r#"{{"fingerprint":"{base64}"}}"#), &[("_mod_fingerprint", &digits)]).unwrap();
    assert_eq!(attribute(&event, "fingerprint"), Some("ab".repeat(32)));
    assert_eq!(attribute(&event, "_mod_fingerprint"), None);
    assert_eq!(fingerprint(r#"{"attributes":{"fingerprint":"short"}}"#.to_owned()), "0".repeat(64));
}

#[test]
fn the_wrapper_of_the_documentation_is_taken_off() {
    let event = parse_with(&format!(r#"{{"body":{REPORT}}}"#), &[]).unwrap();
    assert_eq!(attribute(&event, "application").as_deref(), Some("shop"));
    assert!(event.uuid.is_some());
}

#[test]
fn nested_attributes_are_kept_as_json_and_of_repeated_ones_the_last_counts() {
    let event =
        parse_with(r#"{"attributes":{"a":{"b":[1, 2]},"c":1,"c":"two","d":12345678901234567890123}}"#, &[]).unwrap();
    assert_eq!(attribute(&event, "a").as_deref(), Some(r#"{"b":[1, 2]}"#));
    assert_eq!(attribute(&event, "c").as_deref(), Some("two"));
    assert_eq!(attribute(&event, "d").as_deref(), Some("12345678901234567890123"));
}

#[test]
fn the_time_is_that_of_the_report_or_else_of_an_attribute_that_is_one() {
    let time =
        |json: &str| parse_with(json, &[]).unwrap().attributes.into_iter().find(|a| a.0 == "timestamp").map(|a| a.1);
    assert_eq!(time(r#"{"timestamp":1700000000.9,"attributes":{"timestamp":"5"}}"#), Some(Value::Int(1_700_000_000)));
    assert_eq!(time(r#"{"attributes":{"timestamp":"5"}}"#), Some(Value::Int(5)));
    assert_eq!(time(r#"{"attributes":{"timestamp":"noon"}}"#), Some(Value::Str("noon".to_owned())));
    assert_eq!(time(r#"{"timestamp":null}"#), None);
}

#[test]
fn the_faulting_thread_is_found_wherever_it_stands() {
    let top = |json: &str| attribute(&parse_with(json, &[]).unwrap(), "callstack").unwrap();
    let threads = r#""threads":{"1":{"stack":[{"funcName":"one"}]},"2":{"fault":FAULT,"stack":[{"funcName":"two"}]}}"#;
    let at_fault = threads.replace("FAULT", "true");
    assert_eq!(top(&format!(r#"{{{at_fault},"mainThread":"1"}}"#)), r#"{"frame":["two"]}"#);
    let none = threads.replace("FAULT", "false");
    assert_eq!(top(&format!(r#"{{{none},"mainThread":2}}"#)), r#"{"frame":["two"]}"#);
    assert_eq!(top(&format!("{{{none}}}")), r#"{"frame":["one"]}"#);
    // What is no thread does not hide the others.
    let odd = at_fault.replace("{\"1\"", "{\"0\":7,\"3\":{\"fault\":1,\"fault\":true},\"1\"");
    assert_eq!(top(&format!("{{{odd}}}")), r#"{"frame":["two"]}"#);
}

#[test]
fn a_callstack_that_is_too_long_loses_its_lowest_frames_and_not_the_report() {
    let frames: Vec<_> = (0..5000).map(|i| format!(r#"{{"funcName":"function{i}"}}"#)).collect();
    let json = format!(r#"{{"threads":{{"1":{{"stack":[{}]}}}}}}"#, frames.join(","));
    let callstack = attribute(&parse_with(&json, &[]).unwrap(), "callstack").unwrap();
    assert!(callstack.len() <= EventLimits::default().value_bytes);
    let read: serde_json::Value = serde_json::from_str(&callstack).unwrap();
    let kept = read["frame"].as_array().unwrap();
    assert!(kept.len() > 500);
    assert_eq!(kept[0], "function0");
}

#[test]
fn a_member_at_fault_is_named() {
    assert!(told("[]").starts_with("expected a report as a JSON object, found []"));
    assert!(told(r#"{"a":"#).starts_with("expected a report as a JSON object: "));
    assert!(told(r#"{"uuid":"nonsense"}"#).starts_with(r#""uuid": expected a UUID"#));
    assert!(told(r#"{"timestamp":"soon"}"#).starts_with(r#""timestamp": expected Unix seconds"#));
    assert!(told(r#"{"attributes":[1]}"#).starts_with(r#""attributes": expected an object"#));
    assert!(told(r#"{"attributes":{"x":1e999}}"#).starts_with(r#""x": expected a number of 64 bits"#));
    let error = parse(b"{\"attributes\":{\"a\":\"\xff\"}}", vec![], &EventLimits::default()).unwrap_err();
    assert_eq!(error.to_string(), "expected UTF-8, byte 20 is not");
}

#[test]
fn each_limit_is_told_with_what_was_asked() {
    let limits = EventLimits {
        body_bytes: 200,
        attributes: 2,
        name_bytes: 4,
        value_bytes: 8,
        nesting: 5,
        ..EventLimits::default()
    };
    let told =
        |json: &str, extra: Vec<(String, Value)>| parse(json.as_bytes(), extra, &limits).unwrap_err().to_string();
    assert_eq!(told(&" ".repeat(201), vec![]), "200 bytes are allowed, here are 201");
    assert_eq!(told(r#"{"a":[[[[[1]]]]]}"#, vec![]), "a report may nest 5 levels deep, this one has 6");
    let extra = vec![("c".to_owned(), Value::Int(1))];
    assert_eq!(told(r#"{"attributes":{"a":1,"b":2}}"#, extra), "an event may have 2 attributes, this one has 3");
    let name = r#""abcde": the name of an attribute may have 4 bytes, this one has 5"#;
    assert_eq!(told(r#"{"attributes":{"abcde":1}}"#, vec![]), name);
    assert_eq!(told("{}", vec![("abcde".to_owned(), Value::Int(1))]), name);
    let value = r#""a": a value may have 8 bytes, this one has 9"#;
    assert_eq!(told(r#"{"attributes":{"a":"123456789"}}"#, vec![]), value);
    assert_eq!(told("{}", vec![("a".to_owned(), Value::Str("123456789".to_owned()))]), value);
    let classifiers = r#""classifiers": a value may have 8 bytes, this one has 9"#;
    assert_eq!(told(r#"{"classifiers":["1234","5678"]}"#, vec![]), classifiers);
    assert_eq!(told(r#"{"lang":"123456789"}"#, vec![]), r#""lang": a value may have 8 bytes, this one has 9"#);
    // The brackets of a text are no nesting.
    assert!(parse(br#"{"a":"[[[[[[\"[[["}"#, vec![], &limits).is_ok());
}
