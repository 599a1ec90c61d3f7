//! A completion out of the body of a successful answer, whatever shape its server gives it.

use model::{Completion, Digest, FinishReason, ToolCall, Usage};
use reqwest::StatusCode;
use serde_json::Value;

use super::error::{self, Trouble};
use super::said::Said;
use super::template::Template;
use crate::Request;

/// The completion in `body`, which answers `request`. Where one of `stops` ended its text and the server left that out, it is put back.
pub(super) fn completion(body: &[u8], request: &Request, stops: &[String]) -> Result<Completion, Trouble> {
    let value = answered(body)?;
    let choice = choice(&value)?;
    let Some(message) = choice.get("message").filter(|message| message.is_object()) else {
        return Err(Trouble::no_completion("its choice has no `message`"));
    };
    let finish_reason = finish_reason(choice)?;
    let mut parts = Parts::default();
    parts.read(message.get("content"));
    let given = ["reasoning_content", "reasoning"].iter().find_map(|key| message.get(*key).and_then(Value::as_str));
    let reasoning =
        given.map(str::to_owned).filter(|text| !text.is_empty()).or_else(|| (!parts.reasoning.is_empty()).then_some(parts.reasoning));
    let refusal = message.get("refusal").and_then(Value::as_str).filter(|text| !text.is_empty() && parts.text.is_empty());
    put_back(&mut parts.text, choice, stops);
    Ok(Completion {
        text: refusal.map_or(parts.text, str::to_owned),
        reasoning,
        calls: calls(message, request),
        finish_reason: if refusal.is_some() { FinishReason::ContentFilter } else { finish_reason },
        usage: usage(&value),
        model: model(&value),
    })
}

/// The raw completion in `body`: all that the model wrote, reasoning and calls among it, without the token that ended its turn, which
/// `template` writes again.
pub(super) fn raw_completion(body: &[u8], template: &Template, stops: &[String]) -> Result<Completion, Trouble> {
    let value = answered(body)?;
    let choice = choice(&value)?;
    let Some(written) = choice.get("text").and_then(Value::as_str) else {
        return Err(Trouble::no_completion("its choice has no `text`; check that the server has `completions` beside `chat/completions`"));
    };
    let finish_reason = finish_reason(choice)?;
    let mut text = template.without_end(written).to_owned();
    put_back(&mut text, choice, stops);
    Ok(Completion { text, reasoning: None, calls: Vec::new(), finish_reason, usage: usage(&value), model: model(&value) })
}

/// The answer, which is no error.
fn answered(body: &[u8]) -> Result<Value, Trouble> {
    let value: Value = serde_json::from_slice(body).map_err(|_| Trouble::no_completion(not_json(body)))?;
    // Gateways report a provider's error under status 200, at the top or within the choice.
    let choice = value.get("choices").and_then(|choices| choices.get(0));
    let has_error = |place: &&Value| place.get("error").is_some_and(|error| !error.is_null());
    if let Some(error) = [Some(&value), choice].into_iter().flatten().find(has_error) {
        return Err(of_embedded(error));
    }
    if value.get("object").and_then(Value::as_str) == Some("error") {
        return Err(of_embedded(&value));
    }
    Ok(value)
}

fn choice(value: &Value) -> Result<&Value, Trouble> {
    let choice = value.get("choices").and_then(|choices| choices.get(0));
    choice.ok_or_else(|| Trouble::no_completion("the answer has no `choices`"))
}

/// Adds what ended `text` where the server names it and left it out: vLLM as `stop_reason`, SGLang as `matched_stop`. Other servers write other
/// things there, and both write the numbers of tokens, so that only what was asked for counts.
fn put_back(text: &mut String, choice: &Value, stops: &[String]) {
    let named = ["stop_reason", "matched_stop"].iter().find_map(|key| choice.get(*key).and_then(Value::as_str));
    if let Some(stop) = named.filter(|named| stops.iter().any(|stop| stop == named) && !text.ends_with(named)) {
        text.push_str(stop);
    }
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

/// Why the completion of `choice` ended.
fn finish_reason(choice: &Value) -> Result<FinishReason, Trouble> {
    let written = choice.get("finish_reason").and_then(Value::as_str).unwrap_or_default();
    known_finish_reason(written).ok_or_else(|| Trouble::no_completion("the server broke it off"))
}

/// Why it ended; `None` when the server gave up in the middle, so that there is no completion.
fn known_finish_reason(written: &str) -> Option<FinishReason> {
    match written {
        "stop" | "eos" | "eos_token" | "end_turn" | "stop_sequence" => Some(FinishReason::Stop),
        "length" | "max_tokens" | "model_length" => Some(FinishReason::Length),
        "tool_calls" | "function_call" | "tool_use" => Some(FinishReason::ToolCalls),
        "content_filter" | "safety" | "sensitive" | "SAFETY" | "refusal" => Some(FinishReason::ContentFilter),
        "abort" | "error" | "network_error" | "insufficient_system_resource" => None,
        _ => Some(FinishReason::Other),
    }
}

fn model(value: &Value) -> Option<String> {
    value.get("model").and_then(Value::as_str).map(str::to_owned)
}

/// Tokens as the server counted them; 0 where it did not.
fn usage(value: &Value) -> Usage {
    let count = |key: &str| value.get("usage").and_then(|usage| usage.get(key)).and_then(Value::as_u64).unwrap_or(0);
    Usage { prompt_tokens: count("prompt_tokens"), completion_tokens: count("completion_tokens"), calls: 1, ..Usage::default() }
}
