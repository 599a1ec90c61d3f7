//! Notices a subscription that brings nothing although its queue has messages and it has free slots.
//!
//! That is a fault of broker or client which nothing announces; without this a worker would idle for good. A queue that is empty, a
//! subscription that is full and a broker that cannot be asked are no reason to bark.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::link::Link;
use super::meters;

/// How long nothing may come.
const QUIET_MAX: Duration = Duration::from_secs(60);
/// Between questions to the broker.
const ASK_EVERY: Duration = Duration::from_secs(15);
/// How long a question may take.
const ASK_MAX: Duration = Duration::from_secs(5);

/// The watch over one subscription.
pub(super) struct Watchdog {
    quiet_since: Instant,
    asked: Instant,
}

impl Watchdog {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self { quiet_since: now, asked: now }
    }

    /// All is well at this moment: something came, or there is no room for it.
    pub(super) fn content(&mut self) {
        self.quiet_since = Instant::now();
    }

    /// Whether the subscription to `queue` is silent for no good reason.
    pub(super) async fn is_silent(&mut self, link: &Link, queue: &str) -> bool {
        if self.quiet_since.elapsed() < QUIET_MAX || self.asked.elapsed() < ASK_EVERY {
            return false;
        }
        self.asked = Instant::now();
        let Some(live) = link.standing() else { return false };
        let Ok(Ok(Some(ready))) = timeout(ASK_MAX, live.ready(queue)).await else { return false };
        if ready == 0 {
            return false;
        }
        meters::silent();
        tracing::warn!(queue, ready, quiet_s = self.quiet_since.elapsed().as_secs(), "a subscription is silent; it is made anew");
        true
    }
}
