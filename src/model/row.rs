//! A row: one trajectory with its verdict, as it stands in a data set.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Citation, Digest, GoldMet, JobId, Limit, Outcome, Provenance, Seed, TeacherRecord, Thread, Trajectory, Usage, Verdict, VerdictObject,
};

/// One line of a row file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Row {
    /// Version of the format.
    pub schema_version: u32,
    /// The job.
    pub job_id: JobId,
    /// Its rank in the plan.
    pub rank: u64,
    /// The campaign's name.
    pub campaign: String,
    /// The question.
    pub seed: Seed,
    /// Which sample of the seed.
    pub sample: u32,
    /// The recipe's name.
    pub recipe: String,
    /// The corpus that was searched.
    pub corpus_id: Digest,
    /// The model.
    pub teacher: TeacherRecord,
    /// All conversations.
    pub threads: Vec<Thread>,
    /// Why it ended.
    pub outcome: Outcome,
    /// Which budget was reached, where one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
    /// The final answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// The answer's citations.
    #[serde(default)]
    pub citations: Vec<Citation>,
    /// How much of the seed's gold was met, and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gold: Option<GoldMet>,
    /// Sum over all completions.
    pub usage: Usage,
    /// What the filter said.
    pub verdict: Verdict,
    /// Digest of this row's compact JSON without `content_digest` and `provenance`, keys in this order.
    pub content_digest: Digest,
    /// How it came about; outside the digest.
    pub provenance: Provenance,
}

/// A row as it is digested: the same fields in the same order, without the digest itself and without provenance.
#[derive(Serialize)]
struct Content<'a> {
    schema_version: u32,
    job_id: &'a JobId,
    rank: u64,
    campaign: &'a str,
    seed: &'a Seed,
    sample: u32,
    recipe: &'a str,
    corpus_id: &'a Digest,
    teacher: &'a TeacherRecord,
    threads: &'a [Thread],
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<Limit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<&'a str>,
    citations: &'a [Citation],
    #[serde(skip_serializing_if = "Option::is_none")]
    gold: Option<&'a GoldMet>,
    usage: Usage,
    verdict: &'a Verdict,
}

impl Row {
    /// The row of a judged trajectory.
    ///
    /// # Errors
    /// Only if the trajectory holds what JSON cannot (a score that is not a number).
    pub fn of(object: VerdictObject) -> Result<Self, serde_json::Error> {
        let VerdictObject { verdict, trajectory: t } = object;
        let Trajectory { schema_version, job_id, rank, campaign, seed, sample, recipe, corpus_id, .. } = t;
        let Trajectory { teacher, threads, outcome, limit, answer, citations, gold, usage, provenance, .. } = t;
        let mut row = Self {
            schema_version,
            job_id,
            rank,
            campaign,
            seed,
            sample,
            recipe,
            corpus_id,
            teacher,
            threads,
            outcome,
            limit,
            answer,
            citations,
            gold,
            usage,
            verdict,
            content_digest: Digest::of(b""),
            provenance,
        };
        row.content_digest = row.recompute_digest()?;
        Ok(row)
    }

    /// The digest this row's content has, whatever `content_digest` says.
    ///
    /// # Errors
    /// As [`Row::of`].
    pub fn recompute_digest(&self) -> Result<Digest, serde_json::Error> {
        let content = Content {
            schema_version: self.schema_version,
            job_id: &self.job_id,
            rank: self.rank,
            campaign: &self.campaign,
            seed: &self.seed,
            sample: self.sample,
            recipe: &self.recipe,
            corpus_id: &self.corpus_id,
            teacher: &self.teacher,
            threads: &self.threads,
            outcome: self.outcome,
            limit: self.limit,
            answer: self.answer.as_deref(),
            citations: &self.citations,
            gold: self.gold.as_ref(),
            usage: self.usage,
            verdict: &self.verdict,
        };
        Ok(Digest::of(&serde_json::to_vec(&content)?))
    }
}
