//! `[teacher]` and its roles: what is typed and what it means.

use std::path::Path;

use super::{Check, http, path};
use crate::settings::{Dialect, HttpSettings, Mode, Roles, TeacherKind, TeacherSettings};
use crate::written::TeacherTable;

pub(super) fn resolve(table: &TeacherTable, base: &Path, check: &mut Check) -> TeacherSettings {
    let mut role = |name: &str, written: &Option<Box<TeacherTable>>| {
        let written = written.as_deref()?;
        let key = format!("teacher.{name}");
        for (inner, given) in [("planner", &written.planner), ("summarizer", &written.summarizer), ("extractor", &written.extractor)] {
            check.that(given.is_none(), &format!("{key}.{inner}"), "given", "absent: roles have no roles of their own");
        }
        Some(Box::new(one(&over(table, written), &key, base, check)))
    };
    let roles = Roles {
        planner: role("planner", &table.planner),
        summarizer: role("summarizer", &table.summarizer),
        extractor: role("extractor", &table.extractor),
    };
    TeacherSettings { roles, ..one(table, "teacher", base, check) }
}

/// `role`, with what it does not say taken from `base`. Another kind or model of a role takes nothing that was said of the base's own servers.
fn over(base: &TeacherTable, role: &TeacherTable) -> TeacherTable {
    let is_of_base_kind = role.kind.is_empty() || role.kind == base.kind;
    // What belongs to one model: another one has another template, tokenizer and price.
    let is_same_model = is_of_base_kind && role.model.is_none() && role.endpoints.is_empty();
    let own = if is_of_base_kind { base.clone() } else { TeacherTable::default() };
    let of_model = if is_same_model { base.clone() } else { TeacherTable::default() };
    let list = |of_role: &[String], of_base: &[String]| if of_role.is_empty() { of_base.to_vec() } else { of_role.to_vec() };
    let has_own_servers = !role.endpoints.is_empty();
    TeacherTable {
        kind: if role.kind.is_empty() { base.kind.clone() } else { role.kind.clone() },
        endpoints: list(&role.endpoints, &own.endpoints),
        weights: if has_own_servers || !role.weights.is_empty() { role.weights.clone() } else { own.weights },
        model: role.model.clone().or(own.model),
        // A key is never sent to another server than it was given for.
        api_key_env: role.api_key_env.clone().or(if has_own_servers { None } else { own.api_key_env }),
        dialect: role.dialect.clone().or(of_model.dialect),
        mode: role.mode.clone().or(of_model.mode),
        chat_template: role.chat_template.clone().or(if role.mode.as_deref() == Some("chat") { None } else { of_model.chat_template }),
        tokenizer: role.tokenizer.clone().or(of_model.tokenizer),
        temperature: role.temperature.or(base.temperature),
        top_p: role.top_p.or(base.top_p),
        max_completion_tokens: role.max_completion_tokens.or(base.max_completion_tokens),
        concurrency: role.concurrency.or(base.concurrency),
        timeout_s: role.timeout_s.or(base.timeout_s),
        requests_per_minute: role.requests_per_minute.or(of_model.requests_per_minute),
        tokens_per_minute: role.tokens_per_minute.or(of_model.tokens_per_minute),
        stop: list(&role.stop, &of_model.stop),
        price: role.price.or(of_model.price),
        script: role.script.clone().or(own.script),
        extra: if role.extra.is_empty() { of_model.extra } else { role.extra.clone() },
        planner: None,
        summarizer: None,
        extractor: None,
    }
}

fn one(t: &TeacherTable, table: &str, base: &Path, check: &mut Check) -> TeacherSettings {
    let kind = kind(t, table, base, check);
    let over_http = matches!(kind, TeacherKind::Http(_));
    check.that(over_http == t.model.is_some() || !over_http, &format!("{table}.model"), "absent", "the model's name, for kind = \"http\"");
    for (key, given) in [
        ("endpoints", !t.endpoints.is_empty()),
        ("weights", !t.weights.is_empty()),
        ("api_key_env", t.api_key_env.is_some()),
        ("mode", t.mode.is_some()),
        ("chat_template", t.chat_template.is_some()),
        ("requests_per_minute", t.requests_per_minute.is_some()),
        ("tokens_per_minute", t.tokens_per_minute.is_some()),
        ("stop", !t.stop.is_empty()),
        ("extra", !t.extra.is_empty()),
    ] {
        check.that(over_http || !given, &format!("{table}.{key}"), "given", "only for kind = \"http\"");
    }
    let dialect = dialect(t, table, over_http, check);
    let mode = mode(t, table, dialect, check);
    let temperature = t.temperature.unwrap_or(1.0);
    check.that((0.0..=2.0).contains(&temperature), &format!("{table}.temperature"), temperature, "from 0 to 2");
    let top_p = t.top_p.unwrap_or(0.95);
    check.that(top_p > 0.0 && top_p <= 1.0, &format!("{table}.top_p"), top_p, "above 0, at most 1");
    let max_completion_tokens = t.max_completion_tokens.unwrap_or(4096);
    check.that(max_completion_tokens >= 16, &format!("{table}.max_completion_tokens"), max_completion_tokens, "at least 16");
    let concurrency = t.concurrency.unwrap_or(64);
    check.that((1..=4096).contains(&concurrency), &format!("{table}.concurrency"), concurrency, "from 1 to 4096");
    http::check_price(table, t.price, check);
    let tokenizer = match t.tokenizer.as_deref() {
        None => "o200k".to_owned(),
        Some(built_in @ ("o200k" | "cl100k")) => built_in.to_owned(),
        Some(written) => path(base, written),
    };
    TeacherSettings {
        kind,
        model: t.model.clone().unwrap_or_else(|| t.kind.clone()),
        dialect,
        mode,
        chat_template: t.chat_template.as_ref().map(|written| path(base, written)),
        tokenizer,
        temperature,
        top_p,
        max_completion_tokens,
        concurrency,
        price: t.price,
        roles: Roles::default(),
    }
}

fn kind(t: &TeacherTable, table: &str, base: &Path, check: &mut Check) -> TeacherKind {
    match t.kind.as_str() {
        "http" => {
            let http = HttpSettings {
                endpoints: t.endpoints.clone(),
                weights: t.weights.clone(),
                api_key_env: t.api_key_env.clone(),
                timeout_s: t.timeout_s.unwrap_or(600),
                requests_per_minute: t.requests_per_minute,
                tokens_per_minute: t.tokens_per_minute,
                stop: t.stop.clone(),
                extra: t.extra.clone(),
            };
            TeacherKind::Http(http::checked(http, table, check))
        }
        "scripted" => {
            check.that(t.script.is_some(), &format!("{table}.script"), "absent", "the path of a script, for kind = \"scripted\"");
            TeacherKind::Scripted { script: path(base, t.script.as_deref().unwrap_or_default()) }
        }
        other => {
            check.that(other == "heuristic", &format!("{table}.kind"), other, "one of: heuristic, http, scripted");
            TeacherKind::Heuristic
        }
    }
}

fn dialect(t: &TeacherTable, table: &str, over_http: bool, check: &mut Check) -> Dialect {
    match t.dialect.as_deref() {
        None if over_http => Dialect::Openai,
        None => Dialect::Hermes,
        Some(written) => Dialect::named(written).unwrap_or_else(|| {
            let known = Dialect::ALL.map(Dialect::name).join(", ");
            check.that(false, &format!("{table}.dialect"), written, &format!("one of: {known}"));
            Dialect::Openai
        }),
    }
}

fn mode(t: &TeacherTable, table: &str, dialect: Dialect, check: &mut Check) -> Mode {
    let mode = match t.mode.as_deref().unwrap_or("chat") {
        "completion" => Mode::Completion,
        written => {
            check.that(written == "chat", &format!("{table}.mode"), written, "one of: chat, completion");
            Mode::Chat
        }
    };
    let has_template = t.chat_template.is_some();
    let rule = "the path of the model's chat template, for mode = \"completion\"";
    check.that(mode == Mode::Chat || has_template, &format!("{table}.chat_template"), "absent", rule);
    check.that(mode == Mode::Completion || !has_template, &format!("{table}.chat_template"), "given", "only for mode = \"completion\"");
    let rule = "the dialect that the model writes, for mode = \"completion\": nobody reports its calls natively";
    check.that(mode == Mode::Chat || dialect != Dialect::Openai, &format!("{table}.dialect"), "openai", rule);
    mode
}
