//! How far a campaign is, counted from the archive by listing: true whatever happened to brokers and ledgers.
//!
//! Shards that are complete are listed once and remembered for a while, so that watching a campaign costs what is still open; of those that are
//! open a few are listed at a time.

use std::collections::BTreeMap;
use std::time::Duration;

use dataset::DatasetError;
use dataset::frozen;
use dataset::part::{self, Listing};
use model::layout::CampaignKeys;
use model::{Campaign, ControlState, Counts, Digest, Ended, ShardIndex};
use runtime::Archive;
use serde::Serialize;
use tokio::time::Instant;

/// How long a complete shard is believed to be as it was: a retry may change it.
const REMEMBERED: Duration = Duration::from_secs(60);
/// Records of failures that are read for their kinds, at most.
const FAILURES_READ_MAX: usize = 64;
/// Failures that are shown with their message.
const FAILURES_SHOWN_MAX: usize = 5;
/// Shards that are looked at at once; as many calls are in [`Census::count`].
const AT_ONCE: usize = 8;

/// A campaign's progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// Its name.
    pub campaign: String,
    /// Whether it runs.
    pub state: ControlState,
    /// Planned jobs.
    pub planned: u64,
    /// Jobs that are not terminal.
    pub outstanding: u64,
    /// Trajectories without a verdict yet.
    pub synthesized: u64,
    /// Accepted, of the shards whose rows are written.
    pub accepted: u64,
    /// Rejected, of the shards whose rows are written.
    pub rejected: u64,
    /// Graded jobs of shards whose rows are not written yet: accepted or rejected.
    pub graded: u64,
    /// Failed for good.
    pub failed: u64,
    /// Later samples of seeds whose first ones were all right, or all wrong.
    pub spared: u64,
    /// Jobs that were not terminal when the campaign was cancelled.
    pub cancelled: u64,
    /// Failures by kind; of shards whose rows are not written yet, as far as some were read.
    pub failed_by: BTreeMap<String, u64>,
    /// Some failures, with what they say.
    pub failures: Vec<Failure>,
    /// Number of the newest seal; absent when there is none.
    pub sealed: Option<u32>,
}

/// One failure on record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Its job.
    pub job: String,
    /// Its kind.
    pub kind: String,
    /// What happened.
    pub message: String,
}

/// Counts a campaign again and again.
#[derive(Debug, Default)]
pub struct Census {
    complete: BTreeMap<u64, (Instant, Counts, BTreeMap<String, u64>)>,
}

/// Counts `campaign` under `grade`, once.
///
/// # Errors
/// When the archive fails.
pub async fn progress(archive: &dyn Archive, campaign: &Campaign, grade: &Digest) -> Result<Progress, DatasetError> {
    Census::default().count(archive, campaign, grade).await
}

impl Census {
    /// Counts `campaign` under `grade`; always the same two.
    ///
    /// # Errors
    /// When the archive fails.
    pub async fn count(&mut self, archive: &dyn Archive, campaign: &Campaign, grade: &Digest) -> Result<Progress, DatasetError> {
        let keys = CampaignKeys::new(&campaign.name);
        let mut progress = Progress {
            campaign: campaign.name.clone(),
            state: frozen::control(archive, &campaign.name).await?.state,
            planned: campaign.plan.jobs(),
            outstanding: 0,
            synthesized: 0,
            accepted: 0,
            rejected: 0,
            graded: 0,
            failed: 0,
            spared: 0,
            cancelled: 0,
            failed_by: BTreeMap::new(),
            failures: Vec::new(),
            sealed: None,
        };
        self.complete.retain(|_, (at, ..)| at.elapsed() < REMEMBERED);
        let mut open = Vec::new();
        for shard in 0..campaign.plan.shards() {
            match self.complete.get(&shard) {
                Some((_, counts, failed_by)) => progress.add(*counts, failed_by),
                None => open.push(shard),
            }
        }
        let mut failures_read = 0;
        for shards in open.chunks(AT_ONCE) {
            let at = |place: usize| look(archive, &keys, campaign, grade, shards.get(place).copied());
            let looked: [Option<Open>; AT_ONCE] = tokio::try_join!(at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7))?.into();
            for Open { shard, listing, index, outstanding, synthesized } in looked.into_iter().flatten() {
                progress.outstanding += outstanding;
                progress.synthesized += synthesized;
                let Some(index) = index else {
                    progress.graded += listing.verdicts.len() as u64;
                    progress.failed += listing.ended.len() as u64;
                    progress.spared += listing.spared.len() as u64;
                    for job in listing.ended.iter().take(FAILURES_READ_MAX.saturating_sub(failures_read)) {
                        failures_read += 1;
                        progress.read_failure(archive, &[keys.grade_ended(grade, shard, job), keys.ended(shard, job)]).await?;
                    }
                    continue;
                };
                progress.add(index.counts, &index.sums.failed_by);
                if outstanding == 0 {
                    self.complete.insert(shard, (Instant::now(), index.counts, index.sums.failed_by));
                }
            }
        }
        if progress.state == ControlState::Cancelled {
            progress.cancelled = std::mem::take(&mut progress.outstanding);
        }
        if let Some(bytes) = archive.get(&keys.dataset()).await? {
            progress.sealed = serde_json::from_slice::<model::Manifest>(&bytes).ok().map(|manifest| manifest.number);
        }
        Ok(progress)
    }
}

/// A shard that was not complete when it was looked at last.
struct Open {
    shard: u64,
    listing: Listing,
    /// `None` where there is none that says what the listing says.
    index: Option<ShardIndex>,
    outstanding: u64,
    synthesized: u64,
}

/// Looks at a shard, if it is one.
async fn look(
    archive: &dyn Archive,
    keys: &CampaignKeys,
    campaign: &Campaign,
    grade: &Digest,
    shard: Option<u64>,
) -> Result<Option<Open>, DatasetError> {
    let Some(shard) = shard else { return Ok(None) };
    let listing = Listing::of(archive, keys, grade, shard).await?;
    let (members, _) = campaign.plan.members(shard);
    let outstanding = (members.end - members.start).saturating_sub(listing.terminal());
    let index = if listing.terminal() == 0 { None } else { part::read_index(archive, keys, grade, shard).await? };
    let index = index.map(|(index, _)| index).filter(|index| listing.agrees_with(index));
    let mut synthesized = 0;
    if outstanding > 0 {
        let trajectories = archive.list(&keys.trajectories(shard)).await?;
        let waiting = trajectories.iter().filter_map(|object| model::layout::job_of_key(&object.key));
        synthesized = waiting.filter(|job| !listing.verdicts.contains(job) && !listing.ended.contains(job)).count() as u64;
    }
    Ok(Some(Open { shard, listing, index, outstanding, synthesized }))
}

impl Progress {
    fn add(&mut self, counts: Counts, failed_by: &BTreeMap<String, u64>) {
        self.accepted += counts.accepted;
        self.rejected += counts.rejected;
        self.failed += counts.failed;
        self.spared += counts.spared;
        for (kind, count) in failed_by {
            *self.failed_by.entry(kind.clone()).or_default() += count;
        }
    }

    async fn read_failure(&mut self, archive: &dyn Archive, keys: &[String]) -> Result<(), DatasetError> {
        for key in keys {
            let Some(bytes) = archive.get(key).await? else { continue };
            let Ok(ended) = serde_json::from_slice::<Ended>(&bytes) else { continue };
            *self.failed_by.entry(ended.kind.clone()).or_default() += 1;
            if self.failures.len() < FAILURES_SHOWN_MAX {
                self.failures.push(Failure { job: ended.job_id.to_string(), kind: ended.kind, message: ended.message });
            }
            return Ok(());
        }
        Ok(())
    }
}
