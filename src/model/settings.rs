//! What a campaign file means: every value present, checked, and in one of the forms the code acts on.
//!
//! Converted once, before anything is opened; all problems are reported together, each with key, value and rule.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::written::{CampaignFile, ConfigError, Problem};

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
    /// Our name of a seed's field → its name in the seeds file.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
}

/// What is searched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CorpusSettings {
    /// Snapshot directory.
    pub path: String,
    /// Files to build it from when it does not exist.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
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
        /// Path of a rubric; absent: the built-in one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rubric: Option<String>,
        /// Longest judgement, in tokens.
        max_completion_tokens: u32,
    },
    /// Nobody: rules alone decide.
    Off,
}

macro_rules! rules {
    ($($(#[$doc:meta])* $rule:ident: $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty = $default:expr),* $(,)? })*) => {
        /// The rules of the filter, each with its thresholds.
        #[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        pub struct FilterSettings {
            $($(#[$doc])* pub $rule: $name,)*
        }
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
            #[serde(deny_unknown_fields, default)]
            pub struct $name {
                /// Whether the rule is asked at all.
                pub enabled: bool,
                $($(#[$field_doc])* pub $field: $type,)*
            }
            impl Default for $name {
                fn default() -> Self {
                    Self { enabled: true, $($field: $default,)* }
                }
            }
        )*
    };
}

rules! {
    /// There is an answer, and it was not forced unless that is allowed.
    answered: AnsweredRule {
        /// Whether an answer forced by a budget counts.
        allow_forced: bool = true,
    }
    /// Length of the answer, in characters.
    answer_length: AnswerLengthRule {
        /// Shortest.
        min_chars: u64 = 1,
        /// Longest.
        max_chars: u64 = 20_000,
    }
    /// Number of tool calls.
    tool_calls: ToolCallsRule {
        /// Fewest.
        min: u64 = 1,
        /// Most.
        max: u64 = 400,
    }
    /// Share of tool calls that returned an error.
    tool_errors: ToolErrorsRule {
        /// Largest share, 0 to 1.
        share_max: f64 = 0.5,
    }
    /// Share of tool calls that repeat an earlier one of the same trajectory.
    repetition: RepetitionRule {
        /// Largest share, 0 to 1.
        share_max: f64 = 0.5,
    }
    /// Citations of the answer lead to pages shown in the trajectory.
    citations: CitationsRule {
        /// Fewest citations.
        min: u64 = 1,
        /// Least share that resolves, 0 to 1.
        resolved_share_min: f64 = 1.0,
    }
    /// The answer is in the question's language.
    language: LanguageRule {
        /// Fewest characters of an answer whose language is told at all.
        min_chars: u64 = 60,
    }
    /// No protocol tag or special token stands in the answer.
    protocol_leak: ProtocolLeakRule {}
    /// Length of the whole conversation, in tokens.
    length: LengthRule {
        /// Most.
        max_tokens: u64 = 262_144,
    }
}

impl CampaignFile {
    /// What the file means. Relative paths are taken from `base`, the file's own folder.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn resolve(&self, base: &Path) -> Result<Settings, ConfigError> {
        let mut check = Check { problems: Vec::new() };
        let settings = Settings {
            campaign: self.resolve_campaign(base, &mut check),
            corpus: CorpusSettings {
                path: path(base, &self.corpus.path),
                sources: self.corpus.sources.iter().map(|source| path(base, source)).collect(),
            },
            recipe: self.resolve_recipe(&mut check),
            teacher: self.resolve_teacher(base, &mut check),
            filter: self.filter.clone(),
            judge: self.resolve_judge(base, &mut check),
        };
        check.that(!self.corpus.path.is_empty(), "corpus.path", &self.corpus.path, "the snapshot directory");
        check_filter(&self.filter, &mut check);
        if check.problems.is_empty() { Ok(settings) } else { Err(ConfigError { problems: check.problems }) }
    }

    fn resolve_campaign(&self, base: &Path, check: &mut Check) -> CampaignSettings {
        let t = &self.campaign;
        let name_is_fit = (1..=40).contains(&t.name.len()) && t.name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        check.that(name_is_fit, "campaign.name", &t.name, "1 to 40 of a–z, 0–9 and -");
        check.that(!t.seeds.is_empty(), "campaign.seeds", &t.seeds, "the path of a .jsonl, .jsonl.gz, .jsonl.zst or .csv file");
        let samples_per_seed = t.samples_per_seed.unwrap_or(1);
        check.that((1..=1024).contains(&samples_per_seed), "campaign.samples_per_seed", samples_per_seed, "from 1 to 1024");
        let rows_per_shard = t.rows_per_shard.unwrap_or(512);
        check.that((1..=65_536).contains(&rows_per_shard), "campaign.rows_per_shard", rows_per_shard, "from 1 to 65536");
        check.that(t.limit != Some(0), "campaign.limit", 0, "at least 1, or absent for all seeds");
        const KNOWN: [&str; 7] = ["id", "question", "answer", "answers", "gold_urls", "topic", "language"];
        for key in t.fields.keys() {
            check.that(KNOWN.contains(&key.as_str()), "campaign.fields", key, &format!("one of {}", KNOWN.join(", ")));
        }
        let archive = t.archive.as_ref().map(|archive| if archive.contains("://") { archive.clone() } else { path(base, archive) });
        CampaignSettings {
            name: t.name.clone(),
            seeds: path(base, &t.seeds),
            samples_per_seed,
            seed: t.seed.unwrap_or(0),
            archive,
            rows_per_shard,
            limit: t.limit,
            fields: t.fields.clone(),
        }
    }

    fn resolve_recipe(&self, check: &mut Check) -> RecipeSettings {
        let t = &self.recipe;
        let kind = t.kind.as_deref().unwrap_or("browse");
        check.that(kind == "browse", "recipe.kind", kind, "one of: browse");
        let browse = BrowseSettings {
            max_turns: t.max_turns.unwrap_or(200),
            max_tool_calls: t.max_tool_calls.unwrap_or(400),
            context_tokens: t.context_tokens.unwrap_or(262_144),
            completion_tokens: t.completion_tokens,
            wall_s: t.wall_s,
            as_of: t.as_of.clone(),
        };
        check.that(
            (2..=10_000).contains(&browse.max_turns),
            "recipe.max_turns",
            browse.max_turns,
            "from 2 to 10000: the last turn is the forced answer",
        );
        check.that((1..=100_000).contains(&browse.max_tool_calls), "recipe.max_tool_calls", browse.max_tool_calls, "from 1 to 100000");
        check.that(browse.context_tokens >= 4096, "recipe.context_tokens", browse.context_tokens, "at least 4096");
        check.that(browse.completion_tokens != Some(0), "recipe.completion_tokens", 0, "at least 1, or absent");
        check.that(browse.wall_s != Some(0), "recipe.wall_s", 0, "at least 1, or absent");
        if let Some(date) = &browse.as_of {
            check.that(is_date(date), "recipe.as_of", date, "a date, YYYY-MM-DD");
        }
        RecipeSettings::Browse(browse)
    }

    fn resolve_teacher(&self, base: &Path, check: &mut Check) -> TeacherSettings {
        let t = &self.teacher;
        let kind = match t.kind.as_str() {
            "http" => TeacherKind::Http(HttpSettings {
                endpoints: check_endpoints("teacher", &t.endpoints, check),
                api_key_env: t.api_key_env.clone(),
                timeout_s: check_timeout("teacher.timeout_s", t.timeout_s.unwrap_or(600), check),
                extra: t.extra.clone(),
            }),
            "scripted" => {
                check.that(t.script.is_some(), "teacher.script", "absent", "the path of a script, for kind = \"scripted\"");
                TeacherKind::Scripted { script: path(base, t.script.as_deref().unwrap_or_default()) }
            }
            other => {
                check.that(other == "heuristic", "teacher.kind", other, "one of: heuristic, http, scripted");
                TeacherKind::Heuristic
            }
        };
        let over_http = matches!(kind, TeacherKind::Http(_));
        check.that(over_http == t.model.is_some() || !over_http, "teacher.model", "absent", "the model's name, for kind = \"http\"");
        for (key, given) in
            [("endpoints", !t.endpoints.is_empty()), ("api_key_env", t.api_key_env.is_some()), ("extra", !t.extra.is_empty())]
        {
            check.that(over_http || !given, &format!("teacher.{key}"), "given", "only for kind = \"http\"");
        }
        let dialect = match t.dialect.as_deref() {
            None if over_http => Dialect::Openai,
            None | Some("hermes") => Dialect::Hermes,
            Some("openai") => Dialect::Openai,
            Some(other) => {
                check.that(false, "teacher.dialect", other, "one of: openai, hermes");
                Dialect::Openai
            }
        };
        let temperature = t.temperature.unwrap_or(1.0);
        check.that((0.0..=2.0).contains(&temperature), "teacher.temperature", temperature, "from 0 to 2");
        let top_p = t.top_p.unwrap_or(0.95);
        check.that(top_p > 0.0 && top_p <= 1.0, "teacher.top_p", top_p, "above 0, at most 1");
        let max_completion_tokens = t.max_completion_tokens.unwrap_or(4096);
        check.that(max_completion_tokens >= 16, "teacher.max_completion_tokens", max_completion_tokens, "at least 16");
        let concurrency = t.concurrency.unwrap_or(64);
        check.that((1..=4096).contains(&concurrency), "teacher.concurrency", concurrency, "from 1 to 4096");
        let model = t.model.clone().unwrap_or_else(|| t.kind.clone());
        TeacherSettings { kind, model, dialect, temperature, top_p, max_completion_tokens, concurrency }
    }

    fn resolve_judge(&self, base: &Path, check: &mut Check) -> JudgeSettings {
        let t = &self.judge;
        let kind = match t.kind.as_deref().unwrap_or("lexical") {
            "lexical" => JudgeKind::Lexical,
            "off" => JudgeKind::Off,
            "http" => {
                check.that(t.model.is_some(), "judge.model", "absent", "the model's name, for kind = \"http\"");
                JudgeKind::Http {
                    http: HttpSettings {
                        endpoints: check_endpoints("judge", &t.endpoints, check),
                        api_key_env: t.api_key_env.clone(),
                        timeout_s: check_timeout("judge.timeout_s", t.timeout_s.unwrap_or(120), check),
                        extra: Map::new(),
                    },
                    model: t.model.clone().unwrap_or_default(),
                    rubric: t.rubric.as_ref().map(|rubric| path(base, rubric)),
                    max_completion_tokens: t.max_completion_tokens.unwrap_or(1024),
                }
            }
            other => {
                check.that(false, "judge.kind", other, "one of: lexical, http, off");
                JudgeKind::Off
            }
        };
        let over_http = matches!(kind, JudgeKind::Http { .. });
        for (key, given) in [("endpoints", !t.endpoints.is_empty()), ("model", t.model.is_some()), ("rubric", t.rubric.is_some())] {
            check.that(over_http || !given, &format!("judge.{key}"), "given", "only for kind = \"http\"");
        }
        let accept_at = t.accept_at.unwrap_or(0.5);
        check.that((0.0..=1.0).contains(&accept_at), "judge.accept_at", accept_at, "from 0 to 1");
        JudgeSettings { kind, accept_at }
    }
}

struct Check {
    problems: Vec<Problem>,
}

impl Check {
    fn that(&mut self, holds: bool, key: &str, value: impl ToString, rule: &str) {
        if !holds {
            self.problems.push(Problem { key: key.to_owned(), value: Some(format!("`{}`", value.to_string())), rule: rule.to_owned() });
        }
    }
}

fn check_endpoints(table: &str, endpoints: &[String], check: &mut Check) -> Vec<String> {
    let key = format!("{table}.endpoints");
    check.that(!endpoints.is_empty(), &key, "[]", "at least one base URL, e.g. http://127.0.0.1:8000/v1");
    for endpoint in endpoints {
        let is_http = endpoint.starts_with("http://") || endpoint.starts_with("https://");
        check.that(is_http, &key, endpoint, "a URL that begins with http:// or https://");
    }
    endpoints.iter().map(|endpoint| endpoint.trim_end_matches('/').to_owned()).collect()
}

fn check_timeout(key: &str, seconds: u64, check: &mut Check) -> u64 {
    check.that((1..=86_400).contains(&seconds), key, seconds, "from 1 to 86400 seconds");
    seconds
}

fn check_filter(filter: &FilterSettings, check: &mut Check) {
    for (key, share) in [
        ("filter.tool_errors.share_max", filter.tool_errors.share_max),
        ("filter.repetition.share_max", filter.repetition.share_max),
        ("filter.citations.resolved_share_min", filter.citations.resolved_share_min),
    ] {
        check.that((0.0..=1.0).contains(&share), key, share, "from 0 to 1");
    }
    for (key, min, max) in [
        ("filter.answer_length", filter.answer_length.min_chars, filter.answer_length.max_chars),
        ("filter.tool_calls", filter.tool_calls.min, filter.tool_calls.max),
    ] {
        check.that(min <= max, key, format!("{min}..{max}"), "the smallest at most the largest");
    }
}

fn is_date(text: &str) -> bool {
    let parts: Vec<Option<u32>> = text.split('-').map(|part| part.parse().ok()).collect();
    matches!(parts.as_slice(), [Some(year), Some(1..=12), Some(1..=31)] if (1000..=9999).contains(year)) && text.len() == 10
}

/// `written` taken from `base`, in text form, with `.` and `..` resolved as written.
fn path(base: &Path, written: &str) -> String {
    let mut resolved = PathBuf::new();
    for part in base.join(written).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if resolved.file_name().is_some() => {
                resolved.pop();
            }
            part => resolved.push(part),
        }
    }
    resolved.to_string_lossy().into_owned()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn written(more: &str) -> CampaignFile {
        let text = format!("[campaign]\nname = \"a\"\nseeds = \"s.jsonl\"\n[corpus]\npath = \"c\"\n[teacher]\n{more}");
        CampaignFile::parse(&text).expect("well-formed")
    }

    #[test]
    fn all_problems_are_reported_at_once_with_key_value_and_rule() {
        let mut file = written("kind = \"http\"\ntemperature = 3.0\n");
        file.campaign.name = "No Spaces".into();
        let error = file.resolve(Path::new("/x")).expect_err("four problems").to_string();
        for expected in ["campaign.name = `No Spaces`", "teacher.temperature = `3`", "teacher.endpoints", "teacher.model"] {
            assert!(error.contains(expected), "{expected} in {error}");
        }
    }

    #[test]
    fn paths_are_relative_to_the_file_and_urls_are_not_paths() {
        let mut file = written("kind = \"heuristic\"\n");
        file.corpus.path = "../out/./c".into();
        assert_eq!(file.resolve(Path::new("/base/a")).expect("valid").corpus.path, "/base/out/c");
        file.campaign.archive = Some("s3://bucket/p".into());
        let settings = file.resolve(Path::new("/base")).expect("valid");
        assert_eq!(settings.campaign.seeds, "/base/s.jsonl");
        assert_eq!(settings.campaign.archive.as_deref(), Some("s3://bucket/p"));
    }

    #[test]
    fn endpoints_and_concurrency_are_no_part_of_a_campaigns_identity() {
        let of = |more| written(more).resolve(Path::new("/")).expect("valid").identity();
        let one = of("kind = \"http\"\nmodel = \"m\"\nendpoints = [\"http://a/v1\"]\n");
        assert_eq!(one, of("kind = \"http\"\nmodel = \"m\"\nendpoints = [\"http://b/v1\"]\nconcurrency = 3\n"));
        assert_ne!(one, of("kind = \"http\"\nmodel = \"n\"\nendpoints = [\"http://a/v1\"]\n"));
    }
}
