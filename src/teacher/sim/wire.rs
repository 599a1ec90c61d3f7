//! A chat completion request as clients send it, and refusals as OpenAI words them.
//!
//! Native calls and tool messages become the text dialect on the way to the played teacher, which is thus played to in one dialect whatever the
//! client speaks.

use std::sync::Arc;

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use model::settings::Dialect;
use model::{Action, Completion, Digest, FinishReason, JobId, JournalKey, Message, Role, Sampling, ToolCall, ToolDefinition, Uid, Usage};
use serde_json::{Map, Value, json};

use crate::{Calls, Request, dialect};

/// A request that is not answered.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    kind: &'static str,
    code: Option<&'static str>,
    message: String,
    retry_after_s: Option<u64>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, kind: &'static str, message: &str) -> Self {
        Self { status, kind, code: None, message: message.to_owned(), retry_after_s: None }
    }

    pub(super) fn too_long(message: &str) -> Self {
        Self { code: Some("context_length_exceeded"), ..Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", message) }
    }

    pub(super) fn with_retry_after(self, seconds: u64) -> Self {
        Self { retry_after_s: Some(seconds), ..self }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({"error": {"message": self.message, "type": self.kind, "param": null, "code": self.code}});
        let mut response = (self.status, Json(body)).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

fn wrong(message: String) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "invalid_request_error", &message)
}

/// What a client asked.
pub(super) struct Asked {
    pub(super) request: Request,
    pub(super) model: String,
    /// Identity of the request, for ids of the answer.
    pub(super) id: String,
}

impl Asked {
    /// Tokens of the whole prompt.
    pub(super) fn prompt_tokens(&self, count: fn(&str) -> u32) -> u64 {
        let messages = self.request.messages.iter().map(|message| u64::from(count(&message.text)));
        let tools = self.request.tools.iter().map(|tool| u64::from(count(&tool.description) + count(&tool.parameters.to_string())));
        messages.chain(tools).sum()
    }
}

/// Reads a request body.
pub(super) fn read(body: &[u8], digest: &Digest) -> Result<Asked, Refusal> {
    let body: Value = serde_json::from_slice(body).map_err(|error| wrong(format!("the body is not JSON: {error}")))?;
    let Some(model) = body.get("model").and_then(Value::as_str) else { return Err(wrong("`model` must be a string".to_owned())) };
    if body.get("stream").and_then(Value::as_bool) == Some(true) {
        return Err(wrong("`stream` is not supported here".to_owned()));
    }
    let Some(written) = body.get("messages").and_then(Value::as_array).filter(|list| !list.is_empty()) else {
        return Err(wrong("`messages` must be a list with at least one message".to_owned()));
    };
    let mut messages = Vec::with_capacity(written.len());
    for (index, each) in written.iter().enumerate() {
        read_message(each, &mut messages).map_err(|problem| wrong(format!("messages[{index}]: {problem}")))?;
    }
    let tools = match body.get("tools") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(tools)) => tools.iter().map(read_tool).collect::<Result<_, _>>().map_err(wrong)?,
        Some(_) => return Err(wrong("`tools` must be a list".to_owned())),
    };
    let request = Request {
        job: JobId::of(&Uid("sim".to_owned()), digest.as_str(), 0),
        key: JournalKey { thread: 0, turn: 0, call: 0 },
        messages: Arc::new(messages),
        tools: Arc::new(tools),
        calls: read_choice(body.get("tool_choice")).map_err(wrong)?,
        sampling: read_sampling(&body).map_err(wrong)?,
    };
    Ok(Asked { request, model: model.to_owned(), id: digest.short().to_owned() })
}

fn read_message(written: &Value, messages: &mut Vec<Message>) -> Result<(), String> {
    let text = read_content(written.get("content"))?;
    match written.get("role").and_then(Value::as_str) {
        Some("system" | "developer") => messages.push(Message::text(Role::System, text)),
        Some("user") => push_user(&text, messages),
        Some("assistant") => {
            let calls =
                written.get("tool_calls").and_then(Value::as_array).into_iter().flatten().map(read_call).collect::<Result<_, _>>()?;
            let completion =
                Completion { text, reasoning: None, calls, finish_reason: FinishReason::Stop, usage: Usage::default(), model: None };
            messages.push(dialect::assistant_message(Dialect::Hermes, &completion));
        }
        Some("tool") => {
            if written.get("tool_call_id").and_then(Value::as_str).is_none() {
                return Err("a tool message needs `tool_call_id`".to_owned());
            }
            let answered = Action {
                id: String::new(),
                tool: String::new(),
                arguments: Map::new(),
                written: None,
                dialect: String::new(),
                repairs: Vec::new(),
                unreadable: None,
            };
            messages.push(dialect::observation_message(Dialect::Hermes, &text, &answered));
        }
        Some(other) => return Err(format!("unknown role `{other}`")),
        None => return Err("`role` must be a string".to_owned()),
    }
    Ok(())
}

/// A user's message. Clients send neighbouring ones as one; tool responses and the words behind them are taken apart again.
fn push_user(text: &str, messages: &mut Vec<Message>) {
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

fn read_choice(written: Option<&Value>) -> Result<Calls, String> {
    match written {
        None | Some(Value::Null) => Ok(Calls::Offered),
        Some(Value::String(choice)) if choice == "auto" => Ok(Calls::Offered),
        Some(Value::String(choice)) if choice == "none" => Ok(Calls::Forbidden),
        Some(_) => Err("`tool_choice` may be \"auto\" or \"none\" here".to_owned()),
    }
}

fn read_sampling(body: &Value) -> Result<Sampling, String> {
    let number = |key: &str, default: f64, max: f64| match body.get(key) {
        None | Some(Value::Null) => Ok(default),
        Some(value) => {
            value.as_f64().filter(|number| (0.0..=max).contains(number)).ok_or_else(|| format!("`{key}` must be a number from 0 to {max}"))
        }
    };
    let limit = ["max_completion_tokens", "max_tokens"].iter().find_map(|key| body.get(*key)).filter(|value| !value.is_null());
    let max_completion_tokens = match limit {
        None => 4096,
        Some(value) => {
            let tokens = value.as_u64().and_then(|tokens| u32::try_from(tokens).ok()).filter(|tokens| *tokens > 0);
            tokens.ok_or("`max_tokens` must be a whole number above 0")?
        }
    };
    let seed = body.get("seed").and_then(Value::as_i64).unwrap_or(0).unsigned_abs();
    Ok(Sampling { temperature: number("temperature", 1.0, 2.0)?, top_p: number("top_p", 1.0, 1.0)?, max_completion_tokens, seed })
}
