//! Exports a sealed data set for others to read: `native` rows as they are, or `messages` in the form of the OpenAI chat API.
//!
//! One canonical row, many views: an export decides nothing that the row does not say. Lines are written as they are read; memory holds one.

use std::collections::{BTreeMap, HashSet};
use std::io::Write;

use model::layout::CampaignKeys;
use model::{Action, Campaign, JobId, Manifest, Row, Selection, ThreadRole, Turn};
use runtime::Archive;
use serde_json::{Value, json};

use crate::DatasetError;
use crate::rows::RowFileReader;

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The rows themselves.
    Native,
    /// `messages` and `tools` of the OpenAI chat API; arguments as JSON text, reasoning in `reasoning_content`.
    Messages,
}

/// Which rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Accepted rows, as the data set selects them.
    Accepted,
    /// Rejected rows.
    Rejected,
    /// Both.
    All,
}

/// Name of the system prompt without the tool instructions of a text dialect, among a campaign's prompts.
pub const PLAIN_SYSTEM_PROMPT: &str = "browse.system.plain";
/// Name of the tool definitions among a campaign's prompts.
pub const TOOLS_PROMPT: &str = "browse.tools";

/// Writes the rows of `manifest` to `out`, one JSON object a line; returns how many.
///
/// # Errors
/// When a row file is missing or damaged, or `out` cannot be written.
pub async fn export(
    archive: &dyn Archive,
    campaign: &Campaign,
    manifest: &Manifest,
    format: Format,
    which: Which,
    out: &mut (dyn Write + Send),
) -> Result<u64, DatasetError> {
    let keys = CampaignKeys::new(&campaign.name);
    let prompts = Prompts::read(archive, &keys, campaign).await?;
    let selected: Option<HashSet<&JobId>> = match &manifest.selection {
        Selection::All => None,
        Selection::BestOfSeed { jobs } => Some(jobs.iter().collect()),
    };
    let mut written = 0;
    for shard in &manifest.shards {
        let accepted = shard.accepted.iter().filter(|_| which != Which::Rejected);
        let rejected = shard.rejected.iter().filter(|_| which != Which::Accepted);
        for file in accepted.chain(rejected) {
            let key = format!("{}{}", keys.grade(&manifest.grade), file.path);
            let mut reader = RowFileReader::open(archive, &key, file).await?;
            while let Some(row) = reader.next_row()? {
                let is_selected = !row.verdict.accepted || selected.as_ref().is_none_or(|selected| selected.contains(&row.job_id));
                if !is_selected {
                    continue;
                }
                write_row(out, &row, format, &prompts).map_err(|source| DatasetError::File {
                    action: "write",
                    path: "the export".into(),
                    source,
                })?;
                written += 1;
            }
        }
    }
    Ok(written)
}

/// The texts that rows name by digest.
struct Prompts {
    system: String,
    tools: Value,
}

impl Prompts {
    async fn read(archive: &dyn Archive, keys: &CampaignKeys, campaign: &Campaign) -> Result<Self, DatasetError> {
        let mut texts = BTreeMap::new();
        for name in [PLAIN_SYSTEM_PROMPT, TOOLS_PROMPT] {
            let hint = "the campaign's prompts are incomplete; plan it again under another name";
            let missing = || DatasetError::Missing { key: format!("prompt {name} of campaign {}", campaign.name), hint };
            let digest = campaign.prompts.get(name).ok_or_else(missing)?;
            let bytes = archive.get(&keys.prompt(digest)).await?.ok_or_else(missing)?;
            texts.insert(name, String::from_utf8_lossy(&bytes).into_owned());
        }
        let definitions: Vec<Value> = serde_json::from_str(texts.get(TOOLS_PROMPT).map_or("[]", String::as_str))
            .map_err(|error| DatasetError::damaged("the tool definitions", error))?;
        let tools = definitions.into_iter().map(|function| json!({"type": "function", "function": function})).collect();
        Ok(Self { system: texts.remove(PLAIN_SYSTEM_PROMPT).unwrap_or_default(), tools: Value::Array(tools) })
    }
}

fn write_row(out: &mut dyn Write, row: &Row, format: Format, prompts: &Prompts) -> std::io::Result<()> {
    match format {
        Format::Native => serde_json::to_writer(&mut *out, row)?,
        Format::Messages => serde_json::to_writer(&mut *out, &messages(row, prompts))?,
    }
    out.write_all(b"\n")
}

/// One row as a conversation of the chat API.
fn messages(row: &Row, prompts: &Prompts) -> Value {
    let mut messages = vec![json!({"role": "system", "content": prompts.system}), json!({"role": "user", "content": row.seed.question})];
    for thread in row.threads.iter().filter(|thread| thread.role == ThreadRole::Researcher) {
        for (number, turn) in thread.turns.iter().enumerate() {
            push_turn(&mut messages, turn, number);
        }
    }
    json!({
        "job_id": row.job_id,
        "seed_id": row.seed.id,
        "sample": row.sample,
        "question": row.seed.question,
        "answers": row.seed.answers,
        "accepted": row.verdict.accepted,
        "outcome": row.outcome,
        "scores": row.verdict.scores,
        "messages": messages,
        "tools": prompts.tools,
    })
}

fn push_turn(messages: &mut Vec<Value>, turn: &Turn, number: usize) {
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
        messages.push(json!({"role": "tool", "tool_call_id": id, "name": action.tool, "content": observation.text}));
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
        push_turn(&mut messages, &turn, 3);
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
        push_turn(&mut messages, &Turn { actions: vec![unread, mended], ..turn }, 4);
        let calls = messages[0]["tool_calls"].as_array().expect("two calls");
        assert_eq!(calls[0]["function"]["arguments"].as_str(), broken.as_deref(), "what could not be read is exported as written");
        assert_eq!(calls[1]["function"]["arguments"], "{\"query\":\"q\"}", "what could be is exported as understood");
    }
}
