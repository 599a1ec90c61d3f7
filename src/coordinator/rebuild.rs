//! Telling a ledger that was lost what the archive knows: which work is done, which ranks are terminal, what was spent.
//!
//! Shard by shard, so memory is one shard's. It may run beside workers, twice, or be killed: everything it notes is a set. A failed job is
//! not noted as done, because a person's retry of it may be on its way.

use std::collections::BTreeSet;

use dataset::DatasetError;
use dataset::frozen::FrozenSeeds;
use dataset::part::{self, Listing};
use model::layout::CampaignKeys;
use model::{Campaign, Digest, Ended, Fact, JobId, Settings, Trajectory, Usage, VerdictObject};
use runtime::{Archive, Ledger, WorkKey};

use crate::publish::PublishError;

/// Rebuilds `ledger` from the archive, unless it is whole. `settings`: those in force, for whether spending has a limit.
///
/// # Errors
/// When archive or ledger fail.
pub async fn rebuild(
    archive: &dyn Archive,
    ledger: &dyn Ledger,
    campaign: &Campaign,
    settings: &Settings,
    grade: &Digest,
) -> Result<bool, PublishError> {
    if ledger.standing().await?.is_whole {
        return Ok(false);
    }
    let keys = CampaignKeys::new(&campaign.name);
    let mut seeds = FrozenSeeds::new(archive, &campaign.name);
    let mut spent = Usage::default();
    for shard in 0..campaign.plan.shards() {
        let listing = Listing::of(archive, &keys, grade, shard).await?;
        let done = |job: &JobId| [WorkKey::Synthesis(job.clone()), WorkKey::Filter(grade.short().to_owned(), job.clone())];
        let work: Vec<WorkKey> = listing.verdicts.iter().flat_map(done).collect();
        if !work.is_empty() {
            ledger.mark_done(&work).await?;
        }
        if listing.terminal() > 0 {
            let terminal = |job: &JobId| listing.verdicts.contains(job) || listing.ended.contains(job) || listing.spared.contains(job);
            let jobs = seeds.jobs(campaign, shard).await?;
            let ranks: Vec<u64> = jobs.iter().filter(|(_, job)| terminal(job)).map(|(rank, _)| *rank).collect();
            ledger.note_terminal(grade.short(), shard, &ranks).await?;
        }
        match part::read_index(archive, &keys, grade, shard).await? {
            Some((index, _)) if listing.agrees_with(&index) => {
                spent += index.sums.teacher;
                spent += index.sums.judge;
                // What failed has no row, and was paid for all the same.
                if !settings.budget.is_unlimited() {
                    spent += spent_in_vain(archive, &keys, grade, shard, &listing).await?;
                    spent += synthesised(archive, &keys, shard, listing.ended.iter()).await?;
                }
            }
            // Reading every object is worth it only where spending has a limit.
            _ if !settings.budget.is_unlimited() => spent += spent_in(archive, &keys, grade, shard, &listing).await?,
            _ => {}
        }
    }
    ledger.set_whole(spent).await?;
    Ok(true)
}

/// What the jobs of a shard cost, as its objects say. An object that cannot be read costs nothing here; whoever needs it says what is wrong.
async fn spent_in(
    archive: &dyn Archive,
    keys: &CampaignKeys,
    grade: &Digest,
    shard: u64,
    listing: &Listing,
) -> Result<Usage, PublishError> {
    let mut spent = Usage::default();
    for job in &listing.verdicts {
        let bytes = archive.get(&keys.verdict(grade, shard, job)).await.map_err(DatasetError::from)?;
        let object = bytes.and_then(|bytes| model::wire::decode_object::<VerdictObject>("a verdict", &bytes).ok());
        if let Some(object) = object {
            spent += object.trajectory.usage;
            spent += object.verdict.judge.map(|judge| judge.usage).unwrap_or_default();
        }
    }
    let written = archive.list(&keys.trajectories(shard)).await.map_err(DatasetError::from)?;
    let written: BTreeSet<JobId> = written.iter().filter_map(|object| model::layout::job_of_key(&object.key)).collect();
    spent += synthesised(archive, keys, shard, written.difference(&listing.verdicts)).await?;
    spent += spent_in_vain(archive, keys, grade, shard, listing).await?;
    Ok(spent)
}

/// What the trajectories of `jobs` cost, as far as there are any.
async fn synthesised(
    archive: &dyn Archive,
    keys: &CampaignKeys,
    shard: u64,
    jobs: impl Iterator<Item = &JobId>,
) -> Result<Usage, PublishError> {
    let mut spent = Usage::default();
    for job in jobs {
        let bytes = archive.get(&keys.trajectory(shard, job)).await.map_err(DatasetError::from)?;
        let trajectory = bytes.and_then(|bytes| model::wire::decode_object::<Trajectory>("a trajectory", &bytes).ok());
        spent += trajectory.map(|trajectory| trajectory.usage).unwrap_or_default();
    }
    Ok(spent)
}

/// What the jobs of a shard cost that failed, in synthesis or in grading, beside the trajectories there are of them.
async fn spent_in_vain(
    archive: &dyn Archive,
    keys: &CampaignKeys,
    grade: &Digest,
    shard: u64,
    listing: &Listing,
) -> Result<Usage, PublishError> {
    let mut spent = Usage::default();
    for job in &listing.ended {
        for key in [keys.ended(shard, job), keys.grade_ended(grade, shard, job)] {
            let bytes = archive.get(&key).await.map_err(DatasetError::from)?;
            let ended = bytes.and_then(|bytes| serde_json::from_slice::<Ended>(&bytes).ok());
            for entry in ended.iter().flat_map(|ended| &ended.journal) {
                if let Fact::Completion(completion) = &entry.fact {
                    spent += completion.usage;
                }
            }
        }
    }
    Ok(spent)
}
