//! `<tool_call>` with JSON between the tags: reading and writing. It is read in every dialect, and so what another form cannot express is
//! written in this one.

use model::ToolCall;
use serde_json::{Map, Value, json};

use super::arguments::{self, Call};
use super::json::Reader;
use super::marks::{Kind, Mark};
use super::spaced::guarded;
use super::text::Walk;

/// What a row calls this form.
pub(super) const FORM: &str = "hermes";

/// A call between tags, its JSON spaced as chat templates space it.
pub(super) fn write(name: &str, arguments: &Map<String, Value>) -> String {
    enclose(&json!({"name": name, "arguments": arguments}))
}

/// A native call between tags, with arguments that are no object as they were given.
pub(super) fn write_as_given(call: &ToolCall) -> String {
    enclose(&json!({"name": call.name, "arguments": call.arguments}))
}

fn enclose(call: &Value) -> String {
    format!("<tool_call>\n{}\n</tool_call>", guarded(call))
}

impl<'a> Walk<'a> {
    /// Reads what `<tool_call>` opens: JSON, or a function element.
    pub(super) fn call(&mut self, open: Mark) {
        self.show_until(open.start());
        if !self.attempt() {
            return;
        }
        // The next mark is far where a long string comes first, and JSON is not to be gone through twice.
        let is_json = self.first_from(open.end()).is_some_and(|first| matches!(first, b'{' | b'['));
        let next = if is_json { None } else { self.mark_from(open.end()) };
        if let Some(function) = next.filter(|next| next.kind == Kind::FunctionOpen) {
            self.function(open.start(), function);
            self.leave_if(Kind::CallClose);
            return;
        }
        let mut reader = Reader::between(self.marks, open.end(), !self.cut);
        let read = reader.values().map_err(|broken| broken.reason().to_owned()).and_then(|values| {
            let mut calls: Vec<Call> = Vec::new();
            for value in values {
                calls.extend(arguments::calls(value, "arguments")?);
            }
            Ok(calls)
        });
        match read {
            Ok(calls) => self.take_calls(calls, FORM, &reader, Kind::CallClose),
            Err(reason) => self.give_up(open.end(), Kind::CallClose, reason),
        }
    }
}
