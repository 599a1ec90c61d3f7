//! Trying failed jobs again, on a person's word; after a seal too.
//!
//! The record of the failure stays until a verdict stands beside it, which wins: so the campaign is complete at any instant, and a retry that
//! fails again leaves it as it was. The message carries the next round, which no earlier message of the job has.

use std::collections::BTreeMap;

use dataset::DatasetError;
use dataset::frozen::FrozenSeeds;
use dataset::part::Listing;
use model::layout::CampaignKeys;
use model::{Campaign, CandidateMessage, Digest, Ended, Job, JobId, JobMessage, Step};
use runtime::{Archive, Ledger, Queue, QueueName, WorkKey};

use crate::publish::PublishError;

/// What was published again, by the kind of failure.
pub type Retried = BTreeMap<String, u64>;

/// Publishes every failed job again whose failure is of one of `kinds`; of any kind when there are none.
///
/// # Errors
/// When archive, queue or ledger fail. What was published until then runs; the rest can be retried again.
pub async fn retry(
    archive: &dyn Archive,
    queue: &dyn Queue,
    ledger: &dyn Ledger,
    campaign: &Campaign,
    grade: &Digest,
    kinds: &[String],
) -> Result<Retried, PublishError> {
    let keys = CampaignKeys::new(&campaign.name);
    let mut seeds = FrozenSeeds::new(archive, &campaign.name);
    let mut retried = Retried::new();
    for shard in 0..campaign.plan.shards() {
        let failed = Listing::of(archive, &keys, grade, shard).await?.ended;
        if failed.is_empty() {
            continue;
        }
        let (members, sample) = campaign.plan.members(shard);
        for number in members {
            let seed = seeds.get(number).await?;
            let job = Job { id: JobId::of(&campaign.uid, &seed.id, sample), place: campaign.plan.place(number, sample), sample };
            if !failed.contains(&job.id) {
                continue;
            }
            // What failed in grading has its trajectory, and is graded again; all else is researched again.
            let graded = read(archive, &keys.grade_ended(grade, shard, &job.id)).await?;
            let in_grading = graded.as_ref().is_some_and(|ended| !ended.kind.starts_with("trajectory_"));
            let researched = read(archive, &keys.ended(shard, &job.id)).await?;
            // Above every round of the job: a message of one that is on record would find its end there.
            let round = graded.iter().chain(&researched).map(|ended| ended.round).max().unwrap_or_default();
            let Some(ended) = graded.or(researched) else { continue };
            if !kinds.is_empty() && !kinds.contains(&ended.kind) {
                continue;
            }
            let step = Step { round: round + 1, ..Step::default() };
            if in_grading {
                ledger.reopen(&WorkKey::Filter(grade.short().to_owned(), job.id.clone())).await?;
                let body = model::wire::encode_message("a candidate message", &CandidateMessage::candidate(&campaign.uid, job).at(step))?;
                queue.publish(&QueueName::Candidates(campaign.name.clone()), vec![body]).await?;
            } else {
                for work in [WorkKey::Synthesis(job.id.clone()), WorkKey::Filter(grade.short().to_owned(), job.id.clone())] {
                    ledger.reopen(&work).await?;
                }
                drop_journal(archive, &keys, shard, &job.id).await?;
                // One that cannot be read would pass for the effect of the new round.
                if ended.kind.starts_with("trajectory_") {
                    archive.delete(&keys.trajectory(shard, &job.id)).await.map_err(DatasetError::from)?;
                }
                let message = JobMessage::new(campaign.uid.clone(), job, step, seed)?;
                let body = model::wire::encode_message("a job message", &message)?;
                queue.publish(&QueueName::Jobs(campaign.name.clone()), vec![body]).await?;
            }
            *retried.entry(ended.kind).or_default() += 1;
        }
    }
    Ok(retried)
}

/// What is on record; a record that cannot be read is of the kind `unreadable` and of the first round.
async fn read(archive: &dyn Archive, key: &str) -> Result<Option<Ended>, PublishError> {
    let Some(bytes) = archive.get(key).await.map_err(DatasetError::from)? else { return Ok(None) };
    Ok(Some(serde_json::from_slice(&bytes).unwrap_or_else(|error| {
        tracing::warn!(key, %error, "the record of a failure cannot be read; its job is tried again as in the first round");
        Ended {
            job_id: model::layout::job_of_key(key).unwrap_or_else(|| JobId::of(&model::Uid(String::new()), key, 0)),
            rank: 0,
            kind: "unreadable".into(),
            message: error.to_string(),
            attempts: 0,
            round: 0,
            journal: Vec::new(),
        }
    })))
}

/// A new round starts a new journal.
async fn drop_journal(archive: &dyn Archive, keys: &CampaignKeys, shard: u64, job: &JobId) -> Result<(), PublishError> {
    for segment in archive.list(&keys.journal_folder(shard, job)).await.map_err(DatasetError::from)? {
        archive.delete(&segment.key).await.map_err(DatasetError::from)?;
    }
    Ok(())
}
