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

mod forms;
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
