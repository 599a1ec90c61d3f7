//! A server that plays a teacher over OpenAI's chat completions, with latency, rate limits and faults: a provider to rehearse against.
//!
//! It is stateless: what it does to a request is a pure function of (seed, body, number of the try). Clients tell the number of the try in
//! [`RETRY_COUNT_HEADER`]; for one that does not, the number of requests so far stands in. It streams nothing
//! and checks no key.

mod answer;
mod faults;
mod wire;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use model::Digest;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use self::faults::Fate;
use self::wire::Refusal;
use crate::http::RETRY_COUNT_HEADER;
use crate::{Teacher, TeacherErrorKind};

/// Largest request that is read.
const BODY_BYTES_MAX: usize = 32 << 20;
/// Most requests in work; more are told to come back.
const REQUESTS_MAX: usize = 4096;

/// How the server behaves.
#[derive(Debug, Clone, PartialEq)]
pub struct SimSettings {
    /// Where it listens; port 0 takes any that is free.
    pub listen: SocketAddr,
    /// The model's name.
    pub model: String,
    /// Mean latency of a completion.
    pub latency_mean: Duration,
    /// How far latencies spread around the mean, as a share of it: 0 none, 1 from nothing to twice the mean.
    pub latency_jitter: f64,
    /// Share of tries that are answered with 429. From the fourth try on there are faults only for a share of 1.
    pub rate_429: f64,
    /// Share of tries that are answered with 500.
    pub rate_500: f64,
    /// `Retry-After` of a 429, in seconds.
    pub retry_after_s: u64,
    /// Longest prompt and completion together, in tokens; longer ones are refused as OpenAI refuses them.
    pub context_tokens: Option<u32>,
    /// Root of all randomness.
    pub seed: u64,
}

impl Default for SimSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            model: "heuristic".to_owned(),
            latency_mean: Duration::ZERO,
            latency_jitter: 0.0,
            rate_429: 0.0,
            rate_500: 0.0,
            retry_after_s: 1,
            context_tokens: None,
            seed: 0,
        }
    }
}

/// A server that is bound and does not serve yet.
pub struct Sim {
    listener: TcpListener,
    state: Arc<Played>,
}

/// What requests share.
struct Played {
    settings: SimSettings,
    teacher: Arc<dyn Teacher>,
    count_tokens: fn(&str) -> u32,
    permits: Semaphore,
    /// Requests so far.
    requests: AtomicU64,
}

impl Sim {
    /// Binds the address of `settings`. `count_tokens` counts for usage and for the context.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn bind(settings: SimSettings, teacher: Arc<dyn Teacher>, count_tokens: fn(&str) -> u32) -> io::Result<Self> {
        let listener = TcpListener::bind(settings.listen).await?;
        let permits = Semaphore::new(REQUESTS_MAX);
        Ok(Self { listener, state: Arc::new(Played { settings, teacher, count_tokens, permits, requests: AtomicU64::new(0) }) })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the socket is gone.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `shutdown` is over, then finishes the requests in work.
    ///
    /// # Errors
    /// When the socket fails.
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        let routes = Router::new()
            .route("/v1/chat/completions", post(complete))
            .route("/v1/models", get(models))
            .route("/health", get(|| async { "ok" }))
            .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
            .with_state(self.state);
        axum::serve(self.listener, routes).with_graceful_shutdown(shutdown).await
    }
}

async fn models(State(played): State<Arc<Played>>) -> Json<serde_json::Value> {
    Json(json!({"object": "list", "data": [{"id": played.settings.model, "object": "model", "owned_by": "sluice"}]}))
}

async fn complete(State(played): State<Arc<Played>>, headers: HeaderMap, body: Bytes) -> Response {
    match played.complete(&headers, &body).await {
        Ok(answer) => answer.into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

impl Played {
    async fn complete(&self, headers: &HeaderMap, body: &[u8]) -> Result<Json<serde_json::Value>, Refusal> {
        let Ok(_permit) = self.permits.try_acquire() else {
            return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", "overloaded").with_retry_after(1));
        };
        let arrival = self.requests.fetch_add(1, Ordering::Relaxed);
        let told = headers.get(RETRY_COUNT_HEADER).and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
        let digest = Digest::of(body);
        let fate = Fate::of(&self.settings, &digest, told.unwrap_or(arrival), told.is_some());
        tokio::time::sleep(fate.latency).await;
        if let Some(status) = fate.fault {
            return Err(self.fault(status));
        }
        let asked = wire::read(body, &digest)?;
        let prompt_tokens = asked.prompt_tokens(self.count_tokens);
        self.check_context(prompt_tokens, asked.request.sampling.max_completion_tokens)?;
        let completion = self.teacher.complete(&asked.request).await.map_err(|error| match error.kind {
            TeacherErrorKind::ContextOverflow => Refusal::too_long(&error.message),
            _ => Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", &error.message),
        })?;
        Ok(Json(answer::write(&asked, &completion, prompt_tokens, self.count_tokens)))
    }

    fn fault(&self, status: StatusCode) -> Refusal {
        match status {
            StatusCode::TOO_MANY_REQUESTS => {
                Refusal::new(status, "rate_limit_error", "rate limit reached").with_retry_after(self.settings.retry_after_s)
            }
            _ => Refusal::new(status, "server_error", "the server had an error"),
        }
    }

    fn check_context(&self, prompt: u64, completion: u32) -> Result<(), Refusal> {
        match self.settings.context_tokens {
            Some(most) if prompt + u64::from(completion) > u64::from(most) => Err(Refusal::too_long(&format!(
                "This model's maximum context length is {most} tokens, but {prompt} of the messages and {completion} of the completion were asked for."
            ))),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
