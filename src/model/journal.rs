//! The journal's noun: one fact that cannot be recomputed.
//!
//! A trajectory is a pure function of (job, corpus, journal). An entry is durable before anything acts on it and is keyed by where in the job
//! it was needed; it also names the digest of what was asked, so that a changed prompt, tool or corpus is a loud mismatch and never a
//! silent mixture of two runs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Completion, Digest};

/// Where in a job a fact was needed. Compares in the order in which one thread needs them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct JournalKey {
    /// Thread number within the trajectory; the judge's calls have [`JournalKey::JUDGE`].
    pub thread: u32,
    /// Turn within the thread, from 0.
    pub turn: u32,
    /// Call within the turn, from 0: a turn may ask more than once.
    pub call: u32,
}

impl JournalKey {
    /// The thread number of the judge, which is no thread of the trajectory.
    pub const JUDGE: u32 = u32::MAX;
}

/// One fact with its key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JournalEntry {
    /// Where it was needed.
    pub key: JournalKey,
    /// Digest of what was asked.
    pub request: Digest,
    /// What came back.
    pub fact: Fact,
}

/// What cannot be recomputed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", content = "value", rename_all = "snake_case")]
pub enum Fact {
    /// A model's answer.
    Completion(Box<Completion>),
    /// A decision that hung on a clock or on money.
    Decision(Decision),
    /// A provider's error that changed the path: the context was too long for the server, the content was withheld.
    ProviderError {
        /// Which kind, in the teacher's words.
        kind: String,
        /// The provider's message, bounded.
        message: String,
    },
}

/// A decision that a replay must repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Decision {
    /// How long the job had been worked on when the recipe asked whether its wall time was used up.
    Elapsed {
        /// Milliseconds, over all slices.
        busy_ms: u64,
    },
}
