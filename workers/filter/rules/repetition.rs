//! Share of tool calls that repeat an earlier one: the same tool, the same arguments, and led to the same documents.
//!
//! The last condition matters because arguments may be relative: `open` of link 2 means another page after every search, and the same
//! pattern may be looked for in several pages. Arguments are compared in a canonical form, because models write the same call in many
//! ways: keys in any order, numbers as text, absent or null, stray white space.

use std::collections::HashSet;

use model::settings::RepetitionRule;
use model::{Finding, Trajectory};
use serde_json::{Map, Value};

use super::{actions, hard};

const NAME: &str = "repetition";

pub(super) fn check(rule: &RepetitionRule, trajectory: &Trajectory) -> Vec<Finding> {
    let (repeated, calls) = count(trajectory);
    let share = super::share(repeated, calls);
    if share <= rule.share_max {
        return Vec::new();
    }
    vec![hard(NAME, format!("{repeated} of {calls} tool calls repeat an earlier one: a share of {share:.3}, above {}", rule.share_max))]
}

/// Calls that repeat an earlier one, and all calls.
pub(crate) fn count(trajectory: &Trajectory) -> (u64, u64) {
    let mut seen = HashSet::new();
    let mut repeated = 0;
    let mut calls = 0;
    for (action, observation) in actions(trajectory) {
        calls += 1;
        let opened = observation.and_then(|observation| observation.url_opened.as_deref());
        let shown = observation.map(|observation| observation.urls_shown.as_slice()).unwrap_or_default();
        let is_new = seen.insert((action.tool.as_str(), canonical(&action.arguments), opened, shown));
        repeated += u64::from(!is_new);
    }
    (repeated, calls)
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
    use serde_json::json;

    use super::*;
    use crate::sample;

    fn of(value: Value) -> String {
        canonical(value.as_object().expect("an object"))
    }

    #[test]
    fn the_same_call_written_differently_is_the_same_call() {
        let plain = of(json!({"query": "tidal mills", "topn": 5}));
        for other in [json!({"topn": "5", "query": " tidal  mills\n"}), json!({"query": "tidal mills", "topn": 5.0, "source": null})] {
            assert_eq!(of(other), plain);
        }
        assert_ne!(of(json!({"query": "tidal mill", "topn": 5})), plain);
        assert_ne!(of(json!({"a": "x\":1,\"b"})), of(json!({"a": "x", "b": 1})));
    }

    #[test]
    fn repeated_calls_above_the_share_are_rejected() {
        let mut trajectory = sample::trajectory();
        let again = trajectory.threads[0].turns[0].clone();
        trajectory.threads[0].turns.extend([again.clone(), again]);
        assert_eq!(count(&trajectory), (2, 5));
        let at_most = |share_max| check(&RepetitionRule { share_max, ..RepetitionRule::default() }, &trajectory);
        assert_eq!(at_most(0.4), []);
        assert!(at_most(0.3)[0].message.contains("2 of 5 tool calls repeat an earlier one: a share of 0.400"));
    }

    #[test]
    fn the_same_link_number_on_another_page_is_no_repetition() {
        let mut trajectory = sample::trajectory();
        let mut again = trajectory.threads[0].turns[1].clone();
        again.observations[0].url_opened = Some("https://example.org/another".into());
        trajectory.threads[0].turns.push(again);
        assert_eq!(count(&trajectory), (0, 4));
    }
}
