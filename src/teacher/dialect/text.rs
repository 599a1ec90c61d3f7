//! A text taken apart: reasoning, calls, what remains visible, and what cannot be read. One walk over its tags.

use model::Action;
use model::settings::Dialect;

use super::arguments::Call;
use super::function_tags;
use super::hermes::{self, Unread};
use super::tags::{self, Kind, Tag};

/// Most problems that are told one by one.
const PROBLEMS_MAX: usize = 8;
/// How much of an unreadable call is shown back, in characters.
const EXCERPT_CHARS: usize = 120;
/// How many tags may belong to a string within a call before it is given up. Bounds how often a part of the text is read.
const TAGS_WITHIN_MAX: usize = 3;

/// What a text consists of.
#[derive(Debug, Default)]
pub(super) struct Found<'a> {
    pub(super) reasoning: Vec<&'a str>,
    pub(super) visible: String,
    pub(super) calls: Vec<Action>,
    pub(super) problems: Vec<Problem>,
}

/// A part that must be told to the model.
#[derive(Debug)]
pub(super) enum Problem {
    /// A call that cannot be read: how it began, and why.
    Unread(String, String),
    /// Calls within reasoning that was never closed.
    CallWithinReasoning,
    /// A tool response that the model wrote itself.
    ForgedResponse,
}

impl Found<'_> {
    pub(super) fn problem(&mut self, written: String, reason: String) {
        self.problems.push(Problem::Unread(written.trim().chars().take(EXCERPT_CHARS).collect(), reason));
    }
}

/// The action of a call found in the text.
pub(super) fn action(call: Call, dialect: &str) -> Action {
    let Call { name, arguments, repairs } = call;
    Action { id: String::new(), tool: name, arguments, written: None, dialect: dialect.to_owned(), repairs, unreadable: None }
}

/// Takes `text` apart. `cut` says that the token limit ended it, so that nothing is guessed at its end.
pub(super) fn read(text: &str, cut: bool) -> Found<'_> {
    let mut walk = Walk { text, tags: tags::find(text), next: 0, position: 0, cut, found: Found::default() };
    walk.reasoning_without_opening();
    while let Some(tag) = walk.tags.get(walk.next).copied() {
        walk.step(tag);
    }
    walk.show_until(text.len());
    walk.found
}

struct Walk<'a> {
    text: &'a str,
    tags: Vec<Tag<'a>>,
    /// Index of the next tag.
    next: usize,
    /// Where the text that is not yet dealt with begins.
    position: usize,
    cut: bool,
    found: Found<'a>,
}

impl<'a> Walk<'a> {
    fn part(&self, from: usize, to: usize) -> &'a str {
        self.text.get(from..to).unwrap_or_default()
    }

    fn show_until(&mut self, end: usize) {
        let part = self.part(self.position, end);
        self.found.visible.push_str(part);
    }

    fn go_on(&mut self, next: usize, position: usize) {
        self.next = next;
        self.position = position;
    }

    /// Templates that open the reasoning themselves leave only its closing tag in the text.
    fn reasoning_without_opening(&mut self) {
        let first = self.tags.iter().position(|tag| matches!(tag.kind, Kind::ThinkOpen | Kind::ThinkClose));
        if let Some(index) = first
            && self.tags[index].kind == Kind::ThinkClose
        {
            self.found.reasoning.push(self.part(0, self.tags[index].start).trim());
            self.go_on(index + 1, self.tags[index].end);
        }
    }

    fn step(&mut self, tag: Tag<'a>) {
        match tag.kind {
            // Outside a function a parameter is text.
            Kind::ParameterOpen | Kind::ParameterClose => self.next += 1,
            Kind::ThinkClose | Kind::CallClose | Kind::FunctionClose | Kind::ResponseClose => {
                self.show_until(tag.start);
                self.go_on(self.next + 1, tag.end);
            }
            Kind::ThinkOpen => self.think(tag),
            Kind::CallOpen => self.call(tag),
            Kind::FunctionOpen => {
                self.show_until(tag.start);
                self.function(tag.start, self.next);
            }
            // What the model believes a tool said, and all it concluded from it, is no turn of ours.
            Kind::ResponseOpen => {
                self.show_until(tag.start);
                self.found.problems.push(Problem::ForgedResponse);
                self.go_on(self.tags.len(), self.text.len());
            }
        }
    }

    fn think(&mut self, tag: Tag<'a>) {
        self.show_until(tag.start);
        let behind = self.tags.get(self.next + 1..).unwrap_or_default();
        if let Some(close) = behind.iter().position(|tag| tag.kind == Kind::ThinkClose) {
            self.found.reasoning.push(self.part(tag.end, behind[close].start).trim());
            self.go_on(self.next + 1 + close + 1, behind[close].end);
            return;
        }
        if behind.iter().any(|tag| matches!(tag.kind, Kind::CallOpen | Kind::FunctionOpen)) {
            self.found.problems.push(Problem::CallWithinReasoning);
        }
        self.found.reasoning.push(self.part(tag.end, self.text.len()).trim());
        self.go_on(self.tags.len(), self.text.len());
    }

    fn call(&mut self, tag: Tag<'a>) {
        self.show_until(tag.start);
        let open = self.next;
        let first = self.body(open, 0).trim_start();
        let is_function = self.tags.get(open + 1).is_some_and(|next| next.kind == Kind::FunctionOpen) && !first.starts_with(['{', '[']);
        if is_function {
            self.function(tag.start, open + 1);
            if let Some(close) = self.tags.get(self.next).filter(|next| next.kind == Kind::CallClose).copied()
                && self.part(self.position, close.start).trim().is_empty()
            {
                self.go_on(self.next + 1, close.end);
            }
            return;
        }
        let strict = self.read_bodies(open, |body, _| hermes::read_strict(body));
        let read = strict.or_else(|_| self.read_bodies(open, |body, at_end| hermes::read_lenient(body, !(self.cut && at_end))));
        match read {
            Ok((calls, within)) => {
                self.found.calls.extend(calls.into_iter().map(|call| action(call, "hermes")));
                self.leave_call(open + 1 + within);
            }
            Err(reason) => {
                let reason =
                    if self.cut && self.tags.get(open + 1).is_none() { format!("the token limit cut it: {reason}") } else { reason };
                self.found.problem(self.body(open, 0).to_owned(), reason);
                self.leave_call(open + 1);
            }
        }
    }

    /// The text between `tags[open]` and the tag after the `within` next ones, or the end.
    fn body(&self, open: usize, within: usize) -> &'a str {
        self.part(self.tags[open].end, self.tags.get(open + 1 + within).map_or(self.text.len(), |tag| tag.start))
    }

    /// Reads the body up to the next tag, or, as long as that leaves a string open, up to one of the tags behind it. Gives the calls and the
    /// number of tags that belong to strings.
    fn read_bodies(&self, open: usize, read: impl Fn(&str, bool) -> Result<Vec<Call>, Unread>) -> Result<(Vec<Call>, usize), String> {
        for within in 0..=TAGS_WITHIN_MAX {
            let at_end = open + 1 + within >= self.tags.len();
            match read(self.body(open, within), at_end) {
                Ok(calls) => return Ok((calls, within)),
                Err(Unread::Because(reason)) => return Err(reason),
                Err(Unread::OpenString) if at_end => break,
                Err(Unread::OpenString) => {}
            }
        }
        Err(super::json::Broken::OpenString.reason().to_owned())
    }

    /// Goes on behind the tag that ended a call, if that is a closing one, else at it.
    fn leave_call(&mut self, end: usize) {
        match self.tags.get(end).copied() {
            None => self.go_on(end, self.text.len()),
            Some(tag) if tag.kind == Kind::CallClose => self.go_on(end + 1, tag.end),
            Some(tag) => self.go_on(end, tag.start),
        }
    }

    fn function(&mut self, start: usize, open: usize) {
        let element = function_tags::read(self.text, &self.tags, open, self.cut);
        match element.call {
            Ok(call) => self.found.calls.push(action(call, "function_tags")),
            Err(reason) => self.found.problem(self.part(start, element.end).to_owned(), reason),
        }
        self.go_on(element.next, element.end);
    }
}

/// The problems as the model is told, at most [`PROBLEMS_MAX`] and one line on the rest.
pub(super) fn tell(problems: Vec<Problem>, dialect: Dialect) -> Vec<String> {
    let right_form = match dialect {
        Dialect::Openai => "Call tools natively, each with one JSON object as its arguments.",
        Dialect::Hermes => {
            "Write a call in this form:\n<tool_call>\n{\"name\": \"tool\", \"arguments\": {\"argument\": \"value\"}}\n</tool_call>"
        }
    };
    let rest = problems.len().saturating_sub(PROBLEMS_MAX);
    let mut told: Vec<String> = problems
        .into_iter()
        .take(PROBLEMS_MAX)
        .map(|problem| match problem {
            Problem::Unread(written, reason) => {
                format!("A tool call could not be read and was not carried out: {reason}. It began with: {written}\n{right_form}")
            }
            Problem::CallWithinReasoning => {
                format!("You wrote a tool call within reasoning that you did not close with </think>, so it was not carried out. {right_form}")
            }
            Problem::ForgedResponse => {
                "You wrote a <tool_response> yourself. It and what followed it were ignored: end your turn after your calls, and wait for what the \
                 tools return."
                    .to_owned()
            }
        })
        .collect();
    if rest > 0 {
        told.push(format!("{rest} more tool calls could not be read either."));
    }
    told
}
