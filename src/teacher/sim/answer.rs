//! The played teacher's completion in the shape of a chat completion: calls natively where the client offered tools, else in the text.

use model::settings::Dialect;
use model::{Action, Completion, FinishReason};
use serde_json::{Value, json};

use super::wire::Asked;
use crate::{Calls, dialect};

/// The body of the answer.
pub(super) fn write(asked: &Asked, completion: &Completion, prompt_tokens: u64, count_tokens: fn(&str) -> u32) -> Value {
    let reading = dialect::read(Dialect::Hermes, completion);
    let may_call = !asked.request.tools.is_empty() && asked.request.calls == Calls::Offered;
    let is_native = may_call && !reading.actions.is_empty();
    let mut message = if is_native {
        let calls: Vec<Value> = reading.actions.iter().enumerate().map(|(index, action)| call(asked, index, action)).collect();
        let content = if reading.text.is_empty() { Value::Null } else { json!(reading.text) };
        json!({"role": "assistant", "content": content, "tool_calls": calls})
    } else {
        json!({"role": "assistant", "content": completion.text})
    };
    let reasoning = if is_native { &reading.reasoning } else { &completion.reasoning };
    if let Some(reasoning) = reasoning {
        message["reasoning_content"] = json!(reasoning);
    }
    let completion_tokens = match completion.usage.completion_tokens {
        0 => u64::from(count_tokens(&completion.text)) + completion.reasoning.as_deref().map_or(0, |text| u64::from(count_tokens(text))),
        counted => counted,
    };
    json!({
        "id": format!("chatcmpl-{}", asked.id),
        "object": "chat.completion",
        // No clock: the same request gets the same bytes.
        "created": 0,
        "model": asked.model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason(completion, is_native)}],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        },
    })
}

fn call(asked: &Asked, index: usize, action: &Action) -> Value {
    let arguments = Value::from(action.arguments.clone()).to_string();
    let id = format!("call_{}_{index}", asked.id);
    json!({"id": id, "type": "function", "function": {"name": action.tool, "arguments": arguments}})
}

fn finish_reason(completion: &Completion, is_native: bool) -> &'static str {
    match completion.finish_reason {
        FinishReason::Length => "length",
        FinishReason::ContentFilter => "content_filter",
        _ if is_native => "tool_calls",
        _ => "stop",
    }
}
