//! A teacher over HTTP: any server that speaks OpenAI's chat completions, not streamed.
//!
//! A job keeps to one endpoint, where its prefix is cached, and leaves it only when that cannot be reached or has trouble. A call is tried a few
//! times with growing, jittered pauses; what then remains is classed for the worker. Here is no budget, no journal and no parsing of calls.

mod error;
mod pool;
mod request;
mod response;
mod retry_after;
mod said;

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use model::Completion;
use model::settings::HttpSettings;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use runtime::retry::{Policy, Tried, retry};
use serde_json::{Map, Value};

use self::error::Trouble;
use self::pool::{Endpoint, Pool};
use self::request::ReasoningField;
use crate::{Request, Teacher, TeacherError, TeacherErrorKind};

/// Number of the try, from 0, as OpenAI's own clients send it: gateways count retries by it.
pub const RETRY_COUNT_HEADER: &str = "x-stainless-retry-count";

/// Longest wait for a connection. Shorter than any completion, long enough for a slow link.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for a server to say that it is there at all.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// Tries of one completion. What is left after them, or asks for more patience than `max`, goes back to the queue with its delay.
const POLICY: Policy = Policy { first: Duration::from_millis(500), max: Duration::from_secs(30), tries: Some(6) };

/// A model behind one or several servers.
pub struct HttpTeacher {
    client: reqwest::Client,
    pool: Pool,
    model: String,
    key: Option<ApiKey>,
    timeout: Duration,
    extra: Map<String, Value>,
    policy: Policy,
    /// Under which name the servers take back reasoning: [`ReasoningField`] as a number, raised when one refuses a name.
    reasoning_field: AtomicU32,
}

/// A key, and the header that carries it.
struct ApiKey {
    text: String,
    header: HeaderValue,
}

impl fmt::Debug for HttpTeacher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTeacher").field("model", &self.model).field("pool", &self.pool).finish_non_exhaustive()
    }
}

impl HttpTeacher {
    /// The model `model` behind the endpoints of `settings`. Opens no connection.
    ///
    /// # Errors
    /// When an endpoint is no URL, or the key cannot stand in a header.
    pub fn new(settings: &HttpSettings, model: &str, api_key: Option<String>) -> Result<Self, TeacherError> {
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            // A redirected POST becomes a GET: better to say where the endpoint really is.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| Trouble::permanent(format!("set up HTTP: {}", error::causes(&error))))?;
        let key = api_key.map(ApiKey::new).transpose()?;
        Ok(Self {
            client,
            pool: Pool::new(&settings.endpoints)?,
            model: model.to_owned(),
            key,
            timeout: Duration::from_secs(settings.timeout_s),
            extra: settings.extra.clone(),
            policy: POLICY,
            reasoning_field: AtomicU32::new(0),
        })
    }

    /// One try: the first endpoint that can be reached and serves us, in the order of job and try, decides.
    async fn try_once(&self, request: &Request, number: u32) -> Result<Completion, Trouble> {
        let mut passed: Vec<Trouble> = Vec::new();
        for endpoint in self.pool.order(&request.job, number) {
            match self.post(endpoint, request, number).await {
                Err(trouble) if trouble.elsewhere => {
                    endpoint.mark_down();
                    passed.push(trouble);
                }
                decided => {
                    endpoint.mark_up();
                    return decided;
                }
            }
        }
        let retry_after = passed.iter().filter_map(|trouble| trouble.retry_after).min();
        let messages: Vec<String> = passed.into_iter().map(|trouble| trouble.message).collect();
        Err(Trouble { retry_after, ..Trouble::outage(messages.join("; ")) })
    }

    async fn post(&self, endpoint: &Endpoint, request: &Request, number: u32) -> Result<Completion, Trouble> {
        let field = ReasoningField::from_number(self.reasoning_field.load(Ordering::Relaxed));
        let body = request::body(request, &self.model, &self.extra, field);
        let mut post = self.client.post(endpoint.url("chat/completions")).timeout(self.timeout).json(&body);
        post = post.header(RETRY_COUNT_HEADER, number);
        if let Some(key) = &self.key {
            post = post.header(AUTHORIZATION, key.header.clone());
        }
        let asked = Instant::now();
        let answered = match post.send().await {
            Ok(response) => error::checked(response).await,
            Err(error) => Err(Trouble::of_transport(&error)),
        };
        let completion = answered.and_then(|body| response::completion(&body, request));
        let outcome = completion.as_ref().map_or_else(|trouble| trouble.kind.name(), |_| "answered");
        metrics::histogram!("sluice_teacher_seconds", "endpoint" => endpoint.name(), "outcome" => outcome).record(asked.elapsed());
        completion.map_err(|trouble| {
            let refused = trouble.refuses_reasoning && request.messages.iter().any(|message| message.reasoning.is_some());
            let trouble = if refused && self.advance_reasoning(field) { trouble.worth_another_try() } else { trouble };
            trouble.at(endpoint.name(), self.key.as_ref().map(|key| key.text.as_str()))
        })
    }

    /// Goes on from `field` to the next name for reasoning; false when there is none left.
    fn advance_reasoning(&self, field: ReasoningField) -> bool {
        let Some(next) = field.next() else { return false };
        self.reasoning_field.fetch_max(next.number(), Ordering::Relaxed);
        true
    }

    /// Whether any endpoint shows a sign of life. A server that fails one request but lists its models is up; one that answers nothing, or a
    /// gateway with nothing behind it, is down for every job.
    async fn is_alive(&self) -> bool {
        for endpoint in self.pool.all() {
            let mut get = self.client.get(endpoint.url("models")).timeout(PROBE_TIMEOUT);
            if let Some(key) = &self.key {
                get = get.header(AUTHORIZATION, key.header.clone());
            }
            if get.send().await.is_ok_and(|response| !response.status().is_server_error()) {
                return true;
            }
        }
        false
    }
}

impl ApiKey {
    fn new(text: String) -> Result<Self, TeacherError> {
        let text = text.trim().to_owned();
        let mut header = HeaderValue::from_str(&format!("Bearer {text}"))
            .map_err(|_| Trouble::permanent("read the API key: it holds characters that no header may hold".to_owned()))?;
        header.set_sensitive(true);
        Ok(Self { text, header })
    }
}

#[async_trait]
impl Teacher for HttpTeacher {
    async fn complete(&self, request: &Request) -> Result<Completion, TeacherError> {
        let tries = AtomicU32::new(0);
        let result = retry(self.policy, std::future::pending(), || {
            let number = tries.fetch_add(1, Ordering::Relaxed);
            async move { self.try_once(request, number).await.map_err(|trouble| self.sort(trouble)) }
        })
        .await;
        match result {
            Err(trouble) if trouble.doubts_server && !self.is_alive().await => Err(TeacherError {
                kind: TeacherErrorKind::Outage,
                message: format!("{}; no endpoint answers at all", trouble.message),
                retry_after: trouble.retry_after,
            }),
            other => other.map_err(TeacherError::from),
        }
    }
}

impl HttpTeacher {
    /// Whether to try again here and now.
    fn sort(&self, trouble: Trouble) -> Tried<Trouble> {
        let too_long = trouble.retry_after.is_some_and(|after| after > self.policy.max);
        if trouble.try_again && !too_long {
            // Jitter on top of what the server asked, or all the jobs that it sent away come back at once.
            let after = trouble.retry_after.map(|after| after + self.policy.delay_before(0));
            Tried::Again { error: trouble, after }
        } else {
            Tried::Stop(trouble)
        }
    }
}

#[cfg(test)]
mod tests;
