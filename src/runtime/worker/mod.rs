//! The worker loop: slot → receive → claim → handle → settle. The same loop drives synthesis and filter, on every adapter.
//!
//! This file takes messages and ends well; `bench.rs` decides what becomes of one message; a [`Handler`] computes. On a shutdown no message
//! is taken any more, handlers are expected to yield, and what has not by the deadline is cut off: its message comes back, its lease is
//! given back, and what it had in flight is wasted.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::task::{JoinError, JoinSet};

use crate::ledger::Ledger;
use crate::queue::{Delivery, Queue, QueueError, QueueName, Subscription};
use crate::retry::{Policy, Tried, retry};
use crate::shutdown::Shutdown;

mod bench;
mod counters;
mod end;
mod evidence;
mod gate;
mod handler;
mod held;
mod patience;
mod slots;
#[cfg(test)]
mod tests;

use bench::Bench;
pub use counters::{Counters, WorkerReport};
pub use handler::{Context, Disposition, Failure, FailureKind, Handler, Opened};
pub use held::Holds;
pub use slots::Slots;

/// Time between the end of one subscription and the next.
const RESUBSCRIBE: Duration = Duration::from_millis(200);
/// Time for cut-off handlers to notice and for their leases to be given back.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What one worker does.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// The queue it serves. A quarantine is served one message at a time, by claims that heed no suspicion.
    pub from: QueueName,
    /// How many handlers are at work at once.
    pub slots: Slots,
    /// The worker's id, for provenance.
    pub worker: String,
}

/// A worker, ready to run.
#[derive(Debug)]
pub struct Worker<H: Handler> {
    bench: Arc<Bench<H>>,
    slots: Slots,
}

/// What a worker does next.
enum Next {
    /// Serve this, in this one of the common slots.
    Message(Delivery, Option<OwnedSemaphorePermit>),
    /// Nothing: it has more slots or fewer.
    OtherShare,
    /// End, for it was asked to.
    Stop,
    /// End, for the queue cannot be used.
    Failed(QueueError),
}

/// A subscription, the share of slots it was made for, and how many of them it got: work that came over an earlier one has the others.
struct Receiving {
    subscription: Subscription,
    share: usize,
    slots: usize,
    /// One more is held by each task whose message came over it.
    running: Arc<()>,
}

impl Receiving {
    /// Of `tasks` under way, how many came over an earlier subscription. Their deliveries are unacknowledged too.
    fn earlier(receiving: Option<&Self>, tasks: usize) -> usize {
        tasks - receiving.map_or(0, |receiving| Arc::strong_count(&receiving.running) - 1).min(tasks)
    }

    /// Whether one made now would get another share, or enough more slots. Not for each single slot: what is buffered goes back, and comes
    /// marked as delivered before.
    fn is_outgrown(&self, share: usize, tasks: usize) -> bool {
        let earlier = Self::earlier(Some(self), tasks);
        let gained = share.saturating_sub(earlier + self.slots);
        self.share != share || (gained > 0 && (gained >= share.div_ceil(4) || earlier == 0))
    }
}

impl<H: Handler> Worker<H> {
    /// A worker that has `handler` do what `queue` brings, as far as `ledger` lets it.
    pub fn new(handler: Arc<H>, queue: Arc<dyn Queue>, ledger: Arc<dyn Ledger>, settings: WorkerSettings, shutdown: Shutdown) -> Self {
        let slots = if settings.from.is_quarantine() { settings.slots.one_at_a_time() } else { settings.slots.clone() };
        Self { bench: Arc::new(Bench::new(handler, queue, ledger, settings, shutdown)), slots }
    }

    /// Its counters, to be read while it runs.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.bench.counters)
    }

    /// What it holds at any moment, to be read while it runs.
    pub fn holds(&self) -> Holds {
        Holds(Arc::clone(&self.bench.held))
    }

    /// Works until the shutdown, then drains.
    ///
    /// # Errors
    /// When the queue is closed for good, or the broker refuses us. A queue out of reach is waited for.
    pub async fn run(self) -> Result<WorkerReport, QueueError> {
        let mut receiving = None;
        let mut tasks = JoinSet::new();
        let ended = loop {
            match self.next(&mut receiving, &mut tasks).await {
                Next::Message(delivery, slot) => {
                    let bench = Arc::clone(&self.bench);
                    let running = receiving.as_ref().map(|receiving: &Receiving| Arc::clone(&receiving.running));
                    tasks.spawn(async move {
                        bench.serve(delivery).await;
                        drop((slot, running));
                    });
                }
                Next::OtherShare => {}
                Next::Stop => break Ok(()),
                Next::Failed(error) => break Err(error),
            }
        };
        drop(receiving);
        if ended.is_err() {
            self.bench.shutdown.request();
        }
        self.drain(tasks).await;
        ended.map(|()| self.bench.counters.report())
    }

    /// What to do next. Work that ends meanwhile is noted, and the wait for a message goes on undisturbed.
    async fn next(&self, receiving: &mut Option<Receiving>, tasks: &mut JoinSet<()>) -> Next {
        let share = self.slots.share();
        if share == 0 {
            // What is buffered for us others may have.
            *receiving = None;
        }
        let earlier = Receiving::earlier(receiving.as_ref(), tasks.len());
        let take = self.take(receiving, share, tasks.len());
        tokio::pin!(take);
        loop {
            tokio::select! {
                biased;
                () = self.bench.shutdown.requested() => return Next::Stop,
                Some(ended) = tasks.join_next() => {
                    self.note_end(ended).await;
                    // The subscription may have its slot now.
                    if earlier > 0 {
                        return Next::OtherShare;
                    }
                }
                () = self.slots.differs(share) => return Next::OtherShare,
                taken = &mut take, if tasks.len() < share => return match taken {
                    Ok((delivery, slot)) => Next::Message(delivery, slot),
                    Err(error) => Next::Failed(error),
                },
            }
        }
    }

    /// A delivery and the right to work on it, while `tasks` are under way. Dropping this future loses nothing: a delivery in it comes back.
    async fn take(
        &self,
        receiving: &mut Option<Receiving>,
        share: usize,
        tasks: usize,
    ) -> Result<(Delivery, Option<OwnedSemaphorePermit>), QueueError> {
        loop {
            if !self.bench.gate.is_open() {
                // Others may work meanwhile: what is buffered for us comes back.
                *receiving = None;
                self.bench.gate.open().await;
            }
            if receiving.as_ref().is_some_and(|receiving| receiving.is_outgrown(share, tasks)) {
                *receiving = None;
            }
            let from = match receiving {
                Some(from) => from,
                None => {
                    // What runs is unacknowledged at the broker over the subscriptions it came by.
                    let slots = share.saturating_sub(tasks).max(1);
                    let subscription = self.subscribe(slots).await?;
                    receiving.insert(Receiving { subscription, share, slots, running: Arc::new(()) })
                }
            };
            match from.subscription.next().await {
                Some(delivery) => {
                    let permit = self.slots.one().await;
                    if self.bench.gate.is_open() {
                        return Ok((delivery, permit));
                    }
                    // The gate closed while we waited.
                    drop(delivery);
                }
                None => {
                    *receiving = None;
                    tokio::time::sleep(RESUBSCRIBE).await;
                }
            }
        }
    }

    async fn subscribe(&self, slots: usize) -> Result<Subscription, QueueError> {
        // No end of its own: the caller stops waiting when the shutdown begins.
        retry(Policy::DEPENDENCY, std::future::pending(), || async {
            self.bench.queue.subscribe(&self.bench.from, slots).await.map_err(|error| match error {
                QueueError::Unreachable { .. } => Tried::again(error),
                QueueError::Closed { .. } | QueueError::Oversized { .. } | QueueError::Unusable { .. } => Tried::Stop(error),
            })
        })
        .await
    }

    async fn drain(&self, mut tasks: JoinSet<()>) {
        let all_ended = async {
            while let Some(ended) = tasks.join_next().await {
                self.note_end(ended).await;
            }
        };
        tokio::select! {
            biased;
            () = all_ended => return,
            () = self.bench.shutdown.expired() => {}
        }
        tasks.abort_all();
        let last_words = async {
            while let Some(ended) = tasks.join_next().await {
                self.note_end(ended).await;
            }
            self.bench.give_back_abandoned().await;
        };
        if tokio::time::timeout(LAST_WORDS, last_words).await.is_err() {
            tracing::warn!("some handlers did not stop; their work is taken up again by whoever comes next");
        }
    }

    async fn note_end(&self, ended: Result<(), JoinError>) {
        match ended {
            Ok(()) => {}
            Err(error) if error.is_cancelled() => counters::count(&self.bench.counters.abandoned),
            Err(error) => {
                // Handlers' panics are caught where they are called, so this is the loop's own.
                tracing::error!(%error, "the worker loop panicked over one message");
                self.bench.give_back_abandoned().await;
            }
        }
    }
}
