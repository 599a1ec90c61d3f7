//! One request, tried a few times and measured.
//!
//! A request that finds no object is no failure: it gives `None`. After four tries in vain the store counts as unavailable, and whoever asked
//! waits and asks again: patience beyond seconds is theirs.

use std::future::{Future, pending};
use std::time::{Duration, Instant};

use aws_sdk_s3::Client;

use super::client::Patience;
use super::fault::{Fault, Kind};
use crate::archive::ArchiveError;
use crate::retry::{Policy, Tried, retry};

/// How often a request is tried, and what lies between.
const POLICY: Policy = Policy { first: Duration::from_millis(200), max: Duration::from_secs(5), tries: Some(4) };

/// A bucket, and how it is reached.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) client: Client,
    /// The same for large bodies, whose sending takes time.
    pub(super) bulk_client: Client,
    /// As people name it.
    pub(super) place: String,
    /// The URL of the store, for people.
    pub(super) endpoint: String,
    pub(super) bucket: String,
    /// Stands before every key: empty, or ends in a slash.
    pub(super) prefix: String,
    pub(super) patience: Patience,
}

/// A request: what it is called in metrics, what in messages, and the key it is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) op: &'static str,
    pub(super) action: &'static str,
    pub(super) key: &'a str,
}

impl Store {
    /// The object's name in the bucket.
    pub(super) fn full(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// Sends a request until it succeeds, or it is of no use to go on. `None`: there is no such object.
    pub(super) async fn call<T, F>(&self, request: Request<'_>, mut send: impl FnMut() -> F) -> Result<Option<T>, ArchiveError>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let Request { op, .. } = request;
        let mut tries = 0_u32;
        let tried = retry(POLICY, pending(), || {
            if tries > 0 {
                metrics::counter!("sluice_s3_retries_total", "op" => op).increment(1);
            }
            tries += 1;
            let sent = send();
            async move {
                let began = Instant::now();
                let answer = sent.await;
                let code = answer.as_ref().map_or_else(|fault| fault.code.clone(), |_| "ok".into());
                metrics::histogram!("sluice_s3_seconds", "op" => op, "code" => code).record(began.elapsed().as_secs_f64());
                match answer {
                    Ok(value) => Ok(Some(value)),
                    Err(Fault { kind: Kind::Missing, .. }) => Ok(None),
                    Err(Fault { kind: Kind::Passing { after }, code, reason }) => {
                        Err(Tried::Again { error: Fault { kind: Kind::Passing { after }, code, reason }, after })
                    }
                    Err(fault) => Err(Tried::Stop(fault)),
                }
            }
        });
        tried.await.map_err(|fault| self.error(request, fault))
    }

    /// As [`Store::call`], of a request that needs no object to be there.
    pub(super) async fn must<T, F>(&self, request: Request<'_>, send: impl FnMut() -> F) -> Result<T, ArchiveError>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let answered = self.call(request, send).await?;
        answered.ok_or_else(|| self.error(request, Fault::lasting("404", "the store found nothing there", "check the endpoint's address")))
    }

    /// What became of a request that nothing more is done about.
    pub(super) fn error(&self, Request { action, key, .. }: Request<'_>, fault: Fault) -> ArchiveError {
        let Fault { kind, reason, .. } = fault;
        match kind {
            Kind::Lasting { advice } => ArchiveError::Unusable {
                archive: self.place.clone(),
                reason: format!("{action} {key} in bucket {} at {}: {reason}; {advice}", self.bucket, self.endpoint),
            },
            Kind::Passing { .. } | Kind::Missing | Kind::Changed => ArchiveError::Unavailable {
                action,
                key: key.to_owned(),
                archive: self.place.clone(),
                reason: format!("{reason} (bucket {} at {})", self.bucket, self.endpoint),
            },
        }
    }
}
