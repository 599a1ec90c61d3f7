//! Telling a ledger that was lost what the archive knows: which work is done, which ranks are terminal, what was spent.
//!
//! Shard by shard, so memory is one shard's. It may run beside workers, twice, or be killed: everything it notes is a set. A failed job is
//! not noted as done, because a person's retry of it may be on its way.

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
        let costs = Costs { archive, keys: &keys, grade, shard, listing: &listing };
        match part::read_index(archive, &keys, grade, shard).await? {
            Some((index, _)) if listing.agrees_with(&index) => {
                spent += index.sums.teacher;
                spent += index.sums.judge;
                // What failed has no row, and was paid for all the same.
                if !settings.budget.is_unlimited() {
                    spent += costs.of_failed().await?;
                }
            }
            // Reading every object is worth it only where spending has a limit.
            _ if !settings.budget.is_unlimited() => spent += costs.of_all().await?,
            _ => {}
        }
    }
    ledger.set_whole(spent).await?;
    Ok(true)
}

/// One shard, for what its jobs cost. An object that cannot be read costs nothing here; whoever needs it says what is wrong.
struct Costs<'a> {
    archive: &'a dyn Archive,
    keys: &'a CampaignKeys,
    grade: &'a Digest,
    shard: u64,
    listing: &'a Listing,
}

impl Costs<'_> {
    /// Of all jobs, as its objects say.
    async fn of_all(&self) -> Result<Usage, PublishError> {
        let mut spent = self.of_failed().await?;
        for job in &self.listing.verdicts {
            let object = self.get(&self.keys.verdict(self.grade, self.shard, job)).await?;
            let object = object.and_then(|bytes| model::wire::decode_object::<VerdictObject>("a verdict", &bytes).ok());
            if let Some(VerdictObject { verdict, trajectory }) = object {
                spent += trajectory.usage;
                spent += verdict.judge.map(|judge| judge.usage).unwrap_or_default();
            }
        }
        let written = self.archive.list(&self.keys.trajectories(self.shard)).await.map_err(DatasetError::from)?;
        let written = written.iter().filter_map(|object| model::layout::job_of_key(&object.key));
        let ungraded: Vec<JobId> =
            written.filter(|job| !self.listing.verdicts.contains(job) && !self.listing.ended.contains(job)).collect();
        Ok(spent + self.of_trajectories(&ungraded).await?)
    }

    /// Of those that failed, in synthesis or in grading: their journals, and the trajectories there are of them. They have no row.
    async fn of_failed(&self) -> Result<Usage, PublishError> {
        let mut spent = self.of_trajectories(&self.listing.ended).await?;
        for job in &self.listing.ended {
            for key in [self.keys.ended(self.shard, job), self.keys.grade_ended(self.grade, self.shard, job)] {
                let ended = self.get(&key).await?.and_then(|bytes| serde_json::from_slice::<Ended>(&bytes).ok());
                for entry in ended.iter().flat_map(|ended| &ended.journal) {
                    if let Fact::Completion(completion) = &entry.fact {
                        spent += completion.usage;
                    }
                }
            }
        }
        Ok(spent)
    }

    async fn of_trajectories(&self, jobs: impl IntoIterator<Item = &JobId>) -> Result<Usage, PublishError> {
        let mut spent = Usage::default();
        for job in jobs {
            let bytes = self.get(&self.keys.trajectory(self.shard, job)).await?;
            let trajectory = bytes.and_then(|bytes| model::wire::decode_object::<Trajectory>("a trajectory", &bytes).ok());
            spent += trajectory.map(|trajectory| trajectory.usage).unwrap_or_default();
        }
        Ok(spent)
    }

    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, PublishError> {
        Ok(self.archive.get(key).await.map_err(DatasetError::from)?)
    }
}
