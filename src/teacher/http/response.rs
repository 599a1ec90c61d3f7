//! A completion out of the body of a successful answer, whatever shape its server gives it.

use model::{Completion, Digest, FinishReason, ToolCall, Usage};
use reqwest::StatusCode;
use serde_json::Value;

use super::error::{self, Trouble};
use super::said::Said;
use crate::Request;

/// The completion in `body`, which answers `request`.
pub(super) fn completion(body: &[u8], request: &Request) -> Result<Completion, Trouble> {
    let value: Value = serde_json::from_slice(body).map_err(|_| Trouble::no_completion(not_json(body)))?;
    let choice = value.get("choices").and_then(|choices| choices.get(0));
    // Gateways report a provider's error under status 200, at the top or within the choice.
    if let Some(error) = [Some(&value), choice].into_iter().flatten().find(|place| place.get("error").is_some_and(|error| !error.is_null()))
    {
        return Err(of_embedded(error));
    }
    if value.get("object").and_then(Value::as_str) == Some("error") {
        return Err(of_embedded(&value));
    }
    let Some(choice) = choice else { return Err(Trouble::no_completion("the answer has no `choices`")) };
    let Some(message) = choice.get("message").filter(|message| message.is_object()) else {
        return Err(Trouble::no_completion("its choice has no `message`"));
    };
    let written = choice.get("finish_reason").and_then(Value::as_str);
    let finish_reason = finish_reason(written).ok_or_else(|| Trouble::no_completion("the server broke it off"))?;
    let mut parts = Parts::default();
    parts.read(message.get("content"));
    let given = ["reasoning_content", "reasoning"].iter().find_map(|key| message.get(*key).and_then(Value::as_str));
    let reasoning =
        given.map(str::to_owned).filter(|text| !text.is_empty()).or_else(|| (!parts.reasoning.is_empty()).then_some(parts.reasoning));
    let refusal = message.get("refusal").and_then(Value::as_str).filter(|text| !text.is_empty() && parts.text.is_empty());
    Ok(Completion {
        text: refusal.map_or(parts.text, str::to_owned),
        reasoning,
        calls: calls(message, request),
        finish_reason: if refusal.is_some() { FinishReason::ContentFilter } else { finish_reason },
        usage: usage(&value),
        model: value.get("model").and_then(Value::as_str).map(str::to_owned),
    })
}

fn not_json(body: &[u8]) -> &'static str {
    match body.trim_ascii_start().first() {
        None => "the answer is empty",
        Some(b'{') => "the JSON of the answer is torn",
        Some(b'd' | b':') => "the server streams although it was asked not to; check `extra` and the gateway",
        Some(_) => "the answer is not JSON; check that the endpoint ends in /v1 and that no proxy answers in its place",
    }
}

/// An error that stands in an answer of status 200; its code is taken for the status where it is one.
fn of_embedded(value: &Value) -> Trouble {
    let code = value.get("error").unwrap_or(value).get("code").and_then(Value::as_u64);
    let status = code.and_then(|code| u16::try_from(code).ok()).and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.filter(|status| status.as_u16() >= 400).unwrap_or(StatusCode::BAD_GATEWAY);
    error::of_status(status, &Said::from_value(value))
}

/// Text and reasoning of a `content`, which is a string, a list of parts, or nothing.
#[derive(Default)]
struct Parts {
    text: String,
    reasoning: String,
}

impl Parts {
    fn read(&mut self, content: Option<&Value>) {
        match content {
            Some(Value::String(text)) => self.text.push_str(text),
            Some(Value::Array(parts)) => parts.iter().for_each(|part| self.part(part)),
            _ => {}
        }
    }

    fn part(&mut self, part: &Value) {
        if let Value::String(text) = part {
            self.text.push_str(text);
        }
        if let Some(text) = part.get("text").and_then(Value::as_str) {
            self.text.push_str(text);
        }
        match part.get("thinking") {
            Some(Value::String(text)) => self.reasoning.push_str(text),
            Some(Value::Array(thoughts)) => {
                for text in thoughts.iter().filter_map(|thought| thought.get("text").and_then(Value::as_str)) {
                    self.reasoning.push_str(text);
                }
            }
            _ => {}
        }
    }
}

/// Native calls. Some servers give no id, or the same one twice; since a tool message must name its call, these get one of ours: nine letters and
/// digits, which is what the strictest servers take, the same for the same place in the same job.
fn calls(message: &Value, request: &Request) -> Vec<ToolCall> {
    let several = message.get("tool_calls").and_then(Value::as_array).into_iter().flatten();
    let single = message.get("function_call").filter(|call| call.is_object());
    let mut calls: Vec<ToolCall> = Vec::new();
    for (index, call) in several.chain(single).enumerate() {
        let function = call.get("function").unwrap_or(call);
        let name = function.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let arguments = match function.get("arguments") {
            Some(Value::String(text)) => text.clone(),
            None | Some(Value::Null) => String::new(),
            Some(value) => value.to_string(),
        };
        let given = call.get("id").and_then(Value::as_str).unwrap_or_default();
        let taken = given.is_empty() || calls.iter().any(|earlier| earlier.id == given);
        let id = if taken { own_id(request, index) } else { given.to_owned() };
        calls.push(ToolCall { id, name, arguments });
    }
    calls
}

fn own_id(request: &Request, index: usize) -> String {
    let key = request.key;
    let place = format!("{}/{}/{}/{index}", key.thread, key.turn, key.call);
    let digest = Digest::of_parts([request.job.as_str().as_bytes(), place.as_bytes()]);
    format!("c{}", digest.as_str().get(..8).unwrap_or_default())
}

/// Why it ended; `None` when the server gave up in the middle, so that there is no completion.
fn finish_reason(written: Option<&str>) -> Option<FinishReason> {
    match written.unwrap_or_default() {
        "stop" | "eos" | "eos_token" | "end_turn" | "stop_sequence" => Some(FinishReason::Stop),
        "length" | "max_tokens" | "model_length" => Some(FinishReason::Length),
        "tool_calls" | "function_call" | "tool_use" => Some(FinishReason::ToolCalls),
        "content_filter" | "safety" | "sensitive" | "SAFETY" | "refusal" => Some(FinishReason::ContentFilter),
        "abort" | "error" | "network_error" | "insufficient_system_resource" => None,
        _ => Some(FinishReason::Other),
    }
}

/// Tokens as the server counted them; 0 where it did not.
fn usage(value: &Value) -> Usage {
    let count = |key: &str| value.get("usage").and_then(|usage| usage.get(key)).and_then(Value::as_u64).unwrap_or(0);
    Usage { prompt_tokens: count("prompt_tokens"), completion_tokens: count("completion_tokens"), calls: 1 }
}
