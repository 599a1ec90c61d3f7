//! What travels through queues. Messages are small: they point into the archive, and carry the seed, unless it is large, so that a worker needs
//! no look-up.
//!
//! Order of one job's messages is (round, attempt, slice); a message below the highest ever claimed is stale and acknowledged unread.

use serde::{Deserialize, Serialize};

use crate::wire::WireError;
use crate::{Job, Seed, Uid, wire};

/// The version of the messages this build writes.
pub const MESSAGE_VERSION: u32 = 1;
/// Largest seed, as it is written in a message, that travels with its job.
const SEED_BYTES_MAX: usize = 32 << 10;

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
    /// The question. Absent where it is too large to travel: then it is read from the campaign's frozen seeds, at the number that the job's
    /// place says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<Seed>,
}

impl JobMessage {
    /// A message of this build for `job`, whose seed travels with it if it is small enough.
    ///
    /// # Errors
    /// When the seed cannot be written.
    pub fn new(uid: Uid, job: Job, step: Step, seed: Seed) -> Result<Self, WireError> {
        let is_small = wire::encode_message("a seed", &seed)?.len() <= SEED_BYTES_MAX;
        Ok(Self { version: MESSAGE_VERSION, uid, job, step, seed: is_small.then_some(seed) })
    }
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
        /// Where this message stands among the candidate's messages.
        #[serde(default)]
        step: Step,
    },
    /// A shard's last rank became terminal (or seems to have): look, and write its rows and index.
    Seal {
        /// [`MESSAGE_VERSION`] of the writer.
        version: u32,
        /// The campaign's identity.
        uid: Uid,
        /// The shard.
        shard: u64,
        /// Where this message stands among the seal's messages.
        #[serde(default)]
        step: Step,
    },
}

impl CandidateMessage {
    /// The first message of a candidate.
    pub fn candidate(uid: &Uid, job: Job) -> Self {
        Self::Candidate { version: MESSAGE_VERSION, uid: uid.clone(), job, step: Step::default() }
    }

    /// The first message that asks for a shard to be sealed.
    pub fn seal(uid: &Uid, shard: u64) -> Self {
        Self::Seal { version: MESSAGE_VERSION, uid: uid.clone(), shard, step: Step::default() }
    }

    /// The same message at another step.
    pub fn at(mut self, new: Step) -> Self {
        match &mut self {
            Self::Candidate { step, .. } | Self::Seal { step, .. } => *step = new,
        }
        self
    }

    /// Where it stands among the messages of the same work.
    pub fn step(&self) -> Step {
        match self {
            Self::Candidate { step, .. } | Self::Seal { step, .. } => *step,
        }
    }
}
