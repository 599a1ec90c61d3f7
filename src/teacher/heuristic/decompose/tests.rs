//! Each role against hand-made messages, in English and Chinese; and a small web for whole conversations.

mod report;
mod research;
mod subtasks;

use model::{Message, Role, Sampling};
use proptest::prelude::*;

use crate::Calls;
use crate::heuristic::complete;

const PLANNER: &str = "Divide the question into between 2 and 5 subtasks. Answer with <think>…</think> and <subtask_list>…</subtask_list>.";
const RESEARCHER: &str = "Research one subtask with web_search and crawl_page: at least 5 tool calls and at most 7 tool calls. Then answer in \
     <subtask_answer>…</subtask_answer>.";
const EXTRACTOR: &str = "Extract from the page what bears on the question. Answer in <extract>…</extract>.";
const SUMMARIZER: &str = "Write the report. It stands in <suggested_answer>…</suggested_answer>.";
const JUDGE: &str =
    "Score it. Reply with one JSON object: {\"coherence\": 0-10, \"tool_use\": 0-10, \"grounding\": 0-10, \"reasons\": string}.";

fn sampling(seed: Option<u64>) -> Sampling {
    let temperature = if seed.is_some() { 1.0 } else { 0.0 };
    Sampling { temperature, top_p: 1.0, max_completion_tokens: 4_000, seed: seed.unwrap_or_default() }
}

fn user(text: impl Into<String>) -> Message {
    Message::text(Role::User, text)
}

/// A conversation of a role that has begun.
fn begun(system: &str, asked: impl Into<String>) -> Vec<Message> {
    vec![Message::text(Role::System, system), user(asked)]
}

fn said(messages: &[Message], seed: Option<u64>) -> String {
    complete(messages, Calls::Offered, &sampling(seed)).text
}

/// What stands between the tags of this name.
fn within<'a>(text: &'a str, tag: &str) -> &'a str {
    let (_, inside) = text.split_once(&format!("<{tag}>")).unwrap_or_else(|| panic!("no <{tag}> in {text}"));
    inside.split_once(&format!("</{tag}>")).unwrap_or_else(|| panic!("<{tag}> is not closed in {text}")).0.trim()
}

const PAGE: &str = "Question: When was Marrow Light first lit?\nGoal: the year of the first light\n\nPage [https://isles.example/light]: Marrow Light\n\n\
     ## History\nMarrow Light was first lit in October 1821. Sheep graze below.\n- Its keeper Tom Lee came from Skarholm.\n\
     See https://isles.example/keepers, https://isles.example/keepers and (https://isles.example/neck).";

#[test]
fn an_extract_is_word_for_word_under_three_headings() {
    let said = said(&begun(EXTRACTOR, PAGE), None);
    let extract = within(&said, "extract");
    let headings: Vec<&str> = extract.lines().filter(|line| line.starts_with("## ")).collect();
    assert_eq!(headings, ["## What bears on the question", "## Clues", "## Links"]);
    assert!(extract.contains("- Marrow Light was first lit in October 1821.\n"), "{extract}");
    assert_eq!(extract.lines().filter(|line| line.starts_with("- https://")).count(), 2, "{extract}");
    let quoted = extract.lines().filter_map(|line| line.strip_prefix("- "));
    assert!(quoted.into_iter().all(|quoted| PAGE.contains(quoted)), "{extract}");

    let empty =
        within(&complete(&begun(EXTRACTOR, "Question: 灯塔建于哪一年？\nGoal: 年份"), Calls::Offered, &sampling(None)).text, "extract")
            .to_owned();
    assert_eq!(empty, "## 与问题有关的内容\n无。\n\n## 线索\n无。\n\n## 链接\n无。");
}

#[test]
fn a_judge_gets_three_scores_that_rise_with_what_they_measure() {
    let judged = |report: &str, calls: &str| {
        let asked = format!("{calls}\n<suggested_answer>{report}</suggested_answer>");
        let object: serde_json::Value = serde_json::from_str(&said(&begun(JUDGE, asked), None)).expect("one JSON object");
        assert!(object["reasons"].is_string());
        ["coherence", "tool_use", "grounding"].map(|score| object[score].as_u64().expect("a score"))
    };
    let whole = "# T\n## Introduction\nThe light was lit in 1821. [1] \n## Conclusion\nIt has nine floors above ground. [2] \n## References\n[1]. https://a";
    let good = judged(whole, &"<web_search>a</web_search><crawl_page>b</crawl_page>".repeat(5));
    let poor = judged("The light was lit in 1821. The light was lit in 1821.", "<web_search>a</web_search>");
    assert_eq!(good, [10, 10, 10]);
    assert_eq!(poor, [2, 0, 0]);
}

fn role_messages() -> impl Strategy<Value = Vec<Message>> {
    let system = prop_oneof![Just(PLANNER), Just(RESEARCHER), Just(EXTRACTOR), Just(SUMMARIZER), Just(JUDGE)];
    let role = prop_oneof![Just(Role::User), Just(Role::Assistant), Just(Role::Tool)];
    let line = prop_oneof![
        Just("# Search Summary\nTotal results: 2\n\n## Query: 'light'\nFound 2 results:\n".to_owned()),
        Just("<observation>".to_owned()),
        Just("</observation>".to_owned()),
        Just("<subtask_answer>".to_owned()),
        Just("</subtask_answer>".to_owned()),
        Just("References".to_owned()),
        Just("<tool_call>\n{\"name\": \"web_search\", \"arguments\": {\"query\": [\"light\", 3]}}\n</tool_call>".to_owned()),
        Just("<tool_call>\n{\"name\": \"crawl_page\", \"arguments\": {\"url\": \"https://x.example/1 | https://x.example/2\"}}\n</tool_call>".to_owned()),
        (0u32..4, ".{0,40}").prop_map(|(number, text)| format!("{number}. [{text}](https://x.example/{number})\nthe light of {text}")),
        (0u32..4, ".{0,60}").prop_map(|(number, text)| format!("Page {number} [https://x.example/{number}]: {text}\n\n{text} was lit [{number}].")),
        (0u32..9, ".{0,20}").prop_map(|(number, text)| format!("[{number}]. https://x.example/{number} - {text}")),
        "(Question|Subtask|Goal|Notice): [\\PC]{0,60}",
        "<subtask>[\\PC]{0,30}</subtask>",
        "(Who|When|How|比较|为什么) [A-Z][a-z]{1,9} [a-z灯塔和的 ]{0,30}(and|or|vs\\.|还是) [A-Z][a-z]{1,9}\\?",
        "[\\PC\n]{0,60}",
    ];
    let text = proptest::collection::vec(line, 0..12).prop_map(|lines| lines.join("\n"));
    let message = (role, text).prop_map(|(role, text)| Message::text(role, text));
    (system, proptest::collection::vec(message, 0..8)).prop_map(|(system, mut messages)| {
        messages.insert(0, Message::text(Role::System, system));
        messages
    })
}

proptest! {
    #[test]
    fn any_conversation_of_a_role_gets_the_same_bounded_completion_twice(messages in role_messages(), seed: Option<u64>) {
        let text = said(&messages, seed);
        prop_assert!(text.len() < 60_000, "{} bytes", text.len());
        prop_assert_eq!(&text, &said(&messages, seed));
        let opened = ["<subtask_list>", "<subtask_answer>", "<suggested_answer>", "<extract>", "<tool_call>"];
        let is_of_role = opened.iter().filter(|tag| text.contains(**tag)).count() == 1 || text.starts_with('{');
        prop_assert!(is_of_role, "{}", text);
    }
}

#[test]
fn endless_texts_stay_cheap_and_bounded() {
    for filler in [
        "x".repeat(200_000),
        "[".repeat(200_000),
        "A ".repeat(60_000),
        "http://".repeat(30_000),
        "灯".repeat(50_000),
        "1. [".repeat(50_000),
    ] {
        for system in [PLANNER, RESEARCHER, EXTRACTOR, SUMMARIZER, JUDGE] {
            let asked = format!("Question: Who kept {filler}?\nSubtask: {filler}\n\nPage [https://x.example]: {filler}\n\n{filler}");
            let mut messages = begun(system, asked);
            messages.push(Message::text(
                Role::Tool,
                format!("# Search Summary\n\n## Query: 'q'\n\n1. [{filler}](https://x.example/a)\n{filler}"),
            ));
            messages.push(Message::text(Role::Tool, format!("Page 1 [https://x.example/a]: {filler}\n\n{filler}")));
            assert!(said(&messages, None).len() < 60_000);
        }
    }
}
