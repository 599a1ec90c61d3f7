//! Which jobs of a campaign are spared: the later samples of a seed whose first samples are all right, or all wrong, teach little.
//!
//! Decided shard by shard, once all first samples of its seeds are terminal and written, from the indexes alone; written down before any other
//! job of the shard is published, so that whoever decides again decides the same.

use model::layout::CampaignKeys;
use model::{Campaign, Digest, JobId, Spared};
use runtime::{Archive, failpoint};

use crate::DatasetError;
use crate::frozen::{FrozenSeeds, put_json};
use crate::part;

/// What was decided about shard `shard`; `None` while nothing is.
///
/// # Errors
/// When the archive fails, or what it has is damaged.
pub async fn read(archive: &dyn Archive, keys: &CampaignKeys, shard: u64) -> Result<Option<Spared>, DatasetError> {
    let key = keys.spared(shard);
    let Some(bytes) = archive.get(&key).await? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| DatasetError::damaged(&key, error))
}

/// Decides about shard `shard`, unless that was done; whether its jobs may be published now. A shard of first samples always may.
///
/// # Errors
/// When the archive fails.
pub async fn decide(
    archive: &dyn Archive,
    campaign: &Campaign,
    grade: &Digest,
    shard: u64,
    seeds: &mut FrozenSeeds<'_>,
) -> Result<bool, DatasetError> {
    let (members, sample) = campaign.plan.members(shard);
    let Some(first) = campaign.settings.campaign.samples_first.filter(|first| sample >= *first) else { return Ok(true) };
    let keys = CampaignKeys::new(&campaign.name);
    if read(archive, &keys, shard).await?.is_some() {
        return Ok(true);
    }
    let per_sample = campaign.plan.shards_per_sample().max(1);
    let members: Vec<u64> = members.collect();
    // By seed: what its samples so far have in common; `None` once two differ, or one cannot be told.
    let mut common: Vec<Option<bool>> = vec![None; members.len()];
    for earlier in 0..first {
        let at = u64::from(earlier) * per_sample + shard % per_sample;
        let index = part::read_index(archive, &keys, grade, at).await?.map(|(index, _)| index);
        let Some(index) = index.filter(|index| index.ranks.len() == members.len()) else { return Ok(false) };
        for (known, rank) in common.iter_mut().zip(&index.ranks) {
            *known = match (earlier, rank.correct) {
                (0, correct) => correct,
                (_, correct) => known.filter(|known| Some(*known) == correct),
            };
        }
    }
    let mut spared = Spared { samples_first: first, jobs: Vec::new() };
    for (number, common) in members.iter().zip(&common) {
        if common.is_some() {
            spared.jobs.push(JobId::of(&campaign.uid, &seeds.get(*number).await?.id, sample));
        }
    }
    failpoint::hit("spared.before");
    put_json(archive, &keys.spared(shard), &spared).await?;
    failpoint::hit("spared.after");
    Ok(true)
}
