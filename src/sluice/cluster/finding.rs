//! Which campaigns there are to work on: the registry says, and where it was lost the archive does.

use std::time::Duration;

use model::{ControlState, Manifest};
use runtime::Archive;
use runtime::ledger::Registered;
use tokio::time::Instant;

use super::Connected;
use crate::exit::VerbError;

/// How often an empty registry makes a process look into the archive.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Finds campaigns.
#[derive(Debug, Default)]
pub(crate) struct Finding {
    looked: Option<Instant>,
}

impl Finding {
    /// All campaigns of this archive that are registered; where none is, those of the archive that a cluster was handed and that are not over,
    /// registered again.
    pub(crate) async fn campaigns(&mut self, connected: &Connected) -> Result<Vec<Registered>, VerbError> {
        let registered = connected.registry.campaigns().await?;
        let is_due = self.looked.is_none_or(|at| at.elapsed() >= LOOK_EVERY);
        if registered.is_empty() && is_due {
            self.looked = Some(Instant::now());
            let found = in_archive(connected.archive.as_ref()).await?;
            for campaign in &found {
                tracing::warn!(campaign = %campaign.name, "the registry did not know this campaign; registered it again from the archive");
                connected.registry.register(campaign).await?;
            }
            return Ok(found);
        }
        let ours = connected.archive.id();
        Ok(registered.into_iter().filter(|campaign| campaign.archive == ours).collect())
    }
}

async fn in_archive(archive: &dyn Archive) -> Result<Vec<Registered>, VerbError> {
    let mut found = Vec::new();
    for name in archive.folders("campaigns/").await? {
        let control = dataset::frozen::control(archive, &name).await?;
        if !control.submitted || control.state == ControlState::Cancelled {
            continue;
        }
        let manifest = archive.get(&model::layout::CampaignKeys::new(&name).dataset()).await?;
        let manifest = manifest.and_then(|bytes| serde_json::from_slice::<Manifest>(&bytes).ok());
        let Some(campaign) = dataset::frozen::campaign(archive, &name).await? else { continue };
        let is_over = manifest.is_some_and(|manifest| manifest.outstanding == 0 && manifest.planned == campaign.plan.jobs());
        if !is_over {
            let weight = campaign.settings.campaign.weight;
            found.push(Registered { name, uid: campaign.uid, archive: archive.id().to_owned(), weight });
        }
    }
    Ok(found)
}
