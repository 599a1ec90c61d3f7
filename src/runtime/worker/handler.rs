//! What a kind of work is to the loop: how its messages are read, what is done with them, how a failure is put on record.
//!
//! A handler computes and makes effects durable; it never acknowledges, retries, claims or decides what happens next.

use std::time::Duration;

use async_trait::async_trait;
use model::{Step, Uid};

use crate::archive::ArchiveError;
use crate::ledger::{Lease, LedgerError, WorkKey};
use crate::queue::QueueError;
use crate::shutdown::Shutdown;

/// What a handler made of a message's bytes.
#[derive(Debug)]
pub enum Opened<M> {
    /// Work to claim.
    Work {
        /// What is claimed.
        key: WorkKey,
        /// Where the message stands among its job's messages.
        step: Step,
        /// The message.
        message: M,
    },
    /// A message of another campaign's uid: acknowledged and counted.
    Foreign(Uid),
    /// Of a version that this build does not read, with what it says: it waits for a worker that does.
    TooNew(String),
    /// Nobody can read it: to the dead queue with the reason.
    Unreadable(String),
}

/// What a handler tells the loop to do next. The effect is durable already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposition {
    /// Finished: mark done, acknowledge.
    Done,
    /// The job hands itself on: release, publish this continuation, acknowledge.
    Yield {
        /// The continuation message.
        continuation: Vec<u8>,
    },
    /// As [`Disposition::Yield`], because of an outage after which the message has to say something else than before. No success, and intake
    /// rests as in any outage.
    Outage {
        /// The continuation message.
        continuation: Vec<u8>,
    },
}

/// What kind of failure; decides what the loop does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// This job alone; try again later, a bounded number of times.
    Transient,
    /// A dependency is down: no attempt is spent, intake stops for a while, the job waits.
    Outage,
    /// Trying again does not help.
    Permanent,
    /// A later claim exists: somebody else does it; drop it quietly and acknowledge.
    Fenced,
}

/// A handler's failure.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What the loop does.
    pub kind: FailureKind,
    /// A short word for `ended` objects and counters, e.g. `bad_request`.
    pub name: &'static str,
    /// What happened, and what to do.
    pub message: String,
    /// How long to wait, where the other side said so.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A failure that trying again does not help.
    pub fn permanent(name: &'static str, message: impl Into<String>) -> Self {
        Self { kind: FailureKind::Permanent, name, message: message.into(), retry_after: None }
    }

    /// A failure of this work alone, worth trying again.
    pub fn transient(name: &'static str, message: impl Into<String>) -> Self {
        Self { kind: FailureKind::Transient, name, message: message.into(), retry_after: None }
    }

    /// A dependency is down.
    pub fn outage(name: &'static str, message: impl Into<String>) -> Self {
        Self { kind: FailureKind::Outage, name, message: message.into(), retry_after: None }
    }
}

impl From<ArchiveError> for Failure {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Refused { .. } => Self::permanent("archive_refused", error.to_string()),
            // An archive that cannot be used at all may be mended too: no job is failed by it.
            ArchiveError::Unavailable { .. } | ArchiveError::Unusable { .. } | ArchiveError::File { .. } => {
                Self::outage("archive_outage", error.to_string())
            }
        }
    }
}

impl From<QueueError> for Failure {
    fn from(error: QueueError) -> Self {
        match error {
            QueueError::Oversized { .. } => Self::permanent("message_oversized", error.to_string()),
            QueueError::Unreachable { .. } | QueueError::Closed { .. } | QueueError::Unusable { .. } => {
                Self::outage("queue_outage", error.to_string())
            }
        }
    }
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Fenced { .. } => Self { kind: FailureKind::Fenced, name: "fenced", message: error.to_string(), retry_after: None },
            LedgerError::Damaged { .. } => Self::permanent("journal_damaged", error.to_string()),
            LedgerError::Unreachable { .. } | LedgerError::Locked { .. } | LedgerError::Unusable { .. } => {
                Self::outage("ledger_outage", error.to_string())
            }
        }
    }
}

/// What a handler may know of the loop it runs in.
#[derive(Debug, Clone)]
pub struct Context {
    /// Asked to stop? No new completion starts after that.
    pub shutdown: Shutdown,
    /// The worker's id, for provenance.
    pub worker: String,
    /// The message was delivered before, or the ledger may have forgotten: what the archive keeps of unfinished work is to be looked for.
    pub is_second_hand: bool,
}

/// What a job means.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// The message.
    type Message: Clone + Send + Sync + 'static;

    /// Reads a message.
    fn open(&self, body: &[u8]) -> Opened<Self::Message>;

    /// Whether the archive already has the effect, or a later one; asked before a redelivered message's work is started, and where the
    /// ledger may have forgotten. `true` means that what follows was published too.
    async fn is_effected(&self, message: &Self::Message) -> Result<bool, Failure>;

    /// Does the work. Everything durable happens in here, in the order of effects.
    async fn handle(&self, message: Self::Message, lease: &Lease, context: &Context) -> Result<Disposition, Failure>;

    /// The same message as its next attempt.
    fn next_attempt(&self, message: &Self::Message) -> Vec<u8>;

    /// Records that the work failed for good. Durable when it returns.
    async fn give_up(&self, message: &Self::Message, lease: &Lease, failure: &Failure) -> Result<(), Failure>;
}
