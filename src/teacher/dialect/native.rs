//! Native calls: a name, and arguments as JSON text that need not parse.

use std::io;

use model::{Action, ToolCall};
use serde_json::{Map, Value};

use super::arguments;

/// The action of a native call. Arguments that cannot be read make it `unreadable`, with the reason for the model: the server will want a
/// tool message for its id all the same. `cut` says that the token limit ended the completion, so that nothing is guessed at its end.
pub(super) fn read(call: &ToolCall, cut: bool) -> Action {
    let (tool, leaked) = name(&call.name);
    let mut action = Action {
        id: call.id.clone(),
        tool: tool.to_owned(),
        arguments: Map::new(),
        written: None,
        dialect: "openai".to_owned(),
        repairs: Vec::new(),
        unreadable: None,
    };
    if leaked {
        action.repairs.push("cut special tokens off the name".to_owned());
    }
    match arguments::from_text(&call.arguments, !cut) {
        Ok((arguments, repairs)) => {
            action.arguments = arguments;
            action.repairs.extend(repairs);
        }
        Err(reason) => {
            let advice = if cut {
                "the token limit cut it; write less before calling"
            } else {
                "give one JSON object, such as {\"query\": \"…\"}"
            };
            action.unreadable = Some(format!("This call of `{tool}` was not carried out: {reason}. Call again: {advice}."));
        }
    }
    action.written = (!is_compact_json(&call.arguments, &action.arguments)).then(|| call.arguments.clone());
    action
}

/// Whether `text` is the compact JSON of `object`. Compares as it writes, so that the first difference ends it.
fn is_compact_json(text: &str, object: &Map<String, Value>) -> bool {
    let mut rest = Rest(text.as_bytes());
    serde_json::to_writer(&mut rest, object).is_ok() && rest.0.is_empty()
}

/// What is still expected to be written.
struct Rest<'a>(&'a [u8]);

impl io::Write for Rest<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.strip_prefix(bytes).ok_or(io::ErrorKind::InvalidData)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The name without special tokens that some servers leave on it (`search<|channel|>commentary`), and whether there were any.
fn name(written: &str) -> (&str, bool) {
    match written.split_once("<|") {
        Some((name, _)) if !name.trim().is_empty() => (name.trim(), true),
        _ => (written.trim(), false),
    }
}
