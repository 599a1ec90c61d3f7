//! The endpoints of one model: which of them a job asks first, and which are known to be down.

use std::sync::Mutex;
use std::time::Duration;

use model::{Digest, JobId};
use reqwest::Url;
use tokio::time::Instant;

use super::error::Trouble;

/// How long an endpoint that could not be reached is asked last: a lost host must not cost every call a connection timeout.
const DOWN: Duration = Duration::from_secs(5);

/// Endpoints, in the order in which they were configured.
#[derive(Debug)]
pub(super) struct Pool {
    endpoints: Vec<Endpoint>,
}

/// One server.
pub(super) struct Endpoint {
    base: Url,
    down_until: Mutex<Option<Instant>>,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name())
    }
}

impl Pool {
    pub(super) fn new(endpoints: &[String]) -> Result<Self, Trouble> {
        if endpoints.is_empty() {
            return Err(Trouble::permanent("set up HTTP: `endpoints` is empty; give at least one base URL, ending in /v1".to_owned()));
        }
        let endpoints = endpoints.iter().map(|written| Endpoint::new(written)).collect::<Result<_, _>>()?;
        Ok(Self { endpoints })
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Endpoint> {
        self.endpoints.iter()
    }

    /// All endpoints in the order in which try number `number` of `job` asks them: its own first, one further with each try, those that are
    /// down last.
    pub(super) fn order(&self, job: &JobId, number: u32) -> Vec<&Endpoint> {
        let own = u64::from_str_radix(Digest::of(job.as_str().as_bytes()).short(), 16).unwrap_or(0);
        let count = self.endpoints.len();
        let start = usize::try_from((own.wrapping_add(number.into())) % count as u64).unwrap_or(0);
        let mut order: Vec<&Endpoint> = self.endpoints.iter().cycle().skip(start).take(count).collect();
        order.sort_by_key(|endpoint| endpoint.is_down());
        order
    }
}

impl Endpoint {
    fn new(written: &str) -> Result<Self, Trouble> {
        // A base without the slash would lose its last part when a path is joined to it.
        let base = Url::parse(&format!("{}/", written.trim_end_matches('/')));
        match base {
            Ok(base) if base.has_host() && matches!(base.scheme(), "http" | "https") => Ok(Self { base, down_until: Mutex::new(None) }),
            _ => Err(Trouble::permanent("read `endpoints`: each must be a URL like http://127.0.0.1:8000/v1".to_owned())),
        }
    }

    pub(super) fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path()));
        url
    }

    /// The base URL without user, password or query, which may be secrets.
    pub(super) fn name(&self) -> String {
        let port = self.base.port().map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}://{}{port}{}", self.base.scheme(), self.base.host_str().unwrap_or_default(), self.base.path().trim_end_matches('/'))
    }

    fn is_down(&self) -> bool {
        self.lock().is_some_and(|until| Instant::now() < until)
    }

    pub(super) fn mark_down(&self) {
        *self.lock() = Some(Instant::now() + DOWN);
    }

    pub(super) fn mark_up(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        // An instant cannot be left half written.
        self.down_until.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Uid;

    fn job(number: u32) -> JobId {
        JobId::of(&Uid("u".to_owned()), "seed", number)
    }

    #[test]
    fn a_job_keeps_to_its_endpoint_and_jobs_are_spread() {
        let pool = Pool::new(&["http://a/v1".into(), "http://b/v1".into(), "http://c/v1".into()]).expect("three URLs");
        let first = |job: &JobId| pool.order(job, 0)[0].name();
        let mut counts = std::collections::BTreeMap::<String, u32>::new();
        for number in 0..300 {
            assert_eq!(first(&job(number)), first(&job(number)));
            *counts.entry(first(&job(number))).or_default() += 1;
        }
        assert_eq!(counts.len(), 3);
        assert!(counts.values().all(|count| (60..140).contains(count)), "{counts:?}");
    }

    #[test]
    fn an_endpoint_that_is_down_is_asked_last() {
        let pool = Pool::new(&["http://a/v1".into(), "http://b/v1/".into()]).expect("two URLs");
        let own = pool.order(&job(1), 0)[0];
        own.mark_down();
        assert_eq!(pool.order(&job(1), 0)[1].name(), own.name());
        own.mark_up();
        assert_eq!(pool.order(&job(1), 0)[0].name(), own.name());
    }

    #[test]
    fn an_endpoint_is_named_without_its_secrets() {
        let endpoint = Endpoint::new("https://user:secret@host:8443/v1/?token=secret").expect("a URL");
        assert_eq!(endpoint.name(), "https://host:8443/v1");
    }
}
