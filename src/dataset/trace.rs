//! The single-stream trace of a trajectory: all threads merged into one text of protocol tags, and which of it no model wrote.
//!
//! The order is O-Researcher's: subtask list, then for each subtask its turns with their observations and its answer, then the report. What a
//! model wrote in tags stands character by character as it wrote it; everything else is written in the one canonical form. Notices are not
//! part of a trace, and neither is a turn without a call that was told so by one: only a thread's answer stands without a call.

use std::borrow::Cow;
use std::ops::Range;

use model::protocol::{ProtocolTag, TagAt, tags};
use model::settings::Dialect;
use model::{Observation, Thread, ThreadRole, Turn};

mod call;
#[cfg(test)]
mod tests;

/// Who wrote a part of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A model: trained on.
    Model,
    /// A tool: masked.
    Observation,
}

/// How calls that were not written as tags are written as tags.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CallStyle {
    /// `query=a | b&num=10`, as O-Researcher's parser reads it.
    #[default]
    Keyed,
    /// `a | b&serp_num=10`, as O-Researcher's published data has it.
    Bare,
}

/// Which text of a crawled page is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PageText {
    /// What the researcher saw.
    #[default]
    Seen,
    /// The stored page.
    Page,
    /// The extract, where there is one.
    Extract,
}

impl PageText {
    /// The text of `observation` that is shown. An extract is seen wherever one was made, so `Seen` and `Extract` agree.
    pub fn shown(self, observation: &Observation) -> &str {
        match self {
            Self::Page => &observation.text,
            Self::Seen | Self::Extract => observation.extract.as_deref().unwrap_or(&observation.text),
        }
    }
}

/// A part of a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// In bytes; spans follow each other without a gap.
    pub range: Range<usize>,
    /// Who wrote it.
    pub origin: Origin,
}

/// One text for all threads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    /// The text.
    pub text: String,
    /// Its parts, in order; together the whole text. Each observation, with its tags and the blank lines around them, is a part of its own.
    pub spans: Vec<Span>,
}

impl Trace {
    /// The trace of `threads`, ending in the report `answer`. Linear in what they hold.
    ///
    /// Made for threads of `decompose`; calls of tools that the protocol has no tag for are written as elements of the tool's name.
    pub fn of(threads: &[Thread], answer: Option<&str>, calls: CallStyle, pages: PageText) -> Self {
        let mut trace = Self::default();
        trace.list_subtasks(threads);
        for thread in threads.iter().filter(|thread| thread.role == ThreadRole::Researcher) {
            trace.research(thread, calls, pages);
        }
        if let Some(answer) = answer {
            trace.separate();
            trace.write(&think(last_turn(threads, ThreadRole::Summarizer)));
            trace.write(&block(ProtocolTag::SuggestedAnswer, answer));
        }
        trace
    }

    /// The text of `span`.
    pub fn part(&self, span: &Span) -> &str {
        self.text.get(span.range.clone()).unwrap_or_default()
    }

    /// Where the observations are, `[begin, end]` in Unicode code points: what Python slices by.
    pub fn mask(&self) -> Vec<[usize; 2]> {
        let mut mask = Vec::new();
        let mut begin = 0;
        for span in &self.spans {
            let end = begin + self.part(span).chars().count();
            if span.origin == Origin::Observation {
                mask.push([begin, end]);
            }
            begin = end;
        }
        mask
    }

    fn list_subtasks(&mut self, threads: &[Thread]) {
        let mut list = String::new();
        for (subtask, number) in threads.iter().filter_map(|thread| thread.subtask.as_deref()).zip(1..) {
            // One line each, whatever the planner put between its words.
            list.push_str(&format!("\n{number}. {}", in_one_line(subtask)));
        }
        if !list.is_empty() {
            self.write(&think(last_turn(threads, ThreadRole::Planner)));
            self.write(&ProtocolTag::SubtaskList.enclose(&format!("{list}\n")));
        }
    }

    fn research(&mut self, thread: &Thread, calls: CallStyle, pages: PageText) {
        if let Some(subtask) = &thread.subtask {
            self.write(&format!("\n\n{}\n\n", block(ProtocolTag::Subtask, subtask)));
        }
        for turn in thread.turns.iter().filter(|turn| !turn.actions.is_empty()) {
            if turn.actions.iter().all(is_tagged) {
                let written = as_written(turn);
                let parts = by_call(&written, turn.actions.len());
                for (number, part) in parts.iter().enumerate() {
                    self.write(part);
                    let own = turn.observations.iter().skip(number).take(if number + 1 == parts.len() { usize::MAX } else { 1 });
                    own.for_each(|observation| self.observe(pages.shown(observation)));
                }
            } else {
                self.write(&think(Some(turn)));
                self.write(&plan(&turn.text));
                for (number, action) in turn.actions.iter().enumerate() {
                    self.write(&call::write(action, calls));
                    turn.observations.get(number).into_iter().for_each(|observation| self.observe(pages.shown(observation)));
                }
            }
        }
        if let Some(answer) = &thread.answer {
            if let Some(turn) = thread.turns.last().filter(|turn| turn.actions.is_empty()) {
                let speaks_in_tags = thread.turns.iter().flat_map(|turn| &turn.actions).any(is_tagged);
                self.write(&before_answer(turn, speaks_in_tags));
            }
            self.write(&block(ProtocolTag::SubtaskAnswer, answer));
        }
    }

    fn separate(&mut self) {
        if !self.text.is_empty() {
            self.write("\n\n");
        }
    }

    fn write(&mut self, text: &str) {
        let from = self.text.len();
        self.text.push_str(text);
        match self.spans.last_mut() {
            _ if text.is_empty() => {}
            Some(span) if span.origin == Origin::Model => span.range.end = self.text.len(),
            _ => self.spans.push(Span { range: from..self.text.len(), origin: Origin::Model }),
        }
    }

    fn observe(&mut self, text: &str) {
        let from = self.text.len();
        self.text.push_str("\n\n<observation>\n");
        self.text.push_str(text);
        self.text.push_str("\n</observation>\n\n");
        self.spans.push(Span { range: from..self.text.len(), origin: Origin::Observation });
    }
}

fn is_tagged(action: &model::Action) -> bool {
    action.dialect == Dialect::Tags.name()
}

fn last_turn(threads: &[Thread], role: ThreadRole) -> Option<&Turn> {
    threads.iter().rfind(|thread| thread.role == role)?.turns.last()
}

fn block(tag: ProtocolTag, text: &str) -> String {
    tag.enclose(&format!("\n{text}\n"))
}

fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The turn's reasoning with what ends it; nothing where there is none.
fn think(turn: Option<&Turn>) -> String {
    let reasoning = turn.and_then(|turn| turn.reasoning.as_deref()).filter(|reasoning| !reasoning.trim().is_empty());
    reasoning.map(|reasoning| ProtocolTag::Think.enclose(reasoning) + "\n").unwrap_or_default()
}

/// Visible text as a plan, with what ends it; nothing where there is none.
fn plan(text: &str) -> String {
    let text = text.trim();
    match text {
        "" => String::new(),
        _ if tags(text).iter().any(|at| at.tag == ProtocolTag::Plan) => format!("{text}\n"),
        _ => ProtocolTag::Plan.enclose(text) + "\n",
    }
}

/// A turn that was written in tags: the model's own characters, and before them what a server or a template had taken away. That is reasoning
/// which the server gave apart, or the opening tag of one that began in the prompt.
fn as_written(turn: &Turn) -> Cow<'_, str> {
    let written = turn.raw.as_deref().unwrap_or(&turn.text);
    let first = tags(written).into_iter().find(|at| at.tag == ProtocolTag::Think);
    match first {
        _ if turn.reasoning.is_none() => Cow::Borrowed(written),
        Some(at) if !at.closes => Cow::Borrowed(written),
        Some(_) => Cow::Owned(format!("<think>{written}")),
        None => Cow::Owned(think(Some(turn)) + written),
    }
}

/// `written` cut behind each of its calls but the last, so that what each returned can follow it; whole where its calls are not told apart.
fn by_call(written: &str, calls: usize) -> Vec<&str> {
    let found = tags(written);
    let thought = found.iter().rfind(|at| at.tag == ProtocolTag::Think).map_or(0, |at| at.range.end);
    let is_end = |at: &&TagAt| at.closes && matches!(at.tag, ProtocolTag::WebSearch | ProtocolTag::CrawlPage) && at.range.start >= thought;
    let ends: Vec<usize> = found.iter().filter(is_end).map(|at| at.range.end).collect();
    if ends.len() != calls {
        return vec![written];
    }
    let mut parts = Vec::with_capacity(calls);
    let mut from = 0;
    for end in ends.iter().take(calls.saturating_sub(1)).copied().chain([written.len()]) {
        parts.push(written.get(from..end).unwrap_or_default());
        from = end;
    }
    parts
}

/// What stands before the answer in the turn that gives it.
fn before_answer(turn: &Turn, speaks_in_tags: bool) -> String {
    let written = as_written(turn);
    if speaks_in_tags
        && let Some(head) = head(&written)
        // A call that was forbidden there was not carried out, and no observation would follow it.
        && !tags(head).iter().any(|at| matches!(at.tag, ProtocolTag::WebSearch | ProtocolTag::CrawlPage))
    {
        return head.to_owned();
    }
    think(Some(turn)) + &plan(head(&turn.text).unwrap_or_default())
}

/// `text` up to its last opening of a subtask's answer.
fn head(text: &str) -> Option<&str> {
    let open = tags(text).into_iter().rfind(|at| at.tag == ProtocolTag::SubtaskAnswer && !at.closes)?;
    text.get(..open.range.start)
}
