//! A teacher without any model: it searches, opens, finds, and quotes the sentences that fit the question best. Where the system message asks
//! for a role of the recipe `decompose`, it plays that one.
//!
//! A rehearsal, not a teacher to train on. It makes whole campaigns run, at thousands of turns a second and with real tools, before a model
//! is paid for; what it writes is shallow. It sees exactly what a model sees (messages and sampling): no corpus, no reference answer, no
//! state between turns, so that the same request always gets the same completion. Calls are written as text, so that the dialects run.

mod answer;
mod asked;
mod candidate;
mod choice;
mod decompose;
mod evidence;
mod figure;
mod lexicon;
mod lookup;
mod name;
mod phrase;
mod plan;
mod prose;
mod query;
mod question;
mod reading;
mod span;
mod text;
mod view;
mod voice;

use async_trait::async_trait;
use model::settings::Dialect;
use model::{Completion, FinishReason, Message, Sampling, Usage};
use serde_json::{Map, Value, json};

use self::evidence::Evidence;
use self::plan::{Dice, Move, Planner};
use self::question::Question;
use self::reading::{Conversation, Demand};
use crate::{Calls, Request, Teacher, TeacherError, dialect};

/// The name under which completions are recorded.
const MODEL: &str = "heuristic";

/// Completes conversations by rules. Has no state.
#[derive(Debug, Clone, Copy, Default)]
pub struct HeuristicTeacher;

#[async_trait]
impl Teacher for HeuristicTeacher {
    async fn complete(&self, request: &Request) -> Result<Completion, TeacherError> {
        Ok(complete(&request.messages, request.calls, &request.sampling))
    }
}

/// The completion of a conversation. Tokens in its usage are bytes divided by four: an estimate that costs nothing.
fn complete(messages: &[Message], calls: Calls, sampling: &Sampling) -> Completion {
    let text = next_text(messages, calls, sampling);
    let prompt_bytes: usize = messages.iter().map(|message| message.text.len()).sum();
    let usage = Usage { prompt_tokens: prompt_bytes as u64 / 4, completion_tokens: text.len() as u64 / 4, calls: 1, ..Usage::default() };
    let model = Some(MODEL.to_owned());
    Completion { text, reasoning: None, calls: Vec::new(), finish_reason: FinishReason::Stop, usage, model }
}

fn next_text(messages: &[Message], calls: Calls, sampling: &Sampling) -> String {
    if let Some(text) = decompose::next_text(messages, calls, sampling) {
        return text;
    }
    let mut conversation = Conversation::read(messages);
    if calls == Calls::Forbidden {
        conversation.demand = Demand::Answer;
    }
    let question = Question::read(conversation.asked);
    let evidence = Evidence::weigh(&question, &conversation);
    let best = evidence.best();
    let of_question = text::key(&question.text);
    let seed = (sampling.temperature > 0.0).then_some(sampling.seed);
    let planner = Planner { evidence: &evidence, best: &best, conversation: &conversation, dice: Dice { seed, of_question } };
    let moves = planner.next();
    let variant = text::mix(of_question, conversation.steps.len() as u64);
    if moves.is_empty() {
        let answer = answer::compose(&evidence, &best);
        let thought = voice::conclusion(!best.is_empty(), variant);
        return format!("<think>{thought}</think>\n{answer}");
    }
    let thought = voice::thought(&question, &moves, conversation.steps.len(), variant);
    let calls: Vec<String> = moves.iter().map(written).collect();
    format!("<think>{thought}</think>\n{}", calls.join("\n"))
}

fn written(made: &Move) -> String {
    let (name, arguments) = match made {
        Move::Search { query } => ("search", json!({ "query": query, "topn": plan::RESULTS })),
        Move::Open { id, cursor, .. } => ("open", json!({ "id": id, "cursor": cursor })),
        Move::Scroll { cursor, loc } => ("open", json!({ "cursor": cursor, "loc": loc })),
        Move::Find { pattern, cursor } => ("find", json!({ "pattern": pattern, "cursor": cursor })),
    };
    let arguments = match arguments {
        Value::Object(arguments) => arguments,
        _ => Map::new(),
    };
    dialect::write(Dialect::Hermes, name, &arguments)
}

#[cfg(test)]
mod tests;
