use super::*;
use proptest::prelude::*;

/// What the slow parser makes of the same lines, attributes sorted.
fn parsed(lines: &[Vec<u8>], limits: &EventLimits) -> Vec<Result<Event, LineError>> {
    lines.iter().map(|line| ndjson::parse_line(line, limits).map(sorted)).collect()
}

fn sorted(mut event: Event) -> Event {
    event.attributes.sort_by(|a, b| a.0.cmp(&b.0));
    event
}

fn through_a_block(lines: &[Vec<u8>], limits: &EventLimits) -> Vec<Result<Event, LineError>> {
    let mut block = Block::new(limits);
    let told: Vec<_> = lines.iter().map(|line| block.push_line(line)).collect();
    let done = block.finish();
    let mut events = done.events();
    let all = told.into_iter().map(|told| told.map(|()| sorted(events.next().unwrap()))).collect();
    assert!(events.next().is_none());
    all
}

fn quick(line: &str) -> bool {
    Block::new(&EventLimits::default()).scan(line.as_bytes()).is_some()
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => "[a-e]".prop_map(|n| format!("{n:?}")),
        1 => Just(r#""timestamp""#.to_owned()),
        1 => Just(r#""uuid""#.to_owned()),
        1 => prop::sample::select(vec![r#""""#, r#""\u0061""#, r#""a\nb""#, "\"\u{7f}\"", r#""größe""#, r#""toolong""#, "x", r#""_tx""#,
            r#""a\"b""#, r#""a\\b""#, r#""a\b""#, r#""a"b""#])
            .prop_map(ToOwned::to_owned),
    ]
}

fn value() -> impl Strategy<Value = String> {
    let odd = vec![
        "null",
        "true",
        "false",
        "truex",
        "nul",
        "tru",
        "-",
        "-0",
        "0",
        "00",
        "01",
        "-01",
        "1.",
        ".5",
        "1e",
        "1e+",
        "1e400",
        "-1e400",
        "1e-400",
        "1E5",
        "0.1e+3",
        "0e0",
        "-0.0",
        "+1",
        "NaN",
        "Infinity",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "-9223372036854775809",
        "999999999999999999",
        "1000000000000000000",
        "123456789012345678901234567890",
        "{}",
        "[1]",
        r#"{"a":1}"#,
        r#""""#,
        r#""\u00e9""#,
        r#""\ud83d""#,
        r#""\ud83d\ude00""#,
        r#""\ude00x""#,
        r#""\x""#,
        r#""\u12""#,
        r#""\\""#,
        r#""\\\"""#,
        r#""a\"b""#,
        r#""\"#,
        r#""open"#,
        "\"tab\there\"",
        "\"\u{7f}\"",
        r#""日本 ✓""#,
        r#""longer than the limit""#,
        r#""550e8400-e29b-41d4-a716-446655440000""#,
        r#""550e8400e29b41d4a716446655440000""#,
        r#""{550e8400-e29b-41d4-a716-446655440000}""#,
        "1700000000",
        "1700000000.5",
        r#""1700000000.""#,
        r#""soon""#,
        "1 2",
        "",
    ];
    prop_oneof![
        3 => prop::sample::select(odd).prop_map(ToOwned::to_owned),
        1 => any::<i64>().prop_map(|n| n.to_string()),
        1 => any::<f64>().prop_map(|n| format!("{n}")),
        1 => any::<f64>().prop_map(|n| format!("{n:e}")),
        1 => any::<String>().prop_map(|t| serde_json::to_string(&t).unwrap()),
        1 => "[ -~]{0,12}".prop_map(|t| format!("\"{t}\"")),
        // Longer than what is searched without a call.
        1 => "[ -~é]{20,60}".prop_map(|t| format!("\"{t}\"")),
    ]
}

fn space() -> impl Strategy<Value = String> {
    prop_oneof![6 => Just(String::new()), 1 => Just(" ".to_owned()), 1 => "[ \t\r\n]{0,3}"]
}

fn line() -> impl Strategy<Value = Vec<u8>> {
    let field = (name(), space(), value(), space()).prop_map(|(n, s, v, t)| format!("{s}{n}{t}:{s}{v}{t}"));
    let whole = (prop::collection::vec(field, 0..6), space(), space())
        .prop_map(|(f, s, t)| format!("{s}{{{}}}{t}", f.join(",")));
    // Whole, with a byte changed, cut short.
    (
        whole,
        prop::option::weighted(0.15, (any::<prop::sample::Index>(), any::<u8>())),
        prop::option::weighted(0.05, any::<prop::sample::Index>()),
    )
        .prop_map(|(line, changed, cut)| {
            let mut line = line.into_bytes();
            if let Some((at, byte)) = changed {
                let at = at.index(line.len());
                line[at] = byte;
            }
            if let Some(cut) = cut {
                line.truncate(cut.index(line.len()));
            }
            line
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn any_line_gives_what_the_slow_parser_gives_value_error_and_all(lines in prop::collection::vec(line(), 1..12), tight in any::<bool>()) {
        let limits = if tight {
            EventLimits { body_bytes: 120, attributes: 3, name_bytes: 5, value_bytes: 9, ..EventLimits::default() }
        } else {
            EventLimits::default()
        };
        prop_assert_eq!(through_a_block(&lines, &limits), parsed(&lines, &limits));
    }
}

#[test]
fn plain_lines_take_the_quick_way_and_odd_ones_do_not() {
    for line in [
        "{}",
        " { } ",
        r#"{"timestamp":1700000000,"a":"x","b":-1,"c":1.5e3,"d":true,"e":null,"f":"","ß":"日本"}"#,
        r#"{"uuid":"550e8400-e29b-41d4-a716-446655440000","callstack":"{\"frame\":[\"main\"]}"}"#,
        "{\"a\":1}\r",
    ] {
        assert!(quick(line), "{line}");
    }
    for line in
        ["", "[]", r#"{"a":{}}"#, r#"{"a":1,"a":2}"#, r#"{"a":1e400}"#, r#"{"a":1}{}"#, r#"{"a":1,}"#, "{\"a\":\t1}"]
    {
        assert!(!quick(line), "{line}");
    }
}

#[test]
fn a_line_that_is_refused_leaves_nothing_in_the_block() {
    let mut block = Block::new(&EventLimits::default());
    block.push_line(br#"{"a":"kept"}"#).unwrap();
    block.push_line(br#"{"a":"gone","new":"gone","deep":{}}"#).unwrap_err();
    block.push_line(br#"{"a":"kept too","a":"gone"}"#).unwrap_err();
    let done = block.finish();
    assert_eq!((done.rows, done.columns.len(), done.columns[0].texts.len()), (1, 1, 1));
    assert_eq!(done.columns[0].texts.text(1), "kept");
}

#[test]
fn a_block_is_full_by_events_by_bytes_and_by_names() {
    let mut events = Block::new(&EventLimits::default());
    for _ in 0..MOST_ROWS {
        assert!(!events.is_full());
        events.push_line(b"{}").unwrap();
    }
    assert!(events.is_full());
    let limits = EventLimits { value_bytes: MOST_BYTES, ..EventLimits::default() };
    let mut bytes = Block::new(&limits);
    bytes.push_line(format!("{{\"a\":\"{}\"}}", "x".repeat(MOST_BYTES)).as_bytes()).unwrap();
    assert!(bytes.is_full() && bytes.bytes() > MOST_BYTES);
    let mut names = Block::new(&EventLimits::default());
    for line in 0..MOST_COLUMNS / 512 {
        assert!(!names.is_full());
        let fields: Vec<_> = (0..512).map(|n| format!("\"n{line}.{n}\":1")).collect();
        names.push_line(format!("{{{}}}", fields.join(",")).as_bytes()).unwrap();
    }
    assert!(names.is_full());
}
