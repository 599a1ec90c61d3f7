//! What goes over the wire: requests as servers expect them, completions in every shape that they send.

use super::*;

#[tokio::test]
async fn a_request_is_what_an_openai_server_expects() {
    let server = Server::start([said("yes")]).await;
    let call = ToolCall { id: "c1".into(), name: "search".into(), arguments: "{'query': 'x'".into() };
    let thought = Message { reasoning: Some("hm".into()), calls: vec![call], ..Message::text(Role::Assistant, "") };
    let tool_message = Message { call_id: Some("c1".into()), ..Message::text(Role::Tool, "page") };
    let messages = vec![
        Message::text(Role::System, "rules"),
        Message::text(Role::User, "which dam?"),
        thought,
        tool_message,
        Message::text(Role::User, "one"),
        Message::text(Role::User, "two"),
    ];
    let tool = ToolDefinition { name: "search".into(), description: "Finds.".into(), parameters: json!({"type": "object"}) };
    let completion =
        teacher(&[server.endpoint()], json!({"min_p": 0.1})).complete(&request(messages, vec![tool])).await.expect("an answer");
    assert_eq!((completion.text.as_str(), completion.finish_reason, completion.usage.calls), ("yes", FinishReason::Stop, 1));

    let seen = &server.seen()[0];
    assert_eq!(seen.path, "/v1/chat/completions");
    assert_eq!(seen.headers["authorization"], format!("Bearer {KEY}"));
    assert_eq!(seen.headers[RETRY_COUNT_HEADER], "0");
    assert_eq!(
        seen.body,
        json!({
            "model": "some-model",
            "messages": [
                {"role": "system", "content": "rules"},
                {"role": "user", "content": "which dam?"},
                {"role": "assistant", "content": null, "reasoning_content": "hm", "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "search", "arguments": "{\"query\":\"x\"}"}},
                ]},
                {"role": "tool", "content": "page", "tool_call_id": "c1"},
                {"role": "user", "content": "one\n\ntwo"},
            ],
            "tools": [{"type": "function", "function": {"name": "search", "description": "Finds.", "parameters": {"type": "object"}}}],
            "temperature": 0.7, "top_p": 0.9, "max_tokens": 77, "seed": 0x7fff_fffe, "stream": false, "min_p": 0.1,
        })
    );
}

#[tokio::test]
async fn extra_adds_removes_and_renames_fields_and_changes_no_recorded_value() {
    let server = Server::start([said("yes")]).await;
    let extra = json!({"max_completion_tokens": true, "seed": false, "temperature": false, "logprobs": false});
    teacher(&[server.endpoint()], extra).complete(&question()).await.expect("an answer");
    let body = &server.seen()[0].body;
    assert!(body.get("tools").is_none() && body.get("max_tokens").is_none() && body.get("seed").is_none());
    assert!(body.get("temperature").is_none());
    assert_eq!((&body["max_completion_tokens"], &body["top_p"], &body["logprobs"]), (&json!(77), &json!(0.9), &json!(false)));
}

#[tokio::test]
async fn where_no_call_may_be_made_the_tools_stay_and_the_choice_is_none() {
    let server = Server::start([said("yes")]).await;
    let teacher = teacher(&[server.endpoint()], json!({}));
    let tool = ToolDefinition { name: "search".into(), description: "Finds.".into(), parameters: json!({"type": "object"}) };
    let offered = request(question().messages.to_vec(), vec![tool]);
    let forbidden = Request { calls: Calls::Forbidden, ..offered.clone() };
    for asked in [&offered, &forbidden, &Request { calls: Calls::Forbidden, ..question() }] {
        teacher.complete(asked).await.expect("an answer");
    }
    let bodies: Vec<Value> = server.seen().into_iter().map(|seen| seen.body).collect();
    assert_eq!((bodies[0].get("tool_choice"), &bodies[1]["tool_choice"]), (None, &json!("none")));
    assert_eq!(bodies[0]["tools"], bodies[1]["tools"], "the prefix stays cached");
    assert_eq!((bodies[2].get("tools"), bodies[2].get("tool_choice")), (None, None), "a choice among no tools is refused by servers");
}

#[tokio::test]
async fn a_seed_is_sent_as_it_is_recorded() {
    let server = Server::start([said("yes")]).await;
    let mut asked = question();
    asked.sampling.seed = 0xffff_1234_5678;
    teacher(&[server.endpoint()], json!({})).complete(&asked).await.expect("an answer");
    assert_eq!(server.seen()[0].body["seed"], json!(0xffff_1234_5678_u64));
}

#[tokio::test]
async fn completions_are_read_in_every_shape_that_servers_send() {
    let call = |id: &str, arguments: Value| json!({"id": id, "type": "function", "function": {"name": "open", "arguments": arguments}});
    let server = Server::start([
        answer(
            200,
            json!({
                "model": "m-2", "usage": {"prompt_tokens": 5, "completion_tokens": 6},
                "choices": [{"finish_reason": "tool_calls", "message": {
                    "content": null, "reasoning_content": "hm",
                    "tool_calls": [call("", json!("{}")), call("b", json!({"id": 1})), call("b", Value::Null)],
                }}],
            }),
        ),
        answer(
            200,
            json!({"choices": [{"finish_reason": null, "message": {"content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": "so"}]}, {"type": "text", "text": "yes"},
            ]}}]}),
        ),
        answer(200, json!({"choices": [{"finish_reason": "length", "message": {"content": "y", "reasoning": "r"}}], "usage": null})),
        answer(200, json!({"choices": [{"finish_reason": "stop", "message": {"content": null, "refusal": "I will not."}}]})),
    ])
    .await;
    let teacher = teacher(&[server.endpoint()], json!({}));
    let mut completions = Vec::new();
    for _ in 0..4 {
        completions.push(teacher.complete(&question()).await.expect("an answer"));
    }
    let [calls, parts, cut, refused] = completions.as_slice() else { panic!("four") };

    assert_eq!((calls.text.as_str(), calls.reasoning.as_deref(), calls.finish_reason), ("", Some("hm"), FinishReason::ToolCalls));
    assert_eq!((calls.usage.prompt_tokens, calls.usage.completion_tokens, calls.model.as_deref()), (5, 6, Some("m-2")));
    assert_eq!(calls.calls.iter().map(|call| call.arguments.as_str()).collect::<Vec<_>>(), ["{}", "{\"id\":1}", ""]);
    let ids: std::collections::HashSet<&str> = calls.calls.iter().map(|call| call.id.as_str()).collect();
    assert!(ids.len() == 3 && ids.contains("b"), "every call has an id of its own: {ids:?}");
    assert!(ids.iter().all(|id| *id == "b" || (id.len() == 9 && id.chars().all(|c| c.is_ascii_alphanumeric()))), "{ids:?}");

    assert_eq!((parts.text.as_str(), parts.reasoning.as_deref(), parts.finish_reason), ("yes", Some("so"), FinishReason::Other));
    assert_eq!((cut.reasoning.as_deref(), cut.finish_reason), (Some("r"), FinishReason::Length));
    assert_eq!((refused.text.as_str(), refused.finish_reason), ("I will not.", FinishReason::ContentFilter));
}

#[tokio::test]
async fn refused_reasoning_is_sent_under_another_name_and_then_not_at_all() {
    let refusal = answer(400, json!({"error": {"message": "property 'reasoning' is unsupported"}}));
    let server = Server::start([refusal.clone(), refusal, said("yes")]).await;
    let teacher = teacher(&[server.endpoint()], json!({}));
    let thought = Message { reasoning: Some("hm".into()), ..Message::text(Role::Assistant, "so") };
    let asked = request(vec![Message::text(Role::User, "q"), thought, Message::text(Role::User, "go on")], Vec::new());
    for _ in 0..2 {
        teacher.complete(&asked).await.expect("an answer");
    }
    let keys: Vec<Vec<String>> = server
        .seen()
        .iter()
        .map(|seen| seen.body["messages"][1].as_object().expect("a message").keys().filter(|key| key.starts_with('r')).cloned().collect())
        .collect();
    assert_eq!(keys, [vec!["role", "reasoning_content"], vec!["role", "reasoning"], vec!["role"], vec!["role"]]);
}
