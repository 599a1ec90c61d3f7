//! `<function=name><parameter=key>value</parameter>…</function>`, alone or within `<tool_call>`; also JSON arguments within `<function=name>`.
//!
//! Values stay text: what type a parameter has is the tool box's business.

use serde_json::Value;

use super::arguments::{self, Call};
use super::tags::{Kind, Tag};

/// A function element: the call or why there is none, and the index of the first tag behind it.
pub(super) struct Element {
    pub(super) call: Result<Call, String>,
    pub(super) next: usize,
    /// Byte offset where the text goes on.
    pub(super) end: usize,
}

/// The function element that `tags[open]` opens. `cut` says that the token limit ended the text.
pub(super) fn read(text: &str, tags: &[Tag<'_>], open: usize, cut: bool) -> Element {
    let mut call = Call { name: tags[open].name.to_owned(), ..Call::default() };
    let mut index = open + 1;
    // The text of the element goes to `inner_end`, the element itself to `end`.
    let (closed, inner_end, end) = loop {
        let Some(tag) = tags.get(index) else { break (false, text.len(), text.len()) };
        match tag.kind {
            Kind::ParameterOpen => index = parameter(text, tags, index, &mut call),
            Kind::FunctionClose => {
                index += 1;
                break (true, tag.start, tag.end);
            }
            Kind::FunctionOpen | Kind::CallOpen | Kind::CallClose => break (false, tag.start, tag.start),
            _ => index += 1,
        }
    };
    let call = if !closed && cut && end == text.len() {
        Err("the token limit cut it before `</function>`".to_owned())
    } else {
        finish(call, closed, text.get(tags[open].end..inner_end).unwrap_or_default())
    };
    Element { call, next: index, end }
}

/// The call, with arguments out of JSON where there were no parameters.
fn finish(mut call: Call, closed: bool, inner: &str) -> Result<Call, String> {
    if call.name.is_empty() {
        return Err("`<function=…>` names no tool".to_owned());
    }
    if !closed {
        call.repairs.push("closed `<function>`".to_owned());
    }
    if call.arguments.is_empty() {
        let (arguments, repairs) = arguments::from_text(inner, true)?;
        call.arguments = arguments;
        call.repairs.extend(repairs);
    }
    Ok(call)
}

/// Adds the parameter that `tags[open]` opens; gives the index of the first tag behind it.
fn parameter(text: &str, tags: &[Tag<'_>], open: usize, call: &mut Call) -> usize {
    let ends = |tag: &Tag<'_>| matches!(tag.kind, Kind::ParameterClose | Kind::ParameterOpen | Kind::FunctionClose | Kind::CallClose);
    let close = (open + 1..tags.len()).find(|index| ends(&tags[*index]));
    let value = text.get(tags[open].end..close.map_or(text.len(), |index| tags[index].start)).unwrap_or_default();
    let value = value.strip_prefix('\n').unwrap_or(value);
    let value = value.strip_suffix('\n').unwrap_or(value);
    if call.arguments.insert(tags[open].name.to_owned(), Value::from(value)).is_some() {
        call.repairs.push(format!("kept the last of several `{}`", tags[open].name));
    }
    match close {
        Some(index) if tags[index].kind == Kind::ParameterClose => index + 1,
        other => {
            call.repairs.push("closed `<parameter>`".to_owned());
            other.unwrap_or(tags.len())
        }
    }
}
