//! The prompt of a raw completion: the conversation as one text, which only ever grows.
//!
//! It is the head of the conversation by the model's template, then each answer exactly as the server gave it, each followed by what the template
//! puts behind an answer up to the next one. So each prompt begins with the one before it and its completion, to the character, and the server
//! finds all of it in its cache. Answers that stand next to each other go on from each other, and where the last message is an answer the prompt
//! ends within it: the model goes on writing there.
//!
//! Held by `a_prompt_begins_with_the_one_before_it` and `a_prompt_is_what_the_template_makes_of_the_whole`.

use std::sync::Arc;

use model::settings::Dialect;
use model::{Completion, FinishReason, Message, Role, Usage};

use super::request::{escaped, escaped_text};
use super::template::Template;
use crate::conversation::{Kept, Piece};
use crate::{Request, dialect};

/// Adds the prompt of `request` as a JSON string.
///
/// # Errors
/// When the template refuses a part of the conversation.
pub(super) fn write_prompt(body: &mut Vec<u8>, request: &Request, template: &Template, dialect: Dialect) -> Result<(), String> {
    let messages = request.messages.as_slice();
    body.push(b'"');
    // Of the answer that was written last.
    let mut answer = 0..0;
    let mut at = 0;
    loop {
        let run = at..end_of(messages, at, false);
        // An answer that nothing follows is to be gone on with.
        if at == 0 || !run.is_empty() {
            let said = messages.get(run.clone()).unwrap_or_default();
            let before = messages.get(answer.clone()).unwrap_or_default();
            let rendered =
                || if before.is_empty() { template.head(said, &request.tools) } else { suffix(template, dialect, before, said, request) };
            write_piece(body, request, template, run.end, rendered)?;
        }
        answer = run.end..end_of(messages, run.end, true);
        for index in answer.clone() {
            let fresh = Kept::default();
            let kept = request.rendered.kept(&request.messages, index).unwrap_or(&fresh);
            body.extend_from_slice(messages.get(index).map_or("", |message| escaped_text(message, kept)).as_bytes());
        }
        at = answer.end;
        if at >= messages.len() {
            break;
        }
    }
    body.push(b'"');
    Ok(())
}

/// Where the messages from `start` on end that are all answers, or all none.
fn end_of(messages: &[Message], start: usize, are_answers: bool) -> usize {
    let rest = messages.get(start..).unwrap_or_default();
    start + rest.iter().take_while(|message| (message.role == Role::Assistant) == are_answers).count()
}

/// What the template puts behind the answer `before` when `said` follows it.
fn suffix(template: &Template, dialect: Dialect, before: &[Message], said: &[Message], request: &Request) -> Result<String, String> {
    let text: String = before.iter().map(|message| message.text.as_str()).collect();
    let has_results = said.iter().any(|message| message.role == Role::Tool);
    // Some templates name the call in its result.
    let actions = if has_results { dialect::read(dialect, &spoken(text.clone())).actions } else { Vec::new() };
    template.suffix(&text, &actions, said, &request.tools)
}

fn spoken(text: String) -> Completion {
    Completion { text, reasoning: None, calls: Vec::new(), finish_reason: FinishReason::Stop, usage: Usage::default(), model: None }
}

/// Adds the piece that ends with message `end - 1`: the one that is kept, or `rendered` and kept from now on.
fn write_piece(
    body: &mut Vec<u8>,
    request: &Request,
    template: &Template,
    end: usize,
    rendered: impl Fn() -> Result<String, String>,
) -> Result<(), String> {
    let slot = end.checked_sub(1).and_then(|last| request.rendered.kept(&request.messages, last)).map(|kept| &kept.piece);
    let is_same = |piece: &&Piece| {
        piece.template == *template.digest() && (Arc::ptr_eq(&piece.tools, &request.tools) || piece.tools == request.tools)
    };
    if let Some(piece) = slot.and_then(|slot| slot.get()).filter(is_same) {
        body.extend_from_slice(piece.text.as_bytes());
        return Ok(());
    }
    let text = escaped(&rendered()?);
    body.extend_from_slice(text.as_bytes());
    if let Some(slot) = slot {
        // A slot that another teacher of the same conversation filled stays his: it is rendered here each time.
        let _ = slot.set(Piece { template: template.digest().clone(), tools: Arc::clone(&request.tools), text });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
