//! A completion as server-sent events, in the order in which OpenAI sends them: role, reasoning, text, calls, finish, usage, `[DONE]`.

use axum::body::Bytes;
use model::settings::Mode;
use serde_json::{Value, json};

use super::answer;
use super::asked::{Asked, Streaming};
use super::played::Played;

/// Most characters of a piece: about a token, also in scripts that write no spaces.
const PIECE_CHARS_MAX: usize = 12;

/// The events of an answer.
pub(super) struct Events {
    /// What comes with the first token.
    pub(super) opening: Vec<Bytes>,
    /// What is spread over the time of the completion.
    pub(super) deltas: Vec<Bytes>,
    /// What comes with the last token.
    pub(super) closing: Vec<Bytes>,
}

/// Takes an answer apart.
pub(super) fn events(asked: &Asked, streaming: &Streaming, played: &Played, prompt_tokens: u64) -> Events {
    let id = answer::id(asked);
    let chunk = |choices: Value, usage: Value| {
        let object = if asked.mode == Mode::Chat { "chat.completion.chunk" } else { "text_completion" };
        let mut chunk = json!({"id": id, "object": object, "created": 0, "model": asked.model, "choices": choices});
        if streaming.include_usage {
            chunk["usage"] = usage;
        }
        event(&chunk.to_string())
    };
    let choice = |mut said: Value, finish: Option<&str>| {
        said["index"] = json!(0);
        said["logprobs"] = Value::Null;
        said["finish_reason"] = json!(finish);
        if finish.is_some() {
            said["stop_reason"] = json!(played.stop_reason);
        }
        chunk(json!([said]), Value::Null)
    };
    let delta = |delta: Value| choice(json!({ "delta": delta }), None);

    let mut events = Events { opening: Vec::new(), deltas: Vec::new(), closing: Vec::new() };
    match asked.mode {
        Mode::Chat => {
            events.opening.push(delta(json!({"role": "assistant", "content": ""})));
            let reasoning = pieces(played.reasoning.as_deref().unwrap_or_default());
            events.deltas.extend(reasoning.map(|piece| delta(json!({ "reasoning_content": piece }))));
            events.deltas.extend(pieces(&played.text).map(|piece| delta(json!({ "content": piece }))));
            for (index, call) in played.calls.iter().enumerate() {
                let function = json!({"name": call.name, "arguments": ""});
                let opened = json!({"index": index, "id": answer::call_id(asked, index), "type": "function", "function": function});
                events.deltas.push(delta(json!({ "tool_calls": [opened] })));
                let argued = |piece| delta(json!({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}));
                events.deltas.extend(pieces(&call.arguments).map(argued));
            }
            events.closing.push(choice(json!({"delta": {}}), Some(played.finish_reason)));
        }
        Mode::Completion => {
            events.deltas.extend(pieces(&played.text).map(|piece| choice(json!({ "text": piece }), None)));
            events.closing.push(choice(json!({"text": ""}), Some(played.finish_reason)));
        }
    }
    if streaming.include_usage {
        events.closing.push(chunk(json!([]), answer::usage(played, prompt_tokens)));
    }
    events.closing.push(event("[DONE]"));
    events
}

fn event(written: &str) -> Bytes {
    Bytes::from(format!("data: {written}\n\n"))
}

/// `text` in pieces of about a token: a word with the white space behind it, or a part of a long one.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let mut chars = rest.char_indices().take(PIECE_CHARS_MAX);
        let end = chars.find(|(_, c)| c.is_whitespace()).map(|(at, c)| at + c.len_utf8());
        let end = end.or_else(|| rest.char_indices().nth(PIECE_CHARS_MAX).map(|(at, _)| at)).unwrap_or(rest.len());
        let (piece, behind) = rest.split_at_checked(end)?;
        rest = behind;
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_short_and_make_up_the_text() {
        for text in ["", "one two  three\n\nfour", "Donaudampfschifffahrtsgesellschaft", "上海的大坝在哪里上海的大坝在哪里", "🦀🦀 ü"]
        {
            assert_eq!(pieces(text).collect::<String>(), text);
            assert!(pieces(text).all(|piece| piece.chars().count() <= PIECE_CHARS_MAX));
        }
        assert_eq!(pieces("one two").collect::<Vec<_>>(), ["one ", "two"]);
    }
}
