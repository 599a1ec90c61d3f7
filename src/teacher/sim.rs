//! A server that plays a teacher over OpenAI's interfaces, with latency, a queue, rate limits, faults and outages: a provider to rehearse against.
//!
//! What it does to a request is a pure function of (seed, body, number of the try), and what it answers one of (seed, body): only the queue, the
//! rate limits and the down windows depend on what else goes on. Clients tell the number of the try in [`RETRY_COUNT_HEADER`]; for one that
//! does not, the number of requests so far stands in. It keeps no conversation and checks no key.

mod admission;
mod answer;
mod asked;
mod chance;
mod chat;
mod continuation;
mod counter;
mod delivery;
mod faults;
mod latency;
mod limits;
mod outages;
mod played;
mod prompt;
mod refusal;
mod settings;
mod single_stream;
mod stream;
mod tally;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Request as HttpRequest, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use model::Digest;
use model::settings::Mode;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

pub use self::faults::Fault;
pub use self::settings::{LatencyShape, SimSettings};

use self::admission::Admission;
use self::chance::Chance;
use self::counter::Counter;
use self::delivery::Delivery;
use self::faults::Fate;
use self::limits::Limits;
use self::outages::Outages;
use self::refusal::{Refusal, Unanswered};
use self::tally::Tally;
use crate::http::RETRY_COUNT_HEADER;
use crate::{Teacher, TeacherErrorKind};

/// Largest request that is read.
const BODY_BYTES_MAX: usize = 32 << 20;

/// A server that is bound and does not serve yet.
pub struct Sim {
    listener: TcpListener,
    server: Arc<Server>,
}

/// What requests share.
struct Server {
    settings: SimSettings,
    teacher: Arc<dyn Teacher>,
    counter: Counter,
    admission: Admission,
    limits: Limits,
    outages: Option<Outages>,
    tally: Tally,
    /// Requests so far.
    arrivals: AtomicU64,
    /// Whether the server was asked to stop.
    stopping: watch::Sender<bool>,
}

impl Sim {
    /// Binds the address of `settings`. `count_tokens` counts for usage, limits and the context.
    ///
    /// # Errors
    /// When the settings contradict themselves, or the address cannot be bound.
    pub async fn bind(settings: SimSettings, teacher: Arc<dyn Teacher>, count_tokens: fn(&str) -> u32) -> io::Result<Self> {
        settings.check().map_err(|problem| io::Error::new(io::ErrorKind::InvalidInput, problem))?;
        let listener = TcpListener::bind(settings.listen).await?;
        let server = Server {
            teacher,
            counter: Counter::new(count_tokens),
            admission: Admission::new(settings.slots, settings.queue),
            limits: Limits::new(settings.requests_per_minute, settings.tokens_per_minute, Instant::now()),
            outages: settings.down_every.map(|every| Outages { since: Instant::now(), every, lasting: settings.down_for }),
            tally: Tally::default(),
            arrivals: AtomicU64::new(0),
            stopping: watch::Sender::new(false),
            settings,
        };
        Ok(Self { listener, server: Arc::new(server) })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the socket is gone.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `shutdown` is over, then finishes the requests in work. Those that hang are cut.
    ///
    /// # Errors
    /// When the socket fails.
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        let server = Arc::clone(&self.server);
        let routes = Router::new()
            .route("/v1/chat/completions", post(chat_completions))
            .route("/v1/completions", post(completions))
            .route("/v1/models", get(models))
            .route("/metrics", get(metrics))
            .route("/health", get(|| async { "ok" }))
            .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
            .layer(from_fn_with_state(Arc::clone(&self.server), through_outages))
            .with_state(self.server);
        let stopped = async move {
            shutdown.await;
            server.stopping.send_replace(true);
        };
        axum::serve(self.listener, routes).with_graceful_shutdown(stopped).await
    }
}

/// Nothing is answered in a down window, and what is in work when one begins is cut.
async fn through_outages(State(server): State<Arc<Server>>, request: HttpRequest, next: Next) -> Response {
    let Some(until) = server.next_outage() else { return next.run(request).await };
    if until <= Instant::now() {
        return delivery::cut();
    }
    tokio::select! {
        answer = next.run(request) => answer,
        () = sleep_until(until) => delivery::cut(),
    }
}

async fn models(State(server): State<Arc<Server>>) -> Json<Value> {
    let settings = &server.settings;
    let mut card = json!({"id": settings.model, "object": "model", "created": 0, "owned_by": "sluice"});
    if let Some(most) = settings.context_tokens {
        card["max_model_len"] = json!(most);
    }
    Json(json!({"object": "list", "data": [card]}))
}

async fn metrics(State(server): State<Arc<Server>>) -> Response {
    let text = server.tally.exposition(&server.settings.model, server.admission.running(), server.admission.waiting());
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

async fn chat_completions(State(server): State<Arc<Server>>, headers: HeaderMap, body: Bytes) -> Response {
    server.complete(Mode::Chat, &headers, &body).await.unwrap_or_else(IntoResponse::into_response)
}

async fn completions(State(server): State<Arc<Server>>, headers: HeaderMap, body: Bytes) -> Response {
    server.complete(Mode::Completion, &headers, &body).await.unwrap_or_else(IntoResponse::into_response)
}

impl Server {
    /// The way of a request: the gateway's faults, what is wrong with it, the rate limits, the queue, and then the time of an answer in a slot.
    async fn complete(&self, mode: Mode, headers: &HeaderMap, body: &[u8]) -> Result<Response, Unanswered> {
        let arrival = self.arrivals.fetch_add(1, Ordering::Relaxed);
        let told = headers.get(RETRY_COUNT_HEADER).and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
        let digest = Digest::of(body);
        let chance = Chance { seed: self.settings.seed, request: &digest, number: told.unwrap_or(arrival) };
        let fate = Fate::of(&self.settings, &chance, told.is_some());
        self.fail(fate.fault.filter(|fault| fault.is_of_gateway()))?;

        let asked = asked::read(mode, self.settings.dialect, body, &digest)?;
        if !self.settings.any_model && asked.model != self.settings.model {
            return Err(Refusal::unknown_model(&asked.model, &self.settings.model).into());
        }
        let prompt_tokens = asked.prompt_tokens(&self.counter);
        let limit = asked.request.sampling.max_completion_tokens;
        self.check_context(prompt_tokens, limit)?;
        self.limits.admit(prompt_tokens + u64::from(limit), Instant::now()).map_err(Refusal::over_limit)?;
        let Some(slot) = self.admission.enter().await else {
            let status = if self.settings.full_429 { StatusCode::TOO_MANY_REQUESTS } else { StatusCode::SERVICE_UNAVAILABLE };
            return Err(Refusal::new(status, "server_error", "the queue is full").with_retry_after(self.settings.retry_after_s).into());
        };
        let first_token = Instant::now() + fate.latency;
        if fate.fault == Some(Fault::Hang) {
            self.stopped().await;
            return Err(Unanswered::Cut);
        }
        sleep_until(first_token).await;
        self.fail(fate.fault)?;

        let completion = self.teacher.complete(&asked.request).await.map_err(|error| match error.kind {
            TeacherErrorKind::ContextOverflow => Refusal::too_long(&error.message),
            _ => Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", &error.message),
        })?;
        let played = played::play(&asked, completion, self.settings.dialect, fate.oddity, &self.counter);
        self.limits.give_back(u64::from(limit).saturating_sub(played.tokens));
        self.tally.answered(prompt_tokens, &played);
        let spread = self.settings.tokens_per_second.map_or(Duration::ZERO, |speed| Duration::from_secs_f64(played.tokens as f64 / speed));
        let delivery = Delivery { fault: fate.fault, trickle: self.settings.trickle, until: self.next_outage() };
        Ok(match &asked.streaming {
            Some(streaming) => delivery.events(stream::events(&asked, streaming, &played, prompt_tokens), first_token, spread, slot),
            None => {
                sleep_until(first_token + spread).await;
                drop(slot);
                delivery.json(&answer::write(&asked, &played, prompt_tokens))
            }
        })
    }

    /// Fails with `fault`, if it is one that takes the place of the answer.
    fn fail(&self, fault: Option<Fault>) -> Result<(), Unanswered> {
        let refusal = match fault {
            Some(Fault::RateLimited) => {
                let refusal = Refusal::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", "rate limit reached");
                refusal.with_retry_after(self.settings.retry_after_s)
            }
            Some(Fault::ServerError) => Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "the server had an error"),
            Some(Fault::BadGateway) => Refusal::new(StatusCode::BAD_GATEWAY, "server_error", "nothing answers behind the gateway"),
            Some(Fault::Unavailable) => {
                let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", "overloaded");
                refusal.with_retry_after(self.settings.retry_after_s)
            }
            Some(Fault::Cut) => return Err(Unanswered::Cut),
            _ => return Ok(()),
        };
        Err(refusal.into())
    }

    fn check_context(&self, prompt: u64, completion: u32) -> Result<(), Refusal> {
        match self.settings.context_tokens {
            Some(most) if prompt + u64::from(completion) > u64::from(most) => Err(Refusal::too_long(&format!(
                "This model's maximum context length is {most} tokens, but {prompt} of the messages and {completion} of the completion were asked for."
            ))),
            _ => Ok(()),
        }
    }

    /// When the next down window begins, which is now within one; `None` where there are none.
    fn next_outage(&self) -> Option<Instant> {
        self.outages.as_ref().map(|outages| outages.next(Instant::now()))
    }

    /// Returns when the server was asked to stop.
    async fn stopped(&self) {
        let mut stopping = self.stopping.subscribe();
        // The sender is borrowed here, so the channel cannot close.
        let _asked = stopping.wait_for(|stopping| *stopping).await;
    }
}

#[cfg(test)]
mod tests;
