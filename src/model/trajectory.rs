//! A trajectory: the closed record of how one job was researched, thread by thread and turn by turn.
//!
//! Everything outside `provenance` is a pure function of (job, corpus, journal). Model text is kept as it was written; what was parsed out of
//! it stands beside it, never instead of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Digest, FinishReason, JobId, Sampling, Seed, Usage};

/// Version of the trajectory and row format.
pub const SCHEMA_VERSION: u32 = 1;

/// The record of one job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Trajectory {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// The job.
    pub job_id: JobId,
    /// The job's rank in the plan.
    pub rank: u64,
    /// The campaign's name.
    pub campaign: String,
    /// The question.
    pub seed: Seed,
    /// Which sample of the seed.
    pub sample: u32,
    /// The recipe's name.
    pub recipe: String,
    /// The corpus that was searched.
    pub corpus_id: Digest,
    /// The model.
    pub teacher: TeacherRecord,
    /// All conversations; `browse` has one.
    pub threads: Vec<Thread>,
    /// Why it ended.
    pub outcome: Outcome,
    /// Which budget was reached, where one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
    /// The final answer's text, markers included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// The citations of the answer, resolved.
    #[serde(default)]
    pub citations: Vec<Citation>,
    /// How much of the seed's gold was met, and when; absent for a seed without gold documents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gold: Option<GoldMet>,
    /// Sum over all completions.
    pub usage: Usage,
    /// How it came about; outside the content digest.
    pub provenance: Provenance,
}

/// Which model, sampled how, speaking which dialect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TeacherRecord {
    /// The model's name in the campaign file.
    pub model: String,
    /// How it was sampled.
    pub sampling: Sampling,
    /// How its tool calls are written.
    pub dialect: String,
}

/// What a thread is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ThreadRole {
    /// Divides the question.
    Planner,
    /// Researches.
    Researcher,
    /// Writes the report.
    Summarizer,
}

/// One conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Thread {
    /// What it is for.
    pub role: ThreadRole,
    /// The subtask it researches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subtask: Option<String>,
    /// Digest of the system prompt as sent; its text is in the campaign's `prompts` folder.
    pub prompt: Digest,
    /// Who spoke, where that is not the trajectory's teacher.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher: Option<TeacherRecord>,
    /// Who extracted from its pages, where somebody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extractor: Option<TeacherRecord>,
    /// Whether its conversation goes on from the thread before it (subtasks one after the other in one context).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub continues: bool,
    /// The turns.
    pub turns: Vec<Turn>,
    /// What came of a subtask, its citations numbered as in the whole trajectory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// Why a subtask's research ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// The thread's budget that was reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
    /// The citations of the subtask's answer as the model wrote them, resolved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub citations: Vec<Citation>,
}

impl Thread {
    /// The thread of a job's own teacher, without a subtask.
    pub fn new(role: ThreadRole, prompt: Digest, turns: Vec<Turn>) -> Self {
        Self {
            role,
            subtask: None,
            prompt,
            teacher: None,
            extractor: None,
            continues: false,
            turns,
            answer: None,
            outcome: None,
            limit: None,
            citations: Vec::new(),
        }
    }
}

/// One completion and what came of it. After the model's text come the observations, one for each action, then the notices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Turn {
    /// The model's reasoning, from the server or out of its text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
    /// The text without reasoning and calls.
    pub text: String,
    /// The text as written, where it differs from `text`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
    /// Parsed tool calls, in order.
    #[serde(default)]
    pub actions: Vec<Action>,
    /// What each action returned.
    #[serde(default)]
    pub observations: Vec<Observation>,
    /// What we told the model after this turn.
    #[serde(default)]
    pub notices: Vec<Notice>,
    /// Gold documents met in this turn.
    #[serde(default)]
    pub retrieval: Retrieval,
    /// Why the completion ended.
    pub finish_reason: FinishReason,
    /// What the completion cost.
    pub usage: Usage,
}

/// A tool call as understood.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Action {
    /// The server's id of a native call; empty for a call written in text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// The tool's name as written; which tools exist is the tool box's business.
    pub tool: String,
    /// The arguments; empty when they could not be read.
    pub arguments: Map<String, Value>,
    /// For a native call, the arguments exactly as the model wrote them, where that is not the compact JSON of `arguments`. A call written in
    /// text stands in its turn's text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<String>,
    /// The dialect the call was written in.
    pub dialect: String,
    /// What had to be mended to read it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repairs: Vec<String>,
    /// Why it could not be read; its observation tells the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
}

/// What a tool returned.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Observation {
    /// The text that the model sees.
    pub text: String,
    /// Length of `text` in o200k tokens, counted once when it was made.
    pub tokens: u32,
    /// The kind of trouble, when the tool refused; its text explains it to the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// URLs whose title or text the observation shows, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub urls_shown: Vec<String>,
    /// The document whose page this is; of several, the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url_opened: Option<String>,
    /// The other documents whose text this holds, where one call asked for several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub urls_opened_too: Vec<String>,
    /// The cursor this page has in its browser.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<u32>,
    /// Protocol tags and special tokens of the document that were neutralised.
    #[serde(skip_serializing_if = "is_zero")]
    pub neutralised: u32,
    /// A query-focused extract by a model, where the recipe makes one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extract: Option<String>,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// Why we spoke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// A budget is nearly used up.
    BudgetWarning,
    /// A budget is used up; the next turn must answer.
    FinalAnswerDemanded,
    /// A call could not be read.
    ParseError,
    /// There was neither a call nor an answer.
    EmptyTurn,
    /// A completion was cut by the token limit.
    Truncated,
    /// The same query or action again.
    Repetition,
    /// The text announced a call that was not made.
    NarratedCall,
    /// An answer before the fewest tool calls that the recipe asks for.
    TooFewCalls,
    /// A list of subtasks that is empty, too long, or says the same twice.
    SubtasksRefused,
    /// A report that lacks a part or cites what there is not.
    ReportRefused,
}

/// Text that we injected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Notice {
    /// Why.
    pub kind: NoticeKind,
    /// What the model saw.
    pub text: String,
}

/// Gold documents met.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Retrieval {
    /// Gold URLs shown among search results.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gold_shown: Vec<String>,
    /// Gold URLs opened.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gold_opened: Vec<String>,
}

/// How much of a seed's gold documents a trajectory met. Turns are counted from 1 over all threads in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct GoldMet {
    /// Gold documents of the seed that are in the corpus, and those that are not.
    pub documents: u32,
    /// Of these, how many were among search results.
    pub shown: u32,
    /// Of these, how many were opened.
    pub opened: u32,
    /// The turn in which one was first among search results.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_shown_turn: Option<u32>,
    /// The turn in which one was first opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_opened_turn: Option<u32>,
}

/// Why a trajectory ended. Data, never an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The model answered of its own accord.
    Answered,
    /// The model answered when a budget forced it to.
    ForcedAnswer,
    /// Turns were used up without an answer.
    TurnLimit,
    /// Tool calls were used up without an answer.
    ToolCallLimit,
    /// The context or the completion budget was used up without an answer.
    TokenLimit,
    /// Wall time was used up without an answer.
    TimeLimit,
    /// The model repeated itself and did not stop.
    Loop,
    /// The model refused, or its provider withheld the text.
    Refused,
    /// Turn after turn without text or call.
    Empty,
}

impl Outcome {
    /// Whether there is an answer to judge.
    pub fn has_answer(self) -> bool {
        matches!(self, Self::Answered | Self::ForcedAnswer)
    }
}

/// A budget that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Turns of the thread.
    Turns,
    /// Tool calls of the thread.
    ToolCalls,
    /// Tokens of the conversation.
    ContextTokens,
    /// Tokens the model wrote.
    CompletionTokens,
    /// Tokens the model read.
    PromptTokens,
    /// Completions.
    Calls,
    /// Money.
    Money,
    /// Wall time of the job.
    WallTime,
    /// Identical actions in a row.
    Repetition,
    /// Turns in a row with neither a call nor an answer.
    FruitlessTurns,
}

/// A citation of the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Citation {
    /// The marker as written.
    pub marker: String,
    /// The cited document; absent when the marker resolves to nothing shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Its title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// First and last cited line, where the marker names them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<(u32, u32)>,
    /// How far the marker could be followed.
    pub attribution: Attribution,
}

/// How far a citation could be followed within its own trajectory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Attribution {
    /// The page and the lines were shown.
    Shown,
    /// The page was shown, the lines were not.
    LinesNotShown,
    /// No such page in this trajectory.
    Unresolved,
}

/// How a trajectory came about: everything that may differ between two runs of the same campaign.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Provenance {
    /// Milliseconds of work, over all slices of the last attempt.
    pub busy_ms: u64,
    /// Attempts, from 1.
    pub attempts: u32,
    /// Slices of the last attempt, from 1.
    pub slices: u32,
    /// Completions that came out of the journal instead of the teacher.
    pub replayed: u32,
    /// The worker that finished it.
    pub worker: String,
}
