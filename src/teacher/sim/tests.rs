//! The contract of the played provider, asked over real HTTP by the HTTP teacher and by hand.

mod faults;
mod load;
mod raw;
mod streamed;

use std::sync::Mutex;

use async_trait::async_trait;
use model::settings::{Dialect, HttpSettings, Mode};
use model::{Completion, FinishReason, JobId, JournalKey, Message, Role, Sampling, ToolDefinition, Uid, Usage};
use serde_json::{Map, Value, json};

use super::*;
use crate::heuristic::HeuristicTeacher;
use crate::http::HttpTeacher;
use crate::{Calls, Request, TeacherError, dialect};

/// Searches for the last user message's words in the text dialect, and answers once it has seen a tool response.
#[derive(Default)]
struct Parrot {
    heard: Mutex<Vec<Vec<Message>>>,
    calls: Mutex<Vec<Calls>>,
}

#[async_trait]
impl Teacher for Parrot {
    async fn complete(&self, request: &Request) -> Result<Completion, TeacherError> {
        self.heard.lock().expect("no panic under the lock").push(request.messages.to_vec());
        self.calls.lock().expect("no panic under the lock").push(request.calls);
        let last = request.messages.last().map_or("", |message| message.text.as_str());
        let text = if last.contains("<tool_response>") {
            format!("<think>done</think>Seen: {}", last.replace("tool_response>", "page>"))
        } else {
            let arguments = Map::from_iter([("query".to_owned(), json!(last))]);
            format!(
                "<think>hm</think>{}\n{}",
                dialect::write(Dialect::Hermes, "search", &arguments),
                dialect::write(Dialect::Hermes, "find", &arguments)
            )
        };
        Ok(Completion { text, reasoning: None, calls: vec![], finish_reason: FinishReason::Stop, usage: Usage::default(), model: None })
    }
}

struct Running {
    base: String,
    parrot: Arc<Parrot>,
    server: Arc<Server>,
}

async fn start(settings: SimSettings) -> Running {
    // A second installation is refused and harmless.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let parrot = Arc::new(Parrot::default());
    let count = |text: &str| u32::try_from(text.len() / 4).expect("short texts");
    let sim = Sim::bind(settings, Arc::clone(&parrot) as Arc<dyn Teacher>, count).await.expect("a free port");
    let base = format!("http://{}/v1", sim.address().expect("bound"));
    let server = Arc::clone(&sim.server);
    tokio::spawn(sim.serve(std::future::pending()));
    Running { base, parrot, server }
}

/// A client that keeps no connection: one that is kept has a timer, to which a paused clock would jump.
fn plain_client() -> reqwest::Client {
    reqwest::Client::builder().pool_max_idle_per_host(0).build().expect("a client")
}

fn client(base: &str) -> HttpTeacher {
    let settings =
        HttpSettings { endpoints: vec![base.to_owned()], api_key_env: None, timeout_s: 30, extra: Map::new(), ..HttpSettings::default() };
    HttpTeacher::new(&settings, "heuristic", None).expect("valid settings")
}

fn asking(text: &str, is_native: bool) -> Request {
    let tool = ToolDefinition { name: "search".into(), description: "Finds.".into(), parameters: json!({"type": "object"}) };
    Request {
        job: JobId::of(&Uid("u".into()), "seed", 0),
        key: JournalKey { thread: 0, turn: 0, call: 0 },
        messages: Arc::new(vec![Message::text(Role::System, "rules"), Message::text(Role::User, text)]),
        rendered: crate::Rendered::default(),
        tools: Arc::new(if is_native { vec![tool] } else { Vec::new() }),
        sampling: Sampling { temperature: 1.0, top_p: 0.95, max_completion_tokens: 100, seed: 5 },
        calls: Calls::Offered,
    }
}

async fn post(base: &str, body: impl ToString) -> (StatusCode, Value) {
    post_to(base, "chat/completions", body).await
}

async fn post_to(base: &str, path: &str, body: impl ToString) -> (StatusCode, Value) {
    let url = format!("{base}/{path}");
    let response = plain_client().post(url).body(body.to_string()).send().await.expect("an answer");
    let status = StatusCode::from_u16(response.status().as_u16()).expect("a status");
    (status, response.json().await.expect("JSON"))
}

#[tokio::test]
async fn both_dialects_hold_a_conversation_over_http() {
    for dialect in [Dialect::Openai, Dialect::Hermes] {
        let running = start(SimSettings::default()).await;
        let teacher = client(&running.base);
        let mut request = asking("which dam?", dialect == Dialect::Openai);
        let completion = teacher.complete(&request).await.expect("an answer");
        assert_eq!(completion.calls.len(), if dialect == Dialect::Openai { 2 } else { 0 });
        assert!(completion.usage.prompt_tokens > 0 && completion.usage.completion_tokens > 0);

        let reading = dialect::read(dialect, &completion);
        assert_eq!(reading.reasoning.as_deref(), Some("hm"));
        assert_eq!(reading.actions.iter().map(|action| action.tool.as_str()).collect::<Vec<_>>(), ["search", "find"]);
        let mut messages = request.messages.to_vec();
        messages.push(dialect::assistant_message(dialect, Mode::Chat, &completion));
        messages.push(dialect::observation_message(dialect, Mode::Chat, "page one", &reading.actions[0]));
        messages.push(dialect::observation_message(dialect, Mode::Chat, "page two", &reading.actions[1]));
        request.messages = Arc::new(messages);
        let answer = dialect::read(dialect, &teacher.complete(&request).await.expect("an answer"));
        assert!(answer.text.contains("page two"), "{answer:?}");

        let heard = running.parrot.heard.lock().expect("no panic under the lock").clone();
        assert!(heard[1][2].text.contains("<tool_call>"), "the played teacher hears the text dialect: {heard:?}");
    }
}

#[tokio::test]
async fn where_the_choice_is_none_no_call_is_reported_and_the_played_teacher_knows() {
    let running = start(SimSettings::default()).await;
    let asked = Request { calls: Calls::Forbidden, ..asking("which dam?", true) };
    let completion = client(&running.base).complete(&asked).await.expect("an answer");
    assert_eq!((completion.calls.len(), completion.finish_reason), (0, FinishReason::Stop));
    assert_eq!(*running.parrot.calls.lock().expect("no panic under the lock"), [Calls::Forbidden]);

    let body = json!({"model": "m", "messages": [{"role": "user", "content": "q"}], "tool_choice": "required"});
    assert_eq!(post(&running.base, &body).await.0, StatusCode::BAD_REQUEST, "what cannot be played is refused");
}

#[tokio::test]
async fn the_heuristic_teacher_answers_where_no_call_may_be_made() {
    let asked = asking("Which dam stands above Pellin?", false);
    for (calls, may_call) in [(Calls::Offered, true), (Calls::Forbidden, false)] {
        let completion = HeuristicTeacher.complete(&Request { calls, ..asked.clone() }).await.expect("an answer");
        assert_eq!(!dialect::read(Dialect::Hermes, &completion).actions.is_empty(), may_call, "{}", completion.text);
    }
}

#[tokio::test]
async fn words_behind_a_tool_response_are_a_message_of_their_own() {
    let running = start(SimSettings::default()).await;
    let mut request = asking("which dam?", false);
    let messages = [
        Message::text(Role::User, "q"),
        Message::text(Role::Assistant, "a"),
        Message::text(Role::User, "<tool_response>\npage\n</tool_response>"),
        Message::text(Role::User, "Answer now."),
    ];
    request.messages = Arc::new(messages.to_vec());
    client(&running.base).complete(&request).await.expect("an answer");
    assert_eq!(running.parrot.heard.lock().expect("no panic under the lock")[0], messages);
}

#[tokio::test]
async fn the_same_request_gets_the_same_bytes() {
    let running = start(SimSettings::default()).await;
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "which dam?"}], "tools": []});
    assert_eq!(post(&running.base, &body).await, post(&running.base, &body).await);
}

#[tokio::test]
async fn a_client_that_tries_again_always_comes_through() {
    let mut settings = SimSettings { retry_after_s: 0, trickle: Duration::from_millis(20), ..SimSettings::default() };
    settings.set_faults("server=0.12,hang=0").expect("known");
    let running = start(settings).await;
    let teacher = client(&running.base);
    let asked: Vec<Request> = (0..12).map(|n| asking(&format!("question {n}"), false)).collect();
    let answers = futures::future::join_all(asked.iter().map(|request| teacher.complete(request))).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
}

#[tokio::test]
async fn a_wrong_name_of_the_model_is_found_by_a_rehearsal() {
    for (any_model, expected) in [(true, None), (false, Some(TeacherErrorKind::Outage))] {
        let running = start(SimSettings { model: "served".into(), any_model, ..SimSettings::default() }).await;
        let answered = client(&running.base).complete(&asking("which dam?", false)).await;
        assert_eq!(answered.as_ref().err().map(|error| error.kind), expected);
        assert!(answered.err().is_none_or(|error| error.message.contains("this server has `served`")));
    }
}

#[tokio::test]
async fn a_share_of_one_always_fails() {
    let running = start(SimSettings { rate_429: 1.0, retry_after_s: 3600, ..SimSettings::default() }).await;
    let error = client(&running.base).complete(&asking("q", false)).await.expect_err("always refused");
    assert_eq!((error.kind, error.retry_after), (TeacherErrorKind::Outage, Some(Duration::from_secs(3600))));
}

#[tokio::test]
async fn a_prompt_beyond_the_context_is_refused_as_openai_refuses_it() {
    let running = start(SimSettings { context_tokens: Some(1000), ..SimSettings::default() }).await;
    let error = client(&running.base).complete(&asking(&"word ".repeat(2000), true)).await.expect_err("too long");
    assert_eq!(error.kind, TeacherErrorKind::ContextOverflow);
    assert!(client(&running.base).complete(&asking("short", true)).await.is_ok());
}

#[tokio::test]
async fn malformed_requests_are_refused_with_what_is_wrong() {
    let running = start(SimSettings::default()).await;
    let user = json!([{"role": "user", "content": "q"}]);
    let cases: Vec<(&str, Value)> = Vec::from([
        ("`model`", json!({"messages": user})),
        ("`messages`", json!({"model": "m", "messages": []})),
        ("messages[0]: unknown role", json!({"model": "m", "messages": [{"role": "oracle", "content": "q"}]})),
        ("messages[0]: `content`", json!({"model": "m", "messages": [{"role": "user", "content": 4}]})),
        ("`tool_call_id`", json!({"model": "m", "messages": [{"role": "tool", "content": "q"}]})),
        (
            "function.arguments",
            json!({"model": "m", "messages": [{"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f"}}]}]}),
        ),
        ("`tools`", json!({"model": "m", "messages": user, "tools": [{"name": "f"}]})),
        ("`temperature`", json!({"model": "m", "messages": user, "temperature": "hot"})),
        ("`max_tokens`", json!({"model": "m", "messages": user, "max_tokens": 0})),
        ("`max_tokens`", json!({"model": "m", "messages": user, "max_tokens": -1})),
        ("`seed`", json!({"model": "m", "messages": user, "seed": 0.5})),
        ("`stream`", json!({"model": "m", "messages": user, "stream": "yes"})),
        ("`stream_options`", json!({"model": "m", "messages": user, "stream_options": {"include_usage": true}})),
        ("`stop`", json!({"model": "m", "messages": user, "stop": ["a", ""]})),
        ("`stop`", json!({"model": "m", "messages": user, "stop": 4})),
        ("`n` may only be 1", json!({"model": "m", "messages": user, "n": 2})),
        ("`best_of`", json!({"model": "m", "messages": user, "best_of": 2})),
        ("`logprobs`", json!({"model": "m", "messages": user, "logprobs": true})),
        ("`echo`", json!({"model": "m", "messages": user, "echo": true})),
    ]);
    for (problem, body) in cases {
        let (status, answer) = post(&running.base, &body).await;
        assert_eq!((status, &answer["error"]["type"]), (StatusCode::BAD_REQUEST, &json!("invalid_request_error")), "{body}");
        assert!(answer["error"]["message"].as_str().is_some_and(|message| message.contains(problem)), "{problem}: {answer}");
    }
    let harmless = json!({"model": "m", "messages": user, "n": 1, "logprobs": false, "top_logprobs": null, "skip_special_tokens": false});
    assert_eq!(post(&running.base, &harmless).await.0, StatusCode::OK, "what demands nothing is no demand");
    let (status, answer) = post(&running.base, "{\"model\": ").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(answer["error"]["message"].as_str().is_some_and(|message| message.contains("JSON")));
}

#[tokio::test]
async fn it_lists_its_model_and_ends_when_told_to() {
    // A second installation is refused and harmless.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let sim = Sim::bind(SimSettings::default(), Arc::new(Parrot::default()), |_| 1).await.expect("a free port");
    let base = format!("http://{}", sim.address().expect("bound"));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(sim.serve(async move {
        // A dropped sender means the same.
        let _ = stopped.await;
    }));
    let models: Value = reqwest::get(format!("{base}/v1/models")).await.expect("an answer").json().await.expect("JSON");
    assert_eq!(models["data"][0]["id"], json!("heuristic"));
    assert!(reqwest::get(format!("{base}/health")).await.expect("an answer").status().is_success());
    stop.send(()).expect("still serving");
    serving.await.expect("no panic").expect("a clean end");
}

#[tokio::test]
async fn every_text_dialect_is_played_and_heard_over_http() {
    for dialect in Dialect::ALL.into_iter().filter(|dialect| !matches!(dialect, Dialect::Openai | Dialect::Tags)) {
        let running = start(SimSettings { dialect: Some(dialect), ..SimSettings::default() }).await;
        let mut request = asking("which dam?", true);
        let completion = client(&running.base).complete(&request).await.expect("an answer");
        assert_eq!(completion.calls, [], "{dialect:?}: a server that parses nothing reports no call");
        let reading = dialect::read(dialect, &completion);
        assert_eq!(reading.actions.iter().map(|action| action.tool.as_str()).collect::<Vec<_>>(), ["search", "find"], "{completion:?}");
        assert_eq!(reading.actions[0].arguments["query"], json!("which dam?"), "{dialect:?}");
        assert!(reading.problems.is_empty(), "{dialect:?}: {:?}", reading.problems);

        let mut messages = request.messages.to_vec();
        messages.push(dialect::assistant_message(dialect, Mode::Chat, &completion));
        request.messages = Arc::new(messages);
        client(&running.base).complete(&request).await.expect("an answer");
        let heard = running.parrot.heard.lock().expect("no panic under the lock").clone();
        assert!(heard[1][2].text.contains("<tool_call>\n{\"name\": \"search\""), "{dialect:?} is heard as the text dialect: {heard:?}");
    }
}

#[tokio::test]
async fn reasoning_stands_apart_where_calls_are_native_and_in_the_text_elsewhere() {
    let running = start(SimSettings::default()).await;
    let answered = [Message::text(Role::User, "q"), Message::text(Role::User, "<tool_response>\npage\n</tool_response>")];
    for (is_native, reasoning, begins) in [(true, Some("done"), "Seen"), (false, None, "<think>done</think>Seen")] {
        let request = Request { messages: Arc::new(answered.to_vec()), ..asking("q", is_native) };
        let completion = client(&running.base).complete(&request).await.expect("an answer");
        assert_eq!((completion.reasoning.as_deref(), completion.text.starts_with(begins)), (reasoning, true), "{completion:?}");
    }
}

#[tokio::test]
async fn usage_counts_all_that_was_written_with_the_counter_that_was_given() {
    let running = start(SimSettings::default()).await;
    let asked = json!({"model": "m", "messages": [{"role": "user", "content": "which dam?"}]});
    let (_, answer) = post(&running.base, &asked).await;
    let text = answer["choices"][0]["message"]["content"].as_str().expect("text");
    let (prompt, completion) = ("which dam?".len() / 4, text.len() / 4);
    assert_eq!(answer["usage"], json!({"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}));
    assert_eq!((&answer["choices"][0]["finish_reason"], &answer["choices"][0]["stop_reason"]), (&json!("stop"), &Value::Null));
}

#[tokio::test]
async fn a_text_ends_before_the_first_stop_string_or_with_it() {
    let running = start(SimSettings::default()).await;
    let ask = async |more: Value| {
        let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "which dam?"}]});
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        post(&running.base, &body).await.1["choices"][0].clone()
    };
    let cut = ask(json!({"stop": ["never", "</tool_call>", "name"]})).await;
    assert_eq!(cut["message"]["content"], json!("<think>hm</think><tool_call>\n{\""));
    assert_eq!((&cut["finish_reason"], &cut["stop_reason"]), (&json!("stop"), &json!("name")));
    let with = ask(json!({"stop": "name", "include_stop_str_in_output": true})).await;
    assert_eq!(with["message"]["content"], json!("<think>hm</think><tool_call>\n{\"name"));
    let native = ask(json!({"stop": "hm", "tools": [{"type": "function", "function": {"name": "search"}}]})).await;
    assert_eq!((&native["message"]["reasoning_content"], &native["stop_reason"]), (&Value::Null, &json!("hm")));
    assert_eq!((&native["message"]["content"], &native["message"]["tool_calls"]), (&json!(""), &Value::Null), "nothing follows a stop");
}

#[tokio::test]
async fn a_text_longer_than_its_limit_is_cut_there() {
    let running = start(SimSettings::default()).await;
    let asked = json!({"model": "m", "messages": [{"role": "user", "content": "which dam? größer"}], "max_tokens": 10});
    let (_, answer) = post(&running.base, &asked).await;
    let choice = &answer["choices"][0];
    assert_eq!((&choice["finish_reason"], &answer["usage"]["completion_tokens"]), (&json!("length"), &json!(10)));
    assert_eq!(choice["message"]["content"].as_str().map(str::len), Some(43), "as long as ten tokens get");
    let mut native = asked.clone();
    native["tools"] = json!([{"type": "function", "function": {"name": "search"}}]);
    let (_, answer) = post(&running.base, &native).await;
    let calls = answer["choices"][0]["message"]["tool_calls"].as_array().expect("calls").clone();
    assert_eq!((calls.len(), &answer["choices"][0]["finish_reason"]), (2, &json!("length")));
    assert!(
        serde_json::from_str::<Value>(calls[1]["function"]["arguments"].as_str().expect("text")).is_err(),
        "cut in the middle: {calls:?}"
    );
}
