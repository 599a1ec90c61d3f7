//! How research is organised, and its budgets.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::BudgetSettings;

/// How research is organised.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RecipeSettings {
    /// One researcher with search, open and find.
    Browse(BrowseSettings),
    /// A planner, a researcher for each subtask, and a summarizer.
    Decompose(DecomposeSettings),
}

impl RecipeSettings {
    /// The recipe's name in rows.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Browse(_) => "browse",
            Self::Decompose(_) => "decompose",
        }
    }

    /// What one job, and what one thread of it, may cost.
    pub fn costs(&self) -> [(&'static str, BudgetSettings); 2] {
        let (job, thread) = match self {
            Self::Browse(settings) => (settings.job, settings.thread),
            Self::Decompose(settings) => (settings.job, settings.thread),
        };
        [("recipe.job", job), ("recipe.thread", thread)]
    }

    /// Its keys that may never change under one campaign name: all of them, since each changes the path of a resumed job.
    pub(super) fn identity(&self) -> BTreeMap<String, Value> {
        let written = match self {
            Self::Browse(settings) => json!(settings),
            Self::Decompose(settings) => json!(settings),
        };
        let mut identity: BTreeMap<String, Value> =
            written.as_object().into_iter().flatten().map(|(key, value)| (format!("recipe.{key}"), value.clone())).collect();
        // How many run at once changes the path of none.
        identity.remove("recipe.parallel");
        identity.insert("recipe.kind".into(), json!(self.name()));
        identity
    }
}

/// Budgets of the recipe `browse`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BrowseSettings {
    /// Most turns.
    pub max_turns: u32,
    /// Most tool calls.
    pub max_tool_calls: u32,
    /// Longest conversation, in tokens of the teacher's tokenizer.
    pub context_tokens: u32,
    /// Most tokens that models may write in one job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_tokens: Option<u64>,
    /// Longest work on one job, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wall_s: Option<u64>,
    /// What one job may cost.
    #[serde(default, skip_serializing_if = "BudgetSettings::is_unlimited")]
    pub job: BudgetSettings,
    /// What one thread may cost.
    #[serde(default, skip_serializing_if = "BudgetSettings::is_unlimited")]
    pub thread: BudgetSettings,
    /// The only date a prompt may know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<String>,
}

impl BrowseSettings {
    /// What one job may cost, whichever keys say so.
    pub fn of_job(&self) -> BudgetSettings {
        let Self { completion_tokens, wall_s, .. } = *self;
        self.job.and(BudgetSettings { completion_tokens, wall_s, ..BudgetSettings::default() })
    }
}

/// In which order the subtasks of one job are researched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubtaskMode {
    /// Each in a context of its own, side by side.
    #[default]
    Parallel,
    /// One after the other in one context: for comparison.
    Sequential,
}

/// What `crawl_page` shows a researcher.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Crawl {
    /// The stored page.
    #[default]
    Page,
    /// An extract by a model, for the question at hand; the page itself is kept beside it.
    Extract,
}

/// Budgets and ways of the recipe `decompose`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DecomposeSettings {
    /// Most turns of one researcher.
    pub steps: u32,
    /// Fewest tool calls of one researcher before its answer is taken.
    pub min_tool_calls: u32,
    /// Most tool calls of one researcher.
    pub max_tool_calls: u32,
    /// Fewest subtasks.
    pub min_subtasks: u32,
    /// Most subtasks.
    pub max_subtasks: u32,
    /// In which order they are researched.
    pub mode: SubtaskMode,
    /// Most subtasks of one job that are researched at once.
    pub parallel: u32,
    /// What a crawled page shows.
    pub crawl: Crawl,
    /// Longest crawled page, in o200k tokens.
    pub page_tokens: u32,
    /// Whether calls are read exactly as O-Researcher's parser reads them, losses included.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub strict: bool,
    /// Longest conversation of one thread, in tokens of its teacher's tokenizer.
    pub context_tokens: u32,
    /// Most tokens that models may write in one thread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_tokens: Option<u64>,
    /// Longest work on one job, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wall_s: Option<u64>,
    /// What one job may cost.
    #[serde(default, skip_serializing_if = "BudgetSettings::is_unlimited")]
    pub job: BudgetSettings,
    /// What one thread may cost.
    #[serde(default, skip_serializing_if = "BudgetSettings::is_unlimited")]
    pub thread: BudgetSettings,
    /// The only date a prompt may know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<String>,
}

impl DecomposeSettings {
    /// What one job may cost, whichever keys say so.
    pub fn of_job(&self) -> BudgetSettings {
        self.job.and(BudgetSettings { wall_s: self.wall_s, ..BudgetSettings::default() })
    }

    /// What one thread may cost, whichever keys say so.
    pub fn of_thread(&self) -> BudgetSettings {
        self.thread.and(BudgetSettings { completion_tokens: self.completion_tokens, ..BudgetSettings::default() })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::written::CampaignFile;

    fn recipe(text: &str) -> RecipeSettings {
        let text =
            format!("[campaign]\nname = \"a\"\nseeds = \"s\"\n[corpus]\npath = \"c\"\n[teacher]\nkind = \"heuristic\"\n[recipe]\n{text}");
        CampaignFile::parse(&text).and_then(|file| file.resolve(Path::new("/"))).expect("valid").recipe
    }

    #[test]
    fn of_a_limit_that_is_given_twice_the_smaller_one_counts() {
        for (text, most, seconds) in [
            ("completion_tokens = 5\nwall_s = 6", Some(5), Some(6)),
            ("[recipe.job]\ncompletion_tokens = 5\nwall_s = 6", Some(5), Some(6)),
            ("completion_tokens = 9\nwall_s = 6\n[recipe.job]\ncompletion_tokens = 5\nwall_s = 9", Some(5), Some(6)),
            ("[recipe.thread]\ncompletion_tokens = 5\nwall_s = 6", None, None),
        ] {
            let RecipeSettings::Browse(browse) = recipe(text) else { panic!("{text}") };
            let job = browse.of_job();
            assert_eq!((job.completion_tokens, job.wall_s), (most, seconds), "{text}");
        }
        // There the limit of `[recipe]` on what is written is each thread's, and the one on time the job's.
        let text = "kind = \"decompose\"\ncompletion_tokens = 5\nwall_s = 6\n[recipe.job]\nwall_s = 9\ncalls = 3\n[recipe.thread]\ncompletion_tokens = 7\nwall_s = 2";
        let RecipeSettings::Decompose(decompose) = recipe(text) else { panic!("{text}") };
        let none = BudgetSettings::default();
        assert_eq!(decompose.of_job(), BudgetSettings { calls: Some(3), wall_s: Some(6), ..none });
        assert_eq!(decompose.of_thread(), BudgetSettings { completion_tokens: Some(5), wall_s: Some(2), ..none });
    }
}
