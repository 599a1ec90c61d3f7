//! The ledger port: who holds which job, and the journal.
//!
//! A claim is one atomic step with a fencing epoch that only grows; everything a holder writes carries its epoch and is refused when a later
//! one exists. A ledger saves work and never carries correctness: all of it but the journal of unfinished jobs can be lost and rebuilt from
//! the archive.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use model::{ControlState, Fact, JobId, JournalEntry, Step, Usage};

mod buckets;
pub mod embedded;
pub mod redis;

pub use buckets::Buckets;
pub use redis::{EndpointHealth, RedisSettings, Registered, Registry, Serving, WorkerStatus};

/// Whoever would have to wait longer than this for what it draws, has drawn nothing.
pub const DRAW_WAIT_MAX: Duration = Duration::from_secs(60);

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

/// What a claimant says of itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ask {
    /// Where the message stands among the messages of the same work.
    pub step: Step,
    /// It serves the quarantine queue: suspicion does not keep it from taking.
    pub is_quarantine: bool,
    /// It looked into the archive and found no effect of the work there.
    pub has_looked: bool,
}

impl From<Step> for Ask {
    fn from(step: Step) -> Self {
        Self { step, ..Self::default() }
    }
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
    /// The ledger is younger than the campaign and may have forgotten: look into the archive first, then ask again and say so.
    Unsure,
    /// Taken: run.
    Taken(Lease),
    /// Taken, but it killed even the worker of the quarantine: give up on it, do not run. Only those who serve the quarantine are told so.
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
    /// It cannot be used as it was named, and waiting does not help.
    #[error("use the ledger: {reason}")]
    Unusable {
        /// Why, and what to do.
        reason: String,
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

/// What the ledger knows of its campaign at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LedgerStanding {
    /// What claims are told; `None` when the ledger does not know the campaign, because it was lost or never told.
    pub control: Option<ControlState>,
    /// Whether it remembers everything since the campaign began, or was rebuilt from the archive.
    pub is_whole: bool,
    /// Claims held, by the living and by the dead whose work nobody took up yet.
    pub running: u64,
    /// Work that handed itself on and waits.
    pub yielded: u64,
    /// What all journaled completions cost, as far as it knows.
    pub usage: Usage,
    /// What came back too late to be journaled, because somebody had taken the work over, and, as calls without tokens, what was cut off in
    /// flight. Completions that a killed worker had in flight nobody knows of. The embedded ledger keeps no such count.
    pub wasted: Usage,
}

/// How far planned work had come, as the ledger remembers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Replanned {
    /// A step at which a message of it is not stale.
    pub step: Step,
    /// The ledger had it as done until now.
    pub was_done: bool,
}

/// What `entries` cost, all completions together.
pub(crate) fn cost_of(entries: &[JournalEntry]) -> Usage {
    let mut cost = Usage::default();
    for entry in entries {
        if let Fact::Completion(completion) = &entry.fact {
            cost += completion.usage;
        }
    }
    cost
}

/// The door to the Redis that `settings` name, with the ledgers of all campaigns behind it.
///
/// # Errors
/// When there is none, or it refuses us, saying what to do.
pub async fn connect(settings: RedisSettings) -> Result<Arc<Registry>, LedgerError> {
    Registry::connect(settings).await
}

/// The port: one campaign's ledger.
#[async_trait]
pub trait Ledger: Send + Sync + 'static {
    /// Claims `key`, atomically.
    async fn claim(&self, key: &WorkKey, ask: Ask) -> Result<Claim, LedgerError>;

    /// Appends to the job's journal; durable when it returns. Fenced. After an error the entries may have been stored all the same, and
    /// come twice when they are appended again: a reader takes the first entry of a key. Returns what the campaign spent in all by now.
    async fn append(&self, lease: &Lease, entries: Vec<JournalEntry>) -> Result<Usage, LedgerError>;

    /// The job's journal in the order it was written.
    async fn journal(&self, key: &WorkKey) -> Result<Vec<JournalEntry>, LedgerError>;

    /// Gives the lease back with the work unfinished: it yields or is tried again. Fenced; before the hand-on is published.
    /// Asked again by the same holder (an answer may be lost) it succeeds: only a later claim fences.
    async fn release(&self, lease: &Lease) -> Result<(), LedgerError>;

    /// As [`Ledger::release`], for work that was cut off: the completion it had in flight is counted as wasted, once.
    async fn abandon(&self, lease: &Lease) -> Result<(), LedgerError>;

    /// Marks the work done and drops its journal: the effect is in the archive. Fenced, and repeatable as
    /// [`Ledger::release`]. A seal is dropped but never remembered as done, nor is its step: a
    /// shard is sealed again after a retry, by a message at the first step, and the archive's index decides.
    async fn finish(&self, lease: &Lease) -> Result<(), LedgerError>;

    /// Notes that `ranks` of `shard` are terminal under `grade`; returns how many ranks of the shard are known to be. A hint: it may be too
    /// low after a loss, and is too high only when a terminal rank was opened again.
    async fn note_terminal(&self, grade: &str, shard: u64, ranks: &[u64]) -> Result<u64, LedgerError>;

    /// What claims are told: running, paused or cancelled. A ledger that did not know the campaign knows it from here on, but is not whole.
    async fn set_control(&self, state: ControlState) -> Result<(), LedgerError>;

    /// From here on the ledger is whole: the campaign begins just now, or everything that ended was noted again. `usage` is what is known
    /// to have been spent; what the ledger knows itself stands if it is more.
    async fn set_whole(&self, usage: Usage) -> Result<(), LedgerError>;

    /// Whoever rebuilds the ledger says: the archive has the effects of `keys`.
    async fn mark_done(&self, keys: &[WorkKey]) -> Result<(), LedgerError>;

    /// Whoever was delivered the message of `step` again and saw the effect of `key` in the archive says so: who held it at that step, and a
    /// message of it that waits, count no more. It is not remembered as done: a person's retry may be on its way. Nothing changes once a later
    /// step was claimed, and for what this very process works on it is not to be asked.
    async fn note_effect(&self, key: &WorkKey, step: Step) -> Result<(), LedgerError>;

    /// Whoever publishes again what is outstanding says so here: the archive had no effect of `keys`, so they are not done, whatever is
    /// remembered (archive and ledger are synced apart, and a power loss may cost one of them more). What was done until now may have ended
    /// since the archive was looked at; the caller looks again, and marks it done again if so.
    async fn replan(&self, keys: &[WorkKey]) -> Result<Vec<Replanned>, LedgerError>;

    /// Forgets that `key` was done or suspected, for a retry by a person.
    async fn reopen(&self, key: &WorkKey) -> Result<(), LedgerError>;

    /// Draws `amount` from the limit that is called `limit` and allows `per_minute`, shared by all workers, whatever they work on. Returns how long
    /// to wait until what was drawn may be used; more than [`DRAW_WAIT_MAX`] means that nothing was drawn, and that it may be asked for again
    /// after the difference. A limit is spent evenly and not saved up; an amount of any size is drawn whole, and paid for by those after it.
    /// What was drawn and not used is lost.
    async fn draw(&self, limit: &str, amount: u64, per_minute: u64) -> Result<Duration, LedgerError>;

    /// Numbers for status, and what claims are told.
    async fn standing(&self) -> Result<LedgerStanding, LedgerError>;

    /// Forgets the campaign: it is over.
    async fn forget(&self) -> Result<(), LedgerError>;
}
