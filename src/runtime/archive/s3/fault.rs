//! What a failed request means: pass by, last, or merely that nothing is there.
//!
//! Passing is what a store, a network or a quota may recover from by itself; lasting is what a person has to mend, with what they have to do.
//! When in doubt a fault passes: it is tried again and then waited for, and nothing is lost by that.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

/// Characters of a store's own message that are repeated.
const MESSAGE_CHARS_MAX: usize = 300;

/// A try that failed.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) kind: Kind,
    /// For metrics: the HTTP status, or a word for what happened before there was one.
    pub(super) code: Cow<'static, str>,
    pub(super) reason: String,
}

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// There is no such object (or upload).
    Missing,
    /// The object is not the one that was begun to be read.
    Changed,
    /// Try again, when the store named a time not before it.
    Passing { after: Option<Duration> },
    /// Trying again does not help, this might.
    Lasting { advice: &'static str },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl Fault {
    /// One that passes by.
    pub(super) fn passing(code: &'static str, reason: impl Into<String>) -> Self {
        Self { kind: Kind::Passing { after: None }, code: code.into(), reason: reason.into() }
    }

    /// One that lasts.
    pub(super) fn lasting(code: &'static str, reason: impl Into<String>, advice: &'static str) -> Self {
        Self { kind: Kind::Lasting { advice }, code: code.into(), reason: reason.into() }
    }

    /// What the SDK's error means.
    pub(super) fn of<E>(error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        match &error {
            SdkError::TimeoutError(_) => Self::passing("timeout", "no answer in time"),
            SdkError::ServiceError(answer) => {
                let (status, headers) = (answer.raw().status().as_u16(), answer.raw().headers());
                let after = headers.get("retry-after").and_then(|value| value.parse().ok()).map(Duration::from_secs);
                let region = headers.get("x-amz-bucket-region");
                Self::answered(status, answer.err().code(), answer.err().message(), region, after)
            }
            SdkError::DispatchFailure(failure) if failure.is_timeout() => Self::passing("timeout", "no connection or no answer in time"),
            SdkError::DispatchFailure(_) => Self::unsent("connect", chain(&error)),
            SdkError::ConstructionFailure(_) => Self::unsent("unsent", chain(&error)),
            _ => Self::passing("answer", format!("the answer cannot be read: {}", chain(&error))),
        }
    }

    /// A request that had no answer, by what the causes say.
    fn unsent(code: &'static str, reason: String) -> Self {
        let lower = reason.to_ascii_lowercase();
        let advice = if lower.contains("certificate") {
            "let this machine trust the store's certificate authority (SSL_CERT_FILE), or correct the endpoint"
        } else if lower.contains("no credentials found in chain") || lower.contains("no providers in chain provided credentials") {
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile"
        } else if code == "unsent" && !lower.contains("credential") {
            "check AWS_ENDPOINT_URL, AWS_REGION and the bucket's name"
        } else {
            return Self::passing(code, reason);
        };
        Self::lasting(code, reason, advice)
    }

    /// What a store's answer means.
    fn answered(status: u16, code: Option<&str>, message: Option<&str>, region: Option<&str>, after: Option<Duration>) -> Self {
        let code = code.unwrap_or_default();
        let kind = match (status, code) {
            (_, "NoSuchBucket") => Kind::Lasting { advice: "make the bucket, or correct the archive's place" },
            // A range of an empty object: such an object is none.
            (404, _) | (416, _) => Kind::Missing,
            (412, _) => Kind::Changed,
            (_, "SlowDown" | "RequestTimeout" | "IncompleteBody" | "BadDigest" | "XAmzContentSHA256Mismatch" | "OperationAborted") => {
                Kind::Passing { after }
            }
            // A store that is full says so in several ways, and somebody can make room.
            (_, code) if code.contains("Quota") || code.contains("StorageFull") => Kind::Passing { after },
            (_, "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "NotSignedUp" | "InvalidToken" | "InvalidSecurity") => {
                Kind::Lasting { advice: "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" }
            }
            (_, "ExpiredToken" | "TokenRefreshRequired") => Kind::Lasting { advice: "renew the credentials" },
            (_, "RequestTimeTooSkewed") => Kind::Lasting { advice: "set this machine's clock" },
            (301, _) | (_, "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException") => {
                Kind::Lasting { advice: "set AWS_REGION to the bucket's region" }
            }
            (501, _) => Kind::Lasting { advice: "this store cannot be an archive" },
            (401 | 403, _) => Kind::Lasting { advice: "give this access key the right to list the bucket and to read and write in it" },
            (307 | 408 | 409 | 429 | 500.., _) => Kind::Passing { after },
            _ => Kind::Lasting { advice: "check the endpoint, and whether it is an S3-compatible store" },
        };
        let message: String = message.unwrap_or_default().chars().take(MESSAGE_CHARS_MAX).collect();
        let mut reason = format!("{status} {code}").trim_end().to_owned();
        if !message.is_empty() {
            reason = format!("{reason}: {message}");
        }
        if let Some(region) = region {
            reason = format!("{reason} (the bucket is in region {region})");
        }
        Self { kind, code: status.to_string().into(), reason }
    }
}

/// An error with its causes, of which only the last ones say what happened.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut reason = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        let said = source.to_string();
        if !reason.ends_with(&said) {
            reason = format!("{reason}: {said}");
        }
        cause = source.source();
    }
    // Some are written over several lines.
    let words: Vec<&str> = reason.split_whitespace().collect();
    words.join(" ").chars().take(2 * MESSAGE_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(status: u16, code: &str) -> Kind {
        Fault::answered(status, Some(code), None, None, None).kind
    }

    #[test]
    fn what_a_store_recovers_from_passes_and_what_a_person_mends_lasts() {
        for (status, code) in [(500, "InternalError"), (503, "SlowDown"), (429, ""), (400, "BadDigest"), (400, "RequestTimeout"), (507, "")]
        {
            assert_eq!(kind(status, code), Kind::Passing { after: None }, "{status} {code}");
        }
        for (status, code) in [(404, "NoSuchBucket"), (403, "AccessDenied"), (403, "SignatureDoesNotMatch"), (301, ""), (400, "Other")] {
            assert!(matches!(kind(status, code), Kind::Lasting { .. }), "{status} {code}");
        }
        assert_eq!(kind(404, ""), Kind::Missing, "a HEAD has no body and so no code");
        assert_eq!(kind(404, "NoSuchKey"), Kind::Missing);
    }

    #[test]
    fn a_wrong_region_is_named_with_the_right_one() {
        let fault = Fault::answered(301, Some("PermanentRedirect"), None, Some("eu-west-1"), None);
        assert!(fault.reason.contains("region eu-west-1"), "{fault}");
        assert!(matches!(fault.kind, Kind::Lasting { advice } if advice.contains("AWS_REGION")));
    }

    #[test]
    fn no_credentials_last_and_a_broken_connection_passes() {
        let none = Fault::unsent("connect", "the credential provider was not enabled: no credentials found in chain".into());
        assert!(matches!(none.kind, Kind::Lasting { advice } if advice.contains("AWS_ACCESS_KEY_ID")));
        assert!(matches!(Fault::unsent("connect", "connection refused".into()).kind, Kind::Passing { .. }));
    }
}
