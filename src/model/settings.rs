//! What a campaign file means: every value present, checked, and in one of the forms the code acts on.
//!
//! Converted once, before anything is opened; all problems are reported together, each with key, value and rule.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{Digest, Usage};

mod resolve;
mod rules;

pub use rules::{
    AnswerLengthRule, AnsweredRule, CitationsRule, FilterSettings, LanguageRule, LengthRule, ProtocolLeakRule, RepetitionRule,
    ToolCallsRule, ToolErrorsRule,
};

/// A checked campaign configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// What is run.
    pub campaign: CampaignSettings,
    /// What is searched.
    pub corpus: CorpusSettings,
    /// How research is organised.
    pub recipe: RecipeSettings,
    /// Who researches.
    pub teacher: TeacherSettings,
    /// Which rules reject.
    pub filter: FilterSettings,
    /// Who judges.
    pub judge: JudgeSettings,
    /// What the whole campaign may cost.
    #[serde(default, skip_serializing_if = "BudgetSettings::is_unlimited")]
    pub budget: BudgetSettings,
}

/// What a whole campaign may cost. Reached, no more jobs are taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct BudgetSettings {
    /// Most tokens that models write.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_tokens: Option<u64>,
    /// Most tokens that models read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<u64>,
    /// Most completions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<u64>,
}

impl BudgetSettings {
    /// Whether there is none.
    pub fn is_unlimited(&self) -> bool {
        *self == Self::default()
    }

    /// Whether `spent` reaches it.
    pub fn is_reached(&self, spent: &Usage) -> bool {
        let reached = |limit: Option<u64>, spent: u64| limit.is_some_and(|limit| spent >= limit);
        reached(self.completion_tokens, spent.completion_tokens)
            || reached(self.prompt_tokens, spent.prompt_tokens)
            || reached(self.calls, spent.calls)
    }
}

/// What is run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CampaignSettings {
    /// Its name.
    pub name: String,
    /// Path of the seeds.
    pub seeds: String,
    /// Samples per seed.
    pub samples_per_seed: u32,
    /// Root of all randomness.
    pub seed: u64,
    /// Directory or `s3://` URL; absent: the environment says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<String>,
    /// Ranks per shard.
    pub rows_per_shard: u32,
    /// Only the first so many seeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Its share of the workers beside other campaigns.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub weight: u32,
    /// Our name of a seed's field → its name in the seeds file.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
}

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_one(weight: &u32) -> bool {
    *weight == 1
}

/// What is searched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CorpusSettings {
    /// Snapshot directory; empty where the corpus is named by its id.
    #[serde(default)]
    pub path: String,
    /// Files to build it from when it does not exist.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// Id of a corpus in the archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Digest>,
}

/// How research is organised.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RecipeSettings {
    /// One researcher with search, open and find.
    Browse(BrowseSettings),
}

impl RecipeSettings {
    /// The recipe's name in rows.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Browse(_) => "browse",
        }
    }
}

/// Budgets of the recipe `browse`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BrowseSettings {
    /// Most turns.
    pub max_turns: u32,
    /// Most tool calls.
    pub max_tool_calls: u32,
    /// Longest conversation, in o200k tokens.
    pub context_tokens: u32,
    /// Most tokens the model may write in one job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_tokens: Option<u64>,
    /// Longest work on one job, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wall_s: Option<u64>,
    /// The only date a prompt may know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<String>,
}

/// How tool calls are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// Native tool calls of the chat API; calls found in the text are read too.
    Openai,
    /// `<tool_call>` with JSON inside, in the text; tools are described in the system prompt.
    Hermes,
}

impl Dialect {
    /// The dialect's name in rows.
    pub fn name(self) -> &'static str {
        match self {
            Self::Openai => "openai",
            Self::Hermes => "hermes",
        }
    }
}

/// Who researches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TeacherSettings {
    /// How completions are made.
    pub kind: TeacherKind,
    /// The model's name.
    pub model: String,
    /// How tool calls are written.
    pub dialect: Dialect,
    /// Temperature.
    pub temperature: f64,
    /// Nucleus mass.
    pub top_p: f64,
    /// The longest completion, in tokens.
    pub max_completion_tokens: u32,
    /// Jobs in flight per worker.
    pub concurrency: u32,
}

/// How completions are made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TeacherKind {
    /// No model: a rehearsal.
    Heuristic,
    /// OpenAI-compatible servers.
    Http(HttpSettings),
    /// A script of completions.
    Scripted {
        /// Path of the script.
        script: String,
    },
}

/// How to reach a model over HTTP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HttpSettings {
    /// Base URLs, ending in `/v1`.
    pub endpoints: Vec<String>,
    /// Name of the variable that holds the API key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_env: Option<String>,
    /// Longest single completion, in seconds.
    pub timeout_s: u64,
    /// Further fields of the request body.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
}

/// Who judges.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JudgeSettings {
    /// How judgements are made.
    pub kind: JudgeKind,
    /// Least score that is accepted.
    pub accept_at: f64,
}

/// How judgements are made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum JudgeKind {
    /// Word overlap with the reference answers.
    Lexical,
    /// A model with a rubric.
    Http {
        /// How to reach it.
        http: HttpSettings,
        /// Its name.
        model: String,
        /// Path of a rubric, or `prompt:` and the digest of one that is kept with the campaign; absent: the built-in one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rubric: Option<String>,
        /// Longest judgement, in tokens.
        max_completion_tokens: u32,
    },
    /// Nobody: rules alone decide.
    Off,
}

impl Settings {
    /// The keys that may never change under one name, flattened. Seeds, corpus and prompts are added by content where the campaign is frozen.
    pub fn identity(&self) -> BTreeMap<String, Value> {
        let RecipeSettings::Browse(browse) = &self.recipe;
        let teacher = &self.teacher;
        let kind = match &teacher.kind {
            TeacherKind::Heuristic => "heuristic",
            TeacherKind::Http(_) => "http",
            TeacherKind::Scripted { .. } => "scripted",
        };
        let mut identity: BTreeMap<String, Value> = [
            ("campaign.seed", json!(self.campaign.seed)),
            ("campaign.rows_per_shard", json!(self.campaign.rows_per_shard)),
            ("recipe.kind", json!(self.recipe.name())),
            ("recipe.max_turns", json!(browse.max_turns)),
            ("recipe.max_tool_calls", json!(browse.max_tool_calls)),
            ("recipe.context_tokens", json!(browse.context_tokens)),
            ("recipe.completion_tokens", json!(browse.completion_tokens)),
            ("recipe.wall_s", json!(browse.wall_s)),
            ("recipe.as_of", json!(browse.as_of)),
            ("teacher.kind", json!(kind)),
            ("teacher.model", json!(teacher.model)),
            ("teacher.dialect", json!(teacher.dialect.name())),
            ("teacher.temperature", json!(teacher.temperature)),
            ("teacher.top_p", json!(teacher.top_p)),
            ("teacher.max_completion_tokens", json!(teacher.max_completion_tokens)),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
        if let TeacherKind::Http(http) = &teacher.kind {
            identity.insert("teacher.extra".into(), Value::Object(http.extra.clone()));
        }
        identity
    }

    /// The digest that names a grade: everything that decides verdicts, and nothing that only says how to reach a judge.
    pub fn grade_identity(&self) -> Value {
        let judge = match &self.judge.kind {
            JudgeKind::Lexical => json!({"kind": "lexical"}),
            JudgeKind::Off => json!({"kind": "off"}),
            JudgeKind::Http { model, max_completion_tokens, .. } => {
                json!({"kind": "http", "model": model, "max_completion_tokens": max_completion_tokens})
            }
        };
        json!({"filter": self.filter, "judge": judge, "accept_at": self.judge.accept_at})
    }
}
