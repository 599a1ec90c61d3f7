//! What travels through queues. Messages are small: they point into the archive, and carry the seed so that a worker needs no look-up.
//!
//! Order of one job's messages is (round, attempt, slice); a message below the highest ever claimed is stale and acknowledged unread.

use serde::{Deserialize, Serialize};

use crate::{Job, Seed, Uid};

/// The version of the messages this build writes.
pub const MESSAGE_VERSION: u32 = 1;

/// Where a job's message stands among all messages of that job; compares in reading order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Step {
    /// Raised by a person's retry of a failed job.
    pub round: u32,
    /// Raised by an automatic retry.
    pub attempt: u32,
    /// Raised each time the job hands itself on.
    pub slice: u32,
}

impl Step {
    /// The next automatic retry.
    pub fn next_attempt(self) -> Self {
        Self { attempt: self.attempt + 1, slice: 0, ..self }
    }

    /// The next time slice of the same attempt.
    pub fn next_slice(self) -> Self {
        Self { slice: self.slice + 1, ..self }
    }
}

/// A job to be synthesised.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobMessage {
    /// [`MESSAGE_VERSION`] of the writer.
    pub version: u32,
    /// The campaign's identity; a foreign one is acknowledged and counted.
    pub uid: Uid,
    /// The job.
    pub job: Job,
    /// Where this message stands among the job's messages.
    pub step: Step,
    /// The question.
    pub seed: Seed,
}

/// Work for a filter worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum CandidateMessage {
    /// A trajectory is durable and waits for its verdict.
    Candidate {
        /// [`MESSAGE_VERSION`] of the writer.
        version: u32,
        /// The campaign's identity.
        uid: Uid,
        /// The job.
        job: Job,
    },
    /// A shard's last rank became terminal (or seems to have): look, and write its rows and index.
    Seal {
        /// [`MESSAGE_VERSION`] of the writer.
        version: u32,
        /// The campaign's identity.
        uid: Uid,
        /// The shard.
        shard: u64,
    },
}
