//! A text taken apart: reasoning, calls, what remains visible, and what cannot be read. One walk over its marks.
//!
//! The forms of calls are read beside their writing, in files of their own that extend the walk.

use std::cell::Cell;

use model::Action;
use model::settings::Dialect;

use super::arguments::Call;
use super::json::Reader;
use super::marks::{Kind, Mark, Marks};
use super::problem::Problem;
use super::seams;
use super::white::{self, trim, trim_start};

/// Most calls that are tried to be read of one text. More is no turn but a loop, and reading every one would cost more than it is worth.
pub(super) const ATTEMPTS_MAX: usize = 64;

/// What a text consists of.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Its parts, an empty line between them.
    pub(super) reasoning: String,
    pub(super) visible: String,
    pub(super) calls: Vec<Action>,
    pub(super) problems: Vec<Problem>,
    /// How often a call was tried to be read.
    pub(super) attempts: usize,
    /// Where the model began to write what somebody else says.
    pub(super) forged_from: Option<usize>,
    /// That a token of a call was found though no call began: what is told where nothing else is.
    pub(super) stray: Option<Problem>,
    pub(super) is_stray_seen: bool,
}

impl Found {
    /// Adds a part of the reasoning, unless there is nothing in it.
    pub(super) fn think(&mut self, part: &str) {
        let part = trim(part);
        if !part.is_empty() {
            self.reasoning.push_str(if self.reasoning.is_empty() { "" } else { "\n\n" });
            self.reasoning.push_str(part);
        }
    }

    /// Whether one more call may be tried to be read. If not, that is told, and the rest is to be left unread.
    pub(super) fn attempt(&mut self) -> bool {
        self.attempts += 1;
        if self.attempts == ATTEMPTS_MAX + 1 {
            self.problems.push(Problem::TooManyCalls(ATTEMPTS_MAX));
        }
        self.attempts <= ATTEMPTS_MAX
    }

    /// Adds calls that were found in `form`.
    pub(super) fn add(&mut self, calls: impl IntoIterator<Item = Call>, form: &str) {
        self.calls.extend(calls.into_iter().map(|Call { name, arguments, repairs }| Action {
            id: String::new(),
            tool: name,
            arguments,
            written: None,
            dialect: form.to_owned(),
            repairs,
            unreadable: None,
        }));
    }
}

/// Takes `text` apart. `cut` says that the token limit ended it, so that nothing is guessed at its end.
pub(super) fn read(dialect: Dialect, text: &str, cut: bool) -> Found {
    let marks = Marks::of(text, dialect == Dialect::Mistral);
    let mut walk = Walk {
        dialect,
        marks,
        looked_up: Cell::new(None),
        next: None,
        position: 0,
        cut,
        seams: Vec::new(),
        is_thought_closed: false,
        is_thought_unclosed: false,
        found: Found::default(),
    };
    walk.go_on(0);
    walk.reasoning_without_opening();
    while let Some(mark) = walk.next {
        walk.step(mark);
    }
    walk.show_until(text.len());
    let Walk { seams, mut found, .. } = walk;
    found.visible = seams::parted(dialect, found.visible, &seams);
    found
}

pub(super) struct Walk<'a> {
    pub(super) dialect: Dialect,
    pub(super) marks: Marks<'a>,
    /// From where a mark was looked for last, and what was found: several readers ask in turn, and hostile text makes looking dear.
    looked_up: Cell<Option<(usize, Option<Mark>)>>,
    /// The next mark.
    next: Option<Mark>,
    /// Where the text that is not yet dealt with begins.
    pub(super) position: usize,
    pub(super) cut: bool,
    /// Where something was taken out from between two parts that are visible, in the visible text.
    seams: Vec<usize>,
    /// Whether reasoning was closed for the model, which the next call notes.
    is_thought_closed: bool,
    /// Whether no `</think>` stands in the rest of the text, so that nobody need look for one again.
    is_thought_unclosed: bool,
    pub(super) found: Found,
}

impl<'a> Walk<'a> {
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.marks.text().len()
    }

    #[inline]
    pub(super) fn part(&self, from: usize, to: usize) -> &'a str {
        self.marks.text().get(from..to).unwrap_or_default()
    }

    /// The first mark that begins at `from` or behind.
    #[inline]
    pub(super) fn mark_from(&self, from: usize) -> Option<Mark> {
        if let Some((looked_from, found)) = self.looked_up.get()
            && looked_from <= from
            && found.is_none_or(|mark| from <= mark.start())
        {
            return found;
        }
        let found = self.marks.next(from);
        self.looked_up.set(Some((from, found)));
        found
    }

    /// The first byte from `from` on that is no white space.
    #[inline]
    pub(super) fn first_from(&self, from: usize) -> Option<u8> {
        let bytes = self.marks.text().as_bytes();
        bytes.get(white::behind(bytes, from)).copied()
    }

    pub(super) fn show_until(&mut self, end: usize) {
        let part = self.part(self.position, end);
        if !part.is_empty() {
            if !self.found.visible.is_empty() {
                self.seams.push(self.found.visible.len());
            }
            self.found.visible.push_str(part);
        }
        self.position = end;
    }

    /// Goes on at `position`.
    #[inline]
    pub(super) fn go_on(&mut self, position: usize) {
        self.position = position;
        self.next = self.mark_from(position);
    }

    /// Leaves the rest of the text unread.
    pub(super) fn end(&mut self) {
        (self.position, self.next) = (self.len(), None);
    }

    /// Where the first mark at `from` or behind begins, or the end.
    pub(super) fn mark_or_end(&self, from: usize) -> usize {
        self.mark_from(from).map_or(self.len(), |mark| mark.start())
    }

    /// Templates that open the reasoning themselves leave only its closing tag in the text.
    fn reasoning_without_opening(&mut self) {
        let text = self.marks.text();
        let pairs = [("<think>", "</think>"), ("[THINK]", "[/THINK]")];
        let pairs = pairs.iter().take(if self.marks.is_mistral() { 2 } else { 1 });
        let find = |text: &str, tag: &str| memchr::memmem::find(text.as_bytes(), tag.as_bytes());
        let close = pairs.filter_map(|(open, close)| Some((find(text, close)?, open, close))).min();
        if let Some((start, open, close)) = close
            && find(self.part(0, start), open).is_none()
        {
            self.found.think(self.part(0, start));
            self.go_on(start + close.len());
        }
    }

    fn step(&mut self, mark: Mark) {
        let is_tags = self.dialect == Dialect::Tags;
        match mark.kind {
            // Outside a function a parameter is text; so are the tags that only the recipe reads.
            Kind::ParameterOpen | Kind::ParameterClose | Kind::Protocol => self.pass(mark),
            Kind::ObservationOpen | Kind::ObservationClose | Kind::ToolClose if !is_tags => self.pass(mark),
            Kind::ThinkOpen => self.think(mark),
            Kind::CallOpen => self.call(mark),
            Kind::FunctionOpen => {
                self.show_until(mark.start());
                if self.attempt() {
                    self.function(mark.start(), mark);
                }
            }
            Kind::ToolOpen => self.tool(mark),
            Kind::ToolClose => self.unopened(mark),
            Kind::Start | Kind::Channel => self.harmony(mark),
            Kind::SectionOpen | Kind::MarkedCallOpen => self.marked_call(mark),
            kind if kind.is_before_arguments() => self.before_arguments(mark),
            Kind::MarkedCallClose | Kind::SectionClose => self.unopened_end(mark),
            Kind::PythonTag | Kind::PythonOpen => self.python(mark),
            Kind::ToolCalls => self.mistral(mark),
            // What the model believes a tool said, and all it concluded from it, is no turn of ours.
            Kind::ResponseOpen => self.forged(mark, "a <tool_response>"),
            Kind::ObservationOpen => self.forged(mark, "an <observation>"),
            Kind::OutputOpen => self.forged(mark, "what a tool returns"),
            Kind::OtherTurn => self.forged(mark, "somebody else's turn"),
            Kind::TurnOpen => self.turn(mark),
            _ => self.hide(mark),
        }
    }

    /// Leaves the mark in the text.
    #[inline]
    pub(super) fn pass(&mut self, mark: Mark) {
        self.next = self.mark_from(mark.end());
    }

    /// Takes the mark out of the text.
    #[inline]
    pub(super) fn hide(&mut self, mark: Mark) {
        self.show_until(mark.start());
        self.go_on(mark.end());
    }

    pub(super) fn forged(&mut self, mark: Mark, what: &'static str) {
        self.show_until(mark.start());
        self.found.forged_from = Some(mark.start());
        self.found.problems.push(Problem::Forged(what));
        self.end();
    }

    /// A closing tag of a tool that nothing opened: the text before it was meant as a call. Behind another tag it is a slip and no more.
    fn unopened(&mut self, close: Mark) {
        let meant = self.part(self.position, close.start()).lines().next_back().unwrap_or_default().trim_end();
        self.show_until(close.start());
        if !meant.is_empty() && !meant.ends_with('>') {
            if !self.attempt() {
                return;
            }
            self.found.problems.push(Problem::unread(meant, format!("no `<{}>` opens it", self.marks.name(close))));
        }
        self.go_on(close.end());
    }

    /// A token that begins a turn, with its role: the model's own is an echo of its prompt.
    fn turn(&mut self, mark: Mark) {
        let rest = self.part(mark.end(), self.mark_or_end(mark.end()));
        match trim_start(rest).strip_prefix("assistant") {
            Some(behind) => {
                self.show_until(mark.start());
                self.go_on(mark.end() + rest.len() - behind.len());
            }
            None => self.forged(mark, "somebody else's turn"),
        }
    }

    fn think(&mut self, open: Mark) {
        self.show_until(open.start());
        let (mut is_call_within, mut section) = (false, None);
        let mut at = open.end();
        while let Some(mark) = self.marks.next(at) {
            at = mark.end();
            match mark.kind {
                Kind::ThinkClose => {
                    self.found.think(self.part(open.end(), mark.start()));
                    return self.go_on(mark.end());
                }
                Kind::SectionOpen | Kind::MarkedCallOpen => {
                    section = section.or(Some(mark.start()));
                    if self.is_thought_unclosed {
                        break;
                    }
                }
                Kind::CallOpen | Kind::FunctionOpen | Kind::ToolCalls => is_call_within = true,
                Kind::ToolOpen => is_call_within |= self.dialect == Dialect::Tags,
                _ => {}
            }
        }
        self.is_thought_unclosed = true;
        // No model mentions the tokens that begin its calls: with them its reasoning is over (Kimi K2 Thinking leaves it open).
        if let Some(start) = section {
            self.found.think(self.part(open.end(), start));
            self.is_thought_closed = true;
            return self.go_on(start);
        }
        if is_call_within {
            self.found.problems.push(Problem::CallWithinReasoning);
        }
        self.found.think(self.part(open.end(), self.len()));
        self.end();
    }

    /// Whether one more call may be tried to be read. If not, the text is not read on.
    pub(super) fn attempt(&mut self) -> bool {
        let may = self.found.attempt();
        if !may {
            self.end();
        }
        may
    }

    /// Adds one call that was found in `form`.
    pub(super) fn add(&mut self, mut call: Call, form: &str) {
        if std::mem::take(&mut self.is_thought_closed) {
            call.note("closed `<think>`");
        }
        self.found.add([call], form);
    }

    /// Adds the calls that `reader` read in `form`, and goes on at the next mark; behind it, if it is the one that ends such calls.
    pub(super) fn take_calls(&mut self, calls: Vec<Call>, form: &str, reader: &Reader<'_>, close: Kind) {
        let from = reader.position();
        let is_followed = !trim(self.part(from, self.mark_or_end(from))).is_empty() && self.another_call(from).is_none();
        for mut call in calls {
            let own = std::mem::take(&mut call.repairs);
            for repair in reader.repairs().into_iter().chain(own) {
                call.note(repair);
            }
            if is_followed {
                call.note("ignored what follows the JSON");
            }
            self.add(call, form);
        }
        self.leave(from, close);
    }

    /// Tells that the call whose token ends at `from` cannot be read, and goes on at the next mark that is no part of a call; behind it, if
    /// it is the one that ends such calls.
    pub(super) fn give_up(&mut self, from: usize, close: Kind, reason: String) {
        let is_part = |mark: &Mark| mark.kind.is_before_arguments() || matches!(mark.kind, Kind::Constrain | Kind::Content);
        let first = self.mark_from(from);
        let mut next = first;
        while let Some(part) = next.filter(is_part) {
            next = self.mark_from(part.end());
        }
        let len = self.len();
        let start_or_end = |mark: Option<Mark>| mark.map_or(len, |mark| mark.start());
        let reason = if self.cut && next.is_none() { format!("the token limit cut it: {reason}") } else { reason };
        let written = self.part(from, start_or_end(first));
        self.found.problems.push(Problem::unread(written, reason));
        self.leave(start_or_end(next), close);
    }

    fn leave(&mut self, from: usize, close: Kind) {
        self.go_on(self.another_call(from).unwrap_or_else(|| self.mark_or_end(from)));
        self.leave_if(close);
    }

    /// Goes behind the next mark if it is of this kind and nothing stands before it.
    pub(super) fn leave_if(&mut self, close: Kind) {
        if let Some(mark) = self.next.filter(|mark| mark.kind == close && trim(self.part(self.position, mark.start())).is_empty()) {
            self.go_on(mark.end());
        }
    }
}
