//! How to reach a model over HTTP, for teachers and judges alike.

use serde_json::{Map, Value};

use super::Check;
use crate::Price;
use crate::settings::HttpSettings;

/// `http` as `table` says it, checked.
pub(super) fn checked(http: HttpSettings, table: &str, check: &mut Check) -> HttpSettings {
    let endpoints = check_endpoints(table, &http.endpoints, check);
    let weights = &http.weights;
    let weights_fit = weights.is_empty() || weights.len() == endpoints.len() && weights.iter().all(|weight| *weight > 0);
    check.that(weights_fit, &format!("{table}.weights"), format!("{weights:?}"), "one number above 0 for each endpoint");
    for (key, limit) in [("requests_per_minute", http.requests_per_minute), ("tokens_per_minute", http.tokens_per_minute)] {
        check.that(limit != Some(0), &format!("{table}.{key}"), 0, "at least 1, or absent");
    }
    check.that((1..=86_400).contains(&http.timeout_s), &format!("{table}.timeout_s"), http.timeout_s, "from 1 to 86400 seconds");
    check_extra(table, &http.extra, check);
    HttpSettings { endpoints, ..http }
}

pub(super) fn check_price(table: &str, price: Option<Price>, check: &mut Check) {
    let amounts = price.map(|price| [("prompt", price.prompt), ("completion", price.completion)]);
    for (key, amount) in amounts.into_iter().flatten() {
        let is_fit = amount.is_finite() && amount >= 0.0;
        check.that(is_fit, &format!("{table}.price.{key}"), amount, "money per million tokens, 0 or more");
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
fn check_extra(table: &str, extra: &Map<String, Value>, check: &mut Check) {
    for (key, value) in extra {
        let rule = match key.as_str() {
            "temperature" | "top_p" if *value != Value::Bool(false) => "false, to leave it out; its value is the setting of that name",
            "seed" if *value != Value::Bool(false) => "false, to leave it out; its value comes from `campaign.seed`",
            "tool_choice" if *value != Value::Bool(false) => "false, to leave it out; Sluice decides when calls may be made",
            "max_completion_tokens" if *value != Value::Bool(true) => {
                "true, to send the limit under this name; its value is the setting of that name"
            }
            "max_tokens" => {
                "absent: set `max_completion_tokens` outside of it; `max_completion_tokens = true` here sends it under that name"
            }
            "model" => "absent: set `model` outside of it",
            "messages" | "tools" | "stream" | "n" => "absent: Sluice decides it",
            _ => continue,
        };
        check.that(false, &format!("{table}.extra.{key}"), value, rule);
    }
}
