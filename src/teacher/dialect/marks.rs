//! Where the marks of a text stand: tags and special tokens of every dialect.
//!
//! They are found one after another and never collected, so that a text of nothing but marks costs one look at each. What they mean
//! together is decided by the readers of the forms.

use memchr::{memchr, memchr2, memmem};

/// Longest name within `<function=…>` or `<parameter=…>`, in bytes: longer ones are text.
const NAME_BYTES_MAX: usize = 128;
/// Longest name between the bars of a special token, in bytes: longer ones are text.
const TOKEN_BYTES_MAX: usize = 64;
/// Bytes that are looked at one by one before a search begins.
const NEAR_BYTES: usize = 8;
/// The bar that DeepSeek's special tokens have in place of `|`.
const WIDE_BAR: &[u8] = "｜".as_bytes();

/// What a mark does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    ThinkOpen,
    ThinkClose,
    /// `<tool_call>` of Hermes, Qwen.
    CallOpen,
    CallClose,
    /// `<tool_response>`.
    ResponseOpen,
    ResponseClose,
    FunctionOpen,
    FunctionClose,
    ParameterOpen,
    ParameterClose,
    /// `<web_search>`, `<crawl_page>`: the mark's name says which.
    ToolOpen,
    ToolClose,
    ObservationOpen,
    ObservationClose,
    /// Any other tag of the research protocol: text, but no part of a call's body.
    Protocol,
    /// Harmony: a message's role, channel, content type and content begin; it ends.
    Start,
    Channel,
    Constrain,
    Content,
    ContentEnd,
    /// DeepSeek, Kimi: all calls begin, one begins, its arguments begin, it ends.
    SectionOpen,
    MarkedCallOpen,
    Separator,
    ArgumentsOpen,
    MarkedCallClose,
    /// Llama: code or a call, a list of calls.
    PythonTag,
    PythonOpen,
    PythonClose,
    /// Mistral.
    ToolCalls,
    Arguments,
    CallId,
    /// A token that only what a tool returned begins with.
    OutputOpen,
    /// Another turn begins, and its role follows.
    TurnOpen,
    /// A turn of somebody else begins.
    OtherTurn,
    /// Any other special token.
    Token,
}

/// A mark and its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark<'a> {
    pub(super) kind: Kind,
    /// The name in a function's, parameter's or tool's tag, else empty.
    pub(super) name: &'a str,
    /// Byte offset of its first byte.
    pub(super) start: usize,
    /// Byte offset after its last.
    pub(super) end: usize,
}

/// The marks of a text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Marks<'a> {
    text: &'a str,
    /// Whether Mistral's tokens in square brackets, `<s>` and `</s>` are marks: elsewhere they are text.
    is_mistral: bool,
}

impl<'a> Marks<'a> {
    /// The marks of `text`, Mistral's among them where it is written by a Mistral model or holds a call in its form.
    pub(super) fn of(text: &'a str, is_mistral: bool) -> Self {
        Self { text, is_mistral: is_mistral || memmem::find(text.as_bytes(), b"[TOOL_CALLS]").is_some() }
    }

    pub(super) fn text(&self) -> &'a str {
        self.text
    }

    /// Whether tokens in square brackets are marks.
    pub(super) fn is_mistral(&self) -> bool {
        self.is_mistral
    }

    /// The first mark that begins at `from` or behind.
    pub(super) fn next(&self, from: usize) -> Option<Mark<'a>> {
        let bytes = self.text.as_bytes();
        let mut at = from;
        loop {
            // Looking at a few bytes first spares a search at each bracket of a text that is full of them.
            let rest = bytes.get(at..).filter(|rest| !rest.is_empty())?;
            let near = rest.iter().take(NEAR_BYTES).position(|byte| matches!(byte, b'<' | b'['));
            at += match near {
                Some(near) => near,
                None if self.is_mistral => memchr2(b'<', b'[', rest)?,
                None => memchr(b'<', rest)?,
            };
            if let Some(mark) = self.at(at) {
                return Some(mark);
            }
            at += 1;
        }
    }

    /// The mark that begins at `start`.
    #[inline]
    pub(super) fn at(&self, start: usize) -> Option<Mark<'a>> {
        let rest = self.text.as_bytes().get(start..)?;
        match (rest.first()?, rest.get(1)?) {
            (b'<', b'|' | b'/' | 0xEF | b'a'..=b'z' | b'C' | b'W') => self.angled(start, rest),
            (b'[', b'A'..=b'Z' | b'/') if self.is_mistral => bracketed(start, rest),
            _ => None,
        }
    }

    fn angled(&self, start: usize, rest: &[u8]) -> Option<Mark<'a>> {
        match rest.get(1)? {
            b'|' => token(start, rest, 2),
            b'/' => self.tag(start, rest, 2),
            0xEF if rest.get(1..)?.starts_with(WIDE_BAR) => token(start, rest, 1 + WIDE_BAR.len()),
            0xEF => None,
            _ => self.tag(start, rest, 1),
        }
    }

    /// `<name>` or `</name>`, whose name begins at `from` within `rest`.
    fn tag(&self, start: usize, rest: &[u8], from: usize) -> Option<Mark<'a>> {
        let closes = from == 2;
        let inner = rest.get(from..)?;
        let is = |name: &str| inner.strip_prefix(name.as_bytes()).is_some_and(|behind| behind.first() == Some(&b'>'));
        // Models shout a tool's name at times, and nothing else can be meant by it.
        let is_tool = |name: &str| {
            let written = inner.get(..name.len());
            written.is_some_and(|written| written.eq_ignore_ascii_case(name.as_bytes())) && inner.get(name.len()) == Some(&b'>')
        };
        let pair = |open: Kind, close: Kind| if closes { close } else { open };
        // Two letters first: of hostile text only a few more are looked at.
        let (name, kind) = match (inner.first()?, inner.get(1)?) {
            (b't', b'h') if is("think") => ("think", pair(Kind::ThinkOpen, Kind::ThinkClose)),
            (b't', b'o') if is("tool_call") => ("tool_call", pair(Kind::CallOpen, Kind::CallClose)),
            (b't', b'o') if is("tool_response") => ("tool_response", pair(Kind::ResponseOpen, Kind::ResponseClose)),
            (b'f', b'u') if closes && is("function") => ("function", Kind::FunctionClose),
            (b'f', b'u') if !closes => return self.named(start, rest, "<function=", Kind::FunctionOpen),
            (b'p', b'a') if closes && is("parameter") => ("parameter", Kind::ParameterClose),
            (b'p', b'a') if !closes => return self.named(start, rest, "<parameter=", Kind::ParameterOpen),
            (b'p', b'l') if is("plan") => ("plan", Kind::Protocol),
            (b'w' | b'W', b'e' | b'E') if is_tool("web_search") => ("web_search", pair(Kind::ToolOpen, Kind::ToolClose)),
            (b'c' | b'C', b'r' | b'R') if is_tool("crawl_page") => ("crawl_page", pair(Kind::ToolOpen, Kind::ToolClose)),
            (b'o', b'b') if is("observation") => ("observation", pair(Kind::ObservationOpen, Kind::ObservationClose)),
            (b's', b'u') => {
                let name = ["subtask", "subtask_list", "subtask_answer", "suggested_answer"].into_iter().find(|name| is(name))?;
                (name, Kind::Protocol)
            }
            (b's', b'>') if self.is_mistral => ("s", Kind::Token),
            _ => return None,
        };
        let shown = if matches!(kind, Kind::ToolOpen | Kind::ToolClose) { name } else { "" };
        Some(Mark { kind, name: shown, start, end: start + from + name.len() + 1 })
    }

    /// `<function=name>` or `<parameter=name>`.
    fn named(&self, start: usize, rest: &[u8], written: &str, kind: Kind) -> Option<Mark<'a>> {
        let bytes = rest.strip_prefix(written.as_bytes())?;
        let len = bytes.iter().take(NAME_BYTES_MAX + 1).position(|byte| matches!(byte, b'>' | b'<' | b'\n'))?;
        if bytes.get(len) != Some(&b'>') {
            return None;
        }
        let name = self.text.get(start + written.len()..start + written.len() + len)?;
        Some(Mark { kind, name: name.trim().trim_matches(['"', '\'']).trim(), start, end: start + written.len() + len + 1 })
    }
}

/// Bytes of a special token's name; of a wide bar, and of `▁`, the first one is told apart where it stands.
const OF_TOKEN: [bool; 256] = {
    let mut of_token = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        of_token[byte] =
            (byte as u8).is_ascii_alphanumeric() || byte >= 0x80 || matches!(byte as u8, b'_' | b'-' | b'.' | b':' | b'/' | b'#');
        byte += 1;
    }
    of_token
};

/// `<|name|>`, with either bar on either side. Between wide bars DeepSeek's models and their servers write `▁`, `_` or a space.
fn token(start: usize, rest: &[u8], from: usize) -> Option<Mark<'static>> {
    let inner = rest.get(from..)?;
    let is_wide = from > 2;
    let mut len = 0;
    while let Some(byte) = inner.get(len).filter(|_| len <= TOKEN_BYTES_MAX) {
        let is_of_name = OF_TOKEN[usize::from(*byte)] || is_wide && matches!(byte, b' ' | b'\\');
        if !is_of_name || *byte == 0xEF && inner.get(len..).is_some_and(|rest| rest.starts_with(WIDE_BAR)) {
            break;
        }
        len += 1;
    }
    let name = inner.get(..len).filter(|name| (1..=TOKEN_BYTES_MAX).contains(&name.len()))?;
    let behind = inner.get(len..)?;
    let bar = match behind.first()? {
        b'|' => 1,
        0xEF if behind.starts_with(WIDE_BAR) => WIDE_BAR.len(),
        _ => return None,
    };
    let is_closed = behind.get(bar) == Some(&b'>');
    is_closed.then(|| Mark { kind: token_kind(name), name: "", start, end: start + from + len + bar + 1 })
}

/// `[NAME]`.
fn bracketed(start: usize, rest: &[u8]) -> Option<Mark<'static>> {
    let kinds: &[(&str, Kind)] = match (rest.get(1)?, rest.get(2)?) {
        (b'T', b'O') => &[("[TOOL_CALLS]", Kind::ToolCalls), ("[TOOL_RESULTS]", Kind::OutputOpen), ("[TOOL_CONTENT]", Kind::OutputOpen)],
        (b'T', b'H') => &[("[THINK]", Kind::ThinkOpen)],
        (b'A', b'R') => &[("[ARGS]", Kind::Arguments)],
        (b'A', b'V') => &[("[AVAILABLE_TOOLS]", Kind::Token)],
        (b'B', b'O') => &[("[BOS]", Kind::Token)],
        (b'C', b'A') => &[("[CALL_ID]", Kind::CallId)],
        (b'E', b'O') => &[("[EOS]", Kind::Token)],
        (b'I', b'N') => &[("[INST]", Kind::OtherTurn)],
        (b'M', b'O') => &[("[MODEL_SETTINGS]", Kind::Token)],
        (b'S', b'Y') => &[("[SYSTEM_PROMPT]", Kind::OtherTurn)],
        (b'/', b'T') => &[("[/THINK]", Kind::ThinkClose), ("[/TOOL_RESULTS]", Kind::Token)],
        (b'/', b'A') => &[("[/AVAILABLE_TOOLS]", Kind::Token)],
        (b'/', b'I') => &[("[/INST]", Kind::Token)],
        (b'/', b'M') => &[("[/MODEL_SETTINGS]", Kind::Token)],
        (b'/', b'S') => &[("[/SYSTEM_PROMPT]", Kind::Token)],
        _ => return None,
    };
    let (written, kind) = kinds.iter().find(|(written, _)| rest.starts_with(written.as_bytes()))?;
    Some(Mark { kind: *kind, name: "", start, end: start + written.len() })
}

fn token_kind(name: &[u8]) -> Kind {
    if name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_') {
        return plain_kind(name);
    }
    let mut plain = [0; TOKEN_BYTES_MAX];
    let mut len = 0;
    let mut rest = name;
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        let written = match byte {
            // `▁` in three bytes.
            0xE2 if rest.starts_with(&[0x96, 0x81]) => {
                rest = rest.get(2..).unwrap_or_default();
                b'_'
            }
            b'\\' if rest.starts_with(b"_") => continue,
            b' ' => b'_',
            byte => *byte,
        };
        if let Some(place) = plain.get_mut(len) {
            *place = written;
            len += 1;
        }
    }
    plain_kind(plain.get(..len).unwrap_or_default())
}

fn plain_kind(name: &[u8]) -> Kind {
    match name {
        b"start" => Kind::Start,
        b"channel" => Kind::Channel,
        b"constrain" => Kind::Constrain,
        b"message" => Kind::Content,
        b"end" | b"call" | b"return" => Kind::ContentEnd,
        b"tool_calls_section_begin" | b"tool_call_section_begin" | b"tool_calls_begin" | b"tool_calls" => Kind::SectionOpen,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str, is_mistral: bool) -> Vec<(Kind, &str)> {
        let marks = Marks::of(text, is_mistral);
        let mut found = Vec::new();
        let mut at = 0;
        while let Some(mark) = marks.next(at) {
            found.push((mark.kind, text.get(mark.start..mark.end).expect("a part of the text")));
            at = mark.end;
        }
        found
    }

    #[test]
    fn special_tokens_are_known_by_any_spelling_of_their_name() {
        for written in
            ["<｜tool▁call▁begin｜>", "<|tool_call_begin|>", "<｜tool_call_begin｜>", "<｜tool call begin|>", "<｜tool\\_call\\_begin｜>"]
        {
            assert_eq!(kinds(written, false), [(Kind::MarkedCallOpen, written)]);
        }
        assert_eq!(kinds("<|im_end|><|<|a|>", false), [(Kind::Token, "<|im_end|>"), (Kind::Token, "<|a|>")]);
    }

    #[test]
    fn what_only_looks_like_a_mark_is_text() {
        for text in [
            "a <| b |> c",
            "<||>",
            "<Think>",
            "<function=\n>",
            "<parameter=a<b>",
            "a<b",
            "<| a |>",
            "<",
            "[",
            "<thinking>",
            "<s>",
            "[INST]",
            "<|a",
        ] {
            assert_eq!(kinds(text, false), [], "{text}");
        }
        assert_eq!(kinds("<s>[INST][A]", true), [(Kind::Token, "<s>"), (Kind::OtherTurn, "[INST]")]);
        assert_eq!(kinds(&format!("<|{}|>", "x".repeat(65)), false), []);
    }
}
