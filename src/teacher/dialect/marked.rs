//! Calls between special tokens: DeepSeek's and Kimi's.
//!
//! DeepSeek V3 and R1 write `function<｜tool▁sep｜>name` and the arguments in a code fence, V3.1 writes `name<｜tool▁sep｜>` and the bare
//! arguments. Kimi K2 writes an id, `functions.name:index`, and its arguments behind a token of their own. Where a model leaves out the
//! tokens around, what stands between them still says which call it is.

use serde_json::{Map, Value};

use super::arguments::{self, Call};
use super::json::{Reader, Repair};
use super::marks::{Kind, Mark};
use super::spaced::guarded;
use super::text::Walk;
use super::white::{self, trim};

/// What a row calls the two forms.
pub(super) const DEEPSEEK: &str = "deepseek";
const KIMI: &str = "kimi";

/// What DeepSeek V3 and R1 have in the place of a name.
const KIND_OF_CALL: &str = "function";

/// A call as DeepSeek V3.1 writes it.
pub(super) fn write_deepseek(name: &str, arguments: &Map<String, Value>) -> String {
    let json = guarded(&Value::from(arguments.clone()));
    format!("<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>{name}<｜tool▁sep｜>{json}<｜tool▁call▁end｜><｜tool▁calls▁end｜>")
}

/// The call that is number `index` of its turn, as Kimi K2 writes it.
pub(super) fn write_kimi(name: &str, arguments: &Map<String, Value>, index: usize) -> String {
    let (id, json) = (kimi_id(name, index), guarded(&Value::from(arguments.clone())));
    format!(
        "<|tool_calls_section_begin|><|tool_call_begin|>{id}<|tool_call_argument_begin|>{json}<|tool_call_end|><|tool_calls_section_end|>"
    )
}

/// The id of call number `index` of `name`, by which Kimi's chat template names what came of it.
pub(super) fn kimi_id(name: &str, index: usize) -> String {
    format!("functions.{name}:{index}")
}

impl<'a> Walk<'a> {
    /// Reads the call that `open` opens, or hides it if it only opens the section of calls.
    pub(super) fn marked_call(&mut self, open: Mark) {
        let next = self.mark_from(open.end());
        let parts = next.filter(|next| matches!(next.kind, Kind::Separator | Kind::ArgumentsOpen));
        if open.kind == Kind::SectionOpen && parts.is_none() {
            return self.hide(open);
        }
        self.show_until(open.start());
        if !self.attempt() {
            return;
        }
        let head = self.part(open.end(), next.map_or(self.len(), |next| next.start()));
        let (form, name, arguments_at, is_fenced) = match parts {
            Some(mark) if mark.kind == Kind::ArgumentsOpen => (KIMI, trim(head), mark.end(), false),
            Some(mark) => self.deepseek_name(trim(head), mark.end()),
            // Without a token between: the arguments begin with their bracket.
            None => {
                let len = head.find('{').unwrap_or(head.len());
                let form = if self.part(open.start(), open.end()).is_ascii() { KIMI } else { DEEPSEEK };
                (form, trim(head.get(..len).unwrap_or_default()), open.end() + len, false)
            }
        };
        let (name, has_index) = if form == KIMI { kimi_name(name) } else { (name, true) };
        if name.is_empty() || name.contains(char::is_whitespace) {
            return self.give_up(open.end(), Kind::MarkedCallClose, "it does not begin with the name of a tool".to_owned());
        }
        let mut reader = Reader::between(self.marks, arguments_at, !self.cut);
        match read_closed_arguments(&mut reader) {
            Ok((arguments, repairs)) => {
                if is_fenced {
                    reader.forgive(Repair::Fence);
                }
                let mut call = Call { name: name.to_owned(), arguments, repairs };
                if parts.is_none() {
                    call.note("added the token before the arguments");
                }
                if open.start() == open.end() {
                    call.note("added the token before the call");
                }
                if !has_index {
                    call.note("added the index of the call");
                }
                self.take_calls(vec![call], form, &reader, Kind::MarkedCallClose);
            }
            Err(reason) => {
                let from = parts.unwrap_or(open);
                self.give_up(from.end(), Kind::MarkedCallClose, reason);
            }
        }
    }

    /// Form, name, place of the arguments, and whether a code fence belongs around them, where `head` stands before a separator that ends
    /// at `at`.
    fn deepseek_name(&self, head: &'a str, at: usize) -> (&'static str, &'a str, usize, bool) {
        let line_at = white::behind(self.marks.text().as_bytes(), at);
        let rest = self.part(line_at, self.mark_or_end(line_at));
        if head != KIND_OF_CALL || rest.starts_with(['{', '`']) {
            return (DEEPSEEK, head, at, false);
        }
        let len = rest.find(['\n', '{', '`']).unwrap_or(rest.len());
        (DEEPSEEK, trim(rest.get(..len).unwrap_or_default()), line_at + len, true)
    }
}

/// The name within a call's id, and whether the id has its index.
fn kimi_name(id: &str) -> (&str, bool) {
    let is_index = |index: &str| !index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit());
    let (name, has_index) = match id.rsplit_once(':') {
        Some((name, index)) if is_index(index) => (name, true),
        // Some write a word in its place.
        Some((name, word)) if id.starts_with("functions.") && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') => {
            (name, false)
        }
        _ => (id, false),
    };
    (name.strip_prefix("functions.").unwrap_or(name), has_index)
}

/// The same where a token follows the arguments, so that they are missing where the text ends and were left out where a token comes next.
pub(super) fn read_closed_arguments(reader: &mut Reader<'_>) -> Result<(Map<String, Value>, Vec<String>), String> {
    reader.skip_space();
    if reader.rest().is_empty() { Err("its arguments are missing".to_owned()) } else { read_arguments(reader) }
}

/// The arguments that come next: an object, its text, or nothing.
pub(super) fn read_arguments(reader: &mut Reader<'_>) -> Result<(Map<String, Value>, Vec<String>), String> {
    reader.skip_space();
    if reader.is_at_end() {
        return if reader.may_close() { Ok((Map::new(), Vec::new())) } else { Err("its arguments are missing".to_owned()) };
    }
    let value = reader.one().map_err(|broken| format!("its arguments cannot be read: {}", broken.reason()))?;
    arguments::from_value(value, true)
}
