//! The campaign file as typed. Unknown keys are errors that name the nearest known key; what the values *mean* is decided in `settings`.
//!
//! Every key is optional here unless a campaign makes no sense without it; defaults stand in `settings`, where they are checked too.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::settings::FilterSettings;

/// A campaign file.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CampaignFile {
    /// What is run.
    pub campaign: CampaignTable,
    /// What is searched.
    pub corpus: CorpusTable,
    /// How research is organised.
    #[serde(default)]
    pub recipe: RecipeTable,
    /// Who researches.
    pub teacher: TeacherTable,
    /// Which rules reject; one sub-table per rule.
    #[serde(default)]
    pub filter: FilterSettings,
    /// Who judges.
    #[serde(default)]
    pub judge: JudgeTable,
    /// What the whole campaign may cost.
    #[serde(default)]
    pub budget: BudgetTable,
}

/// `[campaign]`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CampaignTable {
    /// `[a-z0-9-]{1,40}`
    pub name: String,
    /// Path of the seeds: `.jsonl`, `.jsonl.gz`, `.jsonl.zst` or `.csv`.
    pub seeds: String,
    /// Samples per seed, default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples_per_seed: Option<u32>,
    /// Root of all randomness, default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Directory or `s3://bucket/prefix`; `SLUICE_ARCHIVE` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<String>,
    /// Ranks per shard, default 512.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_per_shard: Option<u32>,
    /// Only the first so many seeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Its share of the workers beside other campaigns, default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// Our name of a seed's field → its name in the seeds file.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
}

/// `[corpus]`
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CorpusTable {
    /// A snapshot directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Files to build it from when it does not exist.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// Instead of a path: the id of a corpus that was pushed into the archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// `[recipe]`
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RecipeTable {
    /// `browse`.
    pub kind: Option<String>,
    /// Most turns, default 200.
    pub max_turns: Option<u32>,
    /// Most tool calls, default 400.
    pub max_tool_calls: Option<u32>,
    /// Longest conversation, in o200k tokens, default 262144.
    pub context_tokens: Option<u32>,
    /// Most tokens the model may write in one job, default unlimited.
    pub completion_tokens: Option<u64>,
    /// Longest work on one job, in seconds, default unlimited.
    pub wall_s: Option<u64>,
    /// The only date a prompt may know, `YYYY-MM-DD`; absent: none.
    pub as_of: Option<String>,
}

/// `[teacher]`
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TeacherTable {
    /// `heuristic`, `http` or `scripted`.
    pub kind: String,
    /// Base URLs of OpenAI-compatible servers, ending in `/v1`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<String>,
    /// The model's name.
    pub model: Option<String>,
    /// Name of the variable that holds the API key.
    pub api_key_env: Option<String>,
    /// How tool calls are written: `openai` (native) or `hermes` (in the text).
    pub dialect: Option<String>,
    /// Default 1.0.
    pub temperature: Option<f64>,
    /// Default 0.95.
    pub top_p: Option<f64>,
    /// Default 4096.
    pub max_completion_tokens: Option<u32>,
    /// Jobs in flight per worker, default 64.
    pub concurrency: Option<u32>,
    /// Longest single completion, in seconds, default 600.
    pub timeout_s: Option<u64>,
    /// Path of a script, for `scripted`.
    pub script: Option<String>,
    /// Further fields of the request body, sent as they are; none that has a setting. `false` leaves out `temperature`, `top_p`, `seed` or
    /// `tool_choice`, and `max_completion_tokens = true` sends the limit under that name, for models that demand it.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
}

/// `[judge]`
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct JudgeTable {
    /// `lexical`, `http` or `off`.
    pub kind: Option<String>,
    /// Path of a rubric of your own.
    pub rubric: Option<String>,
    /// Base URLs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<String>,
    /// The model's name.
    pub model: Option<String>,
    /// Name of the variable that holds the API key.
    pub api_key_env: Option<String>,
    /// Least score that is accepted, 0 to 1.
    pub accept_at: Option<f64>,
    /// Most tokens of a judgement, default 1024.
    pub max_completion_tokens: Option<u32>,
    /// Longest single judgement, in seconds, default 120.
    pub timeout_s: Option<u64>,
}

/// `[budget]`: reached, the campaign takes no more jobs.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BudgetTable {
    /// Most tokens that models write, default unlimited.
    pub completion_tokens: Option<u64>,
    /// Most tokens that models read, default unlimited.
    pub prompt_tokens: Option<u64>,
    /// Most completions, default unlimited.
    pub calls: Option<u64>,
}

/// One thing wrong with a campaign file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key, dotted.
    pub key: String,
    /// The value, where there is one.
    pub value: Option<String>,
    /// What it must be, or what to do.
    pub rule: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{} = {value}: {}", self.key, self.rule),
            None => write!(f, "{}: {}", self.key, self.rule),
        }
    }
}

/// All that is wrong with a campaign file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Never empty.
    pub problems: Vec<Problem>,
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.problems.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl CampaignFile {
    /// Reads the text of a campaign file.
    ///
    /// # Errors
    /// One problem: where the text stops being TOML, the key that nobody knows with the nearest known one, or the value of a wrong type.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let deserializer = match toml::Deserializer::parse(text) {
            Ok(deserializer) => deserializer,
            Err(error) => return Err(one_problem(place(text, error.span()), error.message().to_owned())),
        };
        serde_path_to_error::deserialize(deserializer).map_err(|error| {
            let path = error.path().to_string();
            let inner = error.into_inner();
            let rule = match nearest_known(inner.message()) {
                Some(hint) => hint,
                None => inner.message().to_owned(),
            };
            let key = if path == "." { "the file".to_owned() } else { path };
            one_problem(format!("{} ({key})", place(text, inner.span())), rule)
        })
    }
}

fn one_problem(key: String, rule: String) -> ConfigError {
    ConfigError { problems: vec![Problem { key, value: None, rule }] }
}

/// `line N` of a byte span.
fn place(text: &str, span: Option<std::ops::Range<usize>>) -> String {
    let end = span.map_or(0, |span| span.start);
    let line = text.bytes().take(end).filter(|byte| *byte == b'\n').count() + 1;
    format!("line {line}")
}

/// Serde's ``unknown field `x`, expected one of `a`, `b` `` turned into what a person needs: the nearest of them, or all.
fn nearest_known(message: &str) -> Option<String> {
    let rest = message.strip_prefix("unknown field ")?;
    let mut quoted = rest.split('`').skip(1).step_by(2);
    let unknown = quoted.next()?;
    let known: Vec<&str> = quoted.collect();
    let nearest = known.iter().max_by(|a, b| {
        let (near_a, near_b) = (strsim::jaro_winkler(unknown, a), strsim::jaro_winkler(unknown, b));
        near_a.total_cmp(&near_b).then_with(|| b.cmp(a))
    })?;
    if strsim::jaro_winkler(unknown, nearest) > 0.75 {
        Some(format!("unknown key `{unknown}`; did you mean `{nearest}`?"))
    } else {
        Some(format!("unknown key `{unknown}`; known here: {}", known.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALLEST: &str = "[campaign]\nname = \"a\"\nseeds = \"s.jsonl\"\n[corpus]\npath = \"c\"\n[teacher]\nkind = \"heuristic\"\n";

    #[test]
    fn an_unknown_key_names_its_line_and_the_nearest_known_key() {
        let text = format!("{SMALLEST}temprature = 0.5\n");
        let error = CampaignFile::parse(&text).expect_err("a misspelt key").to_string();
        assert!(error.contains("line 8"), "{error}");
        assert!(error.contains("`temprature`") && error.contains("`temperature`"), "{error}");
    }

    #[test]
    fn a_wrong_type_names_its_path() {
        let text = format!("{SMALLEST}top_p = \"high\"\n");
        let error = CampaignFile::parse(&text).expect_err("a text for a number").to_string();
        assert!(error.contains("teacher.top_p"), "{error}");
    }

    #[test]
    fn a_text_that_is_no_toml_names_its_line() {
        let error = CampaignFile::parse("[campaign]\nname = \n").expect_err("no value").to_string();
        assert!(error.contains("line 2"), "{error}");
    }
}
