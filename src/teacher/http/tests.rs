//! The contract of the HTTP teacher, over real HTTP on loopback.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use model::{FinishReason, JobId, JournalKey, Message, Role, Sampling, ToolCall, ToolDefinition, Uid};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::{Calls, Rendered};

mod pool;

const KEY: &str = "key-that-nobody-may-see";

/// What a server has seen of one completion request.
#[derive(Debug, Clone)]
struct Seen {
    path: String,
    headers: HeaderMap,
    body: Value,
}

/// A server that answers completions by a script, the last line again and again, and lists its models.
#[derive(Clone)]
struct Server {
    script: Arc<Mutex<VecDeque<Answer>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
    /// How often it was asked for its models.
    listings: Arc<AtomicU32>,
    address: SocketAddr,
}

#[derive(Debug, Clone)]
struct Answer {
    status: u16,
    headers: Vec<(&'static str, &'static str)>,
    body: String,
}

fn answer(status: u16, body: impl ToString) -> Answer {
    Answer { status, headers: Vec::new(), body: body.to_string() }
}

fn said(text: &str) -> Answer {
    answer(200, json!({"choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]}))
}

impl Server {
    async fn start(script: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let script = Arc::new(Mutex::new(script.into_iter().collect()));
        let server = Self { script, seen: Arc::default(), listings: Arc::default(), address };
        let routes = Router::new().fallback(serve).with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        server
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no panic under the lock").clone()
    }

    /// Answers so from now on.
    fn becomes(&self, answer: Answer) {
        *self.script.lock().expect("no panic under the lock") = [answer].into();
    }

    fn endpoint(&self) -> String {
        format!("http://{}/v1", self.address)
    }
}

async fn serve(State(server): State<Server>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    if method == Method::GET {
        server.listings.fetch_add(1, Ordering::Relaxed);
        return (StatusCode::OK, "{\"data\": []}").into_response();
    }
    let body = serde_json::from_slice(&body).expect("requests are JSON");
    server.seen.lock().expect("no panic under the lock").push(Seen { path: uri.path().to_owned(), headers, body });
    let mut script = server.script.lock().expect("no panic under the lock");
    let answer = if script.len() > 1 { script.pop_front() } else { script.front().cloned() };
    let answer = answer.expect("a script has a line");
    let mut response = (StatusCode::from_u16(answer.status).expect("a status"), answer.body).into_response();
    for (name, value) in answer.headers {
        response.headers_mut().insert(name, value.parse().expect("a header"));
    }
    response
}

fn teacher(endpoints: &[String], extra: Value) -> HttpTeacher {
    // A second installation is refused and harmless.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let settings = HttpSettings {
        endpoints: endpoints.to_vec(),
        api_key_env: None,
        timeout_s: 30,
        extra: extra.as_object().cloned().unwrap_or_default(),
        ..HttpSettings::default()
    };
    let mut teacher = HttpTeacher::new(&settings, "some-model", Some(KEY.to_owned())).expect("valid settings");
    teacher.policy = Policy { first: Duration::from_millis(4), max: Duration::from_millis(40), tries: Some(3) };
    teacher
}

fn request(messages: Vec<Message>, tools: Vec<ToolDefinition>) -> Request {
    Request {
        job: JobId::of(&Uid("u".into()), "seed", 0),
        key: JournalKey { thread: 0, turn: 3, call: 0 },
        messages: Arc::new(messages),
        rendered: Rendered::default(),
        tools: Arc::new(tools),
        sampling: Sampling { temperature: 0.7, top_p: 0.9, max_completion_tokens: 77, seed: 0x7fff_fffe },
        calls: Calls::Offered,
    }
}

fn question() -> Request {
    request(vec![Message::text(Role::System, "rules"), Message::text(Role::User, "which dam?")], Vec::new())
}

/// A question whose thread goes to server `number` by itself.
fn at_home(teacher: &HttpTeacher, number: usize) -> Request {
    (0..).map(of_job).find(|asked| teacher.pool.home(Thread::of(&asked.job, 0)) == number).expect("every server has jobs")
}

fn of_job(number: u32) -> Request {
    Request { job: JobId::of(&Uid("u".into()), "seed", number), ..question() }
}

async fn fails(teacher: &HttpTeacher) -> TeacherError {
    let error = teacher.complete(&question()).await.expect_err("a failure");
    assert!(!error.message.contains(KEY), "{}", error.message);
    error
}

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
async fn a_passing_trouble_is_tried_again_and_numbered() {
    let rate = Answer { headers: vec![("retry-after", "0.01")], ..answer(429, json!({"error": {"message": "slow down"}})) };
    let server = Server::start([rate, answer(503, ""), said("yes")]).await;
    let completion = teacher(&[server.endpoint()], json!({})).complete(&question()).await.expect("the third try succeeds");
    assert_eq!(completion.text, "yes");
    let numbers: Vec<Value> = server.seen().iter().map(|seen| json!(seen.headers[RETRY_COUNT_HEADER].to_str().expect("digits"))).collect();
    assert_eq!(numbers, [json!("0"), json!("1"), json!("2")]);
}

#[tokio::test]
async fn tries_are_bounded_and_what_remains_is_transient_while_the_server_lives() {
    for body in
        [answer(500, "broken"), answer(200, ""), answer(200, "{\"choices\": [{"), answer(200, "<html>sign in</html>"), answer(200, "{}")]
    {
        let server = Server::start([body.clone()]).await;
        let error = fails(&teacher(&[server.endpoint()], json!({}))).await;
        assert_eq!((error.kind, server.seen().len()), (TeacherErrorKind::Transient, 3), "{body:?}: {}", error.message);
        assert!(error.message.contains(&server.endpoint()), "{}", error.message);
    }
}

#[tokio::test]
async fn a_long_wait_is_handed_back_instead_of_waited_for() {
    let date = vec![("date", "Sun, 06 Nov 1994 08:49:37 GMT"), ("retry-after", "Sun, 06 Nov 1994 09:49:37 GMT")];
    let server = Server::start([Answer { headers: date, ..answer(429, "") }]).await;
    let error = fails(&teacher(&[server.endpoint()], json!({}))).await;
    assert_eq!((error.kind, error.retry_after, server.seen().len()), (TeacherErrorKind::Outage, Some(Duration::from_secs(3600)), 1));
}

#[tokio::test]
async fn an_error_under_status_200_is_an_error() {
    let embedded = |error: Value| answer(200, json!({"error": error, "choices": []}));
    for (body, kind) in [
        (embedded(json!({"code": 429, "message": "upstream is busy"})), TeacherErrorKind::Transient),
        (embedded(json!({"code": 400, "message": "no such thing"})), TeacherErrorKind::Permanent),
        (
            answer(200, json!({"object": "error", "message": "maximum context length is 10 tokens", "code": 40303})),
            TeacherErrorKind::ContextOverflow,
        ),
        (answer(200, json!({"choices": [{"finish_reason": "abort", "message": {"content": "ha"}}]})), TeacherErrorKind::Transient),
    ] {
        let server = Server::start([body.clone()]).await;
        assert_eq!(fails(&teacher(&[server.endpoint()], json!({}))).await.kind, kind, "{body:?}");
    }
}

#[tokio::test]
async fn a_context_overflow_is_told_at_once() {
    let body = json!({"error": {"message": "This model's maximum context length is 10 tokens.", "code": "context_length_exceeded"}});
    let server = Server::start([answer(400, body)]).await;
    let error = fails(&teacher(&[server.endpoint()], json!({}))).await;
    assert_eq!((error.kind, server.seen().len()), (TeacherErrorKind::ContextOverflow, 1));
}

#[tokio::test]
async fn a_refused_key_holds_the_jobs_and_nobody_sees_the_key() {
    let echo = json!({"error": {"message": format!("Incorrect API key provided: {KEY}"), "code": "invalid_api_key"}});
    for (status, kind) in [(401, TeacherErrorKind::Outage), (400, TeacherErrorKind::Permanent)] {
        let server = Server::start([answer(status, &echo)]).await;
        let teacher = teacher(&[server.endpoint()], json!({}));
        let error = fails(&teacher).await;
        assert_eq!((error.kind, server.seen().len()), (kind, 1));
        assert_eq!(error.message.contains("api_key_env"), status == 401);
        assert!(!format!("{teacher:?}{error:?}").contains(KEY));
    }
}

#[tokio::test]
async fn an_endpoint_that_serves_nobody_is_passed_over_while_another_serves() {
    for status in [401, 404] {
        let (useless, sound) = (Server::start([answer(status, "")]).await, Server::start([said("yes")]).await);
        for endpoints in [[useless.endpoint(), sound.endpoint()], [sound.endpoint(), useless.endpoint()]] {
            let completion = teacher(&endpoints, json!({})).complete(&question()).await.expect("one of two serves");
            assert_eq!(completion.text, "yes");
        }
        let error = fails(&teacher(&[useless.endpoint()], json!({}))).await;
        assert_eq!(error.kind, TeacherErrorKind::Outage, "{}", error.message);
    }
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

#[tokio::test]
async fn a_server_that_does_not_answer_in_time_is_an_outage_only_if_it_answers_nothing() {
    // Accepts and says nothing to a POST; lists its models or not.
    async fn silent(lists_models: bool) -> String {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let models = move || async move { if lists_models { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE } };
        let routes = Router::new()
            .route("/v1/models", axum::routing::get(models))
            .route("/v1/chat/completions", axum::routing::post(std::future::pending::<StatusCode>));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        format!("http://{address}/v1")
    }
    for (lists_models, kind) in [(true, TeacherErrorKind::Transient), (false, TeacherErrorKind::Outage)] {
        let mut teacher = teacher(&[silent(lists_models).await], json!({}));
        teacher.timeout = Duration::from_millis(100);
        let error = fails(&teacher).await;
        assert_eq!(error.kind, kind, "{}", error.message);
        assert!(error.message.contains("timeout_s"), "{}", error.message);
    }
}

#[tokio::test]
async fn a_torn_body_and_a_reset_connection_are_tried_again() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let serving = tokio::spawn(async move {
        let whole = "{\"choices\": [{\"message\": {\"content\": \"yes\"}, \"finish_reason\": \"stop\"}]}";
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", whole.len());
        let torn: String = whole.chars().take(20).collect();
        for answer in [String::new(), format!("{head}{torn}"), format!("{head}{whole}")] {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut request = vec![0; 16 << 10];
            let read = stream.read(&mut request).await.expect("a request");
            assert!(read > 0);
            stream.write_all(answer.as_bytes()).await.expect("written");
        }
    });
    let completion = teacher(&[format!("http://{address}/v1")], json!({})).complete(&question()).await.expect("the third try is whole");
    assert_eq!(completion.text, "yes");
    serving.await.expect("three connections");
}

/// The address of a port at which nobody listens.
async fn nobody() -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    format!("http://{}/v1", listener.local_addr().expect("bound"))
}

#[tokio::test]
async fn only_when_no_endpoint_can_be_reached_it_is_an_outage() {
    let (one, two) = (nobody().await, nobody().await);
    let error = fails(&teacher(&[one.clone(), two.clone()], json!({}))).await;
    assert_eq!(error.kind, TeacherErrorKind::Outage);
    assert!(error.message.contains(&one) && error.message.contains(&two), "{}", error.message);

    let server = Server::start([said("yes")]).await;
    for endpoints in [[one.clone(), server.endpoint()], [server.endpoint(), one]] {
        let completion = teacher(&endpoints, json!({})).complete(&question()).await.expect("the other endpoint answers");
        assert_eq!(completion.text, "yes");
    }
}

#[tokio::test]
async fn a_job_in_trouble_at_one_endpoint_goes_to_the_next() {
    let (broken, sound) = (Server::start([answer(500, "")]).await, Server::start([said("yes")]).await);
    let teacher = teacher(&[broken.endpoint(), sound.endpoint()], json!({}));
    let completion = teacher.complete(&at_home(&teacher, 0)).await.expect("one of two works");
    assert_eq!((completion.text.as_str(), broken.seen().len(), sound.seen().len()), ("yes", 1, 1));
    assert_eq!(sound.seen()[0].headers[RETRY_COUNT_HEADER], "1");
}

#[tokio::test]
async fn an_answer_larger_than_the_bound_is_not_read() {
    let server = Server::start([answer(200, format!("\"{}\"", "x".repeat(33 << 20)))]).await;
    let error = fails(&teacher(&[server.endpoint()], json!({}))).await;
    assert_eq!((error.kind, server.seen().len()), (TeacherErrorKind::Permanent, 1));
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_before_anything_is_opened() {
    let settings = |endpoint: &str| HttpSettings {
        endpoints: vec![endpoint.into()],
        api_key_env: None,
        timeout_s: 1,
        extra: Map::new(),
        ..HttpSettings::default()
    };
    assert!(HttpTeacher::new(&settings("localhost:8000"), "m", None).is_err());
    let error = HttpTeacher::new(&settings("http://localhost:8000/v1"), "m", Some("a\nb".into())).expect_err("no header may hold it");
    assert!(!error.message.contains("a\nb"));
}

#[tokio::test]
async fn a_redirect_is_told_and_not_followed() {
    let moved = Answer { headers: vec![("location", "http://127.0.0.1:1/v1")], ..answer(307, "") };
    let server = Server::start([moved]).await;
    let error = fails(&teacher(&[server.endpoint()], json!({}))).await;
    assert_eq!((error.kind, server.seen().len()), (TeacherErrorKind::Outage, 1));
    assert!(error.message.contains("`endpoints`"), "{}", error.message);
}
