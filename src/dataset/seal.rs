//! Sealing: proves that every planned job is accounted for, and writes down what the data set consists of.
//!
//! What the archive's listing says is the truth; an index that disagrees is rebuilt first. A seal that would say the same as the newest one
//! writes nothing, so sealing twice is one seal.

use std::collections::HashSet;
use std::sync::Arc;

use model::layout::CampaignKeys;
use model::{
    Campaign, ControlState, Counts, Digest, JobId, Manifest, ManifestShard, Selection, ShardIndex, dataset::OUTSTANDING_LISTED_MAX,
    shard::Sums,
};
use runtime::{Archive, failpoint};

use crate::frozen::{FrozenSeeds, put_json};
use crate::part::{self, Listing};
use crate::rows::RowFileReader;
use crate::{DatasetError, frozen};

mod sweep;

/// How to seal.
#[derive(Debug, Clone, Default)]
pub struct SealOptions {
    /// Seal what there is, listing what is outstanding.
    pub partial: bool,
    /// Keep only the best accepted sample of each seed.
    pub best_of_seed: bool,
}

/// Seals `campaign` under `grade` and returns the manifest.
///
/// # Errors
/// When jobs are outstanding and `partial` is not asked for, or the archive fails.
pub async fn seal(
    archive: &Arc<dyn Archive>,
    campaign: &Campaign,
    grade: &Digest,
    options: &SealOptions,
) -> Result<Manifest, DatasetError> {
    let keys = CampaignKeys::new(&campaign.name);
    let is_cancelled = frozen::control(archive.as_ref(), &campaign.name).await?.state == ControlState::Cancelled;
    let planned = campaign.plan.jobs();
    let outstanding = count_outstanding(archive.as_ref(), campaign, grade).await?;
    if outstanding > 0 && !is_cancelled && !options.partial {
        return Err(DatasetError::Outstanding { campaign: campaign.name.clone(), outstanding, planned });
    }
    let mut shards = Vec::new();
    let (mut counts, mut sums) = (Counts::default(), Sums::default());
    // Jobs may have become terminal since they were counted: what the shards say now is what is sealed.
    let mut outstanding_jobs = Vec::new();
    let mut seeds = FrozenSeeds::new(archive.as_ref(), &campaign.name);
    for shard in 0..campaign.plan.shards() {
        let sealed = seal_shard(archive, campaign, grade, shard).await?;
        if outstanding > 0 && !is_cancelled {
            let index = sealed.as_ref().map(|(index, _)| index);
            list_outstanding(&mut seeds, campaign, shard, index, &mut outstanding_jobs).await?;
        }
        let Some((index, digest)) = sealed else { continue };
        counts += index.counts;
        sums += &index.sums;
        shards.push(ManifestShard { shard, index: digest, accepted: index.accepted, rejected: index.rejected, counts: index.counts });
    }
    let missing = planned.saturating_sub(counts.total());
    let selection = if options.best_of_seed { best_of_seed(archive, &keys, grade, campaign, &shards).await? } else { Selection::All };
    let manifest = Manifest {
        schema_version: model::trajectory::SCHEMA_VERSION,
        campaign: campaign.name.clone(),
        uid: campaign.uid.clone(),
        number: 0,
        grade: grade.clone(),
        corpus_id: campaign.corpus_id.clone(),
        planned,
        counts,
        cancelled: if is_cancelled { missing } else { 0 },
        outstanding: if is_cancelled { 0 } else { missing },
        outstanding_jobs,
        selection,
        sums,
        shards,
    };
    let manifest = publish(archive, &keys, manifest).await?;
    failpoint::hit("seal.after_manifests");
    sweep::sweep(archive.as_ref(), campaign, grade, &manifest.shards).await;
    Ok(manifest)
}

async fn count_outstanding(archive: &dyn Archive, campaign: &Campaign, grade: &Digest) -> Result<u64, DatasetError> {
    let keys = CampaignKeys::new(&campaign.name);
    let mut outstanding = 0;
    for shard in 0..campaign.plan.shards() {
        let (members, _) = campaign.plan.members(shard);
        let terminal = Listing::of(archive, &keys, grade, shard).await?.terminal();
        outstanding += (members.end - members.start).saturating_sub(terminal);
    }
    Ok(outstanding)
}

/// Adds to `listed` the planned jobs of `shard` that `index` does not have, while there is room.
pub(crate) async fn list_outstanding(
    seeds: &mut FrozenSeeds<'_>,
    campaign: &Campaign,
    shard: u64,
    index: Option<&ShardIndex>,
    listed: &mut Vec<JobId>,
) -> Result<(), DatasetError> {
    let (members, _) = campaign.plan.members(shard);
    let terminal = index.map_or(0, |index| index.ranks.len() as u64);
    if terminal >= members.end - members.start || listed.len() >= OUTSTANDING_LISTED_MAX {
        return Ok(());
    }
    let terminal: HashSet<&JobId> = index.into_iter().flat_map(|index| &index.ranks).map(|rank| &rank.job).collect();
    let planned = seeds.jobs(campaign, shard).await?;
    let absent = planned.into_iter().map(|(_, job)| job).filter(|job| !terminal.contains(job));
    listed.extend(absent.take(OUTSTANDING_LISTED_MAX - listed.len()));
    Ok(())
}

async fn seal_shard(
    archive: &Arc<dyn Archive>,
    campaign: &Campaign,
    grade: &Digest,
    shard: u64,
) -> Result<Option<(ShardIndex, Digest)>, DatasetError> {
    let keys = CampaignKeys::new(&campaign.name);
    let listing = Listing::of(archive.as_ref(), &keys, grade, shard).await?;
    if listing.terminal() == 0 {
        return Ok(None);
    }
    if let Some(standing) = part::standing(archive.as_ref(), &keys, grade, shard, &listing).await?
        && files_are_there(archive.as_ref(), &keys, grade, &standing.0).await?
    {
        return Ok(Some(standing));
    }
    part::write(archive, campaign, grade, shard, &listing).await.map(Some)
}

async fn files_are_there(archive: &dyn Archive, keys: &CampaignKeys, grade: &Digest, index: &ShardIndex) -> Result<bool, DatasetError> {
    for file in index.accepted.iter().chain(&index.rejected) {
        if !archive.exists(&format!("{}{}", keys.grade(grade), file.path)).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Of each seed's accepted samples the one with the highest judge's score; of equals the one with fewer turns, then the lower rank.
async fn best_of_seed(
    archive: &Arc<dyn Archive>,
    keys: &CampaignKeys,
    grade: &Digest,
    campaign: &Campaign,
    shards: &[ManifestShard],
) -> Result<Selection, DatasetError> {
    let rows = u64::from(campaign.plan.rows_per_shard);
    let per_sample = campaign.plan.shards_per_sample().max(1);
    let mut best: std::collections::BTreeMap<u64, (f64, usize, u64, JobId)> = std::collections::BTreeMap::new();
    for file in shards.iter().filter_map(|shard| shard.accepted.as_ref()) {
        let key = format!("{}{}", keys.grade(grade), file.path);
        let mut reader = RowFileReader::open(archive.as_ref(), &key, file).await?;
        while let Some(row) = reader.next_row()? {
            let seed = (row.rank / rows) % per_sample * rows + row.rank % rows;
            let score = row.verdict.judge.as_ref().map_or(0.0, |judge| judge.score);
            let turns = row.threads.iter().map(|thread| thread.turns.len()).sum();
            let is_better = best.get(&seed).is_none_or(|(s, t, r, _)| (score, *t, *r) > (*s, turns, row.rank));
            if is_better {
                best.insert(seed, (score, turns, row.rank, row.job_id));
            }
        }
    }
    let mut chosen: Vec<(u64, JobId)> = best.into_values().map(|(_, _, rank, job)| (rank, job)).collect();
    chosen.sort();
    Ok(Selection::BestOfSeed { jobs: chosen.into_iter().map(|(_, job)| job).collect() })
}

/// Writes the manifest under the next number, then as the newest; writes nothing when the newest says the same.
async fn publish(archive: &Arc<dyn Archive>, keys: &CampaignKeys, manifest: Manifest) -> Result<Manifest, DatasetError> {
    let newest = match archive.get(&keys.dataset()).await? {
        Some(bytes) => serde_json::from_slice::<Manifest>(&bytes).ok(),
        None => None,
    };
    if let Some(newest) = newest
        && (Manifest { number: newest.number, ..manifest.clone() }) == newest
    {
        return Ok(newest);
    }
    let sealed = archive.list(&keys.datasets()).await?;
    let numbers = sealed.iter().filter_map(|object| object.key.rsplit('/').next()?.strip_suffix(".json")?.parse::<u32>().ok());
    let manifest = Manifest { number: numbers.max().unwrap_or(0) + 1, ..manifest };
    failpoint::hit("seal.before_manifest");
    put_json(archive.as_ref(), &keys.dataset_number(manifest.number), &manifest).await?;
    failpoint::hit("seal.between_manifests");
    put_json(archive.as_ref(), &keys.dataset(), &manifest).await?;
    archive.sync().await?;
    Ok(manifest)
}
