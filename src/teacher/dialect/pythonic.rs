//! `[search(query="a", topn=5), open(id=3)]`: calls as Python writes them (Llama 3.2, Llama 4).

use serde_json::{Map, Value};

use super::arguments::{self, Call};
use super::json::{Broken, Reader};
use super::llama::begins_line;
use super::marks::find_near;
use super::problem::Problem;
use super::spaced::python;
use super::text::Found;
use super::white::{trim, trim_start};

/// What a row calls this form.
pub(super) const FORM: &str = "llama_pythonic";

/// A list of one call. What is no name in Python goes into a dictionary of arguments.
pub(super) fn write(name: &str, arguments: &Map<String, Value>) -> String {
    let (named, others): (Vec<_>, Vec<_>) = arguments.iter().partition(|(key, _)| is_identifier(key));
    let mut written: Vec<String> = named.into_iter().map(|(key, value)| format!("{key}={}", python(value))).collect();
    if !others.is_empty() {
        let others: Map<String, Value> = others.into_iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        written.push(format!("**{}", python(&Value::from(others))));
    }
    format!("[{name}({})]", written.join(", "))
}

fn is_identifier(key: &str) -> bool {
    key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// The calls that come next: a list of them, or one alone.
pub(super) fn read(reader: &mut Reader<'_>) -> Result<Vec<Call>, String> {
    reader.skip_space();
    if !reader.take(|byte| byte == b'[') {
        return Ok(vec![read_call(reader)?]);
    }
    let mut calls = Vec::new();
    while reader.next_member(b']', calls.is_empty()).map_err(broken)? {
        calls.push(read_call(reader)?);
    }
    Ok(calls)
}

fn broken(broken: Broken) -> String {
    match broken {
        Broken::OpenString => "it ends within a string".to_owned(),
        Broken::OpenBracket => "it ends before its brackets are closed".to_owned(),
        Broken::NotJson => "it is not a list of Python calls with literal arguments".to_owned(),
        other => other.reason().to_owned(),
    }
}

fn read_call(reader: &mut Reader<'_>) -> Result<Call, String> {
    let name = reader.word(is_of_name).map_err(broken)?;
    reader.skip_space();
    if !reader.take(|byte| byte == b'(') {
        return Err(broken(if reader.is_at_end() { Broken::OpenBracket } else { Broken::NotJson }));
    }
    let mut call = Call { name: name.to_owned(), ..Call::default() };
    let mut is_first = true;
    while reader.next_member(b')', is_first).map_err(broken)? {
        is_first = false;
        read_argument(reader, &mut call)?;
    }
    call.arguments = arguments::fit(call.arguments)?;
    Ok(call)
}

/// `key=value`, or `**{…}`.
fn read_argument(reader: &mut Reader<'_>, call: &mut Call) -> Result<(), String> {
    let before = reader.position();
    if reader.rest().starts_with("**") {
        reader.go_to(before + 2);
        let Value::Object(object) = reader.value(0).map_err(broken)? else { return Err(broken(Broken::NotJson)) };
        call.arguments.extend(object);
        return Ok(());
    }
    if let Ok(key) = reader.word(|c| c.is_alphanumeric() || c == '_') {
        reader.skip_space();
        if reader.take(|byte| byte == b'=') {
            let value = reader.value(0).map_err(broken)?;
            if call.arguments.insert(key.to_owned(), value).is_some() {
                call.note(format!("kept the last of several `{key}`"));
            }
            return Ok(());
        }
        reader.go_to(before);
    }
    reader.value(0).map_err(broken)?;
    Err("an argument has no name, and which one it is cannot be known".to_owned())
}

fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | ':' | '/')
}

/// Moves calls that are the whole text out of it, for models whose form this is not; `[see(1)]` is then no call.
pub(super) fn read_whole(found: &mut Found, cut: bool) {
    let text = trim(&found.visible);
    if !begins_like_calls(text) {
        return;
    }
    let mut reader = Reader::of(text, !cut).python();
    if let Ok(mut calls) = read(&mut reader)
        && trim(reader.rest()).is_empty()
        && !calls.is_empty()
    {
        for call in &mut calls {
            call.note("read a call without tags");
            reader.repairs().into_iter().for_each(|repair| call.note(repair));
        }
        found.add(calls, FORM);
        found.visible.clear();
    }
}

/// Moves the lists of calls that begin a line out of the text, or calls that are all of it. One that cannot be read takes the rest of the
/// text with it, since nobody knows where it ends.
pub(super) fn read_lines(found: &mut Found, cut: bool) {
    if let Some(call) = lone_call(trim(&found.visible), cut) {
        found.visible.clear();
        return found.add([call], FORM);
    }
    let visible = std::mem::take(&mut found.visible);
    let mut kept = String::new();
    // What is neither kept nor taken yet begins at `position`; `at` is where the next list is looked for.
    let (mut position, mut at) = (0, 0);
    while let Some(start) = next_list(&visible, position, at) {
        kept.push_str(visible.get(position..start).unwrap_or_default());
        if !found.attempt() {
            position = visible.len();
            break;
        }
        let mut reader = Reader::of(&visible, !cut).python().from(start);
        match read(&mut reader) {
            Ok(calls) => {
                let repairs = reader.repairs();
                found.add(
                    calls.into_iter().map(|mut call| {
                        repairs.iter().for_each(|repair| call.note(repair.clone()));
                        call
                    }),
                    FORM,
                );
                (position, at) = (reader.position(), reader.position());
            }
            Err(reason) => {
                found.problems.push(Problem::unread(visible.get(start..).unwrap_or_default(), reason));
                (position, at) = (visible.len(), visible.len());
            }
        }
    }
    kept.push_str(visible.get(position..).unwrap_or_default());
    found.visible = kept;
}

/// The call that is all of `text`, without the list around it.
fn lone_call(text: &str, cut: bool) -> Option<Call> {
    if !is_call_head(text) {
        return None;
    }
    let mut reader = Reader::of(text, !cut).python();
    let mut call = read_call(&mut reader).ok().filter(|_| trim(reader.rest()).is_empty())?;
    call.note("read a call without its list");
    Some(call)
}

/// Where the first list of calls at `at` or behind is that begins a line, or stands at `position`.
fn next_list(text: &str, position: usize, at: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = at;
    loop {
        at += find_near(b'[', bytes.get(at..)?)?;
        if begins_line(bytes, position, at) && begins_like_calls(text.get(at..)?) {
            return Some(at);
        }
        at += 1;
    }
}

/// `[name(`: a link's text and a reference in brackets begin in other ways.
fn begins_like_calls(text: &str) -> bool {
    text.strip_prefix('[').is_some_and(|rest| is_call_head(trim_start(rest)))
}

/// `name(`.
fn is_call_head(text: &str) -> bool {
    /// Longest name of a tool, in bytes.
    const NAME_BYTES_MAX: usize = 64;
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-:/".contains(&byte);
    let len = text.bytes().take(NAME_BYTES_MAX + 1).position(|byte| !is_of_name(byte));
    len.is_some_and(|len| len > 0 && text.as_bytes().get(len) == Some(&b'('))
}
