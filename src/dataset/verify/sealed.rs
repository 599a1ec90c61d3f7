//! Checks what was sealed around the rows: manifest, frozen seeds, prompts, indexes. The manifest is folded from its indexes again.
//!
//! An index is checked in the copy that the manifest names by digest. The one that stands may be a later one, but then it has a copy too.

use std::collections::{HashMap, HashSet};

use model::dataset::OUTSTANDING_LISTED_MAX;
use model::layout::CampaignKeys;
use model::shard::Sums;
use model::{Campaign, Counts, Digest, JobId, Manifest, ManifestShard, Plan, Selection, ShardIndex, Terminal};
use runtime::Archive;

use super::VerifyReport;
use crate::DatasetError;
use crate::frozen::{FrozenSeeds, json_bytes};
use crate::seal::list_outstanding;

/// Checks what the manifest says by itself, where it stands, and the objects it is made with.
pub(super) async fn check_manifest(
    archive: &dyn Archive,
    keys: &CampaignKeys,
    campaign: &Campaign,
    manifest: &Manifest,
    report: &mut VerifyReport,
) -> Result<(), DatasetError> {
    let accounted = manifest.counts.total() + manifest.cancelled + manifest.outstanding;
    if accounted != manifest.planned {
        report.differs("manifest", format!("{accounted} jobs are accounted for, {} are planned", manifest.planned));
    }
    if (&manifest.uid, &manifest.campaign, &manifest.corpus_id) != (&campaign.uid, &campaign.name, &campaign.corpus_id) {
        let what = format!("it is of campaign {} with uid {}, the frozen plan of {}", manifest.campaign, manifest.uid, campaign.uid);
        report.differs("manifest", format!("{what}; or the corpus is not the planned one"));
    }
    if manifest.schema_version != model::trajectory::SCHEMA_VERSION {
        report.differs("manifest", format!("it is of version {}, this build verifies another", manifest.schema_version));
    }
    // Every seal is written in one form, under its number and then as the newest: other bytes were not written by a seal.
    let bytes = json_bytes("manifest", manifest)?;
    let number = keys.dataset_number(manifest.number);
    if archive.get(&number).await?.as_ref() != Some(&bytes) {
        report.differs(number, "the numbered manifest is missing or says something else");
    }
    let newest = archive.get(&keys.dataset()).await?;
    let newest_number = newest.as_deref().and_then(|newest| serde_json::from_slice::<Manifest>(newest).ok()).map(|newest| newest.number);
    if newest_number.is_none_or(|newest_number| newest_number == manifest.number) && newest.as_ref() != Some(&bytes) {
        report.differs(keys.dataset(), "the newest manifest is missing, damaged, or not what its number says");
    }
    for (name, digest) in &campaign.prompts {
        let text = archive.get(&keys.prompt(digest)).await?;
        if text.as_deref().map(Digest::of).as_ref() != Some(digest) {
            report.differs(keys.prompt(digest), format!("the prompt {name} is missing or changed"));
        }
    }
    Ok(())
}

/// The manifest as its indexes make it, index by index.
pub(super) struct Fold<'a> {
    archive: &'a dyn Archive,
    keys: &'a CampaignKeys,
    manifest: &'a Manifest,
    /// The campaign with as many samples as it had when it was sealed.
    campaign: Campaign,
    /// The frozen seeds; absent when they are not what was frozen, so that jobs cannot be told from them.
    seeds: Option<FrozenSeeds<'a>>,
    jobs: HashMap<JobId, Terminal>,
    counts: Counts,
    sums: Sums,
    outstanding: Vec<JobId>,
    /// The shard after the last one that was folded.
    next_shard: u64,
    is_whole: bool,
}

impl<'a> Fold<'a> {
    /// Checks the frozen seeds and starts with no index.
    pub(super) async fn new(
        archive: &'a dyn Archive,
        keys: &'a CampaignKeys,
        campaign: &Campaign,
        manifest: &'a Manifest,
        report: &mut VerifyReport,
    ) -> Result<Self, DatasetError> {
        let frozen = FrozenSeeds::new(archive, &campaign.name);
        let seeds = match frozen.digest(campaign.plan.seeds).await {
            Ok(digest) if digest == campaign.seeds => Some(frozen),
            Ok(digest) => {
                report.differs("the frozen seeds", format!("their digest is {digest}, the plan says {}", campaign.seeds));
                None
            }
            Err(error @ (DatasetError::Damaged { .. } | DatasetError::Missing { .. })) => {
                report.differs("the frozen seeds", error.to_string());
                None
            }
            Err(error) => return Err(error),
        };
        let samples = u32::try_from(manifest.planned / campaign.plan.seeds.max(1)).unwrap_or(u32::MAX).min(campaign.plan.samples);
        let campaign = Campaign { plan: Plan { samples, ..campaign.plan }, ..campaign.clone() };
        if campaign.plan.jobs() != manifest.planned {
            report.differs("manifest", format!("{} jobs are planned, which no number of samples makes", manifest.planned));
        }
        Ok(Self {
            archive,
            keys,
            manifest,
            campaign,
            seeds,
            jobs: HashMap::new(),
            counts: Counts::default(),
            sums: Sums::default(),
            outstanding: Vec::new(),
            next_shard: 0,
            is_whole: true,
        })
    }

    /// Reads and checks the index of `shard` and adds it; `None` when there is none to go on with.
    pub(super) async fn check_index(
        &mut self,
        shard: &ManifestShard,
        report: &mut VerifyReport,
    ) -> Result<Option<ShardIndex>, DatasetError> {
        self.check_standing(shard, report).await?;
        let key = self.keys.kept_index(&self.manifest.grade, shard.shard, &shard.index);
        let bytes = self.archive.get(&key).await?;
        let index: ShardIndex = match bytes.as_deref().map(serde_json::from_slice) {
            Some(Ok(index)) if bytes.as_deref().map(Digest::of).as_ref() == Some(&shard.index) => index,
            _ => {
                report.differs(key, "the index that was sealed is missing or changed");
                self.is_whole = false;
                return Ok(None);
            }
        };
        let mut counts = Counts::default();
        index.ranks.iter().for_each(|rank| counts.add(rank.status));
        if counts != index.counts || index.sums.failed_by.values().sum::<u64>() != counts.failed {
            report.differs(&key, format!("its counts are {:?}, its ranks add up to {counts:?}", index.counts));
        }
        if (&index.uid, &index.grade, index.shard) != (&self.manifest.uid, &self.manifest.grade, shard.shard) {
            report.differs(&key, format!("it is the index of shard {} of another campaign, grade or place", index.shard));
        }
        if (&index.accepted, &index.rejected, index.counts) != (&shard.accepted, &shard.rejected, shard.counts) {
            report.differs(&key, "its files or counts are not those of the manifest");
        }
        self.check_ranks(&key, &index, report).await?;
        self.counts += index.counts;
        self.sums += &index.sums;
        Ok(Some(index))
    }

    /// The index that stands is the sealed one, or a later one: any has its copy.
    async fn check_standing(&self, shard: &ManifestShard, report: &mut VerifyReport) -> Result<(), DatasetError> {
        let key = self.keys.index(&self.manifest.grade, shard.shard);
        let digest = self.archive.get(&key).await?.as_deref().map(Digest::of);
        let is_known = match &digest {
            Some(digest) if *digest == shard.index => true,
            Some(digest) => self.archive.exists(&self.keys.kept_index(&self.manifest.grade, shard.shard, digest)).await?,
            None => false,
        };
        if !is_known {
            report.differs(key, "the index that stands is missing or was changed; seal again to restore it");
        }
        Ok(())
    }

    /// Ranks and jobs are those of the plan, and no job is in two shards.
    async fn check_ranks(&mut self, key: &str, index: &ShardIndex, report: &mut VerifyReport) -> Result<(), DatasetError> {
        self.list_outstanding(index.shard, Some(index)).await?;
        if let Some(seeds) = &mut self.seeds {
            let planned: HashSet<(u64, JobId)> = seeds.jobs(&self.campaign, index.shard).await?.into_iter().collect();
            for rank in &index.ranks {
                if !planned.contains(&(rank.rank, rank.job.clone())) {
                    report.differs(key, format!("job {} of rank {} is not planned in this shard", rank.job, rank.rank));
                }
            }
        }
        if !index.ranks.is_sorted_by_key(|rank| rank.rank) {
            report.differs(key, "its ranks are not in order");
        }
        for rank in &index.ranks {
            if self.jobs.insert(rank.job.clone(), rank.status).is_some() {
                report.differs(format!("job {}", rank.job), "it stands in two places");
            }
        }
        Ok(())
    }

    /// Lists what is outstanding up to and with `shard`, whose index is given; shards that were passed over have none.
    async fn list_outstanding(&mut self, shard: u64, index: Option<&ShardIndex>) -> Result<(), DatasetError> {
        if let Some(seeds) = self.seeds.as_mut().filter(|_| self.manifest.outstanding > 0) {
            for passed in self.next_shard..shard.min(self.campaign.plan.shards()) {
                list_outstanding(seeds, &self.campaign, passed, None, &mut self.outstanding).await?;
            }
            if index.is_some() {
                list_outstanding(seeds, &self.campaign, shard, index, &mut self.outstanding).await?;
            }
        }
        self.next_shard = shard.saturating_add(1);
        Ok(())
    }

    /// Compares the manifest with what its indexes made.
    pub(super) async fn finish(mut self, report: &mut VerifyReport) -> Result<(), DatasetError> {
        let manifest = self.manifest;
        if self.is_whole && self.counts != manifest.counts {
            report.differs("manifest", format!("its counts are {:?}, its shards add up to {:?}", manifest.counts, self.counts));
        }
        if self.is_whole && self.sums != manifest.sums {
            report.differs("manifest", "its sums are not those of its shards");
        }
        self.list_outstanding(self.campaign.plan.shards(), None).await?;
        if self.is_whole && self.seeds.is_some() && self.outstanding != manifest.outstanding_jobs {
            let (listed, absent) = (manifest.outstanding_jobs.len(), self.outstanding.len());
            let what =
                format!("it lists {listed} outstanding jobs; {absent} (at most {OUTSTANDING_LISTED_MAX}) are planned and in no shard");
            report.differs("manifest", what);
        }
        if let Selection::BestOfSeed { jobs: selected } = &manifest.selection {
            for job in selected {
                if self.jobs.get(job) != Some(&Terminal::Accepted) {
                    report.differs(format!("job {job}"), "it is selected and among the accepted of no shard");
                }
            }
        }
        Ok(())
    }
}
