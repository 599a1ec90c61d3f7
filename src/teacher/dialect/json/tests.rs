//! Valid JSON is read as every other reader reads it; of the rest, what can only mean one thing.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn mend(text: &str) -> Value {
    let (values, repairs) = read(text, true).expect("mendable");
    assert!(!repairs.is_empty(), "a repair is noted for {text}");
    values.into_iter().next().expect("a value")
}

#[test]
fn common_mistakes_are_mended_and_noted() {
    assert_eq!(mend("{'a': 'it's late', b: True,}"), json!({"a": "it's late", "b": true}));
    assert_eq!(mend("```json\n{\"a\": [1, 2,]}\n```"), json!({"a": [1, 2]}));
    assert_eq!(mend("{\"q\": \"the \"best\" one\"}"), json!({"q": "the \"best\" one"}));
    assert_eq!(mend("{\"q\": \"two\nlines\"}"), json!({"q": "two\nlines"}));
    assert_eq!(mend("{\"q\": \"\\d+\", \"r\": None}"), json!({"q": "\\d+", "r": null}));
    assert_eq!(mend("{“q”: “東京”}"), json!({"q": "東京"}));
    assert_eq!(mend("{\"a\": {\"b\": [1"), json!({"a": {"b": [1]}}));
    assert_eq!(mend("{\"a\": 1}}"), json!({"a": 1}));
    assert_eq!(mend("{\"a\": 1 \"b\": 2}"), json!({"a": 1, "b": 2}));
    assert_eq!(mend("{\"a\": \"\\ud83d\"}"), json!({"a": "\u{fffd}"}));
}

#[test]
fn what_is_cut_off_is_not_guessed() {
    assert_eq!(read("{\"query\": \"the cap", true), Err(Broken::OpenString));
    assert_eq!(read("{\"a\": {\"b\": 1}", false), Err(Broken::OpenBracket));
    assert_eq!(read("{\"a\": tr", true), Err(Broken::OpenBracket));
    assert_eq!(read("search for cats", true), Err(Broken::NotJson));
    assert_eq!(read("  ", true), Err(Broken::Empty));
}

#[test]
fn what_is_deeper_or_larger_than_any_call_is_not_read() {
    let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    assert!(read(&nested(DEPTH_MAX + LEVELS_AROUND), false).is_ok());
    for levels in [DEPTH_MAX + LEVELS_AROUND + 1, 87, 127, 10_000] {
        assert_eq!(read(&nested(levels), true), Err(Broken::TooDeep), "{levels}");
    }
    assert!(read(&format!("[{}1]", "1,".repeat(VALUES_MAX)), false).is_ok());
    assert_eq!(read(&format!("[{}1]", "1,".repeat(VALUES_MAX + VALUES_AROUND)), false), Err(Broken::TooMany));
}

#[test]
fn a_mark_ends_what_is_read_unless_it_stands_within_a_string() {
    let text = "{\"a\": \"x </tool_call> y\", \"b\": [1</tool_call> rest";
    let mut reader = Reader::between(Marks::of(text, false), 0, false);
    assert_eq!(reader.values(), Ok(vec![json!({"a": "x </tool_call> y", "b": [1]})]));
    assert!(text.get(reader.position()..).is_some_and(|rest| rest.starts_with("</tool_call> rest")));
    let swallowed = "{\"a\": \"x</tool_call>\n<tool_call>{\"a\": \"y\"}";
    assert_eq!(Reader::between(Marks::of(swallowed, false), 0, true).values(), Err(Broken::OpenString), "a quote was forgotten");
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        ".{0,12}".prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        Just(json!(null))
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::vec((".{0,6}", inner), 0..5).prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_valid_is_read_alike_and_nothing_is_mended(value in value(), is_pretty: bool) {
        let value = json!([value]);
        let written = if is_pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.expect("JSON");
        prop_assert_eq!(read(&written, false), Ok((vec![value], vec![])), "{}", written);
    }

    #[test]
    fn what_is_read_without_mending_is_valid(text in "[\\[{][\\[\\]{}\",:1a\\\\ \n-]{0,24}") {
        if let Ok((values, repairs)) = read(&text, false) && repairs.is_empty() && values.len() == 1 {
            prop_assert_eq!(serde_json::from_str(&text).ok(), values.into_iter().next(), "{}", text);
        }
    }
}
