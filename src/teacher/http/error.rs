//! What can go wrong with a call, and what that means for the job.
//!
//! A trouble knows who has to act on it: this call by trying again, the worker by its kind, the user by its message. Messages never hold the key.

use std::error::Error;
use std::time::Duration;

use reqwest::header::LOCATION;
use reqwest::{Response, StatusCode};

use super::retry_after;
use super::said::{Said, shorten};
use crate::{TeacherError, TeacherErrorKind};

/// Largest answer that is read. The longest completions are a hundredth of it.
const BODY_BYTES_MAX: usize = 32 << 20;

/// A failed call.
#[derive(Debug, Clone)]
pub(super) struct Trouble {
    pub(super) kind: TeacherErrorKind,
    pub(super) message: String,
    pub(super) retry_after: Option<Duration>,
    /// Whether to try again within this call.
    pub(super) try_again: bool,
    /// Whether another endpoint may serve: no connection came about, or this one serves nobody as it is set up.
    pub(super) elsewhere: bool,
    /// Whether no connection came about.
    pub(super) is_unreachable: bool,
    /// Whether the whole server may be down, and not just this call.
    pub(super) doubts_server: bool,
    /// Whether the server has too many requests.
    pub(super) is_overload: bool,
    /// Whether the server speaks against the reasoning that was sent back to it.
    pub(super) refuses_reasoning: bool,
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Trouble> for TeacherError {
    fn from(trouble: Trouble) -> Self {
        Self { kind: trouble.kind, message: trouble.message, retry_after: trouble.retry_after }
    }
}

impl Trouble {
    fn new(kind: TeacherErrorKind, message: String) -> Self {
        let try_again = kind == TeacherErrorKind::Transient;
        Self {
            kind,
            message,
            retry_after: None,
            try_again,
            elsewhere: false,
            is_unreachable: false,
            doubts_server: false,
            is_overload: false,
            refuses_reasoning: false,
        }
    }

    pub(super) fn permanent(message: String) -> Self {
        Self::new(TeacherErrorKind::Permanent, message)
    }

    pub(super) fn outage(message: String) -> Self {
        Self::new(TeacherErrorKind::Outage, message)
    }

    /// No request to this endpoint succeeds until somebody corrects something: no job is to blame.
    fn misconfigured(message: String) -> Self {
        Self { elsewhere: true, ..Self::outage(message) }
    }

    /// The server is not there.
    pub(super) fn unreachable(message: String) -> Self {
        Self { is_unreachable: true, ..Self::misconfigured(message) }
    }

    /// No connection came about, and the server is there all the same: one that has its hands full may turn one away.
    pub(super) fn turned_away(self) -> Self {
        Self { elsewhere: false, is_unreachable: false, doubts_server: true, ..self.worth_another_try() }
    }

    /// An answer that came, but is no completion.
    pub(super) fn no_completion(what: &str) -> Self {
        Self { doubts_server: true, ..Self::new(TeacherErrorKind::Transient, format!("read the completion: {what}")) }
    }

    /// Whether the server is the trouble and not the request, so that another server may do better at once.
    pub(super) fn is_of_server(&self) -> bool {
        self.elsewhere || self.doubts_server || self.is_overload
    }

    /// Whether `timeout_s` went by. Only that doubts the server and is not tried again at the same one.
    pub(super) fn is_timeout(&self) -> bool {
        self.doubts_server && !self.try_again
    }

    pub(super) fn of_transport(error: &reqwest::Error) -> Self {
        if error.is_connect() {
            return Self::unreachable(format!("connect: {}; start the server or correct `endpoints`", causes(error)));
        }
        if error.is_timeout() {
            // Another full timeout within this call would hold the job too long.
            let message = "wait for the completion: `timeout_s` is over; raise it or lower `max_completion_tokens`".to_owned();
            return Self { try_again: false, doubts_server: true, ..Self::new(TeacherErrorKind::Transient, message) };
        }
        if error.is_builder() {
            return Self::permanent(format!("write the request: {}", causes(error)));
        }
        Self { doubts_server: true, ..Self::new(TeacherErrorKind::Transient, format!("exchange the completion: {}", causes(error))) }
    }

    /// The same as worth another try.
    pub(super) fn worth_another_try(self) -> Self {
        Self { kind: TeacherErrorKind::Transient, try_again: true, ..self }
    }

    /// The same with the endpoint's name, and without the key wherever a server echoed it.
    pub(super) fn at(mut self, endpoint: &str, key: Option<&str>) -> Self {
        if let Some(key) = key.filter(|key| !key.is_empty()) {
            self.message = self.message.replace(key, "[key]");
        }
        self.message = format!("{endpoint}: {}", self.message);
        self
    }
}

/// An error and its causes, without the URL, which may hold a password.
pub(super) fn causes(error: &reqwest::Error) -> String {
    let mut words = match error.source() {
        None => error.to_string(),
        Some(source) => source.to_string(),
    };
    let mut source = error.source().and_then(Error::source);
    // Chains are a handful long; the bound is against one that is not.
    for _ in 0..8 {
        let Some(cause) = source else { break };
        words = format!("{words}: {cause}");
        source = cause.source();
    }
    shorten(&words)
}

/// The body of a successful answer, else what the answer means.
pub(super) async fn checked(mut response: Response) -> Result<Vec<u8>, Trouble> {
    let status = response.status();
    let retry_after = retry_after::read(response.headers());
    let location = response.headers().get(LOCATION).is_some();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| Trouble::of_transport(&error))? {
        if body.len() + chunk.len() > BODY_BYTES_MAX {
            return Err(Trouble::permanent(format!("read the completion: larger than {BODY_BYTES_MAX} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    if status.is_success() {
        return Ok(body);
    }
    if status.is_redirection() && location {
        return Err(Trouble::misconfigured(format!(
            "complete: the server redirects ({status}); give the address it leads to in `endpoints`"
        )));
    }
    Err(Trouble { retry_after, ..of_status(status, &Said::from_body(&body)) })
}

/// What an error answer means. `status` is the answer's, or what a body of status 200 gives as its error's code.
pub(super) fn of_status(status: StatusCode, said: &Said) -> Trouble {
    let words = said.words();
    if said.means_overflow() || status == StatusCode::PAYLOAD_TOO_LARGE {
        return Trouble::new(TeacherErrorKind::ContextOverflow, format!("complete: the conversation is too long for the server: {words}"));
    }
    if said.blames_model() {
        return Trouble::new(TeacherErrorKind::Transient, format!("complete: the server could not use what the model wrote: {words}"));
    }
    if said.means_account_empty() || status == StatusCode::PAYMENT_REQUIRED {
        return Trouble::misconfigured(format!("complete: the provider's account is empty ({status}): {words}"));
    }
    match status.as_u16() {
        // Some gateways answer so to one conversation; held, it would hold all the others.
        403 if said.withholds() => Trouble::permanent(format!("complete: the provider withholds an answer ({status}): {words}")),
        // What a server says about a key may show a part of the key.
        401 | 403 => Trouble::misconfigured(format!(
            "complete: the server refuses the API key ({status}); put a valid one into the variable that `api_key_env` names and start again"
        )),
        404 | 405 => Trouble::misconfigured(format!(
            "complete: {words} ({status}); check that the server has `model`, and that the endpoint ends in /v1"
        )),
        code @ (408 | 409 | 425 | 429 | 500..) => Trouble {
            doubts_server: code >= 500,
            // 529 is how some providers say 503.
            is_overload: matches!(code, 429 | 503 | 529),
            ..Trouble::new(TeacherErrorKind::Transient, format!("complete: {status}: {words}"))
        },
        _ => Trouble {
            refuses_reasoning: said.speaks_of_reasoning(),
            ..Trouble::permanent(format!(
                "complete: the server refuses the request ({status}): {words}; `extra` adds, replaces or, with false, removes fields of it"
            ))
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(status: u16, body: &str) -> TeacherErrorKind {
        of_status(StatusCode::from_u16(status).expect("a status"), &Said::from_body(body.as_bytes())).kind
    }

    #[test]
    fn every_server_s_way_to_say_too_long_is_understood() {
        for (status, body) in [
            (
                400,
                r#"{"error":{"message":"This model's maximum context length is 8192 tokens.","type":"invalid_request_error","code":"context_length_exceeded"}}"#,
            ),
            (
                400,
                r#"{"object":"error","message":"This model's maximum context length is 9 tokens. However, you requested 12","type":"BadRequestError","code":400}"#,
            ),
            (
                400,
                r#"{"error":{"message":"However, the model's context length is only 9 tokens","type":"BadRequestError","param":"input_text","code":400}}"#,
            ),
            (
                400,
                r#"{"object":"error","message":"The input (61 tokens) is longer than the model's context length (40 tokens).","code":400}"#,
            ),
            (
                400,
                r#"{"error":{"code":400,"message":"request (43 tokens) exceeds the available context size (40 tokens)","type":"exceed_context_size_error"}}"#,
            ),
            (500, r#"{"error":{"code":500,"message":"Context size has been exceeded.","type":"server_error"}}"#),
            (400, r#"{"error":{"type":"invalid_request_error","message":"prompt is too long: 21 tokens > 20 maximum"}}"#),
            (413, "<html>Request Entity Too Large</html>"),
        ] {
            assert_eq!(kind(status, body), TeacherErrorKind::ContextOverflow, "{body}");
        }
    }

    #[test]
    fn too_many_requests_are_told_from_a_broken_server() {
        let classed = |status| {
            let trouble = of_status(StatusCode::from_u16(status).expect("a status"), &Said::default());
            (trouble.is_overload, trouble.doubts_server)
        };
        assert_eq!([429, 503, 529, 500, 408].map(classed), [(true, false), (true, true), (true, true), (false, true), (false, false)]);
    }

    #[test]
    fn a_status_is_classed_by_who_can_do_something_about_it() {
        for status in [408, 429, 500, 502, 503, 504, 529] {
            assert_eq!(kind(status, ""), TeacherErrorKind::Transient, "{status}");
        }
        for status in [400, 422] {
            assert_eq!(kind(status, r#"{"detail":"no"}"#), TeacherErrorKind::Permanent, "{status}");
        }
        for status in [401, 402, 403, 404, 405] {
            assert_eq!(kind(status, r#"{"detail":"no"}"#), TeacherErrorKind::Outage, "no job is to blame for {status}");
        }
        let flagged = r#"{"error":{"code":403,"message":"your input was flagged by moderation"}}"#;
        assert_eq!(kind(403, flagged), TeacherErrorKind::Permanent, "one question must not hold all jobs");
        assert_eq!(kind(429, r#"{"error":{"code":"insufficient_quota"}}"#), TeacherErrorKind::Outage);
        assert_eq!(kind(400, r#"{"error":{"code":"tool_use_failed","message":"m"}}"#), TeacherErrorKind::Transient);
    }
}
