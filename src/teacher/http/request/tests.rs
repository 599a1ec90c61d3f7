//! What goes out, byte for byte, and how what comes back is read, in either mode.

use std::sync::Arc;

use model::{FinishReason, JobId, JournalKey, Sampling, Uid};

use super::super::template::tests::{CHATML, template};
use super::*;
use crate::{Conversation, Rendered, TeacherErrorKind};

fn form(dialect: Dialect, is_raw: bool, stop: &[&str], extra: Value) -> Form {
    let settings = HttpSettings {
        stop: stop.iter().map(|stop| (*stop).to_owned()).collect(),
        extra: extra.as_object().cloned().unwrap_or_default(),
        ..HttpSettings::default()
    };
    Form { dialect, template: is_raw.then(|| template(CHATML)), ..Form::chat(&settings, "m") }
}

fn asking(conversation: &Conversation) -> Request {
    let tool = ToolDefinition { name: "search".into(), description: "Finds.".into(), parameters: json!({"type": "object"}) };
    Request {
        job: JobId::of(&Uid("u".into()), "seed", 0),
        key: JournalKey { thread: 0, turn: 0, call: 0 },
        messages: conversation.messages(),
        rendered: conversation.rendered(),
        tools: Arc::new(vec![tool]),
        calls: Calls::Forbidden,
        sampling: Sampling { temperature: 0.5, top_p: 1.0, max_completion_tokens: 9, seed: 7 },
    }
}

fn question() -> Conversation {
    Conversation::new([Message::text(Role::System, "r"), Message::text(Role::User, "which \"dam\"?")])
}

fn body(form: &Form, request: &Request) -> String {
    String::from_utf8(form.body(request, ReasoningField::ReasoningContent).expect("a body")).expect("UTF-8")
}

fn fields(form: &Form, request: &Request) -> Value {
    serde_json::from_str(&body(form, request)).expect("JSON")
}

#[test]
fn a_chat_body_is_the_same_bytes_with_what_is_kept_and_without() {
    let mut conversation = question();
    conversation.push(Message::text(Role::User, "é\n"));
    let thought = Message { reasoning: Some("h\tm".into()), ..Message::text(Role::Assistant, "") };
    let call = ToolCall { id: "c\"1".into(), name: "search".into(), arguments: "{\"query\": 1}".into() };
    conversation.push(Message { calls: vec![call], ..thought });
    conversation.push(Message { call_id: Some("c\"1".into()), ..Message::text(Role::Tool, "page") });
    let request = asking(&conversation);
    let expected = concat!(
        r#"{"model":"m","messages":[{"role":"system","content":"r"},{"role":"user","content":"which \"dam\"?\n\né\n"},"#,
        r#"{"role":"assistant","content":null,"reasoning_content":"h\tm","tool_calls":[{"id":"c\"1","type":"function","#,
        r#""function":{"name":"search","arguments":"{\"query\": 1}"}}]},{"role":"tool","content":"page","tool_call_id":"c\"1"}],"#,
        r#""tools":[{"type":"function","function":{"name":"search","description":"Finds.","parameters":{"type":"object"}}}],"#,
        r#""tool_choice":"none","temperature":0.5,"top_p":1.0,"max_tokens":9,"seed":7,"stream":false,"min_p":0.1}"#,
    );
    let form = form(Dialect::Openai, false, &[], json!({"min_p": 0.1}));
    let anew = Request { rendered: Rendered::default(), ..request.clone() };
    for request in [&request, &request, &anew] {
        assert_eq!(body(&form, request), expected);
    }
    let other = String::from_utf8(form.body(&request, ReasoningField::Reasoning).expect("a body")).expect("UTF-8");
    assert_eq!(other, expected.replace("reasoning_content", "reasoning"), "what is kept does not hold its field's name");
}

#[test]
fn a_raw_body_asks_for_the_text_as_the_model_writes_it() {
    let raw = form(Dialect::Hermes, true, &["</answer>"], json!({"min_p": 0.1, "chat_template_kwargs": {"x": 1}, "prompt": "mine"}));
    let request = Request { tools: Arc::default(), ..asking(&question()) };
    assert_eq!(raw.path(), "completions");
    let prompt = "<|im_start|>system\nr<|im_end|>\n<|im_start|>user\nwhich \"dam\"?<|im_end|>\n<|im_start|>assistant\n";
    let sent = fields(&raw, &request);
    assert_eq!((&sent["model"], &sent["prompt"], &sent["max_tokens"], &sent["seed"]), (&json!("m"), &json!(prompt), &json!(9), &json!(7)));
    let stops: Vec<&str> = dialect::stops(Dialect::Hermes).iter().copied().chain(["</answer>"]).collect();
    assert_eq!((&sent["stop"], &sent["stream"], &sent["min_p"]), (&json!(stops), &json!(false), &json!(0.1)));
    for (name, value) in RAW_FIELDS {
        assert_eq!(sent[name], json!(value), "{name}");
    }
    for absent in ["messages", "tools", "tool_choice", "chat_template_kwargs"] {
        assert_eq!(sent.get(absent), None, "{absent}");
    }
    let all_out: Map<String, Value> = RAW_FIELDS.iter().map(|(name, _)| ((*name).to_owned(), json!(false))).collect();
    let plain = fields(&form(Dialect::Hermes, true, &[], Value::from(all_out)), &request);
    assert!(RAW_FIELDS.iter().all(|(name, _)| plain.get(*name).is_none()), "{plain}");
}

#[test]
fn tools_that_are_offered_stand_in_a_raw_prompt_even_where_none_may_be_called() {
    let sent = fields(&form(Dialect::Hermes, true, &[], json!({})), &asking(&question()));
    assert!(sent["prompt"].as_str().is_some_and(|prompt| prompt.contains("\"name\": \"search\"")), "{sent}");
}

#[test]
fn texts_that_stop_a_chat_are_sent_where_there_are_any() {
    let request = asking(&question());
    assert_eq!(fields(&form(Dialect::Openai, false, &[], json!({})), &request).get("stop"), None);
    assert_eq!(fields(&form(Dialect::Openai, false, &["x"], json!({})), &request)["stop"], json!(["x"]));
    assert_eq!(fields(&form(Dialect::Openai, false, &["x"], json!({"stop": "y"})), &request)["stop"], json!("y"));
    let of_tags = dialect::stops(Dialect::Tags);
    let sent = fields(&form(Dialect::Tags, false, of_tags, json!({})), &request);
    assert_eq!(sent.get("stop").cloned().unwrap_or(json!([])), json!(of_tags), "none twice");
}

#[test]
fn a_raw_answer_is_all_that_the_model_wrote_but_the_end_of_its_turn() {
    let raw = form(Dialect::Tags, true, &["</web_search>"], json!({}));
    let read = |choice: Value| {
        let body = json!({"model": "m-2", "choices": [choice], "usage": {"prompt_tokens": 5, "completion_tokens": 6}});
        raw.completion(body.to_string().as_bytes(), &asking(&question()))
    };
    for (choice, text, reason) in [
        (
            json!({"text": "<think>a</think> b<|im_end|>", "finish_reason": "stop", "stop_reason": null}),
            "<think>a</think> b",
            FinishReason::Stop,
        ),
        (
            json!({"text": "<web_search>q", "finish_reason": "stop", "stop_reason": "</web_search>"}),
            "<web_search>q</web_search>",
            FinishReason::Stop,
        ),
        (
            json!({"text": "<web_search>q", "finish_reason": "stop", "matched_stop": "</web_search>"}),
            "<web_search>q</web_search>",
            FinishReason::Stop,
        ),
        (
            json!({"text": "<web_search>q</web_search>", "finish_reason": "stop", "stop_reason": "</web_search>"}),
            "<web_search>q</web_search>",
            FinishReason::Stop,
        ),
        (json!({"text": " cut\n", "finish_reason": "length", "stop_reason": 151645}), " cut\n", FinishReason::Length),
        (json!({"text": "b", "finish_reason": "stop", "stop_reason": "end_turn"}), "b", FinishReason::Stop),
    ] {
        let completion = read(choice).expect("a completion");
        assert_eq!((completion.text.as_str(), completion.finish_reason), (text, reason));
        assert_eq!((completion.reasoning, completion.calls.len(), completion.usage.completion_tokens), (None, 0, 6));
        assert_eq!(completion.model.as_deref(), Some("m-2"));
    }
    let trouble = read(json!({"message": {"content": "b"}, "finish_reason": "stop"})).expect_err("a chat server");
    assert_eq!(trouble.kind, TeacherErrorKind::Transient);
    assert!(trouble.message.contains("`completions`"), "{}", trouble.message);
}

#[test]
fn a_closing_tag_is_put_back_in_the_tag_protocol_alone() {
    let answer = json!({"choices": [{"message": {"content": "<web_search>q"}, "finish_reason": "stop", "stop_reason": "</web_search>"}]});
    for (dialect, text) in [(Dialect::Tags, "<web_search>q</web_search>"), (Dialect::Hermes, "<web_search>q")] {
        let form = form(dialect, false, &["</web_search>"], json!({}));
        let completion = form.completion(answer.to_string().as_bytes(), &asking(&question())).expect("a completion");
        assert_eq!(completion.text, text);
    }
}
