//! Requests that get no completion: refusals as OpenAI words them, and connections that are cut.

use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::delivery;

/// Why there is no completion.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// It is refused.
    Refused(Refusal),
    /// The connection is closed without a byte.
    Cut,
}

impl From<Refusal> for Unanswered {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl IntoResponse for Unanswered {
    fn into_response(self) -> Response {
        match self {
            Self::Refused(refusal) => refusal.into_response(),
            Self::Cut => delivery::cut(),
        }
    }
}

/// A request that is refused.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    kind: &'static str,
    code: Option<&'static str>,
    message: String,
    retry_after_s: Option<u64>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, kind: &'static str, message: &str) -> Self {
        Self { status, kind, code: None, message: message.to_owned(), retry_after_s: None }
    }

    /// Something in the request is wrong.
    pub(super) fn wrong(message: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", &message)
    }

    pub(super) fn unknown_model(named: &str, served: &str) -> Self {
        let message = format!("the model `{named}` does not exist; this server has `{served}`");
        Self { code: Some("model_not_found"), ..Self::new(StatusCode::NOT_FOUND, "invalid_request_error", &message) }
    }

    pub(super) fn too_long(message: &str) -> Self {
        Self { code: Some("context_length_exceeded"), ..Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", message) }
    }

    /// A rate limit that admits the request after `wait`.
    pub(super) fn over_limit(wait: Duration) -> Self {
        let refusal = Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", "the limit per minute is reached");
        // Whole seconds, rounded up: sooner it would be refused again.
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Self { code: Some("rate_limit_exceeded"), ..refusal }.with_retry_after(seconds)
    }

    pub(super) fn with_retry_after(self, seconds: u64) -> Self {
        Self { retry_after_s: Some(seconds), ..self }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({"error": {"message": self.message, "type": self.kind, "param": null, "code": self.code}});
        let mut response = (self.status, Json(body)).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}
