//! What the played model says: the teacher's completion in the dialect that is played, odd where it shall be, and ended where the request
//! ends it. Stop strings first, then the limit of tokens, as an engine meets them.

use model::settings::{Dialect, Mode};
use model::{Action, Completion, FinishReason};
use serde_json::Value;

use super::asked::Asked;
use super::continuation;
use super::counter::Counter;
use super::faults::Fault;
use crate::dialect::Reading;
use crate::{Calls, dialect};

/// What a refusal says.
const REFUSAL: &str = "I'm sorry, but I can't help with that request.";

/// An answer.
#[derive(Debug, Default)]
pub(super) struct Played {
    /// Reasoning apart from the text.
    pub(super) reasoning: Option<String>,
    pub(super) text: String,
    /// Native calls.
    pub(super) calls: Vec<Called>,
    /// As OpenAI words it.
    pub(super) finish_reason: &'static str,
    /// The stop string that ended it.
    pub(super) stop_reason: Option<String>,
    /// Tokens of all parts together.
    pub(super) tokens: u64,
}

/// A native call.
#[derive(Debug)]
pub(super) struct Called {
    pub(super) name: String,
    /// JSON, unless it is malformed or cut.
    pub(super) arguments: String,
}

/// What is answered to `asked` when the played teacher says `completion`. `dialect` is that of the settings.
pub(super) fn play(asked: &Asked, completion: Completion, dialect: Option<Dialect>, oddity: Option<Fault>, counter: &Counter) -> Played {
    let reading = dialect::read(Dialect::Hermes, &completion);
    let oddity = oddity.filter(|oddity| !oddity.needs_call() || !reading.actions.is_empty());
    let written_in = written_in(asked, dialect, &reading);
    let mut ended = completion.finish_reason;
    let is_own = written_in == Some(Dialect::Hermes) && oddity.is_none() && completion.calls.is_empty();
    let mut played = if is_own {
        Played { reasoning: completion.reasoning, text: completion.text, ..Played::default() }
    } else {
        compose(odd(reading, oddity), written_in, oddity)
    };
    if asked.mode == Mode::Completion {
        if let Some(reasoning) = played.reasoning.take() {
            played.text = format!("<think>{reasoning}</think>\n{}", played.text);
        }
        played.text = continuation::after(&asked.partial, played.text);
    }
    if oddity == Some(Fault::CutCall) {
        ended = FinishReason::Length;
    }
    played.stop_at(&asked.stops, asked.include_stop);
    if played.limit(u64::from(asked.request.sampling.max_completion_tokens), counter) {
        ended = FinishReason::Length;
        played.stop_reason = None;
    }
    played.finish_reason = match ended {
        _ if played.stop_reason.is_some() => "stop",
        FinishReason::Length => "length",
        FinishReason::ContentFilter => "content_filter",
        _ if !played.calls.is_empty() => "tool_calls",
        _ => "stop",
    };
    played
}

/// In which dialect the text is written; `None`: reasoning and calls stand beside the text.
fn written_in(asked: &Asked, dialect: Option<Dialect>, reading: &Reading) -> Option<Dialect> {
    match dialect {
        Some(dialect) if dialect != Dialect::Openai => return Some(dialect),
        _ => {}
    }
    let may_call = asked.request.calls == Calls::Offered;
    // A server reads calls that it may not report, or cannot read, for text.
    let is_native = !asked.request.tools.is_empty() && (may_call || reading.actions.is_empty()) && reading.problems.is_empty();
    (!is_native).then_some(Dialect::Hermes)
}

/// What is meant to be said, by a model that has this oddity.
fn odd(mut reading: Reading, oddity: Option<Fault>) -> Reading {
    match oddity {
        Some(Fault::Empty) => Reading::default(),
        Some(Fault::Refusal) => Reading { text: REFUSAL.to_owned(), ..Reading::default() },
        Some(Fault::Narrated) => {
            let tools: Vec<&str> = reading.actions.iter().map(|action| action.tool.as_str()).collect();
            let text = format!("I will now use {} and then look at what it returns.", tools.join(", then "));
            Reading { reasoning: reading.reasoning, text, ..Reading::default() }
        }
        Some(Fault::UnknownTool) => {
            if let Some(last) = reading.actions.last_mut() {
                last.tool.push_str("_online");
            }
            reading
        }
        _ => reading,
    }
}

fn compose(reading: Reading, written_in: Option<Dialect>, oddity: Option<Fault>) -> Played {
    let flawed = |mut written: String, index: usize| {
        let is_last = index + 1 == reading.actions.len();
        match oddity {
            Some(Fault::BrokenCall) if is_last => broken(&written),
            Some(Fault::CutCall) if is_last => {
                written.truncate(written.floor_char_boundary(written.len() / 2));
                written
            }
            _ => written,
        }
    };
    let Some(dialect) = written_in else {
        let called = |(index, action): (usize, &Action)| Called {
            name: action.tool.clone(),
            arguments: flawed(Value::from(action.arguments.clone()).to_string(), index),
        };
        let calls = reading.actions.iter().enumerate().map(called).collect();
        return Played { reasoning: reading.reasoning, text: reading.text, calls, ..Played::default() };
    };
    let calls = reading.actions.iter().enumerate();
    let calls = calls.map(|(index, action)| flawed(dialect::write(dialect, &action.tool, &action.arguments), index));
    let calls: Vec<String> = calls.collect();
    let text = match dialect {
        Dialect::Harmony => in_channels(reading.reasoning.as_deref(), &reading.text, &calls),
        _ => in_tags(reading.reasoning.as_deref(), &reading.text, &calls),
    };
    Played { text, ..Played::default() }
}

fn in_tags(reasoning: Option<&str>, text: &str, calls: &[String]) -> String {
    let reasoning = reasoning.map(|reasoning| format!("<think>{reasoning}</think>"));
    let parts = reasoning.as_deref().into_iter().chain((!text.is_empty()).then_some(text)).chain(calls.iter().map(String::as_str));
    parts.collect::<Vec<_>>().join("\n")
}

/// The messages of a turn in Harmony, each in its channel. The role before the first stands in the prompt.
fn in_channels(reasoning: Option<&str>, text: &str, calls: &[String]) -> String {
    const NEXT: &str = "<|start|>assistant";
    let mut written = String::new();
    let mut push = |message: &str| {
        // A message that names its role does so in the middle of a turn only.
        let bare = message.strip_prefix(NEXT).unwrap_or(message);
        if !written.is_empty() {
            written.push_str(NEXT);
        }
        written.push_str(bare);
    };
    if let Some(reasoning) = reasoning {
        push(&format!("<|channel|>analysis<|message|>{reasoning}<|end|>"));
    }
    match (text.is_empty(), calls.is_empty()) {
        (true, _) => {}
        (false, true) => push(&format!("<|channel|>final<|message|>{text}")),
        (false, false) => push(&format!("<|channel|>commentary<|message|>{text}<|end|>")),
    }
    calls.iter().for_each(|call| push(call));
    written
}

/// A call as no parser can take it: without its last quote, or, where it is written without JSON, without what closes its tags.
fn broken(written: &str) -> String {
    match written.rfind('"').filter(|_| written.contains(['{', '('])) {
        Some(quote) => {
            let mut written = written.to_owned();
            written.remove(quote);
            written
        }
        None => written.replace(['>', '}'], ""),
    }
}

impl Played {
    /// Ends the answer at the first stop string. Arguments of native calls are not searched: what stands in them never was plain text.
    fn stop_at(&mut self, stops: &[String], include: bool) {
        let in_reasoning = self.reasoning.as_mut().and_then(|reasoning| cut_at(reasoning, stops, include));
        if in_reasoning.is_some() {
            self.text.clear();
        }
        self.stop_reason = in_reasoning.or_else(|| cut_at(&mut self.text, stops, include));
        if self.stop_reason.is_some() {
            self.calls.clear();
        }
    }

    /// Counts the tokens, and ends the answer after `most` of them; whether that was needed.
    fn limit(&mut self, most: u64, counter: &Counter) -> bool {
        let mut left = most;
        let mut is_cut = false;
        let mut fit = |text: &mut String| {
            let tokens = match is_cut {
                true => {
                    text.clear();
                    0
                }
                false => counter.count(text),
            };
            if tokens > left {
                text.truncate(fitting(text, left, counter));
                is_cut = true;
                left = 0;
            } else {
                left -= tokens;
            }
            !text.is_empty()
        };
        self.reasoning = self.reasoning.take().filter(|reasoning| !reasoning.is_empty());
        if let Some(reasoning) = &mut self.reasoning {
            fit(reasoning);
        }
        fit(&mut self.text);
        self.calls.retain_mut(|call| fit(&mut call.name) && fit(&mut call.arguments));
        self.tokens = most - left;
        is_cut
    }
}

/// Cuts `text` at the first of `stops` in it, and tells which that is.
fn cut_at(text: &mut String, stops: &[String], include: bool) -> Option<String> {
    let first = stops.iter().filter_map(|stop| Some((text.find(stop.as_str())?, stop))).min_by_key(|(start, _)| *start);
    let (start, stop) = first?;
    text.truncate(if include { start + stop.len() } else { start });
    Some(stop.clone())
}

/// How many bytes of `text` are at most so many tokens. Halves the text until it knows.
fn fitting(text: &str, most: u64, counter: &Counter) -> usize {
    let (mut fits, mut exceeds) = (0, text.len());
    while exceeds - fits > 1 {
        let middle = fits + (exceeds - fits) / 2;
        let part = text.get(..text.floor_char_boundary(middle)).unwrap_or_default();
        if counter.count(part) <= most {
            fits = middle;
        } else {
            exceeds = middle;
        }
    }
    text.floor_char_boundary(fits)
}
