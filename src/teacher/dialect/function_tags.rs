//! `<function=name><parameter=key>value</parameter>…</function>`, alone or within `<tool_call>` (Qwen3-Coder); also JSON arguments within
//! `<function=name>` (Llama), and `<｜DSML｜invoke name="…"><｜DSML｜parameter name="…">` (DeepSeek V3.2).
//!
//! The first form does not tell a text from a number. A value that can be read as JSON and is no string is read as that; strings that look
//! like it are written as JSON within the function. What type a parameter has is the tool box's business, which takes a number for a text
//! and the reverse.

use serde_json::{Map, Value};

use super::arguments::{self, Call};
use super::json::{Reader, VALUES_MAX};
use super::marks::{Kind, Mark, Marks};
use super::problem::Problem;
use super::spaced::{guarded, spaced};
use super::text::Walk;
use super::white::trim;
use super::{llama, marked};

/// What a row calls a call with parameters.
pub(super) const FORM: &str = "qwen3_coder";
/// Longest scalar that is read as JSON, in bytes.
const SCALAR_BYTES_MAX: usize = 32;
/// Longest name of a parameter that is written as a tag, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// A call with a parameter for each argument; with JSON within the function where that would be read as something else.
pub(super) fn write(name: &str, arguments: &Map<String, Value>) -> String {
    let parameters: Option<String> = arguments.iter().map(|(key, value)| parameter(key, value)).collect();
    let inner = parameters.unwrap_or_else(|| format!("{}\n", guarded(&Value::from(arguments.clone()))));
    format!("<tool_call>\n<function={name}>\n{inner}</function>\n</tool_call>")
}

/// The argument as a parameter, if it is read back as it is.
fn parameter(key: &str, value: &Value) -> Option<String> {
    let written = match value {
        Value::String(text) => text.clone(),
        other => spaced(other),
    };
    let is_plain_key =
        key.len() <= NAME_BYTES_MAX && !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'));
    let is_read_back = Marks::of(&written, true).next(0).is_none() && typed(&written) == *value;
    (is_plain_key && is_read_back).then(|| format!("<parameter={key}>\n{written}\n</parameter>\n"))
}

/// The value of a parameter.
fn typed(written: &str) -> Value {
    let text = || Value::from(written);
    match written.bytes().next() {
        Some(b'{' | b'[') => {
            let mut reader = Reader::of(written, false);
            match reader.one() {
                Ok(value) if trim(reader.rest()).is_empty() && reader.repairs().is_empty() => value,
                _ => text(),
            }
        }
        Some(b'-' | b'0'..=b'9' | b't' | b'f' | b'n') if written.len() <= SCALAR_BYTES_MAX => {
            match serde_json::from_str::<Value>(written) {
                // `007` is no number, and `1.50` is a text that a number would not give back.
                Ok(value) if serde_json::to_string(&value).is_ok_and(|canonical| canonical == written) => value,
                _ => text(),
            }
        }
        _ => text(),
    }
}

impl<'a> Walk<'a> {
    /// Reads the element that `open` opens, for a call that begins at `start`.
    pub(super) fn function(&mut self, start: usize, open: Mark) {
        let mut call = Call { name: self.marks.name(open).to_owned(), ..Call::default() };
        let mut parameters = 0;
        let mut at = open.end();
        // The text of the element goes to `inner_end`, the element itself to `end`.
        let (is_closed, inner_end, end) = loop {
            let Some(mark) = self.mark_from(at) else { break (false, self.len(), self.len()) };
            match mark.kind {
                Kind::ParameterOpen => {
                    parameters += 1;
                    at = if parameters > VALUES_MAX { mark.end() } else { self.parameter(mark, &mut call) };
                }
                Kind::FunctionClose => break (true, mark.start(), mark.end()),
                Kind::FunctionOpen | Kind::CallOpen | Kind::CallClose => break (false, mark.start(), mark.start()),
                _ => at = mark.end(),
            }
        };
        let is_json = call.arguments.is_empty() && !trim(self.part(open.end(), inner_end)).is_empty();
        let tag = self.marks.written(open);
        let form = match () {
            _ if is_json => llama::FORM,
            _ if tag.starts_with("<function=") => FORM,
            _ => marked::DEEPSEEK,
        };
        if !tag.ends_with('>') {
            call.note("added `>` behind the name");
        }
        let call = if parameters > VALUES_MAX {
            Err("it has too many parameters".to_owned())
        } else if !is_closed && self.cut && end == self.len() {
            Err("the token limit cut it before `</function>`".to_owned())
        } else {
            finish(call, is_closed, self.part(open.end(), inner_end))
        };
        match call {
            Ok(call) => self.add(call, form),
            Err(reason) => self.found.problems.push(Problem::unread(self.part(start, end), reason)),
        }
        self.go_on(end);
    }

    /// Adds the parameter that `open` opens; gives where the text goes on.
    fn parameter(&self, open: Mark, call: &mut Call) -> usize {
        let mut first_token = None;
        let mut at = open.end();
        let close = loop {
            let Some(mark) = self.mark_from(at) else { break None };
            match mark.kind {
                Kind::ParameterClose | Kind::ParameterOpen | Kind::FunctionClose | Kind::CallClose => break Some(mark),
                Kind::Token => first_token = first_token.or(Some(mark.start())),
                _ => {}
            }
            at = mark.end();
        };
        // A value that is never closed ends where the turn does.
        let end = close.map_or(first_token.unwrap_or(self.len()), |mark| mark.start());
        let written = self.part(open.end(), end);
        let value = match self.marks.is_text(open) {
            // DeepSeek says which are texts, and writes them as they are.
            Some(true) => Value::from(written),
            Some(false) => typed(trim(written)),
            None => {
                let line = written.strip_prefix('\n').unwrap_or(written);
                typed(line.strip_suffix('\n').unwrap_or(line))
            }
        };
        let name = self.marks.name(open);
        if call.arguments.insert(name.to_owned(), value).is_some() {
            call.note(format!("kept the last of several `{name}`"));
        }
        match close {
            Some(mark) if mark.kind == Kind::ParameterClose => mark.end(),
            other => {
                call.note("closed `<parameter>`");
                other.map_or(self.len(), |mark| mark.start())
            }
        }
    }
}

/// The call, with arguments out of JSON where there were no parameters.
fn finish(mut call: Call, is_closed: bool, inner: &str) -> Result<Call, String> {
    if call.name.is_empty() {
        return Err("its tag names no tool".to_owned());
    }
    if !is_closed {
        call.note("closed `<function>`");
    }
    if call.arguments.is_empty() {
        let (arguments, repairs) = arguments::from_text(inner, true)?;
        call.arguments = arguments;
        for repair in repairs {
            call.note(repair);
        }
    }
    call.arguments = arguments::fit(call.arguments)?;
    Ok(call)
}
