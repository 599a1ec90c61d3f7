//! `<tool_call>` with JSON between the tags: reading the part between them, and writing.

use std::io;

use model::{ToolCall, ToolDefinition};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::arguments::{self, Call};
use super::json::{self, Broken};
use super::tags;

/// The part of a system prompt that describes tools.
const INSTRUCTIONS: &str = include_str!("../prompts/tools_hermes.txt");

/// Why the text between tags is no call.
#[derive(Debug)]
pub(super) enum Unread {
    /// It ends within a string: perhaps the tag that ended it belongs to that string.
    OpenString,
    /// It is something else, for this reason.
    Because(String),
}

/// The calls in `body` as JSON demands it.
pub(super) fn read_strict(body: &str) -> Result<Vec<Call>, Unread> {
    interpret(json::strict(body).map_err(unread)?)
}

/// The calls in `body`, with mistakes mended. `may_close` says whether brackets left open at the end may be closed.
pub(super) fn read_lenient(body: &str, may_close: bool) -> Result<Vec<Call>, Unread> {
    let mended = json::lenient(body, may_close).map_err(unread)?;
    let mut calls = interpret(mended.values)?;
    for call in &mut calls {
        call.repairs.splice(..0, mended.repairs.iter().map(|repair| (*repair).to_owned()));
    }
    Ok(calls)
}

fn unread(broken: Broken) -> Unread {
    match broken {
        Broken::OpenString => Unread::OpenString,
        other => Unread::Because(other.reason().to_owned()),
    }
}

fn interpret(values: Vec<Value>) -> Result<Vec<Call>, Unread> {
    let mut calls = Vec::new();
    for value in values {
        calls.extend(arguments::calls(value).map_err(Unread::Because)?);
    }
    Ok(calls)
}

/// A call between tags, its JSON spaced as chat templates space it.
pub(super) fn write(name: &str, arguments: &Map<String, Value>) -> String {
    enclose(&json!({"name": name, "arguments": arguments}))
}

/// A native call between tags, its arguments as they were given where they are no object.
pub(super) fn write_as_given(call: &ToolCall) -> String {
    let arguments = match serde_json::from_str(&call.arguments) {
        Ok(Value::Object(object)) => Value::Object(object),
        _ => Value::String(call.arguments.clone()),
    };
    enclose(&json!({"name": call.name, "arguments": arguments}))
}

fn enclose(call: &Value) -> String {
    let mut json = spaced(call);
    // In JSON a `<` stands within a string only; escaped, it cannot be mistaken for a tag.
    if !tags::find(&json).is_empty() {
        json = json.replace('<', "\\u003c");
    }
    format!("<tool_call>\n{json}\n</tool_call>")
}

/// The description of `tools` and of the form of a call.
pub(super) fn instructions(tools: &[ToolDefinition]) -> String {
    let lines: Vec<String> = tools.iter().map(|tool| spaced(&json!({"type": "function", "function": tool}))).collect();
    INSTRUCTIONS.replacen("{tools}", &lines.join("\n"), 1)
}

/// JSON on one line with a space after `:` and `,`.
fn spaced(value: &Value) -> String {
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, Spaced);
    if let Err(error) = value.serialize(&mut serializer) {
        unreachable!("a JSON value is always written to memory: {error}");
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

struct Spaced;

impl serde_json::ser::Formatter for Spaced {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}
