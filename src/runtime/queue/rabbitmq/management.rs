//! The broker's management API: depths with what is unacknowledged, and the policies that hold what may be tuned.
//!
//! Everything here is an addition. Without an address for it, or while nobody answers there, depths know only what is ready; delivery limits
//! are then the broker's own.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, StatusCode, Url};
use serde::Deserialize;
use tokio::time::Instant;

use super::meters;
use super::topology::is_delay_queue;
use crate::queue::{Depth, QueueError, QueueName};

const CONNECT_MAX: Duration = Duration::from_secs(5);
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// How long it is left alone after it did not answer: what it would add is not worth such a wait for each campaign.
const REST: Duration = Duration::from_secs(30);
/// A campaign has eleven queues; a page holds them with room to spare.
const PAGE: &str = "100";

/// Name, pattern and delivery limit of each policy. A message that nobody settles leaves a work queue in the end, because each crash of a
/// worker counts against all it held; one that was set aside stays, because there is nowhere better.
const POLICIES: [(&str, &str, u32); 2] = [
    ("sluice-limits", r"^(jobs|candidates|quarantine|quarantine-candidates)\.", 50),
    ("sluice-keeps", r"^((dead|parked)\.|sluice\.unroutable$)", 1_000_000),
];

/// The API of one broker, for one virtual host.
pub(super) struct Management {
    client: Client,
    base: Url,
    vhost: String,
    /// Until when it is left alone; `None` while it answers.
    rests_until: Mutex<Option<Instant>>,
}

impl fmt::Debug for Management {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Management").field("place", &self.place()).field("vhost", &self.vhost).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Listed>,
}

/// A queue; the counts are missing until the broker has counted.
#[derive(Deserialize)]
struct Listed {
    name: String,
    #[serde(default)]
    messages_ready: u64,
    #[serde(default)]
    messages_unacknowledged: u64,
}

impl Management {
    /// Of the API at `url`, which may carry user and password. Opens no connection.
    pub(super) fn new(url: &str, vhost: &str) -> Result<Self, QueueError> {
        if rustls::crypto::ring::default_provider().install_default().is_err() {
            tracing::trace!("a TLS provider was installed already");
        }
        let unusable = |reason: String| QueueError::Unusable { queue: "management API".into(), reason };
        let base = Url::parse(url).ok().filter(|url| !url.cannot_be_a_base() && url.scheme().starts_with("http"));
        let base = base.ok_or_else(|| unusable("its address is not of the form http[s]://user:password@host:port".into()))?;
        let client = Client::builder().connect_timeout(CONNECT_MAX).timeout(ANSWER_MAX).build();
        let client = client.map_err(|error| unusable(format!("HTTP cannot be set up: {error}")))?;
        Ok(Self { client, base, vhost: vhost.to_owned(), rests_until: Mutex::default() })
    }

    /// As [`Management::depths`]; `None` when it does not answer, which is said once.
    pub(super) async fn depths_if_it_answers(&self, campaign: &str) -> Option<HashMap<QueueName, Depth>> {
        let rests_until = *self.rests_until();
        if rests_until.is_some_and(|until| until > Instant::now()) {
            return None;
        }
        let asked = self.depths(campaign).await;
        let is_known = self.rests_until().is_some();
        match asked {
            Ok(found) => {
                *self.rests_until() = None;
                if is_known {
                    tracing::info!("the management API answers again");
                }
                Some(found)
            }
            Err(error) => {
                *self.rests_until() = Some(Instant::now() + REST);
                if !is_known {
                    tracing::warn!(%error, "the broker itself is asked how full queues are, and does not say what is unacknowledged");
                }
                None
            }
        }
    }

    fn rests_until(&self) -> MutexGuard<'_, Option<Instant>> {
        self.rests_until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How full the queues of `campaign` are that exist. What is delayed is counted for the campaign and said of each.
    async fn depths(&self, campaign: &str) -> Result<HashMap<QueueName, Depth>, QueueError> {
        let mut url = self.url(&["queues", &self.vhost]);
        let pattern = format!(r"^[a-z-]+\.{}(\.[0-9]+)?$", escaped(campaign));
        url.query_pairs_mut()
            .extend_pairs([("page", "1"), ("page_size", PAGE), ("use_regex", "true"), ("name", pattern.as_str())])
            // Counts without rates: the rest is many times as dear.
            .extend_pairs([("disable_stats", "true"), ("enable_queue_totals", "true")]);
        let queue = format!("*.{campaign}");
        let answer = self.send(&queue, self.client.request(Method::GET, url)).await?;
        let page: Page = answer.json().await.map_err(|error| self.unreachable(&queue, &error))?;
        let delayed = page.items.iter().filter(|listed| is_delay_queue(&listed.name, campaign)).map(Listed::messages).sum();
        let named = page.items.iter().filter_map(|listed| {
            let queue = QueueName::parse(&listed.name).filter(|queue| queue.campaign() == campaign)?;
            Some((queue, Depth { ready: listed.messages_ready, unacked: listed.messages_unacknowledged, delayed }))
        });
        Ok(named.collect())
    }

    /// Puts our policies.
    pub(super) async fn put_policies(&self) -> Result<(), QueueError> {
        for (name, pattern, limit) in POLICIES {
            let policy = serde_json::json!({
                "pattern": pattern, "apply-to": "queues", "priority": 0, "definition": {"delivery-limit": limit},
            });
            let request = self.client.request(Method::PUT, self.url(&["policies", &self.vhost, name])).json(&policy);
            self.send(name, request).await?;
        }
        Ok(())
    }

    async fn send(&self, queue: &str, request: RequestBuilder) -> Result<reqwest::Response, QueueError> {
        let began = Instant::now();
        let answer = request.send().await;
        meters::asked("management", began.elapsed());
        let answer = answer.map_err(|error| self.unreachable(queue, &error))?;
        let (place, status) = (self.place(), answer.status());
        let queue = queue.to_owned();
        match status {
            status if status.is_success() => Ok(answer),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(QueueError::Unusable {
                queue,
                reason: format!(
                    "the management API at {place} says {status}; check name, password and that the user has the tag monitoring"
                ),
            }),
            status => Err(QueueError::Unreachable { queue, reason: format!("the management API at {place} says {status}") }),
        }
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("api").extend(path);
        }
        url
    }

    fn place(&self) -> String {
        format!("{}:{}", self.base.host_str().unwrap_or_default(), self.base.port_or_known_default().unwrap_or_default())
    }

    fn unreachable(&self, queue: &str, error: &reqwest::Error) -> QueueError {
        // The client's own text may contain the address with its password.
        let what = if error.is_timeout() {
            "did not answer in time"
        } else if error.is_connect() {
            "cannot be connected to"
        } else {
            "broke off or said something else than expected"
        };
        QueueError::Unreachable { queue: queue.to_owned(), reason: format!("the management API at {} {what}", self.place()) }
    }
}

impl Listed {
    fn messages(&self) -> u64 {
        self.messages_ready + self.messages_unacknowledged
    }
}

/// `text` as a pattern that matches itself.
fn escaped(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for character in text.chars() {
        if !character.is_alphanumeric() && character != '-' {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_built_with_the_virtual_host_as_one_segment_and_shown_without_a_password() {
        let management = Management::new("http://worker:hunter2@broker:15672/", "/").expect("an address");
        let url = management.url(&["queues", &management.vhost]);
        assert_eq!(url.path(), "/api/queues/%2F");
        assert_eq!(management.place(), "broker:15672");
        assert!(!format!("{management:?}").contains("hunter2"));
    }

    #[tokio::test]
    async fn an_api_that_does_not_answer_is_left_alone_for_a_while() {
        let management = Management::new("http://127.0.0.1:1", "/").expect("an address");
        assert_eq!(management.depths_if_it_answers("c").await, None);
        let rests_until = *management.rests_until();
        assert!(rests_until.is_some_and(|until| until > Instant::now()));
    }

    #[test]
    fn what_is_no_address_is_refused_without_repeating_it() {
        for url in ["amqp://guest:hunter2@h", "hunter2", "http:hunter2 2", ""] {
            let error = Management::new(url, "/").expect_err("no address").to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
