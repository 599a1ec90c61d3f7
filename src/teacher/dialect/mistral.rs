//! `[TOOL_CALLS]`: a JSON list of calls (Mistral 7B to Large 2), or a name, perhaps an id, and the arguments (since Mistral Small 3.1).

use serde_json::{Map, Value};

use super::arguments::{self, Call};
use super::json::Reader;
use super::marked::read_closed_arguments;
use super::marks::{Kind, Mark};
use super::spaced::guarded;
use super::text::Walk;
use super::white::{trim, trim_start};

/// What a row calls this form.
const FORM: &str = "mistral";

/// A call in the newer form.
pub(super) fn write(name: &str, arguments: &Map<String, Value>) -> String {
    format!("[TOOL_CALLS]{name}[ARGS]{}", guarded(&Value::from(arguments.clone())))
}

impl<'a> Walk<'a> {
    /// Reads what `[TOOL_CALLS]` opens.
    pub(super) fn mistral(&mut self, open: Mark) {
        self.show_until(open.start());
        if !self.attempt() {
            return;
        }
        let next = self.mark_from(open.end());
        let head = self.part(open.end(), next.map_or(self.len(), |next| next.start()));
        let mut reader = Reader::between(self.marks, open.end(), !self.cut);
        let read =
            if trim_start(head).starts_with(['[', '{', '`']) { read_list(&mut reader) } else { self.read_named(&mut reader, head, next) };
        match read {
            Ok(mut calls) => {
                if open.start() == open.end() {
                    calls.iter_mut().for_each(|call| call.note("added the token before the call"));
                }
                self.take_calls(calls, FORM, &reader, Kind::Token);
            }
            Err(reason) => self.give_up(open.end(), Kind::Token, reason),
        }
    }

    /// `name[CALL_ID]id[ARGS]{…}`, where `next` is the first mark behind the name.
    fn read_named(&self, reader: &mut Reader<'a>, head: &'a str, next: Option<Mark>) -> Result<Vec<Call>, String> {
        let start = reader.position();
        let brace = head.find('{');
        let name = trim(head.get(..brace.unwrap_or(head.len())).unwrap_or_default());
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err("it does not begin with the name of a tool".to_owned());
        }
        let behind_id = next.filter(|next| next.kind == Kind::CallId).map(|id| self.mark_from(id.end()));
        let arguments_at = match (brace, next, behind_id) {
            (Some(brace), ..) => start + brace,
            (None, _, Some(Some(mark))) if mark.kind == Kind::Arguments => mark.end(),
            (None, Some(mark), None) if mark.kind == Kind::Arguments => mark.end(),
            // An id without the token behind it ends where the arguments begin.
            (None, Some(id), Some(_)) => id.end() + self.part(id.end(), self.mark_or_end(id.end())).find('{').unwrap_or_default(),
            (None, ..) => start + head.len(),
        };
        reader.go_to(arguments_at);
        let (arguments, repairs) = read_closed_arguments(reader)?;
        Ok(vec![Call { name: name.to_owned(), arguments, repairs }])
    }
}

fn read_list(reader: &mut Reader<'_>) -> Result<Vec<Call>, String> {
    let mut calls = Vec::new();
    for value in reader.values().map_err(|broken| broken.reason().to_owned())? {
        calls.extend(arguments::calls(value, "arguments")?);
    }
    Ok(calls)
}
