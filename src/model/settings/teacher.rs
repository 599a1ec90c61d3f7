//! Who completes a conversation, and how it is reached.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::Price;

/// How tool calls are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// Native tool calls of the chat API; calls found in the text are read too.
    Openai,
    /// `<tool_call>` with JSON inside, in the text (Hermes, Qwen).
    Hermes,
    /// `<tool_call><function=…><parameter=…>` (Qwen3-Coder).
    Qwen3Coder,
    /// Channels (gpt-oss).
    Harmony,
    /// `<｜tool▁call▁begin｜>` (DeepSeek V3, R1, V3.1).
    Deepseek,
    /// `<|tool_call_begin|>` (Kimi K2).
    Kimi,
    /// `{"name": …, "parameters": …}` (Llama 3).
    LlamaJson,
    /// `[search(query="…")]` (Llama 3.2, Llama 4).
    LlamaPythonic,
    /// `[TOOL_CALLS]` (Mistral).
    Mistral,
    /// `<web_search>…</web_search>`: the tag protocol of O-Researcher, for the recipe `decompose`.
    Tags,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Openai,
        Self::Hermes,
        Self::Qwen3Coder,
        Self::Harmony,
        Self::Deepseek,
        Self::Kimi,
        Self::LlamaJson,
        Self::LlamaPythonic,
        Self::Mistral,
        Self::Tags,
    ];

    /// The dialect's name in campaign files and rows.
    pub fn name(self) -> &'static str {
        match self {
            Self::Openai => "openai",
            Self::Hermes => "hermes",
            Self::Qwen3Coder => "qwen3_coder",
            Self::Harmony => "harmony",
            Self::Deepseek => "deepseek",
            Self::Kimi => "kimi",
            Self::LlamaJson => "llama_json",
            Self::LlamaPythonic => "llama_pythonic",
            Self::Mistral => "mistral",
            Self::Tags => "tags",
        }
    }

    /// The dialect of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.name() == name)
    }
}

/// Which of a server's two interfaces completes a conversation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// `chat/completions`: the server renders the messages.
    #[default]
    Chat,
    /// `completions`: we render them with the model's own chat template, and the text only ever grows.
    Completion,
}

fn is_chat(mode: &Mode) -> bool {
    *mode == Mode::Chat
}

/// Who completes a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TeacherSettings {
    /// How completions are made.
    pub kind: TeacherKind,
    /// The model's name.
    pub model: String,
    /// How tool calls are written.
    pub dialect: Dialect,
    /// Which interface is used.
    #[serde(default, skip_serializing_if = "is_chat")]
    pub mode: Mode,
    /// For `completion`: path of the model's chat template, or `prompt:` and the digest of one that is kept with the campaign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat_template: Option<String>,
    /// What counts its tokens: `o200k`, `cl100k`, the path of a Hugging Face `tokenizer.json`, or `prompt:` and the digest of one that is kept
    /// with the campaign.
    #[serde(default = "o200k", skip_serializing_if = "is_o200k")]
    pub tokenizer: String,
    /// Temperature.
    pub temperature: f64,
    /// Nucleus mass.
    pub top_p: f64,
    /// The longest completion, in tokens.
    pub max_completion_tokens: u32,
    /// Jobs in flight per worker.
    pub concurrency: u32,
    /// What its tokens cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// Who else speaks in a job.
    #[serde(default, skip_serializing_if = "Roles::is_empty")]
    pub roles: Roles,
}

/// Teachers of other roles than the researcher's; where there is none, the researcher's serves.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Roles {
    /// Divides the question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub planner: Option<Box<TeacherSettings>>,
    /// Writes the report.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summarizer: Option<Box<TeacherSettings>>,
    /// Extracts from crawled pages what the question needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extractor: Option<Box<TeacherSettings>>,
}

impl Roles {
    /// Whether one teacher plays all roles.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Those that are given, each with its name.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &TeacherSettings)> {
        let all = [("planner", &self.planner), ("summarizer", &self.summarizer), ("extractor", &self.extractor)];
        all.into_iter().filter_map(|(name, settings)| Some((name, settings.as_deref()?)))
    }
}

fn o200k() -> String {
    "o200k".to_owned()
}

fn is_o200k(tokenizer: &str) -> bool {
    tokenizer == "o200k"
}

impl TeacherSettings {
    /// Its keys that may never change under one campaign name, below `table`. Template and tokenizer are added by content where the campaign is
    /// frozen.
    pub(super) fn identity(&self, table: &str) -> BTreeMap<String, Value> {
        let kind = match &self.kind {
            TeacherKind::Heuristic => "heuristic",
            TeacherKind::Http(_) => "http",
            TeacherKind::Scripted { .. } => "scripted",
        };
        let mut identity: BTreeMap<String, Value> = [
            ("kind", json!(kind)),
            ("model", json!(self.model)),
            ("dialect", json!(self.dialect.name())),
            ("temperature", json!(self.temperature)),
            ("top_p", json!(self.top_p)),
            ("max_completion_tokens", json!(self.max_completion_tokens)),
        ]
        .into_iter()
        .map(|(key, value)| (format!("{table}.{key}"), value))
        .collect();
        if let TeacherKind::Http(http) = &self.kind {
            identity.insert(format!("{table}.extra"), Value::Object(http.extra.clone()));
            identity.insert(format!("{table}.mode"), json!(self.mode));
            identity.insert(format!("{table}.stop"), json!(http.stop));
        }
        // What a tokenizer counts decides when an answer is forced. A file's content is added where the campaign is frozen.
        if matches!(self.tokenizer.as_str(), "o200k" | "cl100k") {
            identity.insert(format!("{table}.tokenizer"), json!(self.tokenizer));
        }
        for (name, role) in self.roles.named() {
            identity.extend(role.identity(&format!("{table}.{name}")));
        }
        identity
    }
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
    /// For each endpoint its share of the jobs beside the others; empty: all the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weights: Vec<u32>,
    /// Name of the variable that holds the API key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_env: Option<String>,
    /// Longest single completion, in seconds.
    pub timeout_s: u64,
    /// Most requests a minute, over all workers and endpoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u64>,
    /// Most tokens a minute, prompts and completions, over all workers and endpoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<u64>,
    /// Texts that end a completion, beside those of the dialect.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// Further fields of the request body.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
}

impl Default for HttpSettings {
    /// No server yet, and the longest completion of ten minutes.
    fn default() -> Self {
        Self {
            endpoints: Vec::new(),
            weights: Vec::new(),
            api_key_env: None,
            timeout_s: 600,
            requests_per_minute: None,
            tokens_per_minute: None,
            stop: Vec::new(),
            extra: Map::new(),
        }
    }
}
