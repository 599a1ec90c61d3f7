//! Calls without marks: `{"name": …, "parameters": …}` (Llama 3), alone in the text or on lines of their own. Small models of other
//! families write this too where their server offers native calls, then as the whole of their text.

use serde_json::{Map, Value, json};

use super::arguments;
use super::json::{Reader, without_fence};
use super::marks::{Kind, Mark, find_near};
use super::problem::Problem;
use super::pythonic;
use super::spaced::guarded;
use super::text::{Found, Walk};
use super::white::{self, trim_end, trim_start};

/// What a row calls this form where it is the model's own.
pub(super) const FORM: &str = "llama_json";
/// What a row calls it where the model should have written another.
const STRAY_FORM: &str = "bare_json";
/// Where this form has the arguments.
const ARGUMENTS: &str = "parameters";

/// A call.
pub(super) fn write(name: &str, arguments: &Map<String, Value>) -> String {
    guarded(&json!({"name": name, ARGUMENTS: arguments}))
}

impl<'a> Walk<'a> {
    /// Reads what stands behind `<|python_tag|>` or between `<|python_start|>` and `<|python_end|>`: JSON, or calls in Python.
    pub(super) fn python(&mut self, open: Mark) {
        self.show_until(open.start());
        if !self.attempt() {
            return;
        }
        let mut reader = Reader::between(self.marks, open.end(), !self.cut);
        let first = self.part(white::behind(self.marks.text().as_bytes(), open.end()), self.len());
        let (read, form) = if first.starts_with('{') || first.starts_with("[{") {
            (read_calls(&mut reader), FORM)
        } else {
            reader = reader.python();
            let mut read = pythonic::read(&mut reader);
            // Llama 3.1 calls its built-in tools as methods.
            for call in read.iter_mut().flatten().filter(|_| open.kind == Kind::PythonTag) {
                let len = call.name.strip_suffix(".call").map_or(call.name.len(), str::len);
                call.name.truncate(len);
            }
            (read, pythonic::FORM)
        };
        match read {
            Ok(calls) => self.take_calls(calls, form, &reader, Kind::PythonClose),
            Err(reason) => self.give_up(open.end(), Kind::PythonClose, reason),
        }
    }
}

fn read_calls(reader: &mut Reader<'_>) -> Result<Vec<arguments::Call>, String> {
    let mut calls = Vec::new();
    for value in reader.values().map_err(|broken| broken.reason().to_owned())? {
        calls.extend(arguments::calls(value, ARGUMENTS)?);
    }
    // Llama writes `; ` between calls.
    reader.forgive(super::json::Repair::NeedlessComma);
    Ok(calls)
}

/// Moves a call that is the whole text out of it. What looks like nothing but a call and cannot be read becomes a problem, since it is no
/// answer.
pub(super) fn read_whole(found: &mut Found, cut: bool) {
    let body = without_fence(&found.visible);
    let first = body.strip_prefix('[').map_or(body, trim_start);
    if !(begins_like_a_call(first) && has_argument_key(body)) {
        return;
    }
    let mut reader = Reader::of(body, !cut);
    let read = reader.all_values().map_err(|broken| broken.reason().to_owned()).and_then(|values| {
        let mut calls = Vec::new();
        for value in values.into_iter().flat_map(listed).filter(is_call) {
            calls.extend(arguments::calls(value, right_key(body))?);
        }
        Ok(calls)
    });
    match read {
        Ok(calls) if calls.is_empty() => return,
        Ok(mut calls) => {
            for call in &mut calls {
                let own = std::mem::take(&mut call.repairs);
                call.note("read a call without tags");
                own.into_iter().chain(reader.repairs()).for_each(|repair| call.note(repair));
            }
            found.add(calls, STRAY_FORM);
        }
        Err(reason) => found.problems.push(Problem::unread(body, reason)),
    }
    found.visible.clear();
}

/// The members of a list, or the value alone.
fn listed(value: Value) -> Vec<Value> {
    match value {
        Value::Array(list) => list,
        value => vec![value],
    }
}

/// Which of the two keys the text has; `arguments` where it has both.
fn right_key(body: &str) -> &'static str {
    if body.contains("\"arguments\"") { "arguments" } else { ARGUMENTS }
}

/// Moves the calls that begin a line, or follow another, out of the text. One that cannot be read takes the rest of the text with it, since
/// nobody knows where it ends.
pub(super) fn read_lines(found: &mut Found, cut: bool) {
    if !has_argument_key(&found.visible) {
        return;
    }
    let visible = std::mem::take(&mut found.visible);
    let mut kept = String::new();
    // What is neither kept nor taken yet begins at `position`; `at` is where the next call is looked for.
    let (mut position, mut at) = (0, 0);
    while let Some(start) = next_object(&visible, position, at) {
        if !begins_like_a_call(visible.get(start..).unwrap_or_default()) {
            at = start + 1;
            continue;
        }
        if !found.attempt() {
            keep(&mut kept, visible.get(position..start).unwrap_or_default());
            position = visible.len();
            break;
        }
        let mut reader = Reader::of(&visible, !cut).from(start);
        let calls = match reader.one() {
            Ok(value) if is_call(&value) => arguments::calls(value, ARGUMENTS),
            Ok(_) => {
                at = reader.position();
                continue;
            }
            Err(broken) => Err(broken.reason().to_owned()),
        };
        keep(&mut kept, visible.get(position..start).unwrap_or_default());
        match calls {
            Ok(calls) => {
                let repairs = reader.repairs();
                found.add(
                    calls.into_iter().map(|mut call| {
                        repairs.iter().for_each(|repair| call.note(repair.clone()));
                        call
                    }),
                    FORM,
                );
                position = behind_separator(&visible, reader.position());
                at = position;
            }
            Err(reason) => {
                found.problems.push(Problem::unread(visible.get(start..).unwrap_or_default(), reason));
                position = visible.len();
                break;
            }
        }
    }
    keep(&mut kept, visible.get(position..).unwrap_or_default());
    found.visible = kept;
}

/// Adds what stood before or behind a call, without the code fence around it.
fn keep(kept: &mut String, part: &str) {
    let part = part.strip_prefix("\n```").unwrap_or(part);
    let trimmed = trim_end(part);
    let part = trimmed.strip_suffix("```json").or_else(|| trimmed.strip_suffix("```")).unwrap_or(part);
    kept.push_str(part);
}

/// Where the first `{` at `at` or behind is that begins a line, or stands at `position`.
fn next_object(text: &str, position: usize, at: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = at;
    loop {
        at += find_near(b'{', bytes.get(at..)?)?;
        if begins_line(bytes, position, at) {
            return Some(at);
        }
        at += 1;
    }
}

/// Whether nothing but spaces stands between `at` and the line's beginning, or `position`.
pub(super) fn begins_line(bytes: &[u8], position: usize, at: usize) -> bool {
    let before = bytes.get(position..at).unwrap_or_default();
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    match before.last() {
        None | Some(b'\n') => true,
        Some(last) if is_space(last) => before.iter().rev().find(|byte| !is_space(byte)).is_none_or(|byte| *byte == b'\n'),
        Some(_) => false,
    }
}

/// Where the text goes on behind the separator after a call.
fn behind_separator(text: &str, at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let trimmed = rest.trim_start_matches([' ', '\t']);
    match trimmed.strip_prefix([';', ',']) {
        Some(behind) => text.len() - behind.trim_start_matches([' ', '\t']).len(),
        None => at,
    }
}

/// `{` and then a key that a call has: an answer that is JSON begins with other keys.
fn begins_like_a_call(body: &str) -> bool {
    let spaces = body.bytes().skip(1).take_while(u8::is_ascii_whitespace).count();
    if !(body.starts_with('{') && matches!(body.as_bytes().get(1 + spaces), Some(b'"' | b'\''))) {
        return false;
    }
    let rest = body.get(2 + spaces..).unwrap_or_default();
    let is_key = |key: &str| rest.strip_prefix(key).and_then(|rest| rest.strip_prefix(['"', '\'']));
    is_key("name").is_some() || is_key("type").is_some_and(|rest| rest.trim_start_matches([':', ' ']).starts_with("\"function\""))
}

fn has_argument_key(text: &str) -> bool {
    ["arguments", ARGUMENTS].iter().any(|key| memchr::memmem::find(text.as_bytes(), key.as_bytes()).is_some())
}

fn is_call(value: &Value) -> bool {
    let has_arguments = |value: &Value| {
        ["arguments", ARGUMENTS].iter().any(|key| value.get(key).is_some_and(|given| given.is_object() || given.is_string()))
    };
    let is_named = |value: &Value| value.get("name").is_some_and(Value::is_string);
    is_named(value) && has_arguments(value) || value.get("function").is_some_and(|inner| is_named(inner) && has_arguments(inner))
}
