//! Whatever comes from a document is data: protocol tags, special tokens and our own link brackets in it are defused, visibly.
//!
//! `<tool_call>` becomes `‹tool_call›`, `[INST]` becomes `⟦INST⟧`, `【3†x】` becomes `〖3‡x〗`, an escape character becomes `␛`. The replacements
//! are no compatibility forms of what they replace, so that a tokenizer that normalises does not put it back. Ordinary text stays as it is:
//! `x < y`, `A<B`, `<div>`, `[1]`. This is the one list of such tags in the house; it removes nothing and judges nothing.

use std::borrow::Cow;

/// Tags that chat templates and research protocols give a meaning to, without `_`, `-` and a plural's `s`. All of
/// `model::protocol::ProtocolTag` are among them.
const TAGS: [&str; 63] = [
    "answer",
    "argkey",
    "argvalue",
    "assistant",
    "availabletool",
    "beginofduplicatecontent",
    "bos",
    "crawlpage",
    "developer",
    "doublecheck",
    "endfunctioncall",
    "endfunctionresponse",
    "endofduplicatecontent",
    "endofturn",
    "eop",
    "eos",
    "extraid",
    "finalanswer",
    "function",
    "functioncall",
    "functionoutput",
    "functionresponse",
    "functionresult",
    "human",
    "information",
    "invoke",
    "observation",
    "pad",
    "parameter",
    "plan",
    "pythontag",
    "reasoning",
    "reflection",
    "result",
    "s",
    "scratchpad",
    "search",
    "sop",
    "special",
    "startfunctioncall",
    "startfunctionresponse",
    "startofturn",
    "subtask",
    "subtaskanswer",
    "subtasklist",
    "suggestedanswer",
    "sys",
    "system",
    "think",
    "thinking",
    "thought",
    "tool",
    "toolcall",
    "toolcode",
    "toolinput",
    "tooloutput",
    "toolresponse",
    "toolresult",
    "tooluse",
    "unk",
    "unused",
    "user",
    "websearch",
];
/// Special tokens in square brackets; their case matters.
const BRACKETED: [&str; 23] = [
    "ARGS",
    "AVAILABLE_TOOLS",
    "BOS",
    "CALL_ID",
    "EOS",
    "EOT",
    "IMG",
    "IMG_BREAK",
    "IMG_END",
    "INST",
    "MIDDLE",
    "MODEL_SETTINGS",
    "PAD",
    "PREFIX",
    "SUFFIX",
    "SYSTEM_PROMPT",
    "THINK",
    "TOOL_CALLS",
    "TOOL_CONTENT",
    "TOOL_RESULTS",
    "UNK",
    "gMASK",
    "sMASK",
];
/// A tag's name is no longer, in bytes; nor is what stands between the bars of a special token.
const NAME_BYTES_MAX: usize = 64;
/// A tag with attributes ends within so many bytes.
const TAG_BYTES_MAX: usize = 256;
/// The bar of special tokens, and the one that some vocabularies use instead.
const BARS: [&str; 2] = ["|", "｜"];

/// Text that can forge nothing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Neutralised<'a> {
    /// The text; borrowed when there was nothing to do.
    pub(crate) text: Cow<'a, str>,
    /// Where in `text` tags and special tokens were defused, in bytes and in order. Brackets and control characters are not among them:
    /// they stand in ordinary text, and tell of no attempt.
    pub(crate) tags: Vec<usize>,
}

/// `text` with everything in it made harmless that could forge structure; for texts that quote a page, as an extract does.
pub fn neutralised(text: &str) -> String {
    neutralise(text).text.into_owned()
}

/// Neutralises `text`. A fixed point: neutral text comes back as it is.
pub(crate) fn neutralise(text: &str) -> Neutralised<'_> {
    let mut neutral = String::new();
    let mut tags = Vec::new();
    let mut copied = 0;
    let mut closing = None;
    let mut at = 0;
    while let Some(step) = text.as_bytes().get(at..).and_then(|rest| rest.iter().position(|byte| SUSPECTS[usize::from(*byte)])) {
        at += step;
        let Some(threat) = threat(text, at, closing) else {
            at += 1;
            continue;
        };
        neutral.push_str(text.get(copied..at).unwrap_or(""));
        if threat.is_tag {
            tags.push(neutral.len());
        }
        closing = threat.closing.or(closing);
        let end = at + threat.bytes;
        text.get(at..end).unwrap_or("").chars().for_each(|c| neutral.push(harmless(c)));
        (at, copied) = (end, end);
    }
    if copied == 0 {
        return Neutralised { text: Cow::Borrowed(text), tags };
    }
    neutral.push_str(text.get(copied..).unwrap_or(""));
    Neutralised { text: Cow::Owned(neutral), tags }
}

/// Something to replace.
struct Threat {
    /// How much of the text to replace, character by character.
    bytes: usize,
    is_tag: bool,
    /// Where the `>` is that ends the tag which begins here.
    closing: Option<usize>,
}

/// Bytes that something to replace may begin with: one look at each byte of an innocent text.
const SUSPECTS: [bool; 256] = {
    let mut suspects = [false; 256];
    let mut control = 0;
    while control < 0x20 {
        suspects[control] = !matches!(control as u8, b'\t' | b'\n' | b'\r');
        control += 1;
    }
    suspects[0x7F] = true;
    suspects[b'<' as usize] = true;
    suspects[b'>' as usize] = true;
    suspects[b'[' as usize] = true;
    suspects[0xE2] = true; // † ◁
    suspects[0xE3] = true; // 【 】
    suspects
};

fn threat(text: &str, at: usize, closing: Option<usize>) -> Option<Threat> {
    let rest = text.get(at..)?;
    let single = |bytes| Some(Threat { bytes, is_tag: false, closing: None });
    match rest.as_bytes().first()? {
        b'<' => tag_end(rest).map(|end| Threat { bytes: 1, is_tag: true, closing: end.map(|end| at + end) }),
        b'>' if closing == Some(at) => single(1),
        b'>' => None,
        b'[' => bracketed_bytes(rest).map(|bytes| Threat { bytes, is_tag: true, closing: None }),
        0xE2 | 0xE3 if rest.starts_with('◁') => triangles_bytes(rest).map(|bytes| Threat { bytes, is_tag: true, closing: None }),
        0xE2 | 0xE3 if rest.starts_with(['†', '【', '】']) => single(3),
        0xE2 | 0xE3 => None,
        _ => single(1),
    }
}

/// Whether `rest`, which begins with `<`, begins a tag or a special token; then where its `>` is, if it has one.
fn tag_end(rest: &str) -> Option<Option<usize>> {
    let inner = rest.get(1..)?;
    let inner = inner.strip_prefix('/').unwrap_or(inner);
    let before = rest.len() - inner.len();
    for bar in BARS {
        let Some(token) = inner.strip_prefix(bar) else { continue };
        let is_of_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '/' | '▁' | '#');
        let length = token.find(|c| !is_of_name(c)).filter(|length| (1..=NAME_BYTES_MAX).contains(length));
        let end =
            length.filter(|length| token.get(*length..).is_some_and(|after| after.strip_prefix(bar).is_some_and(|a| a.starts_with('>'))));
        // The wide bar is in no ordinary markup, and opens tags that end in other ways.
        return match end {
            Some(length) => Some(Some(before + bar.len() + length + bar.len())),
            None => (bar != "|").then_some(None),
        };
    }
    let name_bytes = inner.bytes().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b':')).count();
    let name = inner.get(..name_bytes).filter(|name| is_tag_name(name))?;
    let ending = inner.get(name_bytes..)?;
    let end = before + name_bytes;
    match ending.bytes().next()? {
        b'>' => Some(Some(end)),
        b'/' if ending.starts_with("/>") => Some(Some(end + 1)),
        // One letter and a space are prose far more often than a tag.
        _ if name.len() == 1 => None,
        b'=' => Some(attributes_bytes(ending).map(|bytes| end + bytes)),
        b' ' | b'\t' | b'\r' | b'\n' => attributes_bytes(ending).map(|bytes| Some(end + bytes)),
        _ => None,
    }
}

fn is_tag_name(name: &str) -> bool {
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return false;
    }
    let local = name.rsplit(':').next().unwrap_or(name).trim_end_matches(|c: char| c.is_ascii_digit());
    let mut key: String = local.chars().filter(|c| c.is_ascii_alphanumeric()).map(|c| c.to_ascii_lowercase()).collect();
    if key.len() > 4 && key.ends_with('s') {
        key.pop();
    }
    TAGS.binary_search(&key.as_str()).is_ok()
}

/// Where the `>` is that ends the attributes at the beginning of `rest`.
fn attributes_bytes(rest: &str) -> Option<usize> {
    rest.bytes().take(TAG_BYTES_MAX).position(|b| b == b'>')
}

/// Length of the special token in square brackets that `rest` begins with.
fn bracketed_bytes(rest: &str) -> Option<usize> {
    let inner = rest.get(1..)?;
    let inner = inner.strip_prefix('/').unwrap_or(inner);
    let name_bytes = inner.bytes().take_while(|b| b.is_ascii_alphabetic() || *b == b'_').take(NAME_BYTES_MAX).count();
    let is_token = inner.get(..name_bytes).is_some_and(|name| BRACKETED.binary_search(&name).is_ok());
    (is_token && inner.as_bytes().get(name_bytes) == Some(&b']')).then(|| rest.len() - inner.len() + name_bytes + 1)
}

/// Length of the tag between triangles that `rest` begins with: Kimi writes `◁think▷`.
fn triangles_bytes(rest: &str) -> Option<usize> {
    let inner = rest.strip_prefix('◁')?;
    let inner = inner.strip_prefix('/').unwrap_or(inner);
    let name_bytes = inner.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').take(NAME_BYTES_MAX).count();
    let is_tag = inner.get(..name_bytes).is_some_and(is_tag_name) && inner.get(name_bytes..).is_some_and(|after| after.starts_with('▷'));
    is_tag.then(|| rest.len() - inner.len() + name_bytes + '▷'.len_utf8())
}

fn harmless(c: char) -> char {
    match c {
        '<' | '◁' => '‹',
        '>' | '▷' => '›',
        '[' => '⟦',
        ']' => '⟧',
        '【' => '〖',
        '】' => '〗',
        '†' => '‡',
        '\u{7F}' => '␡',
        // The pictures of the control characters are in their order.
        '\0'..='\u{1F}' => char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{FFFD}'),
        other => other,
    }
}

#[cfg(test)]
mod tests;
