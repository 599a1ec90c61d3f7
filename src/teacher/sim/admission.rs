//! Slots and the queue before them, as an inference server has them: who comes when all are taken waits in order, and goes when its client goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A slot; free again when it is dropped.
pub(super) type Slot = OwnedSemaphorePermit;

/// Who is let in.
pub(super) struct Admission {
    free: Arc<Semaphore>,
    slots: u32,
    waiting: AtomicU32,
    /// Most that wait.
    queue: u32,
}

impl Admission {
    pub(super) fn new(slots: u32, queue: u32) -> Self {
        // No machine has as many connections as a semaphore has permits.
        let free = Semaphore::new((slots as usize).min(Semaphore::MAX_PERMITS));
        Self { free: Arc::new(free), slots, waiting: AtomicU32::new(0), queue }
    }

    /// A slot, in the order of arrival; `None` when the queue is full. Dropping the future leaves the queue.
    pub(super) async fn enter(&self) -> Option<Slot> {
        // A slot that somebody waits for is never free, so nobody is overtaken here.
        if let Ok(slot) = Arc::clone(&self.free).try_acquire_owned() {
            return Some(slot);
        }
        let _place = Place::take(self)?;
        Arc::clone(&self.free).acquire_owned().await.ok()
    }

    /// Requests in a slot.
    pub(super) fn running(&self) -> u32 {
        let free = u32::try_from(self.free.available_permits()).unwrap_or(u32::MAX);
        self.slots.saturating_sub(free)
    }

    /// Requests in the queue.
    pub(super) fn waiting(&self) -> u32 {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// A place in the queue; free again when it is dropped.
struct Place<'a>(&'a Admission);

impl<'a> Place<'a> {
    fn take(of: &'a Admission) -> Option<Self> {
        let taken = of.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |waiting| (waiting < of.queue).then(|| waiting + 1));
        taken.ok().map(|_| Self(of))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
