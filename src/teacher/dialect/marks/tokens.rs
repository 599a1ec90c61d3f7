//! Special tokens: names between bars, and Mistral's in square brackets.

use super::{Kind, Mark, WIDE_BAR};

/// Longest name between the bars of a special token, in bytes: longer ones are text.
const TOKEN_BYTES_MAX: usize = 64;

/// Bytes of a special token's plain name.
pub(super) static OF_TOKEN: [bool; 256] = {
    let mut of_token = [false; 256];
    let mut byte = 0;
    while byte < 0x80 {
        of_token[byte] = (byte as u8).is_ascii_alphanumeric() || matches!(byte as u8, b'_' | b'-' | b'.' | b':' | b'/' | b'#');
        byte += 1;
    }
    of_token
};

/// Bytes of a name in square brackets.
static OF_BRACKETED: [bool; 256] = {
    let mut of_bracketed = [false; 256];
    let mut byte = 0;
    while byte < 0x80 {
        of_bracketed[byte] = (byte as u8).is_ascii_uppercase() || matches!(byte as u8, b'_' | b'/');
        byte += 1;
    }
    of_bracketed
};

/// `<|name|>`, with either bar on either side.
pub(super) fn token(start: usize, rest: &[u8], from: usize) -> Option<Mark> {
    let inner = rest.get(from..)?;
    let near = inner.get(..=TOKEN_BYTES_MAX).unwrap_or(inner);
    let len = near.iter().position(|byte| !OF_TOKEN[usize::from(*byte)])?;
    let (name, behind) = inner.split_at_checked(len)?;
    let (end, kind) = match bar(behind) {
        0 => other_token(inner, from > 2)?,
        bar => (closed_at(inner, len, bar)?, plain_kind(name)),
    };
    Some(Mark::new(kind, start, start + from + end))
}

/// Where a token ends whose name and bar have these lengths, if it has a name and is closed.
#[inline]
fn closed_at(inner: &[u8], len: usize, bar: usize) -> Option<usize> {
    (len > 0 && inner.get(len + bar) == Some(&b'>')).then_some(len + bar + 1)
}

/// Length in bytes of the bar that `bytes` begin with, else 0.
#[inline]
pub(super) fn bar(bytes: &[u8]) -> usize {
    match bytes.first() {
        Some(b'|') => 1,
        Some(0xEF) if bytes.starts_with(WIDE_BAR) => WIDE_BAR.len(),
        _ => 0,
    }
}

/// Where a token ends whose name has other characters, and its kind. Between wide bars DeepSeek's models and their servers write `▁`, `_`
/// or a space.
fn other_token(inner: &[u8], is_wide: bool) -> Option<(usize, Kind)> {
    let mut plain = [0; TOKEN_BYTES_MAX];
    let (mut written, mut len) = (0, 0);
    while len <= TOKEN_BYTES_MAX {
        let rest = inner.get(len..)?;
        let bar = bar(rest);
        if bar > 0 {
            return Some((closed_at(inner, len, bar)?, plain_kind(plain.get(..written)?)));
        }
        let (byte, width) = match rest {
            [0xE2, 0x96, 0x81, ..] => (b'_', 3),
            [b'\\', b'_', ..] if is_wide => (b'_', 2),
            [b' ', ..] if is_wide => (b'_', 1),
            [byte, ..] if *byte >= 0x80 || OF_TOKEN[usize::from(*byte)] || is_wide && *byte == b'\\' => (*byte, 1),
            _ => return None,
        };
        *plain.get_mut(written)? = byte;
        (written, len) = (written + 1, len + width);
    }
    None
}

/// `[NAME]`.
pub(super) fn bracketed(start: usize, rest: &[u8]) -> Option<Mark> {
    /// Longest name, in bytes.
    const NAME_BYTES_MAX: usize = 16;
    let name = rest.get(1..)?;
    let near = name.get(..=NAME_BYTES_MAX).unwrap_or(name);
    let len = near.iter().position(|byte| !OF_BRACKETED[usize::from(*byte)])?;
    let kind = match name.get(..len).filter(|_| name.get(len) == Some(&b']'))? {
        b"TOOL_CALLS" => Kind::ToolCalls,
        b"ARGS" => Kind::Arguments,
        b"CALL_ID" => Kind::CallId,
        b"THINK" => Kind::ThinkOpen,
        b"/THINK" => Kind::ThinkClose,
        b"TOOL_RESULTS" | b"TOOL_CONTENT" => Kind::OutputOpen,
        b"INST" | b"SYSTEM_PROMPT" => Kind::OtherTurn,
        b"AVAILABLE_TOOLS" | b"BOS" | b"EOS" | b"MODEL_SETTINGS" | b"/TOOL_RESULTS" => Kind::Token,
        b"/AVAILABLE_TOOLS" | b"/INST" | b"/MODEL_SETTINGS" | b"/SYSTEM_PROMPT" => Kind::Token,
        _ => return None,
    };
    Some(Mark::new(kind, start, start + 1 + len + 1))
}

fn plain_kind(name: &[u8]) -> Kind {
    match name {
        b"start" => Kind::Start,
        b"channel" => Kind::Channel,
        b"constrain" => Kind::Constrain,
        b"message" => Kind::Content,
        b"end" | b"call" | b"return" => Kind::ContentEnd,
        b"tool_calls_section_begin" | b"tool_call_section_begin" | b"tool_calls_begin" | b"tool_calls" => Kind::SectionOpen,
        b"tool_calls_section_end" | b"tool_call_section_end" | b"tool_calls_end" => Kind::SectionClose,
        b"tool_call_begin" => Kind::MarkedCallOpen,
        b"tool_call_argument_begin" => Kind::ArgumentsOpen,
        b"tool_sep" => Kind::Separator,
        b"tool_call_end" => Kind::MarkedCallClose,
        b"tool_outputs_begin" | b"tool_output_begin" | b"tool_outputs" => Kind::OutputOpen,
        b"python_tag" => Kind::PythonTag,
        b"python_start" => Kind::PythonOpen,
        b"python_end" => Kind::PythonClose,
        b"im_start" | b"start_header_id" | b"header_start" => Kind::TurnOpen,
        b"im_user" | b"im_system" | b"User" | b"user" => Kind::OtherTurn,
        _ => Kind::Token,
    }
}
