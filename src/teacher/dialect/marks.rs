//! Where the marks of a text stand: tags and special tokens of every dialect.
//!
//! They are found one after another and never collected, so that a text of nothing but marks costs one look at each. What they mean
//! together is decided by the readers of the forms.

mod elements;
mod tokens;

use memchr::{memchr, memchr2, memmem};
use tokens::{OF_TOKEN, bracketed, token};

/// Tools that have tags of their own.
const TOOLS: [&str; 2] = ["web_search", "crawl_page"];
/// Bytes that are looked at one by one before a search begins.
const NEAR_BYTES: usize = 8;
/// The bar that DeepSeek's special tokens have in place of `|`.
const WIDE_BAR: &[u8] = "｜".as_bytes();

/// Behind this byte no mark is looked for: no completion is nearly as long.
const PLACE_MAX: usize = u32::MAX as usize;

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
    /// DeepSeek, Kimi: all calls begin and end, one begins, its arguments begin, it ends.
    SectionOpen,
    SectionClose,
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

/// A mark and its place. No larger than a word, so that it is handed on in a register: hostile text is all marks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    start: u32,
    len: u16,
    pub(super) kind: Kind,
}

const _: () = assert!(size_of::<Option<Mark>>() <= size_of::<u64>());

impl Kind {
    /// Whether it stands within a call only, before its arguments.
    pub(super) fn is_before_arguments(self) -> bool {
        matches!(self, Self::Separator | Self::ArgumentsOpen | Self::Arguments | Self::CallId)
    }
}

impl Mark {
    pub(super) fn new(kind: Kind, start: usize, end: usize) -> Self {
        let len = u16::try_from(end - start).unwrap_or(u16::MAX);
        Self { start: u32::try_from(start).unwrap_or(u32::MAX), len, kind }
    }

    /// Byte offset of its first byte.
    pub(super) fn start(self) -> usize {
        self.start as usize
    }

    /// Byte offset after its last byte.
    pub(super) fn end(self) -> usize {
        self.start() + usize::from(self.len)
    }
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

    #[inline]
    pub(super) fn text(&self) -> &'a str {
        self.text
    }

    /// Whether tokens in square brackets are marks.
    pub(super) fn is_mistral(&self) -> bool {
        self.is_mistral
    }

    /// The first mark that begins at `from` or behind.
    #[inline]
    pub(super) fn next(&self, from: usize) -> Option<Mark> {
        self.next_before(from, self.text.len())
    }

    /// The first mark that begins at `from` or behind, and before `to`.
    pub(super) fn next_before(&self, from: usize, to: usize) -> Option<Mark> {
        let found = self.search(from, to);
        #[cfg(test)]
        looked_at::add(found.map_or(to, Mark::end).saturating_sub(from));
        found
    }

    #[inline]
    fn search(&self, from: usize, to: usize) -> Option<Mark> {
        let bytes = self.text.as_bytes().get(..to.min(PLACE_MAX))?;
        let mut at = from;
        // Looking at a few bytes first spares a search at each bracket of a text that is full of them.
        let mut near_end = at + NEAR_BYTES;
        loop {
            match bytes.get(at)? {
                byte if *byte == b'<' || *byte == b'[' && self.is_mistral => {
                    if let Some(mark) = self.at(at) {
                        return Some(mark);
                    }
                    at += 1;
                    near_end = at + NEAR_BYTES;
                }
                _ if at < near_end => at += 1,
                _ => {
                    let rest = bytes.get(at..)?;
                    at += if self.is_mistral { memchr2(b'<', b'[', rest)? } else { memchr(b'<', rest)? };
                }
            }
        }
    }

    /// The mark that begins at `start`.
    #[inline]
    pub(super) fn at(&self, start: usize) -> Option<Mark> {
        let rest = self.text.as_bytes().get(start..)?;
        let [bracket, second, third, ..] = rest else { return None };
        match bracket {
            b'<' if ANGLED.has(*second, *third) => self.angled(start, rest),
            b'[' if self.is_mistral && SQUARE.has(*second, *third) => bracketed(start, rest),
            _ => None,
        }
    }

    fn angled(&self, start: usize, rest: &[u8]) -> Option<Mark> {
        match rest.get(1)? {
            b'|' => behind_bar(start, rest, 2),
            0xEF if rest.get(3) == Some(&WIDE_BAR[2]) => behind_bar(start, rest, 1 + WIDE_BAR.len()),
            0xEF => None,
            b' ' => elements::prefixed(start, rest),
            b'/' if !rest.get(2)?.is_ascii_alphabetic() => elements::prefixed(start, rest),
            // Of a name two bytes are looked at here too.
            b'/' if !ANGLED.has(*rest.get(2)?, *rest.get(3)?) => None,
            b'/' => self.tag(start, rest, 2),
            _ => self.tag(start, rest, 1),
        }
    }

    /// `<name>` or `</name>`, whose name begins at `from` within `rest`.
    fn tag(&self, start: usize, rest: &[u8], from: usize) -> Option<Mark> {
        let closes = from == 2;
        let inner = rest.get(from..)?;
        let is = |name: &str| inner.strip_prefix(name.as_bytes()).is_some_and(|behind| behind.first() == Some(&b'>'));
        // Models shout a tool's name at times, and nothing else can be meant by it.
        let is_tool = |name: &str| {
            let written = inner.get(..name.len());
            written.is_some_and(|written| written.eq_ignore_ascii_case(name.as_bytes())) && inner.get(name.len()) == Some(&b'>')
        };
        let pair = |open: Kind, close: Kind| if closes { close } else { open };
        let (name, kind) = match inner.first()? {
            b't' if is("think") => ("think", pair(Kind::ThinkOpen, Kind::ThinkClose)),
            b't' if is("tool_call") => ("tool_call", pair(Kind::CallOpen, Kind::CallClose)),
            b't' if is("tool_response") => ("tool_response", pair(Kind::ResponseOpen, Kind::ResponseClose)),
            b'f' if closes && is("function") => ("function", Kind::FunctionClose),
            b'f' if !closes => return elements::function(start, rest),
            b'p' if is("plan") => ("plan", Kind::Protocol),
            b'p' if closes && is("parameter") => ("parameter", Kind::ParameterClose),
            b'p' if !closes => return elements::parameter(start, rest),
            b'w' | b'W' if is_tool("web_search") => ("web_search", pair(Kind::ToolOpen, Kind::ToolClose)),
            b'c' | b'C' if is_tool("crawl_page") => ("crawl_page", pair(Kind::ToolOpen, Kind::ToolClose)),
            b'o' if is("observation") => ("observation", pair(Kind::ObservationOpen, Kind::ObservationClose)),
            b's' if self.is_mistral && is("s") => ("s", Kind::Token),
            b's' => {
                let name = ["subtask", "subtask_list", "subtask_answer", "suggested_answer"].into_iter().find(|name| is(name))?;
                (name, Kind::Protocol)
            }
            _ => return None,
        };
        Some(Mark::new(kind, start, start + from + name.len() + 1))
    }

    /// The name in a function's or parameter's tag, or of the tool whose tag it is; of other marks nothing.
    pub(super) fn name(&self, mark: Mark) -> &'a str {
        let tag = self.written(mark).trim_matches(['<', '/', '>']);
        match mark.kind {
            Kind::FunctionOpen | Kind::ParameterOpen => elements::name(tag),
            Kind::ToolOpen | Kind::ToolClose => TOOLS.into_iter().find(|tool| tool.eq_ignore_ascii_case(tag)).unwrap_or_default(),
            _ => "",
        }
    }

    /// Whether the parameter that a prefixed tag opens says that it is a text, or that it is none.
    pub(super) fn is_text(&self, open: Mark) -> Option<bool> {
        elements::attribute(self.written(open), "string").map(|value| value == "true")
    }

    /// The mark itself.
    pub(super) fn written(&self, mark: Mark) -> &'a str {
        self.text.get(mark.start()..mark.end()).unwrap_or_default()
    }
}

/// Where the first `byte` stands. Looks at a few bytes first, which spares a search in a text that is full of them.
pub(super) fn find_near(byte: u8, bytes: &[u8]) -> Option<usize> {
    let near = bytes.iter().take(NEAR_BYTES).position(|other| *other == byte);
    near.or_else(|| Some(NEAR_BYTES + memchr(byte, bytes.get(NEAR_BYTES..)?)?))
}

/// A special token or an element with a prefix, whose first bar ends at `from` within `rest`.
fn behind_bar(start: usize, rest: &[u8], from: usize) -> Option<Mark> {
    let behind = rest.get(from..)?;
    match behind.first()? {
        b'<' => None,
        b'D' if behind.starts_with(&elements::PREFIX) => elements::prefixed(start, rest),
        b' ' => elements::prefixed(start, rest).or_else(|| token(start, rest, from)),
        _ if tokens::bar(behind) > 0 => elements::prefixed(start, rest),
        _ => token(start, rest, from),
    }
}

/// Which two bytes a mark may have behind its first.
struct Beginnings([[u64; 4]; 256]);

impl Beginnings {
    #[inline]
    fn has(&self, second: u8, third: u8) -> bool {
        self.0[usize::from(second)][usize::from(third / 64)] >> (third % 64) & 1 == 1
    }

    const fn add(&mut self, second: u8, third: u8) {
        self.0[second as usize][(third / 64) as usize] |= 1 << (third % 64);
    }
}

/// Those of marks in angle brackets. Hostile text is full of brackets, and of nearly all of them no more is looked at.
static ANGLED: Beginnings = {
    let mut angled = Beginnings([[0; 4]; 256]);
    let tags = [b"th", b"to", b"fu", b"pa", b"pl", b"we", b"We", b"wE", b"WE", b"cr", b"Cr", b"cR", b"CR", b"ob", b"su", b"s>"];
    let mut tag = 0;
    while tag < tags.len() {
        angled.add(tags[tag][0], tags[tag][1]);
        angled.add(b'/', tags[tag][0]);
        tag += 1;
    }
    let mut byte = 0;
    while byte < 256 {
        if byte >= 0x80 || OF_TOKEN[byte] {
            angled.add(b'|', byte as u8);
        }
        byte += 1;
    }
    angled.add(WIDE_BAR[0], WIDE_BAR[1]);
    // `<||`, `< |`, `</|`, `</ |`
    let mut pair = 0;
    while pair < 2 {
        let bar = [b'|', WIDE_BAR[0]][pair];
        angled.add(b'|', bar);
        angled.add(b' ', bar);
        angled.add(b'/', bar);
        pair += 1;
    }
    angled.add(b'/', b' ');
    angled
};

/// Those of Mistral's tokens.
static SQUARE: Beginnings = {
    let mut square = Beginnings([[0; 4]; 256]);
    let tokens = [b"TO", b"TH", b"AR", b"AV", b"BO", b"CA", b"EO", b"IN", b"MO", b"SY", b"/T", b"/A", b"/I", b"/M", b"/S"];
    let mut token = 0;
    while token < tokens.len() {
        square.add(tokens[token][0], tokens[token][1]);
        token += 1;
    }
    square
};

/// How many bytes this thread has looked at in search of marks, for tests of how that grows.
#[cfg(test)]
pub(super) mod looked_at {
    use std::cell::Cell;

    thread_local! {
        static BYTES: Cell<usize> = const { Cell::new(0) };
    }

    pub(super) fn add(bytes: usize) {
        BYTES.set(BYTES.get() + bytes);
    }

    /// The count, which begins anew.
    pub(in super::super) fn take() -> usize {
        BYTES.take()
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
            found.push((mark.kind, text.get(mark.start()..mark.end()).expect("a part of the text")));
            at = mark.end();
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
