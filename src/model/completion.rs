//! What a teacher is asked and what it answers: messages, tool definitions, sampling, completions, usage.
//!
//! The shape is the common denominator of OpenAI-compatible chat servers. How a tool call is *written* inside a text is a dialect and lives
//! with the teacher; here a call is only a name and its arguments as the model wrote them.

use std::ops::{Add, AddAssign};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Digest;

/// Who speaks in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Standing instructions.
    System,
    /// The question, and notices that we inject.
    User,
    /// The model.
    Assistant,
    /// What a tool returned.
    Tool,
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// The visible text.
    pub text: String,
    /// The model's reasoning, where the server gives it apart from the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
    /// Native tool calls of an assistant message; empty where calls are written in the text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<ToolCall>,
    /// For a tool message that answers a native call: that call's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_id: Option<String>,
}

impl Message {
    /// A message of `role` with nothing but text.
    pub fn text(role: Role, text: impl Into<String>) -> Self {
        Self { role, text: text.into(), reasoning: None, calls: Vec::new(), call_id: None }
    }
}

/// A tool call as a server reports it: arguments are JSON text exactly as the model wrote it, which need not parse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ToolCall {
    /// The server's id for the call; empty when it gave none.
    #[serde(default)]
    pub id: String,
    /// The tool's name as written.
    pub name: String,
    /// The arguments as written.
    pub arguments: String,
}

/// A tool as it is offered to a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ToolDefinition {
    /// The tool's name.
    pub name: String,
    /// What it does, for the model.
    pub description: String,
    /// JSON Schema of the arguments.
    pub parameters: Value,
}

/// How a completion is sampled; recorded in every row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sampling {
    /// Temperature, 0 to 2.
    pub temperature: f64,
    /// Nucleus mass, 0 to 1.
    pub top_p: f64,
    /// The longest completion, in tokens.
    pub max_completion_tokens: u32,
    /// Seed of this job's sampling: derived from the campaign's seed, the question's id, the sample and nothing else.
    pub seed: u64,
}

impl Sampling {
    /// The seed of `sample` of the seed query `seed_id` in a campaign with the root `root` of all randomness: the same in every campaign, so
    /// that two of them differ by their settings and not by chance. 31 bits: the widest number that no server we know of refuses or rounds, so
    /// that what is recorded is what is sent.
    pub fn seed_of(root: u64, seed_id: &str, sample: u32) -> u64 {
        let digest = Digest::of_parts([root.to_le_bytes().as_slice(), seed_id.as_bytes(), &sample.to_le_bytes()]);
        let drawn = digest.as_str().get(..8).and_then(|digits| u64::from_str_radix(digits, 16).ok());
        drawn.unwrap_or_default() & 0x7fff_ffff
    }
}

/// Why a completion ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// The model ended its turn.
    Stop,
    /// The token limit cut it.
    Length,
    /// It ended to have tools called.
    ToolCalls,
    /// The provider withheld it.
    ContentFilter,
    /// Anything else, and reasons of servers to come.
    #[serde(other)]
    Other,
}

/// What a model answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Completion {
    /// The visible text as written.
    pub text: String,
    /// Reasoning that the server gave apart from the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
    /// Native tool calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<ToolCall>,
    /// Why it ended.
    pub finish_reason: FinishReason,
    /// What it cost.
    #[serde(default)]
    pub usage: Usage,
    /// The model's name as the server reported it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// Tokens and calls spent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Usage {
    /// Tokens sent, as the server counted them, else as we did.
    pub prompt_tokens: u64,
    /// Tokens received, reasoning included.
    pub completion_tokens: u64,
    /// Completions.
    pub calls: u64,
    /// Money by the teacher's price table when the completion was made, in millionths of the table's currency; 0 without a table.
    #[serde(skip_serializing_if = "is_free")]
    pub cost_micros: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_free(cost_micros: &u64) -> bool {
    *cost_micros == 0
}

impl Add for Usage {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.prompt_tokens += other.prompt_tokens;
        self.completion_tokens += other.completion_tokens;
        self.calls += other.calls;
        self.cost_micros += other.cost_micros;
    }
}

/// What a model's tokens cost: money per million of them, in whatever currency a campaign's budget is written in.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Per million tokens that the model reads.
    pub prompt: f64,
    /// Per million tokens that the model writes.
    pub completion: f64,
}

impl Price {
    /// The cost of `usage`, in millionths of the currency.
    pub fn cost_micros(&self, usage: &Usage) -> u64 {
        // Money per million tokens is millionths of it per token.
        (usage.prompt_tokens as f64 * self.prompt + usage.completion_tokens as f64 * self.completion).round() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sampling_seed_fits_every_server_and_depends_on_root_question_and_sample() {
        let seeds: std::collections::HashSet<u64> = (0..1000).map(|sample| Sampling::seed_of(7, "seed", sample)).collect();
        assert!(seeds.iter().all(|seed| *seed <= 0x7fff_ffff) && seeds.len() > 990);
        assert!(seeds.iter().any(|seed| *seed > 0x3fff_ffff), "all 31 bits are used");
        assert_eq!(Sampling::seed_of(7, "seed", 1), Sampling::seed_of(7, "seed", 1));
        assert_ne!(Sampling::seed_of(7, "seed", 1), Sampling::seed_of(8, "seed", 1));
        assert_ne!(Sampling::seed_of(7, "seed", 1), Sampling::seed_of(7, "other", 1));
    }
}
