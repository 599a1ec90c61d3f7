//! What a conversation holds: the question, the calls made so far with what came back, and what we are told to do now.
//!
//! This is all that the heuristic knows. It borrows from the messages, reads each once, and takes what it does not understand for a failed
//! call: a page it cannot read must not stop it.

use model::settings::Dialect;
use model::{Action, Completion, FinishReason, Message, Role, Usage};
use serde_json::Value;

use super::decompose::web;
use crate::dialect;

/// A conversation, read.
pub(super) struct Conversation<'a> {
    /// The first user message.
    pub(super) asked: &'a str,
    /// Calls in order, each with what it brought.
    pub(super) steps: Vec<Step<'a>>,
    /// Later messages of the user that are no observations, each with the number of steps before it.
    pub(super) told: Vec<(usize, &'a str)>,
    pub(super) demand: Demand,
}

/// What the latest notices want.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Demand {
    /// Go on.
    Nothing,
    /// Come to an end.
    Haste,
    /// Answer in this turn.
    Answer,
}

/// One call and its result.
pub(super) struct Step<'a> {
    pub(super) call: Call,
    /// What it brought, as written.
    pub(super) observed: &'a str,
    /// The page it showed; `None` when it failed.
    pub(super) page: Option<Page<'a>>,
}

/// A call as it was made.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Call {
    pub(super) tool: String,
    /// A query or a pattern.
    pub(super) text: String,
    /// The queries or addresses of a web tool, which takes several.
    pub(super) list: Vec<String>,
    pub(super) id: Option<i64>,
    pub(super) cursor: Option<i64>,
    pub(super) loc: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PageKind {
    Results,
    Document,
    Matches,
}

/// A page as it was shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page<'a> {
    pub(super) cursor: u32,
    pub(super) kind: PageKind,
    pub(super) title: &'a str,
    /// First and last line shown, and the page's last line.
    pub(super) shown: (u32, u32),
    pub(super) last_line: u32,
    /// The numbered lines.
    body: &'a str,
}

impl<'a> Conversation<'a> {
    /// Reads `messages` from the first to the last.
    pub(super) fn read(messages: &'a [Message]) -> Self {
        let mut asked = None;
        let mut steps: Vec<Step<'a>> = Vec::new();
        let mut told = Vec::new();
        let mut answered = 0;
        let mut demand = Demand::Nothing;
        for message in messages {
            match message.role {
                Role::System => {}
                Role::User if asked.is_none() => asked = Some(message.text.as_str()),
                Role::Assistant => {
                    // A call that nothing answered was never carried out.
                    steps.truncate(answered);
                    steps.extend(calls_of(message).into_iter().map(|call| Step { call, observed: "", page: None }));
                    demand = Demand::Nothing;
                }
                Role::Tool | Role::User => {
                    let blocks = observations(message);
                    if blocks.is_empty() {
                        told.push((answered, message.text.as_str()));
                        demand = demand.max(demand_of(&message.text));
                    }
                    for block in blocks {
                        let page = Page::read(block);
                        match steps.get_mut(answered) {
                            Some(step) => (step.observed, step.page) = (block, page),
                            None => steps.push(Step { call: Call::default(), observed: block, page }),
                        }
                        answered += 1;
                    }
                }
            }
        }
        steps.truncate(answered);
        Self { asked: asked.unwrap_or_default(), steps, told, demand }
    }

    /// All pages of one kind, with the number of the step that showed each.
    pub(super) fn pages(&self, kind: PageKind) -> impl Iterator<Item = (usize, Page<'a>)> + '_ {
        let pages = self.steps.iter().enumerate().filter_map(|(step, of)| Some((step, of.page?)));
        pages.filter(move |(_, page)| page.kind == kind)
    }

    /// How many calls of `tool` were made.
    pub(super) fn count(&self, tool: &str) -> usize {
        self.steps.iter().filter(|step| step.call.tool == tool).count()
    }
}

/// Tags between which observations come.
const FRAMES: [(&str, &str); 2] = [("<tool_response>", "</tool_response>"), ("<observation>", "</observation>")];

/// The observations in a message: all of a tool's, what stands between tags in a user's. A notice may name the tags and has none.
fn observations(message: &Message) -> Vec<&str> {
    let text = message.text.as_str();
    if message.role == Role::User && text.starts_with(NOTICE) {
        return Vec::new();
    }
    for (open, close) in FRAMES {
        if text.contains(open) {
            let blocks = text.split(open).skip(1);
            return blocks.map(|block| block.split(close).next().unwrap_or(block).trim()).collect();
        }
    }
    let is_shown = |text: &str| header(text).is_some() || web::is_observation(text);
    let is_page = message.role == Role::User && is_shown(text.trim_start());
    if message.role == Role::Tool || is_page { vec![text.trim()] } else { Vec::new() }
}

/// How a message begins that the recipe injects.
pub(super) const NOTICE: &str = "Notice:";

fn demand_of(notice: &str) -> Demand {
    let notice = notice.to_lowercase();
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| notice.contains(phrase));
    if says(&["answer now", "no further tool call", "no more tool call", "without calling", "must answer", "do not call"]) {
        Demand::Answer
    } else if says(&["used up", "budget", "running out", "remaining"]) {
        Demand::Haste
    } else {
        Demand::Nothing
    }
}

/// The calls of one assistant message, as the dialects read them.
fn calls_of(message: &Message) -> Vec<Call> {
    let completion = Completion {
        text: message.text.clone(),
        reasoning: None,
        calls: message.calls.clone(),
        finish_reason: FinishReason::Stop,
        usage: Usage::default(),
        model: None,
    };
    dialect::read(Dialect::Openai, &completion).actions.iter().map(Call::of).collect()
}

impl Call {
    fn of(action: &Action) -> Self {
        let number = |key: &str| action.arguments.get(key).and_then(Value::as_i64);
        let text = ["query", "pattern", "id"].iter().find_map(|key| action.arguments.get(*key)?.as_str());
        Self {
            tool: action.tool.clone(),
            text: text.unwrap_or_default().to_owned(),
            list: web::arguments(action),
            id: number("id"),
            cursor: number("cursor"),
            loc: number("loc"),
        }
    }
}

impl<'a> Page<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (cursor, title, rest) = header(text)?;
        let (title, url) = match title.rsplit_once(" (") {
            Some((title, url)) => (title, url),
            None => (title, ""),
        };
        let (view, body) = rest.split_once('\n').unwrap_or((rest, ""));
        let mut numbers =
            view.split(|c: char| !c.is_ascii_digit()).filter(|digits| !digits.is_empty()).filter_map(|digits| digits.parse().ok());
        let shown = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        let last_line = numbers.next().unwrap_or(shown.1);
        let kind = match () {
            () if title.starts_with("Find results for text: `") => PageKind::Matches,
            () if url.starts_with("search:") || url.starts_with("web-search:") => PageKind::Results,
            () => PageKind::Document,
        };
        Some(Self { cursor, kind, title, shown, last_line, body })
    }

    /// A page without numbered lines; what stands on it is read apart.
    pub(super) fn unnumbered(cursor: u32, title: &'a str) -> Self {
        Self { cursor, kind: PageKind::Document, title, shown: (0, 0), last_line: 0, body: "" }
    }

    /// The lines, each with its number.
    pub(super) fn lines(&self) -> impl Iterator<Item = (u32, &'a str)> + use<'a> {
        let body = self.body;
        body.split('\n').filter_map(|line| {
            let (number, text) = line.strip_prefix('L')?.split_once(':')?;
            Some((number.parse().ok()?, text.strip_prefix(' ').unwrap_or(text)))
        })
    }
}

/// `[3] the rest of the line`, and what follows it, which must open with the range of lines.
fn header(text: &str) -> Option<(u32, &str, &str)> {
    let (cursor, after) = text.strip_prefix('[')?.split_once("] ")?;
    let (title, rest) = after.split_once('\n')?;
    let rest = rest.trim_start_matches(['*', ' ']);
    if !rest.starts_with("viewing lines") {
        return None;
    }
    Some((cursor.parse().ok()?, title, rest))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A page as the browser would show it.
    pub(in super::super) fn page(cursor: u32, title: &str, url: &str, lines: &[&str]) -> String {
        let last = lines.len().saturating_sub(1);
        let numbered: Vec<String> = lines.iter().enumerate().map(|(number, line)| format!("L{number}: {line}")).collect();
        format!("[{cursor}] {title} ({url})\n**viewing lines [0 - {last}] of {last}**\n\n{}", numbered.join("\n"))
    }

    fn call(name: &str, arguments: &str) -> String {
        format!("<think>t</think>\n<tool_call>\n{{\"name\": \"{name}\", \"arguments\": {arguments}}}\n</tool_call>")
    }

    #[test]
    fn calls_are_paired_with_what_they_brought() {
        let messages = [
            Message::text(Role::User, "Who kept the light?"),
            Message::text(Role::Assistant, call("search", r#"{"query": "light"}"#) + &call("open", r#"{"id": 1, "cursor": 0}"#)),
            Message::text(Role::Tool, page(0, "light", "search:0", &["", "URL: search:0", "【0†Light†x.org】 A light."])),
            Message::text(Role::User, "<tool_response>\nInvalid link id `1`.\n</tool_response>"),
            Message::text(Role::User, "Notice: the number of turns is nearly used up (8 of 10). Finish, then give your final answer."),
        ];
        let read = Conversation::read(&messages);
        assert_eq!(read.asked, "Who kept the light?");
        assert_eq!(read.steps.len(), 2);
        assert_eq!(read.steps[0].call.text, "light");
        assert_eq!(read.steps[0].page.expect("a page").kind, PageKind::Results);
        assert_eq!((read.steps[1].call.id, read.steps[1].call.cursor), (Some(1), Some(0)));
        assert!(read.steps[1].page.is_none());
        assert_eq!(read.demand, Demand::Haste);
    }

    #[test]
    fn the_title_and_the_range_of_lines_are_read() {
        let text = "[12] A title (with brackets) (https://x.org/a)\n**viewing lines [40 - 61] of 87**\n\nL40: one\nL41: two";
        let page = Page::read(text).expect("a page");
        assert_eq!((page.cursor, page.title, page.kind), (12, "A title (with brackets)", PageKind::Document));
        assert_eq!((page.shown, page.last_line), ((40, 61), 87));
        assert_eq!(page.lines().collect::<Vec<_>>(), [(40, "one"), (41, "two")]);
    }

    #[test]
    fn a_demand_for_the_answer_holds_until_we_speak() {
        let demand = Message::text(Role::User, "Notice: No further tool call will be carried out. Give your final answer now.");
        let mut messages = vec![Message::text(Role::User, "q"), demand];
        assert_eq!(Conversation::read(&messages).demand, Demand::Answer);
        messages.push(Message::text(Role::Assistant, "…"));
        assert_eq!(Conversation::read(&messages).demand, Demand::Nothing);
    }

    #[test]
    fn a_call_that_nothing_answered_does_not_count() {
        let made = Message::text(Role::Assistant, call("search", r#"{"query": "x"}"#));
        let read = [Message::text(Role::User, "q"), made];
        assert!(Conversation::read(&read).steps.is_empty());
    }
}
