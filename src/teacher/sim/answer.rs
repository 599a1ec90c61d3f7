//! A completion as the body of an answer, for either interface.

use model::settings::Mode;
use serde_json::{Value, json};

use super::asked::Asked;
use super::played::Played;

/// The body of an answer that is not streamed.
pub(super) fn write(asked: &Asked, played: &Played, prompt_tokens: u64) -> Value {
    let mut choice = match asked.mode {
        Mode::Chat => json!({"index": 0, "message": message(asked, played)}),
        Mode::Completion => json!({"index": 0, "text": played.text}),
    };
    choice["logprobs"] = Value::Null;
    choice["finish_reason"] = json!(played.finish_reason);
    choice["stop_reason"] = json!(played.stop_reason);
    json!({
        "id": id(asked),
        "object": if asked.mode == Mode::Chat { "chat.completion" } else { "text_completion" },
        // No clock: the same request gets the same bytes.
        "created": 0,
        "model": asked.model,
        "choices": [choice],
        "usage": usage(played, prompt_tokens),
    })
}

fn message(asked: &Asked, played: &Played) -> Value {
    let content = if played.text.is_empty() && !played.calls.is_empty() { Value::Null } else { json!(played.text) };
    let mut message = json!({"role": "assistant", "content": content});
    if let Some(reasoning) = &played.reasoning {
        message["reasoning_content"] = json!(reasoning);
    }
    if !played.calls.is_empty() {
        let call = |(index, call): (usize, &super::played::Called)| json!({"id": call_id(asked, index), "type": "function", "function": {"name": call.name, "arguments": call.arguments}});
        message["tool_calls"] = played.calls.iter().enumerate().map(call).collect();
    }
    message
}

/// The id of an answer.
pub(super) fn id(asked: &Asked) -> String {
    format!("{}-{}", if asked.mode == Mode::Chat { "chatcmpl" } else { "cmpl" }, asked.id)
}

/// The id of a native call.
pub(super) fn call_id(asked: &Asked, index: usize) -> String {
    format!("call_{}_{index}", asked.id)
}

/// The usage of an answer.
pub(super) fn usage(played: &Played, prompt_tokens: u64) -> Value {
    json!({
        "prompt_tokens": prompt_tokens,
        "completion_tokens": played.tokens,
        "total_tokens": prompt_tokens + played.tokens,
    })
}
