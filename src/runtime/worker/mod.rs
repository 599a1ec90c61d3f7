//! The worker loop: permit → receive → claim → handle → settle. The same loop drives synthesis and filter, on every adapter.
//!
//! This file takes messages and ends well; `bench.rs` decides what becomes of one message; a [`Handler`] computes. On a shutdown no message
//! is taken any more, handlers are expected to yield, and what has not by the deadline is cut off: its message comes back, its lease is
//! given back, and what it had in flight is wasted.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
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
#[cfg(test)]
mod tests;

use bench::Bench;
pub use counters::{Counters, WorkerReport};
pub use handler::{Context, Disposition, Failure, FailureKind, Handler, Opened};

/// Time between the end of one subscription and the next.
const RESUBSCRIBE: Duration = Duration::from_millis(200);
/// Time for cut-off handlers to notice and for their leases to be given back.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What one worker does.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// The queue it serves. A quarantine is served one message at a time, by claims that heed no suspicion.
    pub from: QueueName,
    /// Handlers at work at once, at least one.
    pub concurrency: usize,
    /// The worker's id, for provenance.
    pub worker: String,
}

/// A worker, ready to run.
#[derive(Debug)]
pub struct Worker<H: Handler> {
    bench: Arc<Bench<H>>,
    concurrency: usize,
}

impl<H: Handler> Worker<H> {
    /// A worker that has `handler` do what `queue` brings, as far as `ledger` lets it.
    pub fn new(handler: Arc<H>, queue: Arc<dyn Queue>, ledger: Arc<dyn Ledger>, settings: WorkerSettings, shutdown: Shutdown) -> Self {
        let concurrency = if settings.from.is_quarantine() { 1 } else { settings.concurrency.max(1) };
        Self { bench: Arc::new(Bench::new(handler, queue, ledger, settings, shutdown)), concurrency }
    }

    /// Its counters, to be read while it runs.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.bench.counters)
    }

    /// Works until the shutdown, then drains.
    ///
    /// # Errors
    /// When the queue is closed for good. A queue out of reach is waited for.
    pub async fn run(self) -> Result<WorkerReport, QueueError> {
        let permits = Arc::new(Semaphore::new(self.concurrency));
        let mut subscription = None;
        let mut tasks = JoinSet::new();
        let ended = loop {
            let taken = tokio::select! {
                biased;
                () = self.bench.shutdown.requested() => break Ok(()),
                taken = self.take(&permits, &mut subscription) => taken,
            };
            while let Some(ended) = tasks.try_join_next() {
                self.note_end(ended).await;
            }
            match taken {
                Ok((delivery, permit)) => {
                    let bench = Arc::clone(&self.bench);
                    tasks.spawn(async move {
                        bench.serve(delivery).await;
                        drop(permit);
                    });
                }
                Err(error) => break Err(error),
            }
        };
        drop(subscription);
        if ended.is_err() {
            self.bench.shutdown.request();
        }
        self.drain(tasks).await;
        ended.map(|()| self.bench.counters.report())
    }

    /// A delivery and the right to work on it. Dropping this future loses nothing: a delivery in it comes back.
    async fn take(
        &self,
        permits: &Arc<Semaphore>,
        subscription: &mut Option<Subscription>,
    ) -> Result<(Delivery, OwnedSemaphorePermit), QueueError> {
        let closed = || QueueError::Closed { queue: self.bench.from.to_string() };
        let permit = Arc::clone(permits).acquire_owned().await.map_err(|_| closed())?;
        loop {
            if !self.bench.gate.is_open() {
                // Others may work meanwhile: what is buffered for us comes back.
                *subscription = None;
                self.bench.gate.open().await;
            }
            let receiving = match subscription {
                Some(receiving) => receiving,
                None => subscription.insert(self.subscribe().await?),
            };
            match receiving.next().await {
                Some(delivery) if self.bench.gate.is_open() => return Ok((delivery, permit)),
                // The gate closed while we waited.
                Some(delivery) => drop(delivery),
                None => {
                    *subscription = None;
                    tokio::time::sleep(RESUBSCRIBE).await;
                }
            }
        }
    }

    async fn subscribe(&self) -> Result<Subscription, QueueError> {
        // No end of its own: the caller stops waiting when the shutdown begins.
        retry(Policy::DEPENDENCY, std::future::pending(), || async {
            self.bench.queue.subscribe(&self.bench.from, self.concurrency).await.map_err(|error| match error {
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
