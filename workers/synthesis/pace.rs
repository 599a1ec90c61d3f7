//! When a job must hand itself on: its time slice is over, the worker drains, or the budget is spent. Asked only between turns.
//!
//! This clock decides *where* a job runs, never *what* it does, so it needs no journal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use runtime::Shutdown;
use teacher::Purse;
use tokio::time::Instant;

/// Longest slice: under the broker's 30-minute acknowledgement timeout, with room for one long completion.
pub(crate) const SLICE: Duration = Duration::from_secs(20 * 60);

/// The clock of one slice.
#[derive(Debug)]
pub(crate) struct Pace {
    shutdown: Shutdown,
    began: Instant,
    slice: Duration,
    /// Work of earlier slices, as far as the journal knows.
    before_ms: Arc<AtomicU64>,
    /// One of a group of threads cannot go on, so that none of them begins another turn.
    halted: Arc<AtomicBool>,
    /// What the campaign may still spend.
    purse: Arc<Purse>,
}

impl Pace {
    /// A slice that begins now.
    pub(crate) fn new(shutdown: Shutdown, slice: Duration, purse: Arc<Purse>) -> Self {
        Self { purse, shutdown, began: Instant::now(), slice, before_ms: Arc::default(), halted: Arc::default() }
    }

    /// The same clock for threads that run side by side and stop together.
    pub(crate) fn of_a_group(&self) -> Self {
        let Self { shutdown, began, slice, before_ms, purse, .. } = self;
        Self {
            shutdown: shutdown.clone(),
            began: *began,
            slice: *slice,
            before_ms: Arc::clone(before_ms),
            halted: Arc::default(),
            purse: Arc::clone(purse),
        }
    }

    /// One thread of the group cannot go on.
    pub(crate) fn halt(&self) {
        self.halted.store(true, Ordering::Relaxed);
    }

    /// Whether the job hands itself on instead of taking another turn.
    pub(crate) fn must_yield(&self) -> bool {
        self.halted.load(Ordering::Relaxed) || self.purse.is_empty() || self.shutdown.is_requested() || self.began.elapsed() >= self.slice
    }

    /// Milliseconds of work so far, earlier slices included.
    pub(crate) fn busy_ms(&self) -> u64 {
        let here = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.before_ms.load(Ordering::Relaxed).saturating_add(here)
    }

    /// The journal knows of `busy_ms` of work: earlier slices did what this one did not.
    pub(crate) fn at_least(&self, busy_ms: u64) {
        let here = self.busy_ms();
        if busy_ms > here {
            self.before_ms.fetch_add(busy_ms - here, Ordering::Relaxed);
        }
    }
}
