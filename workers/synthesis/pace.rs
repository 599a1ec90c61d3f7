//! When a job must hand itself on: its time slice is over, or the worker drains. Asked only between turns.
//!
//! This clock decides *where* a job runs, never *what* it does, so it needs no journal.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use runtime::Shutdown;
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
    before_ms: AtomicU64,
}

impl Pace {
    /// A slice that begins now.
    pub(crate) fn new(shutdown: Shutdown, slice: Duration) -> Self {
        Self { shutdown, began: Instant::now(), slice, before_ms: AtomicU64::new(0) }
    }

    /// Whether the job hands itself on instead of taking another turn.
    pub(crate) fn must_yield(&self) -> bool {
        self.shutdown.is_requested() || self.began.elapsed() >= self.slice
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
