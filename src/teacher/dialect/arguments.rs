//! A call's name and arguments out of JSON, in the several shapes in which models write them.

use serde_json::{Map, Value};

use super::json;

/// A call as understood.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Call {
    pub(super) name: String,
    pub(super) arguments: Map<String, Value>,
    pub(super) repairs: Vec<String>,
}

/// Keys under which arguments are found; the first is the right one.
const ARGUMENT_KEYS: [&str; 4] = ["arguments", "parameters", "args", "input"];

/// The calls in `value`: an object, or a list of objects.
pub(super) fn calls(value: Value) -> Result<Vec<Call>, String> {
    match value {
        Value::Array(list) if !list.is_empty() => list.into_iter().map(call).collect(),
        value => Ok(vec![call(value)?]),
    }
}

fn call(value: Value) -> Result<Call, String> {
    let Value::Object(mut object) = value else { return Err("it is not a JSON object".to_owned()) };
    let mut repairs = Vec::new();
    if let Some(Value::Object(inner)) = object.get_mut("function") {
        object = std::mem::take(inner);
        repairs.push("unwrapped `function`".to_owned());
    }
    let name = match object.shift_remove("name") {
        Some(Value::String(name)) if !name.trim().is_empty() => name.trim().to_owned(),
        _ => return Err("it has no `name`, which must be the tool's name".to_owned()),
    };
    let given = ARGUMENT_KEYS.into_iter().find(|key| object.contains_key(*key));
    let (arguments, more) = match given {
        Some(key) => {
            if key != ARGUMENT_KEYS[0] {
                repairs.push(format!("read `{key}` as `arguments`"));
            }
            from_value(object.shift_remove(key).unwrap_or_default(), true)?
        }
        None if object.is_empty() => (Map::new(), Vec::new()),
        None => {
            repairs.push("took the arguments from beside the name".to_owned());
            (object, Vec::new())
        }
    };
    repairs.extend(more);
    Ok(Call { name, arguments, repairs })
}

/// Arguments given as a JSON value: an object, its text, or nothing.
fn from_value(value: Value, may_close: bool) -> Result<(Map<String, Value>, Vec<String>), String> {
    match value {
        Value::Object(object) => Ok((object, Vec::new())),
        Value::Null => Ok((Map::new(), Vec::new())),
        Value::String(text) => {
            let (object, mut repairs) = from_text(&text, may_close)?;
            if !text.trim().is_empty() {
                repairs.push("read arguments written as a string".to_owned());
            }
            Ok((object, repairs))
        }
        _ => Err("its arguments are not a JSON object".to_owned()),
    }
}

/// Arguments given as text, as a native call has them. `may_close` says whether brackets left open at the end may be closed.
pub(super) fn from_text(text: &str, may_close: bool) -> Result<(Map<String, Value>, Vec<String>), String> {
    let text = text.trim();
    if text.is_empty() || matches!(text, "null" | "None") {
        return Ok((Map::new(), Vec::new()));
    }
    if let Ok(mut values) = json::strict(text) {
        return match (values.pop(), values.is_empty()) {
            // Encoded twice: only one more layer is taken off.
            (Some(Value::String(inner)), true) if inner.trim_start().starts_with('{') => from_value(Value::String(inner), may_close),
            (Some(Value::Object(object)), true) => Ok((object, Vec::new())),
            (_, true) => Err("its arguments are not a JSON object".to_owned()),
            (_, false) => Err("its arguments are several JSON values; make one call for each".to_owned()),
        };
    }
    let mut mended = json::lenient(text, may_close).map_err(|broken| format!("its arguments cannot be read: {}", broken.reason()))?;
    match (mended.values.pop(), mended.values.is_empty()) {
        (Some(Value::Object(object)), true) => Ok((object, mended.repairs.into_iter().map(str::to_owned).collect())),
        _ => Err("its arguments are not one JSON object".to_owned()),
    }
}
