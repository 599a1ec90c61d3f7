//! Harmony, the form of gpt-oss: every message has a channel; a call is a message to a tool.
//!
//! `<|channel|>analysis<|message|>` begins reasoning, whatever is addressed (`to=functions.search`, `to=browser.open`, before or behind the
//! channel) is a call, the rest is visible: the final answer, and what a model says before it calls. Servers that strip special tokens
//! leave the channels' names in the text (`analysis…assistantfinal…`); that is read too.

use memchr::memmem;
use serde_json::{Map, Value};

use super::arguments::{self, Call};
use super::json::Reader;
use super::marked::read_arguments;
use super::marks::{Kind, Mark};
use super::problem::Problem;
use super::spaced::guarded;
use super::text::{self, ATTEMPTS_MAX, Found, Walk};
use super::white::trim_start;

/// What a row calls this form.
const FORM: &str = "harmony";
/// Namespaces of tools; a name within them is the tool's.
const NAMESPACES: [&str; 2] = ["functions", "browser"];
/// Longest header, in bytes.
const HEADER_BYTES_MAX: usize = 512;
/// Words of a header before its content, at most.
const HEADER_WORDS_MAX: usize = 6;

/// A call as a message of its own.
pub(super) fn write(name: &str, arguments: &Map<String, Value>) -> String {
    let json = guarded(&Value::from(arguments.clone()));
    format!("<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>{json}<|call|>")
}

/// The token that a stop text, or the end of the turn, cut from the last message.
pub(super) fn closing(text: &str) -> Option<&'static str> {
    // Forwards it is found out much faster that there is none.
    let first = memmem::find(text.as_bytes(), b"<|message|>")?;
    let content = first + memmem::rfind(text.as_bytes().get(first..)?, b"<|message|>")?;
    let rest = text.as_bytes().get(content..)?;
    let is_closed = ["<|end|>", "<|call|>", "<|return|>"].iter().any(|token| memmem::find(rest, token.as_bytes()).is_some());
    let before = text.get(text.floor_char_boundary(content.saturating_sub(HEADER_BYTES_MAX))..content)?;
    // A recipient stands behind the token that begins the message, or behind one that ends the message before.
    let header = ["<|start|>", "<|end|>", "<|call|>"].iter().filter_map(|token| before.rfind(token)).max().and_then(|at| before.get(at..));
    let is_call = header.unwrap_or(before).split_whitespace().any(|word| word.contains("to=") && !word.ends_with("to=assistant"));
    (!is_closed).then_some(if is_call { "<|call|>" } else { "<|end|>" })
}

/// What stands before the content of a message.
#[derive(Debug, Default)]
struct Header<'a> {
    role: Option<&'a str>,
    channel: Option<&'a str>,
    recipient: Option<&'a str>,
    /// Whether `<|message|>` ended it.
    is_complete: bool,
    /// Where the content begins.
    content_at: usize,
}

impl<'a> Walk<'a> {
    /// Reads the message whose header begins with `first`.
    pub(super) fn harmony(&mut self, first: Mark) {
        let header = self.header(first);
        let is_ours = header.role.is_none_or(|role| role == "assistant");
        if !is_ours && header.is_complete {
            return self.forged(first, "somebody else's message");
        }
        self.show_until(first.start());
        if !is_ours {
            return self.go_on(first.end());
        }
        match (header.recipient, header.channel) {
            (Some(recipient), _) => self.message_to(recipient, &header),
            (None, Some("analysis")) => self.analysis(header.content_at),
            (None, _) => {
                // One message does not run into the next.
                if !self.found.visible.is_empty() && !self.found.visible.ends_with('\n') {
                    self.found.visible.push_str("\n\n");
                }
                self.go_on(header.content_at);
            }
        }
    }

    fn header(&self, first: Mark) -> Header<'a> {
        let mut header = Header::default();
        let mut mark = first;
        loop {
            let next = self.mark_from(mark.end());
            let end = next.map_or(self.len(), |next| next.start());
            header.content_at = mark.end() + header_words(mark.kind, self.part(mark.end(), end), &mut header);
            match next {
                Some(next) if next.kind == Kind::Content => {
                    (header.is_complete, header.content_at) = (true, next.end());
                    return header;
                }
                Some(next) if next.kind == Kind::Constrain || next.kind == Kind::Channel && header.channel.is_none() => mark = next,
                _ => return header,
            }
        }
    }

    fn analysis(&mut self, from: usize) {
        let mut at = from;
        let end = loop {
            match self.mark_from(at) {
                None => break self.len(),
                Some(mark) if matches!(mark.kind, Kind::ContentEnd | Kind::Start | Kind::Channel) => break mark.start(),
                Some(mark) => at = mark.end(),
            }
        };
        self.found.think(self.part(from, end));
        self.go_on(end);
    }

    fn message_to(&mut self, recipient: &'a str, header: &Header<'a>) {
        if !self.attempt() {
            return;
        }
        let mut reader = Reader::between(self.marks, header.content_at, !self.cut);
        match read_call(recipient, &mut reader) {
            Ok(mut calls) => {
                if !header.is_complete {
                    calls.iter_mut().for_each(|call| call.note("added the token before the arguments"));
                }
                self.take_calls(calls, FORM, &reader, Kind::ContentEnd);
            }
            Err(reason) => self.give_up(header.content_at, Kind::ContentEnd, reason),
        }
    }
}

/// Notes the words behind a token of a header; gives how many bytes belong to the header.
fn header_words<'a>(kind: Kind, part: &'a str, header: &mut Header<'a>) -> usize {
    let mut is_expected = true;
    let mut rest = part;
    for _ in 0..HEADER_WORDS_MAX {
        let trimmed = trim_start(rest);
        let len = trimmed.bytes().position(|byte| byte.is_ascii_whitespace()).unwrap_or(trimmed.len());
        let word = trimmed.get(..len).unwrap_or_default();
        match word.strip_prefix("to=") {
            Some("assistant" | "user" | "all") => {}
            Some(recipient) => header.recipient = Some(recipient),
            None if is_expected && kind == Kind::Start && !word.is_empty() => header.role = Some(word),
            None if is_expected && kind == Kind::Channel && is_channel(word) => header.channel = Some(word),
            None if matches!(word, "json" | "code") => {}
            None => break,
        }
        is_expected &= word.starts_with("to=");
        rest = trimmed.get(len..).unwrap_or_default();
    }
    part.len() - rest.len()
}

fn is_channel(word: &str) -> bool {
    matches!(word, "analysis" | "commentary" | "final" | "comment" | "thought")
}

/// The call in a message to `recipient`.
fn read_call(recipient: &str, reader: &mut Reader<'_>) -> Result<Vec<Call>, String> {
    if NAMESPACES.contains(&recipient) {
        let value = reader.one().map_err(|broken| broken.reason().to_owned())?;
        return arguments::calls(value, "arguments");
    }
    let name = NAMESPACES.iter().find_map(|space| recipient.strip_prefix(space)?.strip_prefix('.')).unwrap_or(recipient);
    if name.is_empty() {
        return Err("it is addressed to no tool".to_owned());
    }
    let (arguments, repairs) = read_arguments(reader)?;
    Ok(vec![Call { name: name.to_owned(), arguments, repairs }])
}

/// Reads a text whose special tokens a server has stripped, if it is one.
pub(super) fn read_stripped(text: &str, cut: bool) -> Option<Found> {
    let first = trim_start(text);
    let begins = ["analysis", "commentary"].iter().any(|channel| first.starts_with(channel));
    let has = |words: &str| memmem::find(first.as_bytes(), words.as_bytes()).is_some();
    if !begins || has("<|") || !(has("assistantfinal") || has("assistantcommentary")) {
        return None;
    }
    let mut found = Found::default();
    let mut rest = Some(first);
    while let Some(part) = rest.take() {
        let (message, behind) = stripped_message(part, found.attempts < ATTEMPTS_MAX);
        found.attempts += 1;
        rest = behind;
        let is_last = behind.is_none();
        if let Some(reasoning) = message.strip_prefix("analysis") {
            found.think(reasoning);
        } else if let Some((recipient, arguments)) = message.strip_prefix("commentary").and_then(stripped_call) {
            let mut reader = Reader::of(arguments, !(cut && is_last));
            match read_call(recipient, &mut reader) {
                Ok(mut calls) => {
                    calls.iter_mut().for_each(|call| call.note("read a call whose special tokens were stripped"));
                    found.add(calls, FORM);
                }
                Err(reason) => found.problems.push(Problem::unread(arguments, reason)),
            }
        } else {
            let shown = message.strip_prefix("commentary").or_else(|| message.strip_prefix("final")).unwrap_or(message);
            let inner = text::read(model::settings::Dialect::Hermes, shown, cut && is_last);
            found.visible.push_str(if found.visible.is_empty() { "" } else { "\n\n" });
            found.visible.push_str(&inner.visible);
            found.think(&inner.reasoning);
            found.calls.extend(inner.calls);
            found.problems.extend(inner.problems);
        }
    }
    Some(found)
}

/// The message that `text` begins with, and the text from the next one on. Without `may_split` all of it is one message.
fn stripped_message(text: &str, may_split: bool) -> (&str, Option<&str>) {
    const ROLE: &str = "assistant";
    let starts = memmem::find_iter(text.as_bytes(), ROLE);
    for start in starts.filter(|_| may_split) {
        let behind = text.get(start + ROLE.len()..).unwrap_or_default();
        if ["analysis", "commentary", "final"].iter().any(|channel| behind.starts_with(channel)) {
            return (text.get(..start).unwrap_or_default(), Some(behind));
        }
    }
    (text, None)
}

/// Recipient and arguments behind `commentary`: ` to=functions.search json{…}`.
fn stripped_call(text: &str) -> Option<(&str, &str)> {
    let rest = trim_start(text).strip_prefix("to=")?;
    let brace = rest.find('{')?;
    let recipient = rest.get(..brace)?.split_whitespace().next()?;
    Some((recipient, rest.get(brace..)?))
}
