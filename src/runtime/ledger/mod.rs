//! The ledger port: who holds which job, and the journal.
//!
//! A claim is one atomic step with a fencing epoch that only grows; everything a holder writes carries its epoch and is refused when a later
//! one exists. A ledger saves work and never carries correctness: all of it but the journal of unfinished jobs can be lost and rebuilt from
//! the archive.

use std::fmt;

use async_trait::async_trait;
use model::{ControlState, JobId, JournalEntry, Step};

pub mod embedded;

/// What is claimed: a job at one stage, or a shard to be sealed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WorkKey {
    /// A job to synthesise.
    Synthesis(JobId),
    /// A job to filter under the grade with this short digest.
    Filter(String, JobId),
    /// A shard to seal under the grade with this short digest.
    Seal(String, u64),
}

impl fmt::Display for WorkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Synthesis(job) => write!(f, "s/{job}"),
            Self::Filter(grade, job) => write!(f, "f/{grade}/{job}"),
            Self::Seal(grade, shard) => write!(f, "k/{grade}/{shard}"),
        }
    }
}

/// The right to work, until somebody claims with a higher epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// What is held.
    pub key: WorkKey,
    /// Fencing epoch: higher than that of every earlier holder.
    pub epoch: u64,
    /// The step that was claimed.
    pub step: Step,
}

/// What the ledger says to a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// Somebody finished it.
    Done,
    /// The campaign is cancelled.
    Cancelled,
    /// A later step was claimed already.
    Stale,
    /// The campaign is paused.
    Paused,
    /// This very process holds it: adopt the delivery, do not start again.
    Mine,
    /// Another holds it and is alive.
    Held,
    /// A process died and several could have killed it: only so many run at once until they show progress. Not now, but soon.
    Crowded,
    /// Suspected of killing workers too often: to the quarantine queue.
    Suspect,
    /// Taken: run.
    Taken(Lease),
    /// Taken, but it killed even the worker of the quarantine: give up on it, do not run. Only [`Ledger::claim_suspect`] says so.
    Poison(Lease),
}

/// Trouble with the ledger.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// It cannot be reached at the moment; nothing is lost, try again.
    #[error("reach the ledger: {reason}")]
    Unreachable {
        /// Why.
        reason: String,
    },
    /// Another process uses this campaign's embedded ledger.
    #[error("open the ledger {path}: {holder} holds it; one process runs a campaign at a time")]
    Locked {
        /// The ledger's folder.
        path: String,
        /// Who holds it, as it wrote.
        holder: String,
    },
    /// Somebody claimed with a higher epoch: stop working on it.
    #[error("write to the ledger: {key} was taken over by a later claim")]
    Fenced {
        /// What was held.
        key: String,
    },
    /// The stored bytes are not what we wrote.
    #[error("read the ledger: {what} is damaged: {reason}")]
    Damaged {
        /// Which part.
        what: String,
        /// Why.
        reason: String,
    },
}

/// Numbers for status and progress.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LedgerCounts {
    /// Claims held by a live process.
    pub running: u64,
    /// Jobs that handed themselves on and wait.
    pub yielded: u64,
}

/// The port.
#[async_trait]
pub trait Ledger: Send + Sync + 'static {
    /// Claims `key` at `step`, atomically.
    async fn claim(&self, key: &WorkKey, step: Step) -> Result<Claim, LedgerError>;

    /// As [`Ledger::claim`] for the one worker that serves the quarantine queue: suspicion does not keep it from taking.
    async fn claim_suspect(&self, key: &WorkKey, step: Step) -> Result<Claim, LedgerError>;

    /// Appends to the job's journal; durable when it returns. Fenced. After an error the entries may have been stored all the same, and
    /// come twice when they are appended again: a reader takes the first entry of a key.
    async fn append(&self, lease: &Lease, entries: Vec<JournalEntry>) -> Result<(), LedgerError>;

    /// The job's journal in the order it was written.
    async fn journal(&self, key: &WorkKey) -> Result<Vec<JournalEntry>, LedgerError>;

    /// Gives the lease back with the work unfinished: it yields or is tried again. Fenced; before the hand-on is published.
    /// Asked again by the same holder (an answer may be lost) it succeeds: only a later claim fences.
    async fn release(&self, lease: &Lease) -> Result<(), LedgerError>;

    /// Marks the work done and drops its journal: the effect is in the archive. Fenced, and repeatable as
    /// [`Ledger::release`]. A seal is dropped but never remembered as done, nor is its step: a
    /// shard is sealed again after a retry, by a message at the first step, and the archive's index decides.
    async fn finish(&self, lease: &Lease) -> Result<(), LedgerError>;

    /// Notes that `rank` of `shard` is terminal under `grade`; returns how many ranks of the shard are known to be. A hint: it may be too low after a loss, never too high.
    async fn note_terminal(&self, grade: &str, shard: u64, rank: u64) -> Result<u64, LedgerError>;

    /// What claims are told: running, paused or cancelled.
    async fn set_control(&self, state: ControlState) -> Result<(), LedgerError>;

    /// Whoever publishes again what is outstanding says so here: the archive has no effect of `key`, so it is not done, whatever is remembered
    /// (archive and ledger are synced apart, and a power loss may cost one of them more). Returns the highest step ever claimed: a message
    /// below it would be stale.
    async fn replan(&self, key: &WorkKey) -> Result<Step, LedgerError>;

    /// Forgets that `key` was done or suspected, for a retry by a person.
    async fn reopen(&self, key: &WorkKey) -> Result<(), LedgerError>;

    /// Numbers for status.
    async fn counts(&self) -> Result<LedgerCounts, LedgerError>;
}
