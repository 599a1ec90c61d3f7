//! A call's name and arguments out of JSON, in the several shapes in which models write them.

use serde_json::{Map, Value};

use super::json::{self, Reader};
use super::white::{trim, trim_start};

/// A call as understood.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Call {
    pub(super) name: String,
    pub(super) arguments: Map<String, Value>,
    pub(super) repairs: Vec<String>,
}

/// Most repairs that are kept of one call: more of them say no more.
const REPAIRS_MAX: usize = 12;

impl Call {
    /// Notes a repair, once.
    pub(super) fn note(&mut self, repair: impl Into<String>) {
        let repair = repair.into();
        if self.repairs.len() < REPAIRS_MAX && !self.repairs.contains(&repair) {
            self.repairs.push(repair);
        }
    }
}

/// Keys under which arguments are found.
const ARGUMENT_KEYS: [&str; 4] = ["arguments", "parameters", "args", "input"];

/// The calls in `value`: an object, or a list of objects. `right_key` is where the form that is read has the arguments.
pub(super) fn calls(value: Value, right_key: &str) -> Result<Vec<Call>, String> {
    match value {
        Value::Array(list) if !list.is_empty() => list.into_iter().map(|value| call(value, right_key)).collect(),
        value => Ok(vec![call(value, right_key)?]),
    }
}

fn call(value: Value, right_key: &str) -> Result<Call, String> {
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
    let given = [right_key].into_iter().chain(ARGUMENT_KEYS).find(|key| object.contains_key(*key));
    let (arguments, more) = match given {
        Some(key) => {
            if key != right_key {
                repairs.push(format!("read `{key}` as `{right_key}`"));
            }
            from_value(object.shift_remove(key).unwrap_or_default(), true)?
        }
        None if object.is_empty() => (Map::new(), Vec::new()),
        None => {
            repairs.push("took the arguments from beside the name".to_owned());
            (fit(object)?, Vec::new())
        }
    };
    repairs.extend(more);
    Ok(Call { name, arguments, repairs })
}

/// The arguments, if they are within bounds.
pub(super) fn fit(arguments: Map<String, Value>) -> Result<Map<String, Value>, String> {
    match json::measure(&arguments) {
        Ok(()) => Ok(arguments),
        Err(broken) => Err(format!("its arguments cannot be read: {}", broken.reason())),
    }
}

/// Arguments given as a JSON value: an object, its text, or nothing.
pub(super) fn from_value(value: Value, may_close: bool) -> Result<(Map<String, Value>, Vec<String>), String> {
    match value {
        Value::Object(object) => Ok((fit(object)?, Vec::new())),
        Value::Null => Ok((Map::new(), Vec::new())),
        Value::String(text) => {
            let (object, mut repairs) = from_text(&text, may_close)?;
            if !trim(&text).is_empty() {
                repairs.push("read arguments written as a string".to_owned());
            }
            Ok((object, repairs))
        }
        _ => Err("its arguments are not a JSON object".to_owned()),
    }
}

/// Arguments given as text, as a native call has them. `may_close` says whether brackets left open at the end may be closed.
pub(super) fn from_text(text: &str, may_close: bool) -> Result<(Map<String, Value>, Vec<String>), String> {
    let text = trim(text);
    if text.is_empty() || matches!(text, "null" | "None") {
        return Ok((Map::new(), Vec::new()));
    }
    if text.starts_with('"') {
        return encoded_twice(text, may_close);
    }
    let mut reader = Reader::of(text, may_close);
    let mut values = reader.all_values().map_err(|broken| format!("its arguments cannot be read: {}", broken.reason()))?;
    match (values.pop(), values.is_empty()) {
        (Some(Value::Object(object)), true) => Ok((fit(object)?, reader.repairs())),
        (_, true) => Err("its arguments are not a JSON object".to_owned()),
        (_, false) => Err("its arguments are several JSON values; make one call for each".to_owned()),
    }
}

/// Arguments that are JSON within a JSON string. Only one layer is taken off.
fn encoded_twice(text: &str, may_close: bool) -> Result<(Map<String, Value>, Vec<String>), String> {
    let mut reader = Reader::of(text, may_close);
    let value = reader.one().map_err(|broken| format!("its arguments cannot be read: {}", broken.reason()))?;
    reader.skip_space();
    match value {
        Value::String(inner) if reader.is_at_end() && trim_start(&inner).starts_with('{') => from_value(Value::String(inner), may_close),
        _ => Err("its arguments are not a JSON object".to_owned()),
    }
}
