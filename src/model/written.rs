//! The campaign file as typed. Unknown keys are errors that name the nearest known key; what the values *mean* is decided in `settings`.
//!
//! Every key is optional here unless a campaign makes no sense without it; defaults stand in `settings`, where they are checked too.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Price;
use crate::settings::FilterTable;

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
    /// Which rules reject: a preset, and one sub-table per rule.
    #[serde(default)]
    pub filter: FilterTable,
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
    /// After so many samples a seed whose samples are all right, or all wrong, gets no more; default: every seed gets all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples_first: Option<u32>,
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
    /// `browse` or `decompose`.
    pub kind: Option<String>,
    /// `browse`: most turns, default 200.
    pub max_turns: Option<u32>,
    /// `decompose`: most turns of one researcher, default 10.
    pub steps: Option<u32>,
    /// `decompose`: fewest tool calls of one researcher before its answer is taken, default 5, or one less than `steps`.
    pub min_tool_calls: Option<u32>,
    /// Most tool calls: `browse` 400, `decompose` 8 for each researcher.
    pub max_tool_calls: Option<u32>,
    /// `decompose`: fewest subtasks, default 2.
    pub min_subtasks: Option<u32>,
    /// `decompose`: most subtasks, default 6.
    pub max_subtasks: Option<u32>,
    /// `decompose`: `parallel` (default) or `sequential`.
    pub mode: Option<String>,
    /// `decompose`: most subtasks of one job at once, default all.
    pub parallel: Option<u32>,
    /// `decompose`: what `crawl_page` shows: `page` (default) or `extract`.
    pub crawl: Option<String>,
    /// `decompose`: longest crawled page, in o200k tokens, default 2048.
    pub page_tokens: Option<u32>,
    /// `decompose`: read calls exactly as O-Researcher's parser reads them, losses included; default false.
    pub strict: Option<bool>,
    /// Longest conversation in tokens: `browse` 262144, `decompose` 65536 for each thread.
    pub context_tokens: Option<u32>,
    /// Most tokens that models may write in one job (`decompose`: in one thread), default unlimited.
    pub completion_tokens: Option<u64>,
    /// Longest work on one job, in seconds, waiting for models included, default unlimited.
    pub wall_s: Option<u64>,
    /// What one job may cost: reached, its threads answer with what they have. `decompose`: each researcher has an equal share of what the planner
    /// leaves; time is not shared out but passes for all, and a researcher whose turn comes after it is not asked at all.
    #[serde(skip_serializing_if = "CostTable::is_absent")]
    pub job: CostTable,
    /// What one thread of a job may cost.
    #[serde(skip_serializing_if = "CostTable::is_absent")]
    pub thread: CostTable,
    /// The only date a prompt may know, `YYYY-MM-DD`; absent: none.
    pub as_of: Option<String>,
}

/// `[recipe.job]` and `[recipe.thread]`: what is reached forces an answer, which is one completion more. Where `[recipe]` bounds the same, the
/// smaller one counts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CostTable {
    /// Most tokens that models write, default unlimited.
    pub completion_tokens: Option<u64>,
    /// Most tokens that models read, default unlimited.
    pub prompt_tokens: Option<u64>,
    /// Most completions, default unlimited.
    pub calls: Option<u64>,
    /// Most money, in the currency of `price`, default unlimited.
    pub money: Option<f64>,
    /// Longest work, in seconds, waiting for models included, default unlimited.
    pub wall_s: Option<u64>,
}

impl CostTable {
    fn is_absent(&self) -> bool {
        *self == Self::default()
    }
}

/// `[teacher]`, and the teachers of other roles below it, which take what they do not say from it; with another model or other endpoints, nothing
/// that belongs to a model, and with other endpoints no key and no weights.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TeacherTable {
    /// `heuristic`, `http` or `scripted`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Base URLs of OpenAI-compatible servers, ending in `/v1`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<String>,
    /// For each endpoint its share of the jobs beside the others; default: all the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub weights: Vec<u32>,
    /// The model's name.
    pub model: Option<String>,
    /// Name of the variable that holds the API key.
    pub api_key_env: Option<String>,
    /// How tool calls are written: `openai` (native, the default over HTTP), or in the text: `hermes`, `qwen3_coder`, `harmony`, `deepseek`,
    /// `kimi`, `llama_json`, `llama_pythonic`, `mistral`, `tags`.
    pub dialect: Option<String>,
    /// `chat` (default) or `completion`, for which we render the model's own chat template.
    pub mode: Option<String>,
    /// For `completion`: path of the model's chat template (`.jinja`, or a `tokenizer_config.json` that holds one).
    pub chat_template: Option<String>,
    /// What counts its tokens: `o200k` (default), `cl100k`, or the path of a Hugging Face `tokenizer.json`.
    pub tokenizer: Option<String>,
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
    /// Most requests a minute, over all workers and endpoints; default unlimited.
    pub requests_per_minute: Option<u64>,
    /// Most tokens a minute, prompts and completions, over all workers and endpoints; default unlimited.
    pub tokens_per_minute: Option<u64>,
    /// Texts that end a completion, beside those of the dialect.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// Money per million tokens: `price = { prompt = 0.5, completion = 1.5 }`; default free.
    pub price: Option<Price>,
    /// Path of a script, for `scripted`.
    pub script: Option<String>,
    /// Further fields of the request body, sent as they are; none that has a setting. `false` leaves out `temperature`, `top_p`, `seed` or
    /// `tool_choice`, and `max_completion_tokens = true` sends the limit under that name, for models that demand it.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
    /// `decompose`: who divides the question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub planner: Option<Box<TeacherTable>>,
    /// `decompose`: who writes the report.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summarizer: Option<Box<TeacherTable>>,
    /// `decompose`: who extracts from crawled pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extractor: Option<Box<TeacherTable>>,
}

/// `[judge]`
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct JudgeTable {
    /// `lexical`, `http` or `off`.
    pub kind: Option<String>,
    /// `default` (the answer, beside the reference answers), `o-researcher` (coherence, use of tools and grounding of the whole research;
    /// the default under that preset of the filter), or the path of a rubric of your own for the answer.
    pub rubric: Option<String>,
    /// For `o-researcher`: most tokens of the outline of the research that the judge is shown, default 16384.
    pub trace_tokens: Option<u32>,
    /// Base URLs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<String>,
    /// For each endpoint its share of the jobs beside the others; default: all the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub weights: Vec<u32>,
    /// The model's name.
    pub model: Option<String>,
    /// Name of the variable that holds the API key.
    pub api_key_env: Option<String>,
    /// Most requests a minute, over all workers and endpoints; default unlimited.
    pub requests_per_minute: Option<u64>,
    /// Most tokens a minute, prompts and judgements, over all workers and endpoints; default unlimited.
    pub tokens_per_minute: Option<u64>,
    /// Money per million tokens: `price = { prompt = 0.5, completion = 1.5 }`; default free.
    pub price: Option<Price>,
    /// Further fields of the request body, as those of a teacher.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
    /// Least score that is accepted, 0 to 1.
    pub accept_at: Option<f64>,
    /// Most tokens of a judgement, default 1024.
    pub max_completion_tokens: Option<u32>,
    /// Longest single judgement, in seconds, default 120.
    pub timeout_s: Option<u64>,
}

/// `[budget]`: reached, the campaign pauses itself.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BudgetTable {
    /// Most tokens that models write, default unlimited.
    pub completion_tokens: Option<u64>,
    /// Most tokens that models read, default unlimited.
    pub prompt_tokens: Option<u64>,
    /// Most completions, default unlimited.
    pub calls: Option<u64>,
    /// Most money that teachers and a model judge cost, in the currency of their `price`, default unlimited.
    pub money: Option<f64>,
    /// Longest time since the campaign was planned or last resumed, in hours, default unlimited. Every `sluice run` resumes it.
    pub wall_hours: Option<f64>,
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
    /// As [`read`].
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        read(text)
    }

    /// Reads a campaign file of which some keys were set by other means than its text.
    ///
    /// # Errors
    /// As [`read`], but by key alone: there is no line to name.
    pub fn of_table(table: toml::Table) -> Result<Self, ConfigError> {
        serde_path_to_error::deserialize(toml::Value::Table(table)).map_err(|error| {
            let key = key_of(error.path());
            let inner = error.into_inner();
            one_problem(key, rule_of(inner.message()))
        })
    }
}

/// Reads a file of the user's, whose type refuses unknown keys.
///
/// # Errors
/// One problem: where the text stops being TOML, the key that nobody knows with the nearest known one, or the value of a wrong type.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, ConfigError> {
    let deserializer = match toml::Deserializer::parse(text) {
        Ok(deserializer) => deserializer,
        Err(error) => return Err(one_problem(place(text, error.span()), error.message().to_owned())),
    };
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let key = key_of(error.path());
        let inner = error.into_inner();
        one_problem(format!("{} ({key})", place(text, inner.span())), rule_of(inner.message()))
    })
}

fn key_of(path: &serde_path_to_error::Path) -> String {
    let path = path.to_string();
    if path == "." { "the file".to_owned() } else { path }
}

fn rule_of(message: &str) -> String {
    nearest_known(message).unwrap_or_else(|| message.to_owned())
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
    fn an_unknown_rule_or_threshold_names_the_nearest_one_and_its_line() {
        let text = format!("{SMALLEST}[filter]\npreset = \"o-researcher\"\n[filter.stepps]\nmin = 3\n");
        let error = CampaignFile::parse(&text).expect_err("a misspelt rule").to_string();
        assert!(error.contains("line 10") && error.contains("`stepps`; did you mean `steps`?"), "{error}");
        let text = format!("{SMALLEST}[filter.length]\nmax_token = 3\n");
        let error = CampaignFile::parse(&text).expect_err("a misspelt threshold").to_string();
        assert!(error.contains("line 9") && error.contains("did you mean `max_tokens`?"), "{error}");
        let text = format!("{SMALLEST}[filter]\npreste = \"default\"\n");
        let error = CampaignFile::parse(&text).expect_err("a misspelt preset").to_string();
        assert!(error.contains("`preste`; did you mean `preset`?"), "{error}");
    }

    #[test]
    fn a_key_that_was_set_by_other_means_is_told_by_its_name() {
        let mut table: toml::Table = SMALLEST.parse().expect("well-formed");
        assert_eq!(CampaignFile::of_table(table.clone()).expect("valid").campaign.name, "a");
        table.insert("recipe".into(), toml::Value::Table([("stepps".to_owned(), toml::Value::Integer(5))].into_iter().collect()));
        let error = CampaignFile::of_table(table).expect_err("a misspelt key").to_string();
        assert!(error.contains("recipe") && error.contains("`stepps`; did you mean `steps`?"), "{error}");
    }

    #[test]
    fn a_text_that_is_no_toml_names_its_line() {
        let error = CampaignFile::parse("[campaign]\nname = \n").expect_err("no value").to_string();
        assert!(error.contains("line 2"), "{error}");
    }
}
