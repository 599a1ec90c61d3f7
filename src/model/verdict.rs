//! What the filter says of a trajectory, and what is recorded of a job that failed for good.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Digest, JobId, JournalEntry, Trajectory, Usage};

/// What a finding does to the verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Rejects.
    Hard,
    /// Is noted.
    Note,
}

/// One rule's statement about one trajectory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// The rule's name, as in the campaign file.
    pub rule: String,
    /// Whether it rejects.
    pub severity: Severity,
    /// What was found, with the numbers that decided.
    pub message: String,
}

/// The judge's statement, its words kept whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JudgeReport {
    /// Which judge: a model's name, or `lexical`.
    pub judge: String,
    /// Digest of the rubric.
    pub rubric: Digest,
    /// Score between 0 and 1.
    pub score: f64,
    /// Whether the answer agrees with a reference answer; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correct: Option<bool>,
    /// The answer as the judge understood it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extracted_answer: Option<String>,
    /// The judge's own words, whole.
    pub words: String,
    /// How often what it was shown was halved, because its context is shorter.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub halvings: u32,
    /// What it cost.
    #[serde(default)]
    pub usage: Usage,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Accepted or rejected, with all findings and scores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// The decision.
    pub accepted: bool,
    /// Digest of the configuration of rules and judge.
    pub grade: Digest,
    /// All findings, in the order of the rules.
    pub findings: Vec<Finding>,
    /// Named scores, for reports and rewards.
    pub scores: BTreeMap<String, f64>,
    /// The judge's report; absent when a hard finding spared the judge, or there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judge: Option<JudgeReport>,
}

/// Verdict and trajectory as one archive object, so that they always belong together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VerdictObject {
    /// What the filter said.
    pub verdict: Verdict,
    /// Of what.
    pub trajectory: Trajectory,
}

/// A job that failed for good.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ended {
    /// The job.
    pub job_id: JobId,
    /// Its rank in the plan.
    pub rank: u64,
    /// The kind of failure, for `retry --kind`.
    pub kind: String,
    /// What happened, and what to do.
    pub message: String,
    /// Attempts spent.
    pub attempts: u32,
    /// The retry round in which it ended.
    pub round: u32,
    /// What was paid for.
    #[serde(default)]
    pub journal: Vec<JournalEntry>,
}
