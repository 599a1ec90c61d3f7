//! `[judge]`: what is typed and what it means.

use std::path::Path;

use super::{Check, path};
use crate::settings::{Graded, HttpSettings, JudgeKind, JudgeSettings};
use crate::written::JudgeTable;

/// The name of a preset of the filter, and of the rubric that belongs to it.
const O_RESEARCHER: &str = "o-researcher";

/// `preset` is that of the filter: a model judges as the preset has it, unless the table names a rubric.
pub(super) fn resolve(t: &JudgeTable, preset: Option<&str>, base: &Path, check: &mut Check) -> JudgeSettings {
    let kind = match t.kind.as_deref().unwrap_or("lexical") {
        "lexical" => JudgeKind::Lexical,
        "off" => JudgeKind::Off,
        "http" => http(t, preset, base, check),
        other => {
            check.that(false, "judge.kind", other, "one of: lexical, http, off");
            JudgeKind::Off
        }
    };
    let over_http = matches!(kind, JudgeKind::Http { .. });
    for (key, given) in [
        ("endpoints", !t.endpoints.is_empty()),
        ("weights", !t.weights.is_empty()),
        ("model", t.model.is_some()),
        ("api_key_env", t.api_key_env.is_some()),
        ("rubric", t.rubric.is_some()),
        ("requests_per_minute", t.requests_per_minute.is_some()),
        ("tokens_per_minute", t.tokens_per_minute.is_some()),
        ("price", t.price.is_some()),
        ("extra", !t.extra.is_empty()),
    ] {
        check.that(over_http || !given, &format!("judge.{key}"), "given", "only for kind = \"http\"");
    }
    let of_research = matches!(kind, JudgeKind::Http { grades: Graded::Research { .. }, .. });
    check.that(of_research || t.trace_tokens.is_none(), "judge.trace_tokens", "given", "only for rubric = \"o-researcher\"");
    let accept_at = t.accept_at.unwrap_or(0.5);
    check.that((0.0..=1.0).contains(&accept_at), "judge.accept_at", accept_at, "from 0 to 1");
    JudgeSettings { kind, accept_at }
}

fn http(t: &JudgeTable, preset: Option<&str>, base: &Path, check: &mut Check) -> JudgeKind {
    check.that(t.model.is_some(), "judge.model", "absent", "the model's name, for kind = \"http\"");
    let trace_tokens = t.trace_tokens.unwrap_or(16_384);
    check.that((1024..=262_144).contains(&trace_tokens), "judge.trace_tokens", trace_tokens, "from 1024 to 262144");
    let (rubric, grades) = match t.rubric.as_deref() {
        None if preset == Some(O_RESEARCHER) => (None, Graded::Research { trace_tokens }),
        None | Some("default") => (None, Graded::Answer),
        Some(O_RESEARCHER) => (None, Graded::Research { trace_tokens }),
        Some(written) => (Some(path(base, written)), Graded::Answer),
    };
    super::http::check_price("judge", t.price, check);
    let http = HttpSettings {
        endpoints: t.endpoints.clone(),
        weights: t.weights.clone(),
        api_key_env: t.api_key_env.clone(),
        timeout_s: t.timeout_s.unwrap_or(120),
        requests_per_minute: t.requests_per_minute,
        tokens_per_minute: t.tokens_per_minute,
        stop: Vec::new(),
        extra: t.extra.clone(),
    };
    JudgeKind::Http {
        http: Box::new(super::http::checked(http, "judge", check)),
        model: t.model.clone().unwrap_or_default(),
        rubric,
        grades,
        max_completion_tokens: t.max_completion_tokens.unwrap_or(1024),
        price: t.price,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HTTP: &str = "kind = \"http\"\nmodel = \"m\"\nendpoints = [\"http://a/v1\"]\n";

    fn resolved(preset: Option<&str>, text: &str) -> Result<JudgeKind, String> {
        let mut check = Check { problems: Vec::new() };
        let settings = resolve(&toml::from_str(text).expect("well-formed"), preset, Path::new("/base"), &mut check);
        if check.problems.is_empty() { Ok(settings.kind) } else { Err(check.problems.iter().map(ToString::to_string).collect()) }
    }

    fn rubric(preset: Option<&str>, more: &str) -> (Option<String>, Graded) {
        match resolved(preset, &format!("{HTTP}{more}")).expect("valid") {
            JudgeKind::Http { rubric, grades, .. } => (rubric, grades),
            other => panic!("{other:?} is no model"),
        }
    }

    #[test]
    fn a_rubric_is_built_in_or_a_path() {
        assert_eq!(rubric(None, ""), (None, Graded::Answer));
        assert_eq!(rubric(None, "rubric = \"o-researcher\""), (None, Graded::Research { trace_tokens: 16_384 }));
        assert_eq!(rubric(None, "rubric = \"own.txt\""), (Some("/base/own.txt".into()), Graded::Answer));
        let shorter = rubric(None, "rubric = \"o-researcher\"\ntrace_tokens = 4096");
        assert_eq!(shorter, (None, Graded::Research { trace_tokens: 4096 }));
    }

    #[test]
    fn under_the_preset_a_model_judges_as_the_preset_has_it_unless_a_rubric_is_named() {
        assert_eq!(rubric(Some("o-researcher"), ""), (None, Graded::Research { trace_tokens: 16_384 }));
        assert_eq!(rubric(Some("o-researcher"), "rubric = \"default\""), (None, Graded::Answer));
        assert_eq!(rubric(Some("default"), ""), (None, Graded::Answer));
        assert_eq!(resolved(Some("o-researcher"), ""), Ok(JudgeKind::Lexical));
    }

    #[test]
    fn the_length_of_an_outline_is_checked_and_belongs_to_its_rubric() {
        let error = resolved(None, &format!("{HTTP}trace_tokens = 4096")).expect_err("no outline is shown");
        assert!(error.contains("judge.trace_tokens = `given`: only for rubric = \"o-researcher\""), "{error}");
        let error = resolved(None, &format!("{HTTP}rubric = \"o-researcher\"\ntrace_tokens = 10")).expect_err("too short");
        assert!(error.contains("from 1024 to 262144"), "{error}");
        assert!(resolved(None, "trace_tokens = 4096").is_err());
    }
}
