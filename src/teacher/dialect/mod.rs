//! Dialects: how tool calls are written by a model and read by us.
//!
//! Whatever the dialect, every call of a turn is found, native ones and those in the text, in order; what cannot be read is told to the model
//! instead of being dropped. Reading is linear in the text and never fails. Which tools exist is not known here.

mod arguments;
mod bare;
mod function_tags;
mod hermes;
mod json;
mod native;
mod tags;
mod text;

use std::collections::HashMap;

use model::settings::Dialect;
use model::{Action, Completion, FinishReason, Message, Role, ToolDefinition};
use serde_json::{Map, Value};

/// What a completion says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading {
    /// The model's reasoning, from the server or out of the text.
    pub reasoning: Option<String>,
    /// The visible text, without calls and reasoning.
    pub text: String,
    /// The text as written, where it differs from `text`.
    pub raw: Option<String>,
    /// The calls, native ones first, then those in the text, each in order. A native call whose arguments cannot be read is here too, with
    /// `unreadable`, because its id must be answered.
    pub actions: Vec<Action>,
    /// What the model must be told about its text: calls that could not be read, each with what is wrong and the right form. Bounded.
    pub problems: Vec<String>,
}

/// Reads a completion. Calls within reasoning are not calls; a call that stands in the text as well as natively counts once.
pub fn read(dialect: Dialect, completion: &Completion) -> Reading {
    let cut = completion.finish_reason == FinishReason::Length;
    let mut found = text::read(&completion.text, cut);
    let mut actions: Vec<Action> = completion.calls.iter().map(|call| native::read(call, cut)).collect();
    if actions.is_empty() && found.calls.is_empty() && found.problems.is_empty() {
        bare::read(&mut found, cut);
    }
    append_new(&mut actions, found.calls);

    let mut reasoning: Vec<&str> = completion.reasoning.as_deref().into_iter().chain(found.reasoning).collect();
    reasoning.retain(|part| !part.trim().is_empty());
    let text = found.visible.trim().to_owned();
    Reading {
        reasoning: (!reasoning.is_empty()).then(|| reasoning.join("\n\n")),
        raw: (text != completion.text).then(|| completion.text.clone()),
        text,
        actions,
        problems: text::tell(found.problems, dialect),
    }
}

/// Adds the calls of the text to the native ones, except those that a server has reported natively and left in the text too.
fn append_new(actions: &mut Vec<Action>, of_text: Vec<Action>) {
    let mut native: HashMap<(String, String), usize> = HashMap::new();
    let identity = |action: &Action| (action.tool.clone(), serde_json::Value::from(action.arguments.clone()).to_string());
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

/// A call as the text dialect writes it; [`read`] gives back exactly this call.
pub fn write(name: &str, arguments: &Map<String, Value>) -> String {
    hermes::write(name, arguments)
}

/// The part of a system prompt that describes the tools and the form of a call, for text dialects.
pub fn instructions(tools: &[ToolDefinition]) -> String {
    hermes::instructions(tools)
}

/// The message that carries a completion back into its conversation, as written. In a text dialect native calls are written into the text,
/// since a server that was offered no tools need not take them back.
pub fn assistant_message(dialect: Dialect, completion: &Completion) -> Message {
    let mut message = Message::text(Role::Assistant, completion.text.clone());
    message.reasoning.clone_from(&completion.reasoning);
    match dialect {
        Dialect::Openai => message.calls.clone_from(&completion.calls),
        Dialect::Hermes => {
            for call in &completion.calls {
                if !message.text.is_empty() {
                    message.text.push('\n');
                }
                message.text.push_str(&hermes::write_as_given(call));
            }
        }
    }
    message
}

/// The message that carries what a tool returned: with the call's id for a native call, between tags for a call of the text.
///
/// Between tags the role is the user's: chat templates of text dialects put tool responses there, and a server that knows no native call
/// refuses a tool message.
pub fn observation_message(dialect: Dialect, observation: &str, action: &Action) -> Message {
    if dialect == Dialect::Openai && !action.id.is_empty() {
        return Message { call_id: Some(action.id.clone()), ..Message::text(Role::Tool, observation) };
    }
    Message::text(Role::User, format!("<tool_response>\n{observation}\n</tool_response>"))
}

/// The arguments of a native call as JSON text that parses to an object: as written, or what was understood of them, or an empty object.
pub(crate) fn sound_arguments(written: &str) -> String {
    if matches!(json::strict(written).as_deref(), Ok([Value::Object(_)])) {
        return written.to_owned();
    }
    let understood = arguments::from_text(written, true).map(|(arguments, _)| arguments).unwrap_or_default();
    Value::Object(understood).to_string()
}

#[cfg(test)]
mod tests;
