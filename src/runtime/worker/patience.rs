//! What the bench asks of queue, ledger and handler, patiently.
//!
//! Trouble with queue or ledger never loses a message: it is waited for while the shutdown lasts, and a message still in hand after that is
//! dropped unsettled, which brings it back. A panic of a handler is caught here and nowhere else.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::bench::Bench;
use super::counters::count;
use super::{Failure, FailureKind, Handler, Opened};
use crate::failpoint;
use crate::ledger::{Ask, Claim, LedgerError, WorkKey};
use crate::queue::{Delivery, QueueError, QueueName};
use crate::retry::{Policy, Tried, retry};
use futures::FutureExt;

const PANIC: &str = "panic";

impl<H: Handler> Bench<H> {
    pub(super) fn open(&self, delivery: &Delivery) -> Opened<H::Message> {
        let opened = catch_unwind(AssertUnwindSafe(|| self.handler.open(&delivery.body)));
        opened.unwrap_or_else(|panic| Opened::Unreadable(panic_text(&*panic)))
    }

    pub(super) async fn bury(&self, delivery: Delivery, reason: String) {
        tracing::warn!(queue = %self.from, reason, "a message goes to the dead queue");
        count(&self.counters.dead);
        self.settled(delivery.reject(reason).await);
    }

    pub(super) async fn park(&self, delivery: Delivery, reason: String) {
        tracing::warn!(queue = %self.from, reason, "a message waits for a worker of a later version");
        count(&self.counters.parked);
        self.settled(delivery.park(reason).await);
    }

    pub(super) async fn ack(&self, delivery: Delivery) {
        self.settled(delivery.ack().await);
        failpoint::hit("ack.after");
    }

    /// A message that could not be settled comes back, and is then known to be done, stale or unreadable.
    fn settled(&self, settled: Result<(), QueueError>) {
        if let Err(error) = settled {
            tracing::warn!(queue = %self.from, %error, "a message could not be settled; it comes back");
        }
    }

    pub(super) async fn claim(&self, key: &WorkKey, ask: Ask) -> Result<Claim, LedgerError> {
        retry(Policy::DEPENDENCY, self.shutdown.requested(), || async { self.ledger.claim(key, ask).await.map_err(ledger_tried) }).await
    }

    pub(super) async fn is_effected(&self, message: &H::Message) -> Result<bool, Failure> {
        retry(Policy::DEPENDENCY, self.shutdown.requested(), || async {
            self.guarded(self.handler.is_effected(message)).await.map_err(Failure::tried)
        })
        .await
    }

    /// Tells the ledger something, for as long as the shutdown lasts.
    pub(super) async fn told<F>(&self, tell: impl Fn() -> F) -> Result<(), LedgerError>
    where
        F: Future<Output = Result<(), LedgerError>>,
    {
        retry(Policy::DEPENDENCY, self.shutdown.expired(), || async { tell().await.map_err(ledger_tried) }).await
    }

    pub(super) async fn publish(&self, to: &QueueName, body: Vec<u8>, delay: Option<Duration>) -> Result<(), QueueError> {
        retry(Policy::DEPENDENCY, self.shutdown.expired(), || async {
            let published = match delay {
                None => self.queue.publish_urgent(to, body.clone()).await,
                Some(delay) => self.queue.publish_after(to, body.clone(), delay).await,
            };
            published.map_err(|error| match error {
                QueueError::Unreachable { .. } => Tried::again(error),
                QueueError::Closed { .. } | QueueError::Oversized { .. } | QueueError::Unusable { .. } => Tried::Stop(error),
            })
        })
        .await
    }

    /// Whether a transient failure is the job's own, and not that of something everybody needs.
    pub(super) async fn is_its_own(&self, failure: &Failure, key: &WorkKey, before: u64) -> bool {
        if failure.name == PANIC {
            return true;
        }
        // Whether few are left is only asked to end the waiting some day: who does not answer has not ended. A broker may know only what is
        // ready; the ledger knows what is held and what waits.
        let left = match (self.queue.depth(&self.from).await, self.ledger.standing().await) {
            (Ok(depth), Ok(standing)) => (depth.ready + depth.unacked + depth.delayed).max(standing.running + standing.yielded),
            _ => u64::MAX,
        };
        self.evidence.blames(key, before, left)
    }

    pub(super) async fn guarded<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|panic| {
            count(&self.counters.panics);
            let message = panic_text(&*panic);
            tracing::error!(message, "a handler panicked");
            Err(Failure { kind: FailureKind::Transient, name: PANIC, message, retry_after: None })
        })
    }
}

impl Failure {
    /// Whether the same call may succeed later. A panic is tried again as an attempt of its job, but not on the spot.
    pub(super) fn is_worth_waiting(&self) -> bool {
        matches!(self.kind, FailureKind::Transient | FailureKind::Outage) && self.name != PANIC
    }

    pub(super) fn tried(self) -> Tried<Self> {
        if self.is_worth_waiting() { Tried::Again { after: self.retry_after, error: self } } else { Tried::Stop(self) }
    }
}

fn ledger_tried(error: LedgerError) -> Tried<LedgerError> {
    match error {
        LedgerError::Unreachable { .. } => Tried::again(error),
        LedgerError::Locked { .. } | LedgerError::Unusable { .. } | LedgerError::Fenced { .. } | LedgerError::Damaged { .. } => {
            Tried::Stop(error)
        }
    }
}

/// Leaves a message unsettled: dropped, it comes back, here or elsewhere.
pub(super) fn leave(key: &WorkKey, delivery: Delivery, why: &dyn fmt::Display) {
    tracing::warn!(%key, error = %why, "the message is left unsettled and comes back");
    drop(delivery);
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("it panicked: {}", text.unwrap_or("without a message"))
}
