//! `messages` and `tools` of the OpenAI chat API: one conversation for a row of `browse`, one for each thread of `decompose`.
//!
//! Arguments are JSON text and reasoning is in `reasoning_content`, whatever dialect the model wrote in; turns and notices stand in the order
//! in which the model saw them.

use std::collections::{BTreeMap, HashSet};

use model::settings::RecipeSettings;
use model::{Action, Attribution, Digest, Row, Thread, ThreadRole, Turn};
use serde_json::{Value, json};

use super::head;
use super::prompts::Prompts;
use crate::DatasetError;
use crate::trace::PageText;

/// Name of the system prompt without the tool instructions of a text dialect, among a campaign's prompts.
const PLAIN_SYSTEM_PROMPT: &str = "browse.system.plain";
/// Names of the tool definitions among a campaign's prompts.
const BROWSE_TOOLS_PROMPT: &str = "browse.tools";
const DECOMPOSE_TOOLS_PROMPT: &str = "decompose.tools";

/// Makes conversations of the rows of one campaign.
pub(super) struct Messages<'a> {
    prompts: Prompts<'a>,
    /// The one system prompt of `browse`; threads of `decompose` have their own.
    system: Option<String>,
    tools: Value,
    pages: PageText,
    /// The system prompts of threads, each read once: no more than the campaign has.
    systems: BTreeMap<Digest, String>,
}

impl<'a> Messages<'a> {
    /// Reads what all rows share.
    pub(super) async fn new(prompts: Prompts<'a>, pages: PageText) -> Result<Self, DatasetError> {
        let (system, tools) = match prompts.campaign.settings.recipe {
            RecipeSettings::Browse(_) => (Some(prompts.required(PLAIN_SYSTEM_PROMPT).await?), BROWSE_TOOLS_PROMPT),
            RecipeSettings::Decompose(_) => (None, DECOMPOSE_TOOLS_PROMPT),
        };
        let definitions: Vec<Value> =
            serde_json::from_str(&prompts.required(tools).await?).map_err(|error| DatasetError::damaged("the tool definitions", error))?;
        let tools = definitions.into_iter().map(|function| json!({"type": "function", "function": function})).collect();
        Ok(Self { prompts, system, tools: Value::Array(tools), pages, systems: BTreeMap::new() })
    }

    /// One row as a line.
    pub(super) async fn of(&mut self, row: &Row) -> Result<Value, DatasetError> {
        let mut line = head(row);
        match &self.system {
            Some(system) => {
                let mut messages = opened(system, &row.seed.question);
                for thread in row.threads.iter().filter(|thread| thread.role == ThreadRole::Researcher) {
                    self.push_turns(&mut messages, thread);
                }
                line.insert("messages".into(), Value::Array(messages));
            }
            None => {
                line.insert("threads".into(), self.threads(row).await?);
            }
        }
        line.insert("tools".into(), self.tools.clone());
        Ok(Value::Object(line))
    }

    /// One conversation a thread. One that `continues` holds only what it adds to the conversation before it.
    async fn threads(&mut self, row: &Row) -> Result<Value, DatasetError> {
        let mut threads = Vec::with_capacity(row.threads.len());
        for thread in &row.threads {
            let mut messages = match thread.continues {
                true => vec![json!({"role": "user", "content": opening(row, thread)})],
                false => opened(self.system_of(&thread.prompt).await?, &opening(row, thread)),
            };
            self.push_turns(&mut messages, thread);
            threads.push(json!({
                "role": thread.role,
                "subtask": thread.subtask,
                "continues": thread.continues,
                "messages": messages,
            }));
        }
        Ok(Value::Array(threads))
    }

    async fn system_of(&mut self, prompt: &Digest) -> Result<&str, DatasetError> {
        if !self.systems.contains_key(prompt) {
            let text = self.prompts.of_digest(prompt).await?;
            self.systems.insert(prompt.clone(), text);
        }
        Ok(self.systems.get(prompt).map_or("", String::as_str))
    }

    fn push_turns(&self, messages: &mut Vec<Value>, thread: &Thread) {
        for (number, turn) in thread.turns.iter().enumerate() {
            push_turn(messages, turn, number, self.pages);
        }
    }
}

fn opened(system: &str, user: &str) -> Vec<Value> {
    vec![json!({"role": "system", "content": system}), json!({"role": "user", "content": user})]
}

/// What a thread of `decompose` is asked first, as the recipe asks it. Only findings that were cut to fit a summarizer's context stand whole.
fn opening(row: &Row, thread: &Thread) -> String {
    let question = &row.seed.question;
    match (thread.role, &thread.subtask) {
        (ThreadRole::Researcher, Some(subtask)) if thread.continues => format!("Subtask: {subtask}"),
        (ThreadRole::Researcher, Some(subtask)) => format!("Question: {question}\n\nSubtask: {subtask}"),
        (ThreadRole::Planner | ThreadRole::Researcher, _) => question.clone(),
        (ThreadRole::Summarizer, _) => findings(row),
    }
}

/// Question, subtasks with their answers, and the one list of references that these are numbered by.
fn findings(row: &Row) -> String {
    let mut text = format!("Question: {}\n", row.seed.question);
    let mut references: Vec<(&str, &str)> = Vec::new();
    let mut listed = HashSet::new();
    for thread in row.threads.iter().filter(|thread| thread.role == ThreadRole::Researcher) {
        let (subtask, answer) = (thread.subtask.as_deref().unwrap_or_default(), thread.answer.as_deref().unwrap_or("Nothing was found."));
        text.push_str(&format!("\n<subtask>\n{subtask}\n</subtask>\n<subtask_answer>\n{answer}\n</subtask_answer>\n"));
        let shown = thread.citations.iter().filter(|citation| citation.attribution == Attribution::Shown);
        for (url, citation) in shown.filter_map(|citation| Some((citation.url.as_deref()?, citation))) {
            if listed.insert(url) {
                references.push((url, citation.title.as_deref().unwrap_or_default()));
            }
        }
    }
    for ((url, title), number) in references.into_iter().zip(1..) {
        let heading = if number == 1 { "\nReferences" } else { "" };
        let separator = if title.is_empty() { "" } else { " - " };
        text.push_str(&format!("{heading}\n[{number}]. {url}{separator}{title}"));
    }
    text
}

fn push_turn(messages: &mut Vec<Value>, turn: &Turn, number: usize, pages: PageText) {
    let ids: Vec<String> = turn.actions.iter().enumerate().map(|(n, action)| call_id(action, number, n)).collect();
    let mut assistant = json!({"role": "assistant", "content": turn.text});
    if let Some(reasoning) = &turn.reasoning {
        assistant["reasoning_content"] = json!(reasoning);
    }
    if !turn.actions.is_empty() {
        let calls = turn.actions.iter().zip(&ids).map(|(action, id)| {
            let function = json!({"name": action.tool, "arguments": arguments(action)});
            json!({"id": id, "type": "function", "function": function})
        });
        assistant["tool_calls"] = Value::Array(calls.collect());
    }
    messages.push(assistant);
    for ((action, observation), id) in turn.actions.iter().zip(&turn.observations).zip(&ids) {
        messages.push(json!({"role": "tool", "tool_call_id": id, "name": action.tool, "content": pages.shown(observation)}));
    }
    for notice in &turn.notices {
        messages.push(json!({"role": "user", "content": notice.text}));
    }
}

/// What was understood; of a call that could not be read, what the model wrote, so that its observation answers what stands there.
fn arguments(action: &Action) -> String {
    match (&action.unreadable, &action.written) {
        (Some(_), Some(written)) => written.clone(),
        _ => Value::Object(action.arguments.clone()).to_string(),
    }
}

fn call_id(action: &Action, turn: usize, n: usize) -> String {
    if action.id.is_empty() { format!("call_{turn}_{n}") } else { action.id.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{FinishReason, Notice, NoticeKind, Observation, Retrieval, Usage};

    #[test]
    fn a_turn_becomes_calls_answers_and_notices_in_the_order_the_model_saw_them() {
        let action = |id: &str| Action {
            id: id.into(),
            tool: "search".into(),
            arguments: json!({"query": "q"}).as_object().cloned().unwrap_or_default(),
            written: None,
            dialect: "hermes".into(),
            repairs: Vec::new(),
            unreadable: None,
        };
        let observation = |text: &str| Observation { text: text.into(), ..Observation::default() };
        let turn = Turn {
            reasoning: Some("why".into()),
            text: "saying".into(),
            raw: None,
            actions: vec![action(""), action("id-2")],
            observations: vec![observation("one"), observation("two")],
            notices: vec![Notice { kind: NoticeKind::BudgetWarning, text: "soon".into() }],
            retrieval: Retrieval::default(),
            finish_reason: FinishReason::ToolCalls,
            usage: Usage::default(),
        };
        let mut messages = Vec::new();
        push_turn(&mut messages, &turn, 3, PageText::Seen);
        assert_eq!(messages.len(), 4);
        assert_eq!(messages[0]["reasoning_content"], "why");
        assert_eq!(messages[0]["tool_calls"][0]["function"]["arguments"], "{\"query\":\"q\"}");
        assert_eq!((&messages[1]["tool_call_id"], &messages[1]["content"]), (&json!("call_3_0"), &json!("one")));
        assert_eq!((&messages[2]["tool_call_id"], &messages[2]["content"]), (&json!("id-2"), &json!("two")));
        assert_eq!((&messages[3]["role"], &messages[3]["content"]), (&json!("user"), &json!("soon")));

        let broken = Some("{\"query\": \"the fir".to_owned());
        let unread = Action { arguments: Default::default(), written: broken.clone(), unreadable: Some("cut".into()), ..action("id-3") };
        let mended = Action { written: Some("{'query': 'q'}".into()), ..action("id-4") };
        messages.clear();
        push_turn(&mut messages, &Turn { actions: vec![unread, mended], ..turn }, 4, PageText::Seen);
        let calls = messages[0]["tool_calls"].as_array().expect("two calls");
        assert_eq!(calls[0]["function"]["arguments"].as_str(), broken.as_deref(), "what could not be read is exported as written");
        assert_eq!(calls[1]["function"]["arguments"], "{\"query\":\"q\"}", "what could be is exported as understood");
    }
}
