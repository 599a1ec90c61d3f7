//! Calls of the tag protocol of O-Researcher: `<web_search>…</web_search>`, `<crawl_page>…</crawl_page>`.
//!
//! All other tags of the protocol stay in the text: recipes read them with `model::protocol`. A stop text cuts the closing tag of the last
//! call.

use model::settings::Dialect;
use model::{Action, Completion, FinishReason};
use serde_json::{Map, Value};

use super::arguments::Call;
use super::marks::{Kind, Mark};
use super::problem::Problem;
use super::protocol_arguments;
use super::text::{self, Walk};
use super::white::trim_end;
use super::{Reading, read};

/// What a row calls this form.
const FORM: &str = "tags";
/// What may be cut off a text by a stop text.
const STOPS: [(&str, &str); 4] = [
    ("<web_search>", "</web_search>"),
    ("<crawl_page>", "</crawl_page>"),
    ("<suggested_answer>", "</suggested_answer>"),
    ("<subtask_answer>", "</subtask_answer>"),
];
/// Bytes that are looked at together for the beginning of a tag.
const BLOCK_BYTES: usize = 64;
/// The tags that O-Researcher's parser knows.
const PEER_TAGS: [&str; 10] = [
    "think",
    "plan",
    "reflection",
    "suggested_answer",
    "answer",
    "wiki_search",
    "web_search",
    "code_execute",
    "crawl_page",
    "double_check",
];

/// The call between tags, if it is one of the protocol's and is read back as it is.
pub(super) fn write(name: &str, arguments: &Map<String, Value>) -> Option<String> {
    let (body, arguments) = protocol_arguments::write(name, arguments)?;
    let written = format!("<{name}>{body}</{name}>");
    let found = text::read(Dialect::Tags, &written, false);
    let is_read_back = matches!(found.calls.as_slice(), [call] if call.arguments == arguments && call.repairs.is_empty());
    is_read_back.then_some(written)
}

/// The closing tag that a stop text cut from the end. None where the text ends in one, and for what was only thought. One pass from the end.
pub(super) fn closing(text: &str) -> Option<&'static str> {
    let end = trim_end(text);
    if STOPS.iter().any(|(_, close)| end.ends_with(close)) {
        return None;
    }
    let bytes = text.as_bytes();
    let mut closed = [false; STOPS.len()];
    let mut from = bytes.len();
    while from > 0 {
        let to = from;
        from = to.saturating_sub(BLOCK_BYTES);
        if !may_begin_tag(bytes.get(from..to + 3).or_else(|| bytes.get(from..)).unwrap_or_default()) {
            continue;
        }
        for at in (from..to).rev() {
            let tag = bytes.get(at..).unwrap_or_default();
            match tag {
                [b'<', b'/', b't', ..] if tag.starts_with(b"</think>") => return None,
                [b'<', b'/', b'w' | b'c' | b's', ..] => {
                    for ((_, close), is_closed) in STOPS.iter().zip(&mut closed) {
                        *is_closed |= tag.starts_with(close.as_bytes());
                    }
                }
                [b'<', b'w' | b'c' | b's', ..] => {
                    let opened = STOPS.iter().zip(&closed).find(|((open, _), is_closed)| !**is_closed && tag.starts_with(open.as_bytes()));
                    if let Some(((_, close), _)) = opened {
                        return Some(close);
                    }
                }
                _ => {}
            }
        }
    }
    None
}

/// Whether a tag may begin within `block`, which is three bytes longer than where one may. Without branches, so that many bytes are
/// compared at once.
fn may_begin_tag(block: &[u8]) -> bool {
    let is_name = |first: u8, second: u8| {
        ((first == b'w') & (second == b'e')) | ((first == b'c') & (second == b'r')) | ((first == b's') & (second == b'u'))
    };
    block.windows(4).fold(false, |may, bytes| {
        let [bracket, second, third, fourth] = bytes else { return may };
        let closes = (*second == b'/') & (is_name(*third, *fourth) | ((*third == b't') & (*fourth == b'h')));
        may | ((*bracket == b'<') & (closes | is_name(*second, *third)))
    })
}

impl<'a> Walk<'a> {
    /// Reads the call that `open` opens. Where it is not the model's own form, only one that is closed is a call.
    pub(super) fn tool(&mut self, open: Mark) {
        let next = self.mark_from(open.end());
        let is_closed = next.is_some_and(|next| next.kind == Kind::ToolClose && self.marks.name(next) == self.marks.name(open));
        if self.dialect != Dialect::Tags && !is_closed {
            return self.pass(open);
        }
        self.show_until(open.start());
        if !self.attempt() {
            return;
        }
        let name = self.marks.name(open);
        let end = next.map_or(self.len(), |next| next.start());
        let body = self.part(open.end(), end);
        let read = if self.cut && next.is_none() {
            Err(format!("the token limit cut it before `</{name}>`"))
        } else {
            protocol_arguments::read(name, body)
        };
        match read {
            Ok((arguments, repairs)) => {
                let mut call = Call { name: name.to_owned(), arguments, repairs };
                let written = self.part(open.start(), open.end());
                if written != format!("<{name}>") {
                    call.note(format!("read `{written}` as `<{name}>`"));
                }
                if next.is_some() && !is_closed {
                    call.note(format!("closed `<{name}>`"));
                }
                self.add(call, FORM);
            }
            Err(reason) => self.found.problems.push(Problem::unread(self.part(open.start(), end), reason)),
        }
        self.go_on(next.filter(|next| next.kind == Kind::ToolClose).map_or(end, |next| next.end()));
    }
}

/// Reads a completion of the tag protocol as O-Researcher's own parser does, with all that it loses, and tells nothing: of several calls
/// the last one, of its arguments what its patterns match. Reasoning and text are read as ever.
pub fn read_tags_strictly(completion: &Completion) -> Reading {
    let mut reading = read(Dialect::Tags, completion);
    reading.problems.clear();
    reading.actions.clear();
    // The peer's loop throws away what no stop text ended.
    if completion.finish_reason == FinishReason::Stop {
        let text = format!("{}{}", completion.text, closing(&completion.text).unwrap_or_default());
        reading.actions.extend(last_pair(&text).and_then(|(tag, content)| action(tag, &content)));
    }
    reading
}

fn action(tag: &str, content: &str) -> Option<Action> {
    let arguments = protocol_arguments::read_strict(tag, content)?;
    let (id, tool, dialect) = (String::new(), tag.to_owned(), FORM.to_owned());
    Some(Action { id, tool, arguments, written: None, dialect, repairs: Vec::new(), unreadable: None })
}

/// The pair of tags that closes last, and what stands in it without the pairs within.
fn last_pair(text: &str) -> Option<(&'static str, String)> {
    let mut open: Vec<(&str, usize)> = Vec::new();
    let mut parts: Vec<&str> = Vec::new();
    let mut last = None;
    for segment in segments(text) {
        let Some((tag, closes)) = as_tag(segment) else {
            parts.push(segment);
            continue;
        };
        if !closes {
            open.push((tag, parts.len()));
        } else if let Some((opened, from)) = open.pop()
            && opened == tag
        {
            last = Some((tag, parts.drain(from..).collect::<String>().trim().to_owned()));
        }
    }
    last
}

/// The text cut before and behind every tag that the peer knows; blank segments left out.
fn segments(text: &str) -> impl Iterator<Item = &str> {
    let mut at = 0;
    let mut pending = None;
    std::iter::from_fn(move || {
        if let Some(tag) = pending.take() {
            return Some(tag);
        }
        let from = at;
        let mut search = from;
        loop {
            let Some(start) = memchr::memchr(b'<', text.as_bytes().get(search..)?).map(|step| search + step) else {
                at = text.len() + 1;
                return text.get(from..).filter(|rest| !rest.is_empty());
            };
            if let Some(len) = tag_len(text.get(start..)?) {
                at = start + len;
                let (before, tag) = (text.get(from..start)?, text.get(start..at)?);
                if before.is_empty() {
                    return Some(tag);
                }
                pending = Some(tag);
                return Some(before);
            }
            search = start + 1;
        }
    })
    .filter(|segment| !segment.trim().is_empty())
}

fn tag_len(rest: &str) -> Option<usize> {
    let inner = rest.strip_prefix('<')?;
    let name = inner.strip_prefix('/').unwrap_or(inner);
    let tag = PEER_TAGS.iter().find(|tag| name.strip_prefix(**tag).is_some_and(|behind| behind.starts_with('>')))?;
    Some(rest.len() - name.len() + tag.len() + 1)
}

/// The tag that a segment is. The peer compares what is left of it in lower case, so that an upper-case tag alone between two others
/// counts.
fn as_tag(segment: &str) -> Option<(&'static str, bool)> {
    /// Longest segment that can be a tag, in bytes.
    const TAG_BYTES_MAX: usize = 32;
    let name = segment.strip_prefix('<').filter(|_| segment.len() <= TAG_BYTES_MAX)?.trim_matches(['<', '>', '/']);
    let tag = PEER_TAGS.into_iter().find(|tag| tag.eq_ignore_ascii_case(name))?;
    Some((tag, segment.starts_with("</")))
}
