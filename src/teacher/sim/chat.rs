//! Messages and tools of a chat completion.
//!
//! Native calls, calls in any dialect and tool messages become the played teacher's own dialect on the way to it, which is thus played to in
//! one dialect whatever the client speaks.

use model::settings::{Dialect, Mode};
use model::{Action, Completion, FinishReason, Message, Role, ToolCall, ToolDefinition, Usage};
use serde_json::{Map, Value, json};

use crate::{Calls, dialect};

/// Reads a message, and adds it to those so far.
pub(super) fn read_message(written: &Value, dialect: Option<Dialect>, messages: &mut Vec<Message>) -> Result<(), String> {
    let text = read_content(written.get("content"))?;
    match written.get("role").and_then(Value::as_str) {
        Some("system" | "developer") => messages.push(Message::text(Role::System, text)),
        Some("user") => push_user(&text, messages),
        Some("assistant") => {
            let calls = written.get("tool_calls").and_then(Value::as_array).into_iter().flatten();
            messages.push(assistant(dialect, text, calls.map(read_call).collect::<Result<_, _>>()?));
        }
        Some("tool") => {
            if written.get("tool_call_id").and_then(Value::as_str).is_none() {
                return Err("a tool message needs `tool_call_id`".to_owned());
            }
            messages.push(observation(&text));
        }
        Some(other) => return Err(format!("unknown role `{other}`")),
        None => return Err("`role` must be a string".to_owned()),
    }
    Ok(())
}

/// An assistant's message, its calls in the played teacher's dialect. Calls of `dialect` in the text are read and written anew.
pub(super) fn assistant(dialect: Option<Dialect>, text: String, calls: Vec<ToolCall>) -> Message {
    let completion = Completion { text, reasoning: None, calls, finish_reason: FinishReason::Stop, usage: Usage::default(), model: None };
    let foreign = dialect.filter(|dialect| !matches!(dialect, Dialect::Openai | Dialect::Hermes));
    let Some(foreign) = foreign else { return dialect::assistant_message(Dialect::Hermes, Mode::Chat, &completion) };
    let reading = dialect::read(foreign, &completion);
    if !reading.problems.is_empty() {
        return Message::text(Role::Assistant, completion.text);
    }
    let mut parts: Vec<String> = reading.reasoning.iter().map(|reasoning| format!("<think>{reasoning}</think>")).collect();
    parts.extend((!reading.text.is_empty()).then_some(reading.text));
    parts.extend(reading.actions.iter().map(|action| dialect::write(Dialect::Hermes, &action.tool, &action.arguments)));
    Message::text(Role::Assistant, parts.join("\n"))
}

/// What a tool returned.
pub(super) fn observation(text: &str) -> Message {
    let answered = Action {
        id: String::new(),
        tool: String::new(),
        arguments: Map::new(),
        written: None,
        dialect: String::new(),
        repairs: Vec::new(),
        unreadable: None,
    };
    dialect::observation_message(Dialect::Hermes, Mode::Chat, text, &answered)
}

/// A user's message. Clients send neighbouring ones as one; tool responses and the words behind them are taken apart again.
pub(super) fn push_user(text: &str, messages: &mut Vec<Message>) {
    const CLOSE: &str = "</tool_response>";
    match text.rsplit_once(CLOSE) {
        Some((responses, words)) if !words.trim().is_empty() => {
            messages.push(Message::text(Role::User, format!("{responses}{CLOSE}")));
            messages.push(Message::text(Role::User, words.trim()));
        }
        _ => messages.push(Message::text(Role::User, text)),
    }
}

fn read_content(content: Option<&Value>) -> Result<String, String> {
    match content {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Array(parts)) => {
            let mut whole = String::new();
            for part in parts {
                let Some(text) = part.get("text").and_then(Value::as_str) else { return Err("`content` may hold only text".to_owned()) };
                whole.push_str(text);
            }
            Ok(whole)
        }
        Some(_) => Err("`content` must be a string or a list of parts".to_owned()),
    }
}

fn read_call(written: &Value) -> Result<ToolCall, String> {
    let text = |place: Option<&Value>, key: &str| place.and_then(|place| place.get(key)).and_then(Value::as_str).map(str::to_owned);
    let function = written.get("function");
    Ok(ToolCall {
        id: text(Some(written), "id").ok_or("each of `tool_calls` needs an `id`")?,
        name: text(function, "name").ok_or("each of `tool_calls` needs `function.name`")?,
        arguments: text(function, "arguments").ok_or("each of `tool_calls` needs `function.arguments`, a string")?,
    })
}

/// The tools that are offered.
pub(super) fn read_tools(written: Option<&Value>) -> Result<Vec<ToolDefinition>, String> {
    match written {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(tools)) => tools.iter().map(read_tool).collect(),
        Some(_) => Err("`tools` must be a list".to_owned()),
    }
}

fn read_tool(written: &Value) -> Result<ToolDefinition, String> {
    let function = written.get("function").filter(|_| written.get("type").and_then(Value::as_str) == Some("function"));
    let Some(function) = function else { return Err("each of `tools` must be a function".to_owned()) };
    let Some(name) = function.get("name").and_then(Value::as_str) else { return Err("each of `tools` needs `function.name`".to_owned()) };
    Ok(ToolDefinition {
        name: name.to_owned(),
        description: function.get("description").and_then(Value::as_str).unwrap_or_default().to_owned(),
        parameters: function.get("parameters").cloned().unwrap_or_else(|| json!({"type": "object", "properties": {}})),
    })
}

/// Whether calls may be made.
pub(super) fn read_choice(written: Option<&Value>) -> Result<Calls, String> {
    match written {
        None | Some(Value::Null) => Ok(Calls::Offered),
        Some(Value::String(choice)) if choice == "auto" => Ok(Calls::Offered),
        Some(Value::String(choice)) if choice == "none" => Ok(Calls::Forbidden),
        Some(_) => Err("`tool_choice` may be \"auto\" or \"none\" here".to_owned()),
    }
}
