//! The body of a request, in the form that the most servers take.
//!
//! `extra` adds fields. Of ours it may take some out with `false`, since some models refuse `temperature`, `top_p`, `seed` or `tool_choice`, and
//! rename one: `max_completion_tokens = true` sends the limit under that name instead of `max_tokens`, which older servers need. It never changes
//! a value of ours, because rows record what was sent.

use model::{Message, Role, ToolCall, ToolDefinition};
use serde_json::{Map, Value, json};

use crate::dialect;
use crate::{Calls, Request};

/// Under which name reasoning is sent back to the model. Most servers read `reasoning_content`, some only `reasoning`, a few refuse both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReasoningField {
    ReasoningContent,
    Reasoning,
    None,
}

impl ReasoningField {
    pub(super) fn number(self) -> u32 {
        self as u32
    }

    pub(super) fn from_number(number: u32) -> Self {
        match number {
            0 => Self::ReasoningContent,
            1 => Self::Reasoning,
            _ => Self::None,
        }
    }

    /// What to try when this is refused.
    pub(super) fn next(self) -> Option<Self> {
        match self {
            Self::ReasoningContent => Some(Self::Reasoning),
            Self::Reasoning => Some(Self::None),
            Self::None => None,
        }
    }
}

/// The body that asks `model` for `request`.
pub(super) fn body(request: &Request, model: &str, extra: &Map<String, Value>, field: ReasoningField) -> Value {
    let sampling = &request.sampling;
    let mut body = Map::new();
    body.insert("model".to_owned(), json!(model));
    body.insert("messages".to_owned(), messages(&request.messages, field));
    if !request.tools.is_empty() {
        body.insert("tools".to_owned(), request.tools.iter().map(tool).collect());
        // The tools stay: without them the cached prefix would be lost, and some servers refuse the tool messages so far.
        if request.calls == Calls::Forbidden {
            body.insert("tool_choice".to_owned(), json!("none"));
        }
    }
    body.insert("temperature".to_owned(), json!(sampling.temperature));
    body.insert("top_p".to_owned(), json!(sampling.top_p));
    body.insert("max_tokens".to_owned(), json!(sampling.max_completion_tokens));
    body.insert("seed".to_owned(), json!(sampling.seed));
    body.insert("stream".to_owned(), json!(false));
    // What else of ours `extra` might name was refused with the settings.
    for (key, value) in extra {
        match (key.as_str(), value) {
            ("temperature" | "top_p" | "seed" | "tool_choice", Value::Bool(false)) => drop(body.shift_remove(key)),
            ("max_completion_tokens", Value::Bool(true)) => {
                body.shift_remove("max_tokens");
                body.insert(key.clone(), json!(sampling.max_completion_tokens));
            }
            _ => drop(body.insert(key.clone(), value.clone())),
        }
    }
    Value::Object(body)
}

fn tool(tool: &ToolDefinition) -> Value {
    json!({"type": "function", "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters}})
}

/// Neighbouring user messages go as one: templates that insist on turns refuse two in a row.
fn messages(messages: &[Message], field: ReasoningField) -> Value {
    let mut written: Vec<Value> = Vec::with_capacity(messages.len());
    let mut before = None;
    for each in messages {
        match written.last_mut().and_then(|last| last.get_mut("content")) {
            Some(Value::String(content)) if each.role == Role::User && before == Some(Role::User) => {
                content.push_str("\n\n");
                content.push_str(&each.text);
            }
            _ => written.push(message(each, field)),
        }
        before = Some(each.role);
    }
    Value::Array(written)
}

fn message(message: &Message, field: ReasoningField) -> Value {
    let role = match message.role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    };
    let mut written = Map::new();
    written.insert("role".to_owned(), json!(role));
    // Beside calls an empty text is null: some providers refuse an empty block of text.
    let is_null = message.text.is_empty() && !message.calls.is_empty();
    written.insert("content".to_owned(), if is_null { Value::Null } else { json!(message.text) });
    if let Some(reasoning) = &message.reasoning {
        match field {
            ReasoningField::ReasoningContent => drop(written.insert("reasoning_content".to_owned(), json!(reasoning))),
            ReasoningField::Reasoning => drop(written.insert("reasoning".to_owned(), json!(reasoning))),
            ReasoningField::None => {}
        }
    }
    if !message.calls.is_empty() {
        written.insert("tool_calls".to_owned(), message.calls.iter().map(call).collect());
    }
    if let Some(id) = &message.call_id {
        written.insert("tool_call_id".to_owned(), json!(id));
    }
    Value::Object(written)
}

/// Templates parse the arguments of past calls, and a server fails on those it cannot parse: they go as the object that we understood, or as an
/// empty one. What was wrong with them stands in the tool message.
fn call(call: &ToolCall) -> Value {
    let arguments = dialect::sound_arguments(&call.arguments);
    json!({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}})
}
