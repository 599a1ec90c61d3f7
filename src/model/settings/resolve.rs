//! From what was typed to what it means. All problems are found in one go, and nothing is opened.

use std::path::{Component, Path, PathBuf};

use super::{
    BudgetSettings, CampaignSettings, CorpusSettings, Crawl, Dialect, JudgeKind, RecipeSettings, Settings, TeacherKind, TeacherSettings,
};
use crate::Digest;
use crate::written::{CampaignFile, ConfigError, Problem};

mod filter;
mod http;
mod judge;
mod recipe;
mod teacher;

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
            recipe: recipe::resolve(&self.recipe, &mut check),
            teacher: teacher::resolve(&self.teacher, base, &mut check),
            filter: filter::resolve(&self.filter, &mut check),
            judge: judge::resolve(&self.judge, self.filter.preset.as_deref(), base, &mut check),
            budget: self.resolve_budget(&mut check),
        };
        check_together(&settings, &mut check);
        if check.problems.is_empty() { Ok(settings) } else { Err(ConfigError { problems: check.problems }) }
    }

    fn resolve_campaign(&self, base: &Path, check: &mut Check) -> CampaignSettings {
        let t = &self.campaign;
        let name_is_fit = (1..=40).contains(&t.name.len()) && t.name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        check.that(name_is_fit, "campaign.name", &t.name, "1 to 40 of a–z, 0–9 and -");
        check.that(!t.seeds.is_empty(), "campaign.seeds", &t.seeds, "the path of a .jsonl, .jsonl.gz, .jsonl.zst or .csv file");
        let samples_per_seed = t.samples_per_seed.unwrap_or(1);
        check.that((1..=1024).contains(&samples_per_seed), "campaign.samples_per_seed", samples_per_seed, "from 1 to 1024");
        if let Some(first) = t.samples_first {
            let rule = "from 2 to campaign.samples_per_seed: of one sample nobody can say that it is right by chance";
            check.that((2..=samples_per_seed).contains(&first), "campaign.samples_first", first, rule);
        }
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
            samples_first: t.samples_first,
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
        check_amount("budget.wall_hours", t.wall_hours, check);
        BudgetSettings {
            wall_s: t.wall_hours.map(|hours| (hours * 3600.0).ceil().max(1.0) as u64),
            ..cost_limits("budget", [t.completion_tokens, t.prompt_tokens, t.calls], t.money, check)
        }
    }
}

/// Limits of what something may cost: tokens written, tokens read, completions, and money.
fn cost_limits(table: &str, counts: [Option<u64>; 3], money: Option<f64>, check: &mut Check) -> BudgetSettings {
    for (key, limit) in ["completion_tokens", "prompt_tokens", "calls"].into_iter().zip(counts) {
        check.that(limit != Some(0), &format!("{table}.{key}"), 0, "at least 1, or absent");
    }
    check_amount(&format!("{table}.money"), money, check);
    let [completion_tokens, prompt_tokens, calls] = counts;
    let money_micros = money.map(|money| (money * 1e6).round().max(1.0) as u64);
    BudgetSettings { completion_tokens, prompt_tokens, calls, money_micros, wall_s: None }
}

fn check_amount(key: &str, limit: Option<f64>, check: &mut Check) {
    let is_fit = limit.is_none_or(|limit| limit.is_finite() && limit > 0.0);
    check.that(is_fit, key, limit.unwrap_or_default(), "above 0, or absent");
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

/// Why a model needs a price.
const COUNTED: &str = "its price per million tokens, because a limit of money counts it; 0 where it is free";

/// What no table can say alone.
fn check_together(settings: &Settings, check: &mut Check) {
    let is_decompose = matches!(settings.recipe, RecipeSettings::Decompose(_));
    let roles = settings.teacher.roles.named().map(|(name, role)| (format!("teacher.{name}"), role));
    for (table, teacher) in std::iter::once(("teacher".to_owned(), &settings.teacher)).chain(roles) {
        let is_fit = is_decompose || teacher.dialect != Dialect::Tags;
        check.that(
            is_fit,
            &format!("{table}.dialect"),
            "tags",
            "another dialect, or recipe.kind = \"decompose\": its tags name that recipe's tools",
        );
    }
    if let RecipeSettings::Decompose(decompose) = &settings.recipe {
        let is_read = decompose.crawl == Crawl::Extract || settings.teacher.roles.extractor.is_none();
        check.that(is_read, "teacher.extractor", "given", "absent, or set recipe.crawl = \"extract\"");
        let is_tags = settings.teacher.dialect == Dialect::Tags || !decompose.strict;
        let is_model = !matches!(settings.teacher.kind, TeacherKind::Heuristic) || !decompose.strict;
        check.that(
            is_model,
            "recipe.strict",
            "true",
            "false: the heuristic teacher writes no tags; `sluice sim-teacher --dialect tags` does",
        );
        check.that(is_tags, "recipe.strict", "true", "false, or set teacher.dialect = \"tags\", whose calls it is about");
    }
    let is_free = |teacher: &TeacherSettings| matches!(teacher.kind, TeacherKind::Http(_)) && teacher.price.is_none();
    let has_price = settings.teacher.price.is_some() || settings.teacher.roles.named().any(|(_, role)| role.price.is_some());
    // A judge is paid by the campaign, and by no job.
    let is_judge_priced = matches!(settings.judge.kind, JudgeKind::Http { price: Some(_), .. });
    let limited: Vec<&str> = std::iter::once(("budget", settings.budget))
        .chain(settings.recipe.costs())
        .filter_map(|(table, limits)| limits.money_micros.map(|_| table))
        .collect();
    if !limited.is_empty() {
        let is_judge_free = matches!(settings.judge.kind, JudgeKind::Http { price: None, .. });
        check.that(!is_judge_free || settings.budget.money_micros.is_none(), "judge.price", "absent", COUNTED);
        for table in limited {
            let rule = "absent, or give teacher.price: without it nothing is known to cost money";
            check.that(has_price || is_judge_priced && table == "budget", &format!("{table}.money"), "given", rule);
        }
        // A model without a price would spend the budget unseen.
        let roles = settings.teacher.roles.named().map(|(name, role)| (format!("teacher.{name}"), role));
        for (table, _) in std::iter::once(("teacher".to_owned(), &settings.teacher)).chain(roles).filter(|(_, teacher)| is_free(teacher)) {
            check.that(false, &format!("{table}.price"), "absent", COUNTED);
        }
    }
    for (name, _) in settings.teacher.roles.named().filter(|_| !is_decompose) {
        check.that(false, &format!("teacher.{name}"), "given", "only for recipe.kind = \"decompose\"");
    }
    let is_sampled = settings.campaign.samples_first.is_none() || !matches!(settings.judge.kind, JudgeKind::Off);
    check.that(is_sampled, "campaign.samples_first", "given", "absent, or give a judge: without one no sample is known to be right");
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
    fn a_budget_of_money_needs_a_price_for_every_model() {
        let of = |more: &str| {
            let teacher = "kind = \"http\"\nmodel = \"m\"\nendpoints = [\"http://a/v1\"]\n";
            let text = format!("{teacher}{more}\n[recipe]\nkind = \"decompose\"\n[budget]\nmoney = 5.0\n");
            written(&text).resolve(Path::new("/")).map(|_| ()).map_err(|error| error.to_string())
        };
        assert!(of("").expect_err("no price at all").contains("teacher.price"));
        let priced = "price = { prompt = 1.0, completion = 2.0 }\n";
        assert_eq!(of(priced), Ok(()));
        let error = of(&format!("{priced}[teacher.planner]\nmodel = \"n\"\n")).expect_err("another model's price is not known");
        assert!(error.contains("teacher.planner.price") && !error.contains("teacher.price ="), "{error}");
        assert_eq!(of(&format!("{priced}[teacher.planner]\ntemperature = 0.2\n")), Ok(()), "the same model costs the same");
        let judged = format!("{priced}[judge]\nkind = \"http\"\nmodel = \"j\"\nendpoints = [\"http://a/v1\"]\n");
        assert!(of(&judged).expect_err("it would spend unseen").contains("judge.price"));
        assert_eq!(of(&format!("{judged}{priced}")), Ok(()));
        let rehearsed = |table: &str| {
            let judge = format!("[judge]\nkind = \"http\"\nmodel = \"j\"\nendpoints = [\"http://a/v1\"]\n{priced}");
            written(&format!("kind = \"heuristic\"\n{table}{judge}")).resolve(Path::new("/")).map(|_| ()).map_err(|error| error.to_string())
        };
        assert_eq!(rehearsed("[budget]\nmoney = 1.0\n"), Ok(()), "the judge alone costs something");
        assert!(rehearsed("[recipe.job]\nmoney = 1.0\n").expect_err("no job pays the judge").contains("recipe.job.money"));
    }

    #[test]
    fn endpoints_and_concurrency_are_no_part_of_a_campaigns_identity() {
        let of = |more| written(more).resolve(Path::new("/")).expect("valid").identity();
        let one = of("kind = \"http\"\nmodel = \"m\"\nendpoints = [\"http://a/v1\"]\n");
        assert_eq!(one, of("kind = \"http\"\nmodel = \"m\"\nendpoints = [\"http://b/v1\"]\nconcurrency = 3\n"));
        assert_ne!(one, of("kind = \"http\"\nmodel = \"n\"\nendpoints = [\"http://a/v1\"]\n"));
    }
}
