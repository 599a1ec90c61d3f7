//! A teacher over HTTP: any server that speaks OpenAI's chat completions, not streamed.
//!
//! A thread of a job keeps to one server, where its prefix is cached, and goes to another when that one is full, has trouble, or is left alone. A
//! request that failed for a server's sake is tried at another at once; what none could do is tried a few times with growing, jittered pauses, and
//! what then remains is classed for the worker. Who waits here for room or for a limit holds no connection, and the wait is no part of
//! `timeout_s`. Here is no budget, no journal and no parsing of calls.

mod affinity;
mod circuit;
mod course;
mod endpoint;
mod error;
mod limits;
mod meters;
mod pool;
mod raw;
mod request;
mod response;
mod retry_after;
mod said;
mod server;
mod template;
mod window;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use model::settings::HttpSettings;
use model::{Completion, Message};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use runtime::Ledger;
use runtime::ledger::EndpointHealth;
use runtime::retry::{Policy, Tried, retry};
use tokio::time::Instant;

use self::affinity::Thread;
use self::course::{Course, Next};
use self::endpoint::Endpoint;
use self::error::Trouble;
use self::limits::Limits;
use self::pool::Pool;
pub(crate) use self::request::TEMPLATE_VARIABLES;
use self::request::{Form, ReasoningField};
use self::server::Outcome;
pub use self::template::Template;
use crate::{Request, Teacher, TeacherError, TeacherErrorKind, Tokens};

/// Number of the try, from 0, as OpenAI's own clients send it: gateways count retries by it.
pub const RETRY_COUNT_HEADER: &str = "x-stainless-retry-count";

/// Longest wait for a connection. Shorter than any completion, long enough for a slow link.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for a server to say that it is there at all.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// Tries of one completion, each at all servers that may do better. A pause that a server asks for is waited for as far as `PATIENCE` goes; what
/// is left after the tries, or asks for more, goes back to the queue with its delay.
const POLICY: Policy = Policy { first: Duration::from_millis(500), max: PATIENCE, tries: Some(6) };
/// How long one completion waits for room, limits and wished pauses, all its tries together: well within the time after which a broker takes a
/// job for lost.
const PATIENCE: Duration = Duration::from_secs(300);
/// Most requests in flight at one server, where nobody says how many jobs there are.
const WINDOW_MAX: u32 = 512;
/// Threads of one job that may ask at once, at most: so many subtasks a plan has.
const THREADS_PER_JOB: u32 = 32;

/// A model behind one or several servers.
pub struct HttpTeacher {
    client: reqwest::Client,
    pool: Arc<Pool>,
    limits: Limits,
    tokens: Tokens,
    form: Form,
    key: Option<ApiKey>,
    timeout: Duration,
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
        f.debug_struct("HttpTeacher").field("model", &self.form.model).field("pool", &self.pool).finish_non_exhaustive()
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
            pool: Pool::new(&settings.endpoints, &settings.weights, WINDOW_MAX)?,
            limits: Limits::new(settings, model),
            tokens: Tokens::default(),
            form: Form::chat(settings, model),
            key,
            timeout: Duration::from_secs(settings.timeout_s),
            policy: POLICY,
            reasoning_field: AtomicU32::new(0),
        })
    }

    /// The same for so many jobs at once: no server gets more requests at once than they could have.
    #[must_use]
    pub fn for_jobs(self, jobs: u32) -> Self {
        self.pool.limit(jobs.saturating_mul(THREADS_PER_JOB));
        self
    }

    /// The same with its limits per minute shared through `ledger`.
    #[must_use]
    pub fn sharing_limits(mut self, ledger: Arc<dyn Ledger>) -> Self {
        self.limits.share(ledger);
        self
    }

    /// The same with `tokens` to count what the servers do not.
    #[must_use]
    pub fn counting(mut self, tokens: Tokens) -> Self {
        self.tokens = tokens;
        self
    }

    /// One try: asks one server. Those that cannot be reached or serve nobody are passed over on the way and cost no try.
    async fn try_once(&self, request: &Request, course: &Course) -> Result<Completion, Tried<Trouble>> {
        let thread = Thread::of(&request.job, request.key.thread);
        let mut drawn = None;
        // Each turn that goes on bars one more server, or is the one that waited for a limit.
        loop {
            let began = Instant::now();
            let entered = self.pool.enter(thread, &course.barred(), course.patience_left(PATIENCE)).await;
            course.waited("room", began.elapsed());
            let mut permit = entered.map_err(|closed| course.closed(closed))?;
            let (number, endpoint) = (permit.server(), self.pool.endpoint(permit.server()));
            if permit.is_probe() {
                if let Err(trouble) = self.probe(endpoint).await {
                    permit.settle(Outcome::Troubled(&trouble));
                    course.miss(number, trouble);
                    continue;
                }
                permit.is_back();
            }
            // Once a try: what could not be sent to one server is drawn for the next.
            let granted = match &drawn {
                Some(granted) => granted,
                None => {
                    let began = Instant::now();
                    let granted = self.limits.draw(request, course.patience_left(PATIENCE)).await;
                    course.waited("limit", began.elapsed());
                    let granted = drawn.insert(granted.map_err(Tried::Stop)?);
                    if granted.has_waited && !permit.is_good() {
                        continue;
                    }
                    granted
                }
            };
            permit.send(granted.has_waited);
            let asked = Instant::now();
            let trouble = match self.post(endpoint, request, course.count_post()).await {
                Ok(completion) => {
                    let tokens = completion.usage.completion_tokens;
                    permit.settle(Outcome::Answered { seconds: asked.elapsed().as_secs_f64(), tokens });
                    self.limits.settle(granted, &completion.usage);
                    return Ok(completion);
                }
                Err(trouble) if trouble.is_unreachable && permit.is_good() && self.probe(endpoint).await.is_ok() => trouble.turned_away(),
                Err(trouble) => trouble,
            };
            permit.settle(Outcome::Troubled(&trouble));
            if trouble.elsewhere {
                course.miss(number, trouble);
                continue;
            }
            if let Some(tried) = self.sort(trouble, number, endpoint, course) {
                return Err(tried);
            }
            // Another server gets it, and draws for it anew: this one may have counted it.
            drawn = None;
        }
    }

    /// Whether to try again after a pause; `None`: at once at another server.
    fn sort(&self, trouble: Trouble, number: usize, endpoint: &Endpoint, course: &Course) -> Option<Tried<Trouble>> {
        match course.next(&trouble, number, |barred| self.pool.has_another(barred)) {
            Next::Elsewhere => {
                metrics::counter!("sluice_teacher_failovers_total", "endpoint" => endpoint.name().to_owned()).increment(1);
                course.remember(&trouble);
                None
            }
            Next::Pause if trouble.retry_after.is_none_or(|after| after <= course.patience_left(PATIENCE)) => {
                metrics::counter!("sluice_teacher_retries_total", "endpoint" => endpoint.name().to_owned()).increment(1);
                // Jitter on top of what the server asked, or all the jobs that it sent away come back at once.
                let after = trouble.retry_after.map(|after| after + self.policy.delay_before(0));
                course.waited("pause", after.unwrap_or_default());
                Some(Tried::Again { error: trouble, after })
            }
            // Whoever asks for more time than there is has refused nothing for good: the job comes back, and no try of it is spent.
            Next::Pause if trouble.is_overload => Some(Tried::Stop(Trouble { kind: TeacherErrorKind::Outage, ..trouble })),
            Next::Pause | Next::Stop => Some(Tried::Stop(trouble)),
        }
    }

    async fn post(&self, endpoint: &Endpoint, request: &Request, number: u32) -> Result<Completion, Trouble> {
        let field = ReasoningField::from_number(self.reasoning_field.load(Ordering::Relaxed));
        let body = self.form.body(request, field)?;
        let mut post = self.client.post(endpoint.url(self.form.path())).timeout(self.timeout).body(body);
        post = post.header(CONTENT_TYPE, "application/json").header(RETRY_COUNT_HEADER, number);
        if let Some(key) = &self.key {
            post = post.header(AUTHORIZATION, key.header.clone());
        }
        let asked = Instant::now();
        let answered = match post.send().await {
            Ok(response) => error::checked(response).await,
            Err(error) => Err(Trouble::of_transport(&error)),
        };
        let completion = answered.and_then(|body| self.form.completion(&body, request)).map(|completion| self.counted(completion, request));
        let outcome = completion.as_ref().map_or_else(|trouble| trouble.kind.name(), |_| "answered");
        metrics::histogram!("sluice_teacher_seconds", "endpoint" => endpoint.name().to_owned(), "outcome" => outcome)
            .record(asked.elapsed());
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

    /// Whether any server shows a sign of life. One that fails a request but lists its models is up; one that answers nothing, or a gateway with
    /// nothing behind it, is down for every job, and is left alone from now on.
    async fn is_alive(&self) -> bool {
        let probes = self.pool.up().into_iter().map(async |number| (number, self.probe(self.pool.endpoint(number)).await));
        let mut probes: FuturesUnordered<_> = probes.collect();
        while let Some((number, probed)) = probes.next().await {
            match probed {
                Ok(()) => return true,
                Err(trouble) => self.pool.leave(number, &trouble),
            }
        }
        false
    }

    /// Asks a server for its models, the cheapest thing there is to ask.
    async fn probe(&self, endpoint: &Endpoint) -> Result<(), Trouble> {
        let mut get = self.client.get(endpoint.url("models")).timeout(PROBE_TIMEOUT);
        if let Some(key) = &self.key {
            get = get.header(AUTHORIZATION, key.header.clone());
        }
        let words = match get.send().await {
            Ok(response) if !response.status().is_server_error() => return Ok(()),
            Ok(response) => format!("list its models: {}; start the server or correct `endpoints`", response.status()),
            Err(error) => format!("list its models: {}; start the server or correct `endpoints`", error::causes(&error)),
        };
        Err(Trouble::unreachable(words).at(endpoint.name(), self.key.as_ref().map(|key| key.text.as_str())))
    }

    /// What the server did not count, counted by our own tokenizer: each text of the prompt and of the completion.
    fn counted(&self, mut completion: Completion, request: &Request) -> Completion {
        let usage = &mut completion.usage;
        if usage.prompt_tokens == 0 && usage.completion_tokens == 0 {
            let count = |text: &str| u64::from(self.tokens.count(text));
            let of_message = |message: &Message| {
                let calls: u64 = message.calls.iter().map(|call| count(&call.name) + count(&call.arguments)).sum();
                count(&message.text) + message.reasoning.as_deref().map_or(0, count) + calls
            };
            // Each message once, however often it is sent.
            let of_kept = |(index, message): (usize, &Message)| match request.rendered.kept(&request.messages, index) {
                Some(kept) => *kept.tokens.get_or_init(|| of_message(message)),
                None => of_message(message),
            };
            usage.prompt_tokens = request.messages.iter().enumerate().map(of_kept).sum();
            let calls: u64 = completion.calls.iter().map(|call| count(&call.name) + count(&call.arguments)).sum();
            usage.completion_tokens = count(&completion.text) + completion.reasoning.as_deref().map_or(0, count) + calls;
        }
        completion
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
        let course = Course::default();
        let result = retry(self.policy, std::future::pending(), || self.try_once(request, &course)).await;
        match result {
            Err(trouble) if trouble.doubts_server && !self.is_alive().await => Err(TeacherError {
                kind: TeacherErrorKind::Outage,
                message: format!("{}; no endpoint answers at all", trouble.message),
                retry_after: trouble.retry_after,
            }),
            other => other.map_err(TeacherError::from),
        }
    }

    fn health(&self) -> Vec<EndpointHealth> {
        self.pool.health()
    }
}

#[cfg(test)]
mod tests;
