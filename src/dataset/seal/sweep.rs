//! Drops the copies of journals that nobody needs any more: those of shards whose ranks are all terminal.
//!
//! Whoever finishes a job drops its own copy; what is left here comes from holders that were killed or taken over. Best effort: what stays is
//! swept by the next seal.

use std::collections::HashSet;

use model::layout::CampaignKeys;
use model::{Campaign, Digest, JobId, ManifestShard};
use runtime::{Archive, ArchiveError};

/// Sweeps the finished ones of `shards`. One listing when there is nothing to sweep.
pub(super) async fn sweep(archive: &dyn Archive, campaign: &Campaign, grade: &Digest, shards: &[ManifestShard]) {
    let is_finished = |shard: &&ManifestShard| {
        let (members, _) = campaign.plan.members(shard.shard);
        shard.counts.total() >= members.end - members.start
    };
    let finished: HashSet<u64> = shards.iter().filter(is_finished).map(|shard| shard.shard).collect();
    let keys = CampaignKeys::new(&campaign.name);
    for folder in [keys.journals(), keys.judge_journals(grade)] {
        match drop_copies(archive, &folder, &finished).await {
            Ok(0) => {}
            Ok(dropped) => tracing::debug!(campaign = %campaign.name, dropped, "dropped what was left of journals"),
            Err(error) => tracing::warn!(campaign = %campaign.name, %error, "copies of journals stay; the next seal sweeps again"),
        }
    }
}

/// Bounded by what was written: a folder a shard, in it one a job.
async fn drop_copies(archive: &dyn Archive, folder: &str, finished: &HashSet<u64>) -> Result<u64, ArchiveError> {
    let mut dropped = 0;
    for name in archive.folders(folder).await? {
        let Some(shard) = name.parse::<u64>().ok().filter(|shard| finished.contains(shard)) else { continue };
        let of_shard = format!("{folder}{shard}/");
        for job in archive.folders(&of_shard).await?.iter().filter_map(|name| JobId::parse(name)) {
            for segment in archive.list(&format!("{of_shard}{job}/")).await? {
                archive.delete(&segment.key).await?;
                dropped += 1;
            }
        }
    }
    Ok(dropped)
}
