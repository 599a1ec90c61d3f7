//! What a campaign file means: every value present, checked, and in one of the forms the code acts on.
//!
//! Converted once, before anything is opened; all problems are reported together, each with key, value and rule.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{Digest, Price, Usage};

mod recipe;
mod resolve;
mod rules;
mod teacher;

pub use recipe::{BrowseSettings, Crawl, DecomposeSettings, RecipeSettings, SubtaskMode};
pub use teacher::{Dialect, HttpSettings, Mode, Roles, TeacherKind, TeacherSettings};

pub use rules::{
    AnswerLengthRule, AnsweredRule, CitationsRule, DistinctCallsRule, FilterSettings, LanguageRule, LengthRule, ProtocolLeakRule,
    ProtocolRule, RepetitionRule, ReportRule, StepsRule, ThinkingRule, ToolCallsRule, ToolErrorsRule,
};
pub use rules::{
    AnswerLengthTable, AnsweredTable, CitationsTable, DistinctCallsTable, FilterTable, LanguageTable, LengthTable, ProtocolLeakTable,
    ProtocolTable, RepetitionTable, ReportTable, StepsTable, ThinkingTable, ToolCallsTable, ToolErrorsTable,
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

/// What a whole campaign may cost: reached, no more jobs are taken. Or one job, or one thread of it: reached, it answers with what it has.
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
    /// Most money, in millionths of the price table's currency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub money_micros: Option<u64>,
    /// Longest time, in seconds: since a campaign was planned or last resumed; of work on a job or thread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wall_s: Option<u64>,
}

impl BudgetSettings {
    /// Whether there is none.
    pub fn is_unlimited(&self) -> bool {
        *self == Self::default()
    }

    /// Whether `spent` reaches it. Wall time is not spent here: who knows when the campaign began asks [`BudgetSettings::wall_s`].
    pub fn is_reached(&self, spent: &Usage) -> bool {
        let reached = |limit: Option<u64>, spent: u64| limit.is_some_and(|limit| spent >= limit);
        reached(self.completion_tokens, spent.completion_tokens)
            || reached(self.prompt_tokens, spent.prompt_tokens)
            || reached(self.calls, spent.calls)
            || reached(self.money_micros, spent.cost_micros)
    }

    /// The smaller limit of each kind.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let less = |a: Option<u64>, b: Option<u64>| a.into_iter().chain(b).min();
        Self {
            completion_tokens: less(self.completion_tokens, other.completion_tokens),
            prompt_tokens: less(self.prompt_tokens, other.prompt_tokens),
            calls: less(self.calls, other.calls),
            money_micros: less(self.money_micros, other.money_micros),
            wall_s: less(self.wall_s, other.wall_s),
        }
    }

    /// An equal share, for each of `parts`, of what `spent` leaves. Time passes for all of them at once, and is nobody's share.
    #[must_use]
    pub fn share(self, spent: &Usage, parts: u64) -> Self {
        let of = |limit: Option<u64>, spent: u64| limit.map(|limit| limit.saturating_sub(spent) / parts.max(1));
        Self {
            completion_tokens: of(self.completion_tokens, spent.completion_tokens),
            prompt_tokens: of(self.prompt_tokens, spent.prompt_tokens),
            calls: of(self.calls, spent.calls),
            money_micros: of(self.money_micros, spent.cost_micros),
            wall_s: None,
        }
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
    /// After so many samples a seed whose samples are all right, or all wrong, gets no more; absent: every seed gets all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples_first: Option<u32>,
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
        http: Box<HttpSettings>,
        /// Its name.
        model: String,
        /// Path of a rubric, or `prompt:` and the digest of one that is kept with the campaign; absent: the built-in one for `grades`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rubric: Option<String>,
        /// What is graded.
        #[serde(default, skip_serializing_if = "Graded::is_answer")]
        grades: Graded,
        /// Longest judgement, in tokens.
        max_completion_tokens: u32,
        /// What it costs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        price: Option<Price>,
    },
    /// Nobody: rules alone decide.
    Off,
}

/// What a model judge grades.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Graded {
    /// The answer, beside the reference answers.
    #[default]
    Answer,
    /// The research: its coherence, its use of tools, and how well the report is grounded in what was found.
    Research {
        /// Most o200k tokens of the outline of the research that the judge is shown.
        trace_tokens: u32,
    },
}

impl Graded {
    fn is_answer(&self) -> bool {
        *self == Self::Answer
    }
}

impl Settings {
    /// The keys that may never change under one name, flattened. Seeds, corpus and prompts are added by content where the campaign is frozen.
    pub fn identity(&self) -> BTreeMap<String, Value> {
        let mut identity: BTreeMap<String, Value> = BTreeMap::new();
        identity.insert("campaign.seed".into(), json!(self.campaign.seed));
        identity.insert("campaign.rows_per_shard".into(), json!(self.campaign.rows_per_shard));
        identity.insert("campaign.samples_first".into(), json!(self.campaign.samples_first));
        identity.extend(self.recipe.identity());
        identity.extend(self.teacher.identity("teacher"));
        identity
    }

    /// The digest that names a grade: everything that decides verdicts, and nothing that only says how to reach a judge.
    pub fn grade_identity(&self) -> Value {
        let judge = match &self.judge.kind {
            JudgeKind::Lexical => json!({"kind": "lexical"}),
            JudgeKind::Off => json!({"kind": "off"}),
            JudgeKind::Http { http, model, max_completion_tokens, grades, .. } => {
                let mut judge = json!({"kind": "http", "model": model, "max_completion_tokens": max_completion_tokens});
                if !grades.is_answer() {
                    judge["grades"] = json!(grades);
                }
                if !http.extra.is_empty() {
                    judge["extra"] = json!(http.extra);
                }
                judge
            }
        };
        json!({"filter": self.filter, "judge": judge, "accept_at": self.judge.accept_at})
    }
}
