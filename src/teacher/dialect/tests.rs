//! The contract of reading and writing, in the shapes that servers and models were seen to produce.

mod bounds;
mod forms;
mod messages;
mod odd_forms;
mod properties;
mod tag_protocol;

use model::{ToolCall, ToolDefinition, Usage};
use serde_json::json;

use super::*;

fn of_text(text: &str) -> Completion {
    Completion {
        text: text.to_owned(),
        reasoning: None,
        calls: Vec::new(),
        finish_reason: FinishReason::Stop,
        usage: Usage::default(),
        model: None,
    }
}

fn read_text(text: &str) -> Reading {
    read(Dialect::Hermes, &of_text(text))
}

/// What the token limit left.
fn cut(text: &str) -> Completion {
    Completion { finish_reason: FinishReason::Length, ..of_text(text) }
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().expect("an object").clone()
}

fn native(calls: &[(&str, &str, &str)]) -> Completion {
    let calls =
        calls.iter().map(|(id, name, arguments)| ToolCall { id: (*id).into(), name: (*name).into(), arguments: (*arguments).into() });
    Completion { calls: calls.collect(), finish_reason: FinishReason::ToolCalls, ..of_text("") }
}

/// Each action as (tool, arguments).
fn calls(reading: &Reading) -> Vec<(&str, Value)> {
    reading.actions.iter().map(|action| (action.tool.as_str(), Value::from(action.arguments.clone()))).collect()
}

#[test]
fn all_calls_of_a_turn_are_read_in_order() {
    let reading = read_text(
        "I look in two places.\n<tool_call>\n{\"name\": \"search\", \"arguments\": {\"query\": \"dam\"}}\n</tool_call>\n\
         <tool_call>{\"name\": \"open\", \"arguments\": {\"id\": 3}}{\"name\": \"find\", \"arguments\": \"{\\\"pattern\\\": \\\"year\\\"}\"}</tool_call>\n\
         <function=search>\n<parameter=query>\nlock gates\n</parameter>\n<parameter=topn>5</parameter>\n</function>",
    );
    assert_eq!(
        calls(&reading),
        [
            ("search", json!({"query": "dam"})),
            ("open", json!({"id": 3})),
            ("find", json!({"pattern": "year"})),
            ("search", json!({"query": "lock gates", "topn": 5})),
        ]
    );
    assert_eq!(reading.text, "I look in two places.");
    assert!(reading.raw.is_some_and(|raw| raw.contains("<tool_call>")));
    assert_eq!(reading.problems, Vec::<String>::new());
    assert_eq!(
        reading.actions.iter().map(|action| action.dialect.as_str()).collect::<Vec<_>>(),
        ["hermes", "hermes", "hermes", "qwen3_coder"]
    );
}

#[test]
fn a_text_without_calls_is_itself() {
    let reading = read_text("Both a < b and \"b > c\" hold.【2†L3】");
    assert_eq!(reading, Reading { text: "Both a < b and \"b > c\" hold.【2†L3】".into(), ..Reading::default() });
}

#[test]
fn what_models_get_wrong_is_mended_and_noted() {
    for text in [
        "<tool_call>{'name': 'search', 'arguments': {'query': 'x'}}</tool_call>",
        "<tool_call>{\"name\": \"search\", \"arguments\": {\"query\": \"x\",},}</tool_call>",
        "<tool_call>\n```json\n{\"name\": \"search\", \"arguments\": {\"query\": \"x\"}}\n```\n</tool_call>",
        "<tool_call>{\"name\": \"search\", \"arguments\": {\"query\": \"x\"}",
        "<tool_call>{\"name\": \"search\", \"arguments\": {\"query\": \"x\"}}}</tool_call>",
        "<tool_call>{\"name\": \"search\", \"parameters\": {\"query\": \"x\"}}</tool_call>",
        "<tool_call>{\"name\": \"search\", \"query\": \"x\"}</tool_call>",
        "<tool_call>{\"type\": \"function\", \"function\": {\"name\": \"search\", \"arguments\": {\"query\": \"x\"}}}</tool_call>",
        "<tool_call><function=search><parameter=query>x</tool_call>",
        "<function=search>{'query': 'x'}</function>",
        "{\"name\": \"search\", \"parameters\": {\"query\": \"x\"}}",
    ] {
        let reading = read_text(text);
        assert_eq!(calls(&reading), [("search", json!({"query": "x"}))], "{text}");
        assert!(!reading.actions[0].repairs.is_empty(), "{text}");
        assert_eq!((reading.text.as_str(), reading.problems.len()), ("", 0), "{text}");
    }
}

#[test]
fn a_missing_closing_tag_is_nothing_to_mend() {
    for text in [
        "<tool_call>\n{\"name\": \"search\", \"arguments\": {\"query\": \"x\"}}\n",
        "<tool_call>{\"name\": \"search\", \"arguments\": {\"query\": \"x\"}}<tool_call>",
    ] {
        let reading = read_text(text);
        assert_eq!(calls(&reading).first(), Some(&("search", json!({"query": "x"}))), "{text}");
        assert!(reading.actions[0].repairs.is_empty());
    }
}

#[test]
fn function_tags_within_call_tags_are_one_call() {
    let reading =
        read_text("<tool_call>\n<function=open>\n<parameter=id>\nhttps://a.example/?x=1&y=<2>\n</parameter>\n</function>\n</tool_call>");
    assert_eq!(calls(&reading), [("open", json!({"id": "https://a.example/?x=1&y=<2>"}))]);
    assert_eq!((reading.text.as_str(), reading.problems.len()), ("", 0));
    assert!(reading.actions[0].repairs.is_empty());
}

#[test]
fn tags_within_a_string_belong_to_the_string() {
    let reading = read_text(
        "<tool_call>{\"name\": \"find\", \"arguments\": {\"pattern\": \"a </tool_call> or <think>\"}}</tool_call> and \
         <tool_call>{'name': 'find', 'arguments': {'pattern': '<tool_response>'}}</tool_call>",
    );
    assert_eq!(
        calls(&reading),
        [("find", json!({"pattern": "a </tool_call> or <think>"})), ("find", json!({"pattern": "<tool_response>"}))]
    );
    assert_eq!(reading.text, "and");
}

#[test]
fn a_call_that_cannot_be_read_is_told_with_the_right_form() {
    let reading = read_text("Now:\n<tool_call>search for the dam</tool_call>\n<tool_call>{\"arguments\": {}}</tool_call>");
    assert_eq!(reading.actions, []);
    assert_eq!(reading.text, "Now:");
    let [first, second] = reading.problems.as_slice() else { panic!("two problems: {:?}", reading.problems) };
    assert!(
        first.contains("not valid JSON") && first.contains("search for the dam") && first.contains("<tool_call>\n{\"name\""),
        "{first}"
    );
    assert!(second.contains("no `name`"), "{second}");
}

#[test]
fn problems_are_bounded_in_number_and_length() {
    let reading = read_text(&format!("<tool_call>{}</tool_call>", "x".repeat(10_000)).repeat(50));
    assert_eq!(reading.problems.len(), 9);
    assert!(reading.problems.iter().all(|problem| problem.chars().count() < 600));
    assert!(reading.problems[8].contains("42 more"));
}

#[test]
fn a_call_cut_by_the_token_limit_is_told_and_never_completed_by_guessing() {
    for text in [
        "<tool_call>{\"name\": \"search\", \"arguments\": {\"query\": \"x\"",
        "<tool_call>{\"name\": \"search\", \"arguments\": {\"query\": \"the firs",
        "<function=search><parameter=query>the firs",
        "{\"name\": \"search\", \"arguments\": {\"query\": \"the firs",
    ] {
        let reading = read(Dialect::Hermes, &Completion { finish_reason: FinishReason::Length, ..of_text(text) });
        assert_eq!((reading.actions.len(), reading.problems.len(), reading.text.as_str()), (0, 1, ""), "{text}");
    }
    let whole = "<tool_call>{\"name\": \"search\", \"arguments\": {\"query\": \"x\"}}";
    let reading = read(Dialect::Hermes, &Completion { finish_reason: FinishReason::Length, ..of_text(whole) });
    assert_eq!(calls(&reading), [("search", json!({"query": "x"}))]);
}

#[test]
fn reasoning_is_taken_out_however_it_is_marked() {
    for (text, reasoning, visible) in [
        ("<think>\nhm\n</think>\nYes.", Some("hm"), "Yes."),
        ("hm\n</think>\n\nYes.", Some("hm"), "Yes."),
        ("<think>one</think>Yes<think>two</think>.", Some("one\n\ntwo"), "Yes."),
        ("<think>never closed", Some("never closed"), ""),
        ("<think></think>Yes.", None, "Yes."),
        ("Yes.</think>", Some("Yes."), ""),
    ] {
        let reading = read_text(text);
        assert_eq!((reading.reasoning.as_deref(), reading.text.as_str()), (reasoning, visible), "{text}");
    }
    let both = Completion { reasoning: Some("from the server".into()), ..of_text("<think>from the text</think>Yes.") };
    assert_eq!(read(Dialect::Openai, &both).reasoning.as_deref(), Some("from the server\n\nfrom the text"));
}

#[test]
fn a_call_within_reasoning_is_not_carried_out() {
    let call = write(Dialect::Hermes, "search", &Map::new());
    for text in [format!("<think>perhaps {call}</think>No."), format!("perhaps {call}</think>No.")] {
        let reading = read_text(&text);
        assert_eq!((reading.actions.len(), reading.problems.len(), reading.text.as_str()), (0, 0, "No."));
    }
    let reading = read_text(&format!("<think>so I call {call}"));
    assert_eq!(reading.actions, []);
    assert!(reading.problems[0].contains("</think>"), "an unclosed thought that swallows a call is told");
}

#[test]
fn a_tool_response_that_the_model_wrote_ends_its_turn() {
    let call = write(Dialect::Hermes, "search", &Map::new());
    let reading = read_text(&format!("{call}\n<tool_response>\nfine results\n</tool_response>\n{call}\nThe answer is 4."));
    assert_eq!((reading.actions.len(), reading.text.as_str()), (1, ""));
    assert!(reading.problems[0].contains("<tool_response>"));
}

#[test]
fn native_arguments_are_read_in_every_shape_that_servers_send() {
    for (arguments, expected) in [
        ("{\"query\": \"x\"}", json!({"query": "x"})),
        ("", json!({})),
        ("null", json!({})),
        ("  {} ", json!({})),
        ("\"{\\\"query\\\": \\\"x\\\"}\"", json!({"query": "x"})),
        ("{'query': 'x',}", json!({"query": "x"})),
    ] {
        let reading = read(Dialect::Openai, &native(&[("id1", "search", arguments)]));
        assert_eq!(calls(&reading), [("search", expected)], "{arguments}");
        assert_eq!((reading.actions[0].id.as_str(), &reading.actions[0].unreadable), ("id1", &None));
    }
}

#[test]
fn a_native_call_that_cannot_be_read_keeps_its_id_so_that_it_can_be_answered() {
    for arguments in ["{\"query\": \"the fir", "[1, 2]", "x", "{\"query\": \"a\"}{\"query\": \"b\"}"] {
        let reading = read(Dialect::Openai, &native(&[("id7", "search", arguments)]));
        let action = &reading.actions[0];
        assert_eq!((action.id.as_str(), action.arguments.len()), ("id7", 0), "{arguments}");
        assert!(action.unreadable.as_ref().is_some_and(|reason| reason.contains("`search`")), "{arguments}");
    }
}

/// An object that nests `levels` deep.
fn nested(levels: usize) -> String {
    format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels))
}

#[test]
fn arguments_that_nest_deeper_than_a_row_can_hold_are_told_and_not_kept() {
    let deep = nested(87);
    let action = read(Dialect::Openai, &native(&[("id7", "search", &deep)])).actions.remove(0);
    assert_eq!(action.arguments.len(), 0);
    assert!(action.unreadable.is_some_and(|reason| reason.contains("nested too deeply")));
    assert_eq!(sound_arguments(&deep), "{}");
    for text in [
        format!("<tool_call>{{\"name\": \"search\", \"arguments\": {deep}}}</tool_call>"),
        format!("<tool_call>{{\"name\": \"search\", \"arguments\": {}}}</tool_call>", Value::from(deep.clone())),
        format!("<function=search>{deep}</function>"),
        format!("{{\"name\": \"search\", \"arguments\": {deep}}}"),
    ] {
        let reading = read_text(&text);
        assert_eq!((reading.actions.len(), reading.problems.len()), (0, 1), "{text}");
        assert!(reading.problems[0].contains("nested too deeply"), "{:?}", reading.problems);
    }
}

#[test]
fn the_deepest_arguments_that_are_read_survive_the_wire_within_a_row() {
    let action = read(Dialect::Openai, &native(&[("a", "search", &nested(super::json::DEPTH_MAX))])).actions.remove(0);
    assert_eq!(action.unreadable, None);
    // A verdict's object wraps an action in a trajectory, a thread, a turn and their lists: far fewer levels than these.
    let mut wrapped = serde_json::to_value(&action).expect("an action is JSON");
    for _ in 0..30 {
        wrapped = json!([wrapped]);
    }
    let bytes = model::wire::encode_message("an action", &wrapped).expect("written");
    assert_eq!(model::wire::decode_message::<Value>("an action", &bytes).expect("read"), wrapped);
}

#[test]
fn the_deepest_and_largest_arguments_that_are_read_are_read_in_every_form() {
    let deepest: Value = serde_json::from_str(&nested(super::json::DEPTH_MAX)).expect("JSON");
    let largest = json!({"a": vec![1; super::json::VALUES_MAX - 1]});
    for arguments in [object(deepest), object(largest)] {
        for dialect in Dialect::ALL {
            let reading = read(dialect, &of_text(&write(dialect, "search", &arguments)));
            assert_eq!((reading.actions.len(), reading.problems), (1, vec![]), "{dialect:?}");
        }
        let mut more = arguments.clone();
        more.insert("b".to_owned(), json!({"b": arguments}));
        for dialect in Dialect::ALL {
            let reading = read(dialect, &of_text(&write(dialect, "search", &more)));
            assert_eq!((reading.actions.len(), reading.problems.len()), (0, 1), "{dialect:?}");
        }
    }
}

#[test]
fn the_arguments_of_a_native_call_are_kept_as_written_where_they_say_more_than_what_was_understood() {
    for (arguments, written) in [
        ("{\"query\":\"x\"}", None),
        ("{\"query\": \"x\"}", Some("{\"query\": \"x\"}")),
        ("{'query': 'x',}", Some("{'query': 'x',}")),
        ("{\"query\": \"the fir", Some("{\"query\": \"the fir")),
        ("", Some("")),
    ] {
        let reading = read(Dialect::Openai, &native(&[("id1", "search", arguments)]));
        assert_eq!(reading.actions[0].written.as_deref(), written, "{arguments}");
    }
    assert_eq!(read_text(&write(Dialect::Hermes, "search", &Map::new())).actions[0].written, None, "the text of the turn has it");
}

#[test]
fn special_tokens_on_a_native_name_are_cut_off() {
    let reading = read(Dialect::Openai, &native(&[("a", "search<|channel|>commentary", "{}")]));
    assert_eq!((reading.actions[0].tool.as_str(), reading.actions[0].repairs.len()), ("search", 1));
}

#[test]
fn a_call_reported_natively_and_left_in_the_text_counts_once() {
    let arguments = json!({"query": "x"});
    let written = write(Dialect::Hermes, "search", arguments.as_object().expect("an object"));
    let text = format!("{written}{written}{}", write(Dialect::Hermes, "find", arguments.as_object().expect("an object")));
    let completion = Completion { text, ..native(&[("a", "search", "{ \"query\" : \"x\" }")]) };
    let reading = read(Dialect::Openai, &completion);
    assert_eq!(calls(&reading), [("search", arguments.clone()), ("search", arguments.clone()), ("find", arguments)]);
    assert_eq!(reading.actions.iter().map(|action| action.id.as_str()).collect::<Vec<_>>(), ["a", "", ""]);
}

#[test]
fn an_answer_that_is_json_is_no_call() {
    for text in ["{\"name\": \"Ada\", \"born\": 1815}", "{\"answer\": 4}", "{\"name\": \"Ada\", \"arguments\": [\"for\", \"against\"]}"] {
        let reading = read_text(text);
        assert_eq!((reading.actions.len(), reading.problems.len(), reading.text.as_str()), (0, 0, text));
    }
}

#[test]
fn a_bare_call_that_is_broken_is_told_and_is_no_answer() {
    let reading = read_text("{\"name\":\"open\", \"parameters\": {\"id': 3}}");
    assert_eq!((reading.text.as_str(), reading.actions.len(), reading.problems.len()), ("", 0, 1));
}

#[test]
fn arguments_that_go_back_to_a_server_always_parse() {
    for (written, sound) in [("{\"a\":  1}", "{\"a\":  1}"), ("{'a': 1}", "{\"a\":1}"), ("{\"a", "{}"), ("", "{}"), ("[]", "{}")] {
        assert_eq!(sound_arguments(written), sound);
    }
}
