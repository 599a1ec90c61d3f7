//! A shard's index: the one object that decides which rows count.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Digest, JobId, Uid, Usage};

/// How a rank became terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Terminal {
    /// In the accepted rows.
    Accepted,
    /// In the rejected rows.
    Rejected,
    /// Failed for good; no row.
    Failed,
    /// Not worth its cost: the samples of its seed before it were all right, or all wrong; no row.
    Spared,
}

/// Status of one rank of a shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RankStatus {
    /// The rank.
    pub rank: u64,
    /// Its job.
    pub job: JobId,
    /// How it ended.
    pub status: Terminal,
    /// Content digest of the row; absent for a job without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<Digest>,
    /// Whether its answer is right, where the judge could tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correct: Option<bool>,
}

/// The jobs of one shard that are spared: decided once, when all first samples of their seeds are terminal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Spared {
    /// How many samples of each seed were looked at.
    pub samples_first: u32,
    /// The jobs.
    pub jobs: Vec<JobId>,
}

/// One file of rows: zstd-compressed JSON lines in rank order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RowFile {
    /// Its name below the grade's folder, with its digest in it.
    pub path: String,
    /// Digest of the file's bytes.
    pub digest: Digest,
    /// Lines.
    pub rows: u64,
    /// Length in bytes.
    pub bytes: u64,
}

/// Jobs by how they ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Counts {
    /// Verdict: accepted.
    pub accepted: u64,
    /// Verdict: rejected.
    pub rejected: u64,
    /// Failed for good.
    pub failed: u64,
    /// Spared.
    #[serde(skip_serializing_if = "is_none_spared")]
    pub spared: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_none_spared(spared: &u64) -> bool {
    *spared == 0
}

impl Counts {
    /// Counts one more job.
    pub fn add(&mut self, status: Terminal) {
        match status {
            Terminal::Accepted => self.accepted += 1,
            Terminal::Rejected => self.rejected += 1,
            Terminal::Failed => self.failed += 1,
            Terminal::Spared => self.spared += 1,
        }
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.accepted + self.rejected + self.failed + self.spared
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.rejected += other.rejected;
        self.failed += other.failed;
        self.spared += other.spared;
    }
}

/// Sums over a shard's rows, so that a report needs no rows.
///
/// What was counted later than the rest is left out where it is 0, so that an older manifest is still written as it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Sums {
    /// Tokens and calls of the teacher.
    pub teacher: Usage,
    /// Tokens and calls of the judge.
    pub judge: Usage,
    /// Turns.
    pub turns: u64,
    /// Tool calls by tool.
    pub tool_calls: BTreeMap<String, u64>,
    /// Bytes of observations.
    pub observation_bytes: u64,
    /// Trajectories by outcome.
    pub outcomes: BTreeMap<String, u64>,
    /// Rejected trajectories by the first hard rule, or `judge`.
    pub rejected_by: BTreeMap<String, u64>,
    /// Failed jobs by kind.
    pub failed_by: BTreeMap<String, u64>,
    /// Rows whose seed has gold documents.
    pub with_gold: u64,
    /// Of these: a gold document was among search results.
    pub search_hit: u64,
    /// Of these: a gold document was opened.
    pub open_hit: u64,
    /// Gold documents of these rows.
    #[serde(skip_serializing_if = "is_zero")]
    pub gold_documents: u64,
    /// Of these: among search results.
    #[serde(skip_serializing_if = "is_zero")]
    pub gold_shown: u64,
    /// Of these: opened.
    #[serde(skip_serializing_if = "is_zero")]
    pub gold_opened: u64,
    /// Sum, over the rows with a gold document among search results, of the turn in which the first one was.
    #[serde(skip_serializing_if = "is_zero")]
    pub first_shown_turns: u64,
    /// How many rows that is the sum over.
    #[serde(skip_serializing_if = "is_zero")]
    pub first_shown_rows: u64,
    /// The same as `first_shown_turns` for opened ones.
    #[serde(skip_serializing_if = "is_zero")]
    pub first_opened_turns: u64,
    /// How many rows that is the sum over.
    #[serde(skip_serializing_if = "is_zero")]
    pub first_opened_rows: u64,
    /// Rows that the judge compared with a reference.
    pub judged: u64,
    /// Of these: right.
    pub correct: u64,
    /// Citations in accepted and rejected rows.
    pub citations: u64,
    /// Of these: page and lines were shown.
    pub citations_shown: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_zero(sum: &u64) -> bool {
    *sum == 0
}

impl Sums {
    /// The same as they were before recall and first hits were counted: what an index of that time has to be compared with.
    #[must_use]
    pub fn without_recall(self) -> Self {
        Self {
            gold_documents: 0,
            gold_shown: 0,
            gold_opened: 0,
            first_shown_turns: 0,
            first_shown_rows: 0,
            first_opened_turns: 0,
            first_opened_rows: 0,
            ..self
        }
    }
}

impl std::ops::AddAssign<&Sums> for Sums {
    fn add_assign(&mut self, other: &Sums) {
        fn merge(into: &mut BTreeMap<String, u64>, from: &BTreeMap<String, u64>) {
            for (key, n) in from {
                *into.entry(key.clone()).or_default() += n;
            }
        }
        self.teacher += other.teacher;
        self.judge += other.judge;
        self.turns += other.turns;
        merge(&mut self.tool_calls, &other.tool_calls);
        self.observation_bytes += other.observation_bytes;
        merge(&mut self.outcomes, &other.outcomes);
        merge(&mut self.rejected_by, &other.rejected_by);
        merge(&mut self.failed_by, &other.failed_by);
        self.with_gold += other.with_gold;
        self.search_hit += other.search_hit;
        self.open_hit += other.open_hit;
        self.gold_documents += other.gold_documents;
        self.gold_shown += other.gold_shown;
        self.gold_opened += other.gold_opened;
        self.first_shown_turns += other.first_shown_turns;
        self.first_shown_rows += other.first_shown_rows;
        self.first_opened_turns += other.first_opened_turns;
        self.first_opened_rows += other.first_opened_rows;
        self.judged += other.judged;
        self.correct += other.correct;
        self.citations += other.citations;
        self.citations_shown += other.citations_shown;
    }
}

/// The index of one shard. Written last; its rows count only through it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ShardIndex {
    /// Version of the format.
    pub schema_version: u32,
    /// The campaign's identity.
    pub uid: Uid,
    /// The grade's digest.
    pub grade: Digest,
    /// k.
    pub shard: u64,
    /// Every terminal rank, in rank order.
    pub ranks: Vec<RankStatus>,
    /// Accepted rows; absent when there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<RowFile>,
    /// Rejected rows; absent when there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected: Option<RowFile>,
    /// How many ended how.
    pub counts: Counts,
    /// Sums over the rows.
    pub sums: Sums,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_from_before_recall_was_counted_are_written_as_they_stand() {
        let older = r#""with_gold":4,"search_hit":3,"open_hit":2,"judged":0"#;
        let sums: Sums = serde_json::from_str(&format!("{{{older}}}")).expect("read");
        assert!(serde_json::to_string(&sums).expect("written").contains(older));
        let counted = Sums { gold_documents: 8, first_shown_turns: 5, first_shown_rows: 2, ..sums.clone() };
        assert!(serde_json::to_string(&counted).expect("written").contains("\"gold_documents\":8"));
        assert_eq!(counted.without_recall(), sums);
    }
}
