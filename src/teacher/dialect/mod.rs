//! Dialects: how tool calls are written by a model and read by us.
//!
//! Whatever the dialect, every call of a turn is found, native ones and those in the text, in order, and those written in another model's
//! form too; what cannot be read is told to the model instead of being dropped. Special tokens do not stay in the visible text. Reading is
//! linear in the text and never fails. Which tools exist is not known here.

mod arguments;
mod function_tags;
mod harmony;
mod hermes;
mod instructions;
mod intent;
mod json;
mod llama;
mod marked;
mod marks;
mod mistral;
mod native;
mod problem;
mod protocol_arguments;
mod pythonic;
mod seams;
mod spaced;
mod stray;
mod tag_calls;
mod text;
mod typescript;
mod white;

use std::collections::HashMap;

use model::settings::{Dialect, Mode};
use model::{Action, Completion, FinishReason, Message, Role};
use serde_json::{Map, Value};

pub use instructions::instructions;
pub use intent::{announces_a_call, refuses};
pub use tag_calls::read_tags_strictly;

/// What a completion says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading {
    /// The model's reasoning, from the server or out of the text.
    pub reasoning: Option<String>,
    /// The visible text, without calls, reasoning and special tokens. Tags of the research protocol other than calls stay in it.
    pub text: String,
    /// The text as written, where it differs from `text`; without what is made up.
    pub raw: Option<String>,
    /// Where in the completion's text the model went on to make up what a tool returns or somebody else says, in bytes. It is no part of the
    /// conversation: who believes his own inventions once goes on to do so, and nobody shall learn it from him.
    pub forged_from: Option<usize>,
    /// The calls, native ones first, then those in the text, each in order. A native call whose arguments cannot be read is here too, with
    /// `unreadable`, because its id must be answered. `dialect` of each is the name of the form it was found in.
    pub actions: Vec<Action>,
    /// What the model must be told about its text: calls that could not be read, each with what is wrong and the right form. Bounded.
    pub problems: Vec<String>,
}

/// Reads a completion. Calls within reasoning are not calls; a call that stands in the text as well as natively counts once. At most 64
/// calls of a text are read: one with more is no turn but a loop, and is told so.
pub fn read(dialect: Dialect, completion: &Completion) -> Reading {
    let cut = completion.finish_reason == FinishReason::Length;
    let stripped = if dialect == Dialect::Harmony { harmony::read_stripped(&completion.text, cut) } else { None };
    let mut found = stripped.unwrap_or_else(|| text::read(dialect, &completion.text, cut));
    trim(&mut found.visible);
    let mut actions: Vec<Action> = completion.calls.iter().map(|call| native::read(call, cut)).collect();
    match dialect {
        Dialect::LlamaJson => llama::read_lines(&mut found, cut),
        Dialect::LlamaPythonic => pythonic::read_lines(&mut found, cut),
        _ => {}
    }
    // A text that is nothing but a call is read in these two forms whatever the dialect, unless there are others.
    for read_whole in [llama::read_whole, pythonic::read_whole] {
        if actions.is_empty() && found.calls.is_empty() && found.problems.is_empty() {
            read_whole(&mut found, cut);
        }
    }
    if actions.is_empty() && found.calls.is_empty() && found.problems.is_empty() {
        found.problems.extend(found.stray.take());
    }
    append_new(&mut actions, found.calls);

    let reasoning = match completion.reasoning.as_deref().filter(|given| !white::trim(given).is_empty()) {
        Some(given) if found.reasoning.is_empty() => given.to_owned(),
        Some(given) => format!("{given}\n\n{}", found.reasoning),
        None => found.reasoning,
    };
    trim(&mut found.visible);
    let text = found.visible;
    let own = found.forged_from.and_then(|at| completion.text.get(..at)).unwrap_or(&completion.text);
    let cut_off = closing_of(dialect, completion.finish_reason, own);
    Reading {
        reasoning: (!reasoning.is_empty()).then_some(reasoning),
        // Whole again where a stop text cut it, since this is what the next request and a trace show.
        raw: (text != own || cut_off.is_some()).then(|| format!("{own}{}", cut_off.unwrap_or_default())),
        forged_from: found.forged_from,
        text,
        actions,
        problems: problem::tell(found.problems, dialect),
    }
}

/// Takes white space off both ends.
fn trim(text: &mut String) {
    let trimmed = white::trim(text);
    if trimmed.len() < text.len() {
        *text = trimmed.to_owned();
    }
}

/// Adds the calls of the text to the native ones, except those that a server has reported natively and left in the text too.
fn append_new(actions: &mut Vec<Action>, of_text: Vec<Action>) {
    if actions.is_empty() || of_text.is_empty() {
        actions.extend(of_text);
        return;
    }
    let mut native: HashMap<(String, String), usize> = HashMap::new();
    let identity = |action: &Action| (action.tool.clone(), Value::from(action.arguments.clone()).to_string());
    for action in actions.iter() {
        *native.entry(identity(action)).or_default() += 1;
    }
    for action in of_text {
        match native.get_mut(&identity(&action)) {
            Some(left) if *left > 0 => *left -= 1,
            _ => actions.push(action),
        }
    }
}

/// A call as a model of this dialect writes it; [`read`] gives back exactly this call. For native calls, the form in which their text is
/// read.
///
/// In the tag protocol a query or URL alone is read back as a list of one. What a form cannot express (other tools than the two of the tag
/// protocol, names that no tool has) is written in Hermes' form, which is read in every dialect.
pub fn write(dialect: Dialect, name: &str, arguments: &Map<String, Value>) -> String {
    write_nth(dialect, name, arguments, 0)
}

/// The call that is number `index` of its turn.
fn write_nth(dialect: Dialect, name: &str, arguments: &Map<String, Value>, index: usize) -> String {
    /// Longest name that every form takes, in bytes.
    const NAME_BYTES_MAX: usize = 64;
    let is_plain = (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
    match dialect {
        _ if !is_plain => hermes::write(name, arguments),
        Dialect::Openai | Dialect::Hermes => hermes::write(name, arguments),
        Dialect::Qwen3Coder => function_tags::write(name, arguments),
        Dialect::Harmony => harmony::write(name, arguments),
        Dialect::Deepseek => marked::write_deepseek(name, arguments),
        Dialect::Kimi => marked::write_kimi(name, arguments, index),
        Dialect::LlamaJson => llama::write(name, arguments),
        Dialect::LlamaPythonic => pythonic::write(name, arguments),
        Dialect::Mistral => mistral::write(name, arguments),
        Dialect::Tags => tag_calls::write(name, arguments).unwrap_or_else(|| hermes::write(name, arguments)),
    }
}

/// Texts that end a completion of this dialect, so that a model does not go on to write what a tool returns. At most four, which is as many
/// as servers take.
///
/// Hermes and Qwen have none: their models mention `<tool_response>` in their reasoning, and end their turns by themselves.
pub fn stops(dialect: Dialect) -> &'static [&'static str] {
    match dialect {
        Dialect::Openai | Dialect::Hermes | Dialect::Qwen3Coder => &[],
        Dialect::Harmony => &["<|call|>", "<|return|>"],
        Dialect::Deepseek => &["<｜tool▁outputs▁begin｜>", "<｜tool▁output▁begin｜>"],
        Dialect::Kimi => &["<|im_end|>", "<|im_system|>"],
        Dialect::LlamaJson => &["<|eot_id|>", "<|eom_id|>"],
        Dialect::LlamaPythonic => &["<|eot|>", "<|eom|>", "<|eot_id|>", "<|eom_id|>"],
        Dialect::Mistral => &["[TOOL_RESULTS]"],
        Dialect::Tags => &["</web_search>", "</crawl_page>", "</suggested_answer>", "</subtask_answer>"],
    }
}

/// What a stop text cut from the end of a completion, so that the text is whole again with it: the closing tag of a call or answer of the
/// tag protocol, the token that ends a message of Harmony.
pub fn closing(dialect: Dialect, completion: &Completion) -> Option<&'static str> {
    closing_of(dialect, completion.finish_reason, &completion.text)
}

fn closing_of(dialect: Dialect, finish_reason: FinishReason, text: &str) -> Option<&'static str> {
    match dialect {
        _ if matches!(finish_reason, FinishReason::Length | FinishReason::ContentFilter) => None,
        Dialect::Harmony => harmony::closing(text),
        Dialect::Tags => tag_calls::closing(text),
        _ => None,
    }
}

/// The message that carries a completion back into its conversation, as written, and [closed](closing) where a stop text left it open. In a
/// text dialect native calls are written into the text, since a server that was offered no tools need not take them back.
pub fn assistant_message(dialect: Dialect, _mode: Mode, completion: &Completion) -> Message {
    let mut message = Message::text(Role::Assistant, completion.text.clone());
    message.reasoning.clone_from(&completion.reasoning);
    message.text.push_str(closing(dialect, completion).unwrap_or_default());
    if dialect == Dialect::Openai {
        message.calls.clone_from(&completion.calls);
        return message;
    }
    for (index, call) in completion.calls.iter().enumerate() {
        if !message.text.is_empty() {
            message.text.push('\n');
        }
        let written = match serde_json::from_str(&call.arguments) {
            Ok(Value::Object(arguments)) => write_nth(dialect, &call.name, &arguments, index),
            _ => hermes::write_as_given(call),
        };
        message.text.push_str(&written);
    }
    message
}

/// The message that carries what a tool returned: with the call's id for a native call, between tags for a call of the text, bare where the
/// model's own chat template frames it.
///
/// Between tags the role is the user's: chat templates of text dialects put tool responses there, and a server that knows no native call
/// refuses a tool message. The frame is the same in all dialects but the tag protocol's; [`instructions`] announce it.
pub fn observation_message(dialect: Dialect, mode: Mode, observation: &str, action: &Action) -> Message {
    // The tag protocol is one stream: what a tool returned stands within the model's own turn, which goes on behind it.
    if (dialect, mode) == (Dialect::Tags, Mode::Completion) {
        return Message::text(Role::Assistant, format!("\n\n<observation>\n{observation}\n</observation>\n\n"));
    }
    if mode == Mode::Completion {
        return Message { call_id: template_id(dialect, action), ..Message::text(Role::Tool, observation) };
    }
    if dialect == Dialect::Openai && !action.id.is_empty() {
        return Message { call_id: Some(action.id.clone()), ..Message::text(Role::Tool, observation) };
    }
    let tag = if dialect == Dialect::Tags { "observation" } else { "tool_response" };
    Message::text(Role::User, format!("<{tag}>\n{observation}\n</{tag}>"))
}

/// The id that a chat template demands of a tool message. A call of a text has none of its own: Kimi's is that of the first call of a turn,
/// Mistral's must have nine characters and says nothing.
fn template_id(dialect: Dialect, action: &Action) -> Option<String> {
    match dialect {
        _ if !action.id.is_empty() => Some(action.id.clone()),
        Dialect::Kimi => Some(marked::kimi_id(&action.tool, 0)),
        Dialect::Mistral => Some("000000000".to_owned()),
        _ => None,
    }
}

/// The arguments of a native call as JSON text that parses to an object: as written, or what was understood of them, or an empty object.
pub(crate) fn sound_arguments(written: &str) -> String {
    match arguments::from_text(written, true) {
        Ok((_, repairs)) if repairs.is_empty() && written.trim_start().starts_with('{') => written.to_owned(),
        Ok((understood, _)) => Value::Object(understood).to_string(),
        Err(_) => Value::Object(Map::new()).to_string(),
    }
}

#[cfg(test)]
mod tests;
