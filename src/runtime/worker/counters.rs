//! What a worker has done so far, readable at any time by whoever shows progress.

use std::sync::atomic::{AtomicU64, Ordering};

/// One worker's counters. They only inform; nothing is decided by them.
#[derive(Debug, Default)]
pub struct Counters {
    pub(super) received: AtomicU64,
    pub(super) running: AtomicU64,
    pub(super) done: AtomicU64,
    pub(super) yielded: AtomicU64,
    pub(super) retried: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) outages: AtomicU64,
    pub(super) panics: AtomicU64,
    pub(super) spared: AtomicU64,
    pub(super) adopted: AtomicU64,
    pub(super) postponed: AtomicU64,
    pub(super) suspected: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) foreign: AtomicU64,
    pub(super) dead: AtomicU64,
    pub(super) parked: AtomicU64,
    pub(super) abandoned: AtomicU64,
}

/// [`Counters`] at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WorkerReport {
    /// Messages received.
    pub received: u64,
    /// Handlers at work now.
    pub running: u64,
    /// Work finished.
    pub done: u64,
    /// Work that handed itself on.
    pub yielded: u64,
    /// Next attempts published.
    pub retried: u64,
    /// Work given up, on record in the archive.
    pub failed: u64,
    /// Times that work waits for a dependency; no attempt was spent.
    pub outages: u64,
    /// Panics of handlers, caught.
    pub panics: u64,
    /// Messages whose work was done, stale or cancelled already.
    pub spared: u64,
    /// Second deliveries of work under way.
    pub adopted: u64,
    /// Messages put off because the campaign is paused or somebody else has the work.
    pub postponed: u64,
    /// Messages sent to the quarantine.
    pub suspected: u64,
    /// Work that a later claim took away.
    pub lost: u64,
    /// Messages of another campaign's uid.
    pub foreign: u64,
    /// Messages sent to the dead queue.
    pub dead: u64,
    /// Messages of a later version, set aside.
    pub parked: u64,
    /// Handlers cut off at the end of the drain; what they had in flight is wasted.
    pub abandoned: u64,
}

impl WorkerReport {
    /// Each number that only grows, by name.
    pub fn named(&self) -> [(&'static str, u64); 16] {
        [
            ("received", self.received),
            ("done", self.done),
            ("yielded", self.yielded),
            ("retried", self.retried),
            ("failed", self.failed),
            ("outages", self.outages),
            ("panics", self.panics),
            ("spared", self.spared),
            ("adopted", self.adopted),
            ("postponed", self.postponed),
            ("suspected", self.suspected),
            ("lost", self.lost),
            ("foreign", self.foreign),
            ("dead", self.dead),
            ("parked", self.parked),
            ("abandoned", self.abandoned),
        ]
    }

    /// Shows them as metrics of the campaign and role, by what they grew since `shown`: a worker that comes back to a campaign counts from 0
    /// again, and the process's own counters go on.
    pub fn show(&self, shown: &Self, campaign: &str, role: &'static str) {
        for ((outcome, count), (_, before)) in self.named().into_iter().zip(shown.named()) {
            metrics::counter!("sluice_messages_total", "campaign" => campaign.to_owned(), "role" => role, "outcome" => outcome)
                .increment(count.saturating_sub(before));
        }
        let running = u32::try_from(self.running).unwrap_or(u32::MAX);
        metrics::gauge!("sluice_running", "campaign" => campaign.to_owned(), "role" => role).set(running);
    }
}

impl Counters {
    /// What they say now.
    pub fn report(&self) -> WorkerReport {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        WorkerReport {
            received: read(&self.received),
            running: read(&self.running),
            done: read(&self.done),
            yielded: read(&self.yielded),
            retried: read(&self.retried),
            failed: read(&self.failed),
            outages: read(&self.outages),
            panics: read(&self.panics),
            spared: read(&self.spared),
            adopted: read(&self.adopted),
            postponed: read(&self.postponed),
            suspected: read(&self.suspected),
            lost: read(&self.lost),
            foreign: read(&self.foreign),
            dead: read(&self.dead),
            parked: read(&self.parked),
            abandoned: read(&self.abandoned),
        }
    }
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

pub(super) fn uncount(counter: &AtomicU64) {
    counter.fetch_sub(1, Ordering::Relaxed);
}
