//! The nouns of Sluice: what is on the wire, on disk and in a configuration file, as plain data.
//!
//! Serde types and pure functions only; nothing here opens a file, knows a clock or waits for anything. The words are those of the design
//! document, and one word means one thing: a *job* is one (campaign, seed, sample), a *trajectory* its closed record, a *verdict* what the
//! filter found, a *row* both together.

pub mod campaign;
pub mod completion;
pub mod dataset;
pub mod digest;
mod gold;
pub mod job;
pub mod journal;
pub mod layout;
pub mod protocol;
pub mod queue;
pub mod references;
pub mod repetition;
pub mod report;
pub mod row;
pub mod seed;
pub mod settings;
pub mod shard;
pub mod trajectory;
pub mod verdict;
pub mod wire;
pub mod written;

pub use campaign::{Campaign, Control, ControlState, Prompt, Revision};
pub use completion::{Completion, FinishReason, Message, Price, Role, Sampling, ToolCall, ToolDefinition, Usage};
pub use dataset::{Manifest, ManifestShard, Selection};
pub use digest::Digest;
pub use job::{Job, JobId, Place, Plan, Uid};
pub use journal::{Decision, Fact, JournalEntry, JournalKey};
pub use queue::{CandidateMessage, JobMessage, Step};
pub use row::Row;
pub use seed::Seed;
pub use settings::Settings;
pub use shard::{Counts, RankStatus, RowFile, ShardIndex, Spared, Terminal};
pub use trajectory::{
    Action, Attribution, Citation, GoldMet, Limit, Notice, NoticeKind, Observation, Outcome, Provenance, Retrieval, TeacherRecord, Thread,
    ThreadRole, Trajectory, Turn,
};
pub use verdict::{Ended, Finding, JudgeReport, Severity, Verdict, VerdictObject};
