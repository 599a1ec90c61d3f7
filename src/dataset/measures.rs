//! What estimates and comparisons ask of a data set: how each rank ended, and the few numbers of each row that they sum.
//!
//! Rows are read one at a time and only as far as they are needed; what is kept of them is up to whoever asks.

use std::collections::BTreeMap;

use model::layout::CampaignKeys;
use model::{Campaign, Digest, Manifest, Place, ShardIndex, Terminal, ThreadRole, Usage};
use runtime::Archive;
use serde::Deserialize;

use crate::DatasetError;
use crate::rows::RowFileReader;

/// The numbers of one row.
#[derive(Debug, Clone, PartialEq)]
pub struct Measure {
    /// The number of its seed in the plan.
    pub seed: u64,
    /// What the filter said.
    pub accepted: bool,
    /// Whether its seed has a reference answer.
    pub has_reference: bool,
    /// Whether the answer is right, where the judge could tell.
    pub correct: Option<bool>,
    /// The judge's score, where it was asked.
    pub score: Option<f64>,
    /// The verdict's named scores.
    pub scores: BTreeMap<String, f64>,
    /// What all completions of the job cost, the judge's excepted.
    pub usage: Usage,
    /// Of these, those that are turns of threads, by the thread's role. What is missing from the sum was no turn: extracts of pages.
    pub roles: BTreeMap<&'static str, Usage>,
    /// What the judge cost.
    pub judge: Usage,
    /// Milliseconds of work on the job.
    pub busy_ms: u64,
}

/// A row as far as it is needed.
#[derive(Deserialize)]
struct Read {
    rank: u64,
    seed: Referenced,
    threads: Vec<Spoken>,
    usage: Usage,
    verdict: Graded,
    #[serde(default)]
    provenance: Busy,
}

#[derive(Deserialize)]
struct Referenced {
    #[serde(default)]
    answers: Vec<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Spoken {
    role: ThreadRole,
    turns: Vec<Charged>,
}

#[derive(Deserialize)]
struct Charged {
    usage: Usage,
}

#[derive(Deserialize)]
struct Graded {
    accepted: bool,
    #[serde(default)]
    scores: BTreeMap<String, f64>,
    #[serde(default)]
    judge: Option<Judged>,
}

#[derive(Deserialize)]
struct Judged {
    score: f64,
    #[serde(default)]
    correct: Option<bool>,
    #[serde(default)]
    usage: Usage,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Busy {
    busy_ms: u64,
}

/// The name of a role in reports.
pub fn role_name(role: ThreadRole) -> &'static str {
    match role {
        ThreadRole::Planner => "planner",
        ThreadRole::Researcher => "researcher",
        ThreadRole::Summarizer => "summarizer",
    }
}

impl Read {
    fn measured(self, seed: u64) -> Measure {
        let mut roles: BTreeMap<&'static str, Usage> = BTreeMap::new();
        for thread in &self.threads {
            let sum = roles.entry(role_name(thread.role)).or_default();
            thread.turns.iter().for_each(|turn| *sum += turn.usage);
        }
        let judge = self.verdict.judge;
        Measure {
            seed,
            accepted: self.verdict.accepted,
            has_reference: !self.seed.answers.is_empty(),
            correct: judge.as_ref().and_then(|judge| judge.correct),
            score: judge.as_ref().map(|judge| judge.score),
            scores: self.verdict.scores,
            usage: self.usage,
            roles,
            judge: judge.map(|judge| judge.usage).unwrap_or_default(),
            busy_ms: self.provenance.busy_ms,
        }
    }
}

/// Hands on the numbers of every row of `manifest`, accepted and rejected, whatever it selects.
///
/// # Errors
/// When a row file is missing or damaged.
pub async fn rows(
    archive: &dyn Archive,
    campaign: &Campaign,
    manifest: &Manifest,
    mut each: impl FnMut(Measure),
) -> Result<(), DatasetError> {
    let keys = CampaignKeys::new(&campaign.name);
    for file in manifest.shards.iter().flat_map(|shard| shard.accepted.iter().chain(&shard.rejected)) {
        let key = format!("{}{}", keys.grade(&manifest.grade), file.path);
        let mut reader = RowFileReader::open(archive, &key, file).await?;
        while let Some(row) = reader.next_as::<Read>()? {
            let place = Place { shard: row.rank / u64::from(campaign.plan.rows_per_shard).max(1), rank: row.rank };
            let seed = campaign.plan.seed_at(place);
            if seed >= campaign.plan.seeds {
                return Err(DatasetError::damaged(&key, format!("rank {} is none of the plan's", row.rank)));
            }
            each(row.measured(seed));
        }
    }
    Ok(())
}

/// Hands on, for every rank that `manifest` accounts for, the number of its seed and how it ended.
///
/// # Errors
/// When an index that the manifest names is missing or damaged.
pub async fn ends(
    archive: &dyn Archive,
    campaign: &Campaign,
    manifest: &Manifest,
    mut each: impl FnMut(u64, Terminal),
) -> Result<(), DatasetError> {
    let keys = CampaignKeys::new(&campaign.name);
    for shard in &manifest.shards {
        let key = keys.kept_index(&manifest.grade, shard.shard, &shard.index);
        let hint = "the data set is incomplete; seal the campaign again";
        let bytes = archive.get(&key).await?.ok_or(DatasetError::Missing { key: key.clone(), hint })?;
        if Digest::of(&bytes) != shard.index {
            return Err(DatasetError::damaged(&key, format!("its digest is not {}, which the manifest names", shard.index)));
        }
        let index: ShardIndex = serde_json::from_slice(&bytes).map_err(|error| DatasetError::damaged(&key, error))?;
        for rank in &index.ranks {
            let seed = campaign.plan.seed_at(Place { shard: shard.shard, rank: rank.rank });
            if seed >= campaign.plan.seeds {
                return Err(DatasetError::damaged(&key, format!("rank {} is none of the plan's", rank.rank)));
            }
            each(seed, rank.status);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use model::{Digest, JudgeReport, Thread, Turn};

    use super::*;
    use crate::testing::{researcher, row, says};

    #[test]
    fn a_row_is_measured_by_role_and_what_is_no_turn_is_missing_from_the_sum() {
        let spent = |calls| Usage { prompt_tokens: 10 * calls, calls, ..Usage::default() };
        let turn = |calls| Turn { usage: spent(calls), ..says("so") };
        let planner = Thread::new(ThreadRole::Planner, Digest::of(b"planner"), vec![turn(1)]);
        let mut row = row(vec![planner, researcher("a", vec![turn(2), turn(3)], None), researcher("b", vec![turn(4)], None)], None);
        row.usage = spent(12);
        row.seed.answers = vec!["a".into()];
        row.provenance.busy_ms = 1500;
        row.verdict.scores.insert("steps".into(), 4.0);
        row.verdict.judge = Some(JudgeReport {
            judge: "j".into(),
            rubric: Digest::of(b"rubric"),
            score: 0.75,
            correct: Some(true),
            extracted_answer: None,
            words: "so it is".into(),
            halvings: 0,
            usage: spent(1),
        });
        let read: Read = serde_json::from_value(serde_json::to_value(&row).expect("JSON")).expect("read");
        let measure = read.measured(3);
        assert_eq!(measure.roles, [("planner", spent(1)), ("researcher", spent(9))].into());
        assert_eq!((measure.usage.calls, measure.judge.calls, measure.busy_ms, measure.seed), (12, 1, 1500, 3));
        assert_eq!((measure.score, measure.correct, measure.has_reference, measure.accepted), (Some(0.75), Some(true), true, true));
        assert_eq!(measure.scores["steps"], 4.0);
    }
}
