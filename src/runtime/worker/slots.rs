//! How much a worker may have under way: its own share, which may change while it runs, under a bound that it has in common with the other
//! workers of its process.
//!
//! The share is what the broker is asked for, so that what it counts as unacknowledged is what runs. The common bound is taken by a message
//! that has arrived: a worker whose queue is empty keeps nothing from the others.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// A worker's slots.
#[derive(Debug, Clone)]
pub struct Slots {
    share: watch::Receiver<usize>,
    common: Arc<Semaphore>,
}

impl Slots {
    /// `count` slots for ever, shared with nobody; at least one.
    pub fn fixed(count: usize) -> Self {
        let (_, share) = watch::channel(count.max(1));
        Self { share, common: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)) }
    }

    /// As many as `share` says at the moment, and no more than `common` has left.
    pub fn shared(share: watch::Receiver<usize>, common: Arc<Semaphore>) -> Self {
        Self { share, common }
    }

    /// One at a time, under the same common bound: whoever else works in this process waits meanwhile.
    pub(super) fn one_at_a_time(&self) -> Self {
        Self { common: Arc::clone(&self.common), ..Self::fixed(1) }
    }

    /// The share at this moment; with none, nothing is taken.
    pub(super) fn share(&self) -> usize {
        *self.share.borrow()
    }

    /// Returns when the share is another than `known`; never, once nobody can change it any more.
    pub(super) async fn differs(&self, known: usize) {
        let mut share = self.share.clone();
        if share.wait_for(|share| *share != known).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// One of the common slots, for as long as it is held.
    pub(super) async fn one(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed: whoever asks waits or gets one.
        Arc::clone(&self.common).acquire_owned().await.ok()
    }
}
