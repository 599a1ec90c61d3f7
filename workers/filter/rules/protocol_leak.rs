//! No protocol tag or special token stands in the answer: what a trainer would teach, or a tokenizer would take for its own.
//!
//! Three kinds: tags and tokens by name (tool-call dialects, chat templates, the peers' tags, their marker of duplicate content), anything
//! in the form `<|…|>`, and placeholders `{{name}}` that a template left behind. An answer that is nothing but a tool call in JSON is a leak too.
//! Code blocks are no excuse: a token in code is the same token.

use model::settings::ProtocolLeakRule;
use model::{Finding, Trajectory};
use serde_json::Value;

use super::protocol::DUPLICATE_MARKER;
use super::{answer, hard, is_decompose};

const NAME: &str = "protocol_leak";

/// Names of tags that count with or without a slash before and attributes after; `<plan>` and `<observation>` are tags of peers' protocols.
const TAGS: [&str; 20] = [
    "tool_call",
    "tool_calls",
    "tool_response",
    "tool_result",
    "function_call",
    "function_calls",
    "think",
    "thinking",
    "subtask_list",
    "subtask",
    "plan",
    "web_search",
    "crawl_page",
    "observation",
    "subtask_answer",
    "suggested_answer",
    "start_of_turn",
    "end_of_turn",
    "bos",
    "eos",
];

/// Text that is a leak wherever it stands.
const TOKENS: [&str; 15] = [
    "<function=",
    "</function>",
    "<parameter=",
    "</parameter>",
    "[INST]",
    "[/INST]",
    "<<SYS>>",
    "[TOOL_CALLS]",
    "[AVAILABLE_TOOLS]",
    "◁think▷",
    "◁/think▷",
    DUPLICATE_MARKER,
    "to=functions.",
    "to=browser.",
    "</s>",
];

/// Longest `<|…|>` and `{{…}}`, in characters.
const TOKEN_CHARS_MAX: usize = 60;
/// Leaks quoted in a message.
const QUOTED_MAX: usize = 5;

pub(super) fn check(_: &ProtocolLeakRule, trajectory: &Trajectory) -> Vec<Finding> {
    let Some(answer) = answer(trajectory) else { return Vec::new() };
    let answer = if is_decompose(trajectory) { within_own_tags(answer) } else { answer };
    if is_tool_call(answer) {
        return vec![hard(NAME, "the answer is a tool call written as JSON".to_owned())];
    }
    let leaks = leaks(answer);
    if leaks.is_empty() {
        return Vec::new();
    }
    let quoted = leaks.iter().take(QUOTED_MAX).map(|leak| format!("`{leak}`")).collect::<Vec<_>>().join(", ");
    vec![hard(NAME, format!("{} protocol tags or special tokens in the answer, among them {quoted}", leaks.len()))]
}

/// A report without the pair of tags that the protocol itself asks for around the whole of it.
fn within_own_tags(report: &str) -> &str {
    let report = report.trim();
    report.strip_prefix("<suggested_answer>").and_then(|rest| rest.strip_suffix("</suggested_answer>")).unwrap_or(report)
}

/// Every leak as it is written, in order of kind and place.
fn leaks(text: &str) -> Vec<String> {
    let mut found: Vec<String> = TOKENS.iter().flat_map(|token| text.matches(token).map(str::to_owned)).collect();
    for (at, _) in text.match_indices('<') {
        let Some(rest) = text.get(at + 1..) else { continue };
        found.extend(tag(rest).or_else(|| special_token(rest)));
    }
    let mut before = ' ';
    for (at, open) in text.match_indices("{{") {
        before = text.get(..at).and_then(|text| text.chars().next_back()).unwrap_or(before);
        found.extend(text.get(at + open.len()..).and_then(|rest| placeholder(before, rest)));
    }
    found
}

/// The tag whose text after `<` is `rest`.
fn tag(rest: &str) -> Option<String> {
    let slash = if rest.starts_with('/') { "/" } else { "" };
    let name: String =
        rest.trim_start_matches('/').chars().take_while(|c| c.is_ascii_alphabetic() || *c == '_').take(TOKEN_CHARS_MAX).collect();
    let is_known = TAGS.contains(&name.to_ascii_lowercase().as_str());
    let after = rest.get(slash.len() + name.len()..)?.chars().next()?;
    (is_known && (matches!(after, '>' | '/') || after.is_whitespace())).then(|| format!("<{slash}{name}>"))
}

/// The special token whose text after `<` is `rest`, with ASCII or full-width bars.
fn special_token(rest: &str) -> Option<String> {
    let bar = rest.chars().next().filter(|c| matches!(c, '|' | '｜'))?;
    let inside: String = rest.chars().skip(1).take_while(|c| *c != bar && *c != '\n').take(TOKEN_CHARS_MAX).collect();
    let after: String = rest.chars().skip(1 + inside.chars().count()).take(2).collect();
    let is_name = !inside.is_empty() && inside.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '▁' | ' ' | '/' | '.'));
    (is_name && after == format!("{bar}>")).then(|| format!("<{bar}{inside}{bar}>"))
}

/// The placeholder whose text after `{{` is `rest`. After a letter, a brace or `^_` the braces are mathematics, and so is a single letter.
fn placeholder(before: char, rest: &str) -> Option<String> {
    if before.is_alphanumeric() || matches!(before, '}' | '{' | '^' | '_' | '\\') {
        return None;
    }
    let inside: String = rest.chars().take_while(|c| *c != '}' && *c != '\n').take(TOKEN_CHARS_MAX).collect();
    let is_closed = rest.get(inside.len()..)?.starts_with("}}");
    let name = inside.trim();
    let is_name = name.chars().count() > 1
        && name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '|' | ' '));
    (is_closed && is_name).then(|| format!("{{{{{inside}}}}}"))
}

fn is_tool_call(answer: &str) -> bool {
    let text = answer.trim().trim_start_matches("```json").trim_matches('`').trim();
    if !text.starts_with('{') {
        return false;
    }
    let Ok(Value::Object(map)) = serde_json::from_str::<Value>(text) else { return false };
    let has_one_of = |keys: &[&str]| keys.iter().any(|key| map.contains_key(*key));
    has_one_of(&["name", "tool", "function"]) && has_one_of(&["arguments", "parameters"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn found(answer: &str) -> Vec<String> {
        leaks(answer)
    }

    #[test]
    fn tags_and_special_tokens_are_found_wherever_they_stand() {
        for (answer, leak) in [
            ("Paris. <tool_call>{}", "<tool_call>"),
            ("so</think>Paris", "</think>"),
            ("`<|im_end|>`", "<|im_end|>"),
            ("答案是<｜tool▁calls▁begin｜>", "<｜tool▁calls▁begin｜>"),
            ("<function=search>", "<function="),
            ("Dear {{ user_name }},", "{{ user_name }}"),
            ("|<BEGIN_OF_DUPLICATE_CONTENT>|Paris", "_OF_DUPLICATE_CONTENT>"),
            ("<Suggested_Answer>Paris", "<Suggested_Answer>"),
            ("<observation id=\"1\">x", "<observation>"),
        ] {
            assert_eq!(found(answer), [leak], "{answer}");
        }
    }

    #[test]
    fn ordinary_text_with_angles_bars_and_braces_is_clean() {
        for answer in [
            "a <b and c> d, x < y | y > z",
            "<b>bold</b> and Vec<Option<u8>> and <thinker>",
            r"\frac{{a}}{{bc}} and $x^{{10}}$ and {{x}}",
            "|<x>| ≤ 1 and <||> and {{}} and {{ 3 + 4 }}",
            "東京<大阪",
        ] {
            assert_eq!(found(answer), Vec::<String>::new(), "{answer}");
        }
    }

    #[test]
    fn a_leak_rejects_with_its_number_and_a_clean_answer_passes() {
        let findings = check(&ProtocolLeakRule::default(), &sample::answering("<think>x</think> Paris"));
        assert!(findings[0].message.contains("2 protocol tags") && findings[0].message.contains("`</think>`"), "{findings:?}");
        assert_eq!(check(&ProtocolLeakRule::default(), &sample::answering("Paris")), []);
    }

    #[test]
    fn the_form_of_a_report_is_no_leak() {
        let mut report = sample::decompose();
        assert_eq!(check(&ProtocolLeakRule::default(), &report), []);
        let text = report.answer.take().unwrap_or_default();
        report.answer = Some(format!("<suggested_answer>\n{text}\n</suggested_answer>\n"));
        assert_eq!(check(&ProtocolLeakRule::default(), &report), []);
        report.answer = Some(format!("<suggested_answer>{text}</suggested_answer><think>done</think>"));
        assert!(check(&ProtocolLeakRule::default(), &report)[0].message.contains("4 protocol tags"));
        report.answer = Some(format!("<suggested_answer>{text}<observation></suggested_answer>"));
        assert!(check(&ProtocolLeakRule::default(), &report)[0].message.contains("`<observation>`"));
    }

    #[test]
    fn a_tool_call_is_no_answer_but_json_may_be_one() {
        let of = |answer| check(&ProtocolLeakRule::default(), &sample::answering(answer)).len();
        assert_eq!(of("{\"name\": \"search\", \"arguments\": {\"query\": \"x\"}}"), 1);
        assert_eq!(of("```json\n{\"name\": \"search\", \"parameters\": {}}\n```"), 1);
        assert_eq!(of("{\"name\": \"Ada\", \"born\": 1815}"), 0);
    }
}
