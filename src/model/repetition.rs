//! When an action repeats an earlier one: the same call that had the same result.
//!
//! Calls are relative (`open` link 0, `open` to scroll), so the call alone does not tell; and every page has a cursor of its own, so the text
//! alone does not either. Arguments are compared in a canonical form, because models write the same call in many ways: keys in any order,
//! numbers as text, absent or null, stray white space. The recipe and the filter use this one notion.

use serde_json::{Map, Value};

use crate::{Action, Digest, Observation};

/// What two repetitions have in common: equal for the same call with the same result, whatever the cursors.
pub fn sameness(action: &Action, observation: &Observation) -> Digest {
    // The cursor only says from where; what was reached from there is in the observation.
    let mut arguments = action.arguments.clone();
    arguments.remove("cursor");
    let arguments = canonical(&arguments);
    let shown = observation.urls_shown.join("\n");
    let opened = observation.url_opened.as_deref().unwrap_or_default();
    let is_page_of_its_own = observation.url_opened.is_none() && !observation.urls_shown.is_empty();
    // Results are told apart by what they list; documents and refusals by their text below the line with the cursor.
    let text = if is_page_of_its_own { "" } else { observation.text.split_once('\n').map_or(observation.text.as_str(), |(_, rest)| rest) };
    Digest::of_parts([action.tool.as_bytes(), arguments.as_bytes(), shown.as_bytes(), opened.as_bytes(), text.as_bytes()])
}

/// What two calls of the same tool with the same arguments have in common, whatever came of them.
pub fn same_call(action: &Action) -> Digest {
    Digest::of_parts([action.tool.as_bytes(), canonical(&action.arguments).as_bytes()])
}

/// The arguments with sorted keys, without nulls, numbers written one way, white space collapsed.
fn canonical(arguments: &Map<String, Value>) -> String {
    let mut text = String::new();
    write_map(arguments, &mut text);
    text
}

fn write_map(map: &Map<String, Value>, text: &mut String) {
    let mut entries: Vec<_> = map.iter().filter(|(_, value)| !value.is_null()).collect();
    entries.sort_by_key(|(key, _)| key.as_str());
    text.push('{');
    for (key, value) in entries {
        // Debug writes a quoted, escaped string: no key or value can imitate the punctuation around it.
        text.push_str(&format!("{key:?}:"));
        write_value(value, text);
        text.push(',');
    }
    text.push('}');
}

fn write_value(value: &Value, text: &mut String) {
    match value {
        Value::Object(map) => write_map(map, text),
        Value::Array(values) => {
            text.push('[');
            for value in values {
                write_value(value, text);
                text.push(',');
            }
            text.push(']');
        }
        Value::String(string) => {
            let words = string.split_whitespace().collect::<Vec<_>>().join(" ");
            // `"7"` is the number 7, but `007` is a query of its own.
            let is_number = words.parse::<i64>().is_ok_and(|number| number.to_string() == words);
            text.push_str(&if is_number { words } else { format!("{words:?}") });
        }
        // 5 and 5.0 are one number.
        Value::Number(number) => text.push_str(number.to_string().trim_end_matches(".0")),
        Value::Bool(_) | Value::Null => text.push_str(&value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn open(id: u32, cursor: u32, text: &str) -> Digest {
        let action = json!({"tool": "open", "arguments": {"id": id}, "dialect": "hermes"});
        let action: Action = serde_json::from_value(action).expect("an action");
        let url = Some("https://e.org/a".to_owned());
        sameness(&action, &Observation { text: format!("[{cursor}] T\n{text}"), url_opened: url, ..Observation::default() })
    }

    #[test]
    fn the_same_page_under_another_cursor_is_a_repetition_and_its_next_window_is_none() {
        assert_eq!(open(0, 1, "L0: a"), open(0, 7, "L0: a"));
        assert_ne!(open(0, 1, "L0: a"), open(0, 2, "L40: b"));
        assert_ne!(open(0, 1, "L0: a"), open(1, 2, "L0: a"));
    }

    #[test]
    fn the_same_call_written_differently_is_the_same_call() {
        let of = |value: Value| canonical(value.as_object().expect("an object"));
        let plain = of(json!({"query": "tidal mills", "topn": 5}));
        for other in [json!({"topn": "5", "query": " tidal  mills\n"}), json!({"query": "tidal mills", "topn": 5.0, "source": null})] {
            assert_eq!(of(other), plain);
        }
        assert_ne!(of(json!({"query": "tidal mill", "topn": 5})), plain);
        assert_ne!(of(json!({"a": "x\":1,\"b"})), of(json!({"a": "x", "b": 1})));
    }
}
