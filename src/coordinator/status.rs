//! How far a campaign is, counted from the archive by listing: true whatever happened to brokers and ledgers.

use dataset::DatasetError;
use dataset::frozen;
use dataset::part::{self, Listing};
use model::layout::CampaignKeys;
use model::{Campaign, ControlState, Counts, Digest};
use runtime::Archive;
use serde::Serialize;

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
    /// Number of the newest seal; absent when there is none.
    pub sealed: Option<u32>,
    /// Where these numbers come from.
    pub source: &'static str,
}

/// Counts `campaign` under `grade`.
///
/// # Errors
/// When the archive fails.
pub async fn progress(archive: &dyn Archive, campaign: &Campaign, grade: &Digest) -> Result<Progress, DatasetError> {
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
        sealed: None,
        source: "archive",
    };
    let mut written = Counts::default();
    for shard in 0..campaign.plan.shards() {
        let listing = Listing::of(archive, &keys, grade, shard).await?;
        let (members, _) = campaign.plan.members(shard);
        let outstanding = (members.end - members.start).saturating_sub(listing.terminal());
        progress.outstanding += outstanding;
        progress.failed += listing.ended.len() as u64;
        match part::read_index(archive, &keys, grade, shard).await? {
            Some((index, _)) if listing.agrees_with(&index) => written += index.counts,
            _ => progress.graded += listing.verdicts.len() as u64,
        }
        if outstanding > 0 {
            let trajectories = archive.list(&keys.trajectories(shard)).await?;
            let waiting = trajectories.iter().filter_map(|object| model::layout::job_of_key(&object.key));
            progress.synthesized += waiting.filter(|job| !listing.verdicts.contains(job) && !listing.ended.contains(job)).count() as u64;
        }
    }
    (progress.accepted, progress.rejected) = (written.accepted, written.rejected);
    if let Some(bytes) = archive.get(&keys.dataset()).await? {
        progress.sealed = serde_json::from_slice::<model::Manifest>(&bytes).ok().map(|manifest| manifest.number);
    }
    Ok(progress)
}
