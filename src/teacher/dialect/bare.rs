//! A call without any tags: the whole visible text is the JSON of a call. Small models write this when their server offers native calls.

use serde_json::Value;

use super::text::Found;
use super::{arguments, json, text};

/// Moves a call that is the whole text out of it. What looks like nothing but a call and cannot be read becomes a problem, since it is no answer.
pub(super) fn read(found: &mut Found<'_>, cut: bool) {
    let body = found.visible.trim();
    let body = json::without_fence(body.strip_prefix("<|python_tag|>").unwrap_or(body));
    if !begins_like_a_call(body) {
        return;
    }
    let values = match json::strict(body) {
        Ok(values) => Ok((values, Vec::new())),
        Err(_) => json::lenient(body, !cut).map(|mended| (mended.values, mended.repairs)),
    };
    let calls = values.map_err(|broken| broken.reason().to_owned()).and_then(|(values, repairs)| {
        let mut calls = Vec::new();
        for value in values.into_iter().filter(has_call_keys) {
            calls.extend(arguments::calls(value)?);
        }
        Ok((calls, repairs))
    });
    match calls {
        Ok((calls, _)) if calls.is_empty() => return,
        Ok((calls, repairs)) => {
            for mut call in calls {
                call.repairs.push("read a call without tags".to_owned());
                call.repairs.extend(repairs.iter().map(|repair| (*repair).to_owned()));
                found.calls.push(text::action(call, "bare_json"));
            }
        }
        Err(reason) => {
            let written = body.to_owned();
            found.problem(written, reason);
        }
    }
    found.visible.clear();
}

/// `{"name"` at the start and, further on, the key of arguments: an answer that is JSON has other keys.
fn begins_like_a_call(body: &str) -> bool {
    let Some(rest) = body.strip_prefix('{') else { return false };
    let named = rest.trim_start().starts_with("\"name\"");
    named && ["\"arguments\"", "\"parameters\""].iter().any(|key| body.contains(key))
}

fn has_call_keys(value: &Value) -> bool {
    value.get("name").is_some_and(Value::is_string)
        && ["arguments", "parameters"].iter().any(|key| value.get(key).is_some_and(|given| given.is_object() || given.is_string()))
}
