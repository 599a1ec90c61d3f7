//! From what was typed to what it means. All problems are found in one go, and nothing is opened.

use std::path::{Component, Path, PathBuf};

use serde_json::{Map, Value};

use super::{
    BrowseSettings, BudgetSettings, CampaignSettings, CorpusSettings, Dialect, FilterSettings, HttpSettings, JudgeKind, JudgeSettings,
    RecipeSettings, Settings, TeacherKind, TeacherSettings,
};
use crate::Digest;
use crate::written::{CampaignFile, ConfigError, Problem};

impl CampaignFile {
    /// What the file means. Relative paths are taken from `base`, the file's own folder.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn resolve(&self, base: &Path) -> Result<Settings, ConfigError> {
        let mut check = Check { problems: Vec::new() };
        let settings = Settings {
            campaign: self.resolve_campaign(base, &mut check),
            corpus: self.resolve_corpus(base, &mut check),
            recipe: self.resolve_recipe(&mut check),
            teacher: self.resolve_teacher(base, &mut check),
            filter: self.filter.clone(),
            judge: self.resolve_judge(base, &mut check),
            budget: self.resolve_budget(&mut check),
        };
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
        let weight = t.weight.unwrap_or(1);
        check.that((1..=1000).contains(&weight), "campaign.weight", weight, "from 1 to 1000");
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
            weight,
            fields: t.fields.clone(),
        }
    }

    fn resolve_corpus(&self, base: &Path, check: &mut Check) -> CorpusSettings {
        let t = &self.corpus;
        let id = t.id.as_deref().and_then(|written| written.parse::<Digest>().ok());
        match (&t.path, &t.id) {
            (None, None) => check.that(false, "corpus.path", "absent", "the snapshot directory; or give corpus.id"),
            (Some(_), Some(id)) => check.that(false, "corpus.id", id, "absent where corpus.path is given"),
            (Some(path), None) => check.that(!path.is_empty(), "corpus.path", path, "the snapshot directory"),
            (None, Some(written)) => {
                check.that(id.is_some(), "corpus.id", written, "64 hexadecimal digits, as `sluice corpus stats` prints them");
                check.that(t.sources.is_empty(), "corpus.sources", "given", "absent where corpus.id is given");
            }
        }
        CorpusSettings {
            path: t.path.as_deref().map(|written| path(base, written)).unwrap_or_default(),
            sources: t.sources.iter().map(|source| path(base, source)).collect(),
            id,
        }
    }

    fn resolve_budget(&self, check: &mut Check) -> BudgetSettings {
        let t = &self.budget;
        for (key, limit) in [("completion_tokens", t.completion_tokens), ("prompt_tokens", t.prompt_tokens), ("calls", t.calls)] {
            check.that(limit != Some(0), &format!("budget.{key}"), 0, "at least 1, or absent");
        }
        BudgetSettings { completion_tokens: t.completion_tokens, prompt_tokens: t.prompt_tokens, calls: t.calls }
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
                extra: check_extra(&t.extra, check),
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
        let shown = without_secrets(endpoint);
        let is_http = endpoint.starts_with("http://") || endpoint.starts_with("https://");
        check.that(is_http, &key, &shown, "a URL that begins with http:// or https://");
        let rule = "a URL without user, password, `?` and `#`: settings are kept in the archive; name the variable that holds the key in `api_key_env`";
        check.that(shown == *endpoint, &key, &shown, rule);
    }
    endpoints.iter().map(|endpoint| endpoint.trim_end_matches('/').to_owned()).collect()
}

/// `endpoint` without what may be a secret in it: query, fragment, user and password.
fn without_secrets(endpoint: &str) -> String {
    let base = endpoint.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = base.split_once("://").unwrap_or(("", base));
    let authority = rest.split('/').next().unwrap_or_default();
    match authority.rsplit_once('@') {
        Some((secret, _)) => format!("{scheme}://{}", rest.get(secret.len() + 1..).unwrap_or_default()),
        None => base.to_owned(),
    }
}

/// Rows record model, sampling and messages as they were sent, so that nothing may change them behind the settings' back.
fn check_extra(extra: &Map<String, Value>, check: &mut Check) -> Map<String, Value> {
    for (key, value) in extra {
        let rule = match key.as_str() {
            "temperature" | "top_p" if *value != Value::Bool(false) => "false, to leave it out; its value is the setting of that name",
            "seed" if *value != Value::Bool(false) => "false, to leave it out; its value comes from `campaign.seed`",
            "tool_choice" if *value != Value::Bool(false) => "false, to leave it out; the recipe decides when calls may be made",
            "max_completion_tokens" if *value != Value::Bool(true) => {
                "true, to send the limit under this name; its value is the setting of that name"
            }
            "max_tokens" => "absent: set `teacher.max_completion_tokens`; `max_completion_tokens = true` here sends it under that name",
            "model" => "absent: set `teacher.model`",
            "messages" | "tools" | "stream" | "n" => "absent: the recipe decides it",
            _ => continue,
        };
        check.that(false, &format!("teacher.extra.{key}"), value, rule);
    }
    extra.clone()
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
        file.corpus.path = Some("../out/./c".into());
        assert_eq!(file.resolve(Path::new("/base/a")).expect("valid").corpus.path, "/base/out/c");
        file.campaign.archive = Some("s3://bucket/p".into());
        let settings = file.resolve(Path::new("/base")).expect("valid");
        assert_eq!(settings.campaign.seeds, "/base/s.jsonl");
        assert_eq!(settings.campaign.archive.as_deref(), Some("s3://bucket/p"));
    }

    #[test]
    fn an_endpoint_with_a_secret_is_refused_and_the_secret_is_not_repeated() {
        let of =
            |endpoint: &str| written(&format!("kind = \"http\"\nmodel = \"m\"\nendpoints = [\"{endpoint}\"]\n")).resolve(Path::new("/"));
        for endpoint in [
            "http://u:hush@host/v1",
            "https://hush@host:8000/v1",
            "https://host/v1?key=hush",
            "https://host/v1#hush",
            "https://u:a@hush@host",
        ] {
            let error = of(endpoint).expect_err("a secret").to_string();
            assert!(error.contains("api_key_env") && error.contains("host") && !error.contains("hush"), "{error}");
        }
        assert!(of("https://host/accounts/@me/v1").is_ok());
        let mut file = written("kind = \"heuristic\"\n");
        file.judge.kind = Some("http".into());
        file.judge.model = Some("m".into());
        file.judge.endpoints = vec!["http://u:hush@host/v1".into()];
        assert!(file.resolve(Path::new("/")).expect_err("a secret").to_string().contains("judge.endpoints"));
    }

    #[test]
    fn extra_changes_nothing_that_rows_record() {
        let of = |extra: &str| {
            let more = format!("kind = \"http\"\nmodel = \"m\"\nendpoints = [\"http://a/v1\"]\n[teacher.extra]\n{extra}\n");
            written(&more).resolve(Path::new("/"))
        };
        for extra in [
            "temperature = 0.2",
            "top_p = 1",
            "seed = 3",
            "model = \"n\"",
            "max_tokens = 9",
            "max_tokens = false",
            "max_completion_tokens = 9",
            "max_completion_tokens = false",
            "messages = []",
            "tools = []",
            "tool_choice = \"required\"",
            "stream = true",
            "n = 2",
        ] {
            let error = of(extra).expect_err(extra).to_string();
            assert!(error.starts_with("teacher.extra."), "{error}");
        }
        let fit = "temperature = false\ntop_p = false\nseed = false\ntool_choice = false\nmax_completion_tokens = true\nmin_p = 0.1";
        assert!(of(fit).is_ok());
    }

    #[test]
    fn endpoints_and_concurrency_are_no_part_of_a_campaigns_identity() {
        let of = |more| written(more).resolve(Path::new("/")).expect("valid").identity();
        let one = of("kind = \"http\"\nmodel = \"m\"\nendpoints = [\"http://a/v1\"]\n");
        assert_eq!(one, of("kind = \"http\"\nmodel = \"m\"\nendpoints = [\"http://b/v1\"]\nconcurrency = 3\n"));
        assert_ne!(one, of("kind = \"http\"\nmodel = \"n\"\nendpoints = [\"http://a/v1\"]\n"));
    }
}
